"""A spectrum wider than the camera: step the grating, glue the pieces.

The pieces are cut in the middle of their overlaps and put side by side; nothing is resampled or scaled, so
that every pixel keeps its own counts and its own Poisson noise. How well neighbours agree in their overlap is
reported for each seam: light that drifted between the steps, or an uncorrected response, shows there.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from drivers.errors import LimitError
from drivers.spectrometer.base import CameraNoise, Spectrometer

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MOST_PIECES = 50


@dataclass(frozen=True)
class Piece:
    """What was taken at one centre wavelength.

    Attributes:
        centre_nm: Centre wavelength.
        wavelengths_nm: Centre of each pixel, rising, shape (n,).
        frames: Light frames in counts, shape (m, n).
        dark: Dark frames in counts, shape (k, n).
    """

    centre_nm: float
    wavelengths_nm: FloatArray
    frames: IntArray
    dark: IntArray


@dataclass(frozen=True)
class Seam:
    """Where two pieces meet.

    Attributes:
        wavelength_nm: Where they were cut.
        ratio: Light of the right piece over that of the left one in their overlap; nan without light.
        ratio_error: One sigma of it, from counting and read noise.
    """

    wavelength_nm: float
    ratio: float
    ratio_error: float


@dataclass(frozen=True)
class WideSpectrum:
    """Pieces side by side.

    Attributes:
        wavelengths_nm: Centre of each pixel, rising, shape (n,).
        frames: Light frames in counts, shape (m, n); frame i of each piece, taken at different times.
        dark: Dark frames in counts, shape (k, n).
        piece: Which piece each pixel comes from, from 0, shape (n,).
        centres_nm: Centre wavelengths of the pieces.
        seams: One for each pair of neighbours.
    """

    wavelengths_nm: FloatArray
    frames: IntArray
    dark: IntArray
    piece: IntArray
    centres_nm: tuple[float, ...]
    seams: tuple[Seam, ...]


def glue(pieces: Sequence[Piece], noise: CameraNoise) -> WideSpectrum:
    """Put pieces side by side.

    Args:
        pieces: In order of rising wavelength, each overlapping the next one.
        noise: The camera's gain and read noise, for the errors of the seams.

    Raises:
        ValueError: No piece, pieces that do not overlap or differ in their number of frames.
    """
    if not pieces:
        raise ValueError("no piece to glue")
    if len({(piece.frames.shape[0], piece.dark.shape[0]) for piece in pieces}) != 1:
        raise ValueError("the pieces differ in their number of frames")
    cuts = [_cut_nm(left, right) for left, right in pairwise(pieces)]
    begins, ends = [-math.inf, *cuts], [*cuts, math.inf]
    if any(not begin < end for begin, end in zip(begins, ends, strict=True)):
        raise ValueError("the pieces do not come in order of rising wavelength")
    kept = [
        (piece.wavelengths_nm >= begin) & (piece.wavelengths_nm < end)
        for piece, begin, end in zip(pieces, begins, ends, strict=True)
    ]
    sizes = [int(mask.sum()) for mask in kept]
    return WideSpectrum(
        np.concatenate([piece.wavelengths_nm[mask] for piece, mask in zip(pieces, kept, strict=True)]),
        np.hstack([piece.frames[:, mask] for piece, mask in zip(pieces, kept, strict=True)]),
        np.hstack([piece.dark[:, mask] for piece, mask in zip(pieces, kept, strict=True)]),
        np.repeat(np.arange(len(pieces)), sizes),
        tuple(piece.centre_nm for piece in pieces),
        tuple(
            _seam(left, right, cut, noise) for (left, right), cut in zip(pairwise(pieces), cuts, strict=True)
        ),
    )


def _cut_nm(left: Piece, right: Piece) -> float:
    low, high = float(right.wavelengths_nm[0]), float(left.wavelengths_nm[-1])
    if not low < high:
        raise ValueError(f"pieces at {left.centre_nm:g} and {right.centre_nm:g} nm do not overlap")
    return 0.5 * (low + high)


def _seam(left: Piece, right: Piece, cut_nm: float, noise: CameraNoise) -> Seam:
    low, high = float(right.wavelengths_nm[0]), float(left.wavelengths_nm[-1])
    one, one_variance = _light(left, low, high, noise)
    two, two_variance = _light(right, low, high, noise)
    if one <= 0 or two <= 0:
        return Seam(cut_nm, math.nan, math.nan)
    ratio = two / one
    return Seam(cut_nm, ratio, ratio * math.sqrt(one_variance / one**2 + two_variance / two**2))


def _light(piece: Piece, low_nm: float, high_nm: float, noise: CameraNoise) -> tuple[float, float]:
    """Photo-electrons of a piece between two wavelengths (pixels at the ends in part), and their variance."""
    middle = 0.5 * (piece.wavelengths_nm[1:] + piece.wavelengths_nm[:-1])
    first = 2.0 * piece.wavelengths_nm[0] - middle[0]
    last = 2.0 * piece.wavelengths_nm[-1] - middle[-1]
    edges = np.concatenate([[first], middle, [last]])
    inside = np.clip(np.minimum(edges[1:], high_nm) - np.maximum(edges[:-1], low_nm), 0.0, None)
    share = inside / np.diff(edges)
    gain = noise.gain_electrons_per_count
    n_light, n_dark = piece.frames.shape[0], piece.dark.shape[0]
    electrons = gain * (piece.frames.mean(axis=0) - piece.dark.mean(axis=0))
    read = noise.read_noise_electrons**2 * (1.0 / n_light + 1.0 / n_dark)
    variance = np.maximum(electrons, 0.0) / n_light + read
    return float((share * electrons).sum()), float((share**2 * variance).sum())


def take_wide(
    spectrometer: Spectrometer,
    *,
    grating: int,
    first_nm: float,
    last_nm: float,
    number: int,
    dark_number: int,
    exposure_s: float,
    overlap: float = 0.1,
    cancel: threading.Event | None = None,
) -> WideSpectrum | None:
    """Step over a range and glue what was taken.

    The steps follow the calibration that the spectrograph gives at each of them.

    Args:
        spectrometer: Open and cooled.
        grating: Number of the grating, from 1.
        first_nm: Begin of the range.
        last_nm: End of the range.
        number: Light frames at each step.
        dark_number: Dark frames at each step.
        exposure_s: Exposure of each frame.
        overlap: Share of the camera's width that neighbours have in common, 0.02 to 0.5.
        cancel: Ends it early.

    Returns:
        The wide spectrum, None when cancelled. It may begin and end beyond the range asked for.

    Raises:
        LimitError: A range that makes no sense, or would need more than 50 steps; nothing was taken.
    """
    if not (0 < first_nm < last_nm and 0.02 <= overlap <= 0.5 and number >= 1 and dark_number >= 1):
        raise LimitError(
            spectrometer.name,
            f"{first_nm:g} to {last_nm:g} nm in steps that overlap by {overlap:g}, {number} light and "
            f"{dark_number} dark frames: a rising range, an overlap of 0.02 to 0.5 and at least one frame of "
            "each are needed",
            done="Nothing was taken",
        )
    pieces: list[Piece] = []
    spectrometer.select(grating, first_nm)
    axis = spectrometer.wavelengths_nm()
    width_nm = float(axis[-1] - axis[0])
    if (last_nm - first_nm) / (width_nm * (1.0 - overlap)) > MOST_PIECES:
        raise LimitError(
            spectrometer.name,
            f"{first_nm:g} to {last_nm:g} nm needs more than {MOST_PIECES} steps of {width_nm:g} nm",
            done="Nothing was taken",
            advice="Choose a coarser grating",
        )
    centre_nm = first_nm + 0.5 * width_nm
    while True:
        piece = _take_piece(spectrometer, grating, centre_nm, (number, dark_number, exposure_s), cancel)
        if piece is None:
            return None
        pieces.append(piece)
        axis = piece.wavelengths_nm
        if axis[-1] >= last_nm:
            return glue(pieces, spectrometer.noise)
        width_nm = float(axis[-1] - axis[0])
        # The next piece begins where this one's overlap does; its width is a little smaller.
        centre_nm = float(axis[-1]) + (0.5 - overlap) * width_nm


def _take_piece(
    spectrometer: Spectrometer,
    grating: int,
    centre_nm: float,
    what: tuple[int, int, float],
    cancel: threading.Event | None,
) -> Piece | None:
    number, dark_number, exposure_s = what
    spectrometer.select(grating, centre_nm)
    taken: list[IntArray] = []
    for count, is_open in ((dark_number, False), (number, True)):
        frames = [
            frame.counts
            for frame in spectrometer.frames(count, exposure_s, shutter_open=is_open, cancel=cancel)
        ]
        if len(frames) < count:
            return None
        taken.append(np.array(frames, dtype=np.int64))
    dark, light = taken
    return Piece(centre_nm, spectrometer.wavelengths_nm(), light, dark)
