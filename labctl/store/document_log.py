"""The document log of a run: one JSON line per document, on the disk before the next step begins."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from labctl.store import strict_json


class DocumentLog:
    """Appends documents to a log file.

    A line is ``{"name": ..., "doc": {...}}``. Each is flushed to the disk before ``append`` returns
    (0.2-2 ms), so that a killed process loses at most the line it was writing.

    Args:
        path: The log file; made when missing, continued when there.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        torn = _ends_torn(path)
        self._file = path.open("ab", buffering=0)
        if torn:  # a killed process left half a line: the next document starts on its own
            self._file.write(b"\n")

    def append(self, name: str, doc: Mapping[str, Any]) -> None:
        """Append one document; returns when it is on the disk.

        Args:
            name: Kind of the document: ``"start"``, ``"descriptor"``, ``"event"``, ``"stop"``, ...
            doc: Its fields; numpy values are taken as they are, NaN is written as null.

        Raises:
            OSError: The disk is full or gone.
            ValueError: The log is closed.
        """
        line = (strict_json.dumps({"name": name, "doc": doc}) + "\n").encode("utf-8")
        with self._lock:
            # An unbuffered file may take less than it was given.
            view = memoryview(line)
            while view:
                view = view[self._file.write(view) or 0 :]
            os.fsync(self._file.fileno())

    __call__ = append  # an engine's subscriber

    def close(self) -> None:
        """Close the file. May be called twice."""
        with self._lock:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Documents:
    """What a document log holds.

    Attributes:
        documents: ``(name, doc)`` in the order written.
        torn_lines: Number of lines that were cut off by a killed process.
    """

    documents: tuple[tuple[str, dict[str, Any]], ...]
    torn_lines: int


def read_documents(path: Path) -> Documents:
    """Read a document log, also of a run that was killed; a missing log is an empty one.

    Raises:
        OSError: The file is there but cannot be read.
    """
    documents: list[tuple[str, dict[str, Any]]] = []
    torn = 0
    if not path.exists():
        return Documents((), 0)
    for line in path.read_bytes().split(b"\n"):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
            documents.append((str(fields["name"]), dict(fields["doc"])))
        except (ValueError, KeyError, TypeError):
            torn += 1
    return Documents(tuple(documents), torn)


def _ends_torn(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
