"""Decay curves against counting by hand and closed forms; Edinburgh exports against a real file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.time_tagger.base import Gap, TagChunk
from labctl.errors import InputError
from labctl.photons.decay import DecayHistogram
from labctl.photons.edinburgh import read_edinburgh

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
EXPORT = DATA / "edinburgh_trpl_export.csv"
real_data = pytest.mark.skipif(not EXPORT.exists(), reason="../shared/data is not beside the repository")


def by_hand(
    stamps: np.ndarray, channels: np.ndarray, delay: int, bins: int, bin_ps: int, first_only: bool, hole: int
) -> list[int]:
    counts = [0] * bins
    pieces = [(0, hole), (hole, 10**9)]
    for begin, end in pieces:
        inside = (stamps >= begin) & (stamps < end)
        pulses = [int(t) for t in stamps[inside & (channels == 1)]]
        photons = sorted(int(t) + delay for t in stamps[inside & (channels == 2)])
        used: set[int] = set()
        for photon in photons:
            before = [k for k, pulse in enumerate(pulses) if pulse <= photon]
            if not before or (first_only and before[-1] in used):
                continue
            used.add(before[-1])
            slot = (photon - pulses[before[-1]]) // bin_ps
            if slot < bins:
                counts[slot] += 1
    return counts


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(1, 999), max_size=5),
    delay=st.integers(-60, 60),
    first_only=st.booleans(),
    hole=st.integers(1, 999),
)
def test_every_bin_equals_counting_by_hand(
    seed: int, cuts: list[int], delay: int, first_only: bool, hole: int
) -> None:
    generator = np.random.Generator(np.random.PCG64(seed))
    stamps = np.unique(generator.integers(0, 1000, 80)).astype(np.int64)
    channels = generator.choice(np.array([1, 2, 3], np.int32), len(stamps))
    histogram = DecayHistogram(1, 2, range_ps=60, bin_ps=4, photon_delay_ps=delay, first_only=first_only)
    edges = [0, *sorted(set(cuts)), 1000]
    for k in range(len(edges) - 1):
        low, high = np.searchsorted(stamps, edges[k : k + 2])
        gaps = (Gap(hole, hole),) if edges[k] <= hole < edges[k + 1] else ()
        histogram.push(TagChunk(stamps[low:high], channels[low:high], edges[k], edges[k + 1], gaps))
    curve = histogram.curve()
    assert curve.counts.tolist() == by_hand(stamps, channels, delay, 15, 4, first_only, hole)
    assert curve.pulses == np.count_nonzero(channels == 1)
    assert curve.photons == np.count_nonzero(channels == 2)
    assert curve.live_ps == 1000


def test_bins_and_channels_that_make_no_curve_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fill"):
        DecayHistogram(1, 2, range_ps=10, bin_ps=3)
    with pytest.raises(ValueError, match="different channels"):
        DecayHistogram(1, 1, range_ps=10, bin_ps=5)


@real_data
def test_the_real_export_is_read_with_its_unit_and_counts() -> None:
    (scan,) = read_edinburgh(EXPORT)
    assert (scan.label, scan.kind, scan.x_quantity, scan.x_unit) == (
        "15 wt% in mCP",
        "Time Scan",
        "Time",
        "ns",
    )
    curve = scan.decay()
    assert len(curve.counts) == 2048
    assert (int(curve.counts.sum()), int(curve.counts.max())) == (170_813, 20_000)
    assert curve.bin_ps == pytest.approx(9765.625, rel=1e-6)
    assert scan.header["stop"] == "19990.234000"


SPECTRUM = "Labels\tone\ttwo\t\nType\tEmission Scan\tEmission Scan\t\nXaxis\tWavelength\tWavelength\t\n"
SPECTRUM += "Yaxis\tCounts\tCounts\t\nFixed/Offset\t350.00\t360.00\t\n\n"
SPECTRUM += "375.0\t10774.1357\t1.5\t\n376.0\t10104.75\t\t\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_several_curves_with_blank_cells_and_any_encoding(
    tmp_path: Path, encoding: str, newline: str
) -> None:
    path = tmp_path / "spectra.txt"
    path.write_bytes(SPECTRUM.replace("one", "Probe µ").replace("\n", newline).encode(encoding))
    first, second = read_edinburgh(path)
    assert (first.label, second.label) == ("Probe µ", "two")
    np.testing.assert_allclose(first.counts, [10774.1357, 10104.75])
    np.testing.assert_allclose(second.x, [375.0])
    assert (first.x_quantity, first.x_unit, second.header["fixed/offset"]) == ("Wavelength", "nm", "360.00")
    with pytest.raises(InputError, match="not a decay"):
        first.decay()


@pytest.mark.parametrize(("unit", "ps"), [("ns", 1e3), ("us", 1e6), ("ms", 1e9), ("µs", 1e6)])
def test_units_of_time(tmp_path: Path, unit: str, ps: float) -> None:
    path = tmp_path / "decay.csv"
    path.write_text(
        f"Labels,a,\nType,Time Scan,\nXAxis,Time({unit}),\n\n0,4,\n0.9765625,1,\n1.953125,2,\n",
        encoding="utf-8",
    )
    curve = read_edinburgh(path)[0].decay()
    assert curve.bin_ps == pytest.approx(0.9765625 * ps)
    assert curve.counts.tolist() == [4, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"EAI Multiple Scans\0\r\n\0\0", "binary file"),
        (b"a,b\n1,2\n", "not a text export"),
        (b"Type,Time Scan,\nXAxis,Time(ns),\n\n1,2,\n2,x,\n", ":5: '2,x' is not a row"),
        (b"Type,Time Scan,\nXAxis,Time(ns),\n", "no data"),
    ],
)
def test_what_is_no_export_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_edinburgh(path)


def test_uneven_steps_and_corrected_counts_are_no_decay(tmp_path: Path) -> None:
    path = tmp_path / "uneven.csv"
    path.write_text("Type,Time Scan,\nXAxis,Time(ns),\n\n0,4,\n1,1,\n5,2,\n", encoding="utf-8")
    with pytest.raises(InputError, match="not equal"):
        read_edinburgh(path)[0].decay()
    path.write_text("Type,Time Scan,\nXAxis,Time(ns),\n\n0,4.5,\n1,1,\n2,2,\n", encoding="utf-8")
    with pytest.raises(InputError, match="not photon counts"):
        read_edinburgh(path)[0].decay()


def scan_text(counts: list[str], stop: str = "9", step: str = "1") -> str:
    head = f"Type,Time Scan,\nStart,0.00,\nStop,{stop},\nStep,{step},\nXAxis,Time(ns),\n\n"
    return head + "".join(f"{k},{n},\n" for k, n in enumerate(counts))


def test_an_export_that_ends_before_its_stop_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv"
    whole = scan_text(["3"] * 10)
    path.write_text(whole, encoding="utf-8")
    assert read_edinburgh(path)[0].decay().counts.sum() == 30
    path.write_text("\n".join(whole.split("\n")[:13]) + "\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"cut\.csv: curve: .*0 to 9 ns, its 7 rows go from 0 to 6 \(line 13\)"
    ):
        read_edinburgh(path)
    # A range that is no multiple of the step, and a header in other units than the rows, are whole.
    for stop, step in (("9.7", "1"), ("9000", "1000")):
        path.write_text(scan_text(["3"] * 10, stop, step), encoding="utf-8")
        assert len(read_edinburgh(path)[0].x) == 10


def test_a_shorter_curve_beside_a_longer_one_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    head = (
        "Type,Emission Scan,Emission Scan,\nStart,400,400,\nStop,409,409,\nXaxis,Wavelength,Wavelength,\n\n"
    )
    rows = "".join(f"{400 + k},{k},{k if k < 5 else ''},\n" for k in range(10))
    path.write_text(head + rows, encoding="utf-8")
    assert [len(scan.x) for scan in read_edinburgh(path)] == [10, 5]


# Each is what is left of a row "6,37,": a number of its own, another number, and a position alone.
@pytest.mark.parametrize("rest", ["6,37", "6,3", "6"])
def test_an_export_cut_within_a_row_is_refused_with_its_line(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "cut.csv"
    path.write_text(scan_text(["30"] * 6, "6") + rest, encoding="utf-8")
    with pytest.raises(InputError, match=rf"cut\.csv:13: .* '{rest}', it looks cut off"):
        read_edinburgh(path)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (["4", "-5", "2"], r"bad\.csv:8: -5: corrected or negative .* counts$"),
        (["4.5", "1", "2"], r"bad\.csv:7: 4\.5: corrected or negative .* counts$"),
        (["4", "1", "3.7"], r"bad\.csv:9: 3\.7: .* counts; it is the last row: the file may be cut off"),
    ],
)
def test_counts_that_are_none_are_named_with_their_line(
    tmp_path: Path, counts: list[str], message: str
) -> None:
    path = tmp_path / "bad.csv"
    # No comma closes the rows and no line end the file, so that nothing but the number tells a cut.
    path.write_text(scan_text(counts, "2").replace(",\n", "\n").rstrip("\n"), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_edinburgh(path)[0].decay()
