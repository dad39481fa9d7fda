"""The spectrograph itself: gratings, wavelength, slits, shutter, filter, mirrors.

A thin layer over pylablib's ``ShamrockSpectrograph`` that speaks nm and um, checks limits before anything
moves, names the instrument in every error, and goes round what pylablib 1.4.5 does wrong:

* ``get_filter_info`` raises ``TypeError`` (it declares the text as an input): the library is asked directly;
* ``set_focus_mirror_position(x)`` hands an absolute position to a call that moves by steps:
  ``move_focus_to`` sends the difference;
* applying ``grating_offsets`` swaps its arguments: ``set_grating_offset`` names them. ``apply_settings`` is
  never used, it would also run the focus mirror away.
"""

from __future__ import annotations

import ctypes
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.errors import FaultError, LimitError
from drivers.spectrometer.vendor_line import VendorLine

Slit = Literal["input_side", "input_direct", "output_side", "output_direct"]
Flipper = Literal["input", "output"]
FlipperPort = Literal["direct", "side"]
ShutterMode = Literal["closed", "opened", "bnc"]

SLITS: tuple[Slit, ...] = ("input_side", "input_direct", "output_side", "output_direct")
FLIPPERS: tuple[Flipper, ...] = ("input", "output")
N_FILTERS = 6
SLIT_RANGE_um = (10.0, 2500.0)
# The drive's steps are far finer; a larger difference means that it did not get there.
WAVELENGTH_TOLERANCE_nm = 0.5


