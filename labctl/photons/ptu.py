"""PicoQuant PTU files as streams of tags, in constant memory."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import ptufile
from numpy.typing import NDArray

from drivers.time_tagger.base import TagChunk
from labctl.errors import InputError
from labctl.photons.pair_loop import in_order
from labctl.photons.ptu_records import FORMATS, RecordFormat, decode_t2, decode_t3

_MAGIC = b"PQTTTR"
_COPY_AGAIN = "copy it again from where it was recorded"


@dataclass(frozen=True)
class PtuInfo:
    """What a PTU file's header says.

    Attributes:
        path: The file.
        record_format: Instrument and mode of the records.
        n_records: Records in the file (photons, markers and overflows).
        offset: Byte at which the records begin.
        tick_ps: Unit of time: of the stamps (T2) or of the time within a period (T3).
        sync_period_ps: Unrounded period of the sync pulses (T3; 0.0 for T2).
        acquisition_ps: Length of the record if it ran to its set time, else ``None``.
        latest_ps: No tag of a sound file lies behind this; ``None`` if the header has no acquisition time.
        tags: The header's entries.
    """

    path: Path
    record_format: RecordFormat
    n_records: int
    offset: int
    tick_ps: float
    sync_period_ps: float
    acquisition_ps: int | None
    latest_ps: int | None
    tags: dict[str, Any]


def ptu_info(path: str | Path, *, truncated_ok: bool = False) -> PtuInfo:
    """Read the header of a PTU file.

    Args:
        path: The file.
        truncated_ok: Accept a file with fewer records than its header says.

    Raises:
        InputError: The file is missing, is no PTU file, holds no T2 or T3 records, ends early, or its
            header is damaged or contradicts itself.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        logging.getLogger("ptufile").setLevel(logging.CRITICAL)
        with ptufile.PtuFile(path) as file:
            tags = dict(file.tags)
            offset = int(file.record_offset)
    except Exception as error:
        # The reader trips over broken headers in ways of its own (struct, unicode, dates, unbound names).
        with path.open("rb") as raw:
            if raw.read(len(_MAGIC)) != _MAGIC:
                raise InputError(f"{path}: not a readable PTU file ({error})") from error
        raise InputError(f"{path}: the PTU header is truncated or damaged ({_COPY_AGAIN})") from error
    code = _whole_number(path, tags, "TTResultFormat_TTTRRecType", 0)
    record_format = FORMATS.get(code)
    if record_format is None:
        raise InputError(
            f"{path}: PTU records of type 0x{code:08X} are not T2 or T3 records of a known instrument"
        )
    # The header says T2 or T3 twice. Decoded in the wrong mode a record still gives times in order.
    mode = _whole_number(path, tags, "Measurement_Mode", 0)
    if mode in (2, 3) and (mode == 3) != record_format.t3:
        raise InputError(
            f"{path}: the header contradicts itself: Measurement_Mode {mode} is T{mode}, but its records are "
            f"of type 0x{code:08X} ({record_format.name}); the header is damaged ({_COPY_AGAIN})"
        )
    bits = _whole_number(path, tags, "TTResultFormat_BitsPerRecord", 32)
    if bits not in (0, 32):
        raise InputError(f"{path}: PTU records of {bits} bits; expected 32")
    stored = max((path.stat().st_size - offset) // 4, 0)
    promised = _whole_number(path, tags, "TTResult_NumberOfRecords", 0)
    if promised < 0:
        raise InputError(
            f"{path}: the header says {promised} records (TTResult_NumberOfRecords); "
            f"the header is damaged ({_COPY_AGAIN})"
        )
    promised = promised or stored
    if stored > promised:
        raise InputError(
            f"{path}: the header says {promised} records (TTResult_NumberOfRecords), the file holds "
            f"{stored}; the header is damaged or the file was never finished ({_COPY_AGAIN})"
        )
    if stored < promised and not truncated_ok:
        raise InputError(
            f"{path}: truncated: the header promises {promised} records, the file holds {stored} "
            f"({_COPY_AGAIN}; `read_ptu(path, truncated_ok=True)` gives what is there)"
        )
    return PtuInfo(
        path, record_format, min(stored, promised), offset, *_units(path, record_format, tags), tags
    )


def read_ptu(
    path: str | Path, chunk_tags: int = 1 << 18, *, truncated_ok: bool = False
) -> Iterator[TagChunk]:
    """Give the photons of a PTU file (T2 or T3) chunk by chunk; markers and overflows are used up.

    The record begins at 0 ps and ends at its set acquisition time, or just after the last tag.

    Args:
        path: The file.
        chunk_tags: Records decoded at a time.
        truncated_ok: Accept a file with fewer records than its header says.

    Raises:
        InputError: As `ptu_info`; or stamps that run backwards, beyond the time that the header says the
            measurement took, or beyond the range of 64 bits.
    """
    info = ptu_info(path, truncated_ok=truncated_ok)
    # Opened here so that a missing file is reported by this call, not by the first next().
    return _chunks(info, max(chunk_tags, 1024))


def _chunks(info: PtuInfo, chunk_tags: int) -> Iterator[TagChunk]:
    decoder = _Decoder(info)
    held_stamps, held_channels = np.empty(0, np.int64), np.empty(0, np.int32)
    begin_ps = 0
    with info.path.open("rb") as file:
        file.seek(info.offset)
        for records in _records(file, info, chunk_tags):
            stamps, channels, final_ps = decoder.decode(records, held_stamps, held_channels)
            _check_stamps(info, begin_ps, stamps)
            cut = int(np.searchsorted(stamps, final_ps))
            held_stamps, held_channels = stamps[cut:].copy(), channels[cut:].copy()
            if cut:
                end_ps = int(stamps[cut - 1]) + 1
                yield TagChunk(stamps[:cut], channels[:cut], begin_ps, end_ps)
                begin_ps = end_ps
    end_ps = max(begin_ps, info.acquisition_ps or 0, int(held_stamps[-1]) + 1 if len(held_stamps) else 0)
    yield TagChunk(held_stamps, held_channels, begin_ps, end_ps)


def _records(file: BufferedReader, info: PtuInfo, chunk: int) -> Iterator[NDArray[np.uint32]]:
    """Give the records, always in the same memory: each part is good until the next one."""
    buffer = np.empty(chunk, np.dtype("<u4"))
    left = info.n_records
    while left > 0:
        records = buffer[: min(chunk, left)]
        if file.readinto(records.data.cast("B")) != records.nbytes:
            raise InputError(f"{info.path}: the file became shorter while it was read")
        left -= len(records)
        yield records


class _Decoder:
    """Carries the overflow count from chunk to chunk."""

    def __init__(self, info: PtuInfo) -> None:
        self._info = info
        self._base = 0

    def decode(
        self, records: NDArray[np.uint32], held_stamps: NDArray[np.int64], held_channels: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], int]:
        """Give (stamps, channels, time before which no later tag can lie), the held tags first."""
        kind, held = self._info.record_format, len(held_stamps)
        stamps = np.empty(held + len(records) + 1, np.int64)
        channels = np.empty(held + len(records) + 1, np.int32)
        stamps[:held], channels[:held] = held_stamps, held_channels
        layout = (kind.picoharp, kind.wrap, kind.counted, self._base)
        if kind.t3:
            period_ps = self._info.sync_period_ps
            filled, self._base, pulses = decode_t3(
                records, *layout, period_ps, self._info.tick_ps, stamps, channels, held
            )
            final_ps = int(pulses * period_ps)
        else:
            filled, self._base = decode_t2(records, *layout, int(self._info.tick_ps), stamps, channels, held)
            final_ps = int(stamps[filled - 1]) if filled else 0
        stamps, channels = stamps[:filled], channels[:filled]
        if kind.t3:
            # Photons of one period are stored by arrival of the record, not by time.
            order = np.argsort(stamps, kind="stable")
            stamps, channels = stamps[order], channels[order]
        return stamps, channels, final_ps


