"""Picture of a g2 histogram, for a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labctl.colours import DATA, MARK
from labctl.photons.features import Feature
from labctl.photons.g2 import PairBlocks
from labctl.photons.log_lags import LogG2


def save_g2_figure(path: Path, blocks: PairBlocks, feature: Feature | None, title: str) -> None:
    """Draw pairs per bin with both normalisations and the feature found, and write it as PNG.

    Args:
        path: Where; the ending decides the format.
        blocks: The histogram.
        feature: What stands out, or ``None``.
        title: First line.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    edges_ns = (np.arange(blocks.n_bins + 1) * blocks.bin_ps - blocks.window_ps) / 1000
    axes.stairs(blocks.g2(), edges_ns, color=DATA, linewidth=0.7)
    axes.set_xlabel("delay t(stop) - t(start) / ns")
    axes.set_ylabel("g2, normalised to the total count rates")
    axes.set_xlim(edges_ns[0], edges_ns[-1])
    axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=10)
    _add_pairs_axis(axes, blocks)
    if feature is not None and feature.kind != "none":
        axes.axvspan(
            (feature.delay_ps - feature.half_width_ps) / 1000,
            (feature.delay_ps + feature.half_width_ps) / 1000,
            color=MARK,
            alpha=0.3,
            label=f"{feature.kind} at {feature.delay_ps / 1000:+.2f} ns: {feature.g2_far:.3g} of far level",
        )
        axes.legend(loc="upper right", fontsize=8)
    figure.savefig(path, dpi=130)


def _add_pairs_axis(axes: object, blocks: PairBlocks) -> None:
    """Give the right axis in pairs per bin (g2 times the expectation at zero delay)."""
    expected = blocks.expected()
    per_unit = float(expected[len(expected) // 2])
    if per_unit <= 0:
        return
    right = axes.secondary_yaxis(  # type: ignore[attr-defined]
        "right", functions=(lambda g: g * per_unit, lambda n: n / per_unit)
    )
    right.set_ylabel(f"pairs per {blocks.bin_ps} ps")


def save_log_figure(path: Path, sides: tuple[LogG2, LogG2], title: str) -> None:
    """Draw g2 over log-spaced lags of both signs and write it.

    Args:
        path: Where; the ending decides the format.
        sides: Lags >= 0 and lags < 0.
        title: First line.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for side, label in zip(sides, ("stop after start", "start after stop"), strict=True):
        shown = (side.lag_ps > 0) & np.isfinite(side.g2) & (side.expected >= 1)
        seconds = side.lag_ps[shown] * 1e-12
        axes.errorbar(
            seconds, side.g2[shown], side.g2_error[shown], fmt=".", markersize=3, lw=0.6, label=label
        )
    axes.set_xscale("log")
    axes.set_xlabel("lag / s")
    axes.set_ylabel("g2, normalised to the count rates (symmetric at long lags)")
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)
