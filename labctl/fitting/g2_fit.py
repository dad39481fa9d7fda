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
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from labctl.emission.components import mixture_density_per_s, naive_pair_shares, pair_shares
from labctl.fitting.blinding import Blinding
from labctl.fitting.constraints import Constraint, constrained
from labctl.fitting.estimates import (
    Estimates,
    Goodness,
    bound_warnings,
    burst_covariance,
    covariance_or_refuse,
    poisson_goodness,
    poisson_residuals,
    require_converged,
    software,
)
from labctl.fitting.g2_start import first_guess, require_pairs
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
NOTHING_HIDDEN = Value(0.0, 0.0)


@dataclass(frozen=True, eq=False)
class G2Fit:
    """Lifetimes of one histogram.

    Args:
        n_lifetimes: 1 or 2.
        form: ``"exact"``, or ``"naive"`` double exponential.
        estimates: Parameters as in ``pair_model.ONE_LIFETIME`` or ``TWO_LIFETIMES``.
        goodness: Pearson's chi-squared of bins joined to 20 pairs.
        bic_gain: Gain of two lifetimes over one after the penalty; above 0 speaks for two.
        mu: Detected photons per burst, mean of the two detectors (too low where part of the light is
            background that was not told).
        mu_model: The same where the model describes the dead time, 0 where it does not.
        fano: Fano factor of the peak, (1 + mu)^2; 1 where dead time leaves one photon per burst.
        bin_s: Bin width, over which curves are not averaged.
        at_bound: Parameters that ended on a bound; their errors are one-sided.
        warnings: What limits the result.
        blinding: The dead time that the model describes; None without.
        hidden_shift_s: With one lifetime: how much longer the uncoupled light lives if a weak coupled
            component is hidden in it, mean and spread over what may be.
    """

    n_lifetimes: int
    form: Form
    estimates: Estimates
    goodness: Goodness
    bic_gain: float
    mu: Value
    mu_model: float
    fano: float
    bin_s: float
    at_bound: tuple[str, ...]
    warnings: tuple[str, ...]
    blinding: Blinding | None = None
    hidden_shift_s: Value = NOTHING_HIDDEN

    @property
    def tau_fast_s(self) -> Value | None:
        """Lifetime of the coupled light; None with one lifetime."""
        return self.estimates.value("lifetime_fast_s") if self.n_lifetimes == 2 else None

    @property
    def tau_slow_s(self) -> Value:
        """Lifetime of the uncoupled light; with one lifetime that one, with what may be hidden in it."""
        fitted = self.estimates.value("lifetime_slow_s" if self.n_lifetimes == 2 else "lifetime_s")
        shift = self.hidden_shift_s
        return Value(fitted.value + shift.value, math.hypot(fitted.error, shift.error))

    def curve(self, lag_ps: Array) -> Array:
        """The fitted g2 at lags in ps, normalised by the count rates, through the timing response."""
        lag = np.asarray(lag_ps, dtype=np.float64) * 1e-12 - self.estimates["delay_s"]
        if self.n_lifetimes == 1:
            weights, lifetimes = np.array([1.0]), np.array([self.estimates["lifetime_s"]])
        else:
            fraction = self.estimates["fraction"]
            weights = np.array([fraction, 1.0 - fraction])
            lifetimes = np.array([self.estimates["lifetime_fast_s"], self.estimates["lifetime_slow_s"]])
        level, contrast = self.estimates["level"], self.estimates["contrast_s"]
        sigma = self.estimates["response_sigma_s"]
        if self.blinding is not None:
            return self.blinding.curve(lag, (level, contrast, sigma), weights, lifetimes)
        shares = (pair_shares if self.form == "exact" else naive_pair_shares)(weights, lifetimes)
        return level + contrast * mixture_density_per_s(shares, lifetimes, lag, sigma)

    def residuals(self, pairs: PairBlocks) -> tuple[Array, Array]:
        """What the fit leaves over.

        Args:
            pairs: The histogram that was fitted.

        Returns:
            Lags in ps (k,), bins with few pairs joined, and signed roots of the deviance, counted less
            fitted, in standard deviations (k,).
        """
        histogram = Histogram(pairs)
        edges, accidentals = histogram.edges_s, histogram.accidentals
        model = PairModel(edges, accidentals, self.n_lifetimes, self.form, self.blinding)
        return poisson_residuals(pairs.lag_ps, histogram.counts, model(self.estimates.values)[0])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "software": software(),
            "n_lifetimes": self.n_lifetimes,
            "form": self.form,
            "estimates": self.estimates.to_dict(),
            "goodness": self.goodness.to_dict(),
            "bic_gain": self.bic_gain,
            "mu": self.mu.to_dict(),
            "mu_model": self.mu_model,
            "fano": self.fano,
            "bin_s": self.bin_s,
            "at_bound": list(self.at_bound),
            "warnings": list(self.warnings),
            "blinding": None if self.blinding is None else self.blinding.to_dict(),
            "hidden_shift_s": self.hidden_shift_s.to_dict(),
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> G2Fit:
        """Back from :meth:`to_dict`."""
        return G2Fit(
            n_lifetimes=int(fields["n_lifetimes"]),
            form=fields["form"],
            estimates=Estimates.from_dict(fields["estimates"]),
            goodness=Goodness.from_dict(fields["goodness"]),
            bic_gain=float(fields["bic_gain"]),
            mu=cast(Value, Value.from_dict(fields["mu"])),
            mu_model=float(fields["mu_model"]),
            fano=float(fields["fano"]),
            bin_s=float(fields["bin_s"]),
            at_bound=tuple(fields["at_bound"]),
            warnings=tuple(fields["warnings"]),
            # Runs of earlier versions have neither.
            blinding=Blinding.from_dict(fields["blinding"]) if fields.get("blinding") else None,
            hidden_shift_s=Value.from_dict(fields.get("hidden_shift_s")) or NOTHING_HIDDEN,
        )


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
    histogram = Histogram(pairs)
    require_pairs(pairs, options.response_sigma_s)
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
        Parameter("response_sigma_s", sigma, fixed=True)
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
    parts = model.parts(solution.values)
    scatter = histogram.scatter(parts, solution.jacobian)
    counted = None if blinding is None else histogram.counted(parts, solution.jacobian)
    fano = _fano(histogram, options, blinding, solution)
    warnings = list(bound_warnings(solution))
    if scatter is not None:
        n_blocks = histogram.blocks.n_blocks
        covariance = burst_covariance(solution, what, scatter, n_blocks=n_blocks, fano=fano, counted=counted)
    else:
        covariance = covariance_or_refuse(solution, what, counted) * fano
        warnings.append(
            f"{histogram.blocks.pairs.shape[0]} time blocks are too few for errors from their scatter "
            f"({MIN_BLOCKS} asked for): counting errors times 1 + mu were used"
        )
    shift = NOTHING_HIDDEN
    if n == 1 and options.hidden.value + options.hidden.error > 0.0:
        shift = _hidden_shift(histogram, options, solution, blinding)
    if n == 2:
        covariance = lopsided_covariance(model, PoissonCounts(histogram.counts), solution, covariance)
    estimates = Estimates(solution.names, solution.values, covariance)
    mu = _mu_value(histogram, options, blinding, estimates.value("contrast_s"))
    goodness = poisson_goodness(histogram.counts, solution.model, int(solution.free.sum()))
    if goodness.p_value < 1e-3 and goodness.chi2 > goodness.dof:
        warnings.append(
            f"model does not describe the histogram (chi2 {goodness.chi2:.0f} for {goodness.dof}): "
            "errors hold for a right model only"
        )
    mu_model = 0.0 if blinding is None else mu.value
    warnings += limit_warnings(estimates, histogram, options, n, mu, mu_model)
    return G2Fit(
        n_lifetimes=n,
        form=options.form,
        estimates=estimates,
        goodness=goodness,
        bic_gain=gain if math.isfinite(gain) else 0.0,
        mu=mu,
        mu_model=mu_model,
        fano=fano,
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
    return Value(best, slope * contrast.error)


def _hidden_shift(
    histogram: Histogram, options: G2Options, one: Solution, blinding: Blinding | None
) -> Value:
    """What a second component below the spectrum's sight makes in the lifetime."""
    model = PairModel(histogram.edges_s, histogram.accidentals, 2, options.form, blinding)
    parameters = g2_parameters(histogram, options, 2, one.values[[1, -2, 2]], blinding)
    return hidden_shift(model, PoissonCounts(histogram.counts), parameters, one, options.hidden)
