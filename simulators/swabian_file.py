r"""Files of the simulated time tagger: the vendor's names and file names, an open container of our own.

The vendor's ``.ttbin`` format is closed, so the stand-in cannot write it and does not pretend to. Its files
say in their first line what they are:

    LABCTL SIMULATED TIME TAGS 1 (not the vendor's format, which is closed)\n
    {"channels": [...], "configuration": {...}}\n
    blocks: 4 bytes kind, uint32 length, uint32 CRC-32 of what follows, ``length`` bytes

A block of kind ``TAGS`` holds int64 begin and end of its stretch in ps, then 16 bytes per event: uint8 type,
uint8 zero, uint16 missed, int32 channel, int64 time. ``MARK`` holds UTF-8 text. All is little-endian. As with
the vendor, ``name.ttbin`` has the header only and ``name.1.ttbin``, ``name.2.ttbin`` ... have the data.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from zlib import crc32

import numpy as np

from simulators.swabian_link import Batch, joined, of_channels
from simulators.swabian_measurements import IteratorBase, TimeTagStreamBuffer, box_of, buffer_of

FIRST_LINE = b"LABCTL SIMULATED TIME TAGS 1 (not the vendor's format, which is closed)\n"
BLOCK = struct.Struct("<4sII")
STRETCH = struct.Struct("<qq")
EVENT = np.dtype([("type", "u1"), ("zero", "u1"), ("missed", "<u2"), ("channel", "<i4"), ("time", "<i8")])
SUFFIX = ".ttbin"
EMPTY = joined([], 0, 0)


class FileWriter(IteratorBase):
    """Writes the events of some channels to files as they come.

    Args:
        tagger: A connected tagger.
        filename: Name of the files, ``.ttbin`` is added where it is missing.
        channels: Channels to write.

    Raises:
        RuntimeError: The file cannot be made.
    """

    def __init__(self, tagger: Any, filename: str, channels: Sequence[int]) -> None:
        box_of(tagger)
        self._file: IO[bytes] | None = None
        self._largest = 1 << 30
        self._events = self._bytes = 0
        self._configuration = tagger.getConfiguration()
        self._numbers = [int(channel) for channel in channels]
        self._begin(str(filename))
        super().__init__(tagger, channels)

    def split(self, *args: Any, **kwargs: Any) -> None:
        """Go on in a new file; with ``new_filename``, in a new sequence of that name."""
        with self._box.lock:
            self._box.catch_up()
            name = kwargs.get("new_filename", args[0] if args else "")
            self._begin(name or None)

    def setMaxFileSize(self, max_file_size: int) -> None:
        """Begin a new file when one gets longer than this many bytes."""
        self._largest = int(max_file_size)

    def getMaxFileSize(self) -> int:
        """Largest size of a file in bytes."""
        return self._largest

    def getTotalEvents(self) -> int:
        """Number of events written."""
        with self._box.lock:
            self._box.catch_up()
            return self._events

    def getTotalSize(self) -> int:
        """Number of bytes written."""
        with self._box.lock:
            self._box.catch_up()
            return self._bytes

    def setMarker(self, marker: str) -> None:
        """Write a comment at this place."""
        with self._box.lock:
            self._box.catch_up()
            self._block(b"MARK", marker.encode("utf-8"))

    def start(self) -> None:
        """Start or continue writing."""
        with self._box.lock:
            if self._file is None:
                self._begin(None)
            super().start()

    def stop(self) -> None:
        """Stop writing and close the file."""
        with self._box.lock:
            super().stop()
            self._close()

    def _begin(self, name: str | None) -> None:
        self._close()
        try:
            if name is not None:
                path = Path(name)
                self._base = path.with_suffix("") if path.suffix == SUFFIX else path
                self._part = 0
                with self._base.with_name(self._base.name + SUFFIX).open("wb") as header:
                    header.write(self._head())
            self._part += 1
            self._path = self._base.with_name(f"{self._base.name}.{self._part}{SUFFIX}")
            self._file = self._path.open("wb")
            self._size = self._file.write(self._head())
            self._bytes += self._size
        except OSError as error:
            raise RuntimeError(f"Could not open file {name or self._path}: {error.strerror}") from error

    def _head(self) -> bytes:
        about = {"channels": self._numbers, "configuration": self._configuration}
        return FIRST_LINE + json.dumps(about).encode("utf-8") + b"\n"

    def _block(self, kind: bytes, content: bytes) -> None:
        if self._file is None:
            return
        self._file.write(BLOCK.pack(kind, len(content), crc32(content)) + content)
        self._file.flush()
        self._size += BLOCK.size + len(content)
        self._bytes += BLOCK.size + len(content)

    def _take(self, batch: Batch) -> None:
        mine = of_channels(batch, self._channels)
        events = np.zeros(mine.times_ps.size, dtype=EVENT)
        events["type"], events["missed"] = mine.types, mine.missed
        events["channel"], events["time"] = mine.channels, mine.times_ps
        self._block(b"TAGS", STRETCH.pack(mine.begin_ps, mine.end_ps) + events.tobytes())
        self._events += events.size
        if self._size > self._largest:
            self._begin(None)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self) -> None:
        super()._end()
        self._close()

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            self._close()


class FileReader:
    """Reads what ``FileWriter`` wrote, a whole sequence at a time.

    It has the vendor's ways: a missing file is a ``RuntimeError``; a file that is none of ours is *not*: it
    has no channels, one empty buffer, and its configuration raises ``json.JSONDecodeError``.
    """

    def __init__(self, *args: Any) -> None:
        (names,) = args
        paths = [Path(name) for name in ([names] if isinstance(names, str | Path) else names)]
        self._files = [path for first in paths for path in _sequence(first)]
        for path in paths:
            if not path.is_file():
                raise RuntimeError(f"could not open file {path}")
        first_line, about = _head(paths[0])
        self._about: dict[str, Any] | None = json.loads(about) if first_line == FIRST_LINE else None
        self._marker = ""
        self._blocks = self._read() if self._about is not None else iter(())
        self._left = EMPTY
        self._more = True
        if self._about is not None:
            self._fill(1)

    def hasData(self) -> bool:
        """Whether there is more."""
        return self._more

    def getData(self, n_events: int) -> TimeTagStreamBuffer:
        """The next events, at most ``n_events``."""
        self._fill(n_events)
        n = min(int(n_events), self._left.times_ps.size)
        batch, self._left = _cut(self._left, n)
        self._fill(1)
        return buffer_of(batch, batch.begin_ps, batch.end_ps)

    def getChannelList(self) -> tuple[int, ...]:
        """Channels of the file."""
        return tuple(self._about["channels"]) if self._about is not None else ()

    def getConfiguration(self) -> dict[str, Any]:
        """The tagger's settings when the file was made."""
        if self._about is None:
            raise json.JSONDecodeError("Expecting value", "", 0)
        configuration: dict[str, Any] = self._about["configuration"]
        return configuration

    def getLastMarker(self) -> str:
        """The last comment that was passed."""
        return self._marker

    def _fill(self, n_events: int) -> None:
        while self._left.times_ps.size < n_events:
            batch = next(self._blocks, None)
            if batch is None:
                self._more = self._left.times_ps.size > 0
                return
            begin_ps = self._left.begin_ps if self._left.times_ps.size else batch.begin_ps
            self._left = joined([self._left, batch], begin_ps, batch.end_ps)
        self._more = True

    def _read(self) -> Iterator[Batch]:
        for path in self._files:
            with path.open("rb") as file:
                file.readline()
                file.readline()
                while len(head := file.read(BLOCK.size)) == BLOCK.size:
                    kind, length, check = BLOCK.unpack(head)
                    content = file.read(length)
                    if len(content) < length or crc32(content) != check:
                        # The end of a file whose writer was killed.
                        break
                    if kind == b"MARK":
                        self._marker = content.decode("utf-8")
                    elif kind == b"TAGS":
                        yield _batch(content)


