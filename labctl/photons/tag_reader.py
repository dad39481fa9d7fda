"""Read the tag segments of a record back: whole, or what is left of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the codec
import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import Gap, TagChunk
from labctl.errors import InputError
from labctl.photons.compiled import compiled, i64, u64
from labctl.photons.tag_layout import FORMAT, FRAME_ROW, OPEN_SUFFIX, VERSION, row_check

# What h5py raises where bytes on disk are not what they were.
_HDF5_ERRORS = (OSError, ValueError, KeyError, RuntimeError, TypeError)


@dataclass(frozen=True)
class TagFileInfo:
    """What the segments say of a record besides its tags.

    Attributes:
        segments: The files in order.
        channels: Name of each detector -> channel number.
        attributes: What the writer kept with the tags.
    """

    segments: tuple[Path, ...]
    channels: dict[str, int]
    attributes: dict[str, Any]


@dataclass
class Damage:
    """Collects what was wrong while segments were read.

    Attributes:
        notes: One line for each damaged place.
        frames_lost: Number of frames left out.
        tags_lost: Number of tags in them, as far as known.
    """

    notes: list[str] = field(default_factory=list)
    frames_lost: int = 0
    tags_lost: int = 0


def tag_segments(path: str | Path) -> tuple[Path, ...]:
    """Give the segments of a folder (or the one file) in order; an unfinished one comes last.

    Raises:
        InputError: There is nothing there.
    """
    path = Path(path)
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder")
    segments = sorted([*path.glob("tags-*.h5"), *path.glob(f"tags-*.h5{OPEN_SUFFIX}")])
    if not segments:
        raise InputError(f"{path}: holds no tag segments (tags-00001.h5 ...)")
    return tuple(segments)


def tag_info(path: str | Path) -> TagFileInfo:
    """Read channels and attributes of a record.

    Raises:
        InputError: Missing, or not a tag segment.
    """
    segments = tag_segments(path)
    with open_segment(segments[0]) as file:
        try:
            channels = {name: int(number) for name, number in file["channels"].attrs.items()}
            return TagFileInfo(segments, channels, json.loads(file.attrs["attributes"]))
        except _HDF5_ERRORS as error:
            raise InputError(f"{segments[0]}: its attributes are damaged ({error})") from error


def count_tags(path: str | Path) -> int:
    """Number of tags that the tables of a record promise; damaged segments count as empty.

    Raises:
        InputError: There is nothing there.
    """
    tags = 0
    for segment in tag_segments(path):
        try:
            with open_segment(segment) as file:
                tags += int(file["frames"]["tags"].sum())
        except (InputError, *_HDF5_ERRORS):
            continue
    return tags


def read_tags(path: str | Path, *, damage: Damage | None = None) -> Iterator[TagChunk]:
    """Give the tags of a folder of segments, or of one segment, frame by frame.

    Args:
        path: Folder or file.
        damage: If given, damaged frames are left out and noted here (the record then has a hole);
            otherwise the first one raises.

    Raises:
        InputError: Nothing there, not a tag segment, or a frame is damaged.
    """
    segments = tag_segments(path)
    return _join(_segment_frames(segments, damage))


def open_segment(path: Path) -> h5py.File:
    """Open a segment, finished or not.

    Raises:
        InputError: Not an HDF5 file, or not one of ours.
    """
    try:
        # An unfinished segment still carries its writer's mark: only single-writer mode opens it.
        file = h5py.File(path, "r", libver="latest", swmr=path.name.endswith(OPEN_SUFFIX), locking=False)
    except OSError as error:
        raise InputError(f"{path}: not a readable tag segment ({error})") from error
    try:
        problem = _problem(file)
    except _HDF5_ERRORS as error:
        problem = f"a damaged HDF5 file ({error})"
    if problem:
        file.close()
        raise InputError(f"{path}: {problem}")
    return file


def _problem(file: h5py.File) -> str:
    if file.attrs.get("format") != FORMAT:
        return "an HDF5 file, but not a tag segment"
    if int(file.attrs["version"]) > VERSION:
        return f"written by a newer version of this program (format {file.attrs['version']})"
    for name in ("frames", "step_ps", "channel", "far_steps", "gaps", "channels"):
        if name not in file:
            return f"a tag segment without its part '{name}'"
        _ = file[name].attrs
    return ""


@dataclass(frozen=True)
class _Frame:
    stamps: NDArray[np.int64]
    channels: NDArray[np.int32]
    begin_ps: int
    end_ps: int
    gaps: tuple[Gap, ...]


def _segment_frames(segments: tuple[Path, ...], damage: Damage | None) -> Iterator[_Frame]:
    for path in segments:
        try:
            with open_segment(path) as file:
                yield from _frames(path, file, damage)
        except InputError as error:
            if damage is None:
                raise
            damage.notes.append(str(error))


def _frames(path: Path, file: h5py.File, damage: Damage | None) -> Iterator[_Frame]:
    size = int(file.attrs["frame_tags"])
    try:
        rows = np.asarray(file["frames"][()], FRAME_ROW)
    except _HDF5_ERRORS as error:
        raise InputError(f"{path}: the table of frames is damaged ({error})") from error
    far_before = gaps_before = 0
    for number, row in enumerate(rows):
        problem = ""
        if row_check(row) != int(row["check"]):
            problem = "its row in the table is damaged"
        else:
            try:
                yield _frame(file, size, number, row, far_before, gaps_before)
            except _HDF5_ERRORS as error:
                problem = str(error)
            far_before, gaps_before = int(row["far_steps"]), int(row["gaps"])
        if problem:
            note = f"{path}: frame {number} of {len(rows)} is damaged ({problem})"
            if damage is None:
                raise InputError(f"{note}; see 'labctl tags check'")
            damage.notes.append(note)
            damage.frames_lost += 1
            damage.tags_lost += int(row["tags"])


def _frame(
    file: h5py.File, size: int, number: int, row: NDArray[np.void], far_before: int, gaps_before: int
) -> _Frame:
    tags = int(row["tags"])
    stamps = np.empty(tags, np.int64)
    channels = np.empty(tags, np.int32)
    if tags:
        begin = number * size
        steps = file["step_ps"][begin : begin + tags]
        numbers = file["channel"][begin : begin + tags]
        if len(steps) != tags or len(numbers) != tags:
            raise ValueError("the file ends before it")
        _decode(steps, numbers, int(row["first_ps"]), stamps, channels)
        for far in file["far_steps"][far_before : int(row["far_steps"])]:
            if int(far["frame"]) != number:
                raise ValueError("its long steps are damaged")
            stamps[int(far["index"]) :] += i64(far["high"]) << 32
        if stamps[0] != row["first_ps"] or stamps[-1] != row["last_ps"]:
            raise ValueError("its steps do not add up")
    gaps = _gaps(file["gaps"][gaps_before : int(row["gaps"])])
    return _Frame(stamps, channels, int(row["begin_ps"]), int(row["end_ps"]), gaps)


def _gaps(rows: NDArray[np.void]) -> tuple[Gap, ...]:
    missed: dict[tuple[int, int], dict[int, int]] = {}
    for row in rows:
        counts = missed.setdefault((int(row["begin_ps"]), int(row["end_ps"])), {})
        if int(row["channel"]) or int(row["missed"]):
            counts[int(row["channel"])] = int(row["missed"])
    return tuple(Gap(begin, end, counts) for (begin, end), counts in missed.items())


def _join(frames: Iterator[_Frame]) -> Iterator[TagChunk]:
    """Turn frames into chunks: a tag that shares its stamp with the next frame's first goes there."""
    held: _Frame | None = None
    for frame in frames:
        stamps, channels, gaps = frame.stamps, frame.channels, frame.gaps
        if held is not None and len(held.stamps) and held.begin_ps != frame.begin_ps:
            yield TagChunk(held.stamps, held.channels, held.begin_ps, held.end_ps)
        elif held is not None and len(held.stamps):
            stamps = np.concatenate([held.stamps, stamps])
            channels = np.concatenate([held.channels, channels])
        cut = int(np.searchsorted(stamps, frame.end_ps))
        held = _Frame(stamps[cut:], channels[cut:], frame.end_ps, frame.end_ps + 1, ())
        yield TagChunk(stamps[:cut], channels[:cut], frame.begin_ps, frame.end_ps, gaps)
    if held is not None and len(held.stamps):
        # Only where the frame that should follow is lost, as above.
        yield TagChunk(held.stamps, held.channels, held.begin_ps, held.end_ps)


@compiled
def _decode(
    steps: NDArray[np.uint32],
    numbers: NDArray[np.int8],
    first_ps: int,
    stamps: NDArray[np.int64],
    channels: NDArray[np.int32],
) -> None:
    stamp = first_ps
    for i in range(u64(len(steps))):
        stamp += i64(steps[i])
        stamps[i] = stamp
        channels[i] = np.int32(numbers[i])
