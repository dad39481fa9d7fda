"""When has a temperature settled? Within a tolerance for a time, and no longer moving."""

from __future__ import annotations

from collections import deque


class Settling:
    """Takes readings one by one and tells whether the temperature has settled. Pure: no clock, no I/O.

    Args:
        target_K: Where the temperature is to settle.
        tolerance_K: Largest distance from the target.
        duration_s: How long the temperature must stay within it.
        maximum_drift_K_per_min: Largest slope of a straight line through the readings of that time.

    Raises:
        ValueError: A tolerance or drift that is not positive, or a negative duration.
    """

    def __init__(
        self,
        *,
        target_K: float,
        tolerance_K: float = 0.3,
        duration_s: float = 30.0,
        maximum_drift_K_per_min: float = 0.5,
    ) -> None:
        if not (tolerance_K > 0 and duration_s >= 0 and maximum_drift_K_per_min > 0):
            raise ValueError("settling wants a positive tolerance and drift, and a duration of 0 s or more")
        self.target_K = target_K
        self.tolerance_K = tolerance_K
        self.duration_s = duration_s
        self.maximum_drift_K_per_min = maximum_drift_K_per_min
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
        if not abs(temperature_K - self.target_K) <= self.tolerance_K:
            self._inside_since_s = None
            self._readings.clear()
            return False
        if self._inside_since_s is None:
            self._inside_since_s = time_s
        self._readings.append((time_s, temperature_K))
        # One reading from before the window stays, so that the window is always covered to its end.
        while len(self._readings) > 2 and self._readings[1][0] <= time_s - self.duration_s:
            self._readings.popleft()
        return self.settled

    @property
    def settled(self) -> bool:
        """Within the tolerance for the whole time, and slow enough."""
        return self.time_left_s == 0.0 and abs(self.drift_K_per_min) <= self.maximum_drift_K_per_min

    @property
    def time_left_s(self) -> float:
        """Least time until it can have settled, if it stays within the tolerance; 0 once that has passed."""
        if self._inside_since_s is None or self._last_s is None:
            return self.duration_s
        return max(0.0, self.duration_s - (self._last_s - self._inside_since_s))

    @property
    def drift_K_per_min(self) -> float:
        """Slope of the least-squares line through the last ``duration_s``; 0 for fewer than two readings."""
        number = len(self._readings)
        if number < 2:
            return 0.0
        mean_s = sum(time_s for time_s, _ in self._readings) / number
        mean_K = sum(kelvin for _, kelvin in self._readings) / number
        spread = sum((time_s - mean_s) ** 2 for time_s, _ in self._readings)
        return 60.0 * sum((t - mean_s) * (kelvin - mean_K) for t, kelvin in self._readings) / spread
