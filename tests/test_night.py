"""The first night from end to end: wire, driver, engine, disk, fit, number with error bar."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sequences
import simulators
from labctl.cli.main import main
from labctl.photons.tag_file import read_tags
from labctl.rig import simulation
from labctl.store.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[1]
SWEEP = Path(sequences.__file__).with_name("temperature_sweep.toml")
RIG = Path(simulators.__file__).with_name("rig.toml")
RESULTS = ("red_shift_eV", "coupled_fraction", "tau_fast_s", "tau_slow_s")


def sequence_file(folder: Path, **changes: object) -> Path:
    """The shipped sweep with some keys changed (a key's last word is unique in the file)."""
    lines = SWEEP.read_text(encoding="utf-8").splitlines()
    for key, value in changes.items():
        found = [number for number, line in enumerate(lines) if line.startswith(f"{key} =")]
        for number in found:
            lines[number] = f"{key} = {json.dumps(value)}"
        assert found, key
    path = folder / "night.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def short(folder: Path, **changes: object) -> Path:
    """A night of a few points that takes seconds."""
    settings: dict[str, object] = {
        "temperatures_K": [100.0, 80.0],
        "rate_K_per_min": 30.0,
        "settle_s": 20.0,
        "soak_s": 20.0,
        "frame_s": 1.0,
        "dark_frames": 2,
    }
    return sequence_file(folder, **(settings | changes))


def labctl(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    """Run a command with ``--json`` in this process; standard output must be the one object."""
    code = main([*(str(argument) for argument in arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_fit_gives_back_what_the_sample_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At the shipped exposures, at temperatures with no, some and much coupled light."""
    file = sequence_file(tmp_path, temperatures_K=[300.0, 140.0, 80.0])
    code, result = labctl(capsys, "run", file, "--simulate", "--data", tmp_path / "runs")
    assert code == 0
    assert result["state"] == "done"
    assert result["safe"]
    assert [point["set_point_K"] for point in result["points"]] == pytest.approx(
        [300.0, 140.0, 80.0], abs=0.1
    )
    for point in result["points"]:
        for name in RESULTS:
            if point[name]["value"] is not None:
                assert abs(point[name]["sigmas"]) < 3.0, (point["temperature_K"], name, point[name])
    cold = result["points"][-1]
    # The paper's values and errors for coupled and uncoupled light under X-rays at 80 K.
    assert cold["tau_fast_s"]["value"] == pytest.approx(0.24e-9, abs=0.02e-9)
    assert cold["tau_slow_s"]["value"] == pytest.approx(0.74e-9, abs=0.12e-9)
    assert cold["coupled_fraction"]["value"] == pytest.approx(0.56, abs=0.01)
    assert result["points"][0]["coupled_fraction"]["value"] is None
    assert Path(result["figure"]).stat().st_size > 50_000
    # Counted with the beam off: the dark counts of the detectors in the rig file, and their after-pulses.
    for rate_Hz in RunDirectory.open(Path(result["run"])).read_point(2).background_Hz:
        assert rate_Hz == pytest.approx(25.25, abs=4.0 * (25.25 / 12.0) ** 0.5)

    # What the models leave over is noise: pulls of unit width.
    kept = json.loads((Path(result["run"]) / "fits" / "point_002.json").read_text(encoding="utf-8"))
    for part in ("spectrum", "g2"):
        pulls = np.asarray(kept["residuals"][part]["pull"])
        assert len(pulls) > 100
        assert np.std(pulls) == pytest.approx(1.0, abs=0.15)

    code, again = labctl(capsys, "fit", result["run"])
    assert code == 0
    for live, refit in zip(result["points"], again["points"], strict=True):
        assert {name: refit[name]["value"] for name in RESULTS} == {
            name: live[name]["value"] for name in RESULTS
        }


def test_what_a_person_sets_by_hand_is_asked_for_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = tmp_path / "rig.toml"
    text = RIG.read_text(encoding="utf-8").replace('driver = "kymera-flipper"', 'driver = "manual"')
    text = re.sub(
        r'driver = "spellman"\naddress = .*\nmodel = .*\nreply_timeout_s = .*\n', 'driver = "manual"\n', text
    )
    assert text.count('driver = "manual"') == 2
    table = '[by_hand.iris]\ntitle = "collection iris"\nunit = "um"\nminimum = 13\nmaximum = 50\n'
    rig.write_text(text.replace("\n[simulation]\n", f"\n{table}\n[simulation]\n"), encoding="utf-8")
    file = short(tmp_path, temperatures_K=[290.0])
    asked = file.read_text(encoding="utf-8") + "\n[by_hand]\niris = 28.0\n"
    file.write_text(asked, encoding="utf-8")
    arguments = ("--simulate", "--rig", rig, "--data", tmp_path / "runs")
    code, result = labctl(capsys, "run", file, *arguments)
    assert code == 0, result
    point = RunDirectory.open(Path(result["run"])).read_point(0)
    assert point.readings["iris_value"] == {"value": 28.0, "unit": "um", "source": "entered"}
    assert point.readings["xray_tube_voltage_kV"] == {"value": 40.0, "unit": "kV", "source": "entered"}
    # Light came: the person at the simulated tube's panel had switched it on.
    assert result["points"][0]["tau_slow_s"]["sigmas"] is not None
    assert result["safe"]
    assert point.spectrum is not None
    assert point.pairs is not None

    file.write_text(asked.replace("28.0", "99.0"), encoding="utf-8")
    code, result = labctl(capsys, "run", file, *arguments)
    assert code == 2
    assert "by_hand.iris: 99 um is outside 13.0 to 50.0 um" in result["error"]


def test_what_nobody_came_for_is_measured_on_the_way_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator sleeps while the stage cools: spectra going down, g2 coming up, fitted together."""
    beam_while_asked = []

    class Sleeper(simulation.SimulatedOperator):
        asked = 0

        def ask(self, question: str, timeout_s: float, **more: Any) -> Any:
            beam_while_asked.append(self._world.truth()["hv_on"])
            Sleeper.asked += more["wanted"] == "counters"
            if Sleeper.asked == 1 and more["wanted"] == "counters":
                self._clock.sleep(timeout_s)
                return "timeout"
            return super().ask(question, timeout_s, **more)

        def __init__(self, world: Any, clock: Any) -> None:
            super().__init__(world, clock)
            self._world = world

    monkeypatch.setattr(simulation, "SimulatedOperator", Sleeper)
    rig = tmp_path / "rig.toml"
    text = RIG.read_text(encoding="utf-8")
    rig.write_text(text.replace('driver = "kymera-flipper"', 'driver = "manual"'), encoding="utf-8")
    file = short(tmp_path, temperatures_K=[110.0, 100.0])
    code, result = labctl(capsys, "run", file, "--simulate", "--rig", rig, "--data", tmp_path / "runs")
    assert code == 0, result
    run = RunDirectory.open(Path(result["run"]))
    points = [run.read_point(index) for index in run.point_indexes()]
    assert [round(point.set_point_K) for point in points] == [110, 100, 100, 110]
    assert [point.pairs is None for point in points] == [True, True, False, False]
    assert [point.readings.get("spectrum_of_point", {}).get("value") for point in points] == [
        None,
        None,
        1,
        0,
    ]
    assert np.array_equal(points[0].spectrum.frames, points[3].spectrum.frames)
    for row in result["points"][2:]:
        for name in ("tau_fast_s", "tau_slow_s"):
            assert abs(row[name]["sigmas"]) < 4.0
    assert not any(beam_while_asked)


def tags_of(run: str) -> list[np.ndarray]:
    folders = sorted((Path(run) / "tags").iterdir())
    return [np.concatenate([chunk.timestamps_ps for chunk in read_tags(folder)]) for folder in folders]


def test_a_seed_is_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = short(tmp_path, temperatures_K=[250.0], frames=20)
    runs = []
    for seed in (5, 5, 6):
        code, result = labctl(capsys, "run", file, "--simulate", "--seed", seed, "--data", tmp_path / "runs")
        assert code == 0
        runs.append(result)
    first, same, other = (tags_of(run["run"]) for run in runs)
    assert len(first) == 2  # with and without the beam
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert runs[0]["points"] == runs[1]["points"]
    slow = [run["points"][0]["tau_slow_s"] for run in (runs[0], runs[2])]
    assert slow[0]["value"] != slow[1]["value"]
    assert abs(slow[0]["value"] - slow[1]["value"]) < 4 * np.hypot(slow[0]["error"], slow[1]["error"])


def test_ctrl_c_leaves_the_rig_safe_and_the_data_readable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = short(tmp_path, temperatures_K=[300.0, 290.0, 280.0])
    process = start(file, tmp_path / "runs")
    wait_for_events(tmp_path / "runs", 12)
    process.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGINT)
    output, words = process.communicate(timeout=200)
    assert process.returncode == 130, words
    assert "Traceback" not in words
    result = json.loads(output)
    assert result["state"] == "stopped"
    assert result["safe"]
    assert "The beam is off and the stage is held." in words
    run = RunDirectory.open(Path(result["run"]))
    assert run.state.name == "stopped"
    last = [document for name, document in run.documents().documents if name == "stop"]
    assert len(last) == 1


def test_a_killed_run_is_called_interrupted_and_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = short(tmp_path, temperatures_K=[300.0, 290.0, 280.0])
    process = start(file, tmp_path / "runs")
    wait_for_events(tmp_path / "runs", 40)
    process.kill()
    process.communicate(timeout=200)
    code, listing = labctl(capsys, "runs", "--data", tmp_path / "runs")
    assert code == 0
    assert [run["state"] for run in listing["runs"]] == ["interrupted"]
    run = RunDirectory.open(next(path for path in (tmp_path / "runs").iterdir() if path.is_dir()))
    events = [document for name, document in run.documents().documents if name == "event"]
    assert len(events) >= 35  # the log also holds start and descriptor documents
    pairs = [event for event in events if "counters_pairs" in event["data"]]
    recorded = sum(int(event["data"]["counters_start_tags"]) for event in pairs)
    kept = sum(np.count_nonzero(chunk.channels == 1) for chunk in read_tags(run.tags_folder(0)))
    first = [event for event in pairs if event["data"]["point_value"] == 0]
    assert kept >= sum(int(event["data"]["counters_start_tags"]) for event in first[:-1])
    assert recorded > 0


def start(file: Path, runs: Path) -> subprocess.Popen[str]:
    arguments = ["run", str(file), "--simulate", "--data", str(runs), "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "labctl", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def wait_for_events(runs: Path, number: int) -> None:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        for log in runs.glob("*/documents.jsonl"):
            if log.read_bytes().count(b"\n") > number:
                return
        time.sleep(0.05)
    pytest.fail("the run did not get that far")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"temperatures_K": [300.0, 60.0]}, "60 K is outside the stage's limits"),
        ({"voltage_kV": 60.0}, "voltage 60 kV is outside"),
        ({"current_uA": 800.0}, "current 800 uA"),
        ({"rate_K_per_min": 60.0}, "60 K/min is more than the stage's limit"),
        ({"name": "xray-Q"}, "no simulated sample 'xray-Q'"),
    ],
)
def test_what_the_rig_cannot_do_is_said_before_anything_moves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], words: str
) -> None:
    file = short(tmp_path, **changes)
    code, result = labctl(capsys, "run", file, "--simulate", "--data", tmp_path / "runs")
    assert code == 2
    assert words in result["error"]
    assert f"{file}:" in result["error"]
    assert not (tmp_path / "runs").exists()


