"""Panel: spectra against temperature, as a waterfall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.colours import COUPLED, FAINT, INK, UNCOUPLED
from labctl.emission.response import HC_EV_NM
from labctl.store.panel import LABEL_SIZE, TICK_SIZE, FigurePoint, legend, say

Array = NDArray[np.float64]


def draw_spectra(ax: Any, points: Sequence[FigurePoint], colours: Sequence[Any]) -> None:
    """Waterfall of normalised spectra per eV, warmest on top, with fit and components."""
    traces = [_trace(point) for point in points]
    drawn = [
        (trace, point, colour) for trace, point, colour in zip(traces, points, colours, strict=True) if trace
    ]
    if not drawn:
        say(ax, "no spectra")
        return
    limits = _energy_limits([trace for trace, _, _ in drawn])
    step = 0.8 if len(drawn) > 4 else 1.08
    for place, (trace, point, colour) in enumerate(drawn):
        base = step * (len(drawn) - 1 - place)
        _draw_trace(ax, trace, point, colour, base, limits, order=3 * place)
    ax.set_xlim(*limits)
    top = step * (len(drawn) - 1) + 1.16
    # The legend takes a twelfth of the height at the upper left; few traces leave it free anyhow.
    ax.set_ylim(-0.12, max(top, 1.085 * top - 0.6))
    ax.set_yticks([])
    ax.set_xlabel("Photon energy (eV)", fontsize=LABEL_SIZE, color=INK)
    ax.set_ylabel("Intensity per eV (each to its maximum, shifted)", fontsize=LABEL_SIZE, color=INK)
    _wavelength_axis(ax, limits)
    _componentlegend(ax, drawn)


@dataclass(frozen=True)
class _Trace:
    energy_eV: Array
    intensity: Array
    scale: float


def _trace(point: FigurePoint) -> _Trace | None:
    """Spectrum per eV without background; None where there is none or it was refused."""
    from labctl.errors import InputError
    from labctl.spectra.reduction import reduce_frames, to_energy

    if point.data.spectrum is None:
        return None
    try:
        measured = to_energy(reduce_frames(point.data.spectrum))
    except InputError:
        return None
    if measured.energy_eV.size < 2:
        return None
    intensity = measured.counts_per_eV
    fit = None if point.fit is None else point.fit.spectrum
    if fit is not None:
        intensity = intensity - fit.estimates["background_per_pixel"] * measured.background_per_eV
        top = float(np.max(fit.curve(measured.energy_eV)))
    else:
        # Nine pixels: a spectrum of few counts is not scaled to its noise.
        width = min(9, intensity.size)
        top = float(np.max(np.convolve(intensity, np.ones(width) / width, mode="same")))
    return _Trace(measured.energy_eV, intensity, top if top > 0 else 1.0)


def _energy_limits(traces: Sequence[_Trace]) -> tuple[float, float]:
    """Where any spectrum has light, with a margin."""
    lows, highs = [], []
    for trace in traces:
        width = max(1, trace.intensity.size // 60)
        smooth = np.convolve(trace.intensity, np.ones(width) / width, mode="same")
        bright = trace.energy_eV[smooth > 0.03 * trace.scale]
        if bright.size:
            lows.append(float(bright.min()))
            highs.append(float(bright.max()))
    low = min(float(trace.energy_eV.min()) for trace in traces)
    high = max(float(trace.energy_eV.max()) for trace in traces)
    if lows:
        span = max(highs) - min(lows)
        # Room for the temperatures on the right.
        low, high = max(low, min(lows) - 0.08 * span), min(high, max(highs) + 0.2 * span)
    return low, high


def _draw_trace(
    ax: Any,
    trace: _Trace,
    point: FigurePoint,
    colour: Any,
    base: float,
    limits: tuple[float, float],
    *,
    order: int,
) -> None:
    shown = (trace.energy_eV >= limits[0]) & (trace.energy_eV <= limits[1])
    energy = trace.energy_eV[shown]
    intensity = trace.intensity[shown] / trace.scale + base
    fit = None if point.fit is None else point.fit.spectrum
    ax.plot(
        energy, intensity, ".", markersize=1.6, color=colour, alpha=0.55, markeredgewidth=0, zorder=order + 1
    )
    if fit is not None:
        # White behind: where traces overlap, the front one covers the one behind it.
        backing = base + np.maximum(fit.curve(energy), 0.0) / trace.scale
        ax.fill_between(energy, base, backing, color="white", linewidth=0, zorder=order - 0.5)
        for name, curve in fit.components(energy).items():
            tint = COUPLED if name.startswith("coupled") else UNCOUPLED
            ax.fill_between(
                energy, base, base + curve / trace.scale, color=tint, alpha=0.28, linewidth=0, zorder=order
            )
        ax.plot(energy, fit.curve(energy) / trace.scale + base, color=colour, linewidth=1.3, zorder=order + 2)
    ax.annotate(
        f"{point.temperature_K:.0f} K",
        (1.0, base),
        xycoords=("axes fraction", "data"),
        xytext=(-5, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=9,
        color=colour,
        zorder=order + 2,
    )


def _wavelength_axis(ax: Any, limits: tuple[float, float]) -> None:
    def swap(value: Array) -> Array:
        # Energy to wavelength and back are the same formula.
        return np.asarray(HC_EV_NM / np.maximum(np.asarray(value, dtype=float), 1e-6))

    top = ax.secondary_xaxis("top", functions=(swap, swap))
    top.set_xlabel("Wavelength (nm)", fontsize=LABEL_SIZE, color=INK)
    top.tick_params(labelsize=TICK_SIZE, colors=INK)
    top.spines["top"].set_color(FAINT)
    short, long = HC_EV_NM / limits[1], HC_EV_NM / limits[0]
    step = next((s for s in (5, 10, 20, 25, 50, 100, 200) if (long - short) / s <= 8), 500)
    top.set_xticks(np.arange(math.ceil(short / step) * step, long + 1e-9, step))


def _componentlegend(ax: Any, drawn: Sequence[tuple[Any, FigurePoint, Any]]) -> None:
    from matplotlib.patches import Patch

    fits = [point.fit.spectrum for _, point, _ in drawn if point.fit is not None and point.fit.spectrum]
    if not fits:
        return
    handles = [Patch(color=UNCOUPLED, alpha=0.4, linewidth=0, label="uncoupled")]
    if any(fit.n_peaks > 1 for fit in fits):
        handles.insert(0, Patch(color=COUPLED, alpha=0.4, linewidth=0, label="coupled"))
    legend(ax, handles=handles, loc="upper left")
