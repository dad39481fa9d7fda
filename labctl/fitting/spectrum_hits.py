"""Cosmic-ray hits of several pixels in a one-frame spectrum: left out, or named where they may be light.

What the peaks leave over is searched by ``spectra.wide_hits``. A run narrower than any line's full width at
half maximum (by the narrowest standard deviation that the fit allows: 9.4 meV, or 4.7 pixels) is no light:
it is left out with two pixels on either side, and the peaks are fitted again. A wider one could be a narrow
line, and one beside peaks that do not describe the rest could be their misfit: those stay, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.lines import LineShape
from labctl.fitting.solver import Solution
from labctl.fitting.spectrum_model import line_list
from labctl.spectra.reduction import EnergySpectrum
from labctl.spectra.wide_hits import WideHit, widest_excess

Array = NDArray[np.float64]
Fits = dict[int, Solution]

SPILL_PIXELS = 2
_FULL_WIDTH = 2.355
_MOST_HITS = 4
_NARROW_PIXELS = 6.0


@dataclass(frozen=True, eq=False)
class WithoutHits:
    """A spectrum without the hits that were found.

    Args:
        measured: The pixels that are left.
        fits: Their fits, by number of peaks.
        notes: What was left out, and what may be a hit.
    """

    measured: EnergySpectrum
    fits: Fits
    notes: tuple[str, ...]


def without_hits(
    measured: EnergySpectrum,
    fits: Fits,
    line_shape: LineShape,
    narrowest_eV: float,
    refit: Callable[[EnergySpectrum], Fits],
    describes: Callable[[EnergySpectrum, Solution], bool],
) -> WithoutHits:
    """Search and leave out hits, one after the other.

    Args:
        measured: One frame.
        fits: Its fits, by number of peaks.
        line_shape: Of the peaks.
        narrowest_eV: Least standard deviation of a line.
        refit: Fits a spectrum with each number of peaks.
        describes: Whether a fit describes a spectrum within its noise.
    """
    notes: list[str] = []
    for _ in range(_MOST_HITS):
        found = _found(measured, fits, line_shape)
        if found is None:
            break
        hit, count = found
        at = float(measured.energy_eV[(hit.first + hit.last) // 2])
        pixels = hit.last - hit.first + 1
        width_eV = float(measured.pixel_eV[hit.first : hit.last + 1].sum())
        words = f"{pixels} pixels at {at:.3f} eV stand {hit.sigma:.1f} sigma above the peaks"
        keep = np.ones(measured.energy_eV.size, dtype=np.bool_)
        keep[max(hit.first - SPILL_PIXELS, 0) : hit.last + SPILL_PIXELS + 1] = False
        less = measured.kept(keep)
        again = refit(less) if width_eV <= _FULL_WIDTH * narrowest_eV else None
        if again is None or not any(describes(less, again[n]) for n in again if n <= max(count, 2)):
            notes.append(f"{words}: a cosmic ray or a narrow line; take several frames to tell")
            break
        measured, fits = less, again
        notes.append(f"{words} and were left out as a cosmic ray")
    return WithoutHits(measured, fits, tuple(notes))


def _found(measured: EnergySpectrum, fits: Fits, line_shape: LineShape) -> tuple[WideHit, int] | None:
    """The clearest hit on what the fit with the most peaks leaves that are all wider than a hit."""
    counts = sorted(fits, reverse=True)
    broad = [
        n for n in counts if fits[n].converged and not _has_narrow(measured, fits[n], line_shape)
    ] or counts[-1:]
    solution = fits[broad[0]]
    sd = np.sqrt(solution.variance)
    expected = np.maximum(solution.model, 0.0)
    skewness = measured.variance_per_unit**2 * expected / sd**3
    hit = widest_excess((measured.counts_per_eV - solution.model) / sd, skewness)
    return None if hit is None else (hit, broad[0])


def _has_narrow(measured: EnergySpectrum, solution: Solution, line_shape: LineShape) -> bool:
    """Whether a peak is so narrow that it may be fitted to a hit."""
    pixel_eV = float(np.median(measured.pixel_eV))
    lines = line_list(solution.values, line_shape)
    return any(width < _NARROW_PIXELS * pixel_eV for _, _, width in lines[1:])
