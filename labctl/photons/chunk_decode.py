"""Packed HDF5 chunks of time tags back to tags, outside HDF5's and the interpreter's lock.

Counterpart of `chunk_encode`; reads whatever the bitshuffle filter (LZ4) with Fletcher32 makes. The checksum
is verified first, and every length is checked against its end: damaged data give an error, not a crash.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.photons.chunk_encode import BLOCK_BYTES, fletcher32, swap_bits
from labctl.photons.compiled import compiled, i64, u8, u32, u64

_CHECKSUM, _LAYOUT = -1, -2
_PROBLEMS = {_CHECKSUM: "its checksum does not fit", _LAYOUT: "its packing is damaged"}


def unpack_stamps(packed: bytes, first_ps: int, stamps: NDArray[np.int64]) -> None:
    """Fill ``stamps`` with the running sum of packed uint32 steps from ``first_ps`` on.

    Raises:
        ValueError: The chunk is damaged, or holds fewer values.
    """
    buffers = np.empty(BLOCK_BYTES, np.uint8), np.empty(BLOCK_BYTES // 8, np.uint64)
    steps = np.empty(BLOCK_BYTES // 4, np.uint32)
    _check(_unpack_stamps(np.frombuffer(packed, np.uint8), first_ps, *buffers, steps, stamps))


def unpack_channels(packed: bytes, channels: NDArray[np.int32]) -> None:
    """Fill ``channels`` with packed int8 values.

    Raises:
        ValueError: The chunk is damaged, or holds fewer values.
    """
    buffers = np.empty(BLOCK_BYTES, np.uint8), np.empty(BLOCK_BYTES // 8, np.uint64)
    _check(_unpack_channels(np.frombuffer(packed, np.uint8), *buffers, channels))


def _check(code: int) -> None:
    if code < 0:
        raise ValueError(_PROBLEMS[code])


@compiled
def _unpack_stamps(
    packed: NDArray[np.uint8],
    first_ps: int,
    planes: NDArray[np.uint8],
    groups: NDArray[np.uint64],
    steps: NDArray[np.uint32],
    stamps: NDArray[np.int64],
) -> int:
    end = _begin(packed, 4 * len(stamps))
    if end < 0:
        return end
    at = 12
    stamp = i64(first_ps)
    bytes_of = groups[: BLOCK_BYTES // 32].view(np.uint8)
    count = BLOCK_BYTES // 4
    for first in range(0, len(stamps), count):
        at = _lz4_block(packed, at, end, planes)
        if at < 0:
            return at
        for byte in range(4):
            row = planes[byte * count : byte * count + count]
            used = u8(0)
            for i in range(count):
                used |= row[i]
            down = u32(8 * byte)
            if used:
                _transpose_back(row, groups[: BLOCK_BYTES // 32])
                if byte:
                    for i in range(u64(count)):
                        steps[i] |= u32(bytes_of[i]) << down
                else:
                    for i in range(u64(count)):
                        steps[i] = u32(bytes_of[i])
            elif byte == 0:
                steps[:] = u32(0)
        part = stamps[first : first + count]
        for i in range(u64(len(part))):
            stamp += i64(steps[i])
            part[i] = stamp
    return 0


@compiled
def _unpack_channels(
    packed: NDArray[np.uint8],
    planes: NDArray[np.uint8],
    groups: NDArray[np.uint64],
    channels: NDArray[np.int32],
) -> int:
    end = _begin(packed, len(channels))
    if end < 0:
        return end
    at = 12
    values = groups.view(np.int8)
    for first in range(0, len(channels), BLOCK_BYTES):
        at = _lz4_block(packed, at, end, planes)
        if at < 0:
            return at
        _transpose_back(planes, groups)
        part = channels[first : first + BLOCK_BYTES]
        for i in range(u64(len(part))):
            part[i] = np.int32(values[i])
    return 0


@compiled
def _begin(packed: NDArray[np.uint8], wanted: int) -> int:
    """Verify checksum and header of a chunk; give where its blocks end."""
    end = len(packed) - 4
    if end < 12:
        return _LAYOUT
    check = i64(0)
    for k in range(4):
        check |= i64(packed[end + k]) << (8 * k)
    if fletcher32(packed[:end]) != check:
        return _CHECKSUM
    size = i64(0)
    for k in range(8):
        size = (size << 8) | i64(packed[k])
    block = _big_endian_4(packed, 8)
    # The last, shorter block of odd lengths is packed in another way; our chunks have none.
    if block != BLOCK_BYTES or size % BLOCK_BYTES or size < wanted:
        return _LAYOUT
    return end


@compiled
def _big_endian_4(packed: NDArray[np.uint8], at: int) -> int:
    number = i64(0)
    for k in range(4):
        number = (number << 8) | i64(packed[at + k])
    return number  # type: ignore[no-any-return]


@compiled
def _lz4_block(packed: NDArray[np.uint8], at: int, end: int, planes: NDArray[np.uint8]) -> int:
    """Expand one block; give where the next one begins, or a negative code."""
    if at + 4 > end:
        return _LAYOUT
    block_end = at + 4 + _big_endian_4(packed, at)
    at += 4
    if block_end > end:
        return _LAYOUT
    filled = 0
    while at < block_end:
        token = i64(packed[at])
        at, length = _length(packed, at + 1, block_end, token >> 4)
        if at + length > block_end or filled + length > BLOCK_BYTES:
            return _LAYOUT
        source, target = packed[at : at + length], planes[filled : filled + length]
        for i in range(u64(length)):
            target[i] = source[i]
        at += length
        filled += length
        if at == block_end:
            break
        if at + 2 > block_end:
            return _LAYOUT
        distance = i64(packed[at]) | (i64(packed[at + 1]) << 8)
        at, length = _length(packed, at + 2, block_end, token & 15)
        length += 4
        if distance == 0 or distance > filled or filled + length > BLOCK_BYTES:
            return _LAYOUT
        if distance == 1:
            value = planes[filled - 1]
            for i in range(u64(filled), u64(filled + length)):
                planes[i] = value
        else:
            for i in range(u64(filled), u64(filled + length)):
                planes[i] = planes[i - u64(distance)]
        filled += length
    return at if filled == BLOCK_BYTES else _LAYOUT


@compiled
def _length(packed: NDArray[np.uint8], at: int, end: int, length: int) -> tuple[int, int]:
    """Give (place after it, length) of a length whose first 4 bits are known."""
    if length == 15:
        more = 255
        while more == 255 and at < end:
            more = i64(packed[at])
            length += more
            at += 1
    return at, length


@compiled
def _transpose_back(row: NDArray[np.uint8], groups: NDArray[np.uint64]) -> None:
    """Turn 8 planes of bits into groups of 8 bytes: the inverse of the encoder's transposition."""
    size = u64(len(row) // 8)
    groups[:] = u64(0)
    for bit in range(u64(8)):
        plane = row[bit * size : (bit + u64(1)) * size]
        for g in range(size):
            groups[g] |= u64(plane[g]) << (u64(8) * bit)
    swap_bits(groups)
