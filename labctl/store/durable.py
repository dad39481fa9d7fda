"""Files that survive a killed process and a power cut: written aside, flushed to the disk, renamed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RENAME_PATIENCE_S = 2.0


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a scratch path beside ``path``; when the block ends well, it becomes ``path`` in one step.

    A reader sees the old file or the whole new one, never a part. When the block raises, the scratch
    file is removed and ``path`` is untouched.

    Raises:
        OSError: The disk is full, the folder is missing or not writable.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield scratch
        flush_file(scratch)
        rename(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    flush_directory(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, line ends as given, in one step (see :func:`written_aside`)."""
    with written_aside(path) as scratch:
        scratch.write_bytes(text.encode("utf-8"))


def flush_file(path: Path) -> None:
    """Return when the contents of ``path`` are on the disk."""
    # Windows flushes only through a handle that may write.
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_directory(folder: Path) -> None:
    """Return when the names in ``folder`` are on the disk (Windows journals them by itself)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def rename(old: Path, new: Path) -> None:
    """Rename a file or folder over ``new``, patient with a reader or virus scanner on Windows.

    Raises:
        PermissionError: ``new`` stayed locked for 2 s.
    """
    deadline_s = time.monotonic() + RENAME_PATIENCE_S
    while True:
        try:
            old.replace(new)
        except PermissionError:
            if os.name != "nt" or time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)
        else:
            return
