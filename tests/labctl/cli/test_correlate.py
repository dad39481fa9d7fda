"""`labctl correlate` on a real file and on wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drivers.time_tagger.base import TagChunk
from labctl.cli.main import main
from labctl.photons.tag_file import TagWriter
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
    for wanted in ("49591", "159298", "224721", "2 pairs", "0.004", "far level", "total count rates"):
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
    assert figure.exists()


@real_data
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--channels", "0,1", "--bin-ps", "17"], "try --range-ns"),
        (["--channels", "0,1", "--bin-ps", "0"], "positive"),
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
