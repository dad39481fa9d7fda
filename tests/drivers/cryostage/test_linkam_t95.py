"""The T95 driver against the byte-level simulator: bytes sent, state adopted, faults of line and stage."""

from __future__ import annotations

import gc
import math
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.base import Reading
from drivers.clock import SystemClock
from drivers.cryostage.linkam_t95 import LinkamT95, LinkamT95Settings
from drivers.cryostage.settling import Settling
from drivers.errors import (
    FaultError,
    InstrumentConnectionError,
    InstrumentError,
    InstrumentTimeoutError,
    LimitError,
    ProtocolError,
)
from simulators.link import SimulatedClock
from simulators.linkam_t95 import LinkamServer
from simulators.listener import Listener
from simulators.world import World


class Bench:
    """A world with its controller and the drivers opened on it."""

    def __init__(self, **server: Any) -> None:
        self.world = World(seed=11)
        self.clock = SimulatedClock(self.world)
        self.server = LinkamServer(self.world, late_s=0.3, **server)
        self.server.start()
        self.stages: list[LinkamT95] = []

    def stage(self, **settings: Any) -> LinkamT95:
        table = {"address": self.server.address.replace("socket:", "tcp:"), "minimum_K": 77.0}
        table |= {"reply_timeout_s": 0.15} | settings
        stage = LinkamT95("cryostage", LinkamT95Settings(**table), clock=self.clock)
        self.stages.append(stage)
        return stage

    def opened(self, **settings: Any) -> LinkamT95:
        stage = self.stage(**settings)
        stage.open()
        return stage

    def close(self) -> None:
        self.world.faults.clear()
        for stage in self.stages:
            stage.close()
        self.server.close()
        self.world.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def sent(stage: LinkamT95) -> list[bytes]:
    return [entry.data for entry in stage.traffic.entries() if entry.direction == "sent"]


def test_first_command_on_the_line_is_the_status_request(bench: Bench) -> None:
    stage = bench.opened()
    assert set(sent(stage)) == {b"T\r"}


def test_a_pyserial_url_works_too(bench: Bench) -> None:
    stage = bench.opened(address=bench.server.address)
    assert stage.status().connected


def test_opening_adopts_a_stage_that_cools_and_leaving_lets_it_cool(bench: Bench) -> None:
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
def test_closing_leaves_the_stage_as_the_rig_file_says(bench: Bench, on_close: str, mode: str) -> None:
    stage = bench.opened(on_close=on_close)
    stage.ramp_to(200.0, 30.0)
    stage.close()
    stage.close()
    assert bench.world.truth()["stage_mode"] == mode


def test_closing_or_holding_does_not_switch_on_a_stage_that_is_off(bench: Bench) -> None:
    stage = bench.opened(on_close="hold")
    stage.hold()
    stage.close()
    assert bench.world.truth()["stage_mode"] == "stopped"


def test_ramp_sends_rate_limit_start_in_this_order(bench: Bench) -> None:
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


def test_stage_goes_down_to_80_K_and_settles(bench: Bench) -> None:
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
def test_outside_the_limits_nothing_is_sent(bench: Bench, kelvin: float, rate: float) -> None:
    stage = bench.opened()
    before = len(sent(stage))
    with pytest.raises(LimitError, match=r"(?i)nothing was sent"):
        stage.ramp_to(kelvin, rate)
    assert len(sent(stage)) == before


def test_hold_and_stop(bench: Bench) -> None:
    stage = bench.opened()
    stage.ramp_to(200.0, 30.0)
    bench.clock.sleep(30)
    stage.hold()
    assert (stage.status().state, stage.status().at_set_point) == ("holding", False)
    stage.stop()
    assert stage.status().state == "stopped"


def test_pump_by_hand_and_automatic(bench: Bench) -> None:
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


def test_identity_names_the_stage(bench: Bench) -> None:
    identity = bench.opened().identify()
    assert (identity.make, identity.model) == ("Linkam", "T95 with THMS350V")


