"""Warming up after days of rest: the programme, what is remembered, and the driver that runs it."""

from __future__ import annotations

import json
import logging
import math
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.errors import InstrumentCancelledError, InterlockError, LimitError
from drivers.xray_tube.dose import DoseMeter
from drivers.xray_tube.history import TubeHistory
from drivers.xray_tube.spellman import SpellmanTube
from drivers.xray_tube.warm_up import DAY_s, hold_s, levels_kV, warm_up_steps
from simulators.faults import Fault


@pytest.mark.parametrize(
    ("days", "expected_s"),
    [(0.5, 0.0), (1.0, 30.0), (6.9, 30.0), (7.0, 120.0), (30.0, 300.0), (90.0, 600.0), (math.inf, 600.0)],
)
def test_the_longer_the_rest_the_longer_each_step(days: float, expected_s: float) -> None:
    assert hold_s(days * DAY_s) == expected_s


def test_steps_are_5_kV_apart_and_end_at_the_goal() -> None:
    assert levels_kV(50.0) == tuple(range(5, 51, 5))
    assert levels_kV(42.0) == (5, 10, 15, 20, 25, 30, 35, 40, 42)
    assert levels_kV(3.0) == (3.0,)
    assert levels_kV(0.0) == ()


def test_the_full_programme_of_public_50_kV_tubes() -> None:
    """5 to 50 kV in steps of 5 kV, 600 s each after the longest rest, a fifth of the current."""
    steps = warm_up_steps(50.0, rest_s=lambda level: math.inf, largest_current_uA=lambda level: 600.0)
    assert [step.voltage_kV for step in steps] == list(range(5, 51, 5))
    assert {step.hold_s for step in steps} == {600.0}
    assert {step.current_uA for step in steps} == {120.0}


def test_only_the_voltages_that_rested_are_warmed() -> None:
    rest = {True: 3600.0, False: 40 * DAY_s}
    steps = warm_up_steps(
        50.0, rest_s=lambda level: rest[level <= 20.0], largest_current_uA=lambda level: 100.0
    )
    assert [step.voltage_kV for step in steps] == [25, 30, 35, 40, 45, 50]
    assert {step.hold_s for step in steps} == {300.0}


def history(path: Path | None) -> TubeHistory:
    made = TubeHistory(path, DoseMeter())
    made.load()
    return made


def test_rest_is_counted_by_voltage(tmp_path: Path) -> None:
    tube = history(tmp_path / "tube.json")
    assert tube.rest_s(5.0, 1000.0) == math.inf
    tube.note_use(49.9, 1000.0)
    tube.note_use(20.1, 5000.0)
    assert tube.rest_s(50.0, 6000.0) == 5000.0
    assert tube.rest_s(25.0, 6000.0) == 5000.0
    assert tube.rest_s(24.9, 6000.0) == 1000.0
    assert tube.rest_s(20.0, 6000.0) == 1000.0
    assert tube.rest_s(5.0, 6000.0) == 1000.0


def test_it_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "tube.json"
    tube = history(path)
    tube.note_use(50.0, 1000.0)
    tube.save()
    assert history(path).rest_s(50.0, 1500.0) == 500.0
    assert [entry.name for entry in path.parent.iterdir()] == ["tube.json"]


def test_nothing_is_written_while_the_tube_is_not_used(tmp_path: Path) -> None:
    tube = history(tmp_path / "tube.json")
    tube.save()
    assert list(tmp_path.iterdir()) == []


