"""`labctl correlate` on a real file and on wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drivers.time_tagger.base import TagChunk
from labctl.cli import long_delay
from labctl.cli.main import main
from labctl.cli.output import Output
from labctl.photons.correlator import Pair
from labctl.photons.log_lags import LogG2
from labctl.photons.log_record import correlate_log
from labctl.photons.reanalysis import Request
from labctl.photons.sources import open_source
from labctl.photons.tag_file import TagWriter
from labctl.store.point import PointData
from labctl.store.run_directory import RunDirectory

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
DOT = DATA / "hydraharp_t2_quantum_dot_hbt.ptu"
real_data = pytest.mark.skipif(not DOT.exists(), reason="../shared/data is not beside the repository")


@real_data
def test_it_prints_pairs_rates_dip_and_both_normalisations_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["correlate", str(DOT), "--channels", "0,1", "--bin-ps", "16", "--range-ns", "160"]) == 0
    words = capsys.readouterr().out
    for wanted in (
        "49591",
        "159298",
        "224721",
        "2 pairs",
        "0.0038 +- 0.0027",
        "3.1281",
        "far level",
        "total",
    ):
        assert wanted in words
    assert (tmp_path / "hydraharp_t2_quantum_dot_hbt_g2.png").read_bytes().startswith(b"\x89PNG")


@real_data
def test_with_json_it_gives_the_same_numbers_as_one_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "g2.png"
    assert main(["correlate", str(DOT), "--channels", "0,1", "--out", str(figure), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["pairs"], result["start_tags"], result["stop_tags"]) == (49_591, 159_298, 224_721)
    feature = result["feature"]
    assert feature["delay_ns"] == pytest.approx(23.98, abs=0.06)
    assert feature["pairs"] == 2
    assert feature["g2_far_level"] == pytest.approx(0.004, abs=0.0005)
    assert feature["g2_far_level_error"] + 0.0005 > 0.003 and feature["g2_far_level_below"] < 0.0125
    assert feature["period_ns"] == pytest.approx(3.1281, abs=4 * feature["period_error_ns"] + 5e-5)
    assert figure.exists()


@real_data
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threads", "0"], "--threads: 0: a whole number from 1 is expected"),
        (["--channels", "0,1", "--bin-ps", "17"], "try --range-ns"),
        (["--channels", "0,1", "--bin-ps", "0"], "--bin-ps: 0: a whole number from 1"),
        (["--channels", "0"], "two channels"),
        (["--channels", "0,x"], "'x' is no channel"),
        ([], "--channels START,STOP is needed"),
        (["--channels", "0,5"], "channel 5 never fires"),
        (["--channels", "0,1", "--out", "absent/g2.png"], "does not exist"),
    ],
)
def test_wrong_options_are_told_in_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["correlate", str(DOT), *options]) == 2
    assert message in capsys.readouterr().err


def test_wrong_files_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"empty.ptu": (b"", "empty"), "text.csv": (b"a,b\n1,2\n", "not a file of time tags")}
    files["text.ptu"] = (b"a,b\n1,2\n", "not a PTU file")
    for name, (content, message) in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert main(["correlate", str(path), "--channels", "0,1"]) == 2
        assert message in capsys.readouterr().err
    assert main(["correlate", str(tmp_path / "absent.ptu"), "--channels", "0,1"]) == 2
    assert "no such file" in capsys.readouterr().err


def test_negative_channels_and_folders_without_tags_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["correlate", str(tmp_path), "--channels", "-1,-2"]) == 2
    assert "--channels=-1,-2" in capsys.readouterr().err
    assert main(["correlate", str(tmp_path), "--channels=-1,-2"]) == 2
    assert "a folder without tag segments" in capsys.readouterr().err


def test_a_run_is_found_by_name_and_its_points_can_be_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDirectory.create(tmp_path / "runs", "night", {})
    for point in (0, 3):
        with TagWriter(run.tags_folder(point), channels={"A": 1, "B": 2}, attributes={}) as writer:
            stamps = np.array([1000, 1100, 5000, 5100 + point], np.int64)
            writer.write(TagChunk(stamps, np.array([1, 2, 1, 2], np.int32), 0, 10_000))
    run.close()
    words = ["correlate", "last", "--data", str(tmp_path / "runs"), "--range-ns", "1", "--bin-ps", "1"]
    words += ["--out", str(tmp_path / "g2.png"), "--json"]
    assert main(words) == 2
    assert "tags of points 0, 3" in capsys.readouterr().out
    assert main([*words, "--point", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 2
    assert main([*words, "--point", "0", "--point", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 4
    lines = (tmp_path / "g2.csv").read_text(encoding="utf-8").splitlines()
    counted = {float(x.split(",")[0]): int(x.split(",")[1]) for x in lines if x[0] in "-0123456789"}
    assert {t: n for t, n in counted.items() if n} == {0.1: 3, 0.103: 1}
    # A window ten times as long as the record.
    assert main([*words, "--point", "3", "--range-ns", "100"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["pairs"], result["far_level"]) == (4, None)
    assert main([*words, "--point", "7"]) == 2
    assert "no tags of point 7" in capsys.readouterr().out


@real_data
def test_ranges_blocks_pairs_and_log_lags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["correlate", str(DOT), "--channels", "0,1", "--out", str(tmp_path / "g2.png"), "--json"]
    pairs = 0
    for begin, end in ((0, 0.4), (0.4, 1.0)):
        assert main([*words, "--from-s", str(begin), "--to-s", str(end), "--block-s", "0.1"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["time_blocks"] == round((end - begin) / 0.1)
        pairs += int(result["pairs"])
    assert 49_580 <= pairs <= 49_591
    assert main([*words, "--channels", "0,0", "--threads", "2"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [r["stop_channel"] for r in result["results"]] == [1, 0]
    assert (tmp_path / "g2_0_0.csv").exists()
    assert main([*words, "--log", "--longest-s", "0.01"]) == 0
    lines = (tmp_path / "g2.csv").read_text(encoding="utf-8").splitlines()
    assert float(lines[-1].split(",")[2]) >= 0.01
    for wrong in (["--to-s", "0"], ["--block-s", "0"], ["--from-s", "5"], ["--log", "--longest-s", "-1"]):
        assert main([*words, *wrong]) == 2
        capsys.readouterr()


def made(folder: Path, stamps: list[np.ndarray], end_ps: int, **attributes: object) -> Path:
    """A record of detectors A, B, ... with these stamps."""
    channels = np.concatenate([np.full(len(part), number, np.int32) for number, part in enumerate(stamps, 1)])
    merged = np.concatenate(stamps).astype(np.int64)
    order = np.argsort(merged, kind="stable")
    names = {chr(64 + number): number for number in range(1, len(stamps) + 1)}
    with TagWriter(folder, channels=names, attributes=attributes) as writer:
        writer.write(TagChunk(merged[order], channels[order], 0, end_ps))
    return folder


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Ten seconds of bursts (mu = 0.2) over 2000 background counts/s, and five seconds of the background."""
    folder = tmp_path_factory.mktemp("light")
    generator = np.random.Generator(np.random.PCG64(1))
    hits = generator.random(generator.poisson(10 * 20_000)) * 1e13
    stamps, dark = [], []
    for _ in range(2):
        photons = np.repeat(hits, generator.poisson(0.2, len(hits)))
        photons = photons + generator.exponential(500.0, len(photons))
        stray = generator.random(generator.poisson(10 * 2000)) * 1e13
        both = np.concatenate([photons, stray])
        stamps.append(both[both < 1e13])
        dark.append(generator.random(generator.poisson(5 * 2000)) * 5e12)
    return made(folder / "light", stamps, 10**13), made(folder / "dark", dark, 5 * 10**12)


