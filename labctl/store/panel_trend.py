"""Panels: results against temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labctl.colours import COUPLED, INK, UNCOUPLED
from labctl.store.panel import (
    DASHED,
    LABEL_SIZE,
    TRUE_LINE,
    FigurePoint,
    legend_above,
    say,
)
from labctl.store.truth import TrueCurve


def draw_lifetimes(ax: Any, points: Sequence[FigurePoint], truth: TrueCurve) -> None:
    """Both lifetimes against temperature on a logarithmic axis, true curves dashed."""
    drawn = _draw_results(ax, points, truth, "tau_slow_s", 1e9, UNCOUPLED, "uncoupled", marker="o")
    drawn |= _draw_results(ax, points, truth, "tau_fast_s", 1e9, COUPLED, "coupled", marker="s")
    _temperature_axis(ax, points)
    if not drawn:
        say(ax, "no lifetimes")
        return
    ax.set_yscale("log")
    _plain_log_ticks(ax)
    ax.set_ylabel("Lifetime (ns)", fontsize=LABEL_SIZE, color=INK)
    legend_above(ax)


def draw_trend(
    ax: Any,
    points: Sequence[FigurePoint],
    truth: TrueCurve,
    name: str,
    factor: float,
    label: str,
    *,
    floor: float,
) -> None:
    """One result against temperature, true curve dashed."""
    drawn = _draw_results(ax, points, truth, name, factor, COUPLED, "fit", marker="s")
    _temperature_axis(ax, points)
    if not drawn:
        say(ax, "no values")
        return
    ax.set_ylabel(label, fontsize=LABEL_SIZE, color=INK)
    low, high = ax.get_ylim()
    low = min(low, floor)
    ax.set_ylim(low - 0.03 * (high - low), high + 0.05 * (high - low))
    legend_above(ax)


def _draw_results(
    ax: Any,
    points: Sequence[FigurePoint],
    truth: TrueCurve,
    name: str,
    factor: float,
    colour: str,
    label: str,
    *,
    marker: str,
) -> bool:
    """Points with error bars and the true curve; tells whether there was anything to draw."""
    fitted = [(p.temperature_K, p.row[name]["value"], p.row[name]["error"]) for p in points]
    fitted = [item for item in fitted if item[1] is not None]
    true = [(kelvin, values[name]) for kelvin, values in truth if values.get(name) is not None]
    if true:
        kelvin, values = np.array(true, dtype=float).T
        ax.plot(
            kelvin, values * factor, color=colour, linestyle=DASHED, linewidth=1.2, gid=TRUE_LINE, zorder=1
        )
    if fitted:
        kelvin, values, errors = np.array(fitted, dtype=float).T
        ax.errorbar(
            kelvin,
            values * factor,
            yerr=errors * factor,
            fmt=marker,
            markersize=5.5,
            color=colour,
            markeredgecolor=INK,
            markeredgewidth=0.6,
            ecolor=INK,
            elinewidth=0.9,
            capsize=2.5,
            label=label,
            zorder=2,
        )
    return bool(fitted or true)


def _temperature_axis(ax: Any, points: Sequence[FigurePoint]) -> None:
    temperatures = [point.temperature_K for point in points]
    low, high = min(temperatures), max(temperatures)
    margin = max(0.05 * (high - low), 2.0)
    ax.set_xlim(low - margin, high + margin)
    ax.set_xlabel("Temperature (K)", fontsize=LABEL_SIZE, color=INK)
    ax.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    ax.set_axisbelow(True)


def _plain_log_ticks(ax: Any) -> None:
    """0.2, 0.3, 0.5, 1, 2, 3, 5 in place of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
