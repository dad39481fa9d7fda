"""The T95 driver against the byte-level simulator: state adopted, ramps, faults of line and stage."""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from drivers.base import Reading
from drivers.cryostage.linkam_t95 import LinkamT95, LinkamT95Settings
from drivers.cryostage.settling import Settling
from drivers.errors import (
    FaultError,
    InstrumentConnectionError,
    InstrumentError,
    InstrumentTimeoutError,
    LimitError,
)


def sent(stage: LinkamT95) -> list[bytes]:
    return [entry.data for entry in stage.traffic.entries() if entry.direction == "sent"]


def test_first_command_on_the_line_is_the_status_request(bench: Any) -> None:
    stage = bench.opened()
    assert set(sent(stage)) == {b"T\r"}


def test_a_pyserial_url_works_too(bench: Any) -> None:
    stage = bench.opened(address=bench.server.address)
    assert stage.status().connected


def test_opening_adopts_a_stage_that_cools_and_leaving_lets_it_cool(bench: Any) -> None:
    bench.world.stage("limit_K", 100.0)
    bench.world.stage("rate_K_per_min", 30.0)
    bench.world.stage("start")
    bench.clock.sleep(60)
    stage = bench.opened(on_close="leave")
    status = stage.status()
    assert status.state == "cooling"
    assert status.set_point is None
    assert status.temperature.value == pytest.approx(270.0, abs=1.0)
    stage.close()
    assert bench.world.truth()["stage_mode"] == "ramping"
    assert set(sent(stage)) == {b"T\r"}


@pytest.mark.parametrize(
    ("on_close", "mode"), [("hold", "holding"), ("stop", "stopped"), ("leave", "ramping")]
)
def test_closing_leaves_the_stage_as_the_rig_file_says(bench: Any, on_close: str, mode: str) -> None:
    stage = bench.opened(on_close=on_close)
    stage.ramp_to(200.0, 30.0)
    stage.close()
    stage.close()
    assert bench.world.truth()["stage_mode"] == mode


def test_closing_or_holding_does_not_switch_on_a_stage_that_is_off(bench: Any) -> None:
    stage = bench.opened(on_close="hold")
    stage.hold()
    stage.close()
    assert bench.world.truth()["stage_mode"] == "stopped"


def test_ramp_sends_rate_limit_start_in_this_order(bench: Any) -> None:
    stage = bench.opened()
    stage.ramp_to(153.15, 20.0)
    commands = [command for command in sent(stage) if command != b"T\r"]
    assert commands == [b"R12000\r", b"L1-1200\r", b"S\r"]
    status = stage.status()
    assert status.state == "cooling"
    assert status.set_point == Reading(pytest.approx(153.15), "K", "commanded", status.set_point.read_at_s)
    assert status.rate is not None
    assert (status.rate.value, status.rate.unit, status.rate.source) == (20.0, "K/min", "commanded")
    assert status.temperature.source == "measured"


def test_stage_goes_down_to_80_K_and_settles(bench: Any) -> None:
    stage = bench.opened()
    stage.ramp_to(80.0, 30.0)
    watch = Settling(target_K=80.0, tolerance_K=0.3, duration_s=30.0)
    began_s = bench.clock.now()
    while not watch.settled and bench.clock.now() < began_s + 1200:
        bench.clock.sleep(2.0)
        status = stage.status()
        watch.feed(bench.clock.now(), status.temperature.value)
    assert watch.settled
    assert status.at_set_point
    assert status.state == "holding"
    assert bench.world.truth()["stage_temperature_K"] == pytest.approx(80.0, abs=0.3)
    assert status.pump_percent is not None
    assert status.pump_percent > 0
    # 220 K at 30 K/min are 440 s; the controller and the settling add some.
    assert 440 < bench.clock.now() - began_s < 600


@pytest.mark.parametrize(
    ("kelvin", "rate"), [(76.9, 10), (624, 10), (math.nan, 10), (200, 0), (200, 30.1), (200, math.nan)]
)
def test_outside_the_limits_nothing_is_sent(bench: Any, kelvin: float, rate: float) -> None:
    stage = bench.opened()
    before = len(sent(stage))
    with pytest.raises(LimitError, match=r"(?i)nothing was sent"):
        stage.ramp_to(kelvin, rate)
    assert len(sent(stage)) == before