def test_a_dark_record_gives_g2_of_the_signal_alone_and_the_true_mu(
    light: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bright, dark = map(str, light)
    words = ["correlate", bright, "--range-ns", "50", "--bin-ps", "50", "--out", str(tmp_path / "g2.png")]
    assert main([*words, "--background-from", dark, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    share, burst = result["background"], result["photons_per_burst"]
    # 4000 signal and 2000 background counts a second.
    assert share["start_signal_share"] == pytest.approx(2 / 3, abs=4 * share["start_signal_share_error"])
    assert share["start_Hz"] == pytest.approx(2000, abs=4 * share["start_error_Hz"])
    assert burst["start"] == pytest.approx(0.2, abs=4 * burst["start_error"])
    feature = result["feature"]
    excess = feature["g2_total_rate"] - 1
    assert feature["signal"]["g2_total_rate"] - 1 == pytest.approx(excess / share["signal_pair_share"])
    header = [x for x in (tmp_path / "g2.csv").read_text(encoding="utf-8").splitlines() if x[:5] == "delay"]
    assert header[0].endswith("g2_signal,g2_signal_error,g2_signal_common_error")
    assert main([*words, "--background", "A=2000+-20,B=2000"]) == 0
    assert "of the signal alone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("25", "2 rates are wanted, 1 are given"),
        ("25,x", "give counts per second"),
        ("-5,5", "give counts per second"),
        ("25,A=5", "name all channels or none"),
        ("A=25", "no rate is given for channel 2"),
        ("A=25,C=5", "'C' is no channel"),
        ("1e6,5", "must lie between 0 and its count rate"),
    ],
)
def test_wrong_backgrounds_are_told(
    option: str,
    message: str,
    light: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["correlate", str(light[1]), f"--background={option}", "--out", str(tmp_path / "g2.png")]
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_records_with_other_settings_are_not_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stamps = [np.array([1000, 5000]), np.array([1100, 5100])]
    first = str(made(tmp_path / "a", stamps, 10_000, sample="B"))
    other = str(made(tmp_path / "b", stamps, 10_000, sample="C"))
    turned = str(made(tmp_path / "c", [stamps[0], stamps[0], stamps[1]], 10_000))
    words = [
        "--channels",
        "1,2",
        "--range-ns",
        "1",
        "--bin-ps",
        "1",
        "--out",
        str(tmp_path / "g.png"),
        "--json",
    ]
    assert main(["correlate", first, other, *words]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert f"sample is B in {first} and C in {other}" in error
    assert main(["correlate", first, other, "--add-anyway", *words]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 4
    assert main(["correlate", first, turned, *words]) == 0
    capsys.readouterr()
    assert main(["correlate", first, first, *words]) == 2
    assert "given twice" in capsys.readouterr().out


def test_points_of_another_temperature_are_not_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunDirectory.create(tmp_path / "runs", "night", {})
    for point, kelvin in enumerate((80.0, 80.4, 100.0)):
        stamps = [np.array([1000, 5000]), np.array([1100, 5100])]
        made(run.tags_folder(point), stamps, 10_000)
        run.write_point(PointData(point, kelvin, kelvin, 0.01, 40.0, 300.0, 0.0, 1.0, None, None))
    run.close()
    words = ["correlate", "last", "--data", str(tmp_path / "runs"), "--range-ns", "1", "--bin-ps", "1"]
    words += ["--out", str(tmp_path / "g2.png"), "--json", "--point", "0"]
    assert main([*words, "--point", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 4
    assert main([*words, "--point", "2"]) == 2
    assert "temperature (K) is 80 in" in json.loads(capsys.readouterr().out)["error"]


def test_log_lags_of_two_records_and_two_pairs_are_the_sums(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.Generator(np.random.PCG64(7))
    names = []
    for name in "ab":
        stamps = [np.sort(generator.integers(0, 10**9, 3000)) for _ in range(2)]
        names.append(str(made(tmp_path / name, stamps, 10**9)))
    pairs = (Pair(1, 2), Pair(2, 2))

    def counted(*sources: str) -> list[tuple[LogG2, LogG2]]:
        records = [(open_source(name).read, lambda tags: None) for name in sources]
        return correlate_log(records, pairs, 10**7)[0]

    both = counted(*names)
    for one, other, added in zip(counted(names[0]), counted(names[1]), both, strict=True):
        for k in (0, 1):
            assert added[k].pairs.sum() > 1000
            np.testing.assert_array_equal(added[k].pairs, one[k].pairs + other[k].pairs)
            np.testing.assert_allclose(added[k].expected, one[k].expected + other[k].expected)
    words = ["--log", "--longest-s", "1e-5", "--channels", "A,B", "--channels", "B,B", "--json"]
    assert main(["correlate", *names, *words, "--out", str(tmp_path / "g.png")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [Path(part["table"]).name for part in result["results"]] == ["g.csv", "g_2_2.csv"]
    table = np.genfromtxt(result["results"][0]["table"], delimiter=",", skip_header=4)
    np.testing.assert_array_equal(table[:, 4], np.concatenate([side.pairs for side in both[0]]))


def test_a_record_too_short_for_log_lags_still_gives_its_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = made(tmp_path / "short", [np.array([100, 900]), np.array([110, 905])], 1000)
    words = ["correlate", str(short), "--log", "--longest-s", "1e-6", "--out", str(tmp_path / "g.png")]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs_counted"] == 4


def test_log_lags_refuse_a_delay_that_holds_most_of_the_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 2000 tags of a channel each second: 1000 of them lie within 0.5 s.
    both = np.arange(4000, dtype=np.int64) * 500_000_000
    record = made(tmp_path / "steady", [both, both + 7], 2 * 10**12)
    command = ["correlate", str(record), "--log", "--longest-s", "1e-6", "--out", str(tmp_path / "a.png")]
    assert main([*command, "--delay-ps", "-510000000000"]) == 2
    assert "delay of -510000000000 ps is too long" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()
    assert main([*command, "--delay-ps", "1000000"]) == 0


def test_a_delay_that_passes_most_pairs_is_told_or_refused_before_the_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # 2000 tags of a channel each second: each of 4000 starts has 1000 stops within 0.5 s.
    both = np.arange(4000, dtype=np.int64) * 500_000_000
    record = made(tmp_path / "steady", [both, both + 7], 2 * 10**12)
    command = ["correlate", str(record), "--out", str(tmp_path / "a.png")]
    assert main([*command, "--delay-ps", "2100000000000"]) == 2
    assert "lasts 2 s, and no two of its tags are 2.1 s apart; the delay is in ps" in capsys.readouterr().err
    monkeypatch.setattr(long_delay, "_TOLD", 1.9e6)
    monkeypatch.setattr(long_delay, "_REFUSED", 3.9e6)
    assert main([*command, "--delay-ps", "-500000000000"]) == 2
    assert "(0.5 s): 4e+06 pairs of tags lie within" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()
    # Half of the record has half of the starts.
    for delay_ps, words in ((-500_000_000_000, "2e+06 pairs of tags lie within"), (50_000_000_000, "")):
        request = Request((Pair(1, 2, delay_ps),), 160_000, 16, end_ps=10**12)
        long_delay.weigh_delay([open_source(record)], request, Output(as_json=False))
        said = capsys.readouterr().out
        assert words in said and bool(words) == bool(said)