def _batch(content: bytes) -> Batch:
    begin_ps, end_ps = STRETCH.unpack_from(content)
    events = np.frombuffer(content, dtype=EVENT, offset=STRETCH.size)
    return Batch(
        events["time"].astype(np.int64),
        events["channel"].astype(np.int32),
        events["type"].copy(),
        events["missed"].astype(np.uint16),
        begin_ps,
        end_ps,
    )


def _cut(batch: Batch, n: int) -> tuple[Batch, Batch]:
    """The first ``n`` events and the rest."""
    if n == batch.times_ps.size:
        return batch, EMPTY
    middle_ps = int(batch.times_ps[n])
    first = Batch(
        batch.times_ps[:n], batch.channels[:n], batch.types[:n], batch.missed[:n], batch.begin_ps, middle_ps
    )
    rest = Batch(
        batch.times_ps[n:], batch.channels[n:], batch.types[n:], batch.missed[n:], middle_ps, batch.end_ps
    )
    return first, rest


def _head(path: Path) -> tuple[bytes, bytes]:
    with path.open("rb") as file:
        return file.readline(4096), file.readline(1 << 20)


def _sequence(path: Path) -> list[Path]:
    """The files with data that belong to a name: the parts of a header, else the file itself."""
    base = path.name.removesuffix(SUFFIX)
    parts: list[Path] = []
    while (part := path.with_name(f"{base}.{len(parts) + 1}{SUFFIX}")).is_file():
        parts.append(part)
    return parts or [path]
