"""Opening spectrograph and camera together, and finding them again after the line was lost."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from drivers.base import Identity
from drivers.clock import Clock
from drivers.errors import InstrumentConnectionError, InstrumentError
from drivers.retry_pause import RetryPause
from drivers.spectrometer.andor_camera import AndorCamera
from drivers.spectrometer.andor_library import load_pylablib
from drivers.spectrometer.andor_settings import AndorSettings
from drivers.spectrometer.kymera import Kymera
from drivers.spectrometer.vendor_line import VendorLine
from drivers.traffic import TrafficLog


class AndorConnection:
    """The open instruments. A lost line is opened again by the next use, with growing pauses between tries.

    Reconnecting sets read-out and pixels again as the settings say; it never switches the cooler on.

    Args:
        name: The instrument's name in the rig file.
        settings: Its table.
        clock: The experiment's clock.
        vendor: pylablib's package ``pylablib.devices.Andor``; None: the installed one.
    """

    def __init__(self, name: str, settings: AndorSettings, clock: Clock, vendor: Any | None) -> None:
        self.name = name
        self.traffic = TrafficLog()
        self.reconnects = 0
        self.wanted = False
        self._settings = settings
        self._vendor = vendor
        self._line = VendorLine(name, clock, self.traffic, timeout_s=settings.call_timeout_s)
        self._parts: tuple[Kymera, AndorCamera, Identity] | None = None
        self._pause = RetryPause(name, clock)

    @property
    def lost(self) -> bool:
        """The last call found nobody at the other end."""
        return self._line.lost

    @property
    def spectrograph(self) -> Kymera:
        """The open spectrograph. Raises ``InstrumentConnectionError``."""
        return self._open_parts()[0]

    @property
    def camera(self) -> AndorCamera:
        """The open camera. Raises ``InstrumentConnectionError``."""
        return self._open_parts()[1]

    @property
    def identity(self) -> Identity:
        """Who they are. Raises ``InstrumentConnectionError``."""
        return self._open_parts()[2]

    def open(self) -> None:
        """Connect to both, or to neither.

        Raises:
            InstrumentConnectionError: One of the two is not there.
            LimitError: The camera cannot do what the settings ask for.
            MissingDriverError: pylablib or Andor's library is not installed.
        """
        with self._line.lock:
            if self.wanted:
                return
            try:
                self._connect()
            except BaseException:
                self._line.end()
                raise
            self.wanted = True

    def close(self) -> None:
        """Release both. Never raises."""
        with self._line.lock:
            self.wanted = False
            self._release()
            self._line.end()

    def _open_parts(self) -> tuple[Kymera, AndorCamera, Identity]:
        with self._line.lock:
            if not self.wanted:
                raise InstrumentConnectionError(self.name, "it is not open")
            if self._line.lost or self._parts is None:
                return self._reconnect()
            return self._parts

    def _reconnect(self) -> tuple[Kymera, AndorCamera, Identity]:
        self._pause.check()
        self._release()
        try:
            parts = self._connect()
        except InstrumentError:
            self._line.lost = True
            self._pause.failed()
            raise
        self._pause.succeeded()
        self.reconnects += 1
        return parts

    def _connect(self) -> tuple[Kymera, AndorCamera, Identity]:
        settings = self._settings
        package = self._vendor or load_pylablib(self.name, settings.library_folder)
        self._line.lost = False
        spectrograph = Kymera.opened(self._line, package, settings.spectrograph_index)
        camera: AndorCamera | None = None
        try:
            camera = AndorCamera.opened(
                self._line,
                package,
                settings.camera_index,
                temperature_C=settings.camera_temperature_C,
                fan=settings.fan,
            )
            self._parts = (spectrograph, camera, self._set_up(spectrograph, camera))
        except BaseException:
            for part in (camera, spectrograph):
                if part is not None:
                    with suppress(Exception):
                        part.close()
            raise
        return self._parts

    def _set_up(self, spectrograph: Kymera, camera: AndorCamera) -> Identity:
        settings = self._settings
        camera.set_amplifier(settings.readout_speed, settings.preamp_gain)
        set_read_mode(camera, settings)
        spectrograph.fit_camera(camera.columns, camera.pixel_um)
        if settings.shutter == "camera" and spectrograph.has_shutter():
            spectrograph.set_shutter("bnc")
        return Identity(
            make="Andor",
            model=f"spectrograph with {camera.model()}",
            serial_number=f"{spectrograph.serial_number()}, {camera.serial_number()}",
        )

    def _release(self) -> None:
        parts, self._parts = self._parts, None
        if parts is not None:
            for part in (parts[1], parts[0]):
                with suppress(Exception):
                    part.close()


def set_read_mode(camera: AndorCamera, settings: AndorSettings) -> None:
    """The rig file's read mode for spectra."""
    if settings.read_mode == "single-track":
        camera.read_track(settings.track_centre_row, settings.track_rows)
    else:
        camera.read_full_vertical_binning()