def test_a_port_in_use_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        rig = tmp_path / "rig.toml"
        text = RIG.read_text(encoding="utf-8").rstrip()
        rig.write_text(f"{text}\nlinkam_port = {port}\n", encoding="utf-8")
        code, result = labctl(capsys, "run", short(tmp_path), "--simulate", "--rig", rig)
    assert code == 2
    assert f"127.0.0.1:{port}" in result["error"]


def test_a_rig_that_is_not_there_names_every_instrument_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, result = labctl(capsys, "run", short(tmp_path), "--rig", RIG, "--data", tmp_path / "runs")
    assert code == 1
    for instrument in ("xray_tube", "cryostage", "spectrometer", "time_tagger", "light_path"):
        assert f"\n  {instrument}: " in result["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "night.toml"], "--simulate"),
        (["run", "nothing.toml", "--simulate"], "nothing.toml: no such file"),
        (["sweep", "--speed", "-1"], "--speed: -1: a number from 0"),
        (["sweep", "--seed", "-1"], "--seed: -1: a whole number from 0"),
        (["unknown"], "invalid choice"),
        (["run", "night.toml", "--rig", "r.toml", "--seed", "3"], "--simulate"),
    ],
)
def test_wrong_words_end_with_code_2_and_one_object(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    code, result = labctl(capsys, *arguments)
    assert code == 2
    assert words in result["error"]
    assert result["exit_code"] == 2
