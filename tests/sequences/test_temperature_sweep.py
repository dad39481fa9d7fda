"""The sweep's file: what it may say, and how its mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

import sequences
from labctl.engine.sequence_file import load_sequence
from labctl.errors import InputError
from sequences import temperature_sweep

FILE = Path(sequences.__file__).with_name("temperature_sweep.toml")


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = FILE.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / "night.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_the_shipped_file_cools_from_300_to_80_K_in_at_least_eight_points() -> None:
    temperatures_K = load_sequence(FILE).parameters.stage.temperatures_K
    assert len(temperatures_K) >= 8
    assert temperatures_K[0] == 300.0
    assert temperatures_K[-1] == 80.0
    assert temperatures_K == sorted(temperatures_K, reverse=True)


def test_the_shipped_file_soaks_for_the_papers_time_and_keeps_twenty_blocks() -> None:
    parameters = load_sequence(FILE).parameters
    assert parameters.stage.soak_s == 180.0
    assert parameters.g2.frames >= 20


def test_the_schedule_counts_ramps_settling_and_exposures() -> None:
    parameters = load_sequence(FILE).parameters
    steps = temperature_sweep.schedule(parameters, start_K=300.0)
    stage = [step for step in steps if step.label.startswith("stage to")]
    ramp_s = 220.0 / parameters.stage.rate_K_per_min * 60.0
    waits_s = len(stage) * (parameters.stage.settle_s + parameters.stage.soak_s)
    assert sum(step.expected_s for step in stage) == pytest.approx(ramp_s + waits_s)
    g2 = [step.expected_s for step in steps if step.label == "g2"]
    assert len(g2) == len(parameters.stage.temperatures_K)
    assert min(g2) >= parameters.g2.frame_s * parameters.g2.frames
    dark = [step.expected_s for step in steps if step.label == "counter background"]
    assert dark == [parameters.g2.frame_s * parameters.g2.background_frames] * len(g2)


def test_what_nobody_moved_the_fibre_for_is_counted_on_the_way_back() -> None:
    shipped = load_sequence(FILE).parameters
    stage = shipped.stage.model_copy(update={"temperatures_K": [300.0, 200.0, 100.0]})
    p = shipped.model_copy(update={"stage": stage})
    later: list[temperature_sweep.Wanted] = [(T, ("spectrum", "g2")) for T in (200.0, 100.0)]

    there = temperature_sweep._steps_left(p, 0, later, {"g2"}, [(300.0, ("g2",))], way_back=False)
    back = temperature_sweep._steps_left(p, 3, [(200.0, ("g2",))], {"g2"}, [(100.0, ("g2",))], way_back=True)

    # Two spectra on the way there; g2 at 100, 200 and 300 K on the way back: 200 K there, 200 K back.
    labels = [(step.label, step.point) for step in there if step.label in ("spectrum", "g2")]
    assert labels == [("spectrum", 1), ("spectrum", 2), ("g2", 3), ("g2", 4), ("g2", 5)]
    ramps_s = 400.0 / p.stage.rate_K_per_min * 60.0
    waits_s = 5 * (p.stage.settle_s + p.stage.soak_s)
    moves_s = sum(step.expected_s for step in there if step.label.startswith("stage to"))
    assert moves_s == pytest.approx(ramps_s + waits_s)
    assert back == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('sequence = "temperature_sweep"', 'sequence = "os"', "no such sequence 'os'"),
        ("soak_s = 180.0", 'soak_s = "3 min"', "stage.soak_s: input should be a valid number"),
        ("soak_s = 180.0", "soak_min = 3.0", "stage.soak_min: unknown key; did you mean soak_s"),
        ("frames = 40", "frames = 5", "g2.frames: input should be greater than or equal to 20"),
        ("bin_ps = 32 ", "bin_ps = 33 ", "window_ps must be a whole number of bins of 33 ps"),
        ("voltage_kV = 40.0", "voltage_V = 40000", "beam.voltage_V: unknown key; did you mean voltage_kV"),
        ("[beam]", "[bean]", "bean: unknown key; did you mean beam?"),
    ],
)
def test_a_mistake_names_file_line_and_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(InputError) as caught:
        load_sequence(path)
    message = str(caught.value)
    assert words in message
    line = next(n for n, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if new in text)
    section_lines = (line, *range(line - 6, line))
    assert any(f"night.toml:{number}:" in message for number in section_lines)
