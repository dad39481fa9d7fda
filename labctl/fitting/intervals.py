"""Profile-likelihood intervals on request, by iminuit's MINOS: lopsided where the likelihood is.

Counting errors hold for MINOS as they do for any likelihood; where bursts make the pairs over-dispersed the
rise asked of the deviance is larger by the variance ratio of the fit's own (sandwich) error to the counting
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.g2_fit import G2Options, g2_parameters
from labctl.fitting.g2_result import G2Fit
from labctl.fitting.histogram import Histogram
from labctl.fitting.pair_model import PairModel
from labctl.fitting.profile import Interval
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import Model, Parameter, PoissonCounts, Statistic, solve
from labctl.photons.g2 import PairBlocks

Array = NDArray[np.float64]


def minos_intervals(
    model: Model,
    statistic: Statistic,
    parameters: Sequence[Parameter],
    names: Sequence[str],
    *,
    rise: float | Sequence[float] = 1.0,
) -> dict[str, Interval]:
    """Profile-likelihood intervals of some parameters.

    Args:
        model, statistic: As for the solver.
        parameters: Their starts are the best values of a converged fit.
        names: Which parameters.
        rise: Rise of the deviance at the ends, one for all or one for each name: 1 for 68 %, 3.84 for 95 %.

    Returns:
        Per name; an end is None where MINOS found none before the parameter's bound.

    Raises:
        FitRefused: iminuit does not find the minimum.
    """
    from iminuit import Minuit

    free = [p for p in parameters if not p.fixed]
    index = [i for i, p in enumerate(parameters) if not p.fixed]
    theta = np.array([p.start for p in parameters])
    # iminuit works best with numbers near 1.
    scale = np.array([abs(p.start) if p.start != 0.0 else 1.0 for p in free])

    def objective(scaled: Array) -> float:
        theta[index] = scaled * scale
        with np.errstate(all="ignore"):
            value = statistic.deviance(model(theta)[0])
        for p, number in zip(free, theta[index], strict=True):
            if p.prior is not None:
                value += ((number - p.prior.value) / p.prior.error) ** 2
        return float(value) if np.isfinite(value) else 1e300

    minuit = Minuit(objective, theta[index] / scale, name=[p.name for p in free])
    minuit.limits = [(p.low / s, p.high / s) for p, s in zip(free, scale, strict=True)]
    minuit.errordef = 1.0
    minuit.strategy = 1
    minuit.migrad()
    if not minuit.valid:
        raise FitRefused("profile likelihood: iminuit does not find the minimum that the fit found")
    rises = [rise] * len(names) if isinstance(rise, (int, float)) else list(rise)
    return {
        name: _minos(minuit, name, float(step), float(scale[[p.name for p in free].index(name)]))
        for name, step in zip(names, rises, strict=True)
    }


def _minos(minuit: object, name: str, rise: float, scale: float) -> Interval:
    minuit.errordef = rise  # type: ignore[attr-defined]
    minuit.hesse()  # type: ignore[attr-defined]
    minuit.minos(name)  # type: ignore[attr-defined]
    errors = minuit.merrors[name]  # type: ignore[attr-defined]
    best = float(minuit.values[name])  # type: ignore[attr-defined]
    low = (best + errors.lower) * scale if errors.lower_valid else None
    high = (best + errors.upper) * scale if errors.upper_valid else None
    return Interval(low, high)


def g2_intervals(
    pairs: PairBlocks,
    options: G2Options,
    fit: G2Fit,
    names: Sequence[str] = ("lifetime_fast_s", "lifetime_slow_s"),
    *,
    rise: float = 1.0,
) -> dict[str, Interval]:
    """Profile-likelihood intervals of a g2 fit, widened for over-dispersed pairs.

    Args:
        pairs, options: As given to ``fit_g2``.
        fit: Its result.
        names: Parameters of the fit (``lifetime_s`` with one lifetime).
        rise: 1 for 68 %, 3.84 for 95 %.

    Raises:
        FitRefused: a parameter that the fit does not have or held, or no minimum.
    """
    histogram = Histogram(pairs)
    guess = np.array([fit.estimates["contrast_s"], fit.estimates["delay_s"], fit.tau_slow_s.value])
    parameters = [
        p if p.fixed else replace(p, start=min(max(fit.estimates[p.name], p.low), p.high))
        for p in g2_parameters(histogram, options, fit.n_lifetimes, guess, fit.blinding)
    ]
    held = {p.name for p in parameters if p.fixed}
    for name in names:
        if name not in fit.estimates or name in held:
            raise FitRefused(f"{name} is not a free parameter of this fit: it has no interval")
    model = PairModel(histogram.edges_s, histogram.accidentals, fit.n_lifetimes, fit.form, fit.blinding)
    statistic = PoissonCounts(histogram.counts)
    plain = solve(model, statistic, parameters).covariance()
    rises = []
    for name in names:
        i = fit.estimates.names.index(name)
        ratio = float(fit.estimates.covariance[i, i]) / max(float(plain[i, i]), 1e-300)
        rises.append(rise * max(ratio, 1.0))
    return minos_intervals(model, statistic, parameters, names, rise=rises)
