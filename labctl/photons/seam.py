"""The seam between the stretches of a record: loops look back along one array, whatever the chunks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

ROOM = 16
"""Tags (or stand-ins far in the past) that stand at least before the first new tag of a stretch."""

_NO_CHANNEL = np.iinfo(np.int32).min

Stretch = tuple[NDArray[np.int64], NDArray[np.int32], int, int]


class Seam:
    """Keeps the tags that those to come can still reach, and puts them before the head of the next chunk.

    Only the seam is copied: of a chunk longer than the reach, the body is handed on where it lies.

    Args:
        reach_ps: How far back a tag can find a partner.
    """

    def __init__(self, reach_ps: int) -> None:
        self._reach_ps = reach_ps
        self._stamps = np.zeros(0, np.int64)
        self._channels = np.zeros(0, np.int32)
        self._kept = 0
        self._grow(4096)

    def forget(self) -> None:
        """Begin a new piece of record: no tag so far can be a partner."""
        self._kept = 0

    def take(self, stamps: NDArray[np.int64], channels: NDArray[np.int32]) -> None:
        """Take tags as partners of those to come."""
        if len(stamps):
            self._join(stamps, channels)
            self._keep(stamps, channels)

    def stretches(self, stamps: NDArray[np.int64], channels: NDArray[np.int32]) -> Iterator[Stretch]:
        """Give (stamps, channels, first, last): arrays in order of time whose tags ``first:last`` are new.

        Each tag is new once. All partners within its reach stand before it in the array; at least
        `ROOM` entries stand before the first new one, and entry 0 is out of every new one's reach. The
        arrays hold good until the next step.

        Raises:
            ValueError: A time stamp is so far below zero that nothing can be out of its reach.
        """
        if not len(stamps):
            return
        first_ps = int(stamps[0])
        if first_ps - self._reach_ps <= -(2**63):
            raise ValueError(f"time stamp {first_ps} ps is too far below zero for a window of this size")
        head = int(np.searchsorted(stamps, first_ps + min(self._reach_ps, 2**63 - 1 - first_ps), "right"))
        head = min(max(head, ROOM), len(stamps))
        first = self._join(stamps[:head], channels[:head])
        self._stamps[:ROOM] = first_ps - self._reach_ps - 1
        self._channels[:ROOM] = _NO_CHANNEL
        yield self._stamps, self._channels, first, first + head
        if head < len(stamps):
            yield stamps, channels, head, len(stamps)
        self._keep(stamps, channels)

    def _join(self, stamps: NDArray[np.int64], channels: NDArray[np.int32]) -> int:
        """Put tags behind those kept; give the place of the first one."""
        at = ROOM + self._kept
        self._grow(at + len(stamps))
        self._stamps[at : at + len(stamps)] = stamps
        self._channels[at : at + len(stamps)] = channels
        return at

    def _keep(self, stamps: NDArray[np.int64], channels: NDArray[np.int32]) -> None:
        """Keep what a tag not before the last one can reach; the seam holds what is no longer than that."""
        oldest_ps = int(stamps[-1]) - self._reach_ps
        low = int(np.searchsorted(stamps, oldest_ps))
        if low == 0:
            filled = ROOM + self._kept + len(stamps)
            low = ROOM + int(np.searchsorted(self._stamps[ROOM:filled], oldest_ps))
            stamps, channels = self._stamps[:filled], self._channels[:filled]
        self._kept = len(stamps) - low
        self._grow(ROOM + self._kept)
        self._stamps[ROOM : ROOM + self._kept] = stamps[low:]
        self._channels[ROOM : ROOM + self._kept] = channels[low:]

    def _grow(self, capacity: int) -> None:
        if capacity <= len(self._stamps):
            return
        stamps, channels = self._stamps, self._channels
        self._stamps = np.zeros(2 * capacity, np.int64)
        self._channels = np.zeros(2 * capacity, np.int32)
        self._stamps[: len(stamps)] = stamps
        self._channels[: len(channels)] = channels
