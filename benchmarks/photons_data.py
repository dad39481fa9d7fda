"""Tag streams for the photon benchmarks: half of the light in bursts, half at random; arrays and PTU."""

from __future__ import annotations

import argparse
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATES_HZ = {"a": 1e5, "b": 1e6, "c": 1e7}
TAGS = 20_000_000
MU = 0.05
LIFETIMES_PS = (240.0, 740.0)
FAST_SHARE = 0.56


def make_case(
    rate_Hz: float, tags: int = TAGS, seed: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int32], int]:
    """Give (stamps, channels 1 and 2, length of record in ps) for a rate per channel."""
    generator = np.random.Generator(np.random.PCG64(seed))
    per_channel = tags // 2
    length = per_channel / rate_Hz * 1e12
    bursts = generator.random(int(per_channel / 2 / MU)) * length
    stamps, channels = [], []
    for channel in (1, 2):
        signal = np.repeat(bursts, generator.poisson(MU, len(bursts)))
        lifetime = np.where(generator.random(len(signal)) < FAST_SHARE, *LIFETIMES_PS)
        signal = (
            signal + generator.exponential(1.0, len(signal)) * lifetime + generator.normal(0, 20, len(signal))
        )
        stray = generator.random(max(per_channel - len(signal), 0)) * length
        both = np.concatenate([signal, stray])
        stamps.append(both)
        channels.append(np.full(len(both), channel, np.int32))
    merged = np.concatenate(stamps).astype(np.int64)
    numbers = np.concatenate(channels)
    order = np.argsort(merged, kind="stable")
    merged, numbers = merged[order], numbers[order]
    inside = (merged >= 0) & (merged < length)
    return merged[inside], numbers[inside], int(length)


def write_ptu(path: Path, stamps: NDArray[np.int64], channels: NDArray[np.int32], length_ps: int) -> None:
    """Write a HydraHarp T2 file (version 2, 1 ps ticks); channel n of the tags becomes input n - 1."""
    wrap = 1 << 25
    turns = stamps // wrap
    new = np.diff(turns, prepend=0)
    place = np.arange(len(stamps)) + np.cumsum(new > 0)
    records = np.zeros(len(stamps) + int((new > 0).sum()), np.uint32)
    records[place] = ((channels - 1).astype(np.uint32) << 25) | (stamps % wrap).astype(np.uint32)
    overflow = new > 0
    records[place[overflow] - 1] = np.uint32((1 << 31) | (63 << 25)) | new[overflow].astype(np.uint32)
    path.write_bytes(_header(len(records), length_ps) + records.tobytes())


def _header(n_records: int, length_ps: int) -> bytes:
    def tag(name: str, value: int | float | str | None, index: int = -1) -> bytes:
        kinds = {int: 0x10000008, float: 0x20000008, str: 0x4001FFFF, type(None): 0xFFFF0008}
        start = name.encode().ljust(32, b"\0") + struct.pack("<iI", index, kinds[type(value)])
        if isinstance(value, str):
            text = value.encode().ljust((len(value) // 8 + 1) * 8, b"\0")
            return start + struct.pack("<q", len(text)) + text
        return start + (
            struct.pack("<d", value) if isinstance(value, float) else struct.pack("<q", value or 0)
        )

    entries = [
        tag("File_GUID", "{00000000-0000-0000-0000-000000000000}"),
        tag("CreatorSW_Name", "made"),
        tag("CreatorSW_Version", "1"),
        tag("Measurement_Mode", 2),
        tag("Measurement_SubMode", 0),
        tag("TTResult_StopReason", 0),
        tag("TTResultFormat_TTTRRecType", 0x01010204),
        tag("TTResultFormat_BitsPerRecord", 32),
        tag("MeasDesc_AcquisitionTime", length_ps // 10**9),
        tag("HW_Type", "HydraHarp 400"),
        tag("HW_BaseResolution", 1e-12),
        tag("HW_InpChannels", 2),
        tag("MeasDesc_Resolution", 1e-12),
        tag("MeasDesc_GlobalResolution", 1e-12),
        tag("TTResult_SyncRate", 0),
        tag("TTResult_StopAfter", length_ps // 10**9),
        tag("TTResult_NumberOfRecords", n_records),
        tag("Header_End", None),
    ]
    return b"PQTTTR\0\0" + b"1.0.00\0\0" + b"".join(entries)


def main() -> None:
    """Write all cases into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tags", type=int, default=TAGS)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, rate in RATES_HZ.items():
        stamps, channels, length = make_case(rate, args.tags)
        np.savez(args.folder / f"{name}.npz", stamps=stamps, channels=channels, length=length)
        write_ptu(args.folder / f"{name}.ptu", stamps, channels, length)
        print(f"{name}: {len(stamps)} tags, {length * 1e-12:g} s")


if __name__ == "__main__":
    main()
