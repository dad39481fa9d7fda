"""Time-resolved luminescence: lifetimes from the histogram of one detector after a pulse.

    counts_k = background + N sum_i w_i [bin integral of exp(-t/tau_i)/tau_i through the response]

The response is a Gaussian, or a measured one (histogram of the pulse in the same bins), with which the
decay is then convolved. Poisson likelihood. Number of lifetimes: one more where BIC = deviance + k
ln(counts) falls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.emission.response import exponential, normal_step
from labctl.fitting.estimates import (
    Estimates,
    Goodness,
    bound_warnings,
    covariance_or_refuse,
    poisson_goodness,
    require_converged,
    software,
)
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import Parameter, PoissonCounts, Solution, solve
from labctl.fitting.value import Value

Array = NDArray[np.float64]

_LEAST_COUNTS = 100.0


@dataclass(frozen=True, eq=False)
class DecayData:
    """Histogram of arrival times.

    Args:
        edges_s: Bin edges (n + 1,), rising, even.
        counts: Counts (n,).
        response: Histogram of the pulse in the same bins (n,); None for a Gaussian response.
    """

    edges_s: Array
    counts: Array
    response: Array | None = None


@dataclass(frozen=True, eq=False)
class DecayFit:
    """Lifetimes of one decay, fastest first.

    Args:
        n_lifetimes: In the model that was chosen.
        estimates: ``background``, ``counts``, ``start_s``, ``response_sigma_s``, ``lifetime_s_1``, ... and
            ``weight_1``, ... (share of the photons; the last lifetime has the rest).
        goodness: Pearson's chi-squared of bins joined to 20 counts.
        warnings: What limits the result.
    """

    n_lifetimes: int
    estimates: Estimates
    goodness: Goodness
    warnings: tuple[str, ...]

    def lifetime_s(self, number: int) -> Value:
        """Lifetime 1 (fastest) to ``n_lifetimes``."""
        return self.estimates.value(f"lifetime_s_{number}")

    def weight(self, number: int) -> Value:
        """Share of the photons with that lifetime."""
        if number < self.n_lifetimes:
            return self.estimates.value(f"weight_{number}")
        if self.n_lifetimes == 1:
            return Value(1.0, 0.0)
        index = [self.estimates.names.index(f"weight_{i}") for i in range(1, self.n_lifetimes)]
        variance = float(self.estimates.covariance[np.ix_(index, index)].sum())
        return Value(1.0 - float(self.estimates.values[index].sum()), math.sqrt(max(variance, 0.0)))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "software": software(),
            "n_lifetimes": self.n_lifetimes,
            "estimates": self.estimates.to_dict(),
            "goodness": self.goodness.to_dict(),
            "warnings": list(self.warnings),
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> DecayFit:
        """Back from :meth:`to_dict`."""
        return DecayFit(
            int(fields["n_lifetimes"]),
            Estimates.from_dict(fields["estimates"]),
            Goodness.from_dict(fields["goodness"]),
            tuple(fields["warnings"]),
        )


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
    chosen = min(fits, key=lambda n: _bic(fits[n], data))
    return _result(data, fits[chosen], chosen)


def decay_model(edges_s: Array, response: Array | None, theta: Array, n: int) -> tuple[Array, Array]:
    """Expected counts and Jacobian.

    Args:
        edges_s: Bin edges (m + 1,).
        response: Measured response (m,), normalised; None for a Gaussian.
        theta: background, counts, start, sigma, then n lifetimes, then n - 1 weights.
        n: Number of lifetimes.

    Returns:
        Counts (m,) and Jacobian (m, p).
    """
    background, total, start, sigma = (float(x) for x in theta[:4])
    lifetimes, weights = theta[4 : 4 + n], theta[4 + n :]
    shares = np.append(weights, 1.0 - weights.sum())
    # Counts of a measured response lie on average in the middle of their bins.
    middle = 0.0 if response is None else 0.5 * float(edges_s[1] - edges_s[0])
    x = edges_s - start - middle
    width = sigma if response is None else 0.0
    parts = [in_bins(x, float(lifetime), width, response) for lifetime in lifetimes]
    shape = sum(share * part[0] for share, part in zip(shares, parts, strict=True))
    jacobian = np.empty((edges_s.size - 1, theta.size))
    jacobian[:, 0], jacobian[:, 1] = 1.0, shape
    jacobian[:, 2] = total * sum(share * part[1] for share, part in zip(shares, parts, strict=True))
    jacobian[:, 3] = total * sum(share * part[3] for share, part in zip(shares, parts, strict=True))
    for i in range(n):
        jacobian[:, 4 + i] = total * shares[i] * parts[i][2]
        if i < n - 1:
            jacobian[:, 4 + n + i] = total * (parts[i][0] - parts[-1][0])
    return background + total * np.asarray(shape), jacobian


def in_bins(x: Array, lifetime_s: float, sigma_s: float, response: Array | None = None) -> list[Array]:
    """Share of a decay in each bin; its derivatives by start, lifetime and sigma.

    Args:
        x: Bin edges relative to the start (n + 1,).
        lifetime_s: Lifetime.
        sigma_s: Standard deviation of a Gaussian response, may be 0.
        response: Measured response (n,) to convolve with.

    With the cumulative C = Phi(x/s) - E(x):  dC/dx = E/T,  dC/dT = -E (x/T^2 - s^2/T^3) - G s^2/T^2,
    dC/ds = -E s/T^2 + G s/T  (the slopes of Phi and E at the rise combine).
    """
    T, s = lifetime_s, sigma_s
    if s == 0.0:
        tail = np.where(x >= 0.0, np.exp(-np.maximum(x, 0.0) / T), 0.0)
        cumulative, gauss = np.where(x >= 0.0, 1.0 - tail, 0.0), np.zeros_like(x)
    else:
        tail = exponential(x, T, s)
        cumulative = normal_step(x, s) - tail
        gauss = np.exp(-0.5 * np.square(x / s)) / (s * math.sqrt(2.0 * math.pi))
    by_lifetime = -tail * (x / T**2 - s**2 / T**3) - gauss * s**2 / T**2
    by_sigma = -tail * s / T**2 + gauss * s / T
    parts = [np.diff(cumulative), -np.diff(tail / T), np.diff(by_lifetime), np.diff(by_sigma)]
    return parts if response is None else [_convolved(part, response) for part in parts]


def _convolved(piece: Array, response: Array) -> Array:
    """Piece with the measured response, both in bins; the response's own bin 0 is time 0."""
    size = 2 * piece.size
    spectrum = np.fft.rfft(piece, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: piece.size])


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
    response = None if data.response is None else data.response / float(data.response.sum())
    edges = np.asarray(data.edges_s, dtype=np.float64)
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
        solution = solve(
            lambda theta: decay_model(edges, response, theta, n), PoissonCounts(counts), parameters
        )
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


