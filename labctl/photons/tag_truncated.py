"""Open a tag segment that was cut short, for what is left in it."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SUPERBLOCKS = (2, 3)
# Signature, version, sizes and flags, then base, extension and end-of-file address.
_HEAD = struct.Struct("<8s4B3Q")
# No minute of tags is as long: a damaged address must not fill the disk.
_LONGEST = 1 << 36


def promised_bytes(path: Path) -> int | None:
    """Length that an HDF5 file's superblock promises; ``None`` if the file holds as much, or does not say.

    Source: HDF5 File Format Specification 3.0, II.A (superblock versions 2 and 3).
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        signature, version, offset_bytes, _, _, base, _, end = _HEAD.unpack(head)
        if (signature, offset_bytes, base) != (_SIGNATURE, 8, 0) or version not in _SUPERBLOCKS:
            return None
        return end if path.stat().st_size < end <= _LONGEST else None
    except OSError:
        return None


@contextmanager
def padded_copy(path: Path, length: int) -> Iterator[Path]:
    """Give a copy with zeros where the end is missing, deleted afterwards.

    HDF5 refuses a file shorter than promised, and opens this one. Zeros do not pass for tags: the table's
    rows, the chunks and HDF5's own structures carry checksums.

    Raises:
        OSError: No room for the copy.
    """
    with tempfile.TemporaryDirectory(prefix="labctl-") as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        os.truncate(copy, length)
        yield copy
