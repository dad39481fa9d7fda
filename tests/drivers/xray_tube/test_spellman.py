"""The tube's driver against the simulated supply: order, limits, verification, what is never done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.errors import (
    FaultError,
    InstrumentCancelledError,
    InstrumentConnectionError,
    InstrumentTimeoutError,
    InterlockError,
    LimitError,
    ProtocolError,
)
from drivers.registry import load_driver
from drivers.xray_tube.spellman import SpellmanTube
from simulators.faults import Fault


def test_the_registry_knows_it() -> None:
    assert load_driver("xray_tube", "spellman") is SpellmanTube


def test_opening_sends_questions_only(bench: Any) -> None:
    bench.opened()
    assert bench.server.commands == ["22,"]


def test_identity(bench: Any) -> None:
    assert bench.opened().identify().model == "uX50P50"


def test_a_beam_that_is_on_is_adopted_and_left_as_it_is(bench: Any) -> None:
    bench.tube.program(voltage_kV=40.0, current_uA=300.0)
    bench.tube.switch_on()
    bench.world.advance(10.0)
    driver = bench.opened(on_close="leave")
    status = driver.status()
    assert (status.beam_on, status.state) == (True, "on")
    assert status.voltage.value == pytest.approx(40.0, abs=0.05)
    assert status.current.value == pytest.approx(300.0, abs=2.0)
    assert status.voltage.source == "measured"
    assert status.voltage_set.source == "commanded"
    driver.close()
    assert bench.tube.hv_on


def test_beam_on_reaches_50_kV_and_600_uA(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(50.0, 600.0)
    assert bench.tube.hv_on
    assert bench.tube.voltage_kV == pytest.approx(50.0, abs=0.5)
    assert bench.tube.current_uA == pytest.approx(600.0, abs=12.0)
    assert driver.status().state == "on"


def test_the_other_monitors_and_the_hours_come_with_their_units(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(50.0, 600.0)
    bench.world.advance(3600.0)
    others = driver.status().other_monitors
    assert others["filament_current"].value == pytest.approx(bench.tube.filament_A, abs=0.002)
    assert others["board_temperature"].value == pytest.approx(bench.tube.board_C, abs=0.1)
    assert others["low_voltage_supply"].value == pytest.approx(24.0, abs=0.02)
    units = {name: reading.unit for name, reading in others.items()}
    assert units == {
        "board_temperature": "degC",
        "low_voltage_supply": "V",
        "filament_current": "A",
        "filament_voltage": "V",
        "hv_board_temperature": "degC",
    }
    hours = driver.beam_hours()
    assert (hours.unit, hours.source) == ("h", "measured")
    assert hours.value == pytest.approx(1.0, abs=0.051)


def test_voltage_is_up_before_any_current_is_asked_for(bench: Any) -> None:
    bench.opened().beam_on(50.0, 600.0)
    sent = bench.server.commands
    first_current = next(i for i, body in enumerate(sent) if body.startswith("11,") and body != "11,0,")
    assert sent.index("10,0,") < sent.index("99,1,")
    assert sent.index("11,0,") < sent.index("99,1,")
    assert sent.index("99,1,") < sent.index("10,4095,") < first_current
    assert "20," in sent[sent.index("10,4095,") : first_current]


def test_current_is_down_before_the_voltage_goes_down(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(50.0, 600.0)
    bench.server.commands.clear()
    driver.beam_off()
    sent = bench.server.commands
    assert sent.index("11,0,") < sent.index("10,0,") < sent.index("99,0,")
    assert "20," in sent[sent.index("11,0,") : sent.index("10,0,")]
    assert "22," in sent[sent.index("99,0,") :]
    assert not bench.tube.hv_on


def test_the_ramp_takes_the_time_that_the_slopes_say(bench: Any) -> None:
    driver = bench.opened(voltage_ramp_kV_per_s=2.0, current_ramp_uA_per_s=50.0)
    began_s = bench.world.now()
    driver.beam_on(50.0, 600.0)
    assert bench.world.now() - began_s == pytest.approx(50 / 2 + 600 / 50, abs=6.0)


def test_a_beam_that_is_on_is_moved_without_passing_a_forbidden_point(bench: Any) -> None:
    driver = bench.opened()
    largest_W = 0.0
    plain_advance = bench.tube.advance

    def advance(dt_s: float) -> None:
        nonlocal largest_W
        plain_advance(dt_s)
        largest_W = max(largest_W, bench.tube.voltage_kV * bench.tube.current_uA * 1e-3)

    bench.tube.advance = advance
    driver.beam_on(30.0, 600.0)
    driver.beam_on(50.0, 200.0)
    driver.beam_on(20.0, 400.0)
    assert largest_W < 18.2
    assert bench.tube.voltage_kV == pytest.approx(20.0, abs=0.5)
    assert bench.server.commands.count("99,1,") == 1


@pytest.mark.parametrize(
    ("voltage_kV", "current_uA"),
    [
        (50.1, 100.0),  # above the voltage limit
        (40.0, 601.0),  # above the current limit
        (0.0, 100.0),  # current without voltage
        (-5.0, 0.0),
        (4.0, 10.0),  # below the table's first voltage
        (10.0, 201.0),  # above the table: 200 uA at 10 kV
        (12.5, 276.0),  # interpolated: 275 uA
        (50.0, -1.0),
        (float("nan"), 100.0),
        (40.0, float("nan")),
        (float("inf"), 100.0),
    ],
)
def test_outside_the_limits_nothing_is_sent(bench: Any, voltage_kV: float, current_uA: float) -> None:
    driver = bench.opened()
    sent = len(bench.server.commands)
    with pytest.raises(LimitError, match="tube: "):
        driver.beam_on(voltage_kV, current_uA)
    with pytest.raises(ValueError, match="Nothing was sent"):
        driver.check(voltage_kV, current_uA)
    assert len(bench.server.commands) == sent


@pytest.mark.parametrize(
    ("voltage_kV", "current_uA"), [(50.0, 600.0), (10.0, 200.0), (12.5, 275.0), (30.0, 0.0)]
)
def test_on_the_limits_is_allowed(bench: Any, voltage_kV: float, current_uA: float) -> None:
    bench.driver().check(voltage_kV, current_uA)


def test_power_limit(bench: Any) -> None:
    driver = bench.driver(maximum_power_W=20.0)
    driver.check(50.0, 400.0)
    with pytest.raises(LimitError, match="400 uA, the most allowed at 50 kV"):
        driver.check(50.0, 401.0)


def test_the_current_table_of_the_rig_file_counts(bench: Any) -> None:
    driver = bench.driver(current_table=[[20, 100], [50, 300]])
    driver.check(35.0, 200.0)
    with pytest.raises(LimitError):
        driver.check(35.0, 201.0)


def test_the_models_rating_bounds_the_rig_files_limits(bench: Any) -> None:
    limits = bench.driver(maximum_voltage_kV=80.0, maximum_current_uA=5000.0, maximum_power_W=500.0).limits
    assert (limits.maximum_voltage_kV, limits.maximum_current_uA, limits.maximum_power_W) == (50, 1000, 50)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "ux99"},
        {"maximum_voltage_kV": 0},
        {"current_table": [[10, 100], [5, 50]]},
        {"current_table": [[10]]},
        {"adress": "x"},
        {"on_close": "maybe"},
        {"reply_timeout_s": "1"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SpellmanTube.Settings.model_validate({"address": "tcp://localhost:1"} | wrong)


def test_with_the_interlock_open_high_voltage_is_not_asked_for(bench: Any) -> None:
    driver = bench.opened()
    bench.faults.set("interlock.open")
    with pytest.raises(InterlockError, match="The beam is off"):
        driver.beam_on(40.0, 300.0)
    assert "99,1," not in bench.server.commands
    assert not bench.tube.hv_on


def test_the_supplys_own_refusal_is_an_interlock_error(bench: Any) -> None:
    driver = bench.opened()
    plain_advance = bench.tube.switch_on
    bench.tube.switch_on = lambda: "interlock"
    with pytest.raises(PermissionError, match="refuses high voltage"):
        driver.beam_on(40.0, 300.0)
    bench.tube.switch_on = plain_advance


def test_interlock_opening_in_the_ramp_ends_with_the_beam_off(bench: Any) -> None:
    driver = bench.opened()
    bench.faults.schedule(Fault("interlock.open", at_s=bench.world.now() + 4.0))
    with pytest.raises(InterlockError):
        driver.beam_on(40.0, 300.0)
    assert not bench.tube.hv_on
    bench.faults.clear()
    with pytest.raises(FaultError, match="interlock opened while the beam was on"):
        driver.beam_on(40.0, 300.0)
    driver.clear_faults()
    driver.beam_on(40.0, 300.0)
    assert driver.status().state == "on"


def test_an_arc_is_a_fault_that_can_be_cleared_and_never_switches_on_again(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    bench.faults.set("tube.arc", duration_s=1.0)
    bench.world.advance(3.0)
    status = driver.status()
    assert (status.state, status.beam_on, status.faults) == ("fault", False, ("over-power",))
    driver.clear_faults()
    assert driver.status().state == "off"
    assert not bench.tube.hv_on


def test_a_fault_that_holds_cannot_be_cleared(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    bench.faults.set("tube.over_temperature")
    bench.world.advance(60.0)
    status = driver.status()
    assert not status.beam_on
    assert any("temperature 9" in fault for fault in status.faults)
    with pytest.raises(FaultError, match="after clearing"):
        driver.clear_faults()


def test_current_drift_shows_in_the_status(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 500.0)
    assert driver.status().faults == ()
    bench.faults.set("tube.current_drift")
    bench.world.advance(60.0)
    (fault,) = driver.status().faults
    assert fault.startswith("current drifted: 5")


def test_a_beam_that_does_not_come_up_is_switched_off(bench: Any) -> None:
    driver = bench.opened(settle_timeout_s=5.0)
    bench.tube.filament_limit_A = 99.0  # never warm enough in this tube
    bench.tube.filament_preheat_A = 0.5
    with pytest.raises(InstrumentTimeoutError, match=r"0\.0 uA, not 40 kV and 300 uA") as caught:
        driver.beam_on(40.0, 300.0)
    assert caught.value.done == "the beam was switched off"
    assert not bench.tube.hv_on


def test_cancel_breaks_off_and_switches_off(bench: Any) -> None:
    driver = bench.opened()
    cancel = threading.Event()
    plain_advance = bench.tube.advance

    def advance(dt_s: float) -> None:
        plain_advance(dt_s)
        if bench.tube.voltage_kV > 20.0:
            cancel.set()

    bench.tube.advance = advance
    with pytest.raises(InstrumentCancelledError, match="The beam was switched off"):
        driver.beam_on(40.0, 300.0, cancel=cancel)
    assert not bench.tube.hv_on
    assert bench.tube.voltage_kV < 25.0


def test_cancelled_before_it_began_sends_no_on(bench: Any) -> None:
    driver = bench.opened()
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(InstrumentCancelledError):
        driver.beam_on(40.0, 300.0, cancel=cancel)
    assert "99,1," not in bench.server.commands


def test_off_from_another_thread_ends_the_ramp(bench: Any) -> None:
    driver = bench.opened()
    caught = []

    def switch_on() -> None:
        try:
            driver.beam_on(40.0, 300.0)
        except InstrumentCancelledError as error:
            caught.append(error)

    reached = threading.Event()
    plain_sleep = bench.clock.sleep

    def sleep(seconds: float) -> None:
        plain_sleep(seconds)
        if bench.tube.voltage_kV > 20.0 and not reached.is_set():
            reached.set()
            # The ramp goes on when the "off" of the other thread is under way.
            bench.until(lambda: driver._offs)

    bench.clock.sleep = sleep
    thread = threading.Thread(target=switch_on)
    thread.start()
    assert reached.wait(60.0)
    driver.beam_off()
    thread.join(60.0)
    assert len(caught) == 1
    assert not bench.tube.hv_on
    assert bench.server.commands.count("99,1,") == 1


def test_ctrl_c_in_the_ramp_switches_off(bench: Any) -> None:
    driver = bench.opened()
    plain_sleep = bench.clock.sleep

    def sleep(seconds: float) -> None:
        plain_sleep(seconds)
        if bench.tube.voltage_kV > 20.0 and bench.tube.hv_on and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt

    interrupted: list[bool] = []
    bench.clock.sleep = sleep
    with pytest.raises(KeyboardInterrupt):
        driver.beam_on(40.0, 300.0)
    assert not bench.tube.hv_on


def test_close_switches_off_and_may_be_called_twice(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    driver.close()
    driver.close()
    assert not bench.tube.hv_on


def test_a_supply_that_says_off_but_stays_on_is_an_alarm(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    plain_switch_off = bench.tube.switch_off
    bench.tube.switch_off = lambda: None
    with pytest.raises(FaultError, match=r'still on after "off".*emergency stop'):
        driver.beam_off()
    assert bench.server.commands.count("99,0,") > 10
    bench.tube.switch_off = plain_switch_off
    assert driver.status().state == "off"


def test_set_points_are_zero_after_off(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    driver.beam_off()
    assert (bench.tube.voltage_set_kV, bench.tube.current_set_uA) == (0.0, 0.0)


def test_nobody_at_the_address_is_a_connection_error(bench: Any) -> None:
    address = bench.server.address
    bench.server.close()
    driver = bench.driver(address=address)
    with pytest.raises(InstrumentConnectionError, match="Check power, cable and address"):
        driver.open()
    with pytest.raises(ConnectionError, match="no connection"):
        driver.status()


def test_an_unknown_host_is_a_connection_error(bench: Any) -> None:
    driver = bench.driver(address="TCPIP0::no-such-host.invalid::50001::SOCKET")
    with pytest.raises(InstrumentConnectionError, match="cannot connect"):
        driver.open()


def test_a_supply_that_speaks_with_checksum_is_not_understood_without(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(checksum=True)
    driver = bench.driver(attempts=1, reply_timeout_s=0.1)
    with pytest.raises((InstrumentTimeoutError, ProtocolError), match=r"checksum|protocol"):
        driver.open()
    bench.opened(checksum=True)
