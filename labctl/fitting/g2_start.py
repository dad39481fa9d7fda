"""First guesses for a histogram of pairs, and what cannot be fitted."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.emission.response import two_sided_cumulative
from labctl.fitting.refusal import FitRefused
from labctl.photons.g2 import PairBlocks

Array = NDArray[np.float64]

_LEAST_BINS = 16

QUICKEST_S = 1e-12
"""Standard deviation of the timing response that no pair of counters is below."""


def require_counters(response_sigma_s: float, dead_time_s: float) -> None:
    """Refuse what no pair of counters has: a slip of units would give lifetimes that look fine.

    Raises:
        FitRefused: a timing response outside 1 ps to 100 ns, a dead time outside 0 to 1 ms, or not a number.
    """
    if not QUICKEST_S <= response_sigma_s <= 1e-7:
        raise FitRefused(
            f"timing response is {response_sigma_s} s: give its standard deviation in s, 1e-12 to 1e-7"
        )
    if not 0.0 <= dead_time_s <= 1e-3:
        raise FitRefused(f"dead time is {dead_time_s} s: give it in s, 0 (no correction) to 1e-3")


def require_pairs(pairs: PairBlocks, response_sigma_s: float, dead_time_s: float = 0.0) -> None:
    """Refuse histograms without anything to fit.

    Raises:
        FitRefused: no tags, no pairs, pairs that are no counts, too few bins, a response that is not a
            number above 0.
    """
    require_counters(response_sigma_s, dead_time_s)
    if pairs.n_bins < _LEAST_BINS:
        raise FitRefused(f"histogram has {pairs.n_bins} bins, a fit needs {_LEAST_BINS}: use narrower bins")
    starts, stops = int(pairs.start_tags.sum()), int(pairs.stop_tags.sum())
    if starts <= 0 or stops <= 0:
        raise FitRefused(
            f"counters saw {starts} starts and {stops} stops: open the shutter or check the fibre"
        )
    if pairs.duration_ps.sum() <= 0:
        raise FitRefused("the blocks have no duration: rates cannot be formed")
    if not np.all(np.isfinite(pairs.pairs)) or float(pairs.pairs.min()) < 0.0:
        raise FitRefused("histogram holds numbers of pairs that are no counts (negative or not finite)")
    total = int(pairs.total().sum())
    if total < 50:
        raise FitRefused(f"histogram holds {total} pairs, at least 50 are needed: count longer")
    window_s = 0.5e-12 * pairs.n_bins * pairs.bin_ps
    if response_sigma_s > 0.25 * window_s:
        raise FitRefused(
            f"timing response of {response_sigma_s:g} s is over a quarter of the window ({window_s:g} s)"
        )
    fastest = max(starts, stops) / (float(pairs.duration_ps.sum()) * 1e-12)
    if fastest * dead_time_s >= 1.0:
        raise FitRefused(f"a counter that is dead for {dead_time_s:g} s cannot count {fastest:.3g} per s")
    if not np.all(np.isfinite(pairs.expected())) or float(pairs.expected().min()) <= 0.0:
        raise FitRefused(
            "accidental pairs per bin are not above 0 everywhere: window longer than the record?"
        )


def first_guess(edges_s: Array, counts: Array, accidentals: Array, sigma_s: float) -> Array:
    """Contrast (s), delay (s) and lifetime (s) of a single exponential.

    The delay is where the excess matches an exponential of 0.5 ns best; lifetime and contrast from a scan.

    Args:
        edges_s: Bin edges (n + 1,).
        counts: Pairs (n,).
        accidentals: Expected without bunching (n,).
        sigma_s: Timing response.
    """
    level = float(np.median(counts / accidentals))
    # With few pairs per bin the median is 0 or 1: the mean over the outer half is safer.
    outer = np.r_[: counts.size // 4, -(counts.size // 4) : 0]
    level = max(float(counts[outer].sum() / accidentals[outer].sum()) or level, 0.1)
    excess = counts - level * accidentals
    width = float(edges_s[1] - edges_s[0])
    delay = _peak(excess, edges_s, width)
    best: tuple[float, float, float] = (-math.inf, 1e-9, 0.0)
    span = float(edges_s[-1] - edges_s[0])
    for lifetime in np.geomspace(max(0.3 * sigma_s, 0.2 * width), 0.25 * span, 24):
        density = np.diff(two_sided_cumulative(edges_s - delay, float(lifetime), sigma_s)) / width
        shape = level * accidentals * density
        gain, contrast = _one_parameter(counts, level * accidentals, shape)
        if gain > best[0]:
            best = (gain, float(lifetime), contrast)
    # The scan's shapes are relative to the level, the contrast is not.
    return np.array([max(level * best[2], 1e-15), delay, best[1]])


def _one_parameter(counts: Array, base: Array, shape: Array) -> tuple[float, float]:
    """Poisson likelihood gain and best factor c of base + c shape, by Newton steps from a moment estimate."""
    factor = max(float(np.sum(counts - base) / np.sum(shape)), 1e-18)
    for _ in range(12):
        model = base + factor * shape
        slope = float(np.sum(shape * (counts / model - 1.0)))
        curvature = float(np.sum(counts * (shape / model) ** 2))
        if curvature <= 0.0:
            break
        factor = min(max(factor + slope / curvature, factor * 0.2), factor * 5.0 + 1e-18)
    model = base + factor * shape
    gain = float(np.sum(counts * np.log(model / base) - factor * shape))
    return gain, factor


def _peak(excess: Array, edges_s: Array, width_s: float) -> float:
    """Centre of the peak: best overlap with a two-sided exponential of 0.5 ns."""
    half = min(max(int(3e-9 / width_s), 2), excess.size // 3)
    offset = np.arange(-half, half + 1) * width_s
    kernel = np.exp(-np.abs(offset) / 0.5e-9)
    overlap = np.convolve(excess, kernel, mode="same")
    index = int(np.argmax(overlap))
    return float(0.5 * (edges_s[index] + edges_s[index + 1]))
