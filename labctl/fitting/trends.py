"""How the fitted numbers run with temperature: laws with error bands, cooling and warming apart.

* lifetime: tau(T) = tau_300 exp[-A_X (1/T - 1/300)], A_X of the second paper's rate ratio; the crossover
  temperature where the rate ratio reaches R* is 1/T_c = 1/300 + ln(R*) / A_X;
* coupled fraction: logistic step of height ``rise`` above ``warm`` around ``midpoint_K``; its onset is
where a
  tenth of the rise has happened;
* red-shift, widths: straight line in temperature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.estimates import (
    Estimates,
    Goodness,
    bound_warnings,
    chi2_goodness,
    covariance_or_refuse,
    require_converged,
    software,
)
from labctl.fitting.point import PointFit
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import GaussianData, Parameter, Solution, solve
from labctl.fitting.value import Value

Array = NDArray[np.float64]
LawName = Literal["lifetime", "fraction", "line"]
LawModel = Callable[[Array, Array], tuple[Array, Array]]

WARM_K = 300.0
MIDDLE_K = 190.0


@dataclass(frozen=True)
class TrendPoint:
    """One number at one temperature."""

    temperature_K: float
    value: Value


def lifetime_law(temperature_K: Array, theta: Array) -> tuple[Array, Array]:
    """tau_300, A_X -> lifetime and its derivatives (n, 2)."""
    inverse = 1.0 / temperature_K - 1.0 / WARM_K
    ratio = np.exp(-theta[1] * inverse)
    return theta[0] * ratio, np.stack([ratio, -theta[0] * inverse * ratio], axis=1)


def fraction_law(temperature_K: Array, theta: Array) -> tuple[Array, Array]:
    """warm, rise, midpoint, steepness -> coupled fraction and its derivatives (n, 4)."""
    warm, rise, midpoint, steepness = theta
    u = (temperature_K - midpoint) / steepness
    step = 1.0 / (1.0 + np.exp(np.clip(u, -500.0, 500.0)))
    slope = rise * step * (1.0 - step) / steepness
    return warm + rise * step, np.stack([np.ones_like(step), step, slope, slope * u], axis=1)


def line_law(temperature_K: Array, theta: Array) -> tuple[Array, Array]:
    """Value at 190 K and slope per K -> value and its derivatives (n, 2)."""
    distance = temperature_K - MIDDLE_K
    return theta[0] + theta[1] * distance, np.stack([np.ones_like(distance), distance], axis=1)


LAWS: dict[LawName, tuple[tuple[str, ...], LawModel]] = {
    "lifetime": (("lifetime_300K", "rate_constant_K"), lifetime_law),
    "fraction": (("warm", "rise", "midpoint_K", "steepness_K"), fraction_law),
    "line": (("at_190K", "slope_per_K"), line_law),
}


@dataclass(frozen=True, eq=False)
class Trend:
    """A law fitted to one number over temperature.

    Args:
        law: Which law.
        estimates: Its parameters.
        goodness: Chi-squared of the points.
        range_K: Lowest and highest temperature with a point.
        warnings: What limits it.
    """

    law: LawName
    estimates: Estimates
    goodness: Goodness
    range_K: tuple[float, float]
    warnings: tuple[str, ...]

    def curve(self, temperature_K: Array) -> Array:
        """The law at temperatures."""
        return LAWS[self.law][1](np.asarray(temperature_K, dtype=np.float64), self.estimates.values)[0]

    def band(self, temperature_K: Array) -> Array:
        """1-sigma error of the curve from the covariance of the parameters."""
        gradient = LAWS[self.law][1](np.asarray(temperature_K, dtype=np.float64), self.estimates.values)[1]
        variance = np.einsum("ni,ij,nj->n", gradient, self.estimates.covariance, gradient)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    def crossover_K(self, rate_ratio: float) -> Value | None:
        """Temperature where the rate has grown by ``rate_ratio`` over 300 K; None where it never does.

        Raises:
            ValueError: not a lifetime law, or a ratio that is not above 1.
        """
        if self.law != "lifetime" or not rate_ratio > 1.0:
            raise ValueError("a crossover is asked of a lifetime law and a ratio above 1")
        rate = self.estimates.value("rate_constant_K")
        if rate.value <= 0.0:
            return None
        crossover = 1.0 / (1.0 / WARM_K + math.log(rate_ratio) / rate.value)
        return Value(crossover, crossover**2 * math.log(rate_ratio) / rate.value**2 * rate.error)

    def onset_K(self) -> Value:
        """Temperature where a tenth of the rise of the coupled fraction has happened, on cooling.

        Raises:
            ValueError: not a fraction law.
        """
        if self.law != "fraction":
            raise ValueError("an onset is asked of a fraction law")
        gradient = np.array([0.0, 0.0, 1.0, math.log(9.0)])
        variance = float(gradient @ self.estimates.covariance @ gradient)
        return Value(float(gradient @ self.estimates.values), math.sqrt(max(variance, 0.0)))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "software": software(),
            "law": self.law,
            "estimates": self.estimates.to_dict(),
            "goodness": self.goodness.to_dict(),
            "range_K": list(self.range_K),
            "warnings": list(self.warnings),
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> Trend:
        """Back from :meth:`to_dict`."""
        low, high = fields["range_K"]
        return Trend(
            fields["law"],
            Estimates.from_dict(fields["estimates"]),
            Goodness.from_dict(fields["goodness"]),
            (float(low), float(high)),
            tuple(fields["warnings"]),
        )


def fit_trend(points: Sequence[TrendPoint], law: LawName) -> Trend:
    """Fit a law to points with errors.

    Raises:
        FitRefused: fewer points than the law has parameters, a single temperature, a point without an
        error, no
            convergence.
    """
    names, model = LAWS[law]
    _require(points, len(names), law)
    temperature = np.array([point.temperature_K for point in points])
    values = np.array([point.value.value for point in points])
    variance = np.array([point.value.error**2 for point in points])
    data = GaussianData(values, variance)
    best: Solution | None = None
    for parameters in _starts(law, names, temperature, values, variance):
        solution = solve(lambda theta: model(temperature, theta), data, parameters)
        if best is None or (solution.converged, -solution.deviance) > (best.converged, -best.deviance):
            best = solution
    assert best is not None
    require_converged(best, f"{law} over temperature")
    covariance = covariance_or_refuse(best, f"{law} over temperature")
    goodness = chi2_goodness(values, best.model, variance, len(names))
    warnings = list(bound_warnings(best))
    if len(points) > len(names) and goodness.p_value < 1e-2:
        factor = goodness.chi2 / goodness.dof
        covariance = covariance * factor
        warnings.append(
            f"the law does not hold within the errors of the points (chi2 {goodness.chi2:.1f} for "
            f"{goodness.dof}): errors were widened by {math.sqrt(factor):.2f}"
        )
    estimates = Estimates(names, best.values, covariance)
    return Trend(
        law,
        estimates,
        goodness,
        (float(temperature.min()), float(temperature.max())),
        (*warnings, *estimates.degenerate_pairs()),
    )


def _require(points: Sequence[TrendPoint], n_parameters: int, law: str) -> None:
    if len(points) < n_parameters:
        raise FitRefused(f"{len(points)} points for the {law} law, which needs {n_parameters}")
    distinct = len({round(point.temperature_K, 1) for point in points})
    if distinct < n_parameters:
        raise FitRefused(f"{distinct} temperatures for the {law} law, which needs {n_parameters}")
    for point in points:
        if not (math.isfinite(point.temperature_K) and point.temperature_K > 0.0):
            raise FitRefused(f"a point stands at {point.temperature_K} K: temperatures are above 0")
        if point.value.error <= 0.0:
            raise FitRefused(f"the point at {point.temperature_K:g} K has no error")


def _starts(
    law: LawName, names: tuple[str, ...], temperature: Array, values: Array, variance: Array
) -> list[list[Parameter]]:
    if law == "fraction":
        low, high = float(values.min()), float(values.max())
        return [
            [
                Parameter(names[0], min(max(low, 0.0), 1.0), -0.2, 1.0),
                Parameter(names[1], max(high - low, 1e-3), 0.0, 2.0),
                Parameter(names[2], midpoint, 20.0, 400.0),
                Parameter(names[3], steepness, 1.0, 150.0),
            ]
            for midpoint in (110.0, 150.0, 200.0)
            for steepness in (8.0, 25.0)
        ]
    if law == "lifetime":
        # ln(tau) is linear in 1/T: good enough to start from.
        positive = np.maximum(values, 1e-3 * float(np.max(np.abs(values))))
        inverse = 1.0 / temperature - 1.0 / WARM_K
        slope, offset = np.polyfit(inverse, np.log(positive), 1, w=positive / np.sqrt(variance))
        return [
            [
                Parameter(names[0], float(np.exp(offset)), 0.0, math.inf),
                Parameter(names[1], float(-slope), -1e4, 1e4),
            ]
        ]
    slope, offset = np.polyfit(temperature - MIDDLE_K, values, 1, w=1.0 / np.sqrt(variance))
    return [[Parameter(names[0], float(offset)), Parameter(names[1], float(slope))]]


# -- a sweep -----------------------------------------------------------------------------------------------

_TRENDS: dict[str, LawName] = {
    "tau_fast_s": "lifetime",
    "tau_slow_s": "lifetime",
    "coupled_fraction": "fraction",
    "red_shift_eV": "line",
    "width_eV": "line",
    "coupled_width_eV": "line",
}


@dataclass(frozen=True, eq=False)
class SweepTrends:
    """Trends of one direction of a sweep.

    Args:
        direction: ``"cooling"`` or ``"warming"``.
        trends: By name (``tau_fast_s``, ``tau_slow_s``, ``coupled_fraction``, ``red_shift_eV``, ``width_eV``,
            ``coupled_width_eV``); a number with too few points is missing.
        refused: Why each missing one is missing.
    """

    direction: str
    trends: dict[str, Trend]
    refused: dict[str, str]


def sweep_trends(points: Sequence[tuple[float, PointFit]]) -> tuple[SweepTrends, ...]:
    """Trends of a sweep's points in the order in which they were measured, cooling and warming apart.

    Args:
        points: Temperature in K and fit of each point, in order of time. The turning point belongs to both.
    """
    return tuple(
        _one_direction(direction, part) for direction, part in split_directions(points) if len(part) > 1
    )


def split_directions(
    points: Sequence[tuple[float, PointFit]],
) -> list[tuple[str, list[tuple[float, PointFit]]]]:
    """The points of each direction; steps smaller than 0.5 K keep the direction."""
    parts: dict[str, list[tuple[float, PointFit]]] = {"cooling": [], "warming": []}
    direction: str | None = None
    for earlier, later in pairwise(points):
        step = later[0] - earlier[0]
        turned = direction if abs(step) < 0.5 and direction else ("cooling" if step < 0 else "warming")
        if turned != direction:
            parts[turned].append(earlier)
        direction = turned
        parts[turned].append(later)
    return [(name, part) for name, part in parts.items() if part]


def _one_direction(direction: str, points: list[tuple[float, PointFit]]) -> SweepTrends:
    trends: dict[str, Trend] = {}
    refused: dict[str, str] = {}
    for name, law in _TRENDS.items():
        found = [
            TrendPoint(temperature, value)
            for temperature, fit in points
            if (value := _number(fit, name)) is not None and value.error > 0.0
        ]
        try:
            trends[name] = fit_trend(found, law)
        except FitRefused as refusal:
            refused[name] = str(refusal)
    return SweepTrends(direction, trends, refused)


def _number(fit: PointFit, name: str) -> Value | None:
    if name in ("width_eV", "coupled_width_eV"):
        if fit.spectrum is None or name not in fit.spectrum.estimates:
            return None
        return fit.spectrum.estimates.value(name)
    value: Value | None = getattr(fit, name)
    return value
