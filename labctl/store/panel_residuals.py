"""Panels: what the fits of the warmest and the coldest point leave over, in standard deviations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.colours import FAINT, INK
from labctl.errors import InputError
from labctl.store.panel import LABEL_SIZE, FigurePoint, say

Array = NDArray[np.float64]

_POINTS = 130
_LEAST_REACH = 3.5


def draw_spectrum_residuals(
    ax: Any, points: Sequence[FigurePoint], colours: Sequence[Any], limits_eV: tuple[float, float]
) -> None:
    """Residuals of the spectra of the warmest and the coldest point that have a fit."""
    found = []
    for point, colour in zip(points, colours, strict=True):
        fit = point.fit
        if fit is None or fit.spectrum is None or point.data.spectrum is None:
            continue
        residuals = fit.joint.spectrum_residuals if fit.joint else fit.spectrum.residuals
        try:
            found.append((*residuals(point.data.spectrum), colour))
        except InputError:
            continue
    _draw(ax, found, limits_eV)
    ax.set_xlabel("Photon energy (eV)", fontsize=LABEL_SIZE, color=INK)


def draw_g2_residuals(
    ax: Any, points: Sequence[FigurePoint], colours: Sequence[Any], limits_ns: tuple[float, float]
) -> None:
    """Residuals of the g2 of the warmest and the coldest point that have one, by counting."""
    found = []
    for point, colour in zip(points, colours, strict=True):
        fit = point.fit
        if fit is not None and fit.g2 is not None and point.data.pairs is not None:
            residuals = fit.joint.g2_residuals if fit.joint else fit.g2.residuals
            lag_ps, pull = residuals(point.data.pairs)
            found.append((lag_ps * 1e-3, pull, colour))
    _draw(ax, found, limits_ns)
    ax.set_xlabel("Delay (ns)", fontsize=LABEL_SIZE, color=INK)


def joined_pulls(x: Array, pull: Array, limits: tuple[float, float]) -> tuple[Array, Array]:
    """Neighbours joined until about 130 points are left within the limits; each keeps a scatter of 1.

    Args:
        x: Where, rising (n,).
        pull: Residuals in standard deviations (n,).
        limits: Lower and upper end of what is shown.
    """
    inside = np.flatnonzero((x >= limits[0]) & (x <= limits[1]))
    group = max(1, math.ceil(inside.size / _POINTS))
    kept = inside[: inside.size - inside.size % group].reshape(-1, group)
    return x[kept].mean(axis=1), pull[kept].sum(axis=1) / math.sqrt(group)


def _draw(ax: Any, found: Sequence[tuple[Array, Array, Any]], limits: tuple[float, float]) -> None:
    ends = found[:1] if len(found) < 2 else [found[0], found[-1]]
    ax.set_xlim(*limits)
    ax.set_ylabel("(data - fit) / sd", fontsize=LABEL_SIZE - 1, color=INK)
    if not ends:
        say(ax, "no fit")
        return
    reach = _LEAST_REACH
    for x, pull, colour in ends:
        where, height = joined_pulls(x, pull, limits)
        ax.plot(where, height, ".", markersize=3.2, color=colour, alpha=0.8, zorder=2)
        if height.size:
            reach = max(reach, 1.15 * float(np.max(np.abs(height))))
    ax.axhspan(-1.0, 1.0, color=FAINT, alpha=0.18, linewidth=0, zorder=0)
    ax.axhline(0.0, color=FAINT, linewidth=0.8, zorder=1)
    ax.set_ylim(-reach, reach)
