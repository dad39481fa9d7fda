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
from drivers.spectrometer.andor_camera import AndorCamera, Timings
from drivers.spectrometer.andor_library import AcquisitionError, load_pylablib, speaking
from drivers.spectrometer.andor_settings import AndorSettings
from drivers.spectrometer.base import CameraNoise, Spectrometer, SpectrometerStatus, SpectrumFrame
from drivers.spectrometer.kymera import Kymera

# Looking at the camera this often finds a broken-off acquisition or a pulled cable early.
POLL_S = 1.0
COOLER_POLL_S = 2.0
LATE_S = 10.0
RETRY_PAUSE_S = 1.0
LONGEST_EXPOSURE_S = 3600.0


class AndorSpectrometer(Spectrometer):
    """Spectrograph and camera as one instrument.

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
        self._vendor = vendor
        self._spectrograph: Kymera | None = None
        self._camera: AndorCamera | None = None
        self._identity: Identity | None = None
        self._in_use = threading.Lock()
        self._last_temperature: tuple[Reading, bool] | None = None

    # -- life ----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect to spectrograph and camera. Grating, wavelength, slits and cooler stay as they are.

        The camera's library sets the camera's own defaults and closes its shutter; this cannot be avoided.

        Raises:
            InstrumentConnectionError: One of the two is not there.
            LimitError: The camera cannot combine ``readout_speed`` and ``preamp_gain``.
            MissingDriverError: pylablib or Andor's library is not installed.
        """
        if self._camera is not None:
            return
        package = self._vendor or load_pylablib(self.name, self.settings.library_folder)
        with speaking(self.name, "open the spectrograph"):
            device = package.ShamrockSpectrograph(self.settings.spectrograph_index)
        spectrograph = Kymera(self.name, device, package.Shamrock.lib)
        try:
            camera = AndorCamera.opened(
                self.name,
                package,
                self.settings.camera_index,
                temperature_C=self.settings.camera_temperature_C,
                fan=self.settings.fan,
            )
        except BaseException:
            spectrograph.close()
            raise
        self._spectrograph, self._camera = spectrograph, camera
        try:
            self._set_up(spectrograph, camera)
        except BaseException:
            self._release()
            raise

    def _set_up(self, spectrograph: Kymera, camera: AndorCamera) -> None:
        camera.set_amplifier(self.settings.readout_speed, self.settings.preamp_gain)
        if self.settings.read_mode == "single-track":
            camera.read_track(self.settings.track_centre_row, self.settings.track_rows)
        else:
            camera.read_full_vertical_binning()
        spectrograph.fit_camera(camera.columns, camera.pixel_um)
        if self.settings.shutter == "camera" and spectrograph.has_shutter():
            spectrograph.set_shutter("bnc")
        self._identity = Identity(
            make="Andor",
            model=f"spectrograph with {camera.model()}",
            serial_number=f"{spectrograph.serial_number()}, {camera.serial_number()}",
        )

    def close(self) -> None:
        """Close the shutter, warm the sensor up as the settings say, release both. Never raises."""
        if self._camera is None:
            return
        with suppress(Exception):
            self._camera.abort()
        with suppress(Exception):
            self._set_shutter(False)
        if self.settings.warm_up_before_close_C is not None:
            with suppress(Exception):
                self.warm_up()
        self._release()

    def _release(self) -> None:
        camera, spectrograph = self._camera, self._spectrograph
        self._camera = self._spectrograph = self._identity = self._last_temperature = None
        for part in (camera, spectrograph):
            if part is not None:
                with suppress(Exception):
                    part.close()

    @property
    def spectrograph(self) -> Kymera:
        """The spectrograph: slits, filter, mirrors, offsets. Raises ``InstrumentConnectionError``."""
        if self._spectrograph is None:
            raise InstrumentConnectionError(self.name, "the spectrograph is not open")
        return self._spectrograph

    @property
    def camera(self) -> AndorCamera:
        """The camera: read-out, cooler. Raises ``InstrumentConnectionError``."""
        if self._camera is None:
            raise InstrumentConnectionError(self.name, "the camera is not open")
        return self._camera

    # -- state ---------------------------------------------------------------------------------------------

    def identify(self) -> Identity:
        """Make, model of the camera head, serial numbers of both."""
        if self._identity is None:
            raise InstrumentConnectionError(self.name, "it is not open")
        return self._identity

    @property
    def noise(self) -> CameraNoise:
        """Conversion gain and noise from the rig file."""
        return CameraNoise(
            self.settings.gain_electrons_per_count,
            self.settings.read_noise_electrons,
            self.settings.saturation_counts,
        )

    def status(self) -> SpectrometerStatus:
        """Ask spectrograph and camera. While a frame is exposed the temperature is the last one before."""
        faults: list[str] = []
        try:
            acquiring = self.camera.acquiring()
            state = "acquiring" if acquiring else "idle"
        except AcquisitionError as error:
            acquiring, state = False, "unknown"
            faults.append(error.what)
        temperature, stabilised = self._temperature()
        grating = self.spectrograph.grating()
        return SpectrometerStatus(
            connected=True,
            state=state,
            faults=tuple(faults),
            read_at_s=self.clock.now(),
            grating_lines_per_mm=self.spectrograph.gratings()[grating - 1][0],
            centre_wavelength=Reading(self.spectrograph.centre_nm(), "nm", "measured", self.clock.now()),
            shutter_open=self._shutter_open(),
            camera_temperature=temperature,
            camera_stabilised=stabilised,
        )

    def _temperature(self) -> tuple[Reading, bool]:
        """Sensor temperature now, or the last one where the camera does not tell during an exposure."""
        try:
            celsius, state = self.camera.temperature()
        except InstrumentConnectionError:
            raise
        except InstrumentError:
            if self._last_temperature is None:
                raise
            return self._last_temperature
        reading = Reading(celsius, "degC", "measured", self.clock.now())
        self._last_temperature = reading, state == "stabilized"
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
            FaultError: The spectrograph's calibration does not rise over the pixels, for example at zero
                order or with ``mirrored`` set wrongly.
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
        with self._exclusive():
            self.camera.cool_to(self.settings.camera_temperature_C)
            end_s = self.clock.now() + self.settings.cool_timeout_s
            while True:
                celsius, state = self.camera.temperature()
                if state == "stabilized":
                    return
                if self.clock.now() >= end_s:
                    raise InstrumentTimeoutError(
                        self.name,
                        f"the camera is at {celsius:.1f} degC ({state}) after "
                        f"{self.settings.cool_timeout_s:g} s, not stable at "
                        f"{self.settings.camera_temperature_C:g} degC",
                        done="The cooler stays on",
                        advice="Check the camera's fan and cooling water, or choose a warmer temperature",
                    )
                if self._wait(cancel, COOLER_POLL_S):
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
                if self._wait(cancel, COOLER_POLL_S):
                    return

    # -- frames --------------------------------------------------------------------------------------------

    def frames(
        self,
        number: int,
        exposure_s: float,
        *,
        shutter_open: bool,
        cancel: threading.Event | None = None,
    ) -> Iterator[SpectrumFrame]:
        """Take ``number`` frames one after the other, each given as soon as it is read out.

        Closing the iterator, or setting ``cancel``, aborts the acquisition; the shutter is closed at the end
        in any case. A broken-off acquisition is taken again ``acquisition_retries`` times.

        Raises:
            LimitError: ``number`` or ``exposure_s`` makes no sense; nothing was started.
            AcquisitionError: The camera broke off again and again.
            InstrumentTimeoutError: A frame did not come in time.
        """
        if number < 1 or not 0.0 < exposure_s <= LONGEST_EXPOSURE_S:
            raise LimitError(
                self.name,
                f"{number} frames of {exposure_s:g} s were asked for: at least 1 frame needed, "
                f"of above 0 and up to {LONGEST_EXPOSURE_S:g} s",
                done="Nothing was started",
            )
        return self._frames(number, exposure_s, shutter_open, cancel)

    def _frames(
        self, number: int, exposure_s: float, shutter_open: bool, cancel: threading.Event | None
    ) -> Iterator[SpectrumFrame]:
        with self._exclusive():
            taken = failures = 0
            try:
                self._set_shutter(shutter_open)
                while taken < number:
                    try:
                        for frame in self._series(number - taken, exposure_s, shutter_open, cancel):
                            taken, failures = taken + 1, 0
                            yield frame
                        return
                    except AcquisitionError:
                        failures += 1
                        if failures > self.settings.acquisition_retries:
                            raise
                        self.camera.abort()
                        if self._wait(cancel, RETRY_PAUSE_S):
                            return
            finally:
                with suppress(InstrumentError):
                    self.camera.abort()
                if shutter_open:
                    self._set_shutter(False)

    def _series(
        self, number: int, exposure_s: float, shutter_open: bool, cancel: threading.Event | None
    ) -> Iterator[SpectrumFrame]:
        camera = self.camera
        times = camera.prepare(number, exposure_s)
        temperature, _ = self._temperature()
        began_s = self.clock.now()
        camera.start()
        for index in range(number):
            if not self._await_frame(index, began_s, times, cancel):
                return
            counts = camera.frame(index).sum(axis=0)
            yield SpectrumFrame(
                counts=np.ascontiguousarray(counts[::-1] if self.settings.mirrored else counts),
                exposure_s=times.exposure_s,
                began_s=began_s + index * times.cycle_s,
                shutter_open=shutter_open,
                camera_temperature=temperature,
            )

    def _await_frame(
        self, index: int, began_s: float, times: Timings, cancel: threading.Event | None
    ) -> bool:
        """Wait for frame ``index``; False when cancelled."""
        due_s = began_s + (index + 1) * times.cycle_s
        while True:
            running = self.camera.acquiring()
            if self.camera.frames_ready() > index:
                return True
            now_s = self.clock.now()
            if not running:
                raise AcquisitionError(self.name, f"the acquisition ended before frame {index}")
            if now_s > due_s + LATE_S + 0.1 * times.cycle_s:
                raise InstrumentTimeoutError(
                    self.name,
                    f"frame {index} of {times.exposure_s:g} s did not come within {now_s - began_s:.1f} s",
                    done="The acquisition was stopped",
                    advice="Check the camera's cable, and that no external trigger is expected",
                )
            if self._wait(cancel, min(max(due_s - now_s, 0.02), POLL_S)):
                return False

    # -- shutter and waiting -------------------------------------------------------------------------------

    def _set_shutter(self, is_open: bool) -> None:
        if self.settings.shutter == "camera":
            self.camera.set_signal(is_open)
        else:
            self.spectrograph.set_shutter("opened" if is_open else "closed")

    def _shutter_open(self) -> bool:
        if self.settings.shutter == "camera":
            return self.camera.signal_open()
        return self.spectrograph.shutter() == "opened"

    def _wait(self, cancel: threading.Event | None, seconds: float) -> bool:
        """Let time pass; True when cancelled."""
        if cancel is None:
            self.clock.sleep(seconds)
            return False
        return self.clock.wait(cancel, seconds)

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
