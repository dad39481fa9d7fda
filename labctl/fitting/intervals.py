"""Profile-likelihood intervals on request, by iminuit's MINOS: lopsided where the likelihood is.

Counting errors hold for MINOS as they do for any likelihood; where bursts make the pairs over-dispersed, or
first photons under-dispersed, the rise asked of the deviance is scaled by the variance ratio of the fit's own
(sandwich) error to the information's.

A single lifetime in which coupled light may be hidden (module ``hidden``): the interval of ``tau_slow_s`` is
that of the likelihood averaged over what may be hidden, so that it holds what the symmetric error holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.burst_scatter import burst_covariance, pair_scatter
from labctl.fitting.constraints import Constraint
from labctl.fitting.g2_fit import G2Options, g2_parameters
from labctl.fitting.g2_result import G2Fit
from labctl.fitting.hidden import hidden_interval, hidden_shifts
from labctl.fitting.histogram import Histogram
from labctl.fitting.joint_fit import JointFit
from labctl.fitting.joint_model import JointProblem
from labctl.fitting.pair_model import PairModel
from labctl.fitting.profile import Interval
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import Model, Parameter, PoissonCounts, Solution, Statistic, solve
from labctl.fitting.student import reach
from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData

Array = NDArray[np.float64]

WITH_HIDDEN = "tau_slow_s"
"""Name of the interval of a single lifetime with what may be hidden in it."""


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
    objective = _Objective(model, statistic, parameters)
    minuit = Minuit(objective, objective.start, grad=objective.gradient, name=[p.name for p in free])
    minuit.limits = [(p.low / s, p.high / s) for p, s in zip(free, objective.scale, strict=True)]
    minuit.errordef = 1.0
    minuit.strategy = 1
    minuit.migrad()
    if not minuit.valid:
        raise FitRefused("profile likelihood: iminuit does not find the minimum that the fit found")
    minuit.hesse()
    rises = [rise] * len(names) if isinstance(rise, (int, float)) else list(rise)
    scale = {p.name: float(s) for p, s in zip(free, objective.scale, strict=True)}
    best = {p.name: p.start for p in free}
    return {
        name: _minos(minuit, name, float(step), scale[name], best[name])
        for name, step in zip(names, rises, strict=True)
    }


class _Objective:
    """Deviance and priors' terms of the free parameters in units near 1, with the gradient of both."""

    def __init__(self, model: Model, statistic: Statistic, parameters: Sequence[Parameter]) -> None:
        self.model, self.statistic = model, statistic
        self.free = [p for p in parameters if not p.fixed]
        self.index = [i for i, p in enumerate(parameters) if not p.fixed]
        self.theta = np.array([p.start for p in parameters])
        # iminuit works best with numbers near 1.
        self.scale = np.array([abs(p.start) if p.start != 0.0 else 1.0 for p in self.free])
        self.start = self.theta[self.index] / self.scale
        self._last: tuple[bytes, float, Array] | None = None

    def __call__(self, scaled: Array) -> float:
        return self._evaluated(scaled)[0]

    def gradient(self, scaled: Array) -> Array:
        return self._evaluated(scaled)[1]

    def _evaluated(self, scaled: Array) -> tuple[float, Array]:
        key = np.asarray(scaled, dtype=np.float64).tobytes()
        if self._last is not None and self._last[0] == key:
            return self._last[1:]
        self.theta[self.index] = np.asarray(scaled) * self.scale
        with np.errstate(all="ignore"):
            expected, jacobian = self.model(self.theta)
            value = self.statistic.deviance(expected)
            slope = (self.statistic.data - expected) / self.statistic.variance(expected)
            gradient = -2.0 * (slope @ jacobian[:, self.index])
        for i, (p, number) in enumerate(zip(self.free, self.theta[self.index], strict=True)):
            if p.prior is not None:
                pull = (number - p.prior.value) / p.prior.error
                value += pull**2
                gradient[i] += 2.0 * pull / p.prior.error
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            value, gradient = 1e300, np.zeros_like(gradient)
        self._last = (key, float(value), gradient * self.scale)
        return self._last[1:]


def _minos(minuit: Any, name: str, rise: float, scale: float, best: float) -> Interval:
    minuit.errordef = rise
    minuit.minos(name)
    errors = minuit.merrors[name]
    found = float(minuit.values[name])
    low = (found + errors.lower) * scale if errors.lower_valid else None
    high = (found + errors.upper) * scale if errors.upper_valid else None
    return Interval(low, high, best)