def test_vacuum_is_what_a_person_entered_and_marked_so(bench: Bench) -> None:
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
def test_one_spoilt_reply_is_got_over(bench: Bench, fault: str, action: str) -> None:
    stage = bench.opened()
    stage.ramp_to(250.0, 30.0)
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


def test_silence_is_a_timeout_and_not_a_hang(bench: Bench) -> None:
    stage = bench.opened()
    bench.world.faults.set("cryostage.reply_lost")
    with pytest.raises(InstrumentTimeoutError, match="no reply to ask for status"):
        stage.status()


def test_a_controller_that_never_acknowledges_is_driven_all_the_same() -> None:
    bench = Bench(silent_sets=True)
    try:
        stage = bench.opened(address=bench.server.address)
        stage.ramp_to(250.0, 30.0)
        assert stage.status().state == "cooling"
        assert bench.server.commands.count(b"S") == 1
    finally:
        bench.close()


def test_line_that_goes_and_comes_back_leaves_the_stage_as_it_was(bench: Bench) -> None:
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


def test_line_that_is_gone_for_a_while_is_waited_for(bench: Bench) -> None:
    stage = bench.opened()
    stage.ramp_to(200.0, 30.0)
    bench.server.commands.clear()
    bench.world.faults.set("cryostage.port_gone", duration_s=6.0)
    began_s = bench.clock.now()
    assert stage.status().state == "cooling"
    assert 6.0 <= bench.clock.now() - began_s < 16.0
    assert set(bench.server.commands) == {b"T"}


def test_a_pyserial_socket_that_was_reset_leaves_nothing_open(bench: Bench) -> None:
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


def test_a_restarted_controller_is_found_stopped_and_left_so(bench: Bench) -> None:
    stage = bench.opened()
    stage.ramp_to(200.0, 30.0)
    bench.server.close()
    bench.world.stage("stop")
    bench.server.start()
    bench.clock.sleep(30)
    assert stage.status().state == "stopped"
    bench.clock.sleep(30)
    assert bench.world.truth()["stage_mode"] == "stopped"


def test_nobody_there_is_a_connection_error_with_the_address(bench: Bench) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stage = bench.stage(address=f"socket://127.0.0.1:{port}")
    with pytest.raises(InstrumentConnectionError, match=str(port)):
        stage.open()
    stage.close()


def test_a_port_that_does_not_exist_is_a_connection_error(bench: Bench) -> None:
    stage = bench.stage(address="/dev/no-such-port")
    with pytest.raises(InstrumentConnectionError, match="no-such-port"):
        stage.open()


def test_open_sensor_is_a_fault_and_no_number(bench: Bench) -> None:
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


def test_heater_error_is_reported_and_refuses_a_ramp(bench: Bench) -> None:
    stage = bench.opened()
    bench.world.faults.set("stage.heater_error")
    bench.clock.sleep(1)
    assert "overload" in stage.status().faults[0]
    with pytest.raises(FaultError, match="overload"):
        stage.ramp_to(350.0, 30.0)


def test_empty_dewar_shows_as_a_warning_and_does_not_settle(bench: Bench) -> None:
    stage = bench.opened()
    bench.world.faults.set("stage.ln2_empty")
    stage.ramp_to(200.0, 30.0)
    bench.clock.sleep(120)
    status = stage.status()
    assert status.warnings
    assert status.faults == ()
    assert status.temperature.value > 290


def scripted(*replies: bytes) -> tuple[Listener, list[bytes]]:
    """A server that answers ``T`` with these replies in turn, the last one for ever, and CR to the rest."""
    left = list(replies)
    seen: list[bytes] = []

    def serve(connection: socket.socket, ended: threading.Event) -> None:
        pending = b""
        while not ended.is_set():
            try:
                received = connection.recv(100)
            except TimeoutError:
                continue
            if not received:
                return
            *commands, pending = (pending + received).split(b"\r")
            for command in commands:
                seen.append(command)
                if command == b"T":
                    connection.sendall(left.pop(0) if len(left) > 1 else left[0])
                else:
                    connection.sendall(b"\r")

    return Listener("scripted", serve), seen