def _result(data: DecayData, solution: Solution, n: int) -> DecayFit:
    what = f"decay with {n} lifetime{'s' if n > 1 else ''}"
    require_converged(solution, what)
    covariance = covariance_or_refuse(solution, what)
    values, covariance = _fastest_first(solution.values, covariance, n)
    counts = np.asarray(data.counts, dtype=np.float64)
    goodness = poisson_goodness(counts, solution.model, int(solution.free.sum()))
    warnings = list(bound_warnings(solution))
    if goodness.p_value < 1e-3 and goodness.chi2 > goodness.dof:
        factor = goodness.chi2 / goodness.dof
        covariance = covariance * factor
        warnings.append(
            f"model does not describe the decay (chi2 {goodness.chi2:.0f} for {goodness.dof}): errors were "
            f"widened by {math.sqrt(factor):.2f}"
        )
    estimates = Estimates(solution.names, values, covariance)
    slowest = estimates[f"lifetime_s_{n}"]
    if float(data.edges_s[-1]) - estimates["start_s"] < 4.0 * slowest:
        warnings.append(f"window ends before 4 lifetimes of {slowest * 1e9:.3g} ns: the slowest is uncertain")
    return DecayFit(n, estimates, goodness, (*warnings, *estimates.degenerate_pairs()))


def _fastest_first(values: Array, covariance: Array, n: int) -> tuple[Array, Array]:
    """Lifetimes sorted, with the weights carried along (the last weight is what the others leave)."""
    order = np.argsort(values[4 : 4 + n])
    if np.array_equal(order, np.arange(n)):
        return values, covariance
    # All n weights are a linear function of the n - 1 fitted ones: permuted and cut again, exactly.
    transform = np.eye(values.size)
    transform[4 : 4 + n, 4 : 4 + n] = np.eye(n)[order]
    full = np.vstack([np.eye(n - 1), -np.ones((1, n - 1))])
    transform[4 + n :, 4 + n :] = full[order][: n - 1]
    offset = np.zeros(values.size)
    offset[4 + n :] = np.where(order[: n - 1] == n - 1, 1.0, 0.0)
    return transform @ values + offset, transform @ covariance @ transform.T