def g2_intervals(
    pairs: PairBlocks,
    options: G2Options,
    fit: G2Fit,
    names: Sequence[str] = ("lifetime_fast_s", "lifetime_slow_s"),
    *,
    rise: float = 1.0,
) -> dict[str, Interval]:
    """Profile-likelihood intervals of a g2 fit with the scatter of the pairs of bright bursts.

    Args:
        pairs, options: As given to ``fit_g2``; with one lifetime and ``options.hidden`` the interval of
            ``tau_slow_s`` comes as well.
        fit: Its result.
        names: Parameters of the fit (``lifetime_s`` with one lifetime).
        rise: 1 for 68 %, 3.84 for 95 %.

    Raises:
        FitRefused: a parameter that the fit does not have or held, or no minimum.
    """
    histogram = Histogram(pairs)
    guess = np.array([fit.estimates["contrast_s"], fit.estimates["delay_s"], fit.tau_slow_s.value])
    parameters = [
        p if p.fixed else p.at(fit.estimates[p.name])
        for p in g2_parameters(histogram, options, fit.n_lifetimes, guess, fit.blinding)
    ]
    model = PairModel(histogram.edges_s, histogram.accidentals, fit.n_lifetimes, fit.form, fit.blinding)
    statistic = PoissonCounts(histogram.counts)
    solution = solve(model, statistic, parameters)
    scatter = pair_scatter(histogram, model, solution.values, solution.jacobian, fit.mu.value)
    errors = burst_covariance(solution, "profile likelihood", [scatter])
    found = _intervals(model, statistic, solution, errors, names, rise)
    spread = fit.hidden_shift_s.value != 0.0 or fit.hidden_shift_s.error > 0.0
    if spread and fit.n_lifetimes == 1 and "lifetime_s" in found:
        two = PairModel(histogram.edges_s, histogram.accidentals, 2, fit.form, fit.blinding)
        held = g2_parameters(histogram, options, 2, solution.values[[1, -2, 2]], fit.blinding)
        shifts, weights = hidden_shifts(two, statistic, held, solution, options.hidden)
        found[WITH_HIDDEN] = hidden_interval(found["lifetime_s"], shifts, weights, rise=rise)
    return found


def joint_intervals(
    spectrum: SpectrumData,
    pairs: PairBlocks,
    options: G2Options,
    fit: JointFit,
    names: Sequence[str] = ("shift_eV", "fraction", "lifetime_fast_s", "lifetime_slow_s"),
    *,
    constraints: tuple[Constraint, ...] = (),
    rise: float = 1.0,
) -> dict[str, Interval]:
    """Profile-likelihood intervals of a joint fit: pixels and pairs both count.

    Args:
        spectrum, pairs, options, constraints: As given to ``fit_joint``.
        fit: Its result.
        names: Parameters of the fit.
        rise: 1 for 68 %, 3.84 for 95 %.

    Raises:
        FitRefused: a parameter that the fit does not have or held, or no minimum.
        SpectrumRefused: frames that are no measurement.
    """
    problem = JointProblem(spectrum, pairs, options, fit.line_shape, constraints)
    parameters = [p if p.fixed else p.at(fit.estimates[p.name]) for p in problem.parameters]
    solution = solve(problem.model, problem.statistic, parameters)
    errors = problem.covariance(solution)[:2]
    return _intervals(problem.model, problem.statistic, solution, errors, names, rise)


def _intervals(
    model: Model,
    statistic: Statistic,
    solution: Solution,
    errors: tuple[Array, Array],
    names: Sequence[str],
    rise: float,
) -> dict[str, Interval]:
    """MINOS from a converged fit, the rise scaled to the variances that the data really have.

    ``errors`` are these with their degrees of freedom: 95 % reach further by Student's t where they are few.
    """
    free = {p.name for p in solution.parameters if not p.fixed}
    for name in names:
        if name not in free:
            raise FitRefused(f"{name} is not a free parameter of this fit: it has no interval")
    plain = solution.covariance()
    variance, dof = np.diag(errors[0]), errors[1]
    stretch = np.square(reach(dof, math.erf(math.sqrt(0.5 * rise))) / reach(dof))
    index = [solution.names.index(name) for name in names]
    rises = [float(stretch[i] * variance[i]) / max(float(plain[i, i]), 1e-300) for i in index]
    best = [
        p if p.fixed else replace(p, start=float(v))
        for p, v in zip(solution.parameters, solution.values, strict=True)
    ]
    return minos_intervals(model, statistic, best, names, rise=rises)
