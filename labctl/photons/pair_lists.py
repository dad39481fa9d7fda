"""The tags of two channels in one list each, and with each tag the place where it stands in the other list.

Counting in log-spaced lags starts from that (`log_loop`): a new tag looks back along the list of the other
channel, from the nearest earlier tag on.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from labctl.photons.compiled import compiled, u64

# Tags handled at a time: few calls, and lists that stay in the second-level cache.
_TILE = 16384


class PairLists:
    """Gathers the tags of a pair of channels tile by tile, and drops those out of reach.

    Args:
        start_channel: Channel number of the starts.
        stop_channel: Channel number of the stops; the same one makes both lists one.
        reach_ps: How far back a tag can find a partner.

    Attributes:
        starts, stops: int64 time stamps; the first one is out of everybody's reach.
        stops_before, starts_before: uint32; how many entries the other list had when this tag came.
        survivors, slots: uint32 buffers of the same length for the counting loops.
    """

    def __init__(self, start_channel: int, stop_channel: int, reach_ps: int) -> None:
        self._start_channel = start_channel
        self._stop_channel = stop_channel
        self._reach_ps = reach_ps
        self._capacity = 0
        self.starts = self.stops = np.zeros(0, np.int64)
        self._grow(2 * _TILE)
        self.forget()

    def forget(self) -> None:
        """Begin a new piece of record: no tag so far can be a partner."""
        self._starts_filled = self._stops_filled = 1

    def tiles(
        self, stamps: NDArray[np.int64], channels: NDArray[np.int32], first: int, last: int
    ) -> Iterator[tuple[int, int, int, int]]:
        """Take the tags ``first:last`` tile by tile.

        Gives (first new start, end of the starts, first new stop, end of the stops); the lists hold good
        until the next step.

        Raises:
            ValueError: A time stamp is so far below zero that nothing can be out of its reach.
        """
        for begin in range(first, last, _TILE):
            if self._capacity - max(self._starts_filled, self._stops_filled) < _TILE:
                self._grow(4 * self._capacity)
            end = min(last, begin + _TILE)
            now_ps = int(stamps[begin])
            if now_ps - self._reach_ps <= -(2**63):
                raise ValueError(f"time stamp {now_ps} ps is too far below zero for a window of this size")
            starts_end, stops_end = self._split(stamps, channels, begin, end)
            self.starts[0] = self.stops[0] = now_ps - self._reach_ps - 1
            yield self._starts_filled, starts_end, self._stops_filled, stops_end
            now_ps = int(stamps[end - 1])
            self._starts_filled = keep_reachable(self.starts, starts_end, now_ps, self._reach_ps)
            self._stops_filled = self._starts_filled
            if self._start_channel != self._stop_channel:
                self._stops_filled = keep_reachable(self.stops, stops_end, now_ps, self._reach_ps)

    def _split(
        self, stamps: NDArray[np.int64], channels: NDArray[np.int32], first: int, last: int
    ) -> tuple[int, int]:
        if self._start_channel == self._stop_channel:
            filled = split_one(
                stamps, channels, first, last, self._start_channel,
                self.starts, self.starts_before, self._starts_filled,
            )  # fmt: skip
            return filled, filled
        return split_two(
            stamps, channels, first, last, self._start_channel, self._stop_channel,
            self.starts, self.stops_before, self._starts_filled,
            self.stops, self.starts_before, self._stops_filled,
        )  # fmt: skip

    def _grow(self, capacity: int) -> None:
        if capacity <= self._capacity:
            return
        starts, stops = self.starts, self.stops
        self._capacity = capacity
        self.starts = np.zeros(capacity + 1, np.int64)
        self.stops_before = np.zeros(capacity + 1, np.uint32)
        self.starts[: len(starts)] = starts
        if self._start_channel == self._stop_channel:
            self.stops, self.starts_before = self.starts, self.stops_before
        else:
            self.stops = np.zeros(capacity + 1, np.int64)
            self.starts_before = np.zeros(capacity + 1, np.uint32)
            self.stops[: len(stops)] = stops
        self.survivors = np.zeros(capacity + 1, np.uint32)
        self.slots = np.zeros(capacity + 1, np.uint32)


@compiled
def split_two(
    timestamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    first: int,
    last: int,
    one: int,
    two: int,
    ones: NDArray[np.int64],
    twos_before: NDArray[np.uint32],
    n_ones: int,
    twos: NDArray[np.int64],
    ones_before: NDArray[np.uint32],
    n_twos: int,
) -> tuple[int, int]:
    """Append the tags ``first:last`` of two channels to their lists; give the new lengths.

    ``twos_before[i]`` becomes the length of the other list when tag ``ones[i]`` came, and vice versa.
    """
    filled_ones, filled_twos = u64(n_ones), u64(n_twos)
    for i in range(u64(first), u64(last)):
        stamp, channel = timestamps[i], channels[i]
        ones[filled_ones] = stamp
        twos_before[filled_ones] = filled_twos
        twos[filled_twos] = stamp
        ones_before[filled_twos] = filled_ones
        filled_ones += u64(channel == one)
        filled_twos += u64(channel == two)
    return filled_ones, filled_twos


@compiled
def split_one(
    timestamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    first: int,
    last: int,
    one: int,
    ones: NDArray[np.int64],
    ones_before: NDArray[np.uint32],
    n_ones: int,
) -> int:
    """Append the tags ``first:last`` of one channel to its list; give the new length."""
    filled = u64(n_ones)
    for i in range(u64(first), u64(last)):
        ones[filled] = timestamps[i]
        ones_before[filled] = filled
        filled += u64(channels[i] == one)
    return int(filled)


@compiled
def keep_reachable(stamps: NDArray[np.int64], filled: int, now: int, reach: int) -> int:
    """Move the tags that a tag at ``now`` or later can still reach to the front; give the new length."""
    one = u64(1)
    end = u64(filled)
    start = end
    while start > one and now - stamps[start - one] <= reach:
        start -= one
    for i in range(end - start):
        stamps[one + i] = stamps[start + i]
    return int(one + end - start)


@compiled
def reachable(
    later: NDArray[np.int64],
    before: NDArray[np.uint32],
    first: int,
    last: int,
    earlier: NDArray[np.int64],
    reach: int,
    survivors: NDArray[np.uint32],
) -> int:
    """List those of ``later[first:last]`` whose nearest partner is within reach; give their number."""
    alive = u64(0)
    for i in range(u64(first), u64(last)):
        survivors[alive] = i
        alive += u64(later[i] - earlier[u64(before[i]) - u64(1)] <= reach)
    return alive  # type: ignore[no-any-return]
