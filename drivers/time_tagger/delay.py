"""The delay between two counters from their tags: the centre of the peak of the cross-correlation.

Light in bursts gives a peak of pairs around the difference of the two counters' cable and transit delays. The
peak is symmetric (both counters see the same decay), but neither its shape nor the flat background
need be known: the centre c of a window [c - h, c + h] is moved until the mean delay in it is c itself,

    sum over pairs in the window of (x - c) = 0.

This skipped mean is an M-estimator; its variance (P. J. Huber, Robust Statistics, Wiley 1981, section 3.2) is
V / D^2 with V = sum (x - c)^2 over the window and D = n_window - 2 h n'(h), n' being the density of pairs at
the window's edges. A flat background drops out of D, not out of V. The half width h with the least error
is taken. No model, no binning of the result: numpy only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import TagChunk

FloatArray = NDArray[np.float64]

SIGNIFICANCE = 6.0
STEPS = 100
CONVERGED_PS = 0.01


class NoPeakError(ValueError):
    """The pairs show no peak: too few, light without bursts, or a delay outside the window."""


@dataclass(frozen=True)
class Delay:
    """Delay of the stop counter behind the start counter.

    Attributes:
        delay_ps: Centre of the peak of t_stop - t_start.
        error_ps: Its standard deviation from counting statistics.
        pairs: Number of pairs in the window that was used, background included.
        half_width_ps: Half of that window.
        significance: Height of the peak over the background in standard deviations.
    """

    delay_ps: float
    error_ps: float
    pairs: int
    half_width_ps: float
    significance: float


def differences_ps(
    chunks: Iterable[TagChunk], start_channel: int, stop_channel: int, *, window_ps: int
) -> FloatArray:
    """All t_stop - t_start in ``[-window_ps, window_ps)`` within the chunks, sorted, float64 (n_pairs,).

    Pairs across two chunks are left out: a share of about window/length of them.
    """
    parts: list[NDArray[np.int64]] = []
    for chunk in chunks:
        start = chunk.timestamps_ps[chunk.channels == start_channel]
        stop = chunk.timestamps_ps[chunk.channels == stop_channel]
        first = np.searchsorted(stop, start - window_ps)
        counts = np.searchsorted(stop, start + window_ps) - first
        index = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
        parts.append(stop[index] - np.repeat(start, counts))
    if not parts:
        return np.empty(0)
    return np.sort(np.concatenate(parts)).astype(np.float64)


def peak_centre(
    lags_ps: FloatArray, *, window_ps: float, coarse_ps: float = 500.0, smallest_half_width_ps: float = 50.0
) -> Delay:
    """Centre of the one symmetric peak on a flat background among the lags.

    Args:
        lags_ps: Delays of the pairs, shape (n_pairs,), all within ``[-window_ps, window_ps)``.
        window_ps: Half of the window that was searched.
        coarse_ps: Bin width of the first look; about the width of the peak.
        smallest_half_width_ps: Narrowest window to try.

    Raises:
        NoPeakError: No bin stands out of the background by 6 standard deviations.
    """
    lags = np.sort(np.asarray(lags_ps, dtype=np.float64))
    edges = np.arange(-window_ps, window_ps + coarse_ps, coarse_ps)
    counts = np.histogram(lags, edges)[0].astype(np.float64)
    background = float(np.median(counts))
    highest = int(np.argmax(counts))
    significance = float((counts[highest] - background) / np.sqrt(max(background, 1.0)))
    if lags.size == 0 or significance < SIGNIFICANCE:
        raise NoPeakError(
            f"no peak among {lags.size} pairs within +-{window_ps:g} ps "
            f"(highest bin {significance:.1f} sigma)"
        )
    centre = float(edges[highest] + coarse_ps / 2)
    best: Delay | None = None
    half_width = 4 * coarse_ps
    while half_width >= smallest_half_width_ps:
        found = _settle(lags, centre, half_width, significance)
        if found is not None and abs(found.delay_ps) + half_width <= window_ps:
            centre = found.delay_ps
            if best is None or found.error_ps < best.error_ps:
                best = found
        half_width /= np.sqrt(2.0)
    if best is None:
        raise NoPeakError(f"the peak near {centre:g} ps is not symmetric or lies at the window's edge")
    return best


def _settle(lags: FloatArray, centre: float, half_width: float, significance: float) -> Delay | None:
    """Move the window until its mean is its centre; None if it runs away or the peak has no slope there."""
    begin = centre
    for _ in range(STEPS):
        low, high = np.searchsorted(lags, [centre - half_width, centre + half_width])
        if high - low < 10:
            return None
        step = float(lags[low:high].mean()) - centre
        centre += step
        if abs(centre - begin) > half_width:
            return None
        if abs(step) < CONVERGED_PS:
            break
    inside = lags[low:high] - centre
    rim = half_width / 4
    rims = np.searchsorted(
        lags,
        [
            centre - half_width - rim,
            centre - half_width + rim,
            centre + half_width - rim,
            centre + half_width + rim,
        ],
    )
    edge_density = (rims[1] - rims[0] + rims[3] - rims[2]) / (4 * rim)
    slope = inside.size - 2 * half_width * edge_density
    if slope < 5 * np.sqrt(inside.size):
        return None
    error = float(np.sqrt(np.sum(inside**2)) / slope)
    return Delay(centre, error, int(inside.size), float(half_width), significance)


def delay_between(
    chunks: Iterable[TagChunk], start_channel: int, stop_channel: int, *, window_ps: int = 100_000
) -> Delay:
    """Delay of the stop counter behind the start counter, from a record with light in bursts.

    To align the counters, subtract it from ``delay_ps`` of the stop counter in the rig file.

    Args:
        chunks: The record.
        start_channel: Channel of the start counter.
        stop_channel: Channel of the stop counter.
        window_ps: Largest delay that is looked for.

    Raises:
        NoPeakError: The record shows no peak.
    """
    lags = differences_ps(chunks, start_channel, stop_channel, window_ps=window_ps)
    return peak_centre(lags, window_ps=float(window_ps))
