"""Lifetimes from a start-stop histogram by the Poisson likelihood.

The coupled share of the light comes from the spectrum as a Gaussian prior (its own error), or is held
there, or is free. Errors come from counting and the scatter between time blocks (sandwich): bursts of many
photons make pairs that are not independent, and counting alone would claim too much.

One lifetime or two: two where the deviance falls by more than 2 ln(pairs in the peak), the BIC for two more
parameters, after division by the Fano factor of the peak, (1 + mu)^2 without dead time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.blinding import Blinding
from labctl.fitting.burst_scatter import burst_covariance, pair_scatter
from labctl.fitting.constraints import Constraint, constrained
from labctl.fitting.estimates import (
    Estimates,
    bound_warnings,
    poisson_goodness,
    require_converged,
)
from labctl.fitting.g2_result import NOTHING_HIDDEN, G2Fit
from labctl.fitting.g2_start import QUICKEST_S, first_guess, require_pairs
from labctl.fitting.g2_warnings import limit_warnings
from labctl.fitting.hidden import hidden_shift
from labctl.fitting.histogram import MIN_BLOCKS, Histogram
from labctl.fitting.pair_model import TWO_LIFETIMES, Form, PairModel
from labctl.fitting.profile import lopsided_covariance
from labctl.fitting.solver import Parameter, PoissonCounts, Solution, solve
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks

Array = NDArray[np.float64]
Pin = Literal["prior", "fixed", "free"]

SPAD_DEAD_TIME_S = 77e-9


@dataclass(frozen=True)
class G2Options:
    """How to fit a histogram.

    Args:
        response_sigma_s: Standard deviation of the start-stop timing response.
        fraction: Coupled share of the light from the spectrum; None where there is none.
        hidden: With one lifetime: coupled share in a peak of the spectrum that was not significant. The
            uncoupled lifetime is then averaged over what may be hidden (see the module ``hidden``).
        pin: ``"prior"`` uses its error, ``"fixed"`` holds it, ``"free"`` ignores it.
        n_lifetimes: 1 or 2; None chooses.
        form: Exact pair density, or the naive double exponential of some papers.
        dead_time_s: Dead time of the detectors; longer than the burst it leaves only first photons, which the
            model then describes. 0 for none.
        background_Hz: Counts of start and stop without bursts (dark counts, stray light).
        delay_s: Known delay between the counters; None fits it.
        response_prior: Fit the response with this knowledge instead of holding it.
        level_free: Let the far level differ from 1 (slow drifts).
        constraints: Parameters held, bounded or known beforehand; those of other fits are passed over.
    """

    response_sigma_s: float
    fraction: Value | None = None
    hidden: Value = NOTHING_HIDDEN
    pin: Pin = "prior"
    n_lifetimes: int | None = None
    form: Form = "exact"
    dead_time_s: float = SPAD_DEAD_TIME_S
    background_Hz: tuple[float, float] = (0.0, 0.0)
    delay_s: float | None = None
    response_prior: Value | None = None
    level_free: bool = True
    constraints: tuple[Constraint, ...] = ()


def fit_g2(pairs: PairBlocks, options: G2Options) -> G2Fit:
    """Fit one or two lifetimes to a histogram of pairs.

    Raises:
        FitRefused: no pairs, no rates, no peak above the accidental level, no convergence, too few bins.
    """
    require_pairs(pairs, options.response_sigma_s, options.dead_time_s)
    histogram = Histogram(pairs)
    guess = first_guess(histogram.edges_s, histogram.counts, histogram.accidentals, options.response_sigma_s)
    one = _solve(histogram, options, 1, guess)
    histogram.require_peak(one)
    blinding = _blinding(histogram, options, one)
    counts = (options.n_lifetimes,) if options.n_lifetimes else (1, 2)
    fits = {n: _solve(histogram, options, n, one.values[[1, -2, 2]], blinding) for n in counts}
    gain = 0.0
    if 1 in fits and 2 in fits:
        gain = _bic_gain(fits[1], fits[2], histogram, _fano(histogram, options, blinding, one))
    chosen = options.n_lifetimes or (2 if gain > 0.0 and fits[2].converged else 1)
    return _result(histogram, options, chosen, fits[chosen], blinding, gain)


def g2_parameters(
    histogram: Histogram, options: G2Options, n: int, guess: Array, blinding: Blinding | None
) -> list[Parameter]:
    """Parameters with the usual bounds; ``guess`` is (contrast, delay, lifetime of a single exponential)."""
    contrast, delay, lifetime = (float(x) for x in guess)
    window = float(histogram.edges_s[-1] - histogram.edges_s[0]) / 2.0
    # Far below the timing response nothing depends on a lifetime any more.
    shortest = 0.2 * max(options.response_sigma_s, 0.3 * histogram.bin_s)
    level_held = not options.level_free or histogram.few_accidentals(blinding, contrast)

    def parameter(name: str, start: float, low: float, high: float, **rest: Any) -> Parameter:
        return Parameter(name, min(max(start, low), high), low, high, **rest)

    result = [
        parameter("level", 1.0, 0.0, math.inf, fixed=level_held),
        parameter("contrast_s", contrast, 0.0, math.inf),
    ]
    if n == 1:
        result.append(parameter("lifetime_s", lifetime, shortest, window))
    else:
        known = options.fraction
        start = known.value if known is not None and options.pin != "free" else 0.5
        prior = known if known is not None and options.pin == "prior" and known.error > 0.0 else None
        held = known is not None and (
            options.pin == "fixed" or (options.pin == "prior" and known.error == 0.0)
        )
        result += [
            parameter("fraction", min(max(start, 0.0), 1.0), 0.0, 1.0, prior=prior, fixed=held),
            parameter("lifetime_fast_s", lifetime, shortest, window),
            parameter("lifetime_slow_s", lifetime, shortest, window),
        ]
    known_delay = options.delay_s
    result.append(
        Parameter("delay_s", known_delay, fixed=True)
        if known_delay is not None
        else parameter("delay_s", delay, float(histogram.edges_s[0]), float(histogram.edges_s[-1]))
    )
    sigma = options.response_sigma_s
    result.append(
        Parameter("response_sigma_s", sigma, QUICKEST_S, 0.25 * window, fixed=True)
        if options.response_prior is None
        else parameter("response_sigma_s", sigma, 0.05 * sigma, 20.0 * sigma, prior=options.response_prior)
    )
    return constrained(result, options.constraints)


def _solve(
    histogram: Histogram, options: G2Options, n: int, guess: Array, blinding: Blinding | None = None
) -> Solution:
    """Best solution from one or several first guesses."""
    model = PairModel(histogram.edges_s, histogram.accidentals, n, options.form, blinding)
    statistic = PoissonCounts(histogram.counts)
    parameters = g2_parameters(histogram, options, n, guess, blinding)
    starts: list[list[Parameter]] = []
    if n == 1:
        starts.append(parameters)
    else:
        for fast, slow in ((0.5, 1.3), (0.15, 1.05), (0.8, 3.0)):
            moved = list(parameters)
            for index, factor in ((3, fast), (4, slow)):
                if not moved[index].fixed:
                    moved[index] = moved[index].at(float(guess[2]) * factor)
            starts.append(moved)
    return max((solve(model, statistic, first) for first in starts), key=_rank)


def _rank(solution: Solution) -> tuple[bool, float]:
    """The likelier solution is better; coupled light is the faster unless two errors speak against it."""
    inverted = solution.values.size == len(TWO_LIFETIMES) and solution.values[3] > solution.values[4]
    return solution.converged, -(solution.deviance + solution.penalty + (4.0 if inverted else 0.0))


def _blinding(histogram: Histogram, options: G2Options, one: Solution) -> Blinding | None:
    """What the dead time does, where it is longer than the bursts."""
    if options.form != "exact" or options.dead_time_s < 5.0 * float(one.values[2]):
        return None
    share = histogram.signal_share(options.background_Hz, options.dead_time_s)
    return Blinding(histogram.rates_per_s, options.dead_time_s, share)


def _mu(histogram: Histogram, options: G2Options, blinding: Blinding | None, contrast_s: float) -> float:
    """Detected photons per burst, mean of both detectors: R_start C = f_stop mu_start without dead time."""
    if blinding is not None:
        return 0.5 * sum(blinding.mu(contrast_s))
    start, stop = histogram.rates_per_s
    start_share, stop_share = histogram.signal_share(options.background_Hz)
    return 0.5 * contrast_s * (start / stop_share + stop / start_share)


def _fano(histogram: Histogram, options: G2Options, blinding: Blinding | None, solution: Solution) -> float:
    """Fano factor of the peak; one photon per burst and detector makes one pair at most: 1."""
    if blinding is not None:
        return 1.0
    return (1.0 + _mu(histogram, options, None, float(solution.values[1]))) ** 2


def _bic_gain(one: Solution, two: Solution, histogram: Histogram, fano: float) -> float:
    if not two.converged:
        return -math.inf if one.converged else 0.0
    extra = int(two.free.sum()) - int(one.free.sum())
    better = one.deviance - two.deviance - two.penalty
    return better / fano - extra * math.log(max(histogram.excess(one), 2.0))


def _result(
    histogram: Histogram,
    options: G2Options,
    n: int,
    solution: Solution,
    blinding: Blinding | None,
    gain: float,
) -> G2Fit:
    what = f"g2 with {n} lifetime{'s' if n > 1 else ''}"
    require_converged(solution, what)
    model = PairModel(histogram.edges_s, histogram.accidentals, n, options.form, blinding)
    mu = _mu(histogram, options, blinding, float(solution.values[1]))
    scatter = pair_scatter(histogram, model, solution.values, solution.jacobian, mu)
    covariance, dof = burst_covariance(solution, what, [scatter])
    warnings = list(bound_warnings(solution))
    if scatter.measured is None:
        warnings.append(
            f"{histogram.blocks.pairs.shape[0]} time blocks are too few for errors from their scatter "
            f"({MIN_BLOCKS} asked for): errors are those of bursts with a Poisson number of photons"
        )
    shift = NOTHING_HIDDEN
    if n == 1 and options.hidden.value + options.hidden.error > 0.0:
        shift = _hidden_shift(histogram, options, solution, blinding)
    if n == 2:
        covariance = lopsided_covariance(model, PoissonCounts(histogram.counts), solution, covariance)
    estimates = Estimates(solution.names, solution.values, covariance, dof)
    brightness = _mu_value(histogram, options, blinding, estimates.value("contrast_s"))
    goodness = poisson_goodness(histogram.counts, solution.model, int(solution.free.sum()))
    if goodness.p_value < 1e-3 and goodness.chi2 > goodness.dof:
        warnings.append(
            f"model does not describe the histogram (chi2 {goodness.chi2:.0f} for {goodness.dof}): "
            "errors hold for a right model only"
        )
    mu_model = 0.0 if blinding is None else brightness.value
    warnings += limit_warnings(estimates, histogram, options, n, brightness, mu_model)
    return G2Fit(
        n_lifetimes=n,
        form=options.form,
        estimates=estimates,
        goodness=goodness,
        bic_gain=gain if math.isfinite(gain) else 0.0,
        mu=brightness,
        mu_model=mu_model,
        fano=_fano(histogram, options, blinding, solution),
        bin_s=histogram.bin_s,
        at_bound=solution.at_bound,
        warnings=(*warnings, *estimates.degenerate_pairs()),
        blinding=blinding,
        hidden_shift_s=shift,
    )


def _mu_value(histogram: Histogram, options: G2Options, blinding: Blinding | None, contrast: Value) -> Value:
    """Photons per burst with the error that the contrast's (at the counted rates) makes in them."""
    best = _mu(histogram, options, blinding, contrast.value)
    step = 1e-4 * contrast.value
    slope = (_mu(histogram, options, blinding, contrast.value + step) - best) / step if step > 0.0 else 0.0
    return Value(best, slope * contrast.error, contrast.dof)


def _hidden_shift(
    histogram: Histogram, options: G2Options, one: Solution, blinding: Blinding | None
) -> Value:
    """What a second component below the spectrum's sight makes in the lifetime."""
    model = PairModel(histogram.edges_s, histogram.accidentals, 2, options.form, blinding)
    parameters = g2_parameters(histogram, options, 2, one.values[[1, -2, 2]], blinding)
    return hidden_shift(model, PoissonCounts(histogram.counts), parameters, one, options.hidden)
