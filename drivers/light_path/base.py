"""Where the light of the one fibre goes."""

from __future__ import annotations

import threading
from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

from drivers.base import Instrument, Source, Status

Port = Literal["spectrometer", "counters"]


@dataclass(frozen=True)
class LightPathStatus(Status):
    """Where the light goes, and how that is known."""

    port: Port | None
    source: Source


class LightPath(Instrument):
    """Sends the light to the spectrometer or to the photon counters."""

    @abstractmethod
    def status(self) -> LightPathStatus:
        """Where the light goes now."""

    @property
    @abstractmethod
    def reachable(self) -> tuple[Port, ...]:
        """Ports that ``select`` can reach (a fixed path has one)."""

    @abstractmethod
    def select(self, port: Port, *, cancel: threading.Event | None = None) -> None:
        """Send the light to ``port`` and return once it is there.

        Raises:
            LimitError: This rig cannot send the light there.
            InstrumentTimeoutError: It did not get there in time.
        """
