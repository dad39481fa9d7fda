"""Time-resolved luminescence: lifetimes from the histogram of one detector after a pulse.

    counts_k = background + N sum_i w_i [bin integral of exp(-t/tau_i)/tau_i through the response]

The response is a Gaussian, or a measured one (histogram of the pulse in the same bins), with which the
decay is then convolved. Poisson likelihood, or that of first photons where only these were counted. Light of
earlier pulses is added where the period is given. Number of lifetimes: one more where BIC = deviance + k
ln(counts) falls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.decay_interval import decay_intervals
from labctl.fitting.decay_model import decay_model
from labctl.fitting.estimates import (
    Estimates,
    Goodness,
    bound_warnings,
    covariance_or_refuse,
    poisson_goodness,
    require_converged,
    software,
)
from labctl.fitting.first_photon import FirstPhotons, first_photon_model, pulses_left
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import Parameter, PoissonCounts, Solution, solve
from labctl.fitting.value import Value

Array = NDArray[np.float64]

_LEAST_COUNTS = 100.0
_QUADRATIC, _QUADRATIC_ALONE = 0.05, 0.15
"""Relative error of a lifetime below which the likelihood is quadratic over it; that of a single lifetime."""


@dataclass(frozen=True, eq=False)
class DecayData:
    """Histogram of arrival times.

    Args:
        edges_s: Bin edges (n + 1,), rising, even.
        counts: Counts (n,).
        response: Histogram of the pulse in the same bins (n,); None for a Gaussian response.
        pulses: Number of pulses, where only the first photon after each was counted; None where all were.
        hidden: First photons before the first bin (with ``pulses``).
        period_s: Distance of the pulses, where the light of earlier ones may still be seen; else None.
    """

    edges_s: Array
    counts: Array
    response: Array | None = None
    pulses: float | None = None
    hidden: float = 0.0
    period_s: float | None = None

    def left(self) -> Array | None:
        """Pulses that no photon had stopped before each bin (n,); None where all photons were counted."""
        if self.pulses is None:
            return None
        return pulses_left(np.asarray(self.counts, dtype=np.float64), self.pulses, self.hidden)


@dataclass(frozen=True, eq=False)
class DecayFit:
    """Lifetimes of one decay, fastest first.

    Args:
        n_lifetimes: In the model that was chosen.
        estimates: ``background``, ``counts``, ``start_s``, ``response_sigma_s``, ``lifetime_s_1``, ... and
            ``weight_1``, ... (share of the photons; the last lifetime has the rest).
        goodness: Pearson's chi-squared of bins joined to 20 counts.
        warnings: What limits the result.
        bic: BIC of each number of lifetimes that was tried (those that did not converge left out).
        intervals_68, intervals_95: Low and high end of the profile likelihood's intervals, by the parameter's
            name, where the likelihood is not quadratic (``decay_interval``); empty where it is.
    """

    n_lifetimes: int
    estimates: Estimates
    goodness: Goodness
    warnings: tuple[str, ...]
    bic: dict[int, float] = field(default_factory=dict)
    intervals_68: dict[str, tuple[float, float]] = field(default_factory=dict)
    intervals_95: dict[str, tuple[float, float]] = field(default_factory=dict)

    def value(self, name: str) -> Value:
        """One parameter with its error; lopsided where the likelihood is.

        Raises:
            KeyError: no such parameter.
        """
        if name in self.intervals_68:
            return Value.between(self.estimates[name], *self.intervals_68[name])
        return self.estimates.value(name)

    def interval_95(self, name: str) -> tuple[float, float]:
        """Ends of a parameter's 95 % interval.

        Raises:
            KeyError: no such parameter.
        """
        return self.intervals_95.get(name) or self.estimates.value(name).interval(0.95)

    def lifetime_s(self, number: int) -> Value:
        """Lifetime 1 (fastest) to ``n_lifetimes``."""
        return self.value(f"lifetime_s_{number}")

    def weight(self, number: int) -> Value:
        """Share of the photons with that lifetime."""
        if number < self.n_lifetimes:
            return self.value(f"weight_{number}")
        if self.n_lifetimes == 1:
            return Value(1.0, 0.0)
        if self.n_lifetimes == 2:
            first = self.value("weight_1").scaled(-1.0)
            return replace(first, value=1.0 + first.value)
        index = [self.estimates.names.index(f"weight_{i}") for i in range(1, self.n_lifetimes)]
        variance = float(self.estimates.covariance[np.ix_(index, index)].sum())
        return Value(1.0 - float(self.estimates.values[index].sum()), math.sqrt(max(variance, 0.0)))

    def mean_lifetime_s(self) -> Value:
        """Mean delay of a photon, sum of weight times lifetime."""
        n, names = self.n_lifetimes, self.estimates.names
        slope = np.zeros(len(names))
        lifetimes = [self.lifetime_s(i).value for i in range(1, n + 1)]
        for i in range(1, n + 1):
            slope[names.index(f"lifetime_s_{i}")] = self.weight(i).value
            if i < n:
                slope[names.index(f"weight_{i}")] = lifetimes[i - 1] - lifetimes[-1]
        mean = sum(self.weight(i).value * lifetimes[i - 1] for i in range(1, n + 1))
        return Value(mean, math.sqrt(max(float(slope @ self.estimates.covariance @ slope), 0.0)))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "software": software(),
            "n_lifetimes": self.n_lifetimes,
            "estimates": self.estimates.to_dict(),
            "goodness": self.goodness.to_dict(),
            "warnings": list(self.warnings),
            "bic": {str(n): value for n, value in self.bic.items()},
            "intervals_68": {name: list(ends) for name, ends in self.intervals_68.items()},
            "intervals_95": {name: list(ends) for name, ends in self.intervals_95.items()},
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> DecayFit:
        """Back from :meth:`to_dict`."""
        return DecayFit(
            int(fields["n_lifetimes"]),
            Estimates.from_dict(fields["estimates"]),
            Goodness.from_dict(fields["goodness"]),
            tuple(fields["warnings"]),
            {int(n): float(value) for n, value in fields.get("bic", {}).items()},
            _ends(fields.get("intervals_68", {})),
            _ends(fields.get("intervals_95", {})),
        )


def _ends(fields: dict[str, Any]) -> dict[str, tuple[float, float]]:
    return {name: (float(low), float(high)) for name, (low, high) in fields.items()}


def fit_decay(
    data: DecayData,
    *,
    n_lifetimes: int | None = None,
    max_lifetimes: int = 2,
    response_sigma_s: float | None = None,
) -> DecayFit:
    """Fit one or more lifetimes to a decay.

    Args:
        data: The histogram.
        n_lifetimes: Fit just this number; None chooses by BIC.
        max_lifetimes: Most to try when choosing.
        response_sigma_s: Standard deviation of a Gaussian response, held; None fits it. Not used with a
        measured
            response.

    Raises:
        FitRefused: too few bins or counts, counts that are no counts, a flat histogram, no convergence.
    """
    _require(data, n_lifetimes or max_lifetimes)
    fits: dict[int, Solution] = {}
    for n in (n_lifetimes,) if n_lifetimes else range(1, max_lifetimes + 1):
        fits[n] = _solve(data, n, response_sigma_s)
    bic = {n: _bic(fit, data) for n, fit in fits.items()}
    chosen = min(bic, key=lambda n: bic[n])
    return _result(data, fits[chosen], chosen, {n: value for n, value in bic.items() if value < math.inf})


def expected_counts(data: DecayData, fit: DecayFit) -> tuple[Array, Array]:
    """What a fit expects in each bin, as counted (first photons where only these were).

    Returns:
        Counts and their standard deviation, each (n,).
    """
    counts = _model(data, fit.estimates.values, fit.n_lifetimes)[0]
    return counts, np.sqrt(_statistic(data).variance(counts))


def _model(data: DecayData, theta: Array, n: int) -> tuple[Array, Array]:
    response = None if data.response is None else data.response / float(data.response.sum())
    photons, jacobian = decay_model(data.edges_s, response, theta, n, data.period_s)
    left = data.left()
    if left is None or data.pulses is None:
        return photons, jacobian
    return first_photon_model(photons, jacobian, data.pulses, left)


def _statistic(data: DecayData) -> PoissonCounts | FirstPhotons:
    counts = np.asarray(data.counts, dtype=np.float64)
    left = data.left()
    return PoissonCounts(counts) if left is None else FirstPhotons(counts, left)


def _require(data: DecayData, n: int) -> None:
    edges, counts = np.asarray(data.edges_s), np.asarray(data.counts)
    if counts.ndim != 1 or edges.shape != (counts.size + 1,):
        raise FitRefused(f"decay has {counts.shape} counts and {edges.shape} edges: one edge more is needed")
    if counts.size < 4 * (3 + 2 * n):
        raise FitRefused(f"decay has {counts.size} bins, a fit with {n} lifetimes needs {4 * (3 + 2 * n)}")
    widths = np.diff(edges)
    if not (np.all(np.isfinite(edges)) and np.all(widths > 0.0)):
        raise FitRefused("bin edges of the decay do not rise throughout")
    if np.ptp(widths) > 1e-3 * float(np.mean(widths)):
        raise FitRefused("bins of the decay are not even")
    if not np.all(np.isfinite(counts)) or np.any(counts < 0):
        raise FitRefused("decay holds counts that are negative or not numbers")
    if float(counts.sum()) < _LEAST_COUNTS:
        raise FitRefused(f"decay holds {float(counts.sum()):g} counts, at least {_LEAST_COUNTS:g} are needed")
    if data.response is not None and (
        data.response.shape != counts.shape
        or not np.all(np.isfinite(data.response))
        or np.any(data.response < 0)
        or not float(data.response.sum()) > 0.0
    ):
        raise FitRefused("measured response needs one count per bin, none negative, not all 0")
    left = data.left()
    if left is not None and np.any(left < counts):
        raise FitRefused(
            f"decay holds more first photons than pulses ({data.pulses:g}): were all photons counted?"
        )
    if _is_flat(counts):
        raise FitRefused("decay is flat: no pulse stands out of the background")


def _is_flat(counts: Array) -> bool:
    """Whether 20 groups of bins scatter no more than counting does."""
    groups = np.array([part.sum() for part in np.array_split(counts, 20)])
    size = np.array([part.size for part in np.array_split(counts, 20)])
    expected = counts.sum() * size / counts.size
    chi2 = float(np.sum((groups - expected) ** 2 / expected))
    return chi2 < 19.0 + 8.0 * math.sqrt(38.0)


def _solve(data: DecayData, n: int, sigma_s: float | None) -> Solution:
    counts = np.asarray(data.counts, dtype=np.float64)
    edges = np.asarray(data.edges_s, dtype=np.float64)
    response, left = data.response, data.left()
    if left is not None and data.pulses is not None:
        counts = -data.pulses * np.log1p(-np.minimum(counts / np.maximum(left, 1.0), 0.999))
    width = float(edges[1] - edges[0])
    span = float(edges[-1] - edges[0])
    guess = _guess(edges, counts, response)
    best: Solution | None = None
    for spread in (2.0, 4.0):
        factors = [1.0] if n == 1 else [spread ** (i - 0.5 * (n - 1)) for i in range(n)]
        parameters = [
            Parameter("background", guess["background"], 0.0, math.inf),
            Parameter("counts", guess["counts"], 0.0, math.inf),
            Parameter("start_s", guess["start"], edges[0] - span, edges[-1]),
            Parameter(
                "response_sigma_s",
                width if sigma_s is None else sigma_s,
                0.05 * width if sigma_s is None else 0.0,
                span,
                fixed=response is not None or sigma_s is not None,
            ),
        ]
        for i, factor in enumerate(factors):
            start = min(max(guess["lifetime"] * factor, 0.3 * width), 4.0 * span)
            parameters.append(Parameter(f"lifetime_s_{i + 1}", start, 0.1 * width, 5.0 * span))
        parameters += [Parameter(f"weight_{i + 1}", 1.0 / n, 0.0, 1.0) for i in range(n - 1)]
        solution = solve(lambda theta: _model(data, theta, n), _statistic(data), parameters)
        if best is None or (solution.converged, -solution.deviance) > (best.converged, -best.deviance):
            best = solution
    assert best is not None
    return best


def _guess(edges: Array, counts: Array, response: Array | None) -> dict[str, float]:
    """Background from the quietest tenth, start from the steepest rise, lifetime from the mean delay."""
    ordered = np.sort(counts)
    background = float(ordered[: max(counts.size // 10, 1)].mean())
    excess = np.maximum(counts - background, 0.0)
    peak = int(np.argmax(np.convolve(excess, np.ones(3) / 3.0, mode="same")))
    half = np.flatnonzero(excess[: peak + 1] >= 0.5 * excess[peak])
    start = float(edges[int(half[0]) if half.size else peak])
    if response is not None:
        start -= float(np.argmax(response)) * float(edges[1] - edges[0])
    centre = 0.5 * (edges[1:] + edges[:-1])
    after = centre >= centre[peak]
    share = excess[after] / max(float(excess[after].sum()), 1.0)
    lifetime = float(np.sum(share * (centre[after] - centre[peak]))) + float(edges[1] - edges[0])
    return {
        "background": max(background, 1e-3),
        "counts": max(float(excess.sum()), 1.0),
        "start": start,
        "lifetime": lifetime,
    }


def _bic(solution: Solution, data: DecayData) -> float:
    if not solution.converged:
        return math.inf
    return solution.deviance + int(solution.free.sum()) * math.log(max(float(np.sum(data.counts)), 2.0))


def _result(data: DecayData, solution: Solution, n: int, bic: dict[int, float]) -> DecayFit:
    what = f"decay with {n} lifetime{'s' if n > 1 else ''}"
    require_converged(solution, what)
    solution = _fastest_first(data, solution, n)
    covariance = covariance_or_refuse(solution, what)
    counts = np.asarray(data.counts, dtype=np.float64)
    goodness = poisson_goodness(counts, solution.model, int(solution.free.sum()))
    warnings = list(bound_warnings(solution))
    widening = 1.0
    if goodness.p_value < 1e-3 and goodness.chi2 > goodness.dof:
        widening = goodness.chi2 / goodness.dof
        covariance = covariance * widening
        warnings.append(
            f"model does not describe the decay (chi2 {goodness.chi2:.0f} for {goodness.dof}): errors were "
            f"widened by {math.sqrt(widening):.2f}"
        )
    estimates = Estimates(solution.names, solution.values, covariance)
    intervals_68, intervals_95 = _intervals(data, solution, estimates, n, widening, warnings)
    slowest = estimates[f"lifetime_s_{n}"]
    if data.response is not None and float(np.sum(data.response)) < float(counts.sum()):
        warnings.append(
            "the measured response holds fewer counts than the decay: its own noise is not in the errors"
        )
    if data.period_s is None and float(data.edges_s[-1]) - estimates["start_s"] < 4.0 * slowest:
        warnings.append(f"window ends before 4 lifetimes of {slowest * 1e9:.3g} ns: the slowest is uncertain")
    warnings += estimates.degenerate_pairs()
    return DecayFit(n, estimates, goodness, tuple(warnings), bic, intervals_68, intervals_95)


def _intervals(
    data: DecayData, solution: Solution, estimates: Estimates, n: int, widening: float, warnings: list[str]
) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]]]:
    """Profile intervals where a lifetime is so little known that the likelihood is not quadratic."""
    known = [estimates.value(f"lifetime_s_{i + 1}") for i in range(n)]
    if all(one.error < (_QUADRATIC if n > 1 else _QUADRATIC_ALONE) * one.value for one in known):
        return {}, {}
    found = decay_intervals(
        lambda theta: _model(data, theta, n), _statistic(data), solution, n, widening=widening
    )
    closed: list[dict[str, tuple[float, float]]] = [{}, {}]
    for name, levels in found.items():
        parameter = solution.parameters[solution.names.index(name)]
        for share, (low, high), kept in zip(("68", "95"), levels, closed, strict=True):
            kept[name] = (parameter.low if low is None else low, parameter.high if high is None else high)
            if low is None or high is None:
                side = "below" if low is None else "above"
                warnings.append(f"{name} has no limit {side} at {share} %: its interval ends at its bound")
    return closed[0], closed[1]


def _fastest_first(data: DecayData, solution: Solution, n: int) -> Solution:
    """The solution with its lifetimes sorted; the weights go along (the last is what the others leave)."""
    order = np.argsort(solution.values[4 : 4 + n])
    if np.array_equal(order, np.arange(n)):
        return solution
    values = solution.values.copy()
    weights = np.append(values[4 + n :], 1.0 - values[4 + n :].sum())
    values[4 : 4 + n], values[4 + n :] = values[4 : 4 + n][order], weights[order][: n - 1]
    parameters = [p if p.fixed else p.at(float(v)) for p, v in zip(solution.parameters, values, strict=True)]
    return solve(lambda theta: _model(data, theta, n), _statistic(data), parameters)
