"""PTU files: a real one against another program's histogram, made ones against the `ptufile` decoder."""

from __future__ import annotations

import itertools
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import ptufile
import pytest

from labctl.errors import InputError
from labctl.photons.correlator import PairCorrelator
from labctl.photons.features import find_feature
from labctl.photons.g2 import PairBlocks
from labctl.photons.ptu import ptu_info, read_ptu
from labctl.photons.ptu_records import FORMATS, SYNC_CHANNEL

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
DOT = DATA / "hydraharp_t2_quantum_dot_hbt.ptu"
REFERENCE = DATA / "hydraharp_t2_quantum_dot_hbt_reference.npz"
real_data = pytest.mark.skipif(not DOT.exists(), reason="../shared/data is not beside the repository")


def correlate(path: Path, start: int, stop: int, window_ps: int, chunk: int = 1 << 18) -> PairBlocks:
    correlator = PairCorrelator(start, stop, window_ps=window_ps, bin_ps=16)
    for part in read_ptu(path, chunk):
        correlator.push(part)
    return correlator.blocks()


@real_data
@pytest.mark.parametrize(("start", "stop", "name"), [(0, 1, "hist1"), (1, 0, "hist2")])
def test_no_pair_is_missing_that_the_other_program_found(start: int, stop: int, name: str) -> None:
    theirs = np.load(REFERENCE)[name]
    blocks = correlate(DOT, start, stop, 160_000)
    ours = blocks.total()[len(theirs) :].astype(np.int64)
    assert (ours >= theirs).all()
    assert theirs.sum() <= ours.sum() <= 1.015 * theirs.sum()


@real_data
def test_the_quantum_dot_shows_its_dip() -> None:
    blocks = correlate(DOT, 0, 1, 160_000)
    assert int(blocks.total().sum()) == 49_591
    assert (blocks.start_tags.sum(), blocks.stop_tags.sum()) == (159_298, 224_721)
    assert int(blocks.duration_ps.sum()) == 10**12
    near = np.abs(blocks.lag_ps - 23_980) <= 1568
    assert int(blocks.total()[near].sum()) == 2
    feature = find_feature(blocks)
    assert feature is not None
    assert (feature.kind, feature.pairs) == ("dip", 2)
    assert feature.delay_ps == pytest.approx(23_980, abs=60)
    assert (min(feature.neighbours), max(feature.neighbours)) == (511, 538)
    assert feature.g2_far()[0] == pytest.approx(0.004, abs=0.0005)
    assert feature.g2_total()[0] == pytest.approx(2 / 112, rel=0.02)
    # Two pairs of a Poisson number: 95 % below 6.296 (tables), among 525 per neighbouring pulse.
    assert feature.far_below() == pytest.approx(6.296 / np.mean(feature.neighbours), rel=1e-3)


@real_data
def test_the_size_of_the_chunks_changes_nothing() -> None:
    np.testing.assert_array_equal(
        correlate(DOT, 0, 1, 160_000, 5000).total(), correlate(DOT, 0, 1, 160_000).total()
    )