def test_hold_and_stop(bench: Any) -> None:
    stage = bench.opened()
    stage.ramp_to(200.0, 30.0)
    bench.clock.sleep(30)
    stage.hold()
    assert (stage.status().state, stage.status().at_set_point) == ("holding", False)
    stage.stop()
    assert stage.status().state == "stopped"


def test_pump_by_hand_and_automatic(bench: Any) -> None:
    stage = bench.opened()
    stage.set_pump(50)
    bench.clock.sleep(1)
    assert stage.status().pump_percent == 50.0
    stage.set_pump(None)
    bench.clock.sleep(1)
    assert bench.world.stage("state")["pump_automatic"]
    with pytest.raises(LimitError):
        stage.set_pump(101)
    assert [c for c in sent(stage) if c != b"T\r"] == [b"Pm0\r", b"P?\r", b"Pa0\r"]


def test_identity_names_the_stage(bench: Any) -> None:
    identity = bench.opened().identify()
    assert (identity.make, identity.model) == ("Linkam", "T95 with THMS350V")


def test_vacuum_is_what_a_person_entered_and_marked_so(bench: Any) -> None:
    stage = bench.opened()
    assert stage.status().vacuum is None
    stage.enter_vacuum(100.0)
    vacuum = stage.status().vacuum
    assert vacuum is not None
    assert (vacuum.value, vacuum.unit, vacuum.source) == (100.0, "mbar", "entered")
    with pytest.raises(LimitError):
        stage.enter_vacuum(0.0)
    assert bench.stage(vacuum_mbar=90.0).settings.vacuum_mbar == 90.0


@pytest.mark.parametrize(
    "fault", ["reply_lost", "reply_late", "reply_truncated", "reply_doubled", "reply_garbled"]
)
@pytest.mark.parametrize("action", ["status", "ramp_to", "hold", "stop"])
def test_one_spoilt_reply_is_got_over(bench: Any, fault: str, action: str) -> None:
    stage = bench.opened(attempts=10)
    stage.ramp_to(250.0, 30.0)
    bench.hurry()
    for skipped in range(4):  # the reply to each command of the action in turn
        bench.world.faults.clear()
        bench.clock.sleep(1)
        seen = [0]
        original = bench.world.faults.take

        def take(name: str, seen: list[int] = seen, skipped: int = skipped, original: Any = original) -> bool:
            if name != f"cryostage.{fault}":
                return bool(original(name))
            seen[0] += 1
            return seen[0] == skipped + 1

        bench.world.faults.take = take  # type: ignore[method-assign]
        try:
            if action == "ramp_to":
                stage.ramp_to(250.0, 30.0)
            else:
                getattr(stage, action)()
        finally:
            bench.world.faults.take = original  # type: ignore[method-assign]
    truth = bench.world.truth()["stage_temperature_K"]
    assert stage.status().temperature.value == pytest.approx(truth, abs=0.3)
    assert stage.status().faults == ()


def test_silence_is_a_timeout_and_not_a_hang(bench: Any) -> None:
    stage = bench.opened()
    bench.hurry(attempts=2)
    bench.world.faults.set("cryostage.reply_lost")
    with pytest.raises(InstrumentTimeoutError, match="no reply to ask for status"):
        stage.status()


def test_a_controller_that_never_acknowledges_is_driven_all_the_same(make_bench: Any) -> None:
    bench = make_bench(silent_sets=True)
    stage = bench.opened(address=bench.server.address)
    bench.hurry()
    stage.ramp_to(250.0, 30.0)
    assert stage.status().state == "cooling"
    assert bench.server.commands.count(b"S") == 1


def test_line_that_goes_and_comes_back_leaves_the_stage_as_it_was(bench: Any) -> None:
    stage = bench.opened()
    stage.ramp_to(200.0, 30.0)
    stage.hold()
    bench.server.commands.clear()
    bench.world.faults.set("cryostage.port_gone")
    with pytest.raises(InstrumentConnectionError):
        stage.status()
    with pytest.raises(InstrumentConnectionError):
        stage.ramp_to(100.0, 30.0)
    bench.world.faults.clear()
    bench.clock.sleep(30)
    status = stage.status()
    assert status.state == "holding"
    assert set(bench.server.commands) == {b"T"}