@pytest.fixture
def script() -> Iterator[Callable[..., tuple[LinkamT95, list[bytes]]]]:
    made: list[tuple[LinkamT95, Listener]] = []

    def make(*replies: bytes, **settings: Any) -> tuple[LinkamT95, list[bytes]]:
        listener, seen = scripted(*replies)
        table = {"address": f"tcp://127.0.0.1:{listener.port}", "reply_timeout_s": 0.2, "pacing_s": 0.0}
        stage = LinkamT95("cryostage", LinkamT95Settings(**(table | settings)), clock=SystemClock())
        made.append((stage, listener))
        return stage, seen

    yield make
    for stage, listener in made:
        stage.close()
        listener.close()


def frame(field: bytes, state: int = 0x50, errors: int = 0x80) -> bytes:
    return bytes([state, errors, 0x80, 0x80, 0x80, 0x80]) + field + b"\r"


def test_garbage_temperature_keeps_the_last_good_value_and_counts(script: Any) -> None:
    stage, _ = script(*[frame(b"00f0")] * 3, frame(b"----"), on_close="leave", bad_readings=4)
    stage.open()
    good = stage.status().temperature
    for _ in range(3):
        assert stage.status().temperature == good
    with pytest.raises(ProtocolError, match="no temperature in 4 status replies"):
        stage.status()


def test_stray_carriage_returns_before_the_reply_do_not_shift_it(script: Any) -> None:
    stage, _ = script(b"\r\r" + frame(b"FB50", 0x20), on_close="leave")
    stage.open()
    assert stage.status().temperature.value == pytest.approx(153.15)


def test_a_leap_of_the_temperature_is_asked_for_again(script: Any) -> None:
    stage, _ = script(*[frame(b"00f0")] * 3, frame(b"40f0"), frame(b"00f0"), on_close="leave")
    stage.open()
    assert stage.status().temperature.value == pytest.approx(297.15)
    assert stage.status().temperature.value == pytest.approx(297.15)


def test_replies_that_contradict_each_other_are_an_error(script: Any) -> None:
    replies = [frame(b"00f0"), frame(b"20f0")] * 4
    stage, _ = script(*replies, on_close="leave")
    with pytest.raises(ProtocolError, match="contradict"):
        stage.open()


def test_unknown_state_is_said_with_its_byte(script: Any) -> None:
    stage, _ = script(frame(b"00f0", 0x77), on_close="leave")
    stage.open()
    assert stage.status().state == "unknown"
    assert "0x77" in stage.status().warnings[0]


def test_a_start_that_changes_nothing_is_an_error(script: Any) -> None:
    stage, _ = script(frame(b"00f0", 0x01), on_close="leave")
    stage.open()
    with pytest.raises(InstrumentTimeoutError, match="did not start the ramp"):
        stage.ramp_to(250.0, 10.0)


def test_a_stage_that_goes_on_holding_elsewhere_has_not_started(script: Any) -> None:
    stage, _ = script(frame(b"00f0", 0x30), on_close="leave")
    stage.open()
    with pytest.raises(InstrumentTimeoutError, match="did not start the ramp"):
        stage.ramp_to(250.0, 10.0)
    stage.ramp_to(297.0, 10.0)


def test_settings_with_minimum_above_maximum_are_refused() -> None:
    with pytest.raises(ValueError, match="must be below"):
        LinkamT95Settings(address="COM3", minimum_K=300.0, maximum_K=200.0)


def test_errors_are_one_sentence_for_a_person(bench: Bench) -> None:
    stage = bench.opened()
    bench.world.faults.set("cryostage.port_gone")
    with pytest.raises(InstrumentError) as caught:
        stage.status()
    text = str(caught.value)
    assert text.startswith("cryostage: ")
    assert "check power" in text.lower()
    assert "\n" not in text
