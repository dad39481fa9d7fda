"""The spectrograph's flipper mirror as the switch between camera and photon counters."""

from __future__ import annotations

import threading
from typing import Literal, Self

from pydantic import model_validator

from drivers.base import Identity, Settings
from drivers.errors import InstrumentConnectionError
from drivers.light_path.base import LightPath, LightPathStatus, Port
from drivers.spectrometer.andor import AndorSpectrometer
from drivers.spectrometer.kymera import Kymera


class KymeraFlipperSettings(Settings):
    """The flipper mirror in the rig file.

    Attributes:
        driver: ``"kymera-flipper"``.
        flipper: Which of the spectrograph's two mirrors.
        spectrometer_port: Its position for the camera.
        counters_port: Its position for the photon counters.
    """

    driver: Literal["kymera-flipper"] = "kymera-flipper"
    flipper: Literal["input", "output"] = "output"
    spectrometer_port: Literal["direct", "side"] = "direct"
    counters_port: Literal["direct", "side"] = "side"

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.spectrometer_port == self.counters_port:
            raise ValueError("spectrometer_port and counters_port must differ")
        return self


class KymeraFlipper(LightPath):
    """Moves the light with a mirror of its partner ``"spectrometer"``, an open Andor one."""

    Settings = KymeraFlipperSettings
    settings: KymeraFlipperSettings
    _spectrograph: Kymera | None = None

    def open(self) -> None:
        """Find the mirror. It stays as it stands.

        Raises:
            InstrumentConnectionError: The spectrometer is not an open Andor one, or has no such mirror.
        """
        partner = self.partners.get("spectrometer")
        if not isinstance(partner, AndorSpectrometer):
            raise InstrumentConnectionError(
                self.name,
                "the spectrograph's flipper needs a spectrometer with driver 'andor' in the rig file",
                advice="Use another light_path driver: 'manual', 'fixed' or 'thorlabs-flip-mount'",
            )
        spectrograph = partner.spectrograph
        if self.settings.flipper not in spectrograph.flippers():
            found = ", ".join(spectrograph.flippers()) or "none"
            raise InstrumentConnectionError(
                self.name, f"the spectrograph has no {self.settings.flipper} flipper mirror (found: {found})"
            )
        self._spectrograph = spectrograph

    def close(self) -> None:
        """Leave the mirror where it is."""
        self._spectrograph = None

    def identify(self) -> Identity:
        """The spectrograph that has the mirror."""
        return Identity(
            make="Andor",
            model=f"{self.settings.flipper} flipper mirror",
            serial_number=self._open().serial_number(),
        )

    def status(self) -> LightPathStatus:
        """Where the mirror stands, read back from the spectrograph."""
        position = self._open().flipper_port(self.settings.flipper)
        return LightPathStatus(
            connected=True,
            state=position,
            faults=(),
            read_at_s=self.clock.now(),
            port="spectrometer" if position == self.settings.spectrometer_port else "counters",
            source="measured",
        )

    def select(self, port: Port, *, cancel: threading.Event | None = None) -> None:
        """Move the mirror; returns when it stands there (about a second; ``cancel`` is not looked at).

        Raises:
            LimitError: No such port.
            FaultError: The mirror did not move.
        """
        self.check_port(port)
        at_spectrometer = port == "spectrometer"
        target = self.settings.spectrometer_port if at_spectrometer else self.settings.counters_port
        self._open().set_flipper_port(self.settings.flipper, target)

    def _open(self) -> Kymera:
        if self._spectrograph is None:
            raise InstrumentConnectionError(self.name, "it is not open")
        return self._spectrograph
