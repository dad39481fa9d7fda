"""Errors of fits to pairs: how the pairs of bursts scatter, by the model and between time blocks.

*By the model* (:func:`expected_score_covariance`): one photon is in several pairs.

A Poisson number of photons of mean mu on each counter, with delays of density f, makes pairs that share their
start or their stop. For a score that adds phi(tau) for each pair, with G(t) = mean of phi over the stops that
a start at t may meet (and the same for stops), P pairs in the peak and phi_0 the mean of phi over them,

    cov = sum_all pairs phi phi^T + P [mu_stop <G G^T>_starts + mu_start <G G^T>_stops
          - 3/4 (mu_start + mu_stop) phi_0 phi_0^T].

The first bracket terms count triples of photons (Campbell's theorem for a Poisson process of bursts); the
last is what is taken out by expecting pairs in proportion to the root of both counters' tags. Their sum over
a score phi = 1 is P (1 + mu/2) for equal counters: what the pairs scatter by at the counted rates.

*Between blocks* (``Histogram.scatter``): true for any light, but itself known to sqrt(2/dof) only. Both are
put together (:func:`burst_covariance`) as Smyth does it for variances (Stat. Appl. Genet. Mol. Biol. 3 (2004)
3): a variance believed beforehand with d0 degrees of freedom and one measured with d make
(d0 V0 + d V)/(d0 + d), known with d0 + d degrees of freedom, by which values over errors follow Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.decay_model import in_bins
from labctl.fitting.estimates import covariance_or_refuse
from labctl.fitting.histogram import Histogram
from labctl.fitting.pair_model import PairModel
from labctl.fitting.solver import Solution
from labctl.fitting.student import reach, satterthwaite

Array = NDArray[np.float64]

_LIFETIMES = 12.0
_MOST_TIMES = 4096
_DOUBT = 0.1
_EXCESS_SIGMAS = 2.5


@dataclass(frozen=True, eq=False)
class PairScatter:
    """What is known of the scatter of one histogram's score.

    Args:
        expected: Its covariance by the model of bursts (p, p).
        measured: The same from the scatter between time blocks (p, p); None with fewer than 20.
        dof: Degrees of freedom of the measured one.
        pairs: Expected pairs (n,).
        score: What one pair in each bin adds to the score (n, p).
    """

    expected: Array
    measured: Array | None
    dof: float
    pairs: Array
    score: Array


def pair_scatter(
    histogram: Histogram, model: PairModel, theta: Array, jacobian: Array, mu: float
) -> PairScatter:
    """Scatter of a histogram's score, expected and measured.

    Args:
        histogram: What was fitted.
        model: Its model.
        theta: The model's best parameters.
        jacobian: Derivatives of the expected pairs by all p parameters of the fit (n, p).
        mu: Photons per burst, mean of both counters.
    """
    parts = model.parts(theta)
    pairs = parts.accidental + parts.peak
    measured = histogram.scatter(parts, jacobian)
    return PairScatter(
        expected_score_covariance(histogram, model, theta, jacobian, mu),
        measured,
        math.inf if measured is None else histogram.scatter_dof(),
        pairs,
        jacobian / pairs[:, None],
    )


def burst_covariance(
    solution: Solution, what: str, scatters: Sequence[PairScatter], known: Array | None = None
) -> tuple[Array, Array]:
    """Covariance whose roots are half widths of 68.3 % intervals, and the degrees of freedom behind it.

    The model's variance is believed to 10 % and to half of what bright bursts add to counting (bursts need
    not be Poisson). Where the blocks scatter by more than 2.5 of their own errors beyond it (drifts,
    blinking) they are believed alone. The scatter of few pairs is less certain than that of a normal score:
    the fourth cumulant of Poisson counts goes into the degrees of freedom.

    Args:
        solution: The fit.
        what: Its name, for the refusal.
        scatters: One for each histogram of pairs.
        known: Covariance of the score of all other data (p, p).

    Returns:
        Covariance (p, p), scaled by Student's t, and degrees of freedom of each parameter (p,).

    Raises:
        FitRefused: the data do not determine the parameters.
    """
    rest = np.zeros_like(solution.information) if known is None else known
    counting = covariance_or_refuse(solution, what)
    expected = covariance_or_refuse(solution, what, rest + sum(one.expected for one in scatters))
    dof = np.full(len(solution.values), 2.0 / _DOUBT**2)
    if all(one.measured is None for one in scatters):
        return expected * np.square(reach(2.0 / _DOUBT**2)), dof
    score = rest + sum(one.expected if one.measured is None else one.measured for one in scatters)
    scatter = covariance_or_refuse(solution, what, score)
    variance, believed = np.diag(scatter), np.diag(expected)
    seen = _degrees_of_freedom(solution, scatters, believed)
    finite = believed > 0.0
    bright = np.max((believed / np.diag(counting).clip(1e-300))[finite], initial=1.0) - 1.0
    before = 2.0 / (_DOUBT**2 + (0.5 * max(float(bright), 0.0)) ** 2)
    excess = variance[finite] > believed[finite] * (1.0 + _EXCESS_SIGMAS * np.sqrt(2.0 / seen[finite]))
    if np.any(excess):
        before = 0.0
    least = float(seen.min())
    weight = least / (least + before)
    covariance = weight * scatter + (1.0 - weight) * expected
    dof = seen + before
    stretch = reach(dof)
    return covariance * np.outer(stretch, stretch), dof


def _degrees_of_freedom(solution: Solution, scatters: Sequence[PairScatter], variance: Array) -> Array:
    """How well the blocks know each parameter's variance, as 2/(relative variance of that variance) (p,)."""
    inverse = solution.influence()
    parts: list[tuple[Array, float]] = []
    for one in scatters:
        if one.measured is None:
            continue
        parts.append((np.diag(inverse @ one.expected @ inverse), one.dof))
        # The fourth cumulant of a Poisson count is its mean.
        parts.append((np.sqrt(one.pairs @ (one.score @ inverse) ** 4), 2.0))
    return satterthwaite(variance, parts)


