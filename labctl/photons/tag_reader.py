"""Read the tag segments of a record back: whole, or what is left of it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import Gap, TagChunk
from labctl.errors import InputError
from labctl.photons.chunk_decode import unpack_channels, unpack_stamps
from labctl.photons.chunk_encode import BLOCK_BYTES
from labctl.photons.compiled import i64
from labctl.photons.tag_layout import (
    FAR_ROW,
    FORMAT,
    FRAME_ROW,
    GAP_ROW,
    OPEN_SUFFIX,
    VERSION,
    row_check,
    segment_name,
    segment_number,
)
from labctl.photons.tag_truncated import padded_copy, promised_bytes

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
        frames_uncounted: Frames left out whose number of tags is unknown.
        segments_lost: Names of segments that are missing or give nothing; their tags are not counted.
    """

    notes: list[str] = field(default_factory=list)
    frames_lost: int = 0
    tags_lost: int = 0
    frames_uncounted: int = 0
    segments_lost: list[str] = field(default_factory=list)


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
        return TagFileInfo(segments, *_description(segments[0], file))


def describe_what_is_left(segments: tuple[Path, ...]) -> tuple[dict[str, int], dict[str, Any]]:
    """Channels and attributes of the first segment whose description can still be read."""
    for path in segments:
        try:
            with _open_what_is_left(path) as (file, _):
                return _description(path, file)
        except InputError:
            continue
    return {}, {}


def _description(path: Path, file: h5py.File) -> tuple[dict[str, int], dict[str, Any]]:
    try:
        channels = {name: int(number) for name, number in file["channels"].attrs.items()}
        return channels, json.loads(file.attrs["attributes"])
    except _HDF5_ERRORS as error:
        raise InputError(f"{path}: its attributes are damaged ({error})") from error


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


def read_tags(path: str | Path, *, damage: Damage | None = None, threads: int = 1) -> Iterator[TagChunk]:
    """Give the tags of a folder of segments, or of one segment, frame by frame.

    Args:
        path: Folder or file.
        threads: Threads that unpack frames ahead of their use; with 1 each is unpacked when asked for.
        damage: If given, what is damaged or missing is left out and noted here (the record then has a
            hole), and of a segment cut short the rest is read; otherwise the first damaged place raises.

    Raises:
        InputError: Nothing there, not a tag segment, or a frame is damaged.
    """
    segments = tag_segments(path)
    if damage is None:
        return _join(_whole_frames(_packed_frames(segments), None, threads))
    return _join(_whole_frames(_frames_left(segments, Path(path).is_dir()), damage, threads))


def open_segment(path: Path) -> h5py.File:
    """Open a segment, finished or not.

    Raises:
        InputError: Not an HDF5 file, or not one of ours.
    """
    try:
        # An unfinished segment still carries its writer's mark: only single-writer mode opens it.
        file = h5py.File(path, "r", libver="latest", swmr=path.name.endswith(OPEN_SUFFIX), locking=False)
    except OSError as error:
        # An error of the file system has a number, one of HDF5's has its library's words.
        why = (
            f"cannot be read ({error})" if error.errno else "not a readable HDF5 file (truncated or damaged)"
        )
        raise InputError(f"{path}: {why}") from error
    try:
        problem = _problem(file)
    except _HDF5_ERRORS as error:
        problem = f"a damaged HDF5 file ({error})"
    if problem:
        file.close()
        raise InputError(f"{path}: {problem}")
    return file


@contextmanager
def _open_what_is_left(path: Path) -> Iterator[tuple[h5py.File, str]]:
    """Open a segment even if it was cut short; say so.

    Raises:
        InputError: As ``open_segment``, or what is left of it cannot be opened.
    """
    length = promised_bytes(path)
    if length is None:
        with open_segment(path) as file:
            yield file, ""
        return
    note = f"{path}: truncated, {path.stat().st_size} of {length} bytes are left"
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_segment(stack.enter_context(padded_copy(path, length))))
        except (InputError, OSError) as error:
            why = (
                "too little to open it" if isinstance(error, InputError) else f"no copy for reading: {error}"
            )
            raise InputError(f"{note}: {why}") from error
        yield file, note


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


@dataclass(frozen=True)
class _Packed:
    """One frame as it stands on disk, or what is wrong with it (or with its segment: number -1).

    ``lost`` is the name of a segment of which nothing can be read.
    """

    place: str
    number: int = -1
    row: NDArray[np.void] | None = None
    steps: bytes = b""
    numbers: bytes = b""
    far: NDArray[np.void] | None = None
    gaps: tuple[Gap, ...] = ()
    problem: str = ""
    lost: str = ""

    def unpack(self) -> _Frame:
        """Raises ValueError: it is damaged."""
        if self.problem or self.row is None:
            raise ValueError(self.problem)
        row, tags = self.row, int(self.row["tags"])
        stamps = np.empty(tags, np.int64)
        channels = np.empty(tags, np.int32)
        if tags:
            unpack_stamps(self.steps, int(row["first_ps"]), stamps)
            unpack_channels(self.numbers, channels)
            for far in () if self.far is None else self.far:
                if int(far["frame"]) != self.number:
                    raise ValueError("its long steps are damaged")
                stamps[int(far["index"]) :] += i64(far["high"]) << 32
            if stamps[0] != row["first_ps"] or stamps[-1] != row["last_ps"]:
                raise ValueError("its steps do not add up")
        return _Frame(stamps, channels, int(row["begin_ps"]), int(row["end_ps"]), self.gaps)

    def note(self, problem: str) -> str:
        """Say where it is damaged, and how."""
        return problem if self.number < 0 else f"{self.place} is damaged ({problem})"


