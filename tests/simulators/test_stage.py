"""The simulated stage: inertia, lag, overshoot, settling, what goes wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulators.stage import NITROGEN_K, ROOM_K, Stage, StageFaults


def run(stage: Stage, seconds: float) -> list[float]:
    kelvin = []
    for _ in range(round(seconds * 10)):
        stage.advance(0.1)
        kelvin.append(stage.temperature_K)
    return kelvin


def ramped(
    limit_K: float, *, start_K: float = 300.0, rate: float = 30.0, seconds: float = 900.0
) -> list[float]:
    stage = Stage(start_K=start_K)
    stage.limit_K, stage.rate_K_per_min = limit_K, rate
    stage.start()
    return run(stage, seconds)


@pytest.mark.parametrize("limit_K", [80.0, 150.0, 270.0, 400.0])
def test_ramp_ends_at_the_limit_with_a_small_overshoot(limit_K: float) -> None:
    kelvin = ramped(limit_K)
    way = math.copysign(1.0, limit_K - 300.0)
    overshoot_K = max(way * (k - limit_K) for k in kelvin)
    assert 0.05 < overshoot_K < 1.0
    assert kelvin[-1] == pytest.approx(limit_K, abs=0.02)


def test_ramp_runs_at_the_commanded_rate() -> None:
    kelvin = ramped(100.0, rate=20.0, seconds=400.0)
    assert (kelvin[1000] - kelvin[3000]) / 200.0 * 60.0 == pytest.approx(20.0, rel=0.02)


def test_warming_takes_as_long_as_the_ramp() -> None:
    kelvin = ramped(300.0, start_K=80.0, seconds=600.0)
    reached_s = next(index for index, k in enumerate(kelvin) if k > 299.5) / 10
    assert reached_s == pytest.approx(220.0 / 30.0 * 60.0, abs=15.0)


def test_switched_off_it_relaxes_to_the_room_and_cannot_go_below_nitrogen() -> None:
    stage = Stage(start_K=100.0)
    run(stage, 1200.0)
    # One loss time constant: 1/e of the distance is left.
    assert stage.temperature_K == pytest.approx(ROOM_K - (ROOM_K - 100.0) / math.e, abs=0.5)
    assert min(ramped(70.0, seconds=1200.0)) > NITROGEN_K


def test_hold_stays_where_it_was_called() -> None:
    stage = Stage()
    stage.limit_K, stage.rate_K_per_min = 80.0, 30.0
    stage.start()
    run(stage, 120.0)
    held_K = stage.temperature_K
    stage.hold()
    assert run(stage, 400.0)[-1] == pytest.approx(held_K, abs=0.05)


def test_sensor_noise_has_its_seed_and_size_and_does_not_touch_the_truth() -> None:
    one, other, third = Stage(5), Stage(5), Stage(6)
    readings = [one.sensor_K() for _ in range(4000)]
    assert readings == [other.sensor_K() for _ in range(4000)]
    assert readings[:10] != [third.sensor_K() for _ in range(10)]
    assert np.std(readings) == pytest.approx(0.02, rel=0.05)
    assert one.temperature_K == 300.0


def test_pump_works_in_30_steps_and_by_hand() -> None:
    stage = Stage()
    stage.limit_K, stage.rate_K_per_min = 80.0, 30.0
    stage.start()
    run(stage, 60.0)
    assert stage.pump_fraction * 30 == pytest.approx(round(stage.pump_fraction * 30))
    stage.pump_automatic, stage.pump_manual_fraction = False, 0.0
    run(stage, 60.0)
    assert stage.pump_fraction == 0.0
    assert stage.temperature_K > 250.0


def at_100_K(**faults: bool) -> Stage:
    stage = Stage(start_K=100.0)
    stage.limit_K = 100.0
    stage.start()
    run(stage, 100.0)
    stage.faults = StageFaults(**faults)
    return stage


def test_empty_dewar_lets_it_warm_up() -> None:
    stage = at_100_K(ln2_empty=True)
    assert run(stage, 300.0)[-1] > 130.0


def test_dead_heater_cannot_heat() -> None:
    stage = at_100_K(heater_error=True)
    stage.limit_K = 300.0
    stage.start()
    assert run(stage, 120.0)[-1] < 130.0


def test_open_sensor_stops_the_controller() -> None:
    stage = at_100_K(sensor_open=True)
    run(stage, 1.0)
    assert stage.mode == "stopped"
    assert math.isnan(stage.sensor_K())
    stage.start()
    assert stage.mode == "stopped"


def test_lost_vacuum_rises_to_air_and_comes_back() -> None:
    stage = at_100_K(vacuum_lost=True)
    run(stage, 60.0)
    assert stage.pressure_mbar == pytest.approx(1013.0 - 913.0 / math.e, rel=0.01)
    stage.faults = StageFaults()
    run(stage, 1500.0)
    assert stage.pressure_mbar == 100.0


def test_cannot_settle_swings_by_more_than_half_a_kelvin() -> None:
    stage = at_100_K(cannot_settle=True)
    kelvin = run(stage, 300.0)[1000:]
    assert max(kelvin) - min(kelvin) > 1.0
