"""The way from the tagger to the computer: a buffer, a link of limited speed, and marks for what is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TIME_TAG, ERROR, OVERFLOW_BEGIN, OVERFLOW_END, MISSED_EVENTS = range(5)
MOST_MISSED_PER_MARK = 65_535
BLOCK_PS = 20_000_000_000


@dataclass(frozen=True)
class Batch:
    """Events of ``[begin_ps, end_ps)`` of the tagger; arrays of shape (n,) as in the vendor's buffer."""

    times_ps: NDArray[np.int64]
    channels: NDArray[np.int32]
    types: NDArray[np.uint8]
    missed: NDArray[np.uint16]
    begin_ps: int
    end_ps: int


class Link:
    """Buffer and link, block by block of 20 ms (the vendor's default latency).

    When the buffer is full the tagger drops tags and counts them, until half of the buffer is empty again.
    The delay of what waits in the buffer is not played: tags arrive at once or not at all.
    """

    def __init__(self) -> None:
        self.overflows = 0
        self._backlog_tags = 0.0
        self._overflowing = False

    def clear(self) -> None:
        """Forget what is in the buffer."""
        self._backlog_tags = 0.0
        self._overflowing = False

    def carry(self, batch: Batch, limit_Hz: float, room: int, forced: bool) -> Batch:
        """What reaches the computer of the next events.

        Args:
            batch: The events.
            limit_Hz: Tags that the link carries per second.
            room: Size of the tagger's buffer in tags.
            forced: Overflow whatever the rate.
        """
        quiet = batch.times_ps.size <= min(room, limit_Hz * BLOCK_PS * 1e-12) and not self._backlog_tags
        if quiet and not forced and not self._overflowing:
            return batch
        edges_ps = np.append(np.arange(batch.begin_ps, batch.end_ps, BLOCK_PS), batch.end_ps)
        cuts = np.searchsorted(batch.times_ps, edges_ps)
        parts: list[Batch] = []
        for i in range(edges_ps.size - 1):
            part = Batch(
                batch.times_ps[cuts[i] : cuts[i + 1]],
                batch.channels[cuts[i] : cuts[i + 1]],
                batch.types[cuts[i] : cuts[i + 1]],
                batch.missed[cuts[i] : cuts[i + 1]],
                int(edges_ps[i]),
                int(edges_ps[i + 1]),
            )
            carried = limit_Hz * (part.end_ps - part.begin_ps) * 1e-12
            arrived = 0 if self._overflowing else part.times_ps.size
            self._backlog_tags = max(0.0, self._backlog_tags + arrived - carried)
            full = forced or self._backlog_tags > room * (0.5 if self._overflowing else 1.0)
            parts.append(self._mark(part, full))
        return joined(parts, batch.begin_ps, batch.end_ps)

    def _mark(self, part: Batch, full: bool) -> Batch:
        """One block of the stream, as it is or as an overflow's marks."""
        began = full and not self._overflowing
        ended = not full and self._overflowing
        self._overflowing = full
        if began:
            self.overflows += 1
        if ended:
            return joined(
                [_mark_at(part.begin_ps, OVERFLOW_END), part],
                part.begin_ps,
                part.end_ps,
            )
        if not full:
            return part
        marks = [_mark_at(part.begin_ps, OVERFLOW_BEGIN)] if began else []
        for channel, count in zip(*np.unique(part.channels, return_counts=True), strict=True):
            for done in range(0, int(count), MOST_MISSED_PER_MARK):
                amount = min(int(count) - done, MOST_MISSED_PER_MARK)
                marks.append(_mark_at(part.end_ps - 1, MISSED_EVENTS, int(channel), amount))
        return joined(marks, part.begin_ps, part.end_ps)


def _mark_at(time_ps: int, kind: int, channel: int = 0, missed: int = 0) -> Batch:
    return Batch(
        np.array([time_ps], dtype=np.int64),
        np.array([channel], dtype=np.int32),
        np.array([kind], dtype=np.uint8),
        np.array([missed], dtype=np.uint16),
        time_ps,
        time_ps + 1,
    )


def joined(parts: Sequence[Batch], begin_ps: int, end_ps: int) -> Batch:
    """Batches in a row as one."""
    return Batch(
        np.concatenate([part.times_ps for part in parts] or [np.empty(0, dtype=np.int64)]),
        np.concatenate([part.channels for part in parts] or [np.empty(0, dtype=np.int32)]),
        np.concatenate([part.types for part in parts] or [np.empty(0, dtype=np.uint8)]),
        np.concatenate([part.missed for part in parts] or [np.empty(0, dtype=np.uint16)]),
        begin_ps,
        end_ps,
    )


def of_channels(batch: Batch, channels: Sequence[int], most: int | None = None) -> Batch:
    """The first ``most`` events of these channels; marks that concern all channels are always among them."""
    mine = np.isin(batch.channels, channels) | np.isin(batch.types, (ERROR, OVERFLOW_BEGIN, OVERFLOW_END))
    index = np.flatnonzero(mine)[:most]
    return Batch(
        batch.times_ps[index],
        batch.channels[index],
        batch.types[index],
        batch.missed[index],
        batch.begin_ps,
        batch.end_ps,
    )
