"""g2 over log-spaced lags, from 1 ps to 1 s and beyond, in one pass over the tags.

Below a crossover every pair is counted exactly, in 16 bins per octave. Above it the tags are counted in
coarse bins whose width doubles every octave, and products of bins 16 to 31 apart are summed (multi-tau:
Schatzel, Inst. Phys. Conf. Ser. 77, 175 (1985)); there a lag is known to one coarse bin, 3 to 6 % of itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import TagChunk
from labctl.photons import log_loop
from labctl.photons.correlator import Pair
from labctl.photons.log_loop import PER_OCTAVE
from labctl.photons.pair_lists import PairLists
from labctl.photons.pieces import Pieces, check_chunk

_SERIES = 1 << 15
_BATCH = 1 << 12
_HISTORY = 2 * PER_OCTAVE


@dataclass(frozen=True)
class LogG2:
    """g2 of one pair of channels at lags of one sign, log-spaced. All arrays have shape (n,).

    Attributes:
        lag_low_ps, lag_high_ps: Lags counted in a bin: exactly ``[low, high)`` where ``exact``; elsewhere
            with a triangular weight that falls from the centre to 0 at both ends.
        pairs: Number of pairs (where not exact: sum of the products of coarse bins).
        expected: Pairs that uncorrelated light of the same rates gives.
        exact: Counted pair by pair.
    """

    lag_low_ps: NDArray[np.int64]
    lag_high_ps: NDArray[np.int64]
    pairs: NDArray[np.int64]
    expected: NDArray[np.float64]
    exact: NDArray[np.bool_]

    @property
    def lag_ps(self) -> NDArray[np.float64]:
        """Mean of the whole-ps lags that a bin holds."""
        return (self.lag_low_ps + (self.lag_high_ps - 1)) / 2

    @property
    def g2(self) -> NDArray[np.float64]:
        """Pairs over expected pairs; NaN where nothing is expected."""
        result = np.full(len(self.pairs), np.nan)
        np.divide(self.pairs, self.expected, out=result, where=self.expected > 0)
        return result

    @property
    def g2_error(self) -> NDArray[np.float64]:
        """Standard error from counting; an empty bin has the error of one pair."""
        result = np.full(len(self.pairs), np.nan)
        np.divide(np.sqrt(np.maximum(self.pairs, 1)), self.expected, out=result, where=self.expected > 0)
        return result


class LogCorrelator:
    """Streaming correlator with log-spaced lags of both signs.

    Args:
        pair: Start and stop channel, and the stop's delay.
        longest_ps: Longest lag wanted (rounded up to an octave).
        exact_below_ps: Lags below this (rounded to an octave) are counted pair by pair. Good: 6 to 12 times
            the mean distance of two tags of a channel; see `good_crossover_ps`.

    Raises:
        ValueError: ``exact_below_ps`` under 32 ps, or longer than ``longest_ps``; a delay in an
            auto-correlation.
    """

    def __init__(self, pair: Pair, *, longest_ps: int = 10**12, exact_below_ps: int = 1 << 22) -> None:
        if not 32 <= exact_below_ps <= longest_ps < 2**60:
            raise ValueError(f"lags from exact {exact_below_ps} ps to {longest_ps} ps: must rise from 32 ps")
        if pair.same_channel and pair.stop_delay_ps:
            raise ValueError("an auto-correlation takes no delay")
        self.pair = pair
        self._octave = max(round(np.log2(exact_below_ps)), 5)
        self._limit = 1 << self._octave
        top = max(int(longest_ps - 1).bit_length(), self._octave)
        self._exact = _ExactPart(pair, self._limit)
        self._pieces = Pieces(self._exact.reach + 1)
        self._levels = _Levels(pair, self._octave - 4, top - self._octave)

    def push(self, chunk: TagChunk) -> None:
        """Take the next stretch of the record.

        Raises:
            ValueError: As `Correlator.push`.
        """
        stamps = np.ascontiguousarray(chunk.timestamps_ps, np.int64)
        channels = np.ascontiguousarray(chunk.channels, np.int32)
        check_chunk(chunk, stamps, channels)
        for begin_ps, end_ps, joins in self._pieces.cut(chunk):
            low, high = np.searchsorted(stamps, (begin_ps, end_ps)) if chunk.gaps else (0, len(stamps))
            if not joins:
                self._exact.forget()
                self._levels.begin_piece(begin_ps)
            self._exact.count(stamps, channels, int(low), int(high))
            self._levels.count(stamps, channels, int(low), int(high), end_ps)

    def result(self) -> tuple[LogG2, LogG2]:
        """Give (lags >= 0, lags < 0 as positive numbers) so far; equal for an auto-correlation."""
        block = self._pieces.present()
        self._levels.flush()
        return (
            _join(self._exact.part(0, block.duration_ps, block.edges), self._levels.part(0)),
            _join(self._exact.part(1, block.duration_ps, block.edges), self._levels.part(1)),
        )


def good_crossover_ps(rate_per_s: float) -> int:
    """Crossover at which exact counting and dense products cost about the same for this rate per channel."""
    return int(np.clip(6e12 / max(rate_per_s, 1e-3), 1 << 12, 1 << 42))


class _ExactPart:
    """Pairs at lags below the crossover."""

    def __init__(self, pair: Pair, limit: int) -> None:
        self._pair = pair
        self._limit = limit
        self.reach = limit + abs(pair.stop_delay_ps)
        self._half = 1 + PER_OCTAVE * (limit.bit_length() - 1) + 1
        self._histogram = np.zeros(2 * self._half, np.uint64)
        self._totals = [0, 0]
        self._lists = PairLists(pair.start_channel, pair.stop_channel, self.reach)
        self.forget = self._lists.forget

    def count(self, stamps: NDArray[np.int64], channels: NDArray[np.int32], first: int, last: int) -> None:
        pair, lists, limit = self._pair, self._lists, self._limit
        delay = pair.stop_delay_ps
        for first_start, starts_end, first_stop, stops_end in lists.tiles(stamps, channels, first, last):
            self._totals[0] += starts_end - first_start
            self._totals[1] += stops_end - first_stop
            buffers = (lists.survivors, lists.slots, self._histogram)
            log_loop.count_log_pairs(
                lists.stops, lists.starts_before, first_stop, stops_end, lists.starts,
                limit - delay - 1, 1, delay, limit, *buffers,
            )  # fmt: skip
            if not pair.same_channel:
                log_loop.count_log_pairs(
                    lists.starts, lists.stops_before, first_start, starts_end, lists.stops,
                    limit + delay - 1, -1, delay, limit, *buffers,
                )  # fmt: skip

    def part(
        self, side: int, live_ps: int, edges: tuple[tuple[int, int], ...]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Give (low, high, pairs, expected) of one sign."""
        low, high = log_edges(self._limit)
        counts = self._histogram[side * self._half : (side + 1) * self._half - 1].astype(np.int64)
        if self._pair.same_channel:
            # Each pair of tags was met once, as (earlier, later); it counts at both signs, at lag 0 twice.
            counts = self._histogram[: self._half - 1].astype(np.int64)
            counts[log_loop.ZERO_SLOT] *= 2
        if side:
            low, high, counts = low[1:], high[1:], counts[1:]
        kept = high > low
        low, high, counts = low[kept], high[kept], counts[kept]
        sign = -1.0 if side else 1.0
        true_lag = np.abs(sign * (low + high - 1) / 2 - self._pair.stop_delay_ps)
        exposure = live_ps - sum(weight * np.minimum(float(length), true_lag) for length, weight in edges)
        starts, stops = (
            self._totals if not self._pair.same_channel else (self._totals[0], self._totals[0] - 1)
        )
        rate = starts * max(stops, 0) / max(float(live_ps), 1.0) ** 2
        expected = rate * np.maximum(exposure, 0.0) * (high - low)
        return low, high, counts, expected


