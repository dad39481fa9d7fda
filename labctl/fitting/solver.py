"""Fisher scoring for Poisson counts and for Gaussian data: one solver for every fit of the project.

Levenberg-Marquardt steps on the deviance: with model m, Jacobian J and variance v (v = m for Poisson) the
score is J^T (n - m)/v and the information J^T diag(1/v) J. A Gaussian prior adds its own quadratic term. The
solver calls a fit converged when the Newton decrement g^T H^-1 g, the squared distance still to go in units
of the errors, is below 1e-8; nothing else counts as converged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.value import Value

Array = NDArray[np.float64]
Model = Callable[[Array], tuple[Array, Array]]
"""Parameters (p,) -> expected data (n,) and its Jacobian (n, p)."""

DECREMENT = 1e-8
MAX_STEPS = 200


@dataclass(frozen=True)
class Parameter:
    """One parameter of a fit.

    Args:
        name: With its unit, as in ``"lifetime_fast_s"``.
        start: First guess.
        low, high: Bounds.
        fixed: Hold it at ``start``.
        prior: What is known beforehand, as a Gaussian.
    """

    name: str
    start: float
    low: float = -math.inf
    high: float = math.inf
    fixed: bool = False
    prior: Value | None = None

    def __post_init__(self) -> None:
        if not self.low <= self.start <= self.high:
            raise ValueError(
                f"{self.name} starts at {self.start}, outside its bounds {self.low} to {self.high}"
            )
        if self.prior is not None and self.prior.error == 0.0:
            raise ValueError(f"prior of {self.name} has no width: fix the parameter instead")

    def at(self, start: float) -> Parameter:
        """The same with another first guess, moved inside the bounds."""
        return replace(self, start=min(max(start, self.low), self.high))


class Statistic(Protocol):
    """How data scatter about a model."""

    def deviance(self, model: Array) -> float:
        """-2 ln L up to a constant; infinite where the model cannot be."""

    def variance(self, model: Array) -> Array:
        """Variance of each datum under the model."""

    @property
    def data(self) -> Array:
        """What was measured."""


@dataclass(frozen=True)
class PoissonCounts:
    """Counts n with deviance 2 sum [m - n + n ln(n/m)]."""

    data: Array

    def deviance(self, model: Array) -> float:
        """Poisson deviance; infinite for a model that is nowhere above 0."""
        if not (np.all(np.isfinite(model)) and float(model.min()) > 0.0):
            return math.inf
        n = self.data
        logarithm = np.log(np.where(n > 0.0, n / model, 1.0))
        return float(2.0 * np.sum(model - n + n * logarithm))

    def variance(self, model: Array) -> Array:
        """The model itself."""
        return model


@dataclass(frozen=True)
class GaussianData:
    """Data with known variances."""

    data: Array
    variances: Array

    def deviance(self, model: Array) -> float:
        """Chi-squared."""
        value = float(np.sum(np.square(self.data - model) / self.variances))
        return value if math.isfinite(value) else math.inf

    def variance(self, model: Array) -> Array:
        """As given."""
        return self.variances


@dataclass(frozen=True)
class Solution:
    """Where a fit ended.

    Args:
        parameters: As given, in the order of ``values``.
        values: Best parameters (p,).
        information: Expected information with priors, of all parameters (p, p).
        prior_information: The priors' share of it, diagonal (p,).
        score: Slope of the log-likelihood with priors at the end (p,); not 0 for a parameter on a bound.
        deviance: Of the data alone, without the priors' terms.
        penalty: The priors' terms.
        model, jacobian, variance: At the end.
        steps: Accepted steps.
        converged: See the module's docstring.
        at_bound: Names of parameters that lie on a bound.
    """

    parameters: tuple[Parameter, ...]
    values: Array
    information: Array
    prior_information: Array
    score: Array
    deviance: float
    penalty: float
    model: Array
    jacobian: Array
    variance: Array
    steps: int
    converged: bool
    at_bound: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def free(self) -> NDArray[np.bool_]:
        """Which parameters were not fixed (p,)."""
        return np.array([not parameter.fixed for parameter in self.parameters])

    @property
    def on_bound(self) -> NDArray[np.bool_]:
        """Which parameters ended on a bound (p,)."""
        return np.array([name in self.at_bound for name in self.names])

    def covariance(self, score_scatter: Array | None = None) -> Array:
        """Covariance of all parameters (p, p), zero rows for fixed ones.

        A parameter on a bound is held there for the others; its own error is one-sided, the distance over
        which the deviance rises by 1.

        Args:
            score_scatter: Measured covariance of the data's score (p, p). With it the sandwich
                H^-1 (scatter + prior) H^-1, without it H^-1.

        Raises:
            np.linalg.LinAlgError: the information is singular: the data do not determine the parameters.
        """
        result = self.influence()
        if score_scatter is not None:
            result = result @ (score_scatter + np.diag(self.prior_information)) @ result
        for index in np.flatnonzero(self.on_bound):
            result[index, index] = self._one_sided_error(int(index)) ** 2
        return result

    def influence(self) -> Array:
        """What a unit of score moves each parameter by, H^-1 (p, p); 0 for those fixed or on a bound.

        Raises:
            np.linalg.LinAlgError: the information is singular.
        """
        result = np.zeros_like(self.information)
        inside = np.flatnonzero(self.free & ~self.on_bound)
        if inside.size:
            result[np.ix_(inside, inside)] = inverse_information(self.information[np.ix_(inside, inside)])
        return result

    def _one_sided_error(self, index: int) -> float:
        """Distance d from a bound with H d^2 + 2 |g| d = 1; the parameter's size where nothing is known."""
        slope, curvature = abs(float(self.score[index])), float(self.information[index, index])
        if curvature > 0.0:
            return (math.sqrt(slope**2 + curvature) - slope) / curvature
        return 0.5 / slope if slope > 0.0 else max(abs(float(self.values[index])), 1.0)


