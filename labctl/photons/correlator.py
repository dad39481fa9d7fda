"""Streaming correlator: tags in, start-stop histograms out, equal to brute force in every bin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import TagChunk
from labctl.photons.dense_loop import SLOTS, TRASH, count_dense_pairs
from labctl.photons.g2 import PairBlocks, bin_count
from labctl.photons.pair_loop import TILE, count_pairs, division_factor, tally
from labctl.photons.pieces import Block, Pieces, check_chunk
from labctl.photons.seam import Seam

_DENSE = 6
"""From so many tags within reach of each on, sorting them by channel repays. (Below `ROOM` - 2.)"""

_MOST = 0.5
"""From so many tags within reach of each on, rounds over all tags repay."""

_MANY = 64


@dataclass(frozen=True)
class Pair:
    """Which tags start and which stop; the same channel twice is an auto-correlation.

    Attributes:
        start_channel: Channel number of the starts.
        stop_channel: Channel number of the stops.
        stop_delay_ps: Added to the stop's time stamps (compensates cables).
    """

    start_channel: int
    stop_channel: int
    stop_delay_ps: int = 0

    @property
    def same_channel(self) -> bool:
        """An auto-correlation: no tag is paired with itself."""
        return self.start_channel == self.stop_channel


class Correlator:
    """Counts several pairs of channels at once, chunk by chunk, with one window and bin.

    A pair of tags is counted when its later tag arrives; none reaches across a gap of the record.

    Args:
        pairs: The channel pairs, at least one.
        window_ps: Delays from ``-window_ps`` (inclusive) to ``window_ps`` (exclusive).
        bin_ps: Bin width; must divide ``2 * window_ps``.

    Raises:
        ValueError: Window and bin do not fit each other, no pairs, or a pair is given twice.
    """

    def __init__(self, pairs: Sequence[Pair], *, window_ps: int, bin_ps: int) -> None:
        if not pairs or len(set(pairs)) != len(pairs):
            raise ValueError("give at least one pair of channels, and none of them twice")
        self.pairs = tuple(pairs)
        self.window_ps = window_ps
        self.bin_ps = bin_ps
        bin_count(window_ps, bin_ps)
        self._counters = [_PairCounter(pair, window_ps, bin_ps) for pair in pairs]
        self._seam = Seam(self.reach_ps)
        self._pieces = Pieces(self.reach_ps + 1)
        self._done: list[Block] = []

    @property
    def reach_ps(self) -> int:
        """How far back a tag can find a partner."""
        return max(counter.reach_ps for counter in self._counters)

    def push(self, chunk: TagChunk) -> None:
        """Count the pairs that the tags of the next stretch complete.

        Raises:
            ValueError: Time stamps run backwards, lie outside the chunk's stretch, or the stretch begins
                before the end of the last one.
        """
        stamps = np.ascontiguousarray(chunk.timestamps_ps, np.int64)
        channels = np.ascontiguousarray(chunk.channels, np.int32)
        check_chunk(chunk, stamps, channels)
        for begin_ps, end_ps, joins in self._pieces.cut(chunk):
            low, high = np.searchsorted(stamps, (begin_ps, end_ps)) if chunk.gaps else (0, len(stamps))
            if not joins:
                self._seam.forget()
            for stretch in self._seam.stretches(stamps[low:high], channels[low:high]):
                for counter in self._counters:
                    counter.count(*stretch)

    def prime(self, timestamps_ps: NDArray[np.int64], channels: NDArray[np.int32], end_ps: int) -> None:
        """Take tags that came just before the first chunk as partners only; they are not counted.

        Several correlators can so share one record without losing the pairs at the seams: each one is
        primed with the tags of the last ``reach_ps`` before its own stretch, which must hold no gap.
        """
        stamps = np.ascontiguousarray(timestamps_ps, np.int64)
        self._seam.take(stamps, np.ascontiguousarray(channels, np.int32))
        self._pieces.continue_from(end_ps)

    def end_block(self) -> None:
        """Close the present time block; pairs that reach back into it count in the next one."""
        self._done.append(self._pieces.end_block())
        for counter in self._counters:
            counter.end_block()

    def counts(self, pair: int, block: int) -> tuple[NDArray[np.uint64], int, int]:
        """Give (histogram, starts, stops) of one pair in one closed block."""
        return self._counters[pair].done[block]

    def blocks(self, pair: int = 0) -> PairBlocks:
        """Give the histograms of one pair so far; the open block comes last, if it has live time."""
        counter = self._counters[pair]
        times, counts = list(self._done), list(counter.done)
        present = self._pieces.present()
        if present.duration_ps > 0 or not times:
            times.append(present)
            counts.append(counter.present())
        edges = [(k, *edge) for k, block in enumerate(times) for edge in block.edges]
        return PairBlocks(
            self.window_ps,
            self.bin_ps,
            np.stack([histogram for histogram, _, _ in counts]),
            np.array([starts for _, starts, _ in counts], np.int64),
            np.array([stops for _, _, stops in counts], np.int64),
            np.array([block.duration_ps for block in times], np.int64),
            self.pairs[pair].stop_delay_ps,
            self.pairs[pair].same_channel,
            np.array(edges, np.int64).reshape(-1, 3),
        )


class PairCorrelator:
    """Counts the pairs of one start and one stop channel.

    Args:
        start_channel: Channel number of the starts.
        stop_channel: Channel number of the stops; the same one gives the auto-correlation.
        window_ps: Delays from ``-window_ps`` (inclusive) to ``window_ps`` (exclusive).
        bin_ps: Bin width; must divide ``2 * window_ps``.
        stop_delay_ps: Added to the stop's time stamps.

    Raises:
        ValueError: Window and bin do not fit each other.
    """

    def __init__(
        self, start_channel: int, stop_channel: int, *, window_ps: int, bin_ps: int, stop_delay_ps: int = 0
    ) -> None:
        pair = Pair(start_channel, stop_channel, stop_delay_ps)
        self._correlator = Correlator([pair], window_ps=window_ps, bin_ps=bin_ps)

    def push(self, chunk: TagChunk) -> None:
        """Count the pairs that the tags of the next stretch complete; raises as `Correlator.push`."""
        self._correlator.push(chunk)

    def end_block(self) -> None:
        """Close the present time block; pairs that reach back into it count in the next one."""
        self._correlator.end_block()

    def blocks(self) -> PairBlocks:
        """Give the histograms so far; the open block comes last, if it has live time."""
        return self._correlator.blocks()


class _PairCounter:
    """One pair of channels and the histogram of the open block."""

    def __init__(self, pair: Pair, window_ps: int, bin_ps: int) -> None:
        self._pair = pair
        self._bin_ps = bin_ps
        self._span = 2 * window_ps
        self._offset = window_ps + pair.stop_delay_ps
        # Largest distance that counts: start first (delay d + c < W), stop first (c - d >= -W).
        self.reach_ps = max(window_ps - pair.stop_delay_ps - 1, window_ps + pair.stop_delay_ps)
        self._factor, self._shift = division_factor(self._span, bin_ps)
        self._histogram = np.zeros(self._span // bin_ps + TRASH, np.uint64)
        self._survivors = np.zeros(TILE + 1, np.uint32)
        self._slots = np.zeros(max(TILE + 1, SLOTS), np.uint32)
        self._starts = self._stops = np.zeros(0, np.int64)
        self._n_starts = self._n_stops = 0
        self.done: list[tuple[NDArray[np.uint64], int, int]] = []

    def present(self) -> tuple[NDArray[np.uint64], int, int]:
        """Histogram, starts and stops of the open block."""
        return self._histogram[:-TRASH].copy(), self._n_starts, self._n_stops

    def end_block(self) -> None:
        self.done.append(self.present())
        self._histogram[:] = 0
        self._n_starts = self._n_stops = 0

    def count(self, stamps: NDArray[np.int64], channels: NDArray[np.int32], first: int, last: int) -> None:
        """Count the pairs whose later tag is one of ``first:last`` (see `Seam.stretches`)."""
        start, stop = self._pair.start_channel, self._pair.stop_channel
        starts, stops = tally(channels, first, last, start, stop)
        self._n_starts, self._n_stops = self._n_starts + starts, self._n_stops + stops
        # How many tags one finds within reach; a handful says nothing about that.
        duration_ps = int(stamps[last - 1]) - int(stamps[first])
        many = last - first >= _MANY and duration_ps > 0 and self._factor != 0
        found = self.reach_ps * (last - first) / duration_ps if many else 0.0
        if found > _DENSE:
            self._count_dense(stamps, channels, first, last)
            return
        rounds = round(found) + 1 if found > _MOST else 0
        for mirrored in (False, True)[: 1 + self._pair.same_channel]:
            count_pairs(
                stamps, channels, first, last, start, stop, mirrored,
                self.reach_ps, self._offset, self._span, self._bin_ps, self._factor, self._shift,
                rounds, self._survivors, self._slots, self._histogram,
            )  # fmt: skip

    def _count_dense(
        self, stamps: NDArray[np.int64], channels: NDArray[np.int32], first: int, last: int
    ) -> None:
        if len(self._starts) <= last:
            self._starts, self._stops = np.zeros(2 * last, np.int64), np.zeros(2 * last, np.int64)
        count_dense_pairs(
            stamps, channels, first, last, self._pair.start_channel, self._pair.stop_channel,
            self.reach_ps, self._offset, self._span, self._factor, self._shift,
            self._starts, self._stops, self._slots, self._histogram,
        )  # fmt: skip
