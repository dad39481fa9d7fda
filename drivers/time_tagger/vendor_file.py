"""Files in the vendor's own format: written beside our records, and read back into chunks.

The format is closed; the vendor's module writes and reads it. Its ``FileReader`` does not raise for a file
that is none: it says so in its log and gives nothing. So what it gives is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from drivers.errors import InstrumentError, ProtocolError
from drivers.time_tagger.base import TagChunk
from drivers.time_tagger.connection import VENDOR_ERRORS, Connection
from drivers.time_tagger.marks import Events, cut_stretch, events_of, joined, selected

SUFFIX = ".ttbin"


class VendorFile:
    """A file of the vendor's that is being written. A context manager.

    Args:
        instrument: Name of the instrument, for messages.
        connection: The open connection.
        path: Name of the file.
        channels: Channels to write.

    Raises:
        InstrumentError: The file cannot be made.
        InstrumentConnectionError: The tagger is gone.
    """

    def __init__(self, instrument: str, connection: Connection, path: Path, channels: list[int]) -> None:
        self.path = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
        self._instrument = instrument
        self._connection = connection
        tagger = connection.tagger()
        if not self.path.parent.is_dir():
            raise InstrumentError(instrument, f"cannot write {self.path}: its folder does not exist")
        if self.path.exists():
            raise InstrumentError(
                instrument, f"cannot write {self.path}: it exists", advice="Choose another name"
            )
        try:
            self._writer: Any = connection.run(
                lambda: connection.vendor.FileWriter(tagger, str(self.path), channels)
            )
        except InstrumentError:
            raise
        except VENDOR_ERRORS as error:
            raise InstrumentError(instrument, f"cannot write {self.path}: {error}") from error
        self._events = 0

    @property
    def events(self) -> int:
        """Number of events written so far (all of them once it is closed)."""
        if self._writer is not None:
            self._events = int(self._connection.call("count written events", self._writer.getTotalEvents))
        return self._events

    def mark(self, text: str) -> None:
        """Write a comment at this place of the file.

        Raises:
            InstrumentConnectionError: The tagger is gone.
        """
        if self._writer is not None:
            self._connection.call("write a comment", lambda: self._writer.setMarker(text))

    def close(self) -> None:
        """End the file. May be called twice."""
        if self._writer is None:
            return
        writer = self._writer
        try:
            self._connection.call("end the vendor's file", writer.stop)
            self._events = int(self._connection.call("count written events", writer.getTotalEvents))
        finally:
            self._connection.release(writer)
            self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif self._writer is not None:
            self._connection.release(self._writer)
            self._writer = None


def read_vendor_file(path: Path, vendor: Any, *, chunk_events: int = 1_000_000) -> Iterator[TagChunk]:
    """The tags of a file in the vendor's format, chunk by chunk.

    Stretches reach from the first to the last event of each chunk, as the file tells nothing else.

    Args:
        path: The header file (``name.ttbin``, its parts follow by themselves) or one part.
        vendor: The vendor's module.
        chunk_events: Events per chunk.

    Raises:
        FileNotFoundError: There is no such file.
        ProtocolError: It is not a file of the vendor's, or its times run backwards.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        reader = vendor.FileReader(str(path))
        channels = tuple(reader.getChannelList())
    except VENDOR_ERRORS as error:
        raise ProtocolError(str(path), f"the vendor's module cannot read it: {error}") from error
    if not channels:
        raise ProtocolError(str(path), "not a file of the vendor's: it has no channels")
    kept: Events | None = None
    begin_ps: int | None = None
    overflowing = False
    while reader.hasData():
        events = joined(kept, events_of(reader.getData(chunk_events)))
        if not events.timestamps_ps.size:
            continue
        first_ps, last_ps = int(events.timestamps_ps[0]), int(events.timestamps_ps[-1])
        begin_ps = first_ps if begin_ps is None else begin_ps
        if first_ps < begin_ps or np.any(np.diff(events.timestamps_ps) < 0):
            raise ProtocolError(str(path), f"times run backwards after {begin_ps} ps")
        # Another event may have the time of the last one: a stretch ends before it.
        if last_ps > begin_ps:
            chunk, overflowing = cut_stretch(events, begin_ps, last_ps, overflowing=overflowing)
            yield chunk
        kept = selected(events, events.timestamps_ps >= last_ps)
        begin_ps = last_ps
    if kept is not None and begin_ps is not None:
        yield cut_stretch(kept, begin_ps, begin_ps + 1, overflowing=overflowing)[0]
