"""One record of tags through the vendor's stream, chunk by chunk."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from drivers.clock import Clock
from drivers.errors import InstrumentConnectionError
from drivers.time_tagger.base import TagChunk
from drivers.time_tagger.connection import Connection
from drivers.time_tagger.record import Record
from drivers.time_tagger.settings import SwabianSettings


def stream_tags(
    name: str,
    connection: Connection,
    settings: SwabianSettings,
    channels: Mapping[int, str],
    duration_ps: int,
    *,
    clock: Clock,
    cancel: threading.Event,
    silent_ps: dict[int, int],
) -> Iterator[TagChunk]:
    """Record tags for ``duration_ps`` of the tagger's own time; the vendor's stream ends with the record.

    Args:
        name: The instrument's name, for errors.
        connection: The open tagger.
        settings: Its table of the rig file.
        channels: Channel number -> name of the counter.
        duration_ps: Length of the record.
        clock: The experiment's clock.
        cancel: Ends the record early when set.
        silent_ps: How long each channel has been silent; kept up to date from record to record.

    Raises:
        InstrumentConnectionError: The tagger was closed or lost.
        InstrumentTimeoutError: The tagger's time stands still.
        FaultError: The tagger's time jumped, or a counter is silent.
    """
    tagger = connection.tagger()
    began_s = clock.now()
    measurement = connection.call(
        "start a stream",
        lambda: connection.vendor.TimeTagStream(tagger, settings.buffer_tags, list(channels)),
    )
    try:
        connection.await_start(settings.read_timeout_s)
        buffer = connection.call("read the stream", measurement.getData)
        record = Record(
            name,
            dict(channels),
            begin_ps=int(buffer.tStart),
            duration_ps=duration_ps,
            began_s=began_s,
            buffer_tags=settings.buffer_tags,
            read_timeout_s=max(settings.read_timeout_s, 3 * settings.poll_s),
            silence_s=settings.silence_s,
            silent_ps=silent_ps,
        )
        while True:
            for chunk in record.take(buffer, clock.now()):
                silent_ps |= record.silent_ps
                yield chunk
            if record.left_ps <= 0 or cancel.is_set():
                return
            # Never less than a millisecond: a clock need not resolve the picoseconds that may be left.
            clock.wait(cancel, max(min(settings.poll_s, record.left_ps * 1e-12), 1e-3))
            if not connection.holds(tagger):
                raise InstrumentConnectionError(name, "the time tagger was closed or lost during the record")
            buffer = connection.call("read the stream", measurement.getData, quiet=True)
    finally:
        connection.release(measurement)
