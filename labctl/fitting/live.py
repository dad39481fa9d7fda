"""Lifetimes while the histogram grows: each fit starts where the last one ended."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.blinding import Blinding
from labctl.fitting.estimates import Estimates
from labctl.fitting.g2_fit import SPAD_DEAD_TIME_S
from labctl.fitting.g2_start import first_guess, require_counters, require_pairs
from labctl.fitting.histogram import Histogram
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
        estimates: Parameters as in ``pair_model.TWO_LIFETIMES``; errors from counting, times 1 + mu where no
            dead time leaves one photon per burst.
        mu: Detected photons per burst and detector.
        steps: Trials that it took.
        at_bound: Parameters on a bound.
        dead_time_corrected: Whether the model describes counters that are blind for longer than a burst.
            Without, lifetimes come out short by some 30 mu percent where they are.
    """

    estimates: Estimates
    mu: float
    steps: int
    at_bound: tuple[str, ...]
    dead_time_corrected: bool

    @property
    def tau_fast_s(self) -> Value:
        """Lifetime of the coupled light."""
        return self.estimates.value("lifetime_fast_s")

    @property
    def tau_slow_s(self) -> Value:
        """Lifetime of the uncoupled light."""
        return self.estimates.value("lifetime_slow_s")


@dataclass(frozen=True, eq=False)
class _Attempt:
    """Where the compiled loop ended from one start; ``inside`` and ``edge`` flag parameters (7,)."""

    converged: bool
    objective: float
    steps: int
    theta: Array
    information: Array
    inside: NDArray[np.bool_]
    edge: NDArray[np.bool_]
    mu: float
    dead_time: bool


class LiveG2Fit:
    """Fits the histogram of one point again and again as it grows.

    The model of ``g2_fit``, with errors from counting: for the eye; the stored result comes from there. A fit
    that does not converge is not reported; the next one starts from scratch.

    Args:
        response_sigma_s: Timing response, from the calibration.
        dead_time_s: Dead time of the counters, for which the fit corrects where it is longer than the
            bursts (:attr:`LiveG2.dead_time_corrected`); 0 for none.
        fraction: Coupled share of the light where a spectrum gave one; its error is the prior.
        delay_s: Delay between the counters where it is known.
        free_response: Fit the timing response as well.
        single: All light is uncoupled: one lifetime, the slow one. ``fraction`` is not used.
    """

    def __init__(
        self,
        response_sigma_s: float,
        *,
        fraction: Value | None = None,
        delay_s: float | None = None,
        free_response: bool = False,
        dead_time_s: float = SPAD_DEAD_TIME_S,
        single: bool = False,
    ) -> None:
        require_counters(response_sigma_s, dead_time_s)
        self._sigma_s = response_sigma_s
        self._dead_time_s = dead_time_s
        self._fraction = Value(0.0, 0.0) if single else fraction
        self._delay_s = delay_s
        self._fixed = np.zeros(N_PARAMETERS, dtype=np.bool_)
        self._fixed[5] = delay_s is not None
        self._fixed[6] = not free_response
        # Without coupled light nothing depends on its lifetime.
        self._fixed[2] = self._fixed[3] = single
        self._last: Array | None = None

    def update(self, pairs: PairBlocks) -> LiveG2 | None:
        """Fit what has been counted so far; None where there is too little or no convergence."""
        try:
            require_pairs(pairs, self._sigma_s, self._dead_time_s)
        except FitRefused:
            return None
        histogram = Histogram(pairs)
        counts, accidentals, edges = histogram.counts, histogram.accidentals, histogram.edges_s
        best: _Attempt | None = None
        for start in self._starts(edges, counts, accidentals):
            attempt = self._attempt(histogram, start)
            if attempt.converged and (best is None or attempt.objective < best.objective):
                best = attempt
            # With lifetimes in the wrong order it may have ended in the second-best place.
            if attempt.converged and attempt.theta[3] <= attempt.theta[4]:
                break
        self._last = None
        return None if best is None else self._accepted(best)

    def _attempt(self, histogram: Histogram, start: Array) -> _Attempt:
        low, high = self._bounds(histogram.edges_s)
        prior, precision = self._priors()
        theta = np.clip(start, low, high)
        blinding = None
        if self._dead_time_s >= 5.0 * theta[4]:
            blinding = Blinding(histogram.rates_per_s, self._dead_time_s)
        fixed = self._fixed.copy()
        fixed[0] = histogram.few_accidentals(blinding, float(theta[1]))
        theta[0] = 1.0 if fixed[0] else theta[0]
        information = np.empty((N_PARAMETERS, N_PARAMETERS))
        converged, steps, objective = fit_growing(
            theta,
            fixed,
            low,
            high,
            prior,
            precision,
            histogram.counts,
            histogram.edges_s,
            histogram.accidentals,
            np.array(histogram.rates_per_s),
            0.0 if blinding is None else self._dead_time_s,
            information,
            MAX_STEPS,
        )
        edge = ((theta <= low) | (theta >= high)) & ~fixed
        mean_rate = 0.5 * sum(histogram.rates_per_s)
        mu = mean_rate * float(theta[1]) if blinding is None else 0.5 * sum(blinding.mu(float(theta[1])))
        return _Attempt(
            converged, objective, steps, theta, information, ~fixed & ~edge, edge, mu, blinding is not None
        )

    def _accepted(self, fit: _Attempt) -> LiveG2 | None:
        inside = np.flatnonzero(fit.inside)
        covariance = np.zeros_like(fit.information)
        try:
            inverse = inverse_information(fit.information[np.ix_(inside, inside)])
        except np.linalg.LinAlgError:
            return None
        covariance[np.ix_(inside, inside)] = inverse * (1.0 if fit.dead_time else (1.0 + fit.mu) ** 2)
        if not fit.theta[1] > _LEAST_CONTRAST_SIGMA * math.sqrt(covariance[1, 1]):
            # No peak above the accidental pairs yet: lifetimes of nothing.
            return None
        self._last = fit.theta.copy()
        bound = tuple(name for name, on_edge in zip(TWO_LIFETIMES, fit.edge, strict=True) if on_edge)
        return LiveG2(
            Estimates(TWO_LIFETIMES, fit.theta, covariance), fit.mu, fit.steps, bound, fit.dead_time
        )

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
