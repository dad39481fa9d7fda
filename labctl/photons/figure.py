"""Picture of a g2 histogram, for a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.colours import DATA, FAINT, INK, MARK, SIGNAL
from labctl.figure_file import plain, save_figure
from labctl.fitting.value import Value
from labctl.photons.background import SignalShare, signal_g2
from labctl.photons.features import Comb, Feature
from labctl.photons.g2 import PairBlocks

_MOST_STEPS = 700
_MOST_COMB_STEPS = 4000
_TALL = 20.0
_PAIRS_PER_STEP = 30.0
_NEAR_PERIODS = 5
_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.8}


def save_g2_figure(
    path: Path,
    blocks: PairBlocks,
    feature: Feature | None,
    title: str,
    share: SignalShare | None = None,
) -> None:
    """Draw what a histogram shows: for pulsed light the peaks and their areas, else g2 and what stands out.

    Args:
        path: Where; the ending decides the format.
        blocks: The histogram.
        feature: What stands out, or ``None``.
        title: First line.
        share: Share of signal; draws g2 of the signal alone as well.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    comb = None if feature is None else feature.comb
    figure = Figure(figsize=(10.0, 6.2 if comb is not None else 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(plain(title), fontsize=11)
    if feature is not None and comb is not None:
        _draw_pulsed(figure, blocks, feature, comb, share)
    else:
        _draw_continuous(figure, blocks, feature, share)
    save_figure(figure, path)


def _draw_continuous(
    figure: Any, blocks: PairBlocks, feature: Feature | None, share: SignalShare | None
) -> None:
    stands_out = feature is not None and feature.kind != "none"
    columns = figure.subplots(1, 2, width_ratios=(1.5, 1)) if stands_out else [figure.subplots()]
    _draw_g2(columns[0], blocks, None, share, stands_out)
    axes = columns[0]
    axes.set_ylabel("$g^{(2)}$, normalised to the total count rates")
    if feature is not None and feature.kind == "peak" and feature.g2_total()[0] > _TALL:
        # On a linear scale the level that the peak stands on would be lost.
        axes.set_yscale("symlog", linthresh=2.0)
        axes.set_ylim(bottom=0.0)
    if feature is None or not stands_out:
        return
    low, high = (feature.delay_ps + sign * feature.half_width_ps for sign in (-1, 1))
    reach = max(12 * feature.half_width_ps, 15 * blocks.bin_ps)
    near = (
        max(feature.delay_ps - reach, -blocks.window_ps),
        min(feature.delay_ps + reach, blocks.window_ps),
    )
    _draw_g2(columns[1], blocks, near, share)
    value, error = feature.g2_total()
    written = f": {Value(value, error)}" if math.isfinite(value) and math.isfinite(error) else ""
    for panel in columns:
        label = f"{feature.kind} at {round(feature.delay_ps / 1000, 2) + 0.0:+.2f} ns{written}"
        panel.axvspan(low / 1000, high / 1000, color=MARK, alpha=0.18, lw=0, label=label)
    columns[1].legend(loc="upper right", fontsize=8, frameon=False)
    bottom, top = columns[1].get_ylim()
    columns[1].set_ylim(min(bottom, 0.0) if bottom < -0.02 * top else 0.0, 1.25 * top)


def _draw_g2(
    axes: Any,
    blocks: PairBlocks,
    near_ps: tuple[float, float] | None,
    share: SignalShare | None,
    feature_apart: bool = False,
) -> None:
    """One panel of g2 with its counting errors, bins joined where there are more than a page shows."""
    edges, g2, error, joined = _joined(blocks, near_ps)
    seen = np.isfinite(g2)
    if not seen.any():
        axes.text(0.5, 0.5, "no pairs expected at any delay", ha="center", transform=axes.transAxes)
        return
    _steps(axes, edges, g2, error, DATA, "measured")
    if share is not None and (near_ps is not None or not feature_apart):
        signal, counting, _ = signal_g2(g2, error, share)
        _steps(axes, edges, signal, counting, SIGNAL, "signal alone")
    axes.axhline(1.0, color=FAINT, lw=0.8, ls="--", zorder=0)
    axes.set_xlim(edges[0], edges[-1])
    bins = f"{blocks.bin_ps * joined} ps per step"
    axes.set_xlabel(f"delay t(stop) - t(start) (ns), {bins}")
    if share is not None and near_ps is None and not feature_apart:
        axes.legend(loc="upper left", fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _steps(
    axes: Any,
    edges: NDArray[np.float64],
    g2: NDArray[np.float64],
    error: NDArray[np.float64],
    colour: str,
    label: str,
) -> None:
    # Without a baseline: a line down to 0 at the ends would read as data.
    axes.stairs(g2, edges, baseline=None, color=colour, lw=1.0, label=label)
    axes.fill_between(
        edges,
        *(np.append(side, side[-1]) for side in (g2 - error, g2 + error)),
        step="post",
        color=colour,
        alpha=0.22,
        lw=0,
    )


def _joined(
    blocks: PairBlocks, near_ps: tuple[float, float] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
    """Edges in ns, g2, counting error and number of bins joined, within a range of delays."""
    counts, expected = blocks.total().astype(np.float64), blocks.expected()
    first, last = 0, blocks.n_bins
    if near_ps is not None:
        first = max(int((near_ps[0] + blocks.window_ps) // blocks.bin_ps), 0)
        last = min(int(-(-(near_ps[1] + blocks.window_ps) // blocks.bin_ps)), blocks.n_bins)
    joined = -(-(last - first) // _MOST_STEPS)
    if near_ps is None:
        # Steps of few pairs would show nothing but their noise; yet a hundred steps should be left.
        typical = float(np.median(expected)) or 1.0
        joined = max(joined, min(math.ceil(_PAIRS_PER_STEP / typical), blocks.n_bins // 100))
    starts = np.arange(first, last, joined)
    counts = np.add.reduceat(counts[:last], starts)
    expected = np.add.reduceat(expected[:last], starts)
    edges = (np.append(starts, last) * blocks.bin_ps - blocks.window_ps) / 1000
    g2, error = np.full(len(starts), np.nan), np.full(len(starts), np.nan)
    np.divide(counts, expected, out=g2, where=expected > 0)
    np.divide(np.sqrt(np.maximum(counts, 1.0)), expected, out=error, where=expected > 0)
    return edges, g2, error, joined


def _draw_pulsed(
    figure: Any, blocks: PairBlocks, feature: Feature, comb: Comb, share: SignalShare | None
) -> None:
    panels = figure.subplot_mosaic([["all", "all"], ["near", "area"]], height_ratios=(0.8, 1))
    reach = (_NEAR_PERIODS + 0.5) * comb.period_ps
    near = max(feature.delay_ps - reach, -blocks.window_ps), min(feature.delay_ps + reach, blocks.window_ps)
    for name, part, most in (
        ("all", (-blocks.window_ps, blocks.window_ps), _MOST_COMB_STEPS),
        ("near", near, 0),
    ):
        axes = panels[name]
        edges_ns, pairs, joined = _pairs_in_steps(blocks, part, most)
        axes.stairs(pairs, edges_ns, color=DATA, fill=True)
        axes.set_xlabel("delay t(stop) - t(start) (ns)")
        axes.set_ylabel(f"pairs per {blocks.bin_ps * joined} ps")
        axes.set_xlim(part[0] / 1000, part[1] / 1000)
        axes.spines[["top", "right"]].set_visible(False)
        if feature.kind != "none":
            low, high = (feature.delay_ps + sign * feature.half_width_ps for sign in (-1, 1))
            axes.axvspan(low / 1000, high / 1000, color=MARK, alpha=0.22, lw=0)
    _draw_areas(panels["area"], feature, comb, share)


def _pairs_in_steps(
    blocks: PairBlocks, part_ps: tuple[float, float], most: int
) -> tuple[NDArray[np.float64], NDArray[np.uint64], int]:
    """Edges in ns, pairs in at most so many steps (0: bin by bin) of a range of delays, and bins per step."""
    first = max(int((part_ps[0] + blocks.window_ps) // blocks.bin_ps), 0)
    last = min(int(-(-(part_ps[1] + blocks.window_ps) // blocks.bin_ps)), blocks.n_bins)
    joined = max(-(-(last - first) // most), 1) if most else 1
    starts = np.arange(first, last, joined)
    edges = (np.append(starts, last) * blocks.bin_ps - blocks.window_ps) / 1000
    return edges, np.add.reduceat(blocks.total()[:last], starts), joined


def _draw_areas(axes: Any, feature: Feature, comb: Comb, share: SignalShare | None) -> None:
    """Pairs per pulse relative to the neighbours, with counting errors, and the limit of one emitter."""
    number = np.arange(len(comb.area)) - comb.chosen
    shown = np.abs(number) <= 3 * _NEAR_PERIODS
    lost = 0.0 if share is None else 1 - share.both
    level = feature.level - lost * feature.level_expected
    height = (comb.area - lost * comb.expected) / level
    error = np.sqrt(np.maximum(comb.area, 1.0)) / level
    colour = DATA if share is None else SIGNAL
    axes.bar(number[shown], height[shown], 0.72, color=colour, alpha=0.35, lw=0)
    # The bar of the feature's own error is in the text: a Poisson bar about two pairs means little.
    axes.errorbar(number[shown], height[shown], error[shown], fmt="o", ms=3, lw=1, color=colour)
    axes.axhline(1.0, color=FAINT, lw=0.8, ls="--", zorder=0)
    axes.axhline(0.5, color=INK, lw=0.8, ls=":", zorder=0)
    axes.text(number[shown][0] - 0.4, 0.52, "one emitter: below 1/2", fontsize=8, color=INK, bbox=_PAPER)
    value, sigma = feature.g2_far(share)
    known = math.isfinite(value) and math.isfinite(sigma)
    text = f"$g^{{(2)}}(0)$ = {Value(value, sigma)}" if known else "$g^{(2)}(0)$ not known"
    if feature.kind == "dip":
        text += f"\n< {feature.far_below(share):.2g} (95 %)"
    if feature.kind == "none":
        text = "no pulse differs from its neighbours"
    top = 1.38 * float(height[shown].max())
    axes.annotate(
        text,
        (0, value if np.isfinite(value) else 0),
        (0, 0.99 * top),
        ha="center",
        va="top",
        fontsize=9,
        color=MARK,
        arrowprops={"arrowstyle": "-", "color": MARK, "lw": 0.8},
    )
    axes.set_ylim(0, top)
    axes.set_xlabel("pulse (0: both photons from one pulse)")
    what = "pairs per period" if share is None else "pairs of signal per period"
    axes.set_ylabel(f"{what},\nrelative to {len(comb.near)} neighbours")
    axes.spines[["top", "right"]].set_visible(False)
