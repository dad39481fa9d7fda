"""What detectors and converter add to the light: response, delay, dead time, after-pulses, cross-talk.

Cross-talk, after-pulses and unequal bins are judged on a run with light that is not correlated (a lamp, a
far-away diode) at about the count rate of the experiment, where g2 must be 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.photons.g2 import PairBlocks
from labctl.photons.pulse_train import pulse_period

_SIGNIFICANT_SIGMA = 6.0
_MOST_PEAKS = 6
_LEVEL_FROM_1 = 0.2
_PULSED_DEPTH = 0.5


@dataclass(frozen=True)
class PulseResponse:
    """Timing response of a pair of channels, from a peak much shorter than it.

    Attributes:
        delay_ps: Centroid of the peak; its negative is the stop's delay that calibrates it to 0.
        delay_error_ps: Standard error of the centroid.
        sigma_ps: Standard deviation of the response (bin width taken out).
        sigma_error_ps: Its standard error.
        fwhm_ps: Full width at half maximum of the histogram, interpolated.
        pairs: Pairs in the peak above the level around it.
    """

    delay_ps: float
    delay_error_ps: float
    sigma_ps: float
    sigma_error_ps: float
    fwhm_ps: float
    pairs: float


def measure_response(
    blocks: PairBlocks, around_ps: float | None = None, within_ps: float | None = None
) -> PulseResponse:
    """Measure the response from a short pulse seen by both channels (or by one, with the pulse's trigger).

    Moments of the excess over the median level, in a range that is narrowed to +-5 standard deviations.

    Args:
        blocks: Histogram with one short peak in its window (or near ``around_ps``).
        around_ps: Where to look; default the highest bin.
        within_ps: Look no further than this from there (half of the period of a pulse train).

    Raises:
        ValueError: No peak of at least 50 pairs and 6 standard deviations.
    """
    counts = blocks.total().astype(np.float64)
    lag = blocks.lag_ps
    centre = float(lag[np.argmax(counts)]) if around_ps is None else around_ps
    level = float(np.median(counts))
    excess = counts - level
    half = float(blocks.window_ps) if within_ps is None else within_ps
    sigma = half
    for _ in range(30):
        inside = np.abs(lag - centre) <= max(half, 2.5 * blocks.bin_ps)
        weight = float(excess[inside].sum())
        if weight < 50:
            raise ValueError(f"no peak: {weight:.0f} pairs above the level near {centre / 1000:.3f} ns")
        new_centre = float((excess[inside] * lag[inside]).sum()) / weight
        variance = float((excess[inside] * (lag[inside] - new_centre) ** 2).sum()) / weight
        sigma = math.sqrt(max(variance - blocks.bin_ps**2 / 12, (0.1 * blocks.bin_ps) ** 2))
        new_half = 5 * math.sqrt(max(variance, blocks.bin_ps**2 / 4))
        settled = abs(new_centre - centre) < 1e-3 * blocks.bin_ps and abs(new_half - half) < 1e-3 * half
        centre, half = new_centre, min(new_half, half)
        if settled:
            break
    if weight < _SIGNIFICANT_SIGMA * math.sqrt(float(counts[inside].sum())):
        raise ValueError(f"no peak: nothing above the counting noise near {centre / 1000:.3f} ns")
    away = lag[inside] - centre
    variance_of_sum = counts[inside]
    delay_error = math.sqrt(float((variance_of_sum * away**2).sum())) / weight
    spread = away**2 - float((excess[inside] * away**2).sum()) / weight
    variance_error = math.sqrt(float((variance_of_sum * spread**2).sum())) / weight
    return PulseResponse(
        centre, delay_error, sigma, variance_error / (2 * sigma), _fwhm(excess, lag, centre), weight
    )


def pulse_peaks(blocks: PairBlocks) -> NDArray[np.float64]:
    """Delays of the peaks of a train of short pulses: everything at least 0.3 times as high as the highest.

    Returns:
        Delays in ps, rising, shape (n,); empty where nothing stands out.
    """
    counts = blocks.total().astype(np.float64)
    level = float(np.median(counts))
    top = int(np.argmax(counts))
    width = max(_fwhm(counts - level, blocks.lag_ps, float(blocks.lag_ps[top])), blocks.bin_ps)
    # Sums over the width of the peak do not split one peak into its noisy bins.
    joined = max(round(width / blocks.bin_ps), 1)
    smooth = np.convolve(counts - level, np.ones(joined), mode="same")
    peaks = []
    left = smooth.copy()
    threshold = max(0.3 * float(smooth.max()), 6 * math.sqrt(max(float(counts.mean()) * joined, 1.0)))
    while left.max() > threshold:
        at = int(np.argmax(left))
        peaks.append(float(blocks.lag_ps[at]))
        left[max(at - 10 * joined, 0) : at + 10 * joined + 1] = 0.0
    return np.sort(np.array(peaks))


def _fwhm(excess: NDArray[np.float64], lag: NDArray[np.float64], centre: float) -> float:
    top = int(np.argmin(np.abs(lag - centre)))
    top = max(top - 2, 0) + int(np.argmax(excess[max(top - 2, 0) : top + 3]))
    half = excess[top] / 2
    crossings = []
    for step in (-1, 1):
        at = top
        while 0 < at < len(excess) - 1 and excess[at] > half:
            at += step
        inner = at - step
        drop = excess[inner] - excess[at]
        share = (excess[inner] - half) / drop if drop > 0 else 0.0
        crossings.append(lag[inner] + step * share * abs(lag[1] - lag[0]))
    return float(crossings[1] - crossings[0])


@dataclass(frozen=True)
class DeadTime:
    """What the auto-correlation of one detector tells.

    Attributes:
        dead_ps: No two counts come closer than this (lower edge of the first bin with pairs); 0 if none.
        after_pulses: Extra counts per count, from the end of the dead time to ``upto_ps``.
        after_pulses_error: Its standard error from counting.
        upto_ps: End of the range of after-pulses.
    """

    dead_ps: float
    after_pulses: float
    after_pulses_error: float
    upto_ps: float


def measure_dead_time(auto: PairBlocks, upto_ps: float | None = None) -> DeadTime:
    """Read dead time and after-pulsing off an auto-correlation with steady, uncorrelated light.

    Args:
        auto: Auto-correlation of one channel, window longer than the dead time.
        upto_ps: Where after-pulses are over; default half of the window (the rest gives the level).

    Raises:
        ValueError: Not an auto-correlation, or fewer than 100 pairs.
    """
    if not auto.same_channel:
        raise ValueError("the dead time follows from the auto-correlation of one channel")
    lag, counts, expected = auto.lag_ps, auto.total().astype(np.float64), auto.expected()
    later = lag > 0
    lag, counts, expected = lag[later], counts[later], expected[later]
    if counts.sum() < 100:
        raise ValueError(f"{counts.sum():.0f} pairs are too few to see a dead time")
    end = float(auto.window_ps) / 2 if upto_ps is None else upto_ps
    seen, wanted = np.cumsum(counts), np.cumsum(expected)
    first = int(np.argmax(seen >= max(3.0, 0.02 * wanted[-1] / len(wanted))))
    dead = 0.0
    if wanted[first] >= 10 and seen[first] < 0.3 * wanted[first]:
        dead = float(lag[first]) - (auto.bin_ps - 1) / 2
    far = lag > end
    level = counts[far].sum() / expected[far].sum() if expected[far].sum() > 0 else 1.0
    inside = (lag >= dead) & (lag <= end)
    accidental = level * expected[inside].sum()
    tags = float(auto.start_tags.sum())
    extra = counts[inside].sum() - accidental
    far_share = accidental**2 / max(level * expected[far].sum(), 1.0)
    error = math.sqrt(max(counts[inside].sum() + far_share, 1.0))
    return DeadTime(dead, extra / tags, error / tags, end)


@dataclass(frozen=True)
class CrossTalk:
    """Extra pairs at a fixed delay though the light is not correlated.

    Attributes:
        delay_ps: Centre of the peak.
        half_width_ps: Half of the range counted.
        per_count: Extra counts of the later detector per count of the earlier one (negative: missing).
        per_count_error: Standard error from counting.
        sigma: Significance.
    """

    delay_ps: float
    half_width_ps: float
    per_count: float
    per_count_error: float
    sigma: float


@dataclass(frozen=True)
class UncorrelatedCheck:
    """How far a run with uncorrelated light departs from g2 = 1.

    Attributes:
        level: Mean g2 outside the peaks.
        level_error: Its standard error.
        cross_talk: Peaks and dips found, the strongest first.
        bin_width_rms: Relative rms deviation of the bins' widths (counting noise taken out).
        chi2_per_bin: Mean squared deviation in units of the counting error, outside the peaks.
    """

    level: float
    level_error: float
    cross_talk: tuple[CrossTalk, ...]
    bin_width_rms: float
    chi2_per_bin: float


def check_uncorrelated(blocks: PairBlocks) -> UncorrelatedCheck:
    """Look for cross-talk and unequal bins in a cross-correlation with uncorrelated light.

    Raises:
        ValueError: Fewer than 100 expected pairs, or light that is correlated itself: pulsed, or with a
            g2 far from 1 wherever it is looked at (blinking).
    """
    counts, expected = blocks.total().astype(np.float64), blocks.expected()
    if expected.sum() < 100:
        raise ValueError(f"{expected.sum():.0f} expected pairs are too few to judge")
    _refuse_pulsed(blocks, counts, expected)
    free = np.ones(len(counts), dtype=bool)
    found = []
    for _ in range(_MOST_PEAKS):
        level = counts[free].sum() / expected[free].sum()
        peak = _strongest(counts, level * expected, free)
        if peak is None:
            break
        first, last, sigma = peak
        found.append(_cross_talk(blocks, counts, level * expected, first, last, sigma))
        # The flanks of a peak are not another one.
        margin = 2 * (last - first)
        free[max(first - margin, 0) : last + margin] = False
        if free.sum() < len(free) // 4:
            break
    level = float(counts[free].sum() / expected[free].sum())
    level_error = math.sqrt(float(counts[free].sum())) / float(expected[free].sum())
    if abs(level - 1) > max(_LEVEL_FROM_1, _SIGNIFICANT_SIGMA * level_error):
        raise ValueError(
            f"g2 is {level:.3g} outside all peaks, so the light is correlated itself (it blinks or drifts): "
            "this record cannot show cross-talk or bin widths; take one with steady light (a lamp)"
        )
    wanted = level * expected[free]
    deviation = (counts[free] - wanted) ** 2
    usable = wanted > 0
    beyond = float((deviation[usable] - wanted[usable]).sum()) / float((wanted[usable] ** 2).sum())
    return UncorrelatedCheck(
        level,
        level_error,
        tuple(found),
        math.sqrt(max(beyond, 0.0)),
        float(np.mean(deviation[usable] / wanted[usable])),
    )


def _refuse_pulsed(blocks: PairBlocks, counts: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
    """Pulsed light has deep gaps between its peaks; bins that differ periodically only ripple."""
    train = pulse_period(counts, blocks.lag_ps, blocks.bin_ps, expected)
    if train is None:
        return
    turn = np.exp(2j * np.pi * blocks.lag_ps / train.period_ps)
    depth = 2 * abs(complex(np.sum(counts * turn))) / float(counts.sum())
    if depth > _PULSED_DEPTH:
        raise ValueError(
            f"the light is pulsed (period {train.period_ps / 1000:.6g} ns): this record cannot show "
            "cross-talk or bin widths; take one with steady light (a lamp)"
        )


def _strongest(
    counts: NDArray[np.float64], wanted: NDArray[np.float64], free: NDArray[np.bool_]
) -> tuple[int, int, float] | None:
    """Give (first, last, sigma) of the most significant range of free bins."""
    sum_counts = np.concatenate([[0.0], np.cumsum(counts)])
    sum_wanted = np.concatenate([[0.0], np.cumsum(wanted)])
    sum_free = np.concatenate([[0], np.cumsum(free)])
    best: tuple[int, int, float] | None = None
    width = 1
    while width <= max(len(counts) // 10, 1):
        found = sum_counts[width:] - sum_counts[:-width]
        level = sum_wanted[width:] - sum_wanted[:-width]
        whole = (sum_free[width:] - sum_free[:-width]) == width
        sigma = np.where(whole & (level >= 5), (found - level) / np.sqrt(np.maximum(level, 5.0)), 0.0)
        at = int(np.argmax(np.abs(sigma)))
        if abs(sigma[at]) > _SIGNIFICANT_SIGMA and (best is None or abs(sigma[at]) > abs(best[2])):
            best = at, at + width, float(sigma[at])
        width *= 2
    return best


def _cross_talk(
    blocks: PairBlocks,
    counts: NDArray[np.float64],
    wanted: NDArray[np.float64],
    first: int,
    last: int,
    sigma: float,
) -> CrossTalk:
    lag = blocks.lag_ps
    width = last - first
    wide = slice(max(first - width, 0), min(last + width, len(lag)))
    excess = counts[wide] - wanted[wide]
    total = float(excess.sum())
    centre = float((excess * lag[wide]).sum()) / total if abs(total) > 0 else float(lag[first:last].mean())
    earlier = blocks.start_tags if centre >= 0 else blocks.stop_tags
    tags = float(earlier.sum())
    return CrossTalk(
        centre,
        1.5 * width * blocks.bin_ps,
        total / tags,
        math.sqrt(float(counts[wide].sum())) / tags,
        sigma,
    )
