"""From the vendor's events to tags and gaps: a pure function, apart from the device.

A buffer mixes time tags with marks (section "tag types" of the vendor's docstrings): 0 time tag, 1 error,
2 begin of an overflow, 3 end of it, 4 count of events missed in it. Between begin and end, tags may be
missing, so the whole interval counts as a gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import Gap, TagChunk

TIME_TAG, ERROR, OVERFLOW_BEGIN, OVERFLOW_END, MISSED_EVENTS = range(5)


@dataclass(frozen=True)
class Events:
    """Events as the vendor's buffer gives them.

    Attributes:
        timestamps_ps: int64 of shape (n,).
        channels: int32 of shape (n,).
        types: uint8 of shape (n,).
        missed: uint16 of shape (n,).
    """

    timestamps_ps: NDArray[np.int64]
    channels: NDArray[np.int32]
    types: NDArray[np.uint8]
    missed: NDArray[np.uint16]


def events_of(buffer: Any) -> Events:
    """The events of a ``TimeTagStreamBuffer``."""
    return Events(
        np.asarray(buffer.getTimestamps(), dtype=np.int64),
        np.asarray(buffer.getChannels(), dtype=np.int32),
        np.asarray(buffer.getEventTypes(), dtype=np.uint8),
        np.asarray(buffer.getMissedEvents(), dtype=np.uint16),
    )


def joined(first: Events | None, second: Events) -> Events:
    """Events in a row as one."""
    if first is None:
        return second
    return Events(
        np.concatenate([first.timestamps_ps, second.timestamps_ps]),
        np.concatenate([first.channels, second.channels]),
        np.concatenate([first.types, second.types]),
        np.concatenate([first.missed, second.missed]),
    )


def selected(events: Events, which: NDArray[np.bool_]) -> Events:
    """The events where the mask ``which`` of shape (n,) is true."""
    return Events(
        events.timestamps_ps[which], events.channels[which], events.types[which], events.missed[which]
    )


def cut_stretch(
    events: Events, begin_ps: int, end_ps: int, *, overflowing: bool = False
) -> tuple[TagChunk, bool]:
    """The chunk of ``[begin_ps, end_ps)``, and whether an overflow is still open at its end.

    Args:
        events: Events in order of time.
        begin_ps: Start of the stretch.
        end_ps: End of the stretch; later events are left out.
        overflowing: An overflow was open at its start.

    Returns:
        The chunk, its gaps merged where they touch, and the state at ``end_ps``.
    """
    inside = (events.timestamps_ps >= begin_ps) & (events.timestamps_ps < end_ps)
    tags = inside & (events.types == TIME_TAG)
    gaps: list[Gap] = []
    open_since_ps = begin_ps if overflowing else None
    last_good_ps = begin_ps
    missed: dict[int, int] = {}
    for index in np.flatnonzero(inside & (events.types != TIME_TAG)):
        kind, time_ps = int(events.types[index]), int(events.timestamps_ps[index])
        if kind == OVERFLOW_BEGIN and open_since_ps is None:
            open_since_ps = time_ps
        elif kind == OVERFLOW_END:
            gaps.append(Gap(last_good_ps if open_since_ps is None else open_since_ps, time_ps, missed))
            open_since_ps, missed, last_good_ps = None, {}, time_ps
        elif kind == MISSED_EVENTS:
            channel = int(events.channels[index])
            missed[channel] = missed.get(channel, 0) + int(events.missed[index])
            open_since_ps = last_good_ps if open_since_ps is None else open_since_ps
        elif kind != OVERFLOW_BEGIN:
            # An error mark says that times around it cannot be trusted, not how far: back to the last mark.
            gaps.append(Gap(last_good_ps if open_since_ps is None else open_since_ps, time_ps + 1, missed))
            missed, last_good_ps = {}, time_ps + 1
            open_since_ps = None if open_since_ps is None else time_ps + 1
    if open_since_ps is not None:
        gaps.append(Gap(open_since_ps, end_ps, missed))
    chunk = TagChunk(
        np.ascontiguousarray(events.timestamps_ps[tags], dtype=np.int64),
        np.ascontiguousarray(events.channels[tags], dtype=np.int32),
        begin_ps,
        end_ps,
        merged(gaps),
    )
    return chunk, open_since_ps is not None


def merged(gaps: list[Gap]) -> tuple[Gap, ...]:
    """Gaps in order; those that touch or overlap made one, their counts added; empty ones left out."""
    result: list[Gap] = []
    for gap in sorted(gaps, key=lambda entry: (entry.begin_ps, entry.end_ps)):
        if gap.end_ps <= gap.begin_ps and not gap.missed:
            continue
        if result and gap.begin_ps <= result[-1].end_ps:
            result.append(_both(result.pop(), gap))
        else:
            result.append(gap)
    return tuple(result)


def _both(first: Gap, second: Gap) -> Gap:
    """One gap that covers two."""
    missed = {
        channel: first.missed.get(channel, 0) + second.missed.get(channel, 0)
        for channel in sorted({*first.missed, *second.missed})
    }
    return Gap(first.begin_ps, max(first.end_ps, second.end_ps), missed)