def log_edges(limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whole-ps edges [low, high) of the slots below ``limit`` (a power of 2); the first one holds lag 0."""
    octaves = limit.bit_length() - 1
    low, high = [0], [1]
    for octave in range(octaves):
        for step in range(PER_OCTAVE):
            # Ceilings: a slot holds the whole numbers at or above its lower edge.
            low.append(-(-((1 << octave) * (PER_OCTAVE + step)) // PER_OCTAVE))
            high.append(-(-((1 << octave) * (PER_OCTAVE + step + 1)) // PER_OCTAVE))
    return np.array(low, np.int64), np.array(high, np.int64)


class _Levels:
    """Multi-tau: one series of coarse bins per octave, each twice as wide as the one below."""

    def __init__(self, pair: Pair, width_bits: int, octaves: int) -> None:
        self._pair = pair
        self._width_bits = width_bits
        self._octaves = octaves
        self._slack = (abs(pair.stop_delay_ps) >> width_bits) + 2
        self._room = _SERIES + self._slack
        size = _HISTORY + self._room + self._slack
        self._series = [[np.zeros(size, np.int32) for _ in range(2)] for _ in range(octaves)]
        self._sums = np.zeros((2, octaves, 4, PER_OCTAVE), np.int64)
        self._filled = [0] * octaves
        self.begin_piece(0)

    def begin_piece(self, begin_ps: int) -> None:
        """Begin anew: no product may reach across the beginning of a piece."""
        self.flush()
        # The piece of both channels that a whole coarse bin sees begins with the later of the two.
        begin = max(begin_ps, begin_ps + self._pair.stop_delay_ps)
        self._at = [-((-begin) >> self._width_bits)]
        self._filled = [0] * self._octaves
        self._valid = [_HISTORY] * self._octaves
        for level in range(1, self._octaves):
            # Each level's first bin must begin on a multiple of its own width.
            self._at.append((self._at[level - 1] + 1) >> 1)
        for series in self._series:
            for one in series:
                one[:] = 0

    def count(
        self, stamps: NDArray[np.int64], channels: NDArray[np.int32], first: int, last: int, end_ps: int
    ) -> None:
        """Add tags ``first:last`` and close the coarse bins that end before ``end_ps`` on both channels."""
        if not self._octaves:
            return
        complete = min(end_ps, end_ps + self._pair.stop_delay_ps) >> self._width_bits
        while True:
            room_end = self._at[0] + self._room
            until = first + int(np.searchsorted(stamps[first:last], room_end << self._width_bits))
            self._bin(stamps, channels, first, until)
            first = until
            self._filled[0] = max(min(complete, room_end) - self._at[0], 0)
            if first >= last and complete <= room_end:
                break
            self._process(0)
        if self._filled[0] >= _BATCH:
            self._process(0)

    def flush(self) -> None:
        """Add the products of all complete bins."""
        for level in range(self._octaves):
            self._process(level)

    def part(
        self, side: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Give (low, high, pairs, expected) of one sign."""
        low, high, pairs, expected = [], [], [], []
        for level in range(self._octaves):
            width = 1 << (self._width_bits + level)
            products, earlier, later, terms = self._sums[0 if self._pair.same_channel else side, level]
            for k in range(PER_OCTAVE):
                low.append((PER_OCTAVE + k - 1) * width + 1)
                high.append((PER_OCTAVE + k + 1) * width)
                pairs.append(int(products[k]))
                expected.append(float(earlier[k]) * float(later[k]) / max(int(terms[k]), 1))
        return (
            np.array(low, np.int64),
            np.array(high, np.int64),
            np.array(pairs, np.int64),
            np.array(expected, np.float64),
        )

    def _bin(self, stamps: NDArray[np.int64], channels: NDArray[np.int32], first: int, last: int) -> None:
        pair = self._pair
        origin = self._at[0] - _HISTORY
        for one, (channel, shift) in zip(
            self._series[0], ((pair.start_channel, 0), (pair.stop_channel, pair.stop_delay_ps)), strict=True
        ):
            # Tags before the first whole bin of the piece fall into bins that are not used.
            low = first
            if low < last and (int(stamps[low]) + shift) >> self._width_bits < self._at[0]:
                low += int(np.searchsorted(stamps[first:last], (self._at[0] << self._width_bits) - shift))
            log_loop.bin_tags(stamps, channels, low, last, channel, shift, self._width_bits, origin, one)

    def _process(self, level: int) -> None:
        """Add the products of a level's complete bins, hand pairs of bins upwards, and shift."""
        bins = self._filled[level]
        if bins <= 0:
            return
        starts, stops = self._series[level]
        sums = self._sums[:, level]
        end = _HISTORY + bins
        log_loop.add_products(starts, stops, _HISTORY, end, self._valid[level], *sums[0])
        log_loop.add_products(stops, starts, _HISTORY, end, self._valid[level], *sums[1])
        if level + 1 < self._octaves:
            self._hand_up(level, bins)
        self._at[level] += bins
        self._filled[level] = 0
        self._valid[level] = max(self._valid[level] - bins, 0)
        kept = _HISTORY + (self._slack if level == 0 else 0)
        for one in (starts, stops):
            one[:kept] = one[bins : bins + kept].copy()
            one[kept : kept + bins] = 0

    def _hand_up(self, level: int, bins: int) -> None:
        above = level + 1
        first = 2 * (self._at[above] + self._filled[above]) - self._at[level]
        pairs = (bins - first) // 2
        if pairs <= 0:
            return
        begin = _HISTORY + first
        for fine, coarse in zip(self._series[level], self._series[above], strict=True):
            log_loop.halve(fine, begin, begin + 2 * pairs, coarse, _HISTORY + self._filled[above])
        self._filled[above] += pairs
        if self._filled[above] >= _BATCH:
            self._process(above)


def _join(
    short: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    long: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
) -> LogG2:
    low, high, pairs, expected = (np.concatenate(both) for both in zip(short, long, strict=True))
    return LogG2(low, high, pairs, expected, np.arange(len(low)) < len(short[0]))
