"""Compressed and checksummed HDF5 chunks made here, byte for byte what the filters of HDF5 read back.

A chunk is what ``hdf5plugin``'s bitshuffle filter (LZ4) and HDF5's Fletcher32 leave on disk, so any program
with these two reads it. A general compressor searches for repetitions; time tags have none: after the
transposition of bits the low planes are noise and the high ones constant, and which is which follows from
three words per block. So the transposed planes are copied, and only constant or repeated ones become matches.

Formats: bitshuffle (Masui et al., Astron. Comput. 12, 181 (2015)) with its HDF5 header: 8 bytes size, 4 bytes
block size, both big-endian, then per block 4 bytes length, big-endian, and an LZ4 block; Fletcher32 as in
``H5checksum.c``: sums of big-endian 16-bit words modulo 65535.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.photons.compiled import compiled, u8, u32, u64

BLOCK_BYTES = 8192
"""Block of the bitshuffle filter; planes of it stay in the first-level cache."""


def chunk_room(size_bytes: int) -> int:
    """Bytes that the packed form of a chunk can take at most."""
    blocks = size_bytes // BLOCK_BYTES
    return 12 + blocks * (BLOCK_BYTES + BLOCK_BYTES // 255 + 80) + 4


class ChunkPacker:
    """Packs chunks of one length, reusing its buffers.

    Args:
        length: Values per chunk, a multiple of `BLOCK_BYTES`.
    """

    def __init__(self, length: int) -> None:
        if length <= 0 or length % BLOCK_BYTES:
            raise ValueError(f"chunks of {length} values; must be a multiple of {BLOCK_BYTES}")
        self._length = length
        self._planes = np.zeros(BLOCK_BYTES, np.uint8)
        self._groups = np.zeros(BLOCK_BYTES // 8, np.uint64)
        self._packed = np.zeros(chunk_room(4 * length), np.uint8)

    def pack(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Give a chunk as it stands on disk; valid until the next call.

        Raises:
            ValueError: Not of the packer's length, or neither uint32 nor int8.
        """
        if values.shape != (self._length,):
            raise ValueError(f"a chunk of shape {values.shape}; expected ({self._length},)")
        if values.dtype == np.uint32:
            size = pack_steps(values, self._planes, self._groups, self._packed)
        elif values.dtype == np.int8:
            size = pack_bytes(values.view(np.uint8), self._planes, self._groups, self._packed)
        else:
            raise ValueError(f"a chunk of {values.dtype}; expected uint32 or int8")
        return self._packed[:size]


@compiled
def pack_steps(
    values: NDArray[np.uint32], planes: NDArray[np.uint8], groups: NDArray[np.uint64], out: NDArray[np.uint8]
) -> int:
    """Pack uint32 values, a multiple of 2048 of them, into ``out`` (see `chunk_room`); give the length.

    ``planes`` and ``groups`` are buffers of a block.
    """
    count = BLOCK_BYTES // 4
    at = _header(len(values) * 4, out)
    for first in range(0, len(values), count):
        block = values[first : first + count]
        ones, zeros, turns = u32(0), u32(0xFFFFFFFF), u32(0)
        for i in range(count):
            value = block[i]
            ones |= value
            zeros &= value
            turns |= value ^ (value >> u32(1))
        changing = ones & ~zeros
        for byte in range(4):
            row = planes[byte * 2048 : byte * 2048 + 2048]
            down = u32(8 * byte)
            if (changing >> down) & u32(0xFF):
                bytes_of = groups.view(np.uint8)
                for i in range(count):
                    bytes_of[i] = u8((block[i] >> down) & u32(0xFF))
                _transpose(groups[:256], row)
            else:
                for bit in range(8):
                    fill = u8(255) if (zeros >> (down + u32(bit))) & u32(1) else u8(0)
                    for i in range(u64(bit * 256), u64(bit * 256 + 256)):
                        row[i] = fill
        at = _lz4_block(planes, 32, u64(changing), u64(turns), out, at)
    return _checksum(out, at)


@compiled
def pack_bytes(
    values: NDArray[np.uint8], planes: NDArray[np.uint8], groups: NDArray[np.uint64], out: NDArray[np.uint8]
) -> int:
    """Pack bytes, a multiple of `BLOCK_BYTES` of them, as `pack_steps`."""
    at = _header(len(values), out)
    bytes_of = groups.view(np.uint8)
    for first in range(0, len(values), BLOCK_BYTES):
        block = values[first : first + BLOCK_BYTES]
        ones, zeros, turns = u8(0), u8(0xFF), u8(0)
        for i in range(BLOCK_BYTES):
            value = block[i]
            bytes_of[i] = value
            ones |= value
            zeros &= value
            turns |= value ^ (value >> u8(1))
        _transpose(groups, planes)
        at = _lz4_block(planes, 8, u64(ones & ~zeros), u64(turns), out, at)
    return _checksum(out, at)


