"""What a histogram of bunched light says beyond g2: brightness of the bursts, stability, honest errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.student import reach, scatter_of_blocks
from labctl.photons.g2 import PairBlocks

if TYPE_CHECKING:
    from labctl.photons.background import SignalShare

MU_WARNING = 0.02
"""Detected photons per burst and detector from which a long dead time visibly shortens lifetimes."""
MIN_BLOCKS = 20
"""Fewer blocks than this say too little about the scatter between them."""


@dataclass(frozen=True)
class BurstBrightness:
    """Detected photons per burst (per X-ray) and detector, from the area of the bunching peak.

    Attributes:
        start, stop: mu of the detectors; without a known background times the share of the *other* detector's
            counts that is signal.
        start_error, stop_error: Half widths of 68.3 % intervals, from the scatter between blocks (from
            counting where there are fewer than 20 blocks).
        fano: Variance of the peak's area relative to Poisson counting, (1 + mu)^2.
        area_ps: Integral of g2 - 1 over the peak.
        area_error_ps: Its error.
    """

    start: float
    stop: float
    start_error: float
    stop_error: float
    fano: float
    area_ps: float
    area_error_ps: float

    @property
    def largest(self) -> float:
        """The brighter detector's value."""
        return max(self.start, self.stop)

    def warning(self) -> str:
        """What the brightness does to lifetimes under a dead time longer than the burst; empty if little.

        Bias of the fast lifetime without correction: -1 % at 0.025, -7.5 % at 0.25, -51 % at 2.5.
        """
        if self.largest < MU_WARNING:
            return ""
        lost = 1 - -math.expm1(-self.largest) / self.largest
        return (
            f"mu = {self.largest:.3g} detected photons per burst and detector: a dead time longer than the "
            f"burst hides {100 * lost:.2g} % of the photons, the late ones first; lifetimes need the "
            "first-photon correction"
        )


def burst_brightness(
    blocks: PairBlocks,
    peak_ps: float,
    *,
    centre_ps: float = 0.0,
    normalised_to_far: bool = False,
    share: SignalShare | None = None,
) -> BurstBrightness:
    """Measure mu from R * integral(g2 - 1) over the peak.

    Detectors that get a share f of their counts from bursts of a Poisson number of photons give
    R_A * integral(g2 - 1) = f_B mu_A (other distributions: times <n (n - 1)> / <n>^2).

    Args:
        blocks: Cross-correlation in time blocks.
        peak_ps: Half width of the range that holds the peak.
        centre_ps: Delay of the peak.
        normalised_to_far: Take the level outside the peak instead of the one from the count rates (for
            light that drifts within blocks).
        share: Share of signal; with it mu is corrected for the background.

    Raises:
        ValueError: The peak lies outside the window, or there are no counts.
    """
    inside = np.abs(blocks.lag_ps - centre_ps) <= peak_ps
    if not inside.any() or inside.all():
        raise ValueError(f"a peak of +-{peak_ps} ps at {centre_ps} ps does not fit into the window")
    expected = blocks.expected()
    counts = blocks.total().astype(np.float64)
    if expected[inside].sum() <= 0:
        raise ValueError("no tags on one of the channels")
    level = counts[~inside].sum() / expected[~inside].sum() if normalised_to_far else 1.0
    wanted = level * float(expected[inside].sum())
    width = float(blocks.bin_ps) * int(inside.sum())
    area = (float(counts[inside].sum()) / wanted - 1) * width
    error = pair_ratio_error(blocks, inside, wanted) * width
    live_ps = float(blocks.duration_ps.sum())
    start_rate = float(blocks.start_tags.sum()) / live_ps
    stop_rate = float(blocks.stop_tags.sum()) / live_ps
    if share is None:
        start, stop = start_rate * area, stop_rate * area
        start_error, stop_error = start_rate * error, stop_rate * error
    else:
        start, stop = start_rate * area / share.stop, stop_rate * area / share.start
        start_error = math.hypot(start_rate * error, start * share.stop_error) / share.stop
        stop_error = math.hypot(stop_rate * error, stop * share.start_error) / share.start
    mean = 0.5 * (start_rate + stop_rate) * area
    return BurstBrightness(
        start,
        stop,
        start_error,
        stop_error,
        (1 + max(mean, 0.0)) ** 2,
        area,
        error,
    )


def pair_ratio_error(blocks: PairBlocks, inside: NDArray[np.bool_], wanted: float) -> float:
    """Error of the pairs in some bins over ``wanted``, half the width of the 68.3 % interval.

    From the scatter between blocks if there are 20 of them (with Student's t of so many), else from counting.

    Args:
        blocks: Histograms.
        inside: Which bins, shape (n_bins,).
        wanted: What the pairs are divided by.
    """
    counted = blocks.pairs[:, inside].sum(axis=1).astype(np.float64)
    rate = blocks.pair_rate() * blocks.duration_ps
    if blocks.n_blocks < MIN_BLOCKS or rate.sum() <= 0:
        return math.sqrt(max(float(counted.sum()), 1.0)) / wanted
    share = wanted * rate / rate.sum()
    ratio = float(counted.sum()) / wanted
    residual = counted - ratio * share
    factor, dof = scatter_of_blocks(share)
    return float(reach(dof)) * math.sqrt(factor * float((residual**2).sum())) / wanted


@dataclass(frozen=True)
class RateRecord:
    """Count rates over time, and whether they were steady.

    Attributes:
        start_Hz, stop_Hz: Rate in each block, shape (n_blocks,).
        live_s: Live time of each block, shape (n_blocks,).
        start_excess, stop_excess: Standard deviation between blocks beyond counting, relative to the mean.
        level_error: How far a normalisation to the mean rates over the whole record would lift g2 above 1:
            mean of the product over product of the means, minus 1. The ratio of sums is free of it.
    """

    start_Hz: NDArray[np.float64]
    stop_Hz: NDArray[np.float64]
    live_s: NDArray[np.float64]
    start_excess: float
    stop_excess: float
    level_error: float


def rate_record(blocks: PairBlocks) -> RateRecord:
    """Count rate per block, and its steadiness."""
    live = blocks.duration_ps.astype(np.float64) * 1e-12
    safe = np.maximum(live, 1e-15)
    total = max(float(live.sum()), 1e-15)
    rates = [tags / safe for tags in (blocks.start_tags, blocks.stop_tags)]
    excess = []
    for tags in (blocks.start_tags, blocks.stop_tags):
        mean = tags.sum() * live / total
        if len(live) < 2 or tags.sum() == 0:
            excess.append(0.0)
            continue
        # Variance beyond Poisson, weighted by live time.
        beyond = float(((tags - mean) ** 2 - tags).sum()) / float((mean**2).sum())
        excess.append(math.sqrt(max(beyond, 0.0)))
    means = [float(tags.sum()) / total for tags in (blocks.start_tags, blocks.stop_tags)]
    product = float((rates[0] * rates[1] * live).sum()) / total
    level = product / (means[0] * means[1]) - 1 if means[0] and means[1] else 0.0
    return RateRecord(rates[0], rates[1], live, excess[0], excess[1], level)
