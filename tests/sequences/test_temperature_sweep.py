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
