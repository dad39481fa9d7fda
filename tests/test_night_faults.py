"""Every fault of the list in the middle of a night: a clear end or a recovery, in time, with the tube off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import sequences
import simulators
from labctl.config import load_rig
from labctl.engine.night import Night, Outcome
from labctl.engine.sequence_file import Sequence, load_sequence
from labctl.rig.rig import Rig
from labctl.rig.simulation import Simulation
from labctl.rig.stop import StopFlag
from labctl.store.run_directory import RunDirectory
from simulators.faults import FAULTS

RIG = Path(simulators.__file__).with_name("rig.toml")
SWEEP = Path(sequences.__file__).with_name("temperature_sweep.toml")
SETTINGS = {
    "settle_s": "settle_s = 20.0",
    "soak_s": "soak_s = 10.0\nsettle_timeout_s = 300.0",
    "frame_s": "frame_s = 1.0",
    "frames =": "frames = 20",
    "dark_frames": "dark_frames = 2",
    "exposure_s": "exposure_s = 1.0",
}


class Ended(NamedTuple):
    outcome: Outcome
    points: list[Any]
    truth: dict[str, Any]


def sequence(folder: Path, temperatures_K: list[float]) -> Sequence:
    lines = SWEEP.read_text(encoding="utf-8").splitlines()
    for start, replacement in {**SETTINGS, "temperatures_K": f"temperatures_K = {temperatures_K}"}.items():
        lines = [replacement if line.startswith(start) else line for line in lines]
    path = folder / "night.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return load_sequence(path)


@pytest.fixture
def run_night(tmp_path: Path) -> Iterator[Any]:
    """Run a short night in which a fault begins with the first g2 frame; gives how it ended."""
    # A camera that is hardly cooled needs no long warm-up at the end.
    rig_file = tmp_path / "rig.toml"
    text = RIG.read_text(encoding="utf-8")
    assert "camera_temperature_C = -60.0" in text
    text = text.replace("camera_temperature_C = -60.0", "camera_temperature_C = -20.0")
    assert text.count("reply_timeout_s = 5.0 ") == 2

    def run(
        fault: str | dict[str, str], at: str = "", *, points: int = 1, patience: str = "5.0", **how: Any
    ) -> Ended:
        rig_file.write_text(text.replace("reply_timeout_s = 5.0 ", f"reply_timeout_s = {patience} "))
        config = load_rig(rig_file)
        night_sequence = sequence(tmp_path, [290.0, 280.0][:points])
        simulation = Simulation(config, sample="xray-B", seed=1, speed=0.0)
        with simulation as rig, rig:
            faults = {at: fault} if isinstance(fault, str) else fault
            return _run(rig, simulation, night_sequence, tmp_path, faults, how)

    yield run


def _run(
    rig: Rig,
    simulation: Simulation,
    night_sequence: Sequence,
    folder: Path,
    faults: dict[str, str],
    how: dict[str, Any],
) -> Ended:
    points: list[Any] = []
    stop = StopFlag()
    with RunDirectory.create(folder / "runs", "faults", {"title": "faults"}) as directory:
        night = Night(
            rig, night_sequence, directory, stop=stop, on_point=lambda point, fit: points.append(point)
        )
        to_come = dict(faults)

        def begin_fault(label: str) -> None:
            fault = to_come.pop(label, None)
            if fault is not None:
                simulation.link.faults.set(fault, **how)

        night.listen(begin_fault)
        night.start()
        ended = not night.running(wait_s=240.0)
        outcome = night.end()
        assert ended, "the night hung"
        assert not to_come, "the night ended before the fault began"
        return Ended(outcome, points, simulation.link.truth())


# What spoils a few answers is lived through; what lasts ends the night, or marks the data.
REPLY_FAULTS = sorted(name.split(".")[1] for name in FAULTS if name.startswith("tube.reply_"))
STEPS = ("stage to 290 K", "beam on", "dark frames", "spectrum", "g2", "beam off")


@pytest.mark.parametrize("instrument", ["cryostage", "tube"])
def test_spoilt_answers_cost_nothing(run_night: Any, instrument: str) -> None:
    """Lost, late, truncated, doubled, garbled: one of each, in different steps of one night."""
    assert len(REPLY_FAULTS) == 5
    ended = run_night(
        {step: f"{instrument}.{name}" for step, name in zip(STEPS, REPLY_FAULTS, strict=False)},
        count=1,
        # Given up soon, and asked again as often as a computer that is late itself may need.
        patience="0.7\nattempts = 10",
    )
    assert ended.outcome.state == "done", ended.outcome.message
    assert ended.outcome.safe
    assert len(ended.points) == 1
    assert not ended.truth["hv_on"]


LASTING = {
    "stage.heater_error": ("stage to 280 K", "cryostage"),
    "stage.sensor_open": ("g2", "cryostage"),
    "stage.ln2_empty": ("stage to 280 K", None),
    "stage.cannot_settle": ("stage to 280 K", "cryostage"),
    "interlock.open": ("g2", "xray_tube"),
    "tube.arc": ("g2", "xray_tube"),
    "tube.over_temperature": ("g2", "xray_tube"),
    "camera.acquisition_error": ("spectrum", "spectrometer"),
    "camera.port_gone": ("spectrum", "spectrometer"),
    "tagger.counter_dead": ("g2", "time_tagger"),
    "cryostage.port_gone": ("g2", "cryostage"),
}


@pytest.mark.parametrize("name", sorted(LASTING))
def test_a_lasting_fault_ends_the_night_with_the_tube_off(run_night: Any, name: str) -> None:
    at, instrument = LASTING[name]
    ended = run_night(name, at, points=2)
    assert not ended.truth["hv_on"]
    if instrument is None:
        return
    assert ended.outcome.state == "failed"
    assert instrument in ended.outcome.message
    assert "Traceback" not in ended.outcome.message
    if at != "spectrum":
        assert len(ended.points) >= 1, "what was measured before is kept"


def test_a_tube_that_cannot_be_reached_is_said_loudest(run_night: Any) -> None:
    ended = run_night("tube.port_gone", "g2")
    assert ended.outcome.state == "failed"
    assert not ended.outcome.safe
    steps = {step.what: step.error for step in ended.outcome.safety}
    assert "xray_tube" in steps["beam off"]
    assert steps["stage held"] == ""


# One fault of the camera and one of another instrument to a night: they meet in no step.
MARKED = [
    ("camera.cosmic_ray", "tagger.overflow"),
    ("camera.saturation", "tube.current_drift"),
    ("camera.not_stabilised", "stage.vacuum_lost"),
]


@pytest.mark.parametrize(("with_spectrum", "with_pairs"), MARKED)
def test_what_only_spoils_data_does_not_burn_anything(
    run_night: Any, with_spectrum: str, with_pairs: str
) -> None:
    ended = run_night({"spectrum": with_spectrum, "g2": with_pairs}, duration_s=15.0)
    assert ended.outcome.state == "done", ended.outcome.message
    assert ended.outcome.safe
    assert not ended.truth["hv_on"]
    assert len(ended.points) == 1
