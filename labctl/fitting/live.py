"""Lifetimes while the histogram grows: each fit starts where the last one ended."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.estimates import Estimates
from labctl.fitting.g2_start import first_guess, require_pairs
from labctl.fitting.live_kernel import N_PARAMETERS, fit_growing
from labctl.fitting.pair_model import TWO_LIFETIMES
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import inverse_information
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks

Array = NDArray[np.float64]

MAX_STEPS = 60
_LEAST_CONTRAST_SIGMA = 5.0


@dataclass(frozen=True, eq=False)
class LiveG2:
    """A converged fit of a growing histogram.

    Args:
        estimates: Parameters as in ``pair_model.TWO_LIFETIMES``; errors from counting times 1 + mu.
        mu: Detected photons per burst and detector.
        steps: Trials that it took.
        at_bound: Parameters on a bound.
    """

    estimates: Estimates
    mu: float
    steps: int
    at_bound: tuple[str, ...]

    @property
    def tau_fast_s(self) -> Value:
        """Lifetime of the coupled light."""
        return self.estimates.value("lifetime_fast_s")

    @property
    def tau_slow_s(self) -> Value:
        """Lifetime of the uncoupled light."""
        return self.estimates.value("lifetime_slow_s")


class LiveG2Fit:
    """Fits the histogram of one point again and again as it grows.

    Without dead-time correction and with errors from counting: for the eye. The stored result comes from
    ``g2_fit``. A fit that does not converge is not reported; the next one starts from scratch.

    Args:
        response_sigma_s: Timing response, from the calibration.
        fraction: Coupled share of the light where a spectrum gave one; its error is the prior.
        delay_s: Delay between the counters where it is known.
        free_response: Fit the timing response as well.
    """

    def __init__(
        self,
        response_sigma_s: float,
        *,
        fraction: Value | None = None,
        delay_s: float | None = None,
        free_response: bool = False,
    ) -> None:
        self._sigma_s = response_sigma_s
        self._fraction = fraction
        self._delay_s = delay_s
        self._fixed = np.zeros(N_PARAMETERS, dtype=np.bool_)
        self._fixed[5] = delay_s is not None
        self._fixed[6] = not free_response
        self._last: Array | None = None

    def update(self, pairs: PairBlocks) -> LiveG2 | None:
        """Fit what has been counted so far; None where there is too little or no convergence."""
        try:
            require_pairs(pairs, self._sigma_s)
        except FitRefused:
            return None
        counts, accidentals = pairs.total().astype(np.float64), pairs.expected()
        centre = pairs.lag_ps * 1e-12
        half = 0.5e-12 * pairs.bin_ps
        edges = np.append(centre - half, centre[-1] + half)
        low, high = self._bounds(edges)
        prior, precision = self._priors()
        for start in self._starts(edges, counts, accidentals):
            theta = np.clip(start, low, high)
            information = np.empty((N_PARAMETERS, N_PARAMETERS))
            converged, steps, _ = fit_growing(
                theta,
                self._fixed,
                low,
                high,
                prior,
                precision,
                counts,
                edges,
                accidentals,
                information,
                MAX_STEPS,
            )
            if converged:
                return self._accepted(theta, information, pairs, steps, (theta <= low) | (theta >= high))
        self._last = None
        return None

    def _accepted(
        self, theta: Array, information: Array, pairs: PairBlocks, steps: int, edge: NDArray[np.bool_]
    ) -> LiveG2 | None:
        inside = np.flatnonzero(~self._fixed & ~edge)
        live_s = float(pairs.duration_ps.sum()) * 1e-12
        rate = 0.5 * float(pairs.start_tags.sum() + pairs.stop_tags.sum()) / live_s
        mu = rate * float(theta[1])
        covariance = np.zeros_like(information)
        try:
            inverse = inverse_information(information[np.ix_(inside, inside)])
        except np.linalg.LinAlgError:
            self._last = None
            return None
        covariance[np.ix_(inside, inside)] = inverse * (1.0 + mu) ** 2
        if not theta[1] > _LEAST_CONTRAST_SIGMA * math.sqrt(covariance[1, 1]):
            # No peak above the accidental pairs yet: lifetimes of nothing.
            self._last = None
            return None
        self._last = theta.copy()
        bound = tuple(
            name for name, on_edge in zip(TWO_LIFETIMES, edge & ~self._fixed, strict=True) if on_edge
        )
        return LiveG2(Estimates(TWO_LIFETIMES, theta, covariance), mu, steps, bound)

    def _starts(self, edges: Array, counts: Array, accidentals: Array) -> Iterator[Array]:
        """The last result; only where that fails, fresh guesses, which cost more than the fit."""
        if self._last is not None:
            yield self._last
        contrast, delay, lifetime = first_guess(edges, counts, accidentals, self._sigma_s)
        share = self._fraction.value if self._fraction is not None else 0.5
        delay = delay if self._delay_s is None else self._delay_s
        for fast, slow in ((0.5, 1.3), (0.2, 1.1)):
            yield np.array([1.0, contrast, share, fast * lifetime, slow * lifetime, delay, self._sigma_s])

    def _bounds(self, edges: Array) -> tuple[Array, Array]:
        window = 0.5 * float(edges[-1] - edges[0])
        shortest = 0.2 * self._sigma_s
        low = np.array([0.0, 0.0, 0.0, shortest, shortest, edges[0], 0.05 * self._sigma_s])
        high = np.array([math.inf, math.inf, 1.0, window, window, edges[-1], 20.0 * self._sigma_s])
        return low, high

    def _priors(self) -> tuple[Array, Array]:
        mean, precision = np.zeros(N_PARAMETERS), np.zeros(N_PARAMETERS)
        if self._fraction is not None and self._fraction.error > 0.0:
            mean[2], precision[2] = self._fraction.value, 1.0 / self._fraction.error**2
        return mean, precision
