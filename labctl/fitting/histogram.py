"""A histogram of pairs as the fits see it: seconds, totals, accidentals, scatter between time blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import PoissonCounts, Solution
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
        live = float(pairs.duration_ps.sum()) * 1e-12
        self.rates_per_s = (
            float(pairs.start_tags.sum()) / live if live > 0.0 else 0.0,
            float(pairs.stop_tags.sum()) / live if live > 0.0 else 0.0,
        )

    def excess(self, solution: Solution) -> float:
        """Pairs in the peak."""
        return float(np.sum(solution.model - solution.values[0] * self.accidentals))

    @property
    def few_accidentals(self) -> bool:
        """Too few accidental pairs to say where the far level lies: it is 1 by the count rates."""
        return float(self.accidentals.sum()) < 100.0

    def score_scatter(self, solution: Solution) -> Array | None:
        """Covariance of the score from the scatter between blocks, (p, p); None with too few blocks."""
        return self.scatter(solution.model, solution.jacobian)

    def scatter(self, model: Array, jacobian: Array) -> Array | None:
        """The same for a model (n,) and Jacobian (n, p) of these bins."""
        pairs = self.blocks
        expected = pairs.pair_rate() * pairs.duration_ps
        usable = expected > 0.0
        n = int(usable.sum())
        if n < MIN_BLOCKS:
            return None
        share = expected[usable] / expected[usable].sum()
        scores = (pairs.pairs[usable] / model - share[:, None]) @ jacobian
        return np.asarray(scores.T @ scores * (n / (n - 1.0)))

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
