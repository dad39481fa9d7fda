"""The figure of a run: spectra over temperature, g2 at both ends, what the fits leave over, trends.

Drawn through matplotlib's objects on an Agg canvas: no state is shared, so that any thread may draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labctl.colours import FAINT, INK
from labctl.figure_file import plain
from labctl.store.panel import TICK_SIZE, TITLE_SIZE, FigurePoint, temperature_colours
from labctl.store.panel_g2 import draw_g2
from labctl.store.panel_residuals import draw_g2_residuals, draw_spectrum_residuals
from labctl.store.panel_spectra import draw_spectra
from labctl.store.panel_trend import draw_lifetimes, draw_trend
from labctl.store.truth import TrueCurve

_SIZE_INCH = (14.4, 9.4)


def draw_figure(points: Sequence[FigurePoint], *, truth: TrueCurve | None = None, title: str = "") -> Any:
    """Draw all panels.

    Args:
        points: At least one, warmest first.
        truth: True values against temperature, for a simulated sample.
        title: Heading of the figure.

    Returns:
        A matplotlib Figure on an Agg canvas.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.10, h_pad=0.10, wspace=0.04, hspace=0.04)
    figure = Figure(figsize=_SIZE_INCH, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    axes = _axes(figure)
    colours = temperature_colours([point.temperature_K for point in points])
    draw_spectra(axes["spectra"], points, colours)
    draw_g2(axes["g2"], points, colours)
    draw_spectrum_residuals(axes["spectrum residuals"], points, colours, axes["spectra"].get_xlim())
    draw_g2_residuals(axes["g2 residuals"], points, colours, axes["g2"].get_xlim())
    for above in ("spectra", "g2"):
        # The axis stands below the residuals.
        axes[above].set_xlabel("")
        axes[above].tick_params(labelbottom=False)
    draw_lifetimes(axes["lifetimes"], points, truth or [])
    draw_trend(
        axes["fraction"], points, truth or [], "coupled_fraction", 1e2, "Coupled fraction (%)", floor=0.0
    )
    draw_trend(axes["shift"], points, truth or [], "red_shift_eV", 1e3, "Red-shift (meV)", floor=0.0)
    names = {
        "spectra": "a   Spectra",
        "g2": "b   Pair correlation",
        "lifetimes": "c   Lifetimes",
        "fraction": "d   Coupled light",
        "shift": "e   Red-shift",
    }
    for key, ax in axes.items():
        if key in names:
            ax.set_title(names[key], loc="left", fontsize=TITLE_SIZE, fontweight="bold", color=INK)
        ax.tick_params(labelsize=TICK_SIZE, colors=INK)
        for side in ax.spines.values():
            side.set_color(FAINT)
    if title:
        figure.suptitle(plain(title), fontsize=13, color=INK, x=0.012, ha="left")
    return figure


def _axes(figure: Any) -> dict[str, Any]:
    """All panels; residuals stand close below what they belong to."""
    left, middle, right = figure.add_gridspec(1, 3, width_ratios=[1.06, 0.94, 1.06])
    spectra = left.subgridspec(2, 1, height_ratios=[6.3, 1])
    halves = middle.subgridspec(2, 1)
    g2 = halves[0].subgridspec(2, 1, height_ratios=[2.9, 1])
    trends = right.subgridspec(2, 1)
    places = {
        "spectra": spectra[0],
        "spectrum residuals": spectra[1],
        "g2": g2[0],
        "g2 residuals": g2[1],
        "lifetimes": trends[0],
        "fraction": halves[1],
        "shift": trends[1],
    }
    return {name: figure.add_subplot(place) for name, place in places.items()}