@compiled
def _transpose(groups: NDArray[np.uint64], row: NDArray[np.uint8]) -> None:
    """Turn groups of 8 bytes into 8 planes of bits: bit j of byte g of plane k is bit k of byte 8 g + j."""
    size = u64(len(row) // 8)
    swap_bits(groups)
    for bit in range(u64(8)):
        plane = row[bit * size : (bit + u64(1)) * size]
        for g in range(size):
            plane[g] = u8(groups[g] >> (u64(8) * bit))


@compiled
def swap_bits(groups: NDArray[np.uint64]) -> None:
    """Swap bit j of byte k with bit k of byte j in each group (Warren, Hacker's Delight, 7-3)."""
    for g in range(u64(len(groups))):
        x = groups[g]
        t = (x ^ (x >> u64(7))) & u64(0x00AA00AA00AA00AA)
        x = x ^ t ^ (t << u64(7))
        t = (x ^ (x >> u64(14))) & u64(0x0000CCCC0000CCCC)
        x = x ^ t ^ (t << u64(14))
        t = (x ^ (x >> u64(28))) & u64(0x00000000F0F0F0F0)
        groups[g] = x ^ t ^ (t << u64(28))


@compiled
def _lz4_block(
    planes: NDArray[np.uint8], n_planes: int, changing: int, turns: int, out: NDArray[np.uint8], at: int
) -> int:
    """Write one block; bit k of ``turns``: plane k + 1 differs from plane k. Gives the new length."""
    size = BLOCK_BYTES // n_planes
    begin_of_block = at
    at += 4
    literal_from = 0
    plane = 0
    while plane < n_planes:
        constant = (changing >> u64(plane)) & u64(1) == 0
        repeated = plane > 0 and (turns >> u64(plane - 1)) & u64(1) == 0
        run = 1
        if constant or repeated:
            while plane + run < n_planes and (turns >> u64(plane + run - 1)) & u64(1) == 0:
                run += 1
            begin = plane * size + (1 if constant else 0)
            # The format wants the last five bytes of a block as they are.
            end = min((plane + run) * size, BLOCK_BYTES - 5)
            at = _sequence(planes, literal_from, begin, out, at, end - begin)
            distance = 1 if constant else size
            out[at] = distance & 255
            out[at + 1] = distance >> 8
            at = _more(end - begin - 4, out, at + 2)
            literal_from = end
        plane += run
    at = _sequence(planes, literal_from, BLOCK_BYTES, out, at, 4)
    _big_endian(at - begin_of_block - 4, 4, out, begin_of_block)
    return at


@compiled
def _sequence(
    planes: NDArray[np.uint8], first: int, last: int, out: NDArray[np.uint8], at: int, match: int
) -> int:
    """Write a token for ``match`` bytes to come, and the literals ``first:last``."""
    length = last - first
    out[at] = (min(length, 15) << 4) | min(match - 4, 15)
    at = _more(length, out, at + 1)
    source, target = planes[first:last], out[at : at + length]
    for i in range(u64(length)):
        target[i] = source[i]
    return at + length


@compiled
def _more(length: int, out: NDArray[np.uint8], at: int) -> int:
    """Write what of a length exceeds the 15 of the token."""
    if length < 15:
        return at
    length -= 15
    while length >= 255:
        out[at] = 255
        length -= 255
        at += 1
    out[at] = length
    return at + 1


@compiled
def _header(size: int, out: NDArray[np.uint8]) -> int:
    _big_endian(size, 8, out, 0)
    _big_endian(BLOCK_BYTES, 4, out, 8)
    return 12


@compiled
def _big_endian(number: int, size: int, out: NDArray[np.uint8], at: int) -> None:
    for k in range(size):
        out[at + k] = (number >> (8 * (size - 1 - k))) & 255


@compiled
def _checksum(out: NDArray[np.uint8], length: int) -> int:
    """Append the checksum of what stands in ``out``, little-endian; give the new length."""
    check = fletcher32(out[:length])
    for k in range(4):
        out[length + k] = (check >> (8 * k)) & 255
    return length + 4


@compiled
def fletcher32(data: NDArray[np.uint8]) -> int:
    """HDF5's Fletcher32 of some bytes."""
    words = data[: len(data) // 2 * 2].view(np.uint16)
    # 256 words: the weighted sum of a run stays below 2^32.
    run = 256
    total, weighted = u64(0), u64(0)
    whole = len(words) // run * run
    for first in range(0, whole, run):
        part = words[first : first + run]
        plain, rising = u32(0), u32(0)
        for k in range(run):
            plain += u32(part[k])
            rising += u32(part[k]) * u32(run - k)
        weighted += total * u64(run) + u64(rising)
        total += u64(plain)
        weighted %= u64(65535)
    for k in range(whole, len(words)):
        total += u64(words[k])
        weighted += total
    # Big-endian words are the little-endian ones times 256 modulo 65535.
    total *= u64(256)
    weighted = weighted % u64(65535) * u64(256) if total else u64(0)
    if len(data) % 2:
        total += u64(data[len(data) - 1]) << u64(8)
        weighted += total
    return _reduced(weighted, total) << 16 | _reduced(total, total)


@compiled
def _reduced(number: int, total: int) -> int:
    """Modulo 65535 as ones' complement addition leaves it: 0 only if nothing was added."""
    return (number + 65534) % 65535 + 1 if total else 0
