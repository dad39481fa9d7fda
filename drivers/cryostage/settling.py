"""When has a temperature settled? Within a tolerance for a time, and no longer moving."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class SettlingCriterion:
    """What settled means.

    Attributes:
        tolerance_K: Largest distance from the set point.
        hold_s: How long the temperature must stay within it.
        maximum_drift_K_per_min: Largest slope of a straight line through the readings of that time.
    """

    tolerance_K: float = 0.3
    hold_s: float = 30.0
    maximum_drift_K_per_min: float = 0.2

    def __post_init__(self) -> None:
        if not (self.tolerance_K > 0 and self.hold_s >= 0 and self.maximum_drift_K_per_min > 0):
            raise ValueError(f"settling: positive tolerance and drift, and a time of 0 s or more: {self}")


class Settling:
    """Takes readings one by one and tells whether the temperature has settled. Pure: no clock, no I/O.

    Args:
        set_point_K: Where the temperature is to settle.
        criterion: What settled means.
    """

    def __init__(self, set_point_K: float, criterion: SettlingCriterion | None = None) -> None:
        self.set_point_K = set_point_K
        self.criterion = criterion if criterion is not None else SettlingCriterion()
        self._readings: deque[tuple[float, float]] = deque()
        self._inside_since_s: float | None = None
        self._last_s: float | None = None

    def feed(self, time_s: float, temperature_K: float) -> bool:
        """Take one reading; return ``settled``. A reading not newer than the last one changes nothing.

        Args:
            time_s: When it was read.
            temperature_K: The reading; a nan counts as outside the tolerance.
        """
        if self._last_s is not None and time_s <= self._last_s:
            return self.settled
        self._last_s = time_s
        if not abs(temperature_K - self.set_point_K) <= self.criterion.tolerance_K:
            self._inside_since_s = None
            self._readings.clear()
            return False
        if self._inside_since_s is None:
            self._inside_since_s = time_s
        self._readings.append((time_s, temperature_K))
        # One reading from before the window stays, so that the window is always covered to its end.
        while len(self._readings) > 2 and self._readings[1][0] <= time_s - self.criterion.hold_s:
            self._readings.popleft()
        return self.settled

    @property
    def settled(self) -> bool:
        """Within the tolerance for the whole time, and slow enough."""
        return self.time_left_s == 0.0 and abs(self.drift_K_per_min) <= self.criterion.maximum_drift_K_per_min

    @property
    def time_left_s(self) -> float:
        """Least time until it can have settled, if it stays within the tolerance; 0 once that has passed."""
        if self._inside_since_s is None or self._last_s is None:
            return self.criterion.hold_s
        return max(0.0, self.criterion.hold_s - (self._last_s - self._inside_since_s))

    @property
    def drift_K_per_min(self) -> float:
        """Slope of the least-squares line through the readings of the last ``hold_s``; 0 for fewer than two."""
        number = len(self._readings)
        if number < 2:
            return 0.0
        mean_s = sum(time_s for time_s, _ in self._readings) / number
        mean_K = sum(kelvin for _, kelvin in self._readings) / number
        spread = sum((time_s - mean_s) ** 2 for time_s, _ in self._readings)
        return 60.0 * sum((t - mean_s) * (kelvin - mean_K) for t, kelvin in self._readings) / spread
