"""The tube as physics: ramps, order, trips."""

from __future__ import annotations

import math

import pytest

from simulators.faults import Faults
from simulators.tube import Rating, Tube
from simulators.world import World


def run(tube: Tube, seconds: float, dt_s: float = 0.1) -> None:
    for _ in range(round(seconds / dt_s)):
        tube.advance(dt_s)


def with_beam(tube: Tube, voltage_kV: float, current_uA: float) -> Tube:
    tube.program(voltage_kV=voltage_kV, current_uA=current_uA)
    assert tube.switch_on() == "done"
    run(tube, 15.0)
    return tube


def test_nothing_comes_out_until_it_is_switched_on() -> None:
    tube = Tube()
    tube.program(voltage_kV=50.0, current_uA=600.0)
    run(tube, 10.0)
    assert (tube.voltage_kV, tube.current_uA, tube.hv_on) == (0.0, 0.0, False)


def test_it_reaches_what_was_programmed() -> None:
    tube = with_beam(Tube(), 50.0, 600.0)
    assert tube.voltage_kV == pytest.approx(50.0, abs=1e-4)
    assert tube.current_uA == pytest.approx(600.0, abs=1e-3)


def test_the_voltage_rises_at_its_slope_then_as_an_exponential() -> None:
    tube = Tube(rating=Rating(voltage_slope_kV_per_s=10.0))
    tube.program(voltage_kV=50.0)
    tube.switch_on()
    run(tube, 3.0, dt_s=0.01)
    assert tube.voltage_kV == pytest.approx(30.0, abs=1e-6)
    # 47.5 kV is where the lag of 0.25 s takes over from the slope: (50 - 47.5) / 0.25 = 10 kV/s.
    run(tube, 1.75 + 0.5, dt_s=0.01)
    assert 50.0 - tube.voltage_kV == pytest.approx(2.5 * math.exp(-0.5 / 0.25), rel=0.1)


def test_no_emission_with_a_cold_filament_or_without_voltage() -> None:
    tube = Tube()
    tube.program(voltage_kV=50.0, current_uA=600.0)
    tube.switch_on()
    tube.advance(0.1)
    assert tube.current_uA == 0.0
    assert with_beam(Tube(), 0.0, 600.0).current_uA == 0.0


def test_space_charge_limits_the_current_at_low_voltage() -> None:
    assert with_beam(Tube(), 10.0, 600.0).current_uA == pytest.approx(240.0, rel=1e-3)
    assert with_beam(Tube(), 7.5, 600.0).current_uA == pytest.approx(180.0, rel=1e-3)


def test_off_ends_the_current_at_once_and_the_voltage_bleeds_off() -> None:
    tube = with_beam(Tube(), 50.0, 600.0)
    tube.switch_off()
    assert tube.current_uA == 0.0
    assert tube.voltage_kV > 40.0
    run(tube, 10.0)
    assert tube.voltage_kV == 0.0


def test_an_open_interlock_trips_and_needs_clearing() -> None:
    faults = Faults()
    tube = with_beam(Tube(faults), 50.0, 600.0)
    faults.set("interlock.open")
    tube.advance(0.1)
    assert (tube.hv_on, tube.interlock_closed, tube.trips) == (False, False, {"interlock"})
    assert tube.switch_on() == "interlock"
    faults.clear()
    tube.clear_trips()
    assert not tube.hv_on
    assert tube.switch_on() == "done"


def test_an_interlock_opened_with_the_beam_off_leaves_no_trip() -> None:
    faults = Faults()
    tube = Tube(faults)
    faults.set("interlock.open")
    tube.advance(0.1)
    assert tube.trips == set()
    assert tube.switch_on() == "interlock"


def test_an_arc_trips() -> None:
    faults = Faults()
    tube = with_beam(Tube(faults), 50.0, 600.0)
    faults.set("tube.arc")
    tube.advance(0.1)
    assert (tube.hv_on, tube.trips) == (False, {"arc"})
    tube.clear_trips()
    assert tube.trips == {"arc"}
    faults.clear()
    tube.clear_trips()
    assert tube.trips == set()


