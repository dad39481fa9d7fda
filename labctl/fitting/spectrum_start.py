"""First guesses for the peaks of a spectrum: a scan over centres and widths, linear in the heights."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.spectra.reduction import EnergySpectrum

Array = NDArray[np.float64]

_GRID = 26
_WIDTHS = (0.015, 0.03, 0.06, 0.1)
_POINTS = 160


def first_guesses(
    measured: EnergySpectrum, n_peaks: int, *, single: Array | None = None, skewed: bool = False
) -> list[Array]:
    """Starting parameters in the order of ``spectrum_fit.parameter_names``.

    All pairs of lines on a grid of centres and widths (one line for a single peak) are fitted linearly to the
    binned spectrum; the best few pairs are returned. With the best single peak known, each second line beside
    that peak is tried as well: so a peak of a percent is found under the noise of the coarse grid.

    Args:
        measured: The spectrum.
        n_peaks: 1 or 2; for more see :func:`one_more_peak`.
        single: Centre and width of the best single peak, in eV.
        skewed: Whether each peak has a skew parameter.
    """
    energy = _binned(measured)[0]
    span = float(energy[-1] - energy[0])
    centres = np.linspace(energy[0] + 0.05 * span, energy[-1] - 0.05 * span, _GRID)
    centre, width = (a.ravel() for a in np.meshgrid(centres, np.array(_WIDTHS), indexing="ij"))
    if n_peaks == 1:
        pairs = np.stack([np.arange(centre.size)] * 2, axis=1)
        return _scan(measured, centre, width, pairs, n_peaks, skewed, floor=0.02, keep=2)
    guesses = _scan(measured, centre, width, _pairs(centre, width), n_peaks, skewed, floor=0.02, keep=2)
    if single is not None:
        centre, width = np.append(centre, single[0]), np.append(width, single[1])
        last = centre.size - 1
        beside = np.array(
            [(i, last) if centre[i] < single[0] else (last, i) for i in range(last) if centre[i] != single[0]]
        )
        guesses += _scan(measured, centre, width, beside, n_peaks, skewed, floor=0.0, keep=2)
    return guesses


def _scan(
    measured: EnergySpectrum,
    centre: Array,
    width: Array,
    pairs: NDArray[np.intp],
    n_peaks: int,
    skewed: bool,
    *,
    floor: float,
    keep: int,
) -> list[Array]:
    """The best few pairs of lines as starting parameters."""
    energy, signal, variance, background = _binned(measured)
    # A floor keeps very precise pixels from punishing the coarse grid.
    precision = 1.0 / (variance + (floor * float(np.max(np.abs(signal)))) ** 2)
    lines = np.exp(-0.5 * ((energy - centre[:, None]) / width[:, None]) ** 2)
    lines /= width[:, None] * math.sqrt(2.0 * math.pi)
    basis = np.vstack([lines, background[None, :]])
    gram = (basis * precision) @ basis.T
    projection = (basis * precision) @ signal
    gains, heights = _linear_fits(gram, projection, pairs, single=n_peaks == 1)
    guesses = []
    for index in _distinct(gains, pairs, centre, keep):
        low, high = pairs[index]
        lines_found = [(float(heights[index, 0]), float(centre[low]), float(width[low]))]
        if n_peaks > 1:
            lines_found.append((float(heights[index, 1]), float(centre[high]), float(width[high])))
        guesses.append(_assemble(lines_found, float(heights[index, 2]), skewed))
    return guesses


def _binned(measured: EnergySpectrum) -> tuple[Array, Array, Array, Array]:
    """Coarse bins for the scan: energy, mean signal, variance, background shape."""
    size = measured.energy_eV.size
    group = np.arange(size) * min(_POINTS, size) // size
    n = np.bincount(group)

    def mean(x: Array) -> Array:
        return np.bincount(group, weights=x) / n

    variance = mean(measured.error**2) / n
    return mean(measured.energy_eV), mean(measured.counts_per_eV), variance, mean(measured.background_per_eV)


def _pairs(centre: Array, width: Array) -> NDArray[np.intp]:
    """Index pairs (lower, higher in energy) at least 40 % of the wider line apart."""
    low, high = np.meshgrid(np.arange(centre.size), np.arange(centre.size), indexing="ij")
    apart = centre[high] - centre[low] >= np.maximum(0.02, 0.4 * np.maximum(width[low], width[high]))
    return np.stack([low[apart], high[apart]], axis=1)


def _linear_fits(
    gram: Array, projection: Array, pairs: NDArray[np.intp], *, single: bool
) -> tuple[Array, Array]:
    """Improvement of chi-squared and heights (low, high, background) of each pair; negative heights lose."""
    last = gram.shape[0] - 1
    columns = (
        [pairs[:, 0], np.full(len(pairs), last)]
        if single
        else [pairs[:, 0], pairs[:, 1], np.full(len(pairs), last)]
    )
    index = np.stack(columns, axis=1)
    matrix = gram[index[:, :, None], index[:, None, :]]
    size = index.shape[1]
    diagonal = np.einsum("ijj->ij", matrix)
    # A line in a gap of the spectrum meets no point: its height comes out as 0, which loses.
    diagonal = np.where(diagonal > 0.0, diagonal, 1.0)
    matrix = matrix + 1e-10 * diagonal[:, :, None] * np.eye(size)
    right = projection[index]
    solved = np.linalg.solve(matrix, right[:, :, None])[:, :, 0]
    gain = np.einsum("ij,ij->i", solved, right)
    gain = np.where(np.all(solved[:, :-1] > 0.0, axis=1), gain, -math.inf)
    heights = np.zeros((len(pairs), 3))
    heights[:, 0] = solved[:, 0]
    heights[:, 1] = 0.0 if single else solved[:, 1]
    heights[:, 2] = solved[:, -1]
    return gain, heights


def _distinct(gains: Array, pairs: NDArray[np.intp], centre: Array, keep: int) -> list[int]:
    """Indices of the best guesses whose centres differ."""
    chosen: list[int] = []
    for index in np.argsort(-gains):
        if not math.isfinite(gains[index]) or len(chosen) == keep:
            break
        here = centre[pairs[index]]
        if all(np.max(np.abs(here - centre[pairs[other]])) > 0.03 for other in chosen):
            chosen.append(int(index))
    return chosen


def _assemble(lines: list[tuple[float, float, float]], background: float, skewed: bool) -> Array:
    """Parameters from lines (area, centre, width): the highest in energy is the uncoupled one."""
    ordered = sorted(lines, key=lambda part: -part[1])
    total = sum(part[0] for part in ordered)
    skew = [0.0] if skewed else []
    reference = ordered[0][1]
    guess = [total, background, reference, ordered[0][2], *skew]
    for area, centre, width in ordered[1:]:
        guess += [area / total, reference - centre, width, *skew]
    return np.array(guess)


def one_more_peak(
    measured: EnergySpectrum, lines: list[tuple[float, float, float]], background: float, *, skewed: bool
) -> list[Array]:
    """Starting parameters for one line more than a fit has: each of the best lines in what it left over.

    Args:
        measured: The spectrum.
        lines: Area, centre and width of the fitted lines.
        background: Fitted background per pixel.
        skewed: Whether each peak has a skew parameter.
    """
    energy, signal, variance, shape = _binned(measured)
    for area, centre, width in lines:
        signal = signal - area * _gaussian(energy, centre, width)
    signal = signal - background * shape
    span = float(energy[-1] - energy[0])
    centres = np.linspace(energy[0] + 0.05 * span, energy[-1] - 0.05 * span, 2 * _GRID)
    found = []
    for centre in centres:
        for width in _WIDTHS:
            extra = _gaussian(energy, float(centre), width)
            curvature = float(np.sum(extra**2 / variance))
            area = float(np.sum(extra * signal / variance)) / curvature
            if area > 0.0:
                found.append((area**2 * curvature, area, float(centre), width))
    found.sort(reverse=True)
    return [
        _assemble([*_shrunk(lines, area), (area, centre, width)], background, skewed)
        for _, area, centre, width in found[:3]
    ]


def _shrunk(lines: list[tuple[float, float, float]], area: float) -> list[tuple[float, float, float]]:
    """The other lines with the new one's area taken off: they had stood in for it."""
    total = sum(part[0] for part in lines)
    factor = max(1.0 - area / total, 0.3)
    return [(part[0] * factor, part[1], part[2]) for part in lines]


def _gaussian(energy: Array, centre: float, width: float) -> Array:
    return np.exp(-0.5 * ((energy - centre) / width) ** 2) / (width * math.sqrt(2.0 * math.pi))
