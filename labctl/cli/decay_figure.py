"""Picture of a decay curve with its fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.fitting.decay_fit import DecayData, DecayFit
    from labctl.photons.decay import DecayCurve

_LEAST_PER_POINT = 20.0


def save_decay_figure(
    path: Path, curve: DecayCurve, data: DecayData | None, fit: DecayFit | None, title: str
) -> None:
    """Draw counts over delay, the fit with its response, and the residuals.

    Args:
        path: Where; the ending decides the format.
        curve: All counts.
        data, fit: What was fitted, and the result; ``None`` without a fit.
        title: First line.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from labctl.colours import DATA
    from labctl.figure_file import plain, save_figure

    figure = Figure(figsize=(8.5, 5.8 if fit is not None else 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = (
        figure.subplots(2, 1, height_ratios=(3, 1), sharex=True) if fit is not None else [figure.subplots()]
    )
    axes = panels[0]
    edges = (curve.first_ps + curve.bin_ps * np.arange(len(curve.counts) + 1)) / 1000
    axes.stairs(curve.counts, edges, color=DATA, lw=0.9, label="measured")
    axes.set_yscale("log")
    low = max(0.5 * float(np.quantile(curve.counts, 0.02)), 0.5)
    axes.set_ylim(low, 2.0 * max(float(curve.counts.max()), 1.0))
    axes.set_xlim(edges[0], edges[-1])
    width = curve.bin_ps
    unit = f"{width:g} ps" if width < 1000 else f"{width / 1000:.4g} ns"
    axes.set_ylabel(f"photons per {unit}")
    axes.set_title(plain(title), fontsize=11)
    if data is not None and fit is not None:
        _draw_fit(panels, data, fit)
    panels[-1].set_xlabel("delay after the pulse (ns)")
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _draw_fit(panels: Any, data: DecayData, fit: DecayFit) -> None:
    import numpy as np

    from labctl.colours import DATA, FAINT, MARK
    from labctl.fitting.decay_fit import expected_counts

    axes, rest = panels
    expected, sigma = expected_counts(data, fit)
    edges = data.edges_s * 1e9
    centre = 0.5 * (edges[1:] + edges[:-1])
    words = " + ".join(f"{fit.lifetime_s(n).scaled(1e9)} ns" for n in range(1, fit.n_lifetimes + 1))
    axes.plot(centre, expected, color=MARK, lw=1.2, label=words)
    if data.response is not None:
        shape = data.response * float(expected.max()) / float(data.response.max())
        shown = shape > 0
        offset = fit.estimates["start_s"] * 1e9
        moved = offset + (edges[:-1] - edges[0]) + 0.5 * (edges[1] - edges[0])
        axes.fill_between(moved[shown], shape[shown], 0.1, color=FAINT, alpha=0.3, lw=0, label="response")
    axes.legend(frameon=False, fontsize=9)
    # Joined to at least 20 counts: a point then scatters by 1 if the model holds.
    group = np.floor(np.cumsum(expected) / _LEAST_PER_POINT).astype(int)
    deviation = np.bincount(group, data.counts - expected)
    variance = np.bincount(group, sigma**2)
    number = np.bincount(group)
    place = np.bincount(group, centre)
    seen = (number > 0) & (variance > 0)
    rest.plot(place[seen] / number[seen], deviation[seen] / np.sqrt(variance[seen]), ".", ms=2.5, color=DATA)
    rest.axhline(0.0, color=FAINT, lw=0.8)
    rest.set_ylabel("residual (sigma)")
    chi2 = fit.goodness
    rest.set_title(f"chi2 {chi2.chi2:.0f} / {chi2.dof}", fontsize=8, loc="right", pad=2)
