"""A histogram of pairs as the fits see it: seconds, totals, accidentals, scatter between time blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.blinding import Blinding
from labctl.fitting.pair_model import PairParts
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import PoissonCounts, Solution
from labctl.fitting.student import scatter_of_blocks
from labctl.photons.g2 import PairBlocks

Array = NDArray[np.float64]

MIN_BLOCKS = 20
"""Fewer time blocks than this do not give a covariance of seven parameters."""


class Histogram:
    """What a fit needs of the blocks, in seconds.

    Args:
        pairs: Histograms of start-stop pairs in time blocks.
    """

    def __init__(self, pairs: PairBlocks) -> None:
        self.blocks = pairs
        self.counts = pairs.total().astype(np.float64)
        self.accidentals = pairs.expected()
        self.bin_s = pairs.bin_ps * 1e-12
        centre = pairs.lag_ps * 1e-12
        self.edges_s = np.append(centre - 0.5 * self.bin_s, centre[-1] + 0.5 * self.bin_s)
        # Accidental pairs per tag of the other counter: a share of the other's counts is this times C. The
        # plain mean rate would make it too small, by 1/(bursts in a block) and where the light drifts.
        crossing = float(np.sum(pairs.pair_rate() * pairs.duration_ps)) * 1e12
        starts, stops = float(pairs.start_tags.sum()), float(pairs.stop_tags.sum())
        self.rates_per_s = (
            crossing / stops if stops > 0.0 else 0.0,
            crossing / starts if starts > 0.0 else 0.0,
        )

    def signal_share(
        self, background_Hz: tuple[float, float], dead_time_s: float = 0.0
    ) -> tuple[float, float]:
        """Share of the counts of start and stop that is not background.

        Args:
            background_Hz: As counted without the bursts; a counter busy with them misses some of it.
            dead_time_s: Dead time of the counters.

        Raises:
            FitRefused: a background is negative or not below its count rate.
        """
        live_s = max(float(self.blocks.duration_ps.sum()), 1.0) * 1e-12
        shares = []
        tags = (self.blocks.start_tags, self.blocks.stop_tags)
        for name, counted, background in zip(("start", "stop"), tags, background_Hz, strict=True):
            rate = float(counted.sum()) / live_s
            if not 0.0 <= background < rate:
                raise FitRefused(
                    f"background of {background:g} Hz on the {name} counter must be from 0 to below its "
                    f"rate of {rate:g} Hz"
                )
            shares.append(1.0 - background * max(1.0 - rate * dead_time_s, 0.0) / rate)
        return shares[0], shares[1]

    def excess(self, solution: Solution) -> float:
        """Pairs in the peak."""
        return float(np.sum(solution.model - solution.values[0] * self.accidentals))

    def few_accidentals(self, blinding: Blinding | None, contrast_s: float) -> bool:
        """Whether so few accidental pairs are expected that their level is better predicted than fitted.

        By the count rates it is 1, less what ``blinding`` takes away. 100 pairs know it to a tenth; slow
        fluctuations of the light that lift it by less than that would not be seen.
        """
        awake = 1.0
        if blinding is not None:
            awake = 1.0 - 0.5 * sum(blinding.coincident(contrast_s))
        return awake * float(self.accidentals.sum()) < 100.0

    def scatter(self, parts: PairParts, jacobian: Array) -> Array | None:
        """Covariance of the score from the scatter between blocks, (p, p); None with too few blocks.

        What a block should hold follows from its own tags: accidental pairs go as the product of both counts,
        pairs of one burst as its root (bursts of equal brightness, more or fewer of them).

        Args:
            parts: The fitted model (n,).
            jacobian: Its derivatives (n, p).
        """
        pairs = self.blocks
        crossing = pairs.pair_rate() * pairs.duration_ps
        usable = crossing > 0.0
        if int(usable.sum()) < MIN_BLOCKS:
            return None
        starts, stops = (tags[usable].astype(np.float64) for tags in (pairs.start_tags, pairs.stop_tags))
        accidental, burst = crossing[usable], np.sqrt(starts * stops)
        skew = starts / starts.sum() - stops / stops.sum()
        expected = np.outer(accidental / accidental.sum(), parts.accidental)
        expected += np.outer(burst / burst.sum(), parts.peak)
        expected += np.outer(skew, parts.skew)
        scores = ((pairs.pairs[usable] - expected) / (parts.accidental + parts.peak)) @ jacobian
        return np.asarray(scores.T @ scores * scatter_of_blocks(burst)[0])

    def scatter_dof(self) -> float:
        """Degrees of freedom of :meth:`scatter`; the number of blocks less one where they are equal."""
        pairs = self.blocks
        return scatter_of_blocks(np.sqrt(pairs.start_tags.astype(np.float64) * pairs.stop_tags))[1]

    def counted(self, parts: PairParts, jacobian: Array) -> Array:
        """Covariance of the score from counting first photons, (p, p): at most one pair per burst.

        Not Poisson where the rates are counted from the same bursts: of N bursts that fired one counter the
        share p that fired the other scatters by p (1 - p)/N, and it sets the brightness. With residuals
        n - m - h_start dlnN_start - h_stop dlnN_stop, cov(n_peak, lnN) = m_peak/N,
        cov(lnN_start, lnN_stop) = N_both/(N_start N_stop).
        """
        model = parts.accidental + parts.peak
        starts, stops = float(self.blocks.start_tags.sum()), float(self.blocks.stop_tags.sum())
        peak, start, stop = (
            jacobian.T @ (rows / model)
            for rows in (parts.peak, 0.5 * parts.peak + parts.skew, 0.5 * parts.peak - parts.skew)
        )
        both = float(parts.peak.sum()) / (starts * stops)
        result = jacobian.T @ (jacobian / model[:, None])
        for slope, count in ((start, starts), (stop, stops)):
            result += (np.outer(slope - peak, slope - peak) - np.outer(peak, peak)) / count
        result += both * (np.outer(start, stop) + np.outer(stop, start))
        return np.asarray(result)

    def require_peak(self, one: Solution) -> None:
        """Refuse a histogram that a flat level explains as well as a peak.

        Raises:
            FitRefused: the deviance improves by less than 25.
        """
        level = self.counts.sum() / self.accidentals.sum()
        flat = PoissonCounts(self.counts).deviance(level * self.accidentals)
        if flat - one.deviance < 25.0 or one.values[1] <= 0.0:
            raise FitRefused(
                f"no bunching: a peak improves the deviance by only {flat - one.deviance:.1f} of 25; "
                "count longer, widen the window, or check that both counters see the same light"
            )
