"""Write raw tags to HDF5 segments while the record runs, so that a crash costs less than a second."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import Gap, TagChunk
from labctl.photons.chunk_encode import ChunkPacker
from labctl.photons.compiled import compiled, i64, u32, u64
from labctl.photons.pieces import check_chunk
from labctl.photons.tag_layout import (
    FAR_ROW,
    FORMAT,
    FRAME,
    FRAME_ROW,
    GAP_ROW,
    OPEN_SUFFIX,
    VERSION,
    row_check,
    segment_name,
)


class TagWriter:
    """Writes a record into segments of a folder while it is measured.

    What was written is safe against a killed process within ``flush_s``, against a power cut when its
    segment is closed.

    Args:
        folder: Made if absent; must hold no tags yet.
        channels: Name of each detector -> channel number.
        attributes: Anything JSON-able worth keeping with the tags.
        segment_s: Length of record in one segment.
        flush_s: Longest time that tags stay in memory, in seconds of the wall clock, as long as
            ``write`` is called.

    Raises:
        FileExistsError: The folder holds tags already.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        channels: dict[str, int],
        attributes: dict[str, Any],
        segment_s: float = 60.0,
        flush_s: float = 0.5,
    ) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        if any(self._folder.glob("tags-*.h5*")):
            raise FileExistsError(f"{self._folder} holds tags already; they are never overwritten")
        self._channels = dict(channels)
        self._attributes = dict(attributes)
        self._segment_ps = int(segment_s * 1e12)
        self._flush_s = flush_s
        self._steps = np.zeros(FRAME, np.uint32)
        self._numbers = np.zeros(FRAME, np.int8)
        self._packer = ChunkPacker(FRAME)
        self._segment: _Segment | None = None
        self._number = 0
        # A minute at full rate is gigabytes: syncing them must not hold up the record.
        self._syncing = ThreadPoolExecutor(1, "tag segment to disk")
        self._synced: Future[None] | None = None
        self._last_flush_s = time.monotonic()
        self._fill = 0
        self._begin_ps: int | None = None
        self._end_ps: int | None = None
        self._first_ps = self._last_ps = 0
        self._far: list[tuple[int, int]] = []
        self._gaps: tuple[Gap, ...] = ()
        self.tags_written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, chunk: TagChunk) -> None:
        """Append the next stretch of the record.

        Raises:
            ValueError: Stamps run backwards or lie outside the stretch, the stretch begins before the end
                of the last one, or a channel number does not fit into 8 bits.
            OSError: A segment could not be written, or the one before not be brought to disk.
        """
        stamps = np.ascontiguousarray(chunk.timestamps_ps, np.int64)
        channels = np.ascontiguousarray(chunk.channels, np.int32)
        check_chunk(chunk, stamps, channels)
        if len(channels) and (channels.min() < -128 or channels.max() > 127):
            raise ValueError("channel numbers must lie between -128 and 127")
        if self._end_ps is not None and chunk.begin_ps < self._end_ps:
            raise ValueError(f"a stretch begins at {chunk.begin_ps} ps, before the last one ended")
        if self._end_ps is not None and chunk.begin_ps != self._end_ps:
            self._emit()
            self._start_frame(None)
        if self._begin_ps is None:
            self._begin_ps = chunk.begin_ps
        self._gaps += chunk.gaps
        self._append(stamps, channels)
        self._end_ps = chunk.end_ps
        if time.monotonic() - self._last_flush_s >= self._flush_s:
            self._emit()

    def close(self) -> None:
        """Write what is left and close the last segment; may be called twice."""
        try:
            self._emit()
            if self._gaps:
                self._emit()
            self._end_segment()
            self._wait_for_sync()
        finally:
            self._syncing.shutdown()

    def _end_segment(self) -> None:
        """Close the present segment; a thread brings it to disk while the record goes on."""
        if self._segment is None:
            return
        segment, self._segment = self._segment, None
        segment.close()
        self._wait_for_sync()
        self._synced = self._syncing.submit(segment.settle)

    def _wait_for_sync(self) -> None:
        if self._synced is not None:
            synced, self._synced = self._synced, None
            synced.result()

    def _append(self, stamps: NDArray[np.int64], channels: NDArray[np.int32]) -> None:
        first = 0
        while first < len(stamps):
            if self._fill == FRAME:
                self._end_ps = int(stamps[first])
                self._emit()
            last = min(len(stamps), first + FRAME - self._fill)
            if self._fill == 0:
                self._first_ps = self._last_ps = int(stamps[first])
            far = _encode(
                stamps, channels, first, last, self._last_ps, self._steps, self._numbers, self._fill
            )
            if far:
                self._far += _far_steps(stamps[first:last], self._last_ps, self._fill)
            self._fill += last - first
            self._last_ps = int(stamps[last - 1])
            first = last

    def _emit(self) -> None:
        """Write the frame in memory, if it holds anything, and begin the next where it ends."""
        self._last_flush_s = time.monotonic()
        if self._begin_ps is None or self._end_ps is None:
            return
        if self._fill == 0 and self._end_ps == self._begin_ps and not self._gaps:
            return
        if self._segment is not None and self._begin_ps - self._segment.begin_ps >= self._segment_ps:
            self._end_segment()
        if self._segment is None:
            self._number += 1
            path = self._folder / segment_name(self._number)
            self._segment = _Segment(path, self._begin_ps, self._channels, self._attributes, self._packer)
        row = np.zeros(1, FRAME_ROW)
        row["tags"], row["begin_ps"], row["end_ps"] = self._fill, self._begin_ps, self._end_ps
        row["first_ps"], row["last_ps"] = self._first_ps, self._last_ps
        now, later = _divide(self._gaps, self._end_ps)
        self._segment.append(row, self._steps, self._numbers, self._far, now)
        self.tags_written += self._fill
        self._start_frame(self._end_ps)
        self._gaps = later

    def _start_frame(self, begin_ps: int | None) -> None:
        self._fill = 0
        self._begin_ps, self._end_ps = begin_ps, begin_ps
        self._first_ps = self._last_ps = 0
        self._far = []
        self._gaps = ()


