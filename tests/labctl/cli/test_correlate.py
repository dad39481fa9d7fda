"""`labctl correlate` on a real file and on wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.cli.main import main

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