def test_two_programmes_on_one_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tube.json"
    first, second = history(path), history(path)
    first.note_use(50.0, 1000.0)
    first.save()
    second.note_use(20.0, 2000.0)
    second.save()
    assert history(path).rest_s(50.0, 3000.0) == 2000.0
    assert history(path).rest_s(20.0, 3000.0) == 1000.0


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": 2}', '{"format": 1, "last_use_epoch_s": {"x": 1}}', "\xff\xfe"],
)
def test_a_broken_file_is_put_aside_and_the_tube_counts_as_unused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    path = tmp_path / "tube.json"
    path.write_bytes(content.encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        tube = history(path)
    assert tube.rest_s(5.0, 1e9) == math.inf
    assert "put aside" in caplog.text
    assert path.with_name("tube.json.unreadable").read_bytes() == content.encode("latin-1")


def test_a_file_that_cannot_be_written_is_only_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    tube = TubeHistory(tmp_path / "file" / "tube.json", DoseMeter())
    tube.note_use(50.0, 1000.0)
    with caplog.at_level(logging.WARNING):
        tube.save()
    assert "cannot be" in caplog.text


def rested(bench: Any, tmp_path: Path, days: float, **settings: Any) -> SpellmanTube:
    path = tmp_path / "tube.json"
    before = history(path)
    before.note_use(50.0, bench.clock.epoch_s() - days * DAY_s)
    before.save()
    driver: SpellmanTube = bench.driver(state_file=str(path), **settings)
    driver.open()
    return driver


def test_without_a_state_file_there_is_no_warm_up(bench: Any) -> None:
    assert bench.driver().warm_up_steps(50.0) == ()


def test_a_tube_of_yesterday_is_on_at_once(bench: Any, tmp_path: Path) -> None:
    driver = rested(bench, tmp_path, days=0.9)
    began_s = bench.world.now()
    driver.beam_on(50.0, 500.0)
    assert bench.world.now() - began_s < 40.0


def test_after_a_week_the_programme_runs_first(bench: Any, tmp_path: Path) -> None:
    driver = rested(bench, tmp_path, days=8.0)
    assert [step.hold_s for step in driver.warm_up_steps(40.0)] == [120.0] * 8
    began_s = bench.world.now()
    driver.beam_on(40.0, 500.0)
    assert bench.world.now() - began_s == pytest.approx(8 * 120.0, abs=90.0)
    seconds_at: dict[float, float] = {}
    for piece in bench.world.history(began_s, bench.world.now()):
        level = 5.0 * round(piece.voltage_kV / 5.0)
        if abs(piece.voltage_kV - level) < 0.1:
            seconds_at[level] = seconds_at.get(level, 0.0) + piece.end_s - piece.begin_s
    for level in range(5, 41, 5):
        assert seconds_at[level] > 119.0
    # Warm now, and remembered by the next programme.
    assert driver.warm_up_steps(40.0) == ()
    driver.close()
    again = bench.driver(state_file=str(tmp_path / "tube.json"))
    again.open()
    assert again.warm_up_steps(40.0) == ()
    assert [step.voltage_kV for step in again.warm_up_steps(50.0)] == [45.0, 50.0]


def test_refusing_says_how_long_it_would_take(bench: Any, tmp_path: Path) -> None:
    driver = rested(bench, tmp_path, days=100.0, warm_up="refuse")
    sent = len(bench.server.commands)
    with pytest.raises(LimitError, match=r"10 steps \(100 min\) before 50 kV"):
        driver.beam_on(50.0, 100.0)
    assert len(bench.server.commands) == sent


def test_the_interlock_ends_a_warm_up_with_the_beam_off(bench: Any, tmp_path: Path) -> None:
    driver = rested(bench, tmp_path, days=8.0)
    bench.faults.schedule(Fault("interlock.open", at_s=bench.world.now() + 300.0))
    with pytest.raises(InterlockError):
        driver.beam_on(50.0, 500.0)
    assert not bench.tube.hv_on
    # What was warmed stays warm.
    assert driver.warm_up_steps(50.0)[0].voltage_kV > 5.0


def test_cancel_ends_a_warm_up(bench: Any, tmp_path: Path) -> None:
    driver = rested(bench, tmp_path, days=8.0)
    cancel = threading.Event()
    plain_advance = bench.tube.advance

    def advance(dt_s: float) -> None:
        plain_advance(dt_s)
        if bench.world.now() > 200.0:
            cancel.set()

    bench.tube.advance = advance
    with pytest.raises(InstrumentCancelledError):
        driver.beam_on(50.0, 500.0, cancel=cancel)
    assert not bench.tube.hv_on
    assert bench.world.now() < 220.0


def test_the_state_is_warming(bench: Any, tmp_path: Path) -> None:
    driver = rested(bench, tmp_path, days=8.0)
    states = set()
    plain_sleep = bench.clock.sleep

    def sleep(seconds: float) -> None:
        plain_sleep(seconds)
        if seconds >= 1.0:
            bench.clock.sleep = plain_sleep
            states.add(driver.status().state)
            bench.clock.sleep = sleep

    bench.clock.sleep = sleep
    driver.beam_on(10.0, 100.0)
    bench.clock.sleep = plain_sleep
    assert states == {"warming"}
    assert driver.status().state == "on"


def test_dose_and_use_are_written_while_the_beam_is_on(bench: Any, tmp_path: Path) -> None:
    driver = rested(bench, tmp_path, days=0.5)
    driver.dose.begin_sample("xray-A")
    driver.beam_on(50.0, 600.0)
    began_s = bench.world.now()
    for _ in range(60):
        bench.world.advance(10.0)
        driver.status()
    lasted_s = bench.world.now() - began_s
    dose = driver.dose.dose("xray-A")
    assert dose.beam_on_s == pytest.approx(lasted_s, rel=0.05)
    truth_mAs = sum(
        piece.current_uA * 1e-3 * (piece.end_s - piece.begin_s)
        for piece in bench.world.history(began_s, bench.world.now())
    )
    assert dose.charge_mAs == pytest.approx(truth_mAs, rel=0.02)
    saved = json.loads((tmp_path / "tube.json").read_text(encoding="utf-8"))
    assert saved["doses"]["xray-A"]["charge_mAs"] == pytest.approx(truth_mAs, rel=0.2)
    driver.beam_off()
    after = driver.dose.total().charge_mAs
    bench.world.advance(600.0)
    driver.status()
    assert driver.dose.total().charge_mAs == after


def test_a_beam_that_is_left_on_is_remembered_too(bench: Any, tmp_path: Path) -> None:
    driver = rested(bench, tmp_path, days=0.5, on_close="leave")
    driver.beam_on(50.0, 100.0)
    driver.close()
    assert bench.tube.hv_on
    assert history(tmp_path / "tube.json").rest_s(50.0, bench.clock.epoch_s()) < 10.0


@pytest.mark.parametrize("wrong", [[[1.0]], [[-1.0, 30.0]], [[1.0, 1e9]]])
def test_holds_that_make_no_sense_are_refused(wrong: list[list[float]]) -> None:
    with pytest.raises(ValidationError, match="warm_up_holds"):
        SpellmanTube.Settings.model_validate({"address": "tcp://localhost:1", "warm_up_holds": wrong})