def inverse_information(information: Array) -> Array:
    """Inverse of a positive matrix, scaled to unit diagonal first.

    Raises:
        np.linalg.LinAlgError: singular to working precision (scaled eigenvalue below 1e-13).
    """
    diagonal = np.diag(information)
    if not np.all(np.isfinite(information)) or np.any(diagonal <= 0.0):
        raise np.linalg.LinAlgError("a parameter has no influence on the model")
    scale = 1.0 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    if values[0] < 1e-13:
        raise np.linalg.LinAlgError("parameters cannot be told apart")
    return np.asarray(np.outer(scale, scale) * ((vectors / values) @ vectors.T))


def solve(
    model: Model, statistic: Statistic, parameters: Sequence[Parameter], *, max_steps: int = MAX_STEPS
) -> Solution:
    """Fit by Fisher scoring.

    Args:
        model: Expected data and Jacobian; may give non-finite numbers where it cannot be evaluated.
        statistic: The data and how they scatter.
        parameters: In the order in which ``model`` takes them.
        max_steps: Trials after which to stop, converged or not.

    Returns:
        The end point, converged or not: ask it.

    Raises:
        ValueError: the model is not finite at the start.
    """
    problem = _Problem(model, statistic, tuple(parameters))
    theta = np.array([parameter.start for parameter in parameters], dtype=np.float64)
    state = problem.evaluate(theta)
    if state is None:
        raise ValueError("the model cannot be evaluated at the first guess")
    damping, steps, converged = 1e-3, 0, False
    for _ in range(max_steps):
        moving = problem.moving(theta, state)
        if problem.decrement(state, moving) < DECREMENT:
            converged = True
            break
        trial = problem.try_step(theta, state, moving, damping)
        if trial is None:
            damping *= 10.0
            if damping > 1e12:
                break
            continue
        # Less damping where the step gained what was expected of it, more where it went too far: along a
        # curved valley full steps would go from side to side for ever.
        gain = problem.gain(theta, state, *trial)
        damping = max(damping * max(0.1, 1.0 - (2.0 * gain - 1.0) ** 3), 1e-12)
        theta, state = trial
        steps += 1
    return problem.solution(theta, state, steps, converged)


@dataclass(frozen=True)
class _State:
    model: Array
    jacobian: Array
    variance: Array
    score: Array
    information: Array
    objective: float
    deviance: float


