"""Andor Kymera or Shamrock spectrograph with an SDK2 camera, through pylablib."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.base import Identity, Reading
from drivers.clock import Clock
from drivers.errors import (
    FaultError,
    InstrumentConnectionError,
    InstrumentError,
    InstrumentTimeoutError,
    LimitError,
)
from drivers.spectrometer.andor_camera import AndorCamera, CoolerState
from drivers.spectrometer.andor_check import limits_told, self_test
from drivers.spectrometer.andor_connection import AndorConnection, set_read_mode
from drivers.spectrometer.andor_library import AcquisitionError
from drivers.spectrometer.andor_series import Exposure, Series, SeriesRequest, wait
from drivers.spectrometer.andor_settings import AndorSettings
from drivers.spectrometer.base import (
    CameraNoise,
    Spectrometer,
    SpectrometerLimits,
    SpectrometerStatus,
    SpectrumFrame,
)
from drivers.spectrometer.kymera import Kymera
from drivers.traffic import TrafficLog

COOLER_POLL_S = 2.0


class AndorSpectrometer(Spectrometer):
    """Spectrograph and camera as one instrument.

    A lost connection is opened again by the next call, with growing pauses between the tries; the cooler is
    never switched on by that.

    Args:
        name: The instrument's name in the rig file.
        settings: Its table.
        clock: The experiment's clock.
        vendor: pylablib's package ``pylablib.devices.Andor``; None: the installed one.
    """

    Settings = AndorSettings

    def __init__(
        self, name: str, settings: AndorSettings, *, clock: Clock, vendor: Any | None = None
    ) -> None:
        super().__init__(name, settings, clock=clock)
        self.settings = settings
        self._connection = AndorConnection(name, settings, clock, vendor)
        self._in_use = threading.Lock()
        self._last_temperature: tuple[Reading, CoolerState] | None = None

    # -- life ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect to spectrograph and camera. Grating, wavelength, slits and cooler stay as they are.

        The camera's library sets the camera's own defaults and closes its shutter; this cannot be avoided.

        Raises:
            InstrumentConnectionError: One of the two is not there.
            LimitError: The camera cannot do what the settings ask for.
            MissingDriverError: pylablib or Andor's library is not installed.
        """
        self._connection.open()

    def close(self) -> None:
        """Close the shutter, warm the sensor up as the settings say, release both. Never raises."""
        if not self._connection.wanted:
            return
        try:
            if not self._connection.lost:
                self._leave()
        finally:
            # Also when a second Ctrl-C breaks the warm-up off.
            self._connection.close()
            self._last_temperature = None

    def _leave(self) -> None:
        with suppress(Exception):
            self.camera.abort()
        with suppress(Exception):
            self._set_shutter(False)
        if self.settings.warm_up_before_close_C is not None:
            with suppress(Exception):
                self.warm_up()

    @property
    def spectrograph(self) -> Kymera:
        """The spectrograph: slits, filter, mirrors, offsets. Raises ``InstrumentConnectionError``."""
        return self._connection.spectrograph

    @property
    def camera(self) -> AndorCamera:
        """The camera: read-out, cooler. Raises ``InstrumentConnectionError``."""
        return self._connection.camera

    @property
    def traffic(self) -> TrafficLog:
        """Every call of the vendor's libraries with its result."""
        return self._connection.traffic

    @property
    def reconnects(self) -> int:
        """How often a lost connection was opened again."""
        return self._connection.reconnects

    # -- state ---------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Make, model of the camera head, serial numbers of both."""
        return self._connection.identity

    @property
    def noise(self) -> CameraNoise:
        """Conversion gain and noise from the rig file."""
        return CameraNoise(
            self.settings.gain_electrons_per_count,
            self.settings.read_noise_electrons,
            self.settings.saturation_counts,
        )

    @property
    def limits(self) -> SpectrometerLimits:
        """What spectrograph and camera tell of their ranges."""
        return limits_told(self.spectrograph, self.camera)

    def response(self, wavelengths_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Relative response at these wavelengths from the rig file's ``response``, largest entry 1."""
        if not self.settings.response:
            return np.ones_like(wavelengths_nm)
        table = np.array(self.settings.response)
        found = np.interp(wavelengths_nm, table[:, 0], table[:, 1])
        return np.asarray(found / table[:, 1].max())

    def self_test(self) -> tuple[str, ...]:
        """What in the rig file does not fit the instrument, in words; empty when all is well."""
        return self_test(self.spectrograph, self.camera, self.settings)

    def status(self) -> SpectrometerStatus:
        """Ask spectrograph and camera. While a frame is exposed the temperature is the last one before."""
        faults: list[str] = []
        try:
            acquiring = self.camera.acquiring()
            state = "acquiring" if acquiring else "idle"
        except AcquisitionError as error:
            state = "unknown"
            faults.append(error.what)
        temperature, cooler = self._temperature()
        if cooler == "drifted":
            faults.append(f"the camera has drifted to {temperature.value:.1f} degC")
        spectrograph = self.spectrograph
        return SpectrometerStatus(
            connected=True,
            state=state,
            faults=tuple(faults),
            read_at_s=self.clock.now(),
            grating_lines_per_mm=spectrograph.gratings()[spectrograph.grating() - 1][0],
            centre_wavelength=Reading(spectrograph.centre_nm(), "nm", "measured", self.clock.now()),
            shutter_open=self._shutter_open(),
            camera_temperature=temperature,
            camera_stabilised=cooler == "stabilized",
        )

    def _temperature(self) -> tuple[Reading, CoolerState]:
        """Sensor temperature and cooler; the last ones where the camera does not tell during an exposure."""
        try:
            celsius, state = self.camera.temperature()
        except (InstrumentConnectionError, InstrumentTimeoutError):
            raise
        except InstrumentError:
            if self._last_temperature is None:
                raise
            return self._last_temperature
        reading = Reading(celsius, "degC", "measured", self.clock.now())
        self._last_temperature = reading, state
        return self._last_temperature

    # -- wavelength ----------------------------------------------------------------------------------------

    def select(self, grating: int, centre_wavelength_nm: float) -> None:
        """Turn to grating number ``grating`` (1, 2, ...) and centre wavelength (nm).

        Raises:
            LimitError: No such grating, or the wavelength is outside its range; nothing moved.
            FaultError: It stands elsewhere afterwards.
        """
        with self._exclusive():
            self.spectrograph.select(grating, centre_wavelength_nm)

    def wavelengths_nm(self) -> NDArray[np.float64]:
        """Wavelength at the centre of each pixel, shape (n_pixels,), increasing.

        Raises:
            FaultError: The spectrograph's calibration does not rise over the pixels, for example with
                ``mirrored`` set wrongly.
        """
        found = self.spectrograph.wavelengths_nm()
        if self.settings.mirrored:
            found = found[::-1]
        if found.size != self.camera.columns or not np.all(np.diff(found) > 0):
            raise FaultError(
                self.name,
                "the spectrograph's calibration does not rise over the camera's pixels",
                advice="Set mirrored in the rig file the other way round, or select a wavelength first",
            )
        return np.ascontiguousarray(found)

    # -- cooling -------------------------------------------------------------------------------------------

    def cool(self, *, cancel: threading.Event | None = None) -> None:
        """Cool to ``camera_temperature_C`` and wait until the sensor is stable, or ``cancel`` is set.

        Raises:
            LimitError: The camera cannot be that cold.
            InstrumentTimeoutError: Not stable within ``cool_timeout_s``; the cooler stays on.
        """
        goal_C = self.settings.camera_temperature_C
        with self._exclusive():
            self.camera.cool_to(goal_C)
            end_s = self.clock.now() + self.settings.cool_timeout_s
            while True:
                celsius, state = self.camera.temperature()
                if state == "stabilized":
                    return
                if self.clock.now() >= end_s:
                    raise InstrumentTimeoutError(
                        self.name,
                        f"the camera is at {celsius:.1f} degC ({state}) after "
                        f"{self.settings.cool_timeout_s:g} s, not stable at {goal_C:g} degC",
                        done="The cooler stays on",
                        advice="Check the camera's fan and cooling water, or choose a warmer temperature",
                    )
                if wait(self.clock, cancel, COOLER_POLL_S):
                    return

    def warm_up(self, *, cancel: threading.Event | None = None) -> None:
        """Switch the cooler off and wait until the sensor is warmer than ``warm_up_before_close_C``.

        A sensor that is cut off cold may crack or collect water.

        Raises:
            InstrumentTimeoutError: Still colder after ``warm_up_timeout_s``.
        """
        goal_C = self.settings.warm_up_before_close_C
        goal_C = -20.0 if goal_C is None else goal_C
        with self._exclusive():
            self.camera.cooler_off()
            end_s = self.clock.now() + self.settings.warm_up_timeout_s
            while (celsius := self.camera.temperature()[0]) <= goal_C:
                if self.clock.now() >= end_s:
                    raise InstrumentTimeoutError(
                        self.name,
                        f"the camera is still at {celsius:.1f} degC after "
                        f"{self.settings.warm_up_timeout_s:g} s",
                        done="The cooler is off",
                    )
                if wait(self.clock, cancel, COOLER_POLL_S):
                    return

    # -- frames --------------------------------------------------------------------------------------------

    def frames(
        self,
        number: int,
        exposure_s: float,
        *,
        shutter_open: bool,
        cancel: threading.Event | None = None,
        cycle_s: float = 0.0,
    ) -> Iterator[SpectrumFrame]:
        """Take ``number`` frames one after the other, each given as soon as it is read out.

        Closing the iterator, or setting ``cancel``, aborts the acquisition; the shutter is closed at the end
        in any case. A broken-off acquisition is taken again ``acquisition_retries`` times.

        Args:
            number: Number of frames.
            exposure_s: Exposure of each.
            shutter_open: False for dark frames.
            cancel: Ends the series early.
            cycle_s: From the start of one frame to that of the next; 0: as fast as the camera can.

        Raises:
            LimitError: Numbers that make no sense; nothing was started.
            AcquisitionError: The camera broke off again and again.
            InstrumentTimeoutError: A frame did not come in time.
        """
        request = SeriesRequest(number, exposure_s, cycle_s)
        request.check(self.name)
        return self._frames(request, shutter_open, cancel)

    def _frames(
        self, request: SeriesRequest, shutter_open: bool, cancel: threading.Event | None
    ) -> Iterator[SpectrumFrame]:
        with self._exclusive(), self._shutter(shutter_open):
            temperature, _ = self._temperature()
            for frame in self._series(request, cancel):
                counts = frame.image.sum(axis=0)
                yield SpectrumFrame(
                    counts=np.ascontiguousarray(counts[::-1] if self.settings.mirrored else counts),
                    exposure_s=frame.exposure_s,
                    began_s=frame.began_s,
                    shutter_open=shutter_open,
                    camera_temperature=temperature,
                )

    def image(
        self,
        exposure_s: float,
        *,
        shutter_open: bool,
        row_bin: int = 1,
        column_bin: int = 1,
        cancel: threading.Event | None = None,
    ) -> NDArray[np.int64] | None:
        """One image, to find the fibre's rows: counts, shape (n_rows / row_bin, n_columns / column_bin).

        The read mode of the rig file is set again afterwards. None when cancelled.

        Raises:
            LimitError: The binning does not divide the sensor, or an exposure that makes no sense.
        """
        request = SeriesRequest(1, exposure_s)
        request.check(self.name)
        with self._exclusive():
            self.camera.read_image(row_bin=row_bin, column_bin=column_bin)
            try:
                with self._shutter(shutter_open):
                    found = next(self._series(request, cancel), None)
            finally:
                with suppress(InstrumentConnectionError):
                    set_read_mode(self.camera, self.settings)
        if found is None:
            return None
        return np.ascontiguousarray(found.image[:, ::-1] if self.settings.mirrored else found.image)

    def _series(self, request: SeriesRequest, cancel: threading.Event | None) -> Iterator[Exposure]:
        return Series(self.camera, self.clock, self.settings.acquisition_retries).frames(request, cancel)

    # -- shutter -------------------------------------------------------------------------------------------

    @contextmanager
    def _shutter(self, is_open: bool) -> Iterator[None]:
        """The shutter for one series: set before, acquisition stopped and shutter closed after."""
        self._set_shutter(is_open)
        try:
            yield
        except BaseException:
            # The error that brought us here is the one to show.
            with suppress(Exception):
                self.camera.abort()
            with suppress(Exception):
                self._set_shutter(False)
            raise
        self.camera.abort()
        if is_open:
            self._set_shutter(False)

    def _set_shutter(self, is_open: bool) -> None:
        if self.settings.shutter == "camera":
            self.camera.set_signal(is_open)
            return
        # Some cameras have a shutter inside, which pylablib closes at opening.
        with suppress(LimitError):
            self.camera.set_signal(is_open)
        self.spectrograph.set_shutter("opened" if is_open else "closed")

    def _shutter_open(self) -> bool:
        if self.settings.shutter == "camera":
            return self.camera.signal_open()
        return self.spectrograph.shutter() == "opened"

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One acquisition, move or cooling at a time; a second one is refused, not queued."""
        if not self._in_use.acquire(blocking=False):
            raise InstrumentError(
                self.name,
                "it is busy with another acquisition or move",
                done="Nothing was started",
                advice="Wait for it, or stop it first",
            )
        try:
            yield
        finally:
            self._in_use.release()