def _whole_frames(packed: Iterator[_Packed], damage: Damage | None, threads: int) -> Iterator[_Frame]:
    for frame, unpack in _ahead(packed, threads):
        try:
            yield unpack()
        except ValueError as error:
            note = frame.note(str(error))
            if damage is None:
                raise InputError(note if frame.number < 0 else f"{note}; see 'labctl tags check'") from error
            damage.notes.append(note)
            if frame.number >= 0:
                damage.frames_lost += 1
                damage.frames_uncounted += frame.row is None
                damage.tags_lost += 0 if frame.row is None else int(frame.row["tags"])
            elif frame.lost:
                damage.segments_lost.append(frame.lost)


def _ahead(packed: Iterator[_Packed], threads: int) -> Iterator[tuple[_Packed, Callable[[], _Frame]]]:
    """Give each frame with what unpacks it, while threads unpack the next ones."""
    if threads <= 1:
        for frame in packed:
            yield frame, frame.unpack
        return
    pool = ThreadPoolExecutor(threads, "unpack tags")
    waiting: deque[tuple[_Packed, Callable[[], _Frame]]] = deque()
    try:
        for frame in packed:
            waiting.append((frame, pool.submit(frame.unpack).result))
            if len(waiting) > threads + 1:
                yield waiting.popleft()
        yield from waiting
    finally:
        pool.shutdown(cancel_futures=True)


def _packed_frames(segments: tuple[Path, ...]) -> Iterator[_Packed]:
    for path in segments:
        try:
            with open_segment(path) as file:
                yield from _frames_of(path, file)
        except InputError as error:
            yield _Packed(str(path), problem=str(error))


def _frames_left(segments: tuple[Path, ...], in_order: bool) -> Iterator[_Packed]:
    """As ``_packed_frames``, but of missing or truncated segments too, with what is wrong with them."""
    following = 1
    for path in segments:
        number = segment_number(path.name)
        if in_order and number is not None:
            for missing in range(following, number):
                note = f"{path.parent}: segment {missing} is missing"
                yield _Packed(str(path.parent), problem=note, lost=segment_name(missing))
            following = number + 1
        try:
            with _open_what_is_left(path) as (file, note):
                if note:
                    yield _Packed(str(path), problem=note)
                yield from _frames_of(path, file)
        except InputError as error:
            yield _Packed(str(path), problem=str(error), lost=path.name)


def _frames_of(path: Path, file: h5py.File) -> Iterator[_Packed]:
    try:
        size = int(file.attrs["frame_tags"])
        rows = np.asarray(file["frames"][()], FRAME_ROW)
        steps, numbers = (_chunks(file[name], size) for name in ("step_ps", "channel"))
        far_steps, all_gaps = file["far_steps"], file["gaps"]
    except _HDF5_ERRORS as error:
        raise InputError(f"{path}: the table of frames is damaged ({error})") from error
    far_before = gaps_before = 0
    for number, row in enumerate(rows):
        place = f"{path}: frame {number} of {len(rows)}"
        if row_check(row) != int(row["check"]):
            yield _Packed(place, number, problem="its row in the table is damaged")
            continue
        try:
            packed = (steps(number), numbers(number)) if row["tags"] else (b"", b"")
            far = _rows(far_steps, FAR_ROW, far_before, int(row["far_steps"]))
            gaps = _gaps(_rows(all_gaps, GAP_ROW, gaps_before, int(row["gaps"])))
            frame = _Packed(place, number, row, *packed, far, gaps)
        except _HDF5_ERRORS as error:
            frame = _Packed(place, number, row, problem=str(error))
        far_before, gaps_before = int(row["far_steps"]), int(row["gaps"])
        yield frame


def _chunks(dataset: h5py.Dataset, size: int) -> Callable[[int], bytes]:
    """Give what reads chunk k as it stands on disk.

    Raises:
        ValueError: The dataset is not packed as our writer does.
    """
    if dataset.chunks != (size,) or size % BLOCK_BYTES:
        raise ValueError(f"chunks of {dataset.chunks} values instead of {size}")
    pipeline = dataset.id.get_create_plist()
    filters = [pipeline.get_filter(k)[0] for k in range(pipeline.get_nfilters())]
    if filters != [hdf5plugin.Bitshuffle.filter_id, h5py.h5z.FILTER_FLETCHER32]:
        raise ValueError(f"packed by filters {filters}")

    def read(number: int) -> bytes:
        # Past HDF5's filters, which work under a lock and crash on damaged data that slip past a checksum.
        skipped, packed = dataset.id.read_direct_chunk((number * size,))
        if skipped:
            raise ValueError("its checksum is missing")
        return bytes(packed)

    return read


def _rows(dataset: h5py.Dataset, kind: np.dtype[np.void], first: int, last: int) -> NDArray[np.void]:
    # Most frames have none, and asking HDF5 takes as long as unpacking a tenth of a frame.
    if first == last:
        return np.empty(0, kind)
    rows = np.asarray(dataset[first:last], kind)
    if len(rows) != last - first:
        raise ValueError("the file ends before it")
    return rows


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
