"""`labctl tags`: check, salvage, import, export, diagnose, decay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet
import pytest

from drivers.time_tagger.base import Gap, TagChunk
from labctl.cli.main import main
from labctl.config import Counters
from labctl.photons.tag_file import TagWriter, read_tags, tag_info

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
DOT = DATA / "hydraharp_t2_quantum_dot_hbt.ptu"
EXPORT = DATA / "edinburgh_trpl_export.csv"
TAGS = 5000
real_data = pytest.mark.skipif(not DOT.exists(), reason="../shared/data is not beside the repository")


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Three frames of two steady channels."""
    folder = tmp_path / "tags"
    generator = np.random.Generator(np.random.PCG64(1))
    begin = 0
    with TagWriter(folder, channels={"A": 1, "B": 2}, attributes={"rig": "made"}, flush_s=0.0) as writer:
        for _ in range(3):
            stamps = begin + np.cumsum(generator.exponential(1e6, TAGS)).astype(np.int64)
            end = int(stamps[-1]) + 1
            writer.write(TagChunk(stamps, generator.choice(np.array([1, 2], np.int32), TAGS), begin, end))
            begin = end
    return folder


def damage(folder: Path, frame: int) -> None:
    path = folder / "tags-00001.h5"
    with h5py.File(path, "r") as file:
        place = file["step_ps"].id.get_chunk_info(frame)
    data = bytearray(path.read_bytes())
    data[place.byte_offset + place.size // 2] ^= 0x10
    path.write_bytes(bytes(data))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object], str]:
    code = main(["tags", *words, "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


def test_a_whole_record_is_called_whole(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result, words = run(capsys, "check", str(record))
    assert (code, result["whole"], result["tags"], result["gaps"]) == (0, True, 3 * TAGS, 0)
    assert "whole" in words


def test_damage_is_found_named_and_the_rest_saved(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = list(read_tags(record))
    damage(record, 1)
    code, result, words = run(capsys, "check", str(record))
    assert (code, result["whole"], result["tags_lost"]) == (1, False, TAGS)
    assert "frame 1 of 3 is damaged" in words
    code, result, _ = run(capsys, "salvage", str(record), str(tmp_path / "saved"))
    assert (code, result["tags"], result["tags_lost"]) == (0, 2 * TAGS, TAGS)
    saved = list(read_tags(tmp_path / "saved"))
    kept = [whole[0], whole[2]]
    np.testing.assert_array_equal(
        np.concatenate([c.timestamps_ps for c in saved]), np.concatenate([c.timestamps_ps for c in kept])
    )
    (gap,) = (gap for chunk in saved for gap in chunk.gaps)
    assert gap == Gap(whole[1].begin_ps, whole[1].end_ps)
    assert run(capsys, "check", str(tmp_path / "saved"))[0] == 0
    assert run(capsys, "salvage", str(record), str(tmp_path / "saved"))[0] == 2
    # Half a table would pass for a whole one.
    assert run(capsys, "export", str(record), str(tmp_path / "a.csv"))[0] == 2
    assert not (tmp_path / "a.csv").exists()


def test_a_missing_segment_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with TagWriter(tmp_path / "t", channels={}, attributes={}, segment_s=1e-9, flush_s=0) as writer:
        for k in range(4):
            stamps = np.array([k * 10_000 + 5])
            writer.write(TagChunk(stamps, np.array([1], np.int32), k * 10_000, (k + 1) * 10_000))
    (tmp_path / "t" / "tags-00002.h5").unlink()
    code, result, words = run(capsys, "check", str(tmp_path / "t"))
    assert code == 1
    assert "segment 2 is missing" in str(result["damage"])
    assert (result["holes_ps"], result["pauses_ps"]) == ([[10_000, 20_000]], [])
    assert (result["tags_lost"], result["segments_lost"]) == (None, ["tags-00002.h5"])
    assert "at least 1 segment, number of tags unknown (tags-00002.h5)" in words


@pytest.mark.parametrize("harm", ["emptied", "signature"])
def test_an_unreadable_segment_is_a_loss_of_unknown_size(
    harm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TagWriter(tmp_path / "t", channels={}, attributes={}, segment_s=1e-9, flush_s=0) as writer:
        for k in range(3):
            stamps = np.array([k * 10_000 + 5])
            writer.write(TagChunk(stamps, np.array([1], np.int32), k * 10_000, (k + 1) * 10_000))
    path = tmp_path / "t" / "tags-00002.h5"
    content = path.read_bytes()
    path.write_bytes(b"" if harm == "emptied" else content[:3] + b"V" + content[4:])
    for words in (["check", str(tmp_path / "t")], ["salvage", str(tmp_path / "t"), str(tmp_path / "saved")]):
        _, result, said = run(capsys, *words)
        assert (result["tags"], result["tags_lost"]) == (2, None)
        assert result["segments_lost"] == ["tags-00002.h5"]
        assert "at least 1 segment, number of tags unknown" in said
        assert "tags-00002.h5: not a readable HDF5 file (truncated or damaged)" in said
    (gap,) = (gap for chunk in read_tags(tmp_path / "saved") for gap in chunk.gaps)
    assert gap == Gap(10_000, 20_000)


def test_what_is_left_of_a_truncated_segment_is_saved(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = list(read_tags(record))
    path = record / "tags-00001.h5"
    with h5py.File(path, "r") as file:
        place = file["step_ps"].id.get_chunk_info(2)
    os.truncate(path, place.byte_offset + place.size // 2)
    code, result, words = run(capsys, "check", str(record))
    assert (code, result["tags"], result["tags_lost"]) == (1, 2 * TAGS, TAGS)
    assert "tags-00001.h5: truncated" in words
    code, result, _ = run(capsys, "salvage", str(record), str(tmp_path / "saved"))
    assert (code, result["tags"], result["tags_lost"]) == (0, 2 * TAGS, TAGS)
    assert tag_info(tmp_path / "saved").channels == {"A": 1, "B": 2}
    for name in ("timestamps_ps", "channels"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(chunk, name) for chunk in read_tags(tmp_path / "saved")]),
            np.concatenate([getattr(chunk, name) for chunk in whole[:2]]),
        )


def test_pauses_between_frames_are_one_line_and_stay_pauses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TagWriter(tmp_path / "t", channels={}, attributes={}, flush_s=0) as writer:
        for begin, end in ((0, 10**12), (3 * 10**12, 4 * 10**12), (5 * 10**12, 6 * 10**12)):
            writer.write(TagChunk(np.array([begin + 5]), np.array([1], np.int32), begin, end))
    code, result, words = run(capsys, "check", str(tmp_path / "t"))
    assert (code, result["holes_ps"], result["gaps"]) == (0, [], 0)
    assert "2 pauses between frames, 3 s in all (longest 2 s)" in words
    assert "hole of" not in words
    run(capsys, "salvage", str(tmp_path / "t"), str(tmp_path / "saved"))
    again = run(capsys, "check", str(tmp_path / "saved"))[1]
    assert (again["pauses_ps"], again["gaps"]) == (result["pauses_ps"], 0)


def test_nothing_there_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check", str(tmp_path / "absent"))[0] == 2
    assert run(capsys, "check", str(tmp_path))[0] == 2
    assert run(capsys, "salvage", str(tmp_path), str(tmp_path / "x"))[0] == 2
    (tmp_path / "a.ptu").write_bytes(b"PQTTTR\0\0")
    code, result, _ = run(capsys, "check", str(tmp_path / "a.ptu"))
    assert code == 2 and "only tag segments carry checksums" in str(result["error"])
    (tmp_path / "notes.txt").write_text("time,channel", encoding="utf-8")
    code, result, _ = run(capsys, "check", str(tmp_path / "notes.txt"))
    assert code == 2 and "not a tag segment" in str(result["error"])


def test_csv_and_photon_hdf5_hold_every_tag(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tags = list(read_tags(record))
    stamps = np.concatenate([c.timestamps_ps for c in tags])
    channels = np.concatenate([c.channels for c in tags])
    assert run(capsys, "export", str(record), str(tmp_path / "a.csv"))[0] == 0
    table = np.loadtxt(tmp_path / "a.csv", np.int64, delimiter=",", skiprows=1)
    np.testing.assert_array_equal(table, np.column_stack([stamps, channels]))
    assert run(capsys, "export", str(record), str(tmp_path / "a.photon.h5"))[0] == 0
    with h5py.File(tmp_path / "a.photon.h5", "r") as file:
        np.testing.assert_array_equal(file["photon_data/timestamps"][()], stamps)
        numbers = file["setup/detectors/id_hardware"][()]
        np.testing.assert_array_equal(numbers[file["photon_data/detectors"][()]], channels)
        assert file["photon_data/timestamps_specs/timestamps_unit"][()] == 1e-12
    assert run(capsys, "export", str(record), str(tmp_path / "a.csv"))[0] == 2
    assert run(capsys, "export", str(record), str(tmp_path / "a.xyz"))[0] == 2


PHCONVERT = """
import sys, tables
from phconvert.hdf5 import assert_valid_photon_hdf5
for name in sys.argv[1:]:
    with tables.open_file(name) as file:
        assert_valid_photon_hdf5(file, require_rootformat=True)
"""


def test_phconvert_accepts_the_photon_hdf5_file(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single = tmp_path / "single"
    with TagWriter(single, channels={"only": -3}, attributes={}) as writer:
        writer.write(TagChunk(np.array([1, 2]), np.array([-3, -3], np.int32), 0, 10))
    targets = [str(tmp_path / "two.photon.h5"), str(tmp_path / "one.photon.h5")]
    for source, target in zip((record, single), targets, strict=True):
        assert run(capsys, "export", str(source), target, "--description", "test")[0] == 0
    # In a process of its own, without compilation: importing phconvert compiles for seconds.
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PHCONVERT, *targets],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=True,
        timeout=200,
    )


def test_parquet_holds_every_tag_or_says_what_is_missing(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(capsys, "export", str(record), str(tmp_path / "a.parquet"))[0] == 0
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    np.testing.assert_array_equal(
        table["time_ps"].to_numpy(), np.concatenate([c.timestamps_ps for c in read_tags(record)])
    )
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, result, _ = run(capsys, "export", str(record), str(tmp_path / "b.parquet"))
    assert code == 2 and "pip install pyarrow" in str(result["error"])
    assert not (tmp_path / "b.parquet").exists()


@real_data
def test_an_imported_file_gives_the_same_tags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result, _ = run(capsys, "import", str(DOT), str(tmp_path / "dot"))
    assert (code, result["tags"], result["channels"]) == (0, 384_019, [0, 1])
    assert main(["correlate", str(tmp_path / "dot"), "--out", str(tmp_path / "g2.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 49_591
    assert run(capsys, "import", str(tmp_path / "dot"), str(tmp_path / "again"))[0] == 2
    assert run(capsys, "import", str(DOT), str(tmp_path / "dot"))[0] == 2


def test_a_steady_run_is_diagnosed(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result, words = run(capsys, "diagnose", str(record), "--range-ns", "200")
    assert code == 0
    assert result["level"] == pytest.approx(1, abs=4 * float(str(result["level_error"])))
    assert result["cross_talk"] == []
    assert "no cross-talk" in words
    assert run(capsys, "diagnose", str(record), "--channels", "1,1")[0] == 2
    code, result, _ = run(capsys, "diagnose", str(record), "--channels", "1,7")
    assert code == 2 and "channel 7 never fires" in str(result["error"])


def test_decays_of_tags_and_of_exports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.Generator(np.random.PCG64(5))
    pulses = np.arange(100, dtype=np.int64) * 100_000
    photons = pulses + generator.exponential(3000, 100).astype(np.int64)
    stamps = np.concatenate([pulses, photons])
    order = np.argsort(stamps, kind="stable")
    channels = np.repeat(np.array([9, 4], np.int32), 100)[order]
    with TagWriter(tmp_path / "uv", channels={"laser": 9, "spad": 4}, attributes={}) as writer:
        writer.write(TagChunk(stamps[order], channels, 0, 10_000_000))
    code, result, _ = run(
        capsys, "decay", str(tmp_path / "uv"), "--channels", "laser,spad", "--range-ns", "100"
    )
    assert code == 0
    (curve,) = result["curves"]  # type: ignore[misc]
    assert (curve["label"], curve["photons"], curve["pulses"], curve["fit"]) == ("uv", 100, 100, None)
    table = np.genfromtxt(tmp_path / "uv_decay.csv", delimiter=",", skip_header=1)[:, 2]
    np.testing.assert_array_equal(table, np.histogram(photons - pulses, np.arange(0, 100_001, 100))[0])
    assert run(capsys, "decay", str(tmp_path / "uv"), "--channels", "9,4", "--bin-ps", "7")[0] == 2
    assert run(capsys, "decay", str(tmp_path / "uv"), "--channels", "9,5")[0] == 2
    if EXPORT.exists():
        code, result, _ = run(capsys, "decay", str(EXPORT))
        (curve,) = result["curves"]  # type: ignore[misc]
        assert (code, curve["label"], curve["photons"]) == (0, "15 wt% in mCP", 170_813)


@pytest.fixture
def start_stop(tmp_path: Path) -> tuple[Path, Path]:
    """0.5 photons of 2 ns per laser pulse through a response of 0.3 ns, and that response alone."""
    generator = np.random.Generator(np.random.PCG64(9))
    pulses = np.arange(100_000, dtype=np.int64) * 50_000
    folders = []
    for name, lifetime_ps, mean in (("uv", 2000.0, 0.5), ("irf", 0.0, 0.2)):
        photons = np.repeat(pulses, generator.poisson(mean, len(pulses))).astype(float)
        photons += 3000 + generator.exponential(300.0, len(photons))
        photons += generator.exponential(lifetime_ps, len(photons)) if lifetime_ps else 0.0
        stray = generator.random(500) * float(pulses[-1])
        stamps = np.concatenate([pulses, photons.astype(np.int64), stray.astype(np.int64)])
        order = np.argsort(stamps, kind="stable")
        channels = np.repeat(np.array([9, 4], np.int32), [len(pulses), len(photons) + 500])[order]
        with TagWriter(tmp_path / name, channels={"laser": 9, "spad": 4}, attributes={}) as writer:
            writer.write(TagChunk(stamps[order], channels, 0, len(pulses) * 50_000))
        folders.append(tmp_path / name)
    return folders[0], folders[1]


def test_the_lifetime_follows_with_measured_response_and_pile_up(
    start_stop: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    record, response = map(str, start_stop)
    words = ["--channels", "laser,spad", "--range-ns", "60", "--first-only", "--lifetimes", "1"]
    code, result, said = run(capsys, "decay", record, *words, "--response", response)
    assert code == 0 and (tmp_path / "uv_decay.png").exists()
    fit = result["curves"][0]["fit"]  # type: ignore[index]
    (lifetime,) = fit["lifetimes_ns"]
    assert lifetime["value"] == pytest.approx(2.0, abs=4 * lifetime["error"])
    assert lifetime["error"] < 0.03
    assert fit["goodness"]["p_value"] > 1e-3
    assert "first photons only" in said and "one every 50 ns" in said
    # The table of the response serves as well as its tags.
    table = tmp_path / "irf.csv"
    assert run(capsys, "decay", response, *words[:-2], "--out", str(table))[0] == 0
    again = run(capsys, "decay", record, *words, "--response", str(table))[1]
    assert again["curves"][0]["fit"]["lifetimes_ns"][0] == pytest.approx(lifetime)  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lifetimes", "0"], "a number from 1 to 4, or auto"),
        (["--response-sigma-ps", "50"], "say --lifetimes N"),
        (["--lifetimes", "1", "--response-sigma-ps", "-1"], "must be positive"),
        (["--lifetimes", "1", "--response-sigma-ps", "1e30"], "wider than the curve"),
        (["--range-ns", "0"], "--range-ns 0"),
        (["--range-ns", "1e9"], "too many"),
        (["--lifetimes", "1", "--response", "absent"], "no such file"),
        (["--lifetimes", "1", "--fit-from-ns", "200"], "leave no bin"),
        (["--lifetimes", "1", "--out", "absent/x.csv"], "does not exist"),
    ],
)
def test_wrong_options_of_a_decay_are_told(
    options: list[str], message: str, start_stop: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, result, _ = run(capsys, "decay", str(start_stop[1]), "--channels", "laser,spad", *options)
    assert code == 2 and message in str(result["error"])


def test_the_response_of_two_counters_is_measured_and_the_rig_file_takes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.Generator(np.random.PCG64(8))
    pulses = np.arange(60_000) * 50_000 + 1000
    stamps = [pulses + generator.normal(0, 40, 60_000), pulses + 700 + generator.normal(0, 40, 60_000)]
    stamps = [part[generator.random(60_000) < 0.4].astype(np.int64) for part in stamps]
    merged = np.concatenate(stamps)
    order = np.argsort(merged, kind="stable")
    channels = np.repeat(np.array([1, 2], np.int32), [len(part) for part in stamps])[order]
    with TagWriter(tmp_path / "laser", channels={"spad_1": 1, "spad_2": 2}, attributes={}) as writer:
        writer.write(TagChunk(merged[order], channels, 0, 60_000 * 50_000))
    figure = tmp_path / "r.png"
    code, result, words = run(capsys, "response", str(tmp_path / "laser"), "--out", str(figure))
    assert code == 0 and figure.exists() and "pulses every 50 ns" in words
    sigma, delay = result["response_sigma_ps"], result["delay_ps"]
    assert isinstance(sigma, dict) and isinstance(delay, dict)
    assert sigma["value"] == pytest.approx(np.sqrt(2) * 40, abs=4 * sigma["error"])
    assert delay["value"] == pytest.approx(700, abs=4 * delay["error"])
    assert sigma["error"] < 1 and result["tails"] is None
    lines = "\n".join(result["rig_file"])  # type: ignore[arg-type]
    assert tomllib.loads(lines)["time_tagger"]["channels"]["spad_2"]["delay_ps"] == round(-delay["value"])
    counters = tomllib.loads(lines)["counters"]
    assert Counters(start="spad_1", stop="spad_2", **counters).response_sigma_s == pytest.approx(
        56.6e-12, rel=0.02
    )
    # A pulse of 100 ps full width adds 2 * (100 / 2.3548)^2 to the variance.
    code, result, _ = run(
        capsys, "response", str(tmp_path / "laser"), "--out", str(figure), "--pulse-fwhm-ps", "60"
    )
    narrower = result["response_sigma_ps"]
    assert isinstance(narrower, dict)
    assert narrower["value"] == pytest.approx(np.sqrt(sigma["value"] ** 2 - 2 * (60 / 2.3548) ** 2), rel=1e-4)
    assert run(capsys, "response", str(tmp_path / "laser"), "--pulse-fwhm-ps", "500")[0] == 2
    assert run(capsys, "response", str(tmp_path / "laser"), "--range-ns", "0.4")[0] == 2


def test_steady_light_is_no_pulse(record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, result, _ = run(capsys, "response", str(record), "--out", str(tmp_path / "r.png"))
    assert code == 2 and "no peak" in str(result["error"])


def test_a_rig_file_without_any_response_is_refused() -> None:
    with pytest.raises(ValueError, match="the timing response is missing"):
        Counters(start="a", stop="b", detector_jitter_fwhm_ps=50.0)


def test_a_response_in_the_same_export_is_used_for_the_fit_and_else_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.Generator(np.random.PCG64(11))
    edges = np.arange(0.0, 50.05, 0.1)
    pulse = 5 + generator.exponential(0.4, 300_000) + generator.normal(0, 0.1, 300_000)
    light = 5 + generator.exponential(0.4, 50_000) + generator.normal(0, 0.1, 50_000)
    light += generator.exponential(2.0, 50_000)
    curves = [np.histogram(part, edges)[0] for part in (pulse, light)]
    head = "Labels,IRF,film,\nType,Instrument Response Time Scan,Time Scan,\nXAxis,Time(ns),Time(ns),\n\n"
    rows = "".join(f"{t:.4f},{a},{b},\n" for t, a, b in zip(edges[:-1], *curves, strict=True))
    (tmp_path / "x.csv").write_text(head + rows, encoding="utf-8")
    code, result, _ = run(capsys, "decay", "x.csv")
    assert (code, [curve["label"] for curve in result["curves"]]) == (0, ["IRF", "film"])  # type: ignore[union-attr,index]
    code, result, said = run(capsys, "decay", "x.csv", "--lifetimes", "auto")
    (curve,) = result["curves"]  # type: ignore[misc]
    (lifetime,) = curve["fit"]["lifetimes_ns"]
    assert code == 0 and curve["label"] == "film" and "IRF: taken as the instrument's response" in said
    assert lifetime["value"] == pytest.approx(2.0, abs=4 * lifetime["error"])
    assert lifetime["error"] < 0.02
