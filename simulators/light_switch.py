"""What lets the light pass and where it goes: a shutter's record, and what stands behind a flipper mirror."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

from simulators.world import Port

Side = Literal["direct", "side"]

KEEP_CHANGES = 2000


@dataclass(frozen=True)
class Wiring:
    """What stands behind the spectrograph's flipper mirror.

    Args:
        flipper: The mirror that sends the light to the spectrometer's camera or to the counters; None: none.
        spectrometer_port: Its position for the spectrometer.
    """

    flipper: Literal["input", "output"] | None = "output"
    spectrometer_port: Side = "direct"

    def port(self, position: int) -> Port:
        """Where the light goes with the mirror at 0 (direct) or 1 (side)."""
        at_spectrometer = position == (0 if self.spectrometer_port == "direct" else 1)
        return "spectrometer" if at_spectrometer else "counters"

    def position(self, port: Port) -> int:
        """The mirror's position (0 direct, 1 side) that sends the light to ``port``."""
        return 0 if self.port(0) == port else 1


class ShutterRecord:
    """When a shutter was open. It begins closed."""

    def __init__(self) -> None:
        self._times_s = [float("-inf")]
        self._open = [False]

    def set(self, now_s: float, is_open: bool) -> None:
        """The shutter moves now."""
        if self._open[-1] != is_open:
            self._times_s.append(now_s)
            self._open.append(is_open)
            del self._times_s[:-KEEP_CHANGES], self._open[:-KEEP_CHANGES]

    def open_share(self, begin_s: float, end_s: float) -> float:
        """Share of a stretch of time in which it was open."""
        if end_s <= begin_s:
            return 0.0
        open_s = 0.0
        at_s = begin_s
        for index in range(max(bisect_right(self._times_s, begin_s) - 1, 0), len(self._times_s)):
            last = index + 1 == len(self._times_s)
            until_s = end_s if last else min(self._times_s[index + 1], end_s)
            if self._open[index]:
                open_s += max(until_s - at_s, 0.0)
            at_s = max(until_s, at_s)
            if at_s >= end_s:
                break
        return open_s / (end_s - begin_s)
