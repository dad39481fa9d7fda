"""Where the light of the one fibre goes."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from drivers.base import Instrument, Source, Status
from drivers.clock import Clock
from drivers.errors import LimitError

Port = Literal["spectrometer", "counters"]
PORTS: tuple[Port, ...] = ("spectrometer", "counters")


@dataclass(frozen=True)
class LightPathStatus(Status):
    """Where the light goes, and how that is known."""

    port: Port | None
    source: Source


class LightPath(Instrument):
    """Sends the light to the spectrometer or to the photon counters.

    Args:
        name: The instrument's name in the rig file.
        settings: Its table.
        clock: The experiment's clock.
        vendor: What the driver talks through: a vendor's package, or the person who moves the fibre.
        partners: The rig's other open instruments by kind.
    """

    settings: Any

    def __init__(
        self,
        name: str,
        settings: BaseModel,
        *,
        clock: Clock,
        vendor: Any = None,
        partners: Mapping[str, Instrument] | None = None,
    ) -> None:
        super().__init__(name, settings, clock=clock)
        self.settings = settings
        self.vendor = vendor
        self.partners = dict(partners or {})

    @abstractmethod
    def status(self) -> LightPathStatus:
        """Where the light goes now."""

    @property
    def reachable(self) -> tuple[Port, ...]:
        """Ports that ``select`` can reach (a fixed path has one)."""
        return PORTS

    @abstractmethod
    def select(self, port: Port, *, cancel: threading.Event | None = None) -> None:
        """Send the light to ``port`` and return once it is there.

        Raises:
            LimitError: This rig cannot send the light there.
            InstrumentTimeoutError: It did not get there in time.
        """

    def check_port(self, port: Port) -> None:
        """Raise ``LimitError`` if there is no such port."""
        if port not in PORTS:
            raise LimitError(self.name, f"no port {port!r}: 'spectrometer' or 'counters'")
