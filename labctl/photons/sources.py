"""Whatever holds time tags, opened by what it is: PTU files, ttbin files, tag segments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.time_tagger.base import TagChunk
from labctl.errors import InputError
from labctl.photons.tag_layout import OPEN_SUFFIX, segment_name, segment_number

# One thread unpacks as fast as two count; the reading itself, in the asking thread, feeds about four.
_UNPACKING_THREADS = min(os.cpu_count() or 1, 4)
PTU_MAGIC = b"PQTTTR"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class TagSource:
    """One record of tags that can be read again and again.

    Attributes:
        path: File or folder.
        kind: What it is, for people.
        read: Starts a new reading.
        channels: Name of each detector -> channel number, where the file says.
        n_tags: About how many tags it holds (for progress; 0 if unknown).
        size_bytes: Size on disk.
        attributes: What else the file says.
    """

    path: Path
    kind: str
    read: Callable[[], Iterator[TagChunk]]
    channels: dict[str, int] = field(default_factory=dict)
    n_tags: int = 0
    size_bytes: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)


def open_source(path: str | Path) -> TagSource:
    """Open a PTU file, a tag segment, or a folder of segments.

    Raises:
        InputError: Missing, empty, not a kind of file that holds tags, or a folder that lacks segments.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.is_dir():
        return _segments(path)
    with path.open("rb") as file:
        magic = file.read(8)
    if not magic:
        raise InputError(f"{path}: the file is empty")
    if magic.startswith(PTU_MAGIC):
        return _ptu(path)
    if path.suffix.lower() == ".ttbin":
        return _ttbin(path)
    if magic == HDF5_MAGIC or path.name.endswith(OPEN_SUFFIX):
        return _segments(path)
    if path.suffix.lower() == ".ptu":
        raise InputError(f"{path}: not a PTU file (it begins with {magic!r}, not {PTU_MAGIC!r})")
    raise InputError(f"{path}: not a file of time tags (known: PTU and ttbin files, tag segments)")


def _ptu(path: Path) -> TagSource:
    from labctl.photons.ptu import ptu_info, read_ptu

    info = ptu_info(path)
    attributes = {"records": info.record_format.name, "tick_ps": info.tick_ps}
    return TagSource(
        path,
        f"PTU, {info.record_format.name}",
        lambda: read_ptu(path),
        {},
        info.n_records,
        path.stat().st_size,
        attributes,
    )


def _ttbin(path: Path) -> TagSource:
    from labctl.photons.ttbin import read_ttbin

    read_ttbin(path)
    return TagSource(path, "Swabian ttbin", lambda: read_ttbin(path), {}, 0, path.stat().st_size)


def _segments(path: Path) -> TagSource:
    from labctl.photons.tag_file import count_tags, read_tags, tag_info, tag_segments

    if path.is_dir():
        _refuse_missing(path, tag_segments(path))
    info = tag_info(path)
    size = sum(segment.stat().st_size for segment in info.segments)
    tags = count_tags(path)
    return TagSource(
        path,
        "tag segments",
        lambda: read_tags(path, threads=_UNPACKING_THREADS),
        info.channels,
        tags,
        size,
        info.attributes,
    )


def _refuse_missing(folder: Path, segments: tuple[Path, ...]) -> None:
    """Segments count from 1. Those that went with the end of a record leave no trace."""
    numbers = {number for segment in segments if (number := segment_number(segment.name)) is not None}
    missing = sorted(set(range(1, max(numbers, default=0))) - numbers)
    if missing:
        raise InputError(
            f"{folder}: segments are missing ({', '.join(map(segment_name, missing))}): copy them again, or "
            f"write what is left, the lost time as a gap, with 'labctl tags salvage {folder} FOLDER'"
        )
