"""What the sample remembers of where its temperature has been: the lag of its coupled light."""

from __future__ import annotations

from bisect import bisect_right

from labctl.emission.cooling_cycle import lag_after

#: The lag is recorded in steps of this; over it a share changes by less than a long exposure can tell.
RECORDED_K = 0.005


class Backlash:
    """Follows the temperature; knows the lag now and at every time before.

    Args:
        hysteresis_K: Lag of a sample warmed from far below; 0: it remembers nothing.
        temperature_K: Where it starts, as if it had been cooled to there.
    """

    def __init__(self, hysteresis_K: float, temperature_K: float) -> None:
        self.hysteresis_K = hysteresis_K
        self.lag_K = 0.0
        self._temperature_K = temperature_K
        self._times_s = [0.0]
        self._lags_K = [0.0]

    def follow(self, time_s: float, temperature_K: float) -> float:
        """The sample is at ``temperature_K`` at ``time_s``; returns the lag."""
        step_K, self._temperature_K = temperature_K - self._temperature_K, temperature_K
        self.lag_K = lag_after(self.lag_K, step_K, self.hysteresis_K)
        # Far apart in K and not in s: held for a night, a temperature leaves one entry.
        if abs(self.lag_K - self._lags_K[-1]) >= RECORDED_K:
            self._times_s.append(time_s)
            self._lags_K.append(self.lag_K)
        return self.lag_K

    def at(self, time_s: float) -> float:
        """The lag at a time from 0 to now, within ``RECORDED_K``."""
        return self._lags_K[max(bisect_right(self._times_s, time_s) - 1, 0)]
