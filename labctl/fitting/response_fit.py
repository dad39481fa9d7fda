"""Timing response of a pair of counters: a Gaussian, with exponential tails where the data show them.

The delays of pairs from one short pulse, with a share q of them in tails of lifetime T (carriers that
diffuse in the detector before they are multiplied; the stop's tail lies at later delays, the start's at
earlier ones):

    n_k = b + N [(1 - q_s - q_e) G(sigma) + q_s (G * exp(-t/T)/T) + q_e (G * exp(+t/T)/T)] in bin k

Poisson likelihood. The tails are taken where BIC = deviance + k ln(pairs) falls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.emission.response import FWHM_PER_SIGMA, normal_step
from labctl.fitting.decay_model import in_bins
from labctl.fitting.estimates import (
    Estimates,
    Goodness,
    covariance_or_refuse,
    poisson_goodness,
    require_converged,
)
from labctl.fitting.solver import Parameter, PoissonCounts, Solution, solve
from labctl.fitting.value import Value

Array = NDArray[np.float64]

_CORE = ("background", "pairs", "delay_s", "sigma_s")
_TAILS = ("later_tail", "earlier_tail", "tail_s")


@dataclass(frozen=True, eq=False)
class ResponseFit:
    """Timing response of a pair.

    Args:
        estimates: ``background`` per bin, ``pairs``, ``delay_s``, ``sigma_s``, ``later_tail`` and
            ``earlier_tail`` (shares), ``tail_s``; the last three fixed at 0 (``tail_s``: any) without tails.
        has_tails: Whether the data ask for tails.
        goodness: Pearson's chi-squared of bins joined to 20 counts.
        edges_s: Bin edges of the range fitted (n + 1,).
        counts: Pairs there (n,).
        warnings: What limits the result.
    """

    estimates: Estimates
    has_tails: bool
    goodness: Goodness
    edges_s: Array
    counts: Array
    warnings: tuple[str, ...]

    @property
    def tail(self) -> Value:
        """Share of the pairs in both tails."""
        index = [self.estimates.names.index(name) for name in _TAILS[:2]]
        variance = float(self.estimates.covariance[np.ix_(index, index)].sum())
        return Value(float(self.estimates.values[index].sum()), math.sqrt(max(variance, 0.0)))

    @property
    def fwhm_s(self) -> Value:
        """Full width at half maximum of the Gaussian core."""
        return self.estimates.value("sigma_s").scaled(FWHM_PER_SIGMA)

    def rms_s(self) -> float:
        """Standard deviation of the whole response: sigma^2 + 2 q T^2 - (mean of the tails)^2."""
        later, earlier, tail = (self.estimates[name] for name in _TAILS)
        mean = (later - earlier) * tail
        return math.sqrt(self.estimates["sigma_s"] ** 2 + 2 * (later + earlier) * tail**2 - mean**2)

    def curve(self) -> Array:
        """Expected pairs in each bin (n,)."""
        return response_model(self.edges_s, self.estimates.values)[0]


def response_model(edges_s: Array, theta: Array) -> tuple[Array, Array]:
    """Expected pairs and Jacobian.

    Args:
        edges_s: Bin edges (n + 1,).
        theta: In the order of the module's formula: b, N, delay, sigma, q_s, q_e, T.

    Returns:
        Counts (n,) and Jacobian (n, 7).
    """
    background, pairs, delay, sigma, later, earlier, tail = (float(x) for x in theta)
    x = edges_s - delay
    z = x / sigma
    step = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    core = [np.diff(normal_step(x, sigma)), -np.diff(step) / sigma, np.diff(-step * z) / sigma]
    after = in_bins(x, tail, sigma)
    before = [part[::-1] for part in in_bins(-x[::-1], tail, sigma)]
    rest = 1.0 - later - earlier
    shape = rest * core[0] + later * after[0] + earlier * before[0]
    jacobian = np.empty((edges_s.size - 1, 7))
    jacobian[:, 0], jacobian[:, 1] = 1.0, shape
    # The mirrored tail moves against its own axis.
    jacobian[:, 2] = pairs * (rest * core[1] + later * after[1] - earlier * before[1])
    jacobian[:, 3] = pairs * (rest * core[2] + later * after[3] + earlier * before[3])
    jacobian[:, 4] = pairs * (after[0] - core[0])
    jacobian[:, 5] = pairs * (before[0] - core[0])
    jacobian[:, 6] = pairs * (later * after[2] + earlier * before[2])
    return background + pairs * shape, jacobian


def fit_response(edges_s: Array, counts: Array, delay_s: float, sigma_s: float) -> ResponseFit:
    """Fit the response of a pair to the histogram around one short pulse.

    Args:
        edges_s: Bin edges (n + 1,), even, one pulse within.
        counts: Pairs (n,).
        delay_s, sigma_s: First guess, e.g. from `labctl.photons.diagnosis.measure_response`.

    Raises:
        FitRefused: No convergence, or too few pairs to know the width.
    """
    counts = np.asarray(counts, dtype=np.float64)
    plain = _solve(edges_s, counts, delay_s, sigma_s, tails=False)
    tailed = _solve(edges_s, counts, delay_s, plain.values[3], tails=True)
    gain = math.log(max(float(counts.sum()), 2.0)) * len(_TAILS)
    has_tails = tailed.converged and plain.deviance - tailed.deviance > gain
    solution = tailed if has_tails else plain
    what = "timing response"
    require_converged(solution, what)
    covariance = covariance_or_refuse(solution, what)
    goodness = poisson_goodness(counts, solution.model, int(solution.free.sum()))
    warnings = []
    if goodness.p_value < 1e-3 and goodness.chi2 > goodness.dof:
        factor = goodness.chi2 / goodness.dof
        covariance = covariance * factor
        warnings.append(
            f"the peak is no Gaussian with exponential tails (chi2 {goodness.chi2:.0f} for {goodness.dof}): "
            f"errors were widened by {math.sqrt(factor):.2f}"
        )
    width = float(edges_s[1] - edges_s[0])
    if solution.values[3] < width:
        warnings.append(
            f"sigma {solution.values[3] * 1e12:.3g} ps is less than a bin of {width * 1e12:g} ps: take "
            "narrower bins"
        )
    return ResponseFit(
        Estimates(solution.names, solution.values, covariance),
        has_tails,
        goodness,
        edges_s,
        counts,
        tuple(warnings),
    )


def _solve(edges: Array, counts: Array, delay_s: float, sigma_s: float, *, tails: bool) -> Solution:
    width, span = float(edges[1] - edges[0]), float(edges[-1] - edges[0])
    level = max(float(np.median(counts)), 1e-3)
    sigma = min(max(sigma_s, 0.3 * width), span)
    tail = min(max(4.0 * sigma, width), 0.5 * span)
    parameters = [
        Parameter(_CORE[0], level, 0.0, math.inf),
        Parameter(_CORE[1], max(float((counts - level).sum()), 1.0), 0.0, math.inf),
        Parameter(_CORE[2], min(max(delay_s, edges[0]), edges[-1]), edges[0], edges[-1]),
        Parameter(_CORE[3], sigma, 0.05 * width, span),
        Parameter(_TAILS[0], 0.05 if tails else 0.0, 0.0, 0.5, fixed=not tails),
        Parameter(_TAILS[1], 0.05 if tails else 0.0, 0.0, 0.5, fixed=not tails),
        Parameter(_TAILS[2], tail, 0.3 * width, span, fixed=not tails),
    ]
    return solve(lambda theta: response_model(edges, theta), PoissonCounts(counts), parameters)
