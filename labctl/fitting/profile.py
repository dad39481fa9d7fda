"""How far a parameter can go before the likelihood has fallen: profile likelihood by repeated warm fits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.solver import Model, Solution, Statistic, solve

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A profile-likelihood interval.

    Args:
        low, high: Its ends; None where the bound of the parameter came first.
        value: Best value, between them.
        hidden_light: What may be hidden below the spectrum's sight was averaged over.
    """

    low: float | None
    high: float | None
    value: float
    hidden_light: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON; an end that is None is explained."""
        fields: dict[str, Any] = {"low": self.low, "value": self.value, "high": self.high}
        if self.low is None or self.high is None:
            fields["open"] = "the parameter's bound comes before the likelihood has fallen"
        if self.hidden_light:
            fields["averaged_over"] = "coupled light that the spectrum does not show"
        return fields


def profile_interval(
    model: Model, statistic: Statistic, solution: Solution, name: str, *, rise: float = 1.0
) -> Interval:
    """Where the profile deviance of one parameter has risen by ``rise`` (1 for 68 %, 3.84 for 95 %).

    All other free parameters are fitted again at every step. Priors count.

    Args:
        model, statistic: As given to the solver.
        solution: The converged fit.
        name: The parameter.
        rise: Rise of the deviance; larger than 1 by the variance ratio where counts are over-dispersed.
    """
    index = solution.names.index(name)
    step = math.sqrt(max(solution.covariance()[index, index], 0.0) * rise)
    ends = [_end(model, statistic, solution, index, direction * step, rise) for direction in (-1.0, 1.0)]
    return Interval(ends[0], ends[1], float(solution.values[index]))


def lopsided_covariance(model: Model, statistic: Statistic, solution: Solution, covariance: Array) -> Array:
    """Errors of two lifetimes from the profile likelihood where the fast one is poorly known.

    The likelihood of a weak fast component is lopsided: a fast lifetime that came out short has a small
    curvature error and a long way up, and drags the slow one along. Where its error is above 15 % the longer
    side becomes the error (the fast lifetime itself where it has no end); correlations are kept.

    Args:
        model, statistic, solution: The fit, with parameters ``lifetime_fast_s`` and ``lifetime_slow_s``.
        covariance: Its covariance; the rise asked of the deviance is scaled by its ratio to counting.
    """
    index = solution.names.index("lifetime_fast_s")
    bound = "lifetime_fast_s" in solution.at_bound
    fast, error = float(solution.values[index]), math.sqrt(covariance[index, index])
    if not bound and error < 0.15 * fast:
        return covariance
    plain = solution.covariance()
    scale = np.ones(len(solution.values))
    slow = solution.names.index("lifetime_slow_s")
    for i in [slow] if bound or error >= fast else [index, slow]:
        if solution.names[i] in solution.at_bound:
            continue
        sigma = math.sqrt(covariance[i, i])
        rise = max(float(covariance[i, i] / plain[i, i]), 0.5)
        interval = profile_interval(model, statistic, solution, solution.names[i], rise=rise)
        best = float(solution.values[i])
        ends = [abs(end - best) for end in (interval.low, interval.high) if end is not None]
        if interval.high is None and i == index:
            # Nothing but its bound stops the fast one. The slow one always has an end: none found means that
            # a fit on the way there did not converge, which says nothing about the error.
            ends.append(abs(best))
        scale[i] = max([1.0, *(end / sigma for end in ends)])
    return np.asarray(covariance * np.outer(scale, scale))


def _end(
    model: Model, statistic: Statistic, solution: Solution, index: int, step: float, rise: float
) -> float | None:
    """One end by stepping out and then regula falsi on the square root of the rise, which is near linear."""
    best = solution.deviance + solution.penalty
    parameter = solution.parameters[index]
    target = math.sqrt(rise)
    inside, outside = (0.0, -target), None
    values = solution.values
    at = step
    for _ in range(25):
        bound = parameter.high if step > 0 else parameter.low
        position = float(solution.values[index]) + at
        beyond = position >= bound if step > 0 else position <= bound
        position = bound if beyond else position
        fitted = _held(model, statistic, solution, index, position, values)
        if fitted is None:
            return None
        values = fitted.values
        excess = math.sqrt(max(fitted.deviance + fitted.penalty - best, 0.0)) - target
        if abs(excess) < 0.01 * target:
            return position
        distance = position - float(solution.values[index])
        if excess < 0.0:
            if beyond:
                return None
            inside = (distance, excess)
        else:
            outside = (distance, excess)
        if outside is None:
            at = distance * min(max(target / max(excess + target, 0.1 * target), 1.2), 3.0)
        else:
            share = -inside[1] / (outside[1] - inside[1])
            at = inside[0] + min(max(share, 0.05), 0.95) * (outside[0] - inside[0])
    return float(solution.values[index]) + at


def _held(
    model: Model, statistic: Statistic, solution: Solution, index: int, position: float, values: Array
) -> Solution | None:
    parameters = [p if p.fixed else p.at(float(v)) for p, v in zip(solution.parameters, values, strict=True)]
    own = solution.parameters[index]
    prior = own.prior
    parameters[index] = replace(own, start=position, fixed=True, prior=None)
    fitted = solve(model, statistic, parameters)
    if not fitted.converged:
        return None
    if prior is None:
        return fitted
    # A fixed parameter's own prior still weighs on where it is held.
    return replace(fitted, penalty=fitted.penalty + ((position - prior.value) / prior.error) ** 2)
