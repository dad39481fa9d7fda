"""Picture of g2 over log-spaced lags, for a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labctl.colours import DATA, FAINT, MARK
from labctl.figure_file import plain, save_figure
from labctl.photons.log_lags import LogG2


def save_log_figure(path: Path, sides: tuple[LogG2, LogG2], title: str) -> None:
    """Draw g2 over log-spaced lags of both signs and write it.

    Args:
        path: Where; the ending decides the format.
        sides: Lags >= 0 and lags < 0.
        title: First line.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    drawn = 0
    for side, label, colour, marker in zip(
        sides, ("stop after start", "start after stop"), (DATA, MARK), ("o", "s"), strict=True
    ):
        # A lag at which less than one pair is expected says nothing and would set the scale.
        shown = (side.lag_ps > 0) & np.isfinite(side.g2) & (side.expected >= 1)
        axes.errorbar(
            side.lag_ps[shown] * 1e-12,
            side.g2[shown],
            side.g2_error[shown],
            fmt=marker,
            ms=3,
            lw=0.7,
            mfc="none",
            mew=0.8,
            color=colour,
            label=label,
        )
        drawn += int(np.count_nonzero(shown))
    axes.axhline(1.0, color=FAINT, lw=0.8, ls="--", zorder=0)
    if drawn:
        axes.set_xscale("log")
    else:
        axes.text(0.5, 0.5, "no lag at which a pair is expected", ha="center", transform=axes.transAxes)
    axes.set_xlabel("lag (s)")
    axes.set_ylabel("$g^{(2)}$, normalised to the count rates")
    axes.set_title(plain(title), fontsize=11)
    if drawn:
        axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)
