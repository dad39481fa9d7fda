"""What a sweep says as a whole: laws over temperature, in words and as fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.fitting.point import PointFit
    from labctl.fitting.trends import SweepTrends, Trend

LIFETIMES = {"tau_slow_s": "tau_slow", "tau_fast_s": "tau_fast"}
CROSSOVER_RATIO = 1.5


def trends(points: Sequence[tuple[float, PointFit]]) -> tuple[list[str], list[dict[str, Any]]]:
    """Fit the laws to a sweep's points.

    Args:
        points: Temperature (K) and fit of each point, in order of time.

    Returns:
        Lines for a person, and JSON-able fields: one entry per direction (cooling, warming) with each
        trend's parameters, or why there is none.
    """
    from labctl.fitting.trends import sweep_trends

    lines: list[str] = []
    fields: list[dict[str, Any]] = []
    for part in sweep_trends(points):
        found = _words(part)
        if found:
            lines.append(f"On {part.direction}:")
            lines += [f"  {words}" for words in found]
        fields.append(
            {
                "direction": part.direction,
                "trends": {name: trend.to_dict() for name, trend in part.trends.items()},
                "refused": dict(part.refused),
            }
        )
    return lines, fields


def _words(part: SweepTrends) -> list[str]:
    words = []
    for name, title in LIFETIMES.items():
        if name in part.trends:
            words.append(_lifetime(title, part.trends[name]))
    if "coupled_fraction" in part.trends:
        trend = part.trends["coupled_fraction"]
        middle = trend.estimates.value("midpoint_K")
        words.append(f"coupled light: onset {trend.onset_K()} K, half of its rise at {middle} K{_fit(trend)}")
    if "red_shift_eV" in part.trends:
        trend = part.trends["red_shift_eV"]
        slope = trend.estimates.value("slope_per_K").scaled(1e6)
        middle = trend.estimates.value("at_190K").scaled(1e3)
        words.append(f"red-shift: {middle} meV at 190 K, {slope} ueV per K{_fit(trend)}")
    return words


def _lifetime(title: str, trend: Trend) -> str:
    rate = trend.estimates.value("rate_constant_K")
    warm = trend.estimates.value("lifetime_300K").scaled(1e9)
    text = f"{title}: A_X {rate} K, {warm} ns at 300 K"
    crossover = trend.crossover_K(CROSSOVER_RATIO)
    if crossover is not None:
        text += f", rate x {CROSSOVER_RATIO} at {crossover} K"
    return text + _fit(trend)


def _fit(trend: Trend) -> str:
    goodness = trend.goodness
    if goodness.dof < 1:
        return ""
    mark = "" if goodness.p_value > 1e-3 else " (poor)"
    return f"; chi2 {goodness.chi2:.1f}/{goodness.dof}{mark}"
