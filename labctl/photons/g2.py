"""Start-stop pair histograms kept in time blocks, and the g2 that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

Normalisation = Literal["total rate", "far level"]
"""What g2 = 1 means: the pairs expected from the count rates, or the mean at long lags."""


@dataclass(frozen=True)
class PairBlocks:
    """Histograms of start-stop pairs, one per block of time; delay = t_stop - t_start.

    Bin k covers the integer delays ``[-window_ps + k * bin_ps, -window_ps + (k + 1) * bin_ps)``. A pair
    belongs to the block in which its later tag arrived.

    Attributes:
        window_ps: Half of the range of delays.
        bin_ps: Bin width.
        pairs: Counts, uint64 of shape (n_blocks, n_bins).
        start_tags: Tags of the start channel, int64 of shape (n_blocks,).
        stop_tags: Tags of the stop channel, int64 of shape (n_blocks,).
        duration_ps: Live time (gaps taken out), int64 of shape (n_blocks,).
        delay_ps: Delay added to the stop channel before pairing (cable compensation).
        same_channel: Start and stop are one channel: no tag is paired with itself.
        edges: What each lag tau loses where a record begins: int64 of shape (n, 3) with rows (block,
            length_ps, weight); the block loses ``sum(weight * min(length_ps, |tau|))`` of its live time.
            ``None`` means one beginning per block: ``T - |tau|``.
    """

    window_ps: int
    bin_ps: int
    pairs: NDArray[np.uint64]
    start_tags: NDArray[np.int64]
    stop_tags: NDArray[np.int64]
    duration_ps: NDArray[np.int64]
    delay_ps: int = 0
    same_channel: bool = False
    edges: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        n_blocks = len(self.duration_ps)
        if self.pairs.shape != (n_blocks, bin_count(self.window_ps, self.bin_ps)):
            raise ValueError(f"pairs has shape {self.pairs.shape}, not (blocks, bins) of the other fields")
        if len(self.start_tags) != n_blocks or len(self.stop_tags) != n_blocks:
            raise ValueError("start_tags, stop_tags and duration_ps must have one entry per block")

    @property
    def n_blocks(self) -> int:
        """Number of time blocks."""
        return len(self.duration_ps)

    @property
    def n_bins(self) -> int:
        """Number of delay bins."""
        return int(self.pairs.shape[1])

    @property
    def lag_ps(self) -> NDArray[np.float64]:
        """Centres of the bins in ps, shape (n_bins,): mean of the integer delays that a bin holds."""
        first = -self.window_ps + (self.bin_ps - 1) / 2
        return first + self.bin_ps * np.arange(self.n_bins, dtype=np.float64)

    def total(self) -> NDArray[np.uint64]:
        """Pairs in all blocks, uint64 of shape (n_bins,)."""
        summed: NDArray[np.uint64] = self.pairs.sum(axis=0, dtype=np.uint64)
        return summed

    def pair_rate(self) -> NDArray[np.float64]:
        """N_start N_stop / T^2 of each block in 1/ps^2, shape (n_blocks,)."""
        live = np.maximum(self.duration_ps.astype(np.float64), 1.0)
        stops = self.stop_tags.astype(np.float64)
        if self.same_channel:
            # N tags make N (N - 1) ordered pairs of different tags.
            stops = np.maximum(stops - 1.0, 0.0)
        rate: NDArray[np.float64] = self.start_tags.astype(np.float64) * stops / live**2
        return rate

    def expected(self) -> NDArray[np.float64]:
        """Pairs per bin that uncorrelated light of these rates would give, float64 of shape (n_bins,).

        E_k = sum over blocks of N_start N_stop D (T - |tau_k|) / T^2. Dividing the summed pairs by the
        summed expectation (a ratio of sums) keeps g2 unbiased when the rates drift from block to block.
        """
        reach = np.abs(self.lag_ps - self.delay_ps)
        rate = self.pair_rate()
        block, length, weight = _edge_columns(self)
        expected = np.full(self.n_bins, float(rate @ self.duration_ps.astype(np.float64)))
        long = length >= reach.max()
        expected -= float((rate[block] * weight)[long].sum()) * reach
        for row in np.flatnonzero(~long):
            expected -= rate[block[row]] * weight[row] * np.minimum(float(length[row]), reach)
        np.maximum(expected, 0.0, out=expected)
        return expected * self.bin_ps

    def far_level(self, beyond_ps: float | None = None) -> float:
        """Mean of g2 (total-rate normalised) at lags with ``|tau| >= beyond_ps``.

        Light that blinks or drifts slowly has a far level above 1.

        Args:
            beyond_ps: Where the far region begins; default half of the window.

        Raises:
            ValueError: The far region holds no bins, or nothing is expected there.
        """
        reach = np.abs(self.lag_ps)
        far = reach >= (self.window_ps / 2 if beyond_ps is None else beyond_ps)
        expected = float(self.expected()[far].sum())
        if expected <= 0:
            raise ValueError("no far level: no bins there, or no tags on one of the channels")
        return float(self.total()[far].sum()) / expected

    def far_level_if_any(self) -> float | None:
        """Far level beyond half of the window, or ``None`` where nothing is expected or found there."""
        try:
            return self.far_level() or None
        except ValueError:
            return None

    def g2(
        self, normalisation: Normalisation = "total rate", *, beyond_ps: float | None = None
    ) -> NDArray[np.float64]:
        """Second-order correlation per bin, float64 of shape (n_bins,); NaN where nothing is expected.

        Args:
            normalisation: ``"total rate"`` divides by the pairs expected from the count rates;
                ``"far level"`` divides by the mean level at long lags as well.
            beyond_ps: Beginning of the far region (default half of the window).
        """
        level = self._level(normalisation, beyond_ps)
        return _ratio(self.total().astype(np.float64), level)

    def g2_error(
        self, normalisation: Normalisation = "total rate", *, beyond_ps: float | None = None
    ) -> NDArray[np.float64]:
        """Standard error of g2 per bin from counting, g2 / sqrt(n_k), shape (n_bins,).

        An empty bin gets the error of one count, so that it does not look exact.
        """
        level = self._level(normalisation, beyond_ps)
        return _ratio(np.sqrt(np.maximum(self.total().astype(np.float64), 1.0)), level)

    def _level(self, normalisation: Normalisation, beyond_ps: float | None) -> NDArray[np.float64]:
        expected = self.expected()
        if normalisation == "far level":
            return expected * self.far_level(beyond_ps)
        return expected

    @staticmethod
    def concatenate(*blocks: PairBlocks) -> PairBlocks:
        """Put the blocks of several records behind each other.

        Raises:
            ValueError: Nothing given, or window, bin, delay or kind of pair differ.
        """
        return concatenate(blocks)

    def select(self, chosen: Sequence[int] | NDArray[np.intp]) -> Self:
        """Give some of the blocks, in the order asked."""
        index = np.asarray(chosen, dtype=np.intp)
        edges = None
        if self.edges is not None:
            parts = [_with_block(self.edges[self.edges[:, 0] == old], new) for new, old in enumerate(index)]
            edges = np.concatenate([np.zeros((0, 3), np.int64), *parts])
        return type(self)(
            self.window_ps,
            self.bin_ps,
            self.pairs[index],
            self.start_tags[index],
            self.stop_tags[index],
            self.duration_ps[index],
            self.delay_ps,
            self.same_channel,
            edges,
        )


def bin_count(window_ps: int, bin_ps: int) -> int:
    """Number of bins of width ``bin_ps`` that fill ``[-window_ps, window_ps)``.

    Raises:
        ValueError: Either is not positive, or the bins do not fill the window exactly.
    """
    if window_ps <= 0 or bin_ps <= 0:
        raise ValueError(f"window ({window_ps} ps) and bin ({bin_ps} ps) must be positive")
    n_bins, rest = divmod(2 * window_ps, bin_ps)
    if rest:
        raise ValueError(f"bins of {bin_ps} ps do not fill a window of +-{window_ps} ps exactly")
    return n_bins


def concatenate(parts: Sequence[PairBlocks]) -> PairBlocks:
    """Put the blocks of several records behind each other.

    Raises:
        ValueError: Nothing given, or window, bin, delay or kind of pair differ.
    """
    if not parts:
        raise ValueError("no blocks to put together")
    first = parts[0]
    for other in parts[1:]:
        for name in ("window_ps", "bin_ps", "delay_ps", "same_channel"):
            if getattr(other, name) != getattr(first, name):
                mine, its = getattr(first, name), getattr(other, name)
                raise ValueError(f"cannot add records: {name} is {mine} in one, {its} in another")
    edges = None
    if any(part.edges is not None for part in parts):
        offsets = np.cumsum([0, *(part.n_blocks for part in parts)])
        rows = [
            _with_block_offset(_edges(part), offset) for part, offset in zip(parts, offsets, strict=False)
        ]
        edges = np.concatenate(rows)
    return PairBlocks(
        first.window_ps,
        first.bin_ps,
        np.concatenate([part.pairs for part in parts]),
        np.concatenate([part.start_tags for part in parts]),
        np.concatenate([part.stop_tags for part in parts]),
        np.concatenate([part.duration_ps for part in parts]),
        first.delay_ps,
        first.same_channel,
        edges,
    )


def _edges(part: PairBlocks) -> NDArray[np.int64]:
    if part.edges is not None:
        return part.edges
    n = part.n_blocks
    return np.stack([np.arange(n), part.duration_ps, np.ones(n)], axis=1).astype(np.int64)


def _edge_columns(part: PairBlocks) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    edges = _edges(part)
    return edges[:, 0], edges[:, 1], edges[:, 2]


def _with_block(rows: NDArray[np.int64], block: int) -> NDArray[np.int64]:
    changed = rows.copy()
    changed[:, 0] = block
    return changed


def _with_block_offset(rows: NDArray[np.int64], offset: int) -> NDArray[np.int64]:
    changed = rows.copy()
    changed[:, 0] += offset
    return changed


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