def test_over_power_trips() -> None:
    tube = Tube()
    tube.program(voltage_kV=50.0, current_uA=1150.0)
    tube.switch_on()
    run(tube, 15.0)
    assert (tube.hv_on, tube.trips) == (False, {"over_power"})


def test_over_voltage_trips() -> None:
    tube = Tube(rating=Rating(voltage_kV=30.0))
    tube.program(voltage_kV=50.0)
    tube.switch_on()
    run(tube, 15.0)
    assert (tube.hv_on, tube.trips) == (False, {"over_voltage"})


def test_over_temperature_trips_and_can_be_cleared_when_it_has_cooled() -> None:
    faults = Faults()
    tube = with_beam(Tube(faults), 50.0, 600.0)
    faults.set("tube.over_temperature")
    run(tube, 30.0)
    assert (tube.hv_on, tube.trips) == (False, {"over_temperature"})
    faults.clear()
    tube.clear_trips()
    assert tube.trips == {"over_temperature"}
    run(tube, 600.0)
    tube.clear_trips()
    assert tube.trips == set()


def test_the_current_drifts_while_the_fault_holds() -> None:
    faults = Faults()
    tube = with_beam(Tube(faults), 50.0, 500.0)
    faults.set("tube.current_drift")
    run(tube, 60.0)
    assert tube.current_uA == pytest.approx(500.0 * (1 + 0.002 * 60), rel=0.01)
    faults.clear()
    run(tube, 10.0)
    assert tube.current_uA == pytest.approx(500.0, rel=1e-3)


def test_the_drift_does_not_depend_on_the_step() -> None:
    currents = []
    for dt_s in (0.1, 0.02):
        faults = Faults()
        tube = with_beam(Tube(faults), 50.0, 500.0)
        faults.set("tube.current_drift")
        run(tube, 30.0, dt_s)
        currents.append(tube.current_uA)
    assert currents[0] == pytest.approx(currents[1], rel=1e-3)


def test_monitor_noise_depends_on_time_and_seed_and_not_on_how_often_one_asks() -> None:
    often, seldom, other = (with_beam(Tube(seed=seed), 50.0, 600.0) for seed in (1, 1, 2))
    for _ in range(10):
        often.monitors()
    assert often.monitors() == seldom.monitors()
    assert often.monitors() != other.monitors()


def test_monitor_noise_is_one_per_mille_of_the_current() -> None:
    tube = with_beam(Tube(seed=3), 50.0, 600.0)
    readings = []
    for _ in range(2000):
        tube.advance(0.1)
        readings.append(tube.monitors().current_uA)
    mean = sum(readings) / len(readings)
    spread = math.sqrt(sum((reading - mean) ** 2 for reading in readings) / len(readings))
    assert mean == pytest.approx(600.0, abs=5 * 0.6 / math.sqrt(2000))
    assert spread == pytest.approx(0.6, rel=0.1)


def test_a_steady_beam_is_steady_to_the_last_digit() -> None:
    tube = with_beam(Tube(), 50.0, 600.0)
    run(tube, 20.0)
    before = (tube.voltage_kV, tube.current_uA)
    run(tube, 10.0)
    assert (tube.voltage_kV, tube.current_uA) == before


def test_the_world_moves_its_tube_and_writes_its_history() -> None:
    faults = Faults()
    tube = Tube(faults)
    world = World(tube=tube, faults=faults)
    tube.program(voltage_kV=40.0, current_uA=300.0)
    tube.switch_on()
    world.advance(20.0)
    last = world.history(19.0, 20.0)[-1]
    assert last.voltage_kV == pytest.approx(40.0, abs=1e-3)
    assert last.current_uA == pytest.approx(300.0, abs=1e-2)
    assert world.tube_on_s == pytest.approx(20.0)
    world.close()
