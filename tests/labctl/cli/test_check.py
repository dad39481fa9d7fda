"""``labctl check``: every instrument is asked, what fails does not stop the others, nothing is switched."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import simulators
from labctl.cli import check as command
from labctl.cli.output import Output
from labctl.errors import InputError

RIG = Path(simulators.__file__).with_name("rig.toml")


def call(*words: str, as_json: bool = False) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = Output(as_json=as_json)
    said = io.StringIO()
    out.console = Console(file=said, width=120, highlight=False)
    return command.run(parser.parse_args(words), out), said.getvalue()


def with_faults(tmp_path: Path, faults: str) -> str:
    text = RIG.read_text(encoding="utf-8")
    path = tmp_path / "rig.toml"
    path.write_text(
        text.replace("\n[simulation]\n", f"\n[simulation]\nfaults = [{faults}]\n"), encoding="utf-8"
    )
    return str(path)


def test_simulated_rig_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = call("--simulate", as_json=True)
    assert code == 0
    assert "All instruments are there and well." in text
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert result["well"] is True
    stage = next(entry for entry in result["instruments"] if entry["instrument"] == "cryostage")
    assert stage["identity"]["model"] == "T95 with THMS350V"
    assert stage["status"]["temperature"]["unit"] == "K"
    assert stage["status"]["temperature"]["source"] == "measured"
    assert stage["limits"]["maximum_rate_K_per_min"] == 30.0
    tube = next(entry for entry in result["instruments"] if entry["instrument"] == "xray_tube")
    assert tube["status"]["beam_on"] is False


def test_faults_are_found_and_named(tmp_path: Path) -> None:
    rig = with_faults(tmp_path, '{ name = "interlock.open" }, { name = "stage.sensor_open" }')
    code, text = call(rig, "--simulate")
    assert code == 1
    assert "the interlock is open" in text
    assert "sensor open" in text
    assert "Not well: xray_tube, cryostage." in text
    assert "spectrometer (andor): ok" in text


def test_an_instrument_that_is_gone_does_not_stop_the_others(tmp_path: Path) -> None:
    rig = with_faults(tmp_path, '{ name = "cryostage.port_gone" }')
    code, text = call(rig, "--simulate")
    assert code == 1
    assert "cryostage (linkam-t95): NOT WELL" in text
    assert "Connection reset" in text or "connect" in text
    assert "time_tagger (swabian): ok" in text


def test_a_stage_behind_the_vendor_library_is_checked_too(tmp_path: Path) -> None:
    text = RIG.read_text(encoding="utf-8")
    begin = text.index("[cryostage]")
    end = text.index("[spectrometer]")
    path = tmp_path / "rig.toml"
    path.write_text(f'{text[:begin]}[cryostage]\ndriver = "linkam-sdk"\n\n{text[end:]}', encoding="utf-8")
    code, said = call(str(path), "--simulate")
    assert code == 0
    assert "T96-S with HFS350EV-PB4" in said
    assert "vacuum: 100 mbar (measured)" in said


def test_real_rig_that_is_not_there_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    text = RIG.read_text(encoding="utf-8").replace("socket://127.0.0.1:50002", "/dev/no-such-port")
    path.write_text(text, encoding="utf-8")
    code, said = call(str(path))
    assert code == 1
    assert "no-such-port" in said
    assert "See 'labctl devices'" in said
    assert "Traceback" not in said


def test_without_a_file_it_says_how() -> None:
    with pytest.raises(InputError, match="labctl check RIG"):
        call()


def test_the_messages_of_each_line_can_be_shown_and_saved(tmp_path: Path) -> None:
    folder = tmp_path / "traffic"
    code, shown = call("--simulate", "--traffic", "--save-traffic", str(folder))
    assert code == 0
    assert "Last messages of cryostage:" in shown
    saved = {path.stem for path in folder.iterdir()}
    assert saved == {"xray_tube", "cryostage", "spectrometer", "time_tagger"}
    lines = (folder / "cryostage.txt").read_text(encoding="utf-8").splitlines()
    # The first bytes that a T95 hears on a new line are T and CR.
    sent = [line.split("\t")[2] for line in lines if "\tsent\t" in line]
    assert sent[0] == "54 0d"