class _Segment:
    """One HDF5 file being written."""

    def __init__(
        self,
        path: Path,
        begin_ps: int,
        channels: dict[str, int],
        attributes: dict[str, Any],
        packer: ChunkPacker,
    ) -> None:
        self.begin_ps = begin_ps
        self._packer = packer
        self._path = path
        self._open_path = path.with_name(path.name + OPEN_SUFFIX)
        self._frames = self._far = self._gaps = 0
        self._file = h5py.File(self._open_path, "x", libver="latest", locking=False)
        self._file.attrs["format"] = FORMAT
        self._file.attrs["version"] = VERSION
        self._file.attrs["frame_tags"] = FRAME
        self._file.attrs["attributes"] = json.dumps(attributes)
        names = self._file.create_group("channels")
        for name, number in channels.items():
            names.attrs[name] = number
        packed = hdf5plugin.Bitshuffle(cname="lz4")
        self._steps = self._dataset("step_ps", np.dtype("<u4"), FRAME, packed)
        self._numbers = self._dataset("channel", np.dtype("i1"), FRAME, packed)
        self._far_rows = self._dataset("far_steps", FAR_ROW, 512, {})
        self._gap_rows = self._dataset("gaps", GAP_ROW, 64, {})
        self._rows = self._dataset("frames", FRAME_ROW, 64, {})
        self._file.swmr_mode = True

    def append(
        self,
        row: NDArray[np.void],
        steps: NDArray[np.uint32],
        numbers: NDArray[np.int8],
        far: list[tuple[int, int]],
        gaps: tuple[Gap, ...],
    ) -> None:
        """Write one frame; its row goes last, so that a row never promises what is not there."""
        tags = int(row["tags"][0])
        if tags:
            steps[tags:] = 0
            numbers[tags:] = 0
            begin = self._frames * FRAME
            for dataset, data in ((self._steps, steps), (self._numbers, numbers)):
                dataset.resize((begin + FRAME,))
                # Past HDF5's filters: packed here the same bytes cost a quarter of the time.
                dataset.id.write_direct_chunk((begin,), self._packer.pack(data))
                dataset.flush()
        self._far = self._append_rows(
            self._far_rows, self._far, np.array([(self._frames, *step) for step in far], FAR_ROW)
        )
        self._gaps = self._append_rows(self._gap_rows, self._gaps, _gap_rows(gaps))
        row["far_steps"], row["gaps"] = self._far, self._gaps
        row["check"] = row_check(row)
        self._append_rows(self._rows, self._frames, row)
        self._frames += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def settle(self) -> None:
        """Sync the closed file to disk, and give it its final name."""
        with self._open_path.open("rb+") as file:
            os.fsync(file.fileno())
        self._open_path.replace(self._path)
        sync_folder(self._path.parent)

    def _append_rows(self, dataset: h5py.Dataset, used: int, rows: NDArray[np.void]) -> int:
        if len(rows):
            dataset.resize((used + len(rows),))
            place = dataset.id.get_space()
            place.select_hyperslab((used,), (len(rows),))
            # ``dataset[used:] = rows`` does the same in 0.2 ms: a fifth of the time of a frame.
            dataset.id.write(h5py.h5s.create_simple((len(rows),)), place, rows, dataset.id.get_type())
            dataset.flush()
        return used + len(rows)

    def _dataset(self, name: str, kind: np.dtype[Any], chunk: int, packed: Any) -> h5py.Dataset:
        # The checksum must stay: it is verified before the codec sees the data, and the codec crashes the
        # process on damaged data.
        return self._file.create_dataset(
            name, (0,), kind, maxshape=(None,), chunks=(chunk,), fletcher32=True, **packed
        )


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder durable (Windows does so by itself)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _divide(gaps: tuple[Gap, ...], end_ps: int) -> tuple[tuple[Gap, ...], tuple[Gap, ...]]:
    """Give the gaps that begin before ``end_ps``, and what of them (or of others) comes after it."""
    now = tuple(gap for gap in gaps if gap.begin_ps < end_ps)
    rest = tuple(Gap(end_ps, gap.end_ps) for gap in now if gap.end_ps > end_ps)
    return now, rest + tuple(gap for gap in gaps if gap.begin_ps >= end_ps)


def _gap_rows(gaps: tuple[Gap, ...]) -> NDArray[np.void]:
    rows: list[tuple[int, int, int, int]] = []
    for gap in gaps:
        missed = gap.missed or {0: 0}
        rows += [(gap.begin_ps, gap.end_ps, channel, count) for channel, count in missed.items()]
    return np.array(rows, GAP_ROW)


@compiled
def _encode(
    stamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    first: int,
    last: int,
    before: int,
    steps: NDArray[np.uint32],
    numbers: NDArray[np.int8],
    at: int,
) -> int:
    """Put the low halves of the steps and the channels into the frame; say how many steps are longer."""
    far = 0
    put = u64(at)
    for i in range(u64(first), u64(last)):
        step = stamps[i] - before
        before = stamps[i]
        steps[put] = u32(step & 0xFFFFFFFF)
        numbers[put] = np.int8(channels[i])
        far += i64((step >> 32) != 0)
        put += u64(1)
    return far


def _far_steps(stamps: NDArray[np.int64], before: int, at: int) -> list[tuple[int, int]]:
    high = np.diff(stamps, prepend=i64(before)) >> 32
    return [(at + int(index), int(high[index])) for index in np.flatnonzero(high)]