def _whole_number(path: Path, tags: dict[str, Any], name: str, default: int) -> int:
    value = tags.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: the header's {name} is {value!r}, no whole number ({_COPY_AGAIN})"
        ) from error


def _seconds(path: Path, tags: dict[str, Any], name: str, default: float | None) -> float:
    value = tags.get(name, default)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{path}: the PTU header's unit of time {name} is {value!r} ({_COPY_AGAIN})")
    return float(value)


def _units(
    path: Path, kind: RecordFormat, tags: dict[str, Any]
) -> tuple[float, float, int | None, int | None]:
    """Give (tick_ps, sync_period_ps, acquisition_ps, latest_ps)."""
    unit_ps = _seconds(path, tags, "MeasDesc_GlobalResolution", None) * 1e12
    fine_ps = _seconds(path, tags, "MeasDesc_Resolution", 0.0) * 1e12
    full_time = _whole_number(path, tags, "TTResult_StopReason", -1) == 0
    stopped_ms = max(_whole_number(path, tags, "TTResult_StopAfter", 0), 0)
    set_ms = max(_whole_number(path, tags, "MeasDesc_AcquisitionTime", 0), 0)
    acquisition_ps = (stopped_ms * 10**9 or None) if full_time else None
    # 1 % for clocks that differ, 1 s for an instrument that stops late.
    longest_ms = max(stopped_ms, set_ms)
    latest_ps = longest_ms * 1_010_000_000 + 10**12 if longest_ms else None
    if kind.t3:
        # No laser repeats within two cells of the time scale; the time unit of a T2 record would.
        if fine_ps <= 0 or unit_ps < 2 * fine_ps:
            raise InputError(
                f"{path}: a T3 file with sync period {unit_ps:g} ps and resolution {fine_ps:g} ps; "
                f"the header is damaged ({_COPY_AGAIN})"
            )
        return fine_ps, unit_ps, acquisition_ps, latest_ps
    if unit_ps < 0.5 or abs(unit_ps - round(unit_ps)) > 1e-6 * unit_ps:
        raise InputError(f"{path}: a T2 file with time unit {unit_ps} ps; expected a whole number of ps")
    return float(round(unit_ps)), 0.0, acquisition_ps, latest_ps


def _check_stamps(info: PtuInfo, begin_ps: int, stamps: NDArray[np.int64]) -> None:
    """Refuse stamps that damaged records would give."""
    if not len(stamps):
        return
    first_ps, before_ps = int(stamps[0]), begin_ps - 1
    if first_ps >= begin_ps and not in_order(stamps, 0, len(stamps)):
        # Compared, not subtracted: stamps of damaged records can lie further apart than 64 bits hold.
        at = int(np.flatnonzero(stamps[1:] < stamps[:-1])[0])
        before_ps, first_ps = int(stamps[at]), int(stamps[at + 1])
    if first_ps <= before_ps:
        raise InputError(
            f"{info.path}: time stamps run backwards: {first_ps} ps comes after {before_ps} ps; "
            f"its records or the header's record type are damaged ({_COPY_AGAIN})"
        )
    if info.latest_ps is not None and int(stamps[-1]) > info.latest_ps:
        raise InputError(
            f"{info.path}: a time stamp at {int(stamps[-1]) * 1e-12:.3f} s in a measurement that took "
            f"{(info.latest_ps - 10**12) / 1.01e12:.3f} s by its header; "
            f"its records are damaged ({_COPY_AGAIN})"
        )
