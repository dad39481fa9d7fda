"""One record of tags under way: joins the vendor's buffers to stretches, and sees what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from drivers.errors import FaultError, InstrumentTimeoutError
from drivers.time_tagger.base import Gap, TagChunk
from drivers.time_tagger.marks import Events, cut_stretch, events_of, joined, merged, selected

# The stream may lag behind the clock, never lead it; this covers clocks that differ by up to a permille.
LEAD_S = 0.05
LEAD_RELATIVE = 1e-3
# A tag this much before the end of the last stretch is a late one; more is a clock that was set back.
LATE_PS = 1_000_000_000


class Record:
    """Turns buffers into chunks whose stretches add up to exactly the length asked for.

    Args:
        instrument: Name of the instrument, for messages.
        counters: Channel number -> name of the counter, of all recorded channels.
        begin_ps: Start of the record, in the tagger's time.
        duration_ps: Its length.
        began_s: Clock time just before the record was started.
        buffer_tags: Size of the vendor's buffer; a full one has lost tags.
        read_timeout_s: Longest time without progress of the tagger's time.
        silence_s: Longest time without any tag of a counter, 0: any.
        silent_ps: Time that each channel was already silent at the end of the record before this one.
    """

    def __init__(
        self,
        instrument: str,
        counters: Mapping[int, str],
        *,
        begin_ps: int,
        duration_ps: int,
        began_s: float,
        buffer_tags: int,
        read_timeout_s: float,
        silence_s: float,
        silent_ps: Mapping[int, int] | None = None,
    ) -> None:
        self.instrument = instrument
        self.counters = dict(counters)
        self.at_ps = begin_ps
        self.end_ps = begin_ps + duration_ps
        self._begin_ps = begin_ps
        self._began_s = began_s
        self._moved_s = began_s
        self._buffer_tags = buffer_tags
        self._read_timeout_s = read_timeout_s
        self._silence_ps = int(silence_s * 1e12)
        before_ps = silent_ps or {}
        self._seen_ps = {channel: begin_ps - before_ps.get(channel, 0) for channel in counters}
        self._overflowing = False
        self._kept: Events | None = None

    @property
    def left_ps(self) -> int:
        """What is left of the record, in ps."""
        return self.end_ps - self.at_ps

    @property
    def silent_ps(self) -> dict[int, int]:
        """Recorded time since the last tag of each channel, earlier records included."""
        return {channel: self.at_ps - seen_ps for channel, seen_ps in self._seen_ps.items()}

    def take(self, buffer: Any, now_s: float) -> Iterator[TagChunk]:
        """The chunk that a buffer of the vendor's adds, if any time has passed.

        Args:
            buffer: A ``TimeTagStreamBuffer``.
            now_s: Clock time of the reading.

        Raises:
            FaultError: The tagger's time ran backwards or ahead, or a counter is silent.
            InstrumentTimeoutError: The tagger's time stands still.
        """
        events = events_of(buffer)
        read_to_ps = int(buffer.tGetData)
        full = int(buffer.size) >= self._buffer_tags
        self._check_time(events, read_to_ps, now_s)
        to_ps = min(read_to_ps, self.end_ps)
        if to_ps <= self.at_ps:
            self._kept = joined(self._kept, events)
            return
        events = joined(self._kept, events)
        chunk, self._overflowing = cut_stretch(events, self.at_ps, to_ps, overflowing=self._overflowing)
        lost = self._lost(events, to_ps, full)
        if lost:
            chunk = TagChunk(
                chunk.timestamps_ps,
                chunk.channels,
                chunk.begin_ps,
                chunk.end_ps,
                merged([*chunk.gaps, *lost]),
            )
        later = events.timestamps_ps >= to_ps
        self._kept = selected(events, later) if later.any() else None
        self.at_ps = to_ps
        self._moved_s = now_s
        self._hear(chunk)
        yield chunk
        self._check_silence()

    def _lost(self, events: Events, to_ps: int, full: bool) -> list[Gap]:
        """Gaps that the vendor's marks do not tell of: a full buffer, and tags that came too late."""
        lost: list[Gap] = []
        if full:
            last_ps = int(events.timestamps_ps[-1]) + 1 if events.timestamps_ps.size else self.at_ps
            lost.append(Gap(min(max(last_ps, self.at_ps), to_ps), to_ps))
        late = events.timestamps_ps < self.at_ps
        if late.any():
            numbers, counts = np.unique(events.channels[late], return_counts=True)
            missed = {int(number): int(count) for number, count in zip(numbers, counts, strict=True)}
            lost.append(Gap(self.at_ps, self.at_ps, missed))
        return lost

    def _check_time(self, events: Events, read_to_ps: int, now_s: float) -> None:
        elapsed_s = now_s - self._began_s
        lead_s = (read_to_ps - self._begin_ps) * 1e-12 - elapsed_s
        stamps_ps = events.timestamps_ps
        if (
            read_to_ps < self.at_ps
            or bool(np.any(np.diff(stamps_ps) < 0))
            or (stamps_ps.size and stamps_ps[0] < self.at_ps - LATE_PS)
            or lead_s > LEAD_S + LEAD_RELATIVE * elapsed_s
        ):
            jump_s = (read_to_ps - self.at_ps) * 1e-12 - (now_s - self._moved_s)
            raise FaultError(
                self.instrument,
                f"the tagger's time jumped by about {jump_s:+.3g} s, "
                f"{(self.at_ps - self._begin_ps) * 1e-12:.6g} s into the record",
                done="The record ends there; what came before is good",
                advice="Check reference clock, USB cable and power, then start a new record",
            )
        if read_to_ps <= self.at_ps and now_s - self._moved_s > self._read_timeout_s:
            raise InstrumentTimeoutError(
                self.instrument,
                f"the tagger's time stands still for {now_s - self._moved_s:.3g} s",
                done="The record ends there; what came before is good",
                advice="Check USB cable and power, then connect again",
            )

    def _hear(self, chunk: TagChunk) -> None:
        """Note when each channel gave its last tag; a gap counts as one."""
        for channel in self.counters:
            own_ps = chunk.timestamps_ps[chunk.channels == channel]
            if own_ps.size:
                self._seen_ps[channel] = int(own_ps[-1])
            if chunk.gaps:
                self._seen_ps[channel] = max(self._seen_ps[channel], chunk.gaps[-1].end_ps)

    def _check_silence(self) -> None:
        for channel, silent_ps in self.silent_ps.items():
            if self._silence_ps and silent_ps >= self._silence_ps:
                raise FaultError(
                    self.instrument,
                    f"counter {self.counters[channel]!r} (channel {channel}) gave no pulse for "
                    f"{silent_ps * 1e-12:.3g} s of recording, not even dark counts",
                    done="The record ends there; what came before is kept",
                    advice="Check that the counter is powered and gated on, its cable, and the trigger level",
                )
