"""The SDK2 camera itself: cooling, read-out, acquisitions.

A thin layer over pylablib's ``AndorSDK2Camera`` that goes round what pylablib 1.4.5 does wrong:

* opened with a temperature, it never sends it, and opened with none it starts cooling to a value of its own:
  it is opened with one, which therefore changes nothing, and ``cool_to`` sends it;
* it switches the fan off unless told otherwise;
* ``set_acquisition_mode`` is off by one (``"single"`` accumulates, ``"kinetic"`` raises): every acquisition
  is a kinetic series set up with ``setup_acquisition("kinetic", ...)``;
* frames come as 16 bits, in which accumulated sums wrap: 32 bits are asked for;
* off Windows it misreads the camera's capabilities: see ``andor_linux``;
* a temperature outside the range is silently clipped: it is refused here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.errors import FaultError, LimitError
from drivers.spectrometer.andor_linux import repair_capabilities
from drivers.spectrometer.vendor_line import VendorLine

IDLE = 20073

ReadMode = Literal["full-vertical-binning", "single-track", "image"]
CoolerState = Literal["off", "not_reached", "not_stabilized", "stabilized", "drifted"]
Fan = Literal["full", "low", "off"]


@dataclass(frozen=True)
class Timings:
    """What the camera makes of an asked exposure.

    Attributes:
        exposure_s: Exposure of each sub-frame.
        accumulate_cycle_s: From one sub-frame's start to the next one's.
        cycle_s: From one frame's start to the next one's.
    """

    exposure_s: float
    accumulate_cycle_s: float
    cycle_s: float


@dataclass(frozen=True)
class Amplifier:
    """One choice of read-out: indices, with what they mean.

    Attributes:
        readout_speed: Index of the horizontal speed.
        readout_MHz: That speed.
        preamp_gain: Index of the pre-amplifier gain.
        preamp_factor: That gain.
        bits: Resolution of the converter.
    """

    readout_speed: int
    readout_MHz: float
    preamp_gain: int
    preamp_factor: float
    bits: int


class AndorCamera:
    """An open camera. Thread-safe: one call at a time.

    Args:
        line: The way to the vendor's library.
        device: pylablib's open ``AndorSDK2Camera``.
        library: pylablib's wrapper of the C library.
    """

    def __init__(self, line: VendorLine, device: Any, library: Any) -> None:
        self.name = line.name
        self._line = line
        self._ask = line.ask
        self._device = device
        self._library = library
        device._default_image_dtype = "<u4"
        self.columns, self.rows = (int(n) for n in self._ask("read the size", device.get_detector_size))
        self.pixel_um = float(self._ask("read the pixel size", device.get_pixel_size)[0]) * 1e6

    @classmethod
    def opened(
        cls, line: VendorLine, package: Any, index: int, *, temperature_C: float, fan: Fan
    ) -> AndorCamera:
        """Open camera number ``index``; the cooler is left as it is.

        Args:
            line: The way to the vendor's library.
            package: ``pylablib.devices.Andor``.
            index: Number of the camera, from 0.
            temperature_C: Kept for the call of ``cool_to`` only (see the module's docstring).
            fan: Speed of the fan.

        Raises:
            InstrumentConnectionError: There is no such camera.
            MissingDriverError: The library is not installed.
        """
        line.ask("open the camera's library", repair_capabilities, package)
        device = line.ask(
            "open the camera", package.AndorSDK2Camera, index, temperature=temperature_C, fan_mode=fan
        )
        try:
            return cls(line, device, package.AndorSDK2.lib)
        except BaseException:
            device.close()
            raise

    def close(self) -> None:
        """Release the camera. Its cooling ends; see ``AndorSpectrometer.warm_up``."""
        self._ask("close the camera", self._device.close)

    # -- identity ------------------------------------------------------------------------------------------

    def model(self) -> str:
        """Model of the head."""
        return str(self._ask("read the model", self._device.get_device_info).head_model)

    def serial_number(self) -> str:
        """Serial number of the head."""
        return str(self._ask("read the serial number", self._device.get_device_info).serial_number)

    # -- cooler --------------------------------------------------------------------------------------------

    def temperature_range_C(self) -> tuple[int, int]:
        """Lowest and highest set point of the cooler."""
        low, high = self._ask("read the temperature range", self._device.get_temperature_range)
        return int(low), int(high)

    def cool_to(self, temperature_C: float) -> None:
        """Send the set point (whole degrees) and switch the cooler on.

        Raises:
            LimitError: Outside the camera's range; nothing was sent.
        """
        low, high = self.temperature_range_C()
        if not low <= temperature_C <= high:
            raise LimitError(
                self.name,
                f"camera temperature {temperature_C:g} degC is outside {low} to {high} degC",
                done="Nothing was sent",
            )
        self._ask("set the temperature", self._device.set_temperature, temperature_C, enable_cooler=False)
        # Separate, because set_temperature swallows an error of the cooler.
        self._ask("switch the cooler on", self._device.set_cooler, True)

    def cooler_off(self) -> None:
        """Switch the cooler off; the sensor warms by itself."""
        self._ask("switch the cooler off", self._device.set_cooler, False)

    def cooler_on(self) -> bool:
        """The cooler is on."""
        return bool(self._ask("read the cooler", self._device.is_cooler_on))

    def temperature(self) -> tuple[float, CoolerState]:
        """Sensor temperature in degC and the cooler's state, in one question.

        Raises:
            FaultError: An acquisition is running (most cameras then do not tell).
        """
        code, celsius = self._ask("read the temperature", self._library.GetTemperatureF)
        states: dict[int, CoolerState] = {
            20034: "off",
            20035: "not_stabilized",
            20036: "stabilized",
            20037: "not_reached",
            20040: "drifted",
        }
        if code not in states:
            raise FaultError(self.name, f"the camera gave an unknown temperature state {code}")
        return float(celsius), states[code]

    # -- read-out ------------------------------------------------------------------------------------------

    def amplifiers(self) -> tuple[Amplifier, ...]:
        """The read-out speeds and gains that can be combined."""
        found = self._ask("read the amplifier modes", self._device.get_all_amp_modes)
        return tuple(
            Amplifier(
                int(mode.hsspeed),
                float(mode.hsspeed_MHz),
                int(mode.preamp),
                float(mode.preamp_gain),
                int(mode.channel_bitdepth),
            )
            for mode in found
        )

    def set_amplifier(self, readout_speed: int, preamp_gain: int) -> None:
        """Choose read-out speed and gain by their indices.

        Raises:
            LimitError: The camera cannot combine these; the message lists what it can.
        """
        possible = self.amplifiers()
        if not any((a.readout_speed, a.preamp_gain) == (readout_speed, preamp_gain) for a in possible):
            listing = "; ".join(
                f"speed {a.readout_speed} ({a.readout_MHz:g} MHz) gain {a.preamp_gain} (x{a.preamp_factor:g})"
                for a in possible
            )
            raise LimitError(
                self.name,
                f"read-out speed {readout_speed} with gain {preamp_gain} is not possible: {listing}",
                done="Nothing was changed",
            )
        self._ask(
            "set speed and gain",
            self._device.set_amp_mode,
            hsspeed=readout_speed,
            preamp=preamp_gain,
        )

    def amplifier(self) -> Amplifier:
        """The present read-out speed and gain."""
        mode = self._ask("read the amplifier mode", self._device.get_amp_mode)
        return Amplifier(
            int(mode.hsspeed),
            float(mode.hsspeed_MHz),
            int(mode.preamp),
            float(mode.preamp_gain),
            int(mode.channel_bitdepth),
        )

    def sensitivity(self) -> float | None:
        """Electrons per count as the camera's memory tells it, None if it does not."""
        mode = self._device.get_amp_mode(full=False)
        ask = self._library.GetSensitivity
        if ask is None:
            return None
        try:
            return float(
                self._ask("read the sensitivity", ask, mode.channel, mode.hsspeed, mode.oamp, mode.preamp)
            )
        except LimitError:
            return None

    def read_full_vertical_binning(self) -> None:
        """Add all rows on the chip."""
        self._ask("set full vertical binning", self._device.set_read_mode, "fvb")

    def read_track(self, centre_row: int, n_rows: int) -> None:
        """Add ``n_rows`` rows around ``centre_row`` (from 0) on the chip.

        Raises:
            LimitError: The track reaches beyond the sensor.
        """
        bottom = centre_row - (n_rows - 1) // 2
        if n_rows < 1 or bottom < 0 or bottom + n_rows > self.rows:
            raise LimitError(
                self.name,
                f"a track of {n_rows} rows around row {centre_row} does not fit on {self.rows} rows",
                done="Nothing was changed",
            )
        self._ask("set the track", self._device.setup_single_track_mode, centre_row, n_rows)

    def read_image(self, *, row_bin: int = 1, column_bin: int = 1) -> None:
        """Read rows and columns, added in groups on the chip.

        Raises:
            LimitError: The groups do not divide the sensor.
        """
        if row_bin < 1 or column_bin < 1 or self.rows % row_bin or self.columns % column_bin:
            raise LimitError(
                self.name,
                f"binning of {row_bin} x {column_bin} does not divide {self.rows} x {self.columns} pixels",
                done="Nothing was changed",
            )
        self._ask(
            "set the image mode",
            self._device.setup_image_mode,
            0,
            self.columns,
            0,
            self.rows,
            column_bin,
            row_bin,
        )
        if self._device.get_image_mode_parameters()[4:] != (column_bin, row_bin):
            raise LimitError(self.name, f"the camera refused a binning of {row_bin} x {column_bin}")

    def set_signal(self, shutter_open: bool) -> None:
        """Set the camera's shutter signal: open during exposures, or closed."""
        self._ask("set the shutter signal", self._device.setup_shutter, "auto" if shutter_open else "closed")

    def signal_open(self) -> bool:
        """The camera's shutter signal is not held closed (as last set)."""
        return str(self._ask("read the shutter signal", self._device.get_shutter)) != "closed"

    # -- acquisition ---------------------------------------------------------------------------------------

    def prepare(
        self, n_frames: int, exposure_s: float, *, accumulations: int = 1, cycle_s: float = 0.0
    ) -> Timings:
        """Set up a series of frames; returns the times that the camera makes of it.

        Args:
            n_frames: Number of frames.
            exposure_s: Exposure of each sub-frame.
            accumulations: Sub-frames that the camera adds into one frame.
            cycle_s: From one frame's start to the next one's; 0 for as fast as it can.
        """
        self.abort()
        return self._ask(
            "set up the acquisition", self._prepare, n_frames, exposure_s, accumulations, cycle_s
        )

    def _prepare(self, n_frames: int, exposure_s: float, accumulations: int, cycle_s: float) -> Timings:
        self._device.set_trigger_mode("int")
        self._device.set_exposure(exposure_s)
        self._device.setup_kinetic_mode(n_frames, cycle_s, accumulations, 0.0)
        self._device.setup_acquisition("kinetic", nframes=n_frames)
        return Timings(*(float(value) for value in self._device.get_cycle_timings()))

    def readout_s(self) -> float:
        """Time to read one frame at the present settings."""
        return float(self._ask("read the read-out time", self._device.get_readout_time) or 0.0)

    def start(self) -> None:
        """Start what was prepared."""
        self._ask("start the acquisition", self._device.start_acquisition)

    def acquiring(self) -> bool:
        """An acquisition is running.

        Raises:
            AcquisitionError: It was broken off.
        """
        return bool(self._ask("take the frame", self._device.acquisition_in_progress))

    def frames_ready(self) -> int:
        """Number of frames read out since ``start``."""
        return int(self._ask("ask for frames", self._device.get_acquisition_progress).frames_done)

    def frame(self, index: int) -> NDArray[np.int64]:
        """Frame ``index`` (from 0) of the series, shape (n_rows, n_columns), row 0 at the bottom."""
        found = self._ask("read the frame", self._device.read_multiple_images, (index, index + 1))
        if not found:
            raise FaultError(self.name, f"frame {index} is not there though the camera counted it")
        return np.asarray(found[0], dtype=np.int64)

    def abort(self) -> None:
        """Stop the acquisition if one runs, and forget its frames. Clears a broken-off acquisition, too."""
        self._ask("stop the acquisition", self._abort)

    def _abort(self) -> None:
        # Not pylablib's stop_acquisition: it asks for the status first, which raises after an error.
        try:
            self._library.AbortAcquisition()
        except Exception as error:
            if getattr(error, "code", None) != IDLE:
                raise
        self._library.FreeInternalMemory()