class _Problem:
    """Objective, score and information of data and priors together."""

    def __init__(self, model: Model, statistic: Statistic, parameters: tuple[Parameter, ...]) -> None:
        self.model, self.statistic, self.parameters = model, statistic, parameters
        self.low = np.array([p.low for p in parameters])
        self.high = np.array([p.high for p in parameters])
        self.fixed = np.array([p.fixed for p in parameters])
        self.mean = np.array([p.prior.value if p.prior and not p.fixed else 0.0 for p in parameters])
        self.precision = np.array(
            [1.0 / p.prior.error**2 if p.prior and not p.fixed else 0.0 for p in parameters]
        )

    def penalty(self, theta: Array) -> float:
        return float(np.sum(self.precision * (theta - self.mean) ** 2))

    def evaluate(self, theta: Array) -> _State | None:
        with np.errstate(all="ignore"):
            model, jacobian = self.model(theta)
            deviance = self.statistic.deviance(model)
        if not math.isfinite(deviance) or not np.all(np.isfinite(jacobian)):
            return None
        variance = self.statistic.variance(model)
        weighted = jacobian / variance[:, None]
        score = weighted.T @ (self.statistic.data - model) - self.precision * (theta - self.mean)
        information = weighted.T @ jacobian + np.diag(self.precision)
        objective = deviance + self.penalty(theta)
        return _State(model, jacobian, variance, score, information, objective, deviance)

    def moving(self, theta: Array, state: _State) -> NDArray[np.intp]:
        """Parameters that may move: not fixed, not held at a bound by the score."""
        held = (theta <= self.low) & (state.score < 0.0) | (theta >= self.high) & (state.score > 0.0)
        return np.flatnonzero(~(self.fixed | held) & (np.diag(state.information) > 0.0))

    def step(self, state: _State, moving: NDArray[np.intp], damping: float) -> Array | None:
        if moving.size == 0:
            return np.zeros(0)
        matrix = state.information[np.ix_(moving, moving)]
        scale = 1.0 / np.sqrt(np.diag(matrix))
        scaled = matrix * np.outer(scale, scale) + damping * np.eye(moving.size)
        try:
            return np.asarray(scale * np.linalg.solve(scaled, scale * state.score[moving]))
        except np.linalg.LinAlgError:
            return None

    def decrement(self, state: _State, moving: NDArray[np.intp]) -> float:
        """Squared distance to the optimum in units of the errors, in a degenerate direction too."""
        if moving.size == 0:
            return 0.0
        matrix = state.information[np.ix_(moving, moving)]
        scale = 1.0 / np.sqrt(np.diag(matrix))
        values, vectors = np.linalg.eigh(matrix * np.outer(scale, scale))
        along = vectors.T @ (scale * state.score[moving])
        return float(np.sum(along**2 / np.maximum(values, 1e-12)))

    def try_step(
        self, theta: Array, state: _State, moving: NDArray[np.intp], damping: float
    ) -> tuple[Array, _State] | None:
        step = self.step(state, moving, damping)
        if step is None:
            return None
        trial = theta.copy()
        trial[moving] += step
        trial = np.clip(trial, self.low, self.high)
        if np.array_equal(trial, theta):
            return None
        after = self.evaluate(trial)
        if after is None or not after.objective < state.objective:
            return None
        return trial, after

    def gain(self, theta: Array, state: _State, trial: Array, after: _State) -> float:
        """Fall of the objective by a step, in units of the quadratic model's, at most 1."""
        step = trial - theta
        expected = float(2.0 * step @ state.score - step @ state.information @ step)
        return min((state.objective - after.objective) / expected, 1.0) if expected > 0.0 else 1.0

    def solution(self, theta: Array, state: _State, steps: int, converged: bool) -> Solution:
        edge = (theta <= self.low) | (theta >= self.high)
        bound = tuple(
            p.name for p, on_edge in zip(self.parameters, edge, strict=True) if on_edge and not p.fixed
        )
        return Solution(
            parameters=self.parameters,
            values=theta,
            information=state.information,
            prior_information=self.precision,
            score=state.score,
            deviance=state.deviance,
            penalty=self.penalty(theta),
            model=state.model,
            jacobian=state.jacobian,
            variance=state.variance,
            steps=steps,
            converged=converged,
            at_bound=bound,
        )
