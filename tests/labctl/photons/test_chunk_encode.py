"""What is packed here is what HDF5's own filters read back, with the checksum that they compute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from labctl.photons.chunk_encode import BLOCK_BYTES, ChunkPacker, fletcher32

LENGTH = 2 * BLOCK_BYTES


def patterns(kind: type[np.generic]) -> Iterator[np.ndarray]:
    """Noise, constant values, and both mixed so that every kind of plane of bits meets every other."""
    generator = np.random.Generator(np.random.PCG64(7))
    bits = np.dtype(kind).itemsize * 8
    for value in (0, 1, (1 << bits) - 1, (1 << bits) // 3):
        yield np.full(LENGTH, value, np.uint64)
    for _ in range(12):
        noisy, constant, repeated = generator.integers(0, 1 << bits, 3, dtype=np.uint64)
        noise = generator.integers(0, 1 << bits, LENGTH, dtype=np.uint64)
        same = generator.integers(0, 2, LENGTH, dtype=np.uint64) * repeated
        yield (noise & noisy) | (constant & ~noisy) ^ (same & ~noisy)
    for width in range(1, bits):
        yield generator.integers(0, 1 << width, LENGTH, dtype=np.uint64)


@pytest.mark.parametrize("kind", [np.uint32, np.int8])
def test_hdf5_reads_back_what_was_packed(kind: type[np.generic], tmp_path: Path) -> None:
    packer = ChunkPacker(LENGTH)
    written = [values.astype(np.uint64).view(np.int64).astype(kind) for values in patterns(kind)]
    with h5py.File(tmp_path / "packed.h5", "w") as file:
        packed = file.create_dataset(
            "values",
            (len(written) * LENGTH,),
            kind,
            chunks=(LENGTH,),
            fletcher32=True,
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        for k, values in enumerate(written):
            packed.id.write_direct_chunk((k * LENGTH,), packer.pack(values))
    with h5py.File(tmp_path / "packed.h5") as file:
        np.testing.assert_array_equal(file["values"][()], np.concatenate(written))


@pytest.mark.parametrize("size", [0, 1, 2, 511, 512, 513, 5000, 70_001])
def test_the_checksum_is_that_of_hdf5(size: int, tmp_path: Path) -> None:
    generator = np.random.Generator(np.random.PCG64(size))
    for data in (
        generator.integers(0, 256, size, np.uint8),
        np.full(size, 255, np.uint8),
        np.zeros(size, "u1"),
    ):
        if not size:
            assert fletcher32(data) == 0
            continue
        with h5py.File(tmp_path / "sum.h5", "w") as file:
            dataset = file.create_dataset("data", data=data, chunks=(size,), fletcher32=True)
            _, stored = dataset.id.read_direct_chunk((0,))
        assert stored[:-4] == data.tobytes()
        assert fletcher32(data) == int.from_bytes(stored[-4:], "little")


def test_a_chunk_of_another_length_or_type_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        ChunkPacker(1000)
    with pytest.raises(ValueError, match="shape"):
        ChunkPacker(LENGTH).pack(np.zeros(LENGTH - 1, np.uint32))
    with pytest.raises(ValueError, match="int64"):
        ChunkPacker(LENGTH).pack(np.zeros(LENGTH, np.int64))
