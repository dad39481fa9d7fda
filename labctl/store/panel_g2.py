"""Panel: g2 of the warmest and the coldest point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.colours import FAINT, INK
from labctl.store.panel import LABEL_SIZE, FigurePoint, legend_above, say

if TYPE_CHECKING:
    from labctl.photons.g2 import PairBlocks

Array = NDArray[np.float64]

_G2_POINTS = 240
LOGARITHMIC_ABOVE = 20.0


def draw_g2(ax: Any, points: Sequence[FigurePoint], colours: Sequence[Any]) -> None:
    """g2 of the warmest and the coldest point that have one, with fits."""
    from matplotlib.ticker import FuncFormatter

    chosen = [(p, c) for p, c in zip(points, colours, strict=True) if p.data.pairs is not None]
    if not chosen:
        say(ax, "no g2")
        return
    ends = [chosen[0]] if len(chosen) == 1 else [chosen[0], chosen[-1]]
    reach_ns = _g2_reach_ns([point for point, _ in ends])
    top = 1.0
    for point, colour in ends:
        top = max(top, _draw_one_g2(ax, point, colour, reach_ns))
    ax.axhline(1.0, color=FAINT, linewidth=0.8, linestyle=":", zorder=0)
    ax.set_xlim(-reach_ns, reach_ns)
    if top > LOGARITHMIC_ABOVE:
        # Strong bunching: on a logarithmic axis the decays show as lines and both ends are seen.
        ax.set_yscale("log", nonpositive="clip")
        ax.set_ylim(0.4, 2.0 * top)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        ax.set_ylim(max(0.0, 1.0 - 0.22 * (top - 1.0)), 1.0 + 1.16 * (top - 1.0))
    ax.set_xlabel("Delay (ns)", fontsize=LABEL_SIZE, color=INK)
    ax.set_ylabel(r"$g^{(2)}$", fontsize=LABEL_SIZE + 1, color=INK)
    legend_above(ax)


def _draw_one_g2(ax: Any, point: FigurePoint, colour: Any, reach_ns: float) -> float:
    """Draw one g2; gives its largest value."""
    assert point.data.pairs is not None
    lag_ns, values, errors = coarser_g2(point.data.pairs, reach_ns)
    label = f"{point.temperature_K:.0f} K"
    fit = None if point.fit is None else point.fit.g2
    ax.errorbar(
        lag_ns,
        values,
        yerr=errors,
        fmt=".",
        markersize=3.0,
        color=colour,
        ecolor=(*colour[:3], 0.35),
        elinewidth=0.7,
        alpha=0.8,
        label=label if fit is None else None,
        zorder=2,
    )
    top = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    if fit is not None:
        fine_ns = np.linspace(-reach_ns, reach_ns, 1001)
        curve = np.asarray(fit.curve(fine_ns * 1e3), dtype=float)
        ax.plot(fine_ns, curve, color=colour, linewidth=1.5, label=label, zorder=3)
        top = max(top, float(np.nanmax(curve)))
    return top


def _g2_reach_ns(points: Sequence[FigurePoint]) -> float:
    """How far to show: six of the longest lifetimes, within the histogram."""
    windows_ns = [point.data.pairs.window_ps / 1e3 for point in points if point.data.pairs is not None]
    lifetimes_ns = [point.row["tau_slow_s"]["value"] for point in points]
    known = [value * 1e9 for value in lifetimes_ns if value is not None]
    wanted = 6.0 * max(known) if known else min(windows_ns)
    return float(min(max(wanted, 1.0), *windows_ns))


def coarser_g2(pairs: PairBlocks, reach_ns: float) -> tuple[Array, Array, Array]:
    """g2 within the delays shown, bins merged until there are at most 240.

    Merging adds pairs and expected pairs before dividing, so that the level stays unbiased.

    Returns:
        Delay in ns, g2, its counting error; each of shape (n,).
    """
    inside = np.flatnonzero(np.abs(pairs.lag_ps) <= reach_ns * 1e3)
    factor = max(1, math.ceil(inside.size / _G2_POINTS))
    kept = inside[: inside.size - inside.size % factor].reshape(-1, factor)
    counts = pairs.total().astype(float)[kept].sum(axis=1)
    expected = np.asarray(pairs.expected(), dtype=float)[kept].sum(axis=1)
    safe = np.where(expected > 0, expected, np.nan)
    return pairs.lag_ps[kept].mean(axis=1) / 1e3, counts / safe, np.sqrt(np.maximum(counts, 1.0)) / safe
