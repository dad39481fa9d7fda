"""Profile-likelihood intervals in words: value, way down, way up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.fitting.profile import Interval

_UNITS = {"_s": (1e9, " ns"), "_eV": (1e3, " meV"), "fraction": (1e2, " %")}
_WORDS = {
    "shift_eV": "red-shift",
    "fraction": "coupled fraction",
    "width_eV": "uncoupled width",
    "coupled_width_eV": "coupled width",
}


def interval_lines(intervals: Mapping[str, Interval]) -> list[str]:
    """One line for each interval, as in ``lifetime_fast 0.2371 -0.0042 +0.0043 ns (profile, 68 %)``."""
    return [_line(name, interval) for name, interval in intervals.items()]


def _line(name: str, interval: Interval) -> str:
    ending = next((ending for ending in _UNITS if name.endswith(ending)), None)
    factor, unit = _UNITS[ending] if ending else (1.0, "")
    word = _WORDS.get(name) or (name.removesuffix(ending) if ending else name)
    ends = [None if end is None else (end - interval.value) * factor for end in (interval.low, interval.high)]
    smallest = min((abs(end) for end in ends if end), default=abs(interval.value * factor))
    # Two digits of the shorter side.
    digits = max(0, 1 - math.floor(math.log10(smallest))) if smallest > 0.0 else 3
    low, high = ("?" if end is None else f"{end:+.{digits}f}" for end in ends)
    about = "profile, 68 %, with light that may be hidden" if interval.hidden_light else "profile, 68 %"
    return f"{word} {interval.value * factor:.{digits}f} {low} {high}{unit} ({about})"