def expected_score_covariance(
    histogram: Histogram, model: PairModel, theta: Array, jacobian: Array, mu: float
) -> Array:
    """Covariance of the score of the pairs that bursts of a Poisson number of photons make, (p, p).

    Args:
        histogram: What was fitted.
        model: Its model; with blind counters each burst makes one pair at most (``Histogram.counted``).
        theta: The model's best parameters.
        jacobian: Derivatives of the expected pairs by all p parameters of the fit (n, p).
        mu: Photons per burst, mean of both counters.
    """
    parts = model.parts(theta)
    if model.blinding is not None:
        return histogram.counted(parts, jacobian)
    expected = parts.accidental + parts.peak
    score = jacobian / expected[:, None]
    result = jacobian.T @ score
    pairs = float(parts.peak.sum())
    if not (mu > 0.0 and pairs > 0.0):
        return np.asarray(result)
    mean = parts.peak @ score / pairs
    lag = histogram.edges_s - float(theta[-2])
    start, stop = (2.0 * mu * rate / sum(histogram.rates_per_s) for rate in histogram.rates_per_s)
    result += pairs * stop * _shared(score, lag, theta, model.n_lifetimes)
    result += pairs * start * _shared(score[::-1], -lag[::-1], theta, model.n_lifetimes)
    return np.asarray(result - 1.5 * mu * pairs * np.outer(mean, mean))


def _shared(score: Array, lag_s: Array, theta: Array, n_lifetimes: int) -> Array:
    """<G G^T> over the first photon of a pair, its partner in bins of ``lag_s`` (n + 1,) after it."""
    if n_lifetimes == 1:
        weights, lifetimes = [1.0], [float(theta[2])]
    else:
        weights, lifetimes = [float(theta[2]), 1.0 - float(theta[2])], [float(t) for t in theta[3:5]]
    # Both counters share the response; what one of them adds is not known, but half of the variance each.
    sigma, width = float(theta[-1]) / math.sqrt(2.0), float(lag_s[1] - lag_s[0])
    reach = _LIFETIMES * max(lifetimes) + 5.0 * sigma
    before = math.ceil(5.0 * sigma / width)
    count = min(before + math.ceil(reach / width), _MOST_TIMES)
    time = width * np.arange(-before, count - before)

    def decay(edges: Array) -> Array:
        parts = [w * in_bins(edges, t, sigma)[0] for w, t in zip(weights, lifetimes, strict=True)]
        return np.asarray(sum(parts))

    first = decay(np.append(time, time[-1] + width) - 0.5 * width)
    # Bin l of the lag and time u meet the partner at u + l: one row of bins serves all times.
    partner = decay(time[0] + lag_s[0] + width * np.arange(count + score.shape[0]))
    size = 1 << (count + score.shape[0]).bit_length()
    shape = np.fft.rfft(partner, size)[:, None] * np.conj(np.fft.rfft(score, size, axis=0))
    seen = np.fft.irfft(shape, size, axis=0)[:count]
    return np.asarray(seen.T @ (first[:, None] * seen))
