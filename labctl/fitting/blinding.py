"""Counters that are blind after each count: how bright the bursts are, their shape, the far level.

With C the contrast of the measured g2, R the recorded rates, f the shares of them that come from bursts, td
the dead time and p = 1 - exp(-mu) the chance that a counter that is awake fires in a burst:

* of the bursts that fired the stop counter a share R_start C fired the start counter as well, so
  p_start = R_start C / (f_stop k) with k = P(both awake) / P(stop awake), which is 1 but for R td (below);
* A(tau) is the delay between *first* photons (``emission.first_photon``), which for counters of unequal
  brightness is not symmetric;
* after the start counted, the stop is blind for td with probability R_stop C, so that accidental pairs at
  0 < tau < td come only with 1 - R_stop C; likewise with 1 - R_start C at -td < tau < 0. Between them, near
  zero, the burst of the stop is the later one with probability int A up to tau.

k: with P(awake) = a = 1 - R td for a dead time that does not extend, and both asleep where each has counted
within td, P(both awake) = a_start a_stop + R_start R_stop td (C - td p) to second order in R td.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.emission.first_photon import BRIGHTEST, delay_shares, first_photon, photons_that_matter
from labctl.emission.response import exponential, normal_step

Array = NDArray[np.float64]

_RAREST = 1e-6
_MOST_SEEN = -math.expm1(-BRIGHTEST)
_MOST_ASLEEP = 0.95


@dataclass(frozen=True)
class Mixture:
    """Delays between the first photons of a burst: shares of tau < 0 and tau > 0 (2, m), lifetimes (m,)."""

    shares: Array
    lifetimes_s: Array


@dataclass(frozen=True)
class Blinding:
    """Counters whose dead time is longer than a burst.

    Args:
        rates_per_s: Recorded rates of start and stop that the pairs of the peak refer to.
        dead_time_s: Dead time of both.
        signal_share: Shares of the recorded counts that come from bursts.
    """

    rates_per_s: tuple[float, float]
    dead_time_s: float
    signal_share: tuple[float, float] = (1.0, 1.0)

    def coincident(self, contrast_s: float) -> tuple[float, float]:
        """R C of start and stop: share of the other counter's counts at which this one has counted too."""
        return tuple(min(rate * contrast_s, 1.0) for rate in self.rates_per_s)  # type: ignore[return-value]

    def mu(self, contrast_s: float) -> tuple[float, float]:
        """Detected photons per burst before the dead time, start and stop; at most 5."""
        start_rate, stop_rate = self.rates_per_s
        asleep = [min(rate * self.dead_time_s, _MOST_ASLEEP) for rate in self.rates_per_s]
        joint = start_rate * stop_rate * self.dead_time_s
        joint *= contrast_s * (1.0 - 0.5 * self.dead_time_s * (start_rate + stop_rate))
        found = []
        for own, other in ((0, 1), (1, 0)):
            both_per_other = (1.0 - asleep[own]) + joint / (1.0 - asleep[other])
            seen = self.rates_per_s[own] * contrast_s / (self.signal_share[other] * both_per_other)
            found.append(-math.log1p(-min(max(seen, 0.0), _MOST_SEEN)))
        return found[0], found[1]

    def photons(self, contrast_s: float) -> int:
        """Photons per burst up to which the mixture has to go."""
        return photons_that_matter(max(*self.mu(contrast_s), 1e-6), _RAREST)

    def mixture(self, contrast_s: float, weights: Array, lifetimes_s: Array, photons: int) -> Mixture:
        """Delays between first photons of bursts of this decay (one or two components)."""
        start, stop = (first_photon(weights, lifetimes_s, mu, photons=photons) for mu in self.mu(contrast_s))
        return Mixture(delay_shares(start[0], stop[0], start[1]), start[1])

    def awake_share(self, lag_s: Array, below: Array, contrast_s: float) -> Array:
        """Accidental pairs relative to those of counters that never sleep.

        Args:
            lag_s: Delays after the cable's (n,).
            below: Integral of A up to there (n,).
            contrast_s: Contrast.
        """
        start, stop = self.coincident(contrast_s)
        return 1.0 - np.where(np.abs(lag_s) < self.dead_time_s, start + (stop - start) * below, 0.0)

    def curve(
        self, lag_s: Array, theta: tuple[float, float, float], weights: Array, lifetimes_s: Array
    ) -> Array:
        """g2 at single delays.

        Args:
            lag_s: Delays after the cable's (n,).
            theta: Level, contrast in s and standard deviation of the timing response in s.
            weights, lifetimes_s: Of the decay.
        """
        level, contrast_s, sigma_s = theta
        mixture = self.mixture(contrast_s, weights, lifetimes_s, self.photons(contrast_s))
        density, below = np.zeros_like(lag_s), normal_step(lag_s, sigma_s)
        for share_before, share_after, lifetime in zip(*mixture.shares, mixture.lifetimes_s, strict=True):
            before, after = (exponential(side, float(lifetime), sigma_s) for side in (-lag_s, lag_s))
            density += (share_before * before + share_after * after) / lifetime
            below += share_before * before - share_after * after
        return level * self.awake_share(lag_s, below, contrast_s) + contrast_s * density

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rates_per_s": list(self.rates_per_s),
            "dead_time_s": self.dead_time_s,
            "signal_share": list(self.signal_share),
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> Blinding:
        """Back from :meth:`to_dict`."""
        start, stop = fields["rates_per_s"]
        start_share, stop_share = fields["signal_share"]
        return Blinding((start, stop), fields["dead_time_s"], (start_share, stop_share))
