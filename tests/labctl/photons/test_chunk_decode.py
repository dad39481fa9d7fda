"""Chunks that HDF5's filters packed are unpacked here; damaged ones give an error, whatever the damage."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from labctl.photons.chunk_decode import unpack_channels, unpack_stamps
from labctl.photons.chunk_encode import BLOCK_BYTES, fletcher32

LENGTH = 2 * BLOCK_BYTES


def packed_by_hdf5(values: np.ndarray, folder: Path) -> bytes:
    with h5py.File(folder / "chunk.h5", "w") as file:
        dataset = file.create_dataset(
            "values",
            data=values,
            chunks=values.shape,
            fletcher32=True,
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        return bytes(dataset.id.read_direct_chunk((0,))[1])


@pytest.mark.parametrize("pattern", ["noise", "sparse", "periodic", "poisson", "constant", "full range"])
@pytest.mark.parametrize("tags", [LENGTH, LENGTH - 1, BLOCK_BYTES // 4 + 1, 1])
def test_what_hdf5_packed_comes_back(pattern: str, tags: int, tmp_path: Path) -> None:
    generator = np.random.Generator(np.random.PCG64(3))
    noise = generator.integers(0, 1 << 22, LENGTH)
    steps = {
        "noise": noise,
        "sparse": np.where(noise < 1 << 14, noise, 7),
        "periodic": np.arange(LENGTH) % 48 * 1000,
        "poisson": generator.exponential(5e5, LENGTH),
        "constant": np.full(LENGTH, 12_500),
        "full range": generator.integers(0, 1 << 32, LENGTH),
    }[pattern].astype(np.uint32)
    stamps, channels = np.zeros(tags, np.int64), np.zeros(tags, np.int32)
    unpack_stamps(packed_by_hdf5(steps, tmp_path), 10**15, stamps)
    unpack_channels(packed_by_hdf5(steps.astype(np.int8), tmp_path), channels)
    np.testing.assert_array_equal(stamps, 10**15 + np.cumsum(steps[:tags].astype(np.int64)))
    np.testing.assert_array_equal(channels, steps.astype(np.int8)[:tags])


def test_damage_is_an_error_even_where_the_checksum_was_made_to_fit(tmp_path: Path) -> None:
    generator = np.random.Generator(np.random.PCG64(5))
    steps = np.where(generator.random(LENGTH) < 0.1, generator.integers(0, 1 << 20, LENGTH), 3)
    whole = np.frombuffer(packed_by_hdf5(steps.astype(np.uint32), tmp_path), np.uint8)
    stamps = np.zeros(LENGTH, np.int64)
    refused = 0
    for _ in range(400):
        damaged = whole.copy()
        damaged[generator.integers(0, len(whole) - 4, 3)] ^= generator.integers(1, 256, 3).astype(np.uint8)
        with pytest.raises(ValueError, match="checksum"):
            unpack_stamps(damaged.tobytes(), 0, stamps)
        damaged[-4:] = np.frombuffer(fletcher32(damaged[:-4]).to_bytes(4, "little"), np.uint8)
        try:
            unpack_stamps(damaged.tobytes(), 0, stamps)
        except ValueError:
            refused += 1
    assert refused > 0
    for cut in (0, 3, 15, 16, 17, len(whole) // 2):
        with pytest.raises(ValueError, match=r"checksum|packing"):
            unpack_stamps(whole[:cut].tobytes(), 0, stamps)