@real_data
@pytest.mark.parametrize("keep", [10, 200, 3000, 4392, 5000, 1_642_317])
def test_a_file_cut_short_is_refused_and_says_so(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "cut.ptu"
    path.write_bytes(DOT.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"cut\.ptu"):
        read_ptu(path)
    if keep > 4392:
        tags = sum(len(chunk.timestamps_ps) for chunk in read_ptu(path, truncated_ok=True))
        assert 0 < tags <= (keep - 4392) // 4


def test_what_is_no_ptu_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_ptu(tmp_path / "absent.ptu")
    other = tmp_path / "other.ptu"
    other.write_bytes(b"")
    with pytest.raises(InputError, match="not a readable PTU file"):
        read_ptu(other)
    other.write_bytes(b"x,y\n1,2\n" * 100)
    with pytest.raises(InputError, match="not a readable PTU file"):
        read_ptu(other)


def header(
    code: int,
    n_records: int,
    *,
    global_s: float,
    fine_s: float,
    stop_ms: int = 0,
    mode: int = 0,
    reason: int = 0,
) -> bytes:
    """A minimal PTU header (tag name 32 bytes, index, type, value), as PicoQuant describes it."""

    def tag(name: str, kind: int, value: int | float) -> bytes:
        packed = struct.pack("<d", value) if kind == 0x20000008 else struct.pack("<q", int(value))
        return name.encode().ljust(32, b"\0") + struct.pack("<iI", -1, kind) + packed

    mode = mode or (3 if (code >> 8) & 0xF == 3 else 2)
    return (
        b"PQTTTR\0\0"
        + b"1.0.00\0\0"
        + b"".join(
            [
                tag("Measurement_Mode", 0x10000008, mode),
                tag("Measurement_SubMode", 0x10000008, 0),
                tag("TTResultFormat_TTTRRecType", 0x10000008, code),
                tag("TTResultFormat_BitsPerRecord", 0x10000008, 32),
                tag("TTResult_NumberOfRecords", 0x10000008, n_records),
                tag("TTResult_StopReason", 0x10000008, reason),
                tag("TTResult_StopAfter", 0x10000008, stop_ms),
                tag("MeasDesc_GlobalResolution", 0x20000008, global_s),
                tag("MeasDesc_Resolution", 0x20000008, fine_s),
                tag("Header_End", 0xFFFF0008, 0),
            ]
        )
    )


def made_file(path: Path, code: int, records: np.ndarray, *, global_s: float, fine_s: float) -> Path:
    path.write_bytes(
        header(code, len(records), global_s=global_s, fine_s=fine_s) + records.astype("<u4").tobytes()
    )
    return path


def random_records(code: int, generator: np.random.Generator) -> np.ndarray:
    """Photons in order of time, markers and overflows in between."""
    kind, records, now = FORMATS[code], [], 0
    field = 28 if kind.picoharp and not kind.t3 else 16 if kind.picoharp else 10 if kind.t3 else 25
    for _ in range(3000):
        what = generator.integers(0, 12)
        if what == 0:
            over = int(generator.integers(0, 3)) if not kind.picoharp else 0
            records.append((15 << 28) if kind.picoharp else (1 << 31) | (63 << 25) | over)
            now = 0
            continue
        now = min(now + int(generator.integers(0, 300 if kind.t3 else 9000)), min(1 << field, kind.wrap) - 1)
        cell = int(generator.integers(0, 4096 if kind.picoharp else 32768)) if kind.t3 else 0
        time = (cell << field) | now if kind.t3 else now
        if what == 1:
            marker = int(generator.integers(1, 5))
            if kind.picoharp:
                records.append((15 << 28) | ((marker << 16) | now if kind.t3 else (now & ~0xF) | marker))
            else:
                records.append((1 << 31) | (marker << 25) | (now if kind.t3 else time))
            continue
        channel = int(generator.integers(1 if kind.picoharp and kind.t3 else 0, 4))
        records.append((channel << (28 if kind.picoharp else 25)) | time)
    return np.array(records, np.uint32)


@pytest.mark.parametrize("code", FORMATS, ids=[kind.name for kind in FORMATS.values()])
def test_every_instrument_and_mode_is_decoded_like_ptufile(code: int, tmp_path: Path) -> None:
    kind = FORMATS[code]
    generator = np.random.Generator(np.random.PCG64(code))
    global_s, fine_s = (12.49631371e-9, 16e-12) if kind.t3 else (4e-12, 4e-12)
    records = random_records(code, generator)
    path = made_file(tmp_path / "made.ptu", code, records, global_s=global_s, fine_s=fine_s)
    with ptufile.PtuFile(path) as file:
        theirs = file.decode_records()
    theirs = theirs[theirs["channel"] >= 0]
    if kind.t3:
        stamps = np.floor(theirs["time"] * (global_s * 1e12) + theirs["dtime"] * 16.0 + 0.5).astype(np.int64)
    else:
        stamps = theirs["time"].astype(np.int64) * 4
    order = np.argsort(stamps, kind="stable")
    chunks = list(read_ptu(path, 1024))
    ours = np.concatenate([chunk.timestamps_ps for chunk in chunks])
    channels = np.concatenate([chunk.channels for chunk in chunks])
    np.testing.assert_array_equal(ours, stamps[order])
    np.testing.assert_array_equal(channels, theirs["channel"][order])
    for chunk, following in itertools.pairwise(chunks):
        assert chunk.end_ps == following.begin_ps


def test_recorded_sync_pulses_have_a_channel_of_their_own(tmp_path: Path) -> None:
    records = np.array([(1 << 31) | 5, (0 << 25) | 7, (1 << 25) | 9], np.uint32)
    path = made_file(tmp_path / "sync.ptu", 0x00010207, records, global_s=1e-12, fine_s=1e-12)
    channels = np.concatenate([c.channels for c in read_ptu(path)])
    assert channels.tolist() == [SYNC_CHANNEL, 0, 1]


def test_days_of_sync_pulses_keep_their_picosecond(tmp_path: Path) -> None:
    """3e12 sync pulses of 12.5003 ns (10 hours): a product in floating point is wrong by ps."""
    overflow = np.full(3, (1 << 31) | (63 << 25) | 1023, np.uint32)
    period_ps = 12500.25
    records = np.concatenate([np.tile(overflow, 1000), np.array([(2 << 10) | 1], np.uint32)])
    path = made_file(tmp_path / "long.ptu", 0x00010307, records, global_s=period_ps * 1e-12, fine_s=16e-12)
    (stamp,) = np.concatenate([c.timestamps_ps for c in read_ptu(path)])
    pulses = 3000 * 1023 * 1024 + 1
    assert int(stamp) == (pulses * 1250025 + 3200 + 50) // 100


def test_stamps_that_run_backwards_are_refused(tmp_path: Path) -> None:
    records = np.concatenate([np.arange(5000, 7000), np.arange(10, 20)]).astype(np.uint32)
    path = made_file(tmp_path / "back.ptu", 0x00010207, records, global_s=1e-12, fine_s=1e-12)
    with pytest.raises(
        InputError, match=r"back\.ptu: .* backwards: 10 ps comes after 6999 ps.*copy it again"
    ):
        list(read_ptu(path))


def test_stamps_beyond_64_bits_are_refused(tmp_path: Path) -> None:
    """Each overflow stands for 2^50 ps; 8192 of them reach 2^63."""
    overflows = np.full(8300, 0xFFFFFFFF, np.uint32)
    records = np.insert(overflows, [1, 8195], [5, 7]).astype(np.uint32)
    path = made_file(tmp_path / "far.ptu", 0x00010207, records, global_s=1e-12, fine_s=1e-12)
    with pytest.raises(InputError, match=r"far\.ptu: .* backwards: -"):
        list(read_ptu(path, 1 << 18))


def test_an_unknown_record_type_or_unit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.ptu"
    path.write_bytes(header(0x00090909, 0, global_s=1e-12, fine_s=1e-12))
    with pytest.raises(InputError, match="0x00090909"):
        ptu_info(path)
    path.write_bytes(header(0x00010207, 0, global_s=1.3e-12, fine_s=1e-12))
    with pytest.raises(InputError, match="time unit"):
        ptu_info(path)


def test_the_record_lasts_as_long_as_it_was_set_to(tmp_path: Path) -> None:
    path = tmp_path / "set.ptu"
    records = np.array([100, 200], "<u4")
    path.write_bytes(header(0x00010207, 2, global_s=1e-12, fine_s=1e-12, stop_ms=3) + records.tobytes())
    chunks = list(read_ptu(path))
    assert (chunks[0].begin_ps, chunks[-1].end_ps) == (0, 3 * 10**9)


T2, T3 = 0x01010204, 0x01010304


@pytest.mark.parametrize(
    ("code", "changed", "message"),
    [
        (T3, {"mode": 2}, "Measurement_Mode 2 is T2"),
        (T2, {"mode": 3}, "Measurement_Mode 3 is T3"),
        (T3, {"global_s": 1e-12, "fine_s": 16e-12}, "sync period 1 ps and resolution 16 ps"),
        (T2, {"global_s": math.nan}, "MeasDesc_GlobalResolution is nan"),
        (T2, {"global_s": math.inf}, "MeasDesc_GlobalResolution is inf"),
        (T3, {"fine_s": math.nan}, "MeasDesc_Resolution is nan"),
        (T2, {"n_records": 2}, "header says 2 records .* holds 4"),
        (T2, {"n_records": -5}, "header says -5 records"),
    ],
)
def test_a_header_that_cannot_be_true_is_refused(
    tmp_path: Path, code: int, changed: dict[str, Any], message: str
) -> None:
    sound: dict[str, Any] = {"n_records": 4, "global_s": 1e-12 if code == T2 else 12.5e-9, "fine_s": 1e-12}
    path = tmp_path / "changed.ptu"
    records = np.arange(4, dtype="<u4").tobytes()
    path.write_bytes(header(code, **sound) + records)
    assert ptu_info(path).n_records == 4
    path.write_bytes(header(code, **{**sound, **changed}) + records)
    with pytest.raises(InputError, match=rf"changed\.ptu: .*{message}"):
        ptu_info(path)


@pytest.mark.parametrize("keep", [10, 30, 100, 300])
def test_a_header_cut_short_is_named_so(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.ptu"
    path.write_bytes(header(T2, 0, global_s=1e-12, fine_s=1e-12)[:keep])
    with pytest.raises(InputError, match=r"cut\.ptu: the PTU header is truncated or damaged \(copy it again"):
        ptu_info(path)


@pytest.mark.parametrize("reason", [0, 1])
def test_stamps_beyond_the_time_of_the_measurement_mean_damage(tmp_path: Path, reason: int) -> None:
    """Bytes of 0xFF are overflows of 2^25 - 1 rounds of 2^25 ps each: 1126 s, the first one."""
    path = tmp_path / "flipped.ptu"
    for records, stop_ms, sound in (
        ([100, 0xFFFFFFFF, 200], 3, False),
        ([100, 0xFFFFFFFF, 200], 0, True),
        ([100, 0xFFFFFFFF, 200], 1_200_000, True),
        ([100, 0xFFFFFFFF, 200], 1_100_000, False),
    ):
        body = np.array(records, "<u4").tobytes()
        path.write_bytes(header(T2, 3, global_s=1e-12, fine_s=1e-12, stop_ms=stop_ms, reason=reason) + body)
        if sound:
            tags = np.concatenate([c.timestamps_ps for c in read_ptu(path)])
            assert tags.tolist() == [100, (2**25 - 1) * 2**25 + 200]
            continue
        with pytest.raises(InputError, match=r"flipped\.ptu: a time stamp at 1125\.900 s .* damaged"):
            list(read_ptu(path))
