"""The world: one clock, honest history, reproducible."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from simulators.faults import Fault
from simulators.world import World


class SwitchedTube:
    """A tube that is on from 5 s to 8 s."""

    interlock_closed = True

    def __init__(self) -> None:
        self.time_s = 0.0

    @property
    def hv_on(self) -> bool:
        return 5.0 - 1e-9 < self.time_s < 8.0 + 1e-9

    voltage_kV = 40.0
    current_uA = 300.0

    def advance(self, dt_s: float) -> None:
        self.time_s += dt_s


def test_stepped_time_moves_only_when_advanced() -> None:
    world = World()
    time.sleep(0.02)
    assert world.now() == 0.0
    assert world.advance(2.5) == 2.5
    assert world.advance_to(1.0) == 2.5
    assert world.advance(0.0) == 2.5
    with pytest.raises(ValueError, match="forwards"):
        world.advance(-1.0)


def test_many_small_steps_reach_the_time_asked_for_exactly() -> None:
    world = World()
    for step in range(1, 2000):
        assert world.advance_to(step * 0.05) == step * 0.05


def test_history_covers_what_was_asked_in_pieces_of_at_most_a_second() -> None:
    world = World(tube=SwitchedTube())
    for _ in range(57):
        world.advance(0.37)
    pieces = world.history(1.23, 17.7)
    assert pieces[0].begin_s == 1.23
    assert pieces[-1].end_s == 17.7
    for before, after in itertools.pairwise(pieces):
        assert before.end_s == pytest.approx(after.begin_s, abs=1e-9)
    assert all(0 < piece.end_s - piece.begin_s <= 1.0 + 1e-9 for piece in pieces)
    charge = sum(piece.current_uA * (piece.end_s - piece.begin_s) for piece in pieces)
    assert charge == pytest.approx(300.0 * 3.0, abs=300.0 * 0.21)
    assert {piece.voltage_kV for piece in pieces} == {0.0, 40.0}
    assert world.tube_on_s == pytest.approx(3.0, abs=0.21)


def test_history_of_the_future_or_of_nothing() -> None:
    world = World()
    world.advance(10.0)
    assert world.history(3.0, 3.0) == []
    with pytest.raises(ValueError, match="but it is only"):
        world.history(5.0, 10.1)


def test_history_knows_where_the_light_went() -> None:
    world = World()
    world.advance(2.0)
    world.set_port("counters")
    world.advance(2.0)
    assert [piece.port for piece in world.history(1.5, 2.5)] == ["spectrometer", "counters"]
    with pytest.raises(ValueError, match="no such port"):
        world.set_port("nowhere")  # type: ignore[arg-type]


def test_mean_temperature_of_a_piece_is_that_of_the_stage() -> None:
    world = World()
    world.stage("limit_K", 100.0)
    world.stage("rate_K_per_min", 30.0)
    world.stage("start")
    world.advance(120.0)
    first, last = world.history(60.0, 61.0), world.history(119.0, 120.0)
    mean = [sum(p.stage_temperature_K * (p.end_s - p.begin_s) for p in pieces) for pieces in (first, last)]
    assert mean[0] - mean[1] == pytest.approx(59.0 * 0.5, abs=0.1)


def test_same_seed_same_world_and_long_steps_equal_short_ones() -> None:
    def night(seed: int, steps: int) -> list[float]:
        world = World(seed=seed, faults=[Fault("stage.cannot_settle", 100.0, 50.0)])
        world.stage("limit_K", 200.0)
        world.stage("start")
        for _ in range(steps):
            world.advance(400.0 / steps)
        return [world.truth()["stage_temperature_K"], world.stage("state")["sensor_K"]]

    assert night(1, 1) == night(1, 1)
    assert night(1, 1)[1] != night(2, 1)[1]
    assert night(1, 1)[0] == pytest.approx(night(1, 400)[0], abs=1e-3)


def test_scheduled_fault_reaches_the_stage_in_time() -> None:
    world = World(faults=[Fault("stage.vacuum_lost", 10.0, 20.0)])
    world.advance(9.9)
    assert world.truth()["pressure_mbar"] == 100.0
    world.advance(15.0)
    assert world.truth()["pressure_mbar"] > 150.0
    world.advance(1000.0)
    assert world.truth()["pressure_mbar"] < 101.0


def test_live_fault_lasts_from_now() -> None:
    world = World()
    world.advance(100.0)
    world.faults.set("stage.ln2_empty", duration_s=10.0)
    world.advance(9.0)
    assert world.stage("state")["faults"] == ["ln2_empty"]
    world.advance(2.0)
    assert not world.faults.active("stage.ln2_empty")


def test_a_night_of_six_hours_ends_on_the_second() -> None:
    world = World()
    world.advance(6 * 3600.0)
    assert world.now() == 6 * 3600.0


def test_free_clock_runs_at_its_speed_and_can_be_waited_for() -> None:
    began = time.monotonic()
    world = World(speed=200.0)
    try:
        reached = [0.0]
        waiting = threading.Thread(target=lambda: reached.__setitem__(0, world.advance(20.0)))
        waiting.start()
        waiting.join(60.0)
        assert reached[0] >= 20.0
        # All that it has run since before it was made, and no faster than it was told.
        assert world.now() <= 200.0 * (time.monotonic() - began)
    finally:
        world.close()


def test_closing_a_free_world_ends_a_wait() -> None:
    world = World(speed=1.0)
    waiting = threading.Thread(target=world.advance, args=(1e6,))
    waiting.start()
    world.close()
    waiting.join(60.0)
    assert not waiting.is_alive()


def test_the_stage_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="knows no"):
        World().stage("explode")


def test_closing_ends_a_long_stretch_on_its_way():
    world = World()
    passing = threading.Thread(target=world.advance, args=(1e8,))
    passing.start()
    world.close()
    passing.join(60.0)
    assert not passing.is_alive()
    assert world.truth()["now_s"] < 1e8
