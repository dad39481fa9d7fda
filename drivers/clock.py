"""The one clock that drivers, engine and simulators share."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Time as the experiment knows it: the wall's, or the simulated rig's."""

    def now(self) -> float:
        """Seconds since the clock was made; never runs backwards."""

    def epoch_s(self) -> float:
        """Seconds since 1970-01-01 UTC, for time stamps in records."""

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of this clock's time (nothing if not positive)."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until ``event`` is set or ``seconds`` of this clock have passed; return whether it is set."""


class SystemClock:
    """The wall clock of this computer."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()

    def now(self) -> float:
        """Seconds since the clock was made."""
        return time.monotonic() - self._start_s

    def epoch_s(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` (nothing if not positive)."""
        if seconds > 0:
            time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until ``event`` is set or ``seconds`` have passed; return whether it is set."""
        return event.wait(max(0.0, seconds))
