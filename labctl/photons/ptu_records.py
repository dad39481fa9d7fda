"""PicoQuant's 32-bit event records (T2 and T3) to picosecond stamps and channels.

Formats: PicoQuant's "Unified TTTR file format" demo sources. Channel numbers are those of ``ptufile``:
the inputs count from 0; a sync pulse recorded as an event of its own gets ``SYNC_CHANNEL``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.photons.compiled import compiled, i64, u32, u64

SYNC_CHANNEL = 63
"""Number given to sync events of T2 files: 63 is the overflow code, so no input can have it."""


@dataclass(frozen=True)
class RecordFormat:
    """One of PicoQuant's record types.

    Attributes:
        name: Instrument and mode.
        t3: T3 (sync count and time within the period) rather than T2.
        picoharp: The older layout with 4 bits for the channel.
        wrap: Ticks (T2) or sync pulses (T3) per overflow.
        counted: An overflow record can stand for several overflows.
    """

    name: str
    t3: bool
    picoharp: bool
    wrap: int
    counted: bool


FORMATS = {
    0x00010203: RecordFormat("PicoHarp 300 T2", False, True, 210698240, False),
    0x00010303: RecordFormat("PicoHarp 300 T3", True, True, 65536, False),
    0x00010204: RecordFormat("HydraHarp 400 V1 T2", False, False, 33552000, False),
    0x00010304: RecordFormat("HydraHarp 400 V1 T3", True, False, 1024, False),
    0x01010204: RecordFormat("HydraHarp 400 T2", False, False, 33554432, True),
    0x01010304: RecordFormat("HydraHarp 400 T3", True, False, 1024, True),
    0x00010205: RecordFormat("TimeHarp 260 N T2", False, False, 33554432, True),
    0x00010305: RecordFormat("TimeHarp 260 N T3", True, False, 1024, True),
    0x00010206: RecordFormat("TimeHarp 260 P T2", False, False, 33554432, True),
    0x00010306: RecordFormat("TimeHarp 260 P T3", True, False, 1024, True),
    0x00010207: RecordFormat("MultiHarp 150/160 T2", False, False, 33554432, True),
    0x00010307: RecordFormat("MultiHarp 150/160 T3", True, False, 1024, True),
}


# By the upper 7 bits of a record: a mask that is -1 for overflows, and the channel.
_OVERFLOWS = np.where(np.arange(128) == 127, np.int64(-1), np.int64(0))
_NAMES = np.where(np.arange(128) == 64, SYNC_CHANNEL, np.arange(128)).astype(np.int32)

_BLOCK = 32
"""Records decoded by vector instructions if none of them is an overflow or a marker."""

_SELDOM = 60
"""If more than one record in so many is one, looking block by block does not repay."""

_TICKS = u32(0x1FFFFFF)
_FIRST_SPECIAL = u32(65 << 25)


@compiled
def decode_t2(
    records: NDArray[np.uint32],
    picoharp: bool,
    wrap: int,
    counted: bool,
    base: int,
    tick_ps: int,
    stamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    filled: int,
) -> tuple[int, int]:
    """Decode T2 records behind the ``filled`` tags; give (new fill, ticks of all overflows so far)."""
    if picoharp:
        return _decode_t2_picoharp(records, wrap, base, tick_ps, stamps, channels, filled)
    special = 0
    for record in records:
        special += i64(record >= _FIRST_SPECIAL)
    if special * _SELDOM > len(records):
        return _decode_mixed(records, wrap, counted, base, tick_ps, stamps, channels, filled)
    filled, tick = i64(filled), u64(u32(tick_ps))
    whole = len(records) // _BLOCK
    for number in range(whole):
        block = records[number * _BLOCK : (number + 1) * _BLOCK]
        mixed = False
        for k in range(_BLOCK):
            mixed |= block[k] >= _FIRST_SPECIAL
        if mixed:
            filled, base = _decode_mixed(block, wrap, counted, base, tick_ps, stamps, channels, filled)
            continue
        some, names = stamps[filled : filled + _BLOCK], channels[filled : filled + _BLOCK]
        base_ps = u64(base) * tick
        for k in range(_BLOCK):
            record = block[k]
            head = np.int32(record >> u32(25))
            some[k] = i64(base_ps + u64(record & _TICKS) * tick)
            names[k] = SYNC_CHANNEL if head == 64 else head
        filled += _BLOCK
    return _decode_mixed(records[whole * _BLOCK :], wrap, counted, base, tick_ps, stamps, channels, filled)


@compiled
def _decode_mixed(
    records: NDArray[np.uint32],
    wrap: int,
    counted: bool,
    base: int,
    tick_ps: int,
    stamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    filled: int,
) -> tuple[int, int]:
    """Decode photons among overflows and markers: what a record is follows from its upper 7 bits.

    Nothing here is a branch: they come in an order that no processor predicts.
    """
    count = u64(filled)
    for i in range(u64(len(records))):
        record = records[i]
        head, ticks = record >> u32(25), i64(record & _TICKS)
        base += (wrap * (ticks | i64(ticks == 0) if counted else i64(1))) & _OVERFLOWS[head]
        stamps[count] = (base + ticks) * tick_ps
        channels[count] = _NAMES[head]
        count += u64(head <= u32(64))
    return i64(count), base


@compiled
def _decode_t2_picoharp(
    records: NDArray[np.uint32],
    wrap: int,
    base: int,
    tick_ps: int,
    stamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    filled: int,
) -> tuple[int, int]:
    count = u64(filled)
    for i in range(u64(len(records))):
        record = i64(records[i])
        number, ticks = record >> 28, record & 0xFFFFFFF
        base += wrap if number == 15 and (ticks & 0xF) == 0 else 0
        stamps[count] = (base + ticks) * tick_ps
        channels[count] = number
        count += u64(number != 15)
    return i64(count), base


@compiled
def decode_t3(
    records: NDArray[np.uint32],
    picoharp: bool,
    wrap: int,
    counted: bool,
    base: int,
    period_ps: float,
    resolution_ps: float,
    stamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    filled: int,
) -> tuple[int, int, int]:
    """Decode T3 records: stamp = sync count * unrounded period + time within the period.

    Gives (new fill, sync pulses of all overflows so far, sync count of the last record).
    """
    # The period is split so that days of sync pulses keep their picosecond: whole part in integers.
    whole = i64(np.floor(period_ps))
    part = period_ps - np.float64(whole)
    count = u64(filled)
    pulses = base
    for i in range(u64(len(records))):
        record = i64(records[i])
        if picoharp:
            number, cell, sync = record >> 28, (record >> 16) & 0xFFF, record & 0xFFFF
            special = number == 15
            overflow = special and cell == 0
            number = number - 1 if number > 0 else 4
        else:
            number, cell, sync = (record >> 25) & 63, (record >> 10) & 0x7FFF, record & 0x3FF
            special = (record >> 31) == 1
            overflow = special and number == 63
        base += wrap * (max(sync, 1) if counted else 1) if overflow else 0
        pulses = base if overflow else base + sync
        within = np.float64(pulses) * part + np.float64(cell) * resolution_ps
        stamps[count] = pulses * whole + i64(np.floor(within + 0.5))
        channels[count] = number
        count += u64(not special)
    return count, base, pulses