def test_line_that_is_gone_for_a_while_is_waited_for(bench: Any) -> None:
    stage = bench.opened()
    stage.ramp_to(200.0, 30.0)
    bench.server.commands.clear()
    bench.world.faults.set("cryostage.port_gone", duration_s=6.0)
    began_s = bench.clock.now()
    assert stage.status().state == "cooling"
    assert 6.0 <= bench.clock.now() - began_s < 16.0
    assert set(bench.server.commands) == {b"T"}


def test_a_pyserial_socket_that_was_reset_leaves_nothing_open(bench: Any) -> None:
    stage = bench.opened(address=bench.server.address, reconnect_s=0.0)
    bench.world.faults.set("cryostage.port_gone")
    with pytest.raises(InstrumentConnectionError):
        stage.status()
    bench.world.faults.clear()
    bench.clock.sleep(30)
    assert stage.status().connected
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        gc.collect()


def test_a_restarted_controller_is_found_stopped_and_left_so(bench: Any) -> None:
    stage = bench.opened()
    stage.ramp_to(200.0, 30.0)
    bench.server.close()
    bench.world.stage("stop")
    bench.server.start()
    bench.clock.sleep(30)
    assert stage.status().state == "stopped"
    bench.clock.sleep(30)
    assert bench.world.truth()["stage_mode"] == "stopped"


def test_nobody_there_is_a_connection_error_with_the_address(
    bench: Any, reserve_port: Callable[[], int]
) -> None:
    port = reserve_port()
    stage = bench.stage(address=f"socket://127.0.0.1:{port}")
    with pytest.raises(InstrumentConnectionError, match=str(port)):
        stage.open()
    stage.close()


def test_a_port_that_does_not_exist_is_a_connection_error(bench: Any) -> None:
    stage = bench.stage(address="/dev/no-such-port")
    with pytest.raises(InstrumentConnectionError, match="no-such-port"):
        stage.open()


def test_open_sensor_is_a_fault_and_no_number(bench: Any) -> None:
    stage = bench.opened()
    stage.ramp_to(250.0, 30.0)
    bench.clock.sleep(5)
    good = stage.status().temperature
    bench.world.faults.set("stage.sensor_open")
    bench.clock.sleep(5)
    status = stage.status()
    assert "sensor open" in status.faults[0]
    assert status.temperature == good
    assert status.temperature.read_at_s < status.read_at_s - 4
    with pytest.raises(FaultError, match=r"(?i)nothing was started"):
        stage.ramp_to(200.0, 30.0)


def test_heater_error_is_reported_and_refuses_a_ramp(bench: Any) -> None:
    stage = bench.opened()
    bench.world.faults.set("stage.heater_error")
    bench.clock.sleep(1)
    assert "overload" in stage.status().faults[0]
    with pytest.raises(FaultError, match="overload"):
        stage.ramp_to(350.0, 30.0)


def test_empty_dewar_shows_as_a_warning_and_does_not_settle(bench: Any) -> None:
    stage = bench.opened()
    bench.world.faults.set("stage.ln2_empty")
    stage.ramp_to(200.0, 30.0)
    bench.clock.sleep(120)
    status = stage.status()
    assert status.warnings
    assert status.faults == ()
    assert status.temperature.value > 290


def test_settings_with_minimum_above_maximum_are_refused() -> None:
    with pytest.raises(ValueError, match="must be below"):
        LinkamT95Settings(address="COM3", minimum_K=300.0, maximum_K=200.0)


def test_errors_are_one_sentence_for_a_person(bench: Any) -> None:
    stage = bench.opened()
    bench.world.faults.set("cryostage.port_gone")
    with pytest.raises(InstrumentError) as caught:
        stage.status()
    text = str(caught.value)
    assert text.startswith("cryostage: ")
    assert "check power" in text.lower()
    assert "\n" not in text