class Kymera:
    """An open spectrograph. Thread-safe: one call at a time.

    Args:
        line: The way to the vendor's library.
        device: pylablib's open ``ShamrockSpectrograph``.
        library: pylablib's wrapper of the C library.
    """

    def __init__(self, line: VendorLine, device: Any, library: Any) -> None:
        self.name = line.name
        self._line = line
        self._ask = line.ask
        self._lock = line.lock
        self._device = device
        self._library = library

    @classmethod
    def opened(cls, line: VendorLine, package: Any, index: int) -> Kymera:
        """Open spectrograph number ``index``; it stays as it stands.

        Args:
            line: The way to the vendor's library.
            package: ``pylablib.devices.Andor``.
            index: Number of the spectrograph, from 0.

        Raises:
            InstrumentConnectionError: There is no such spectrograph.
            MissingDriverError: The library is not installed.
        """
        device = line.ask("open the spectrograph", package.ShamrockSpectrograph, index)
        return cls(line, device, package.Shamrock.lib)

    def close(self) -> None:
        """Release the spectrograph; it stays as it stands."""
        self._ask("close the spectrograph", self._device.close)

    # -- identity ------------------------------------------------------------------------------------------

    def serial_number(self) -> str:
        """Serial number of the spectrograph."""
        return str(self._ask("read the serial number", self._device.get_device_info).serial_number)

    def optics(self) -> dict[str, float]:
        """Focal length (m), angular deviation (degrees) and focal tilt (degrees) from its memory."""
        found = self._ask("read the optical parameters", self._device.get_optical_parameters)
        return {
            "focal_length_m": float(found.focal_length),
            "angular_deviation_deg": float(found.angular_deviation),
            "focal_tilt_deg": float(found.focal_tilt),
        }

    # -- gratings and wavelength ---------------------------------------------------------------------------

    def gratings(self) -> tuple[tuple[float, str], ...]:
        """Lines per mm and blaze text of each grating of the turret, in their order."""
        number = self._ask("count the gratings", self._device.get_gratings_number)
        found = [
            self._ask("read the gratings", self._device.get_grating_info, i) for i in range(1, number + 1)
        ]
        return tuple((float(info.lines), str(info.blaze_wavelength)) for info in found)

    def grating(self) -> int:
        """Number of the grating in the beam, from 1."""
        return int(self._ask("read the grating", self._device.get_grating))

    def wavelength_limits_nm(self, grating: int) -> tuple[float, float]:
        """Shortest and longest centre wavelength of a grating."""
        low, high = self._ask("read the wavelength limits", self._device.get_wavelength_limits, grating)
        return low * 1e9, high * 1e9

    def centre_nm(self) -> float:
        """Centre wavelength, read back."""
        return float(self._ask("read the wavelength", self._device.get_wavelength)) * 1e9

    def select(self, grating: int, centre_nm: float) -> None:
        """Turn to a grating (from 1) and a centre wavelength; returns when it stands there.

        Raises:
            LimitError: No such grating, or outside its range; nothing moved.
            FaultError: It stands elsewhere afterwards.
        """
        self._check_grating(grating)
        low_nm, high_nm = self.wavelength_limits_nm(grating)
        if not low_nm <= centre_nm <= high_nm:
            raise LimitError(
                self.name,
                f"centre wavelength {centre_nm:g} nm is outside {low_nm:g} to {high_nm:g} nm of grating "
                f"{grating}",
                done="Nothing was moved",
            )
        with self._lock:
            if self._ask(f"turn to grating {grating}", self._device.set_grating, grating) != grating:
                raise FaultError(self.name, f"the turret did not turn to grating {grating}")
            self._ask(f"turn to {centre_nm:g} nm", self._device.set_wavelength, centre_nm * 1e-9)
            there_nm = self.centre_nm()
        if abs(there_nm - centre_nm) > WAVELENGTH_TOLERANCE_nm:
            raise FaultError(
                self.name,
                f"asked for {centre_nm:g} nm, but it stands at {there_nm:g} nm",
                advice="Try again; if it stays, reset the spectrograph in SOLIS",
            )

    def at_zero_order(self) -> bool:
        """The grating works as a mirror."""
        return bool(self._ask("read the zero-order flag", self._device.is_at_zero_order))

    def go_to_zero_order(self) -> None:
        """Turn the present grating to zero order: all the light falls on the slit's image."""
        self._ask("go to zero order", self._device.goto_zero_order)

    def grating_offset(self, grating: int) -> int:
        """Offset of a grating in steps."""
        self._check_grating(grating)
        return int(self._ask("read the grating offset", self._device.get_grating_offset, grating))

    def set_grating_offset(self, grating: int, steps: int) -> None:
        """Set the offset of a grating, -20000 to 20000 steps."""
        self._check_grating(grating)
        self._check(abs(steps) <= 20_000, f"grating offset {steps} is outside -20000 to 20000 steps")
        # pylablib's argument order is (offset, grating); its own settings code mixes them up.
        self._ask("set the grating offset", self._device.set_grating_offset, offset=steps, grating=grating)

    def detector_offset(self) -> int:
        """Offset of the detector in steps."""
        return int(self._ask("read the detector offset", self._device.get_detector_offset))

    def set_detector_offset(self, steps: int) -> None:
        """Set the offset of the detector, -240000 to 240000 steps."""
        self._check(abs(steps) <= 240_000, f"detector offset {steps} is outside -240000 to 240000 steps")
        self._ask("set the detector offset", self._device.set_detector_offset, steps)

    def _check_grating(self, grating: int) -> None:
        number = self._ask("count the gratings", self._device.get_gratings_number)
        self._check(1 <= grating <= number, f"no grating {grating}: there are 1 to {number}")

    def _check(self, valid: bool, complaint: str) -> None:
        if not valid:
            raise LimitError(self.name, complaint, done="Nothing was moved")

    # -- slits ---------------------------------------------------------------------------------------------

    def slits(self) -> tuple[Slit, ...]:
        """The motorised slits that it has."""
        present = self._device.is_slit_present
        return tuple(slit for slit in SLITS if self._ask("look for slits", present, slit))

    def slit_um(self, slit: Slit) -> float:
        """Width of a slit. Raises ``LimitError`` if there is none."""
        return float(self._ask(f"read the slit {slit}", self._device.get_slit_width, slit)) * 1e6

    def set_slit_um(self, slit: Slit, width_um: float) -> None:
        """Open a slit to ``width_um`` (10 to 2500 um); returns when it stands there."""
        low_um, high_um = SLIT_RANGE_um
        self._check(low_um <= width_um <= high_um, f"slit width {width_um:g} um is outside 10 to 2500 um")
        self._ask(f"move the slit {slit}", self._device.set_slit_width, slit, width_um * 1e-6)

    # -- shutter and filter --------------------------------------------------------------------------------

    def has_shutter(self) -> bool:
        """It has a shutter at its entrance."""
        return bool(self._ask("look for the shutter", self._device.is_shutter_present))

    def shutter(self) -> str:
        """``"closed"``, ``"opened"``, ``"bnc"`` (follows the camera's signal) or ``"not_set"``."""
        return str(self._ask("read the shutter", self._device.get_shutter))

    def set_shutter(self, mode: ShutterMode) -> None:
        """Close, open, or let the camera's signal move the shutter."""
        self._ask(f"set the shutter to {mode}", self._device.set_shutter, mode)

    def has_filter(self) -> bool:
        """It has a filter wheel."""
        return bool(self._ask("look for the filter wheel", self._device.is_filter_present))

    def filter(self) -> int:
        """Position of the filter wheel, 1 to 6."""
        return int(self._ask("read the filter", self._device.get_filter))

    def set_filter(self, position: int) -> None:
        """Turn the filter wheel to a position, 1 to 6."""
        self._check(1 <= position <= N_FILTERS, f"no filter {position}: there are 1 to {N_FILTERS}")
        self._ask(f"turn to filter {position}", self._device.set_filter, position)

    def filter_name(self, position: int) -> str:
        """What the spectrograph's memory says about a filter position."""
        self._check(1 <= position <= N_FILTERS, f"no filter {position}: there are 1 to {N_FILTERS}")
        text = ctypes.create_string_buffer(256)
        ask = self._library.lib.ShamrockGetFilterInfo
        self._ask("read the filter's name", ask, self._device.idx, position, text)
        return text.value.decode("ascii", "replace")

    # -- mirrors -------------------------------------------------------------------------------------------

    def flippers(self) -> tuple[Flipper, ...]:
        """The flipper mirrors that it has."""
        present = self._device.is_flipper_present
        return tuple(flipper for flipper in FLIPPERS if self._ask("look for flippers", present, flipper))

    def flipper_port(self, flipper: Flipper) -> FlipperPort:
        """Where a flipper mirror sends the light, ``"direct"`` or ``"side"``."""
        found = self._ask(f"read the {flipper} flipper", self._device.get_flipper_port, flipper)
        return "direct" if found == "direct" else "side"

    def set_flipper_port(self, flipper: Flipper, port: FlipperPort) -> None:
        """Move a flipper mirror; returns when it stands there.

        Raises:
            FaultError: It stands at the other port afterwards.
        """
        self._ask(f"move the {flipper} flipper", self._device.set_flipper_port, flipper, port)
        if self.flipper_port(flipper) != port:
            raise FaultError(self.name, f"the {flipper} flipper did not move to {port}")

    def focus_steps(self) -> int:
        """Position of the focus mirror in steps."""
        return int(self._ask("read the focus mirror", self._device.get_focus_mirror_position))

    def move_focus_to(self, steps: int) -> int:
        """Move the focus mirror to an absolute position; returns where it stands.

        Raises:
            LimitError: Outside 0 to the largest position; nothing moved.
        """
        with self._lock:
            largest = int(self._ask("read the focus range", self._device.get_focus_mirror_position_max))
            self._check(0 <= steps <= largest, f"focus position {steps} is outside 0 to {largest}")
            way = steps - self.focus_steps()
            if way:
                # The C function moves by this many steps, whatever pylablib's name says.
                self._ask("move the focus mirror", self._device.set_focus_mirror_position, way)
            return self.focus_steps()

    # -- calibration ---------------------------------------------------------------------------------------

    def fit_camera(self, n_pixels: int, pixel_um: float) -> None:
        """Tell it the camera's pixels; without this there is no calibration."""
        with self._lock:
            self._ask("set the pixel width", self._device.set_pixel_width, pixel_um * 1e-6)
            self._ask("set the number of pixels", self._device.set_number_pixels, n_pixels)

    def wavelengths_nm(self) -> NDArray[np.float64]:
        """Wavelength at the centre of each pixel, as the spectrograph calculates it, shape (n_pixels,)."""
        found = self._ask("read the calibration", self._device.get_calibration)
        return np.asarray(found, dtype=np.float64) * 1e9
