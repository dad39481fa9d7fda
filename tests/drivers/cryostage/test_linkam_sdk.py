"""The SDK driver against the stand-in of the vendor's library."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.cryostage.linkam_sdk import LinkamSdk, LinkamSdkSettings
from drivers.cryostage.linkam_sdk_tables import connection_errors, controller_error
from drivers.errors import (
    FaultError,
    InstrumentConnectionError,
    InstrumentError,
    InstrumentTimeoutError,
    LimitError,
    MissingDriverError,
    ProtocolError,
)
from simulators.link import SimulatedClock
from simulators.linkam_sdk import PROTOTYPES, SimulatedSdk, as_float, as_word
from simulators.world import World


class Bench:
    """A world with its SDK and the drivers opened on it."""

    def __init__(self, **sdk: Any) -> None:
        self.world = World(seed=12)
        self.clock = SimulatedClock(self.world)
        self.sdk = SimulatedSdk(self.world, **sdk)
        self.stages: list[LinkamSdk] = []

    def stage(self, **settings: Any) -> LinkamSdk:
        stage = LinkamSdk("cryostage", LinkamSdkSettings(**settings), clock=self.clock, vendor=self.sdk)
        self.stages.append(stage)
        return stage

    def opened(self, **settings: Any) -> LinkamSdk:
        stage = self.stage(**settings)
        stage.open()
        self.sdk.messages.clear()
        return stage

    def orders(self) -> list[tuple[int, int, int]]:
        """Messages that change something."""
        return [
            message for message in self.sdk.messages if message[0] in (0x10, 0x11, 0x14, 0x16, 0x1B, 0x1C)
        ]

    def close(self) -> None:
        self.world.faults.clear()
        for stage in self.stages:
            with contextlib.suppress(InstrumentError):
                stage.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_opening_changes_nothing_and_reads_limits(bench: Bench) -> None:
    stage = bench.stage(minimum_K=77.0)
    assert stage.limits.minimum_K == 77.0
    stage.open()
    assert bench.orders() == []
    # The stage says -196 to 350 C; a narrower rig file wins, a wider one does not.
    assert (stage.limits.minimum_K, stage.limits.maximum_K) == pytest.approx((77.15, 623.15))
    assert stage.limits.maximum_rate_K_per_min == 30.0


def test_ramp_is_rate_then_set_point_then_start_heating(bench: Bench) -> None:
    stage = bench.opened()
    stage.ramp_to(153.15, 20.0)
    orders = bench.orders()
    assert [(message, p1) for message, p1, _ in orders] == [(0x16, 1), (0x16, 2), (0x10, 1)]
    assert as_float(orders[0][2]) == 20.0
    assert as_float(orders[1][2]) == pytest.approx(-120.0)


def test_traffic_is_kept_with_its_meaning(bench: Bench) -> None:
    stage = bench.opened()
    stage.ramp_to(153.15, 20.0)
    meanings = [entry.meaning for entry in stage.traffic.entries() if entry.direction == "sent"]
    first = meanings.index("set value: heater rate to 20")
    assert meanings[first : first + 3] == [
        "set value: heater rate to 20",
        "set value: heater set point to -120",
        "start heating: 1",
    ]
    received = [entry.data for entry in stage.traffic.entries() if entry.direction == "received"]
    assert all(len(data) == 9 for data in received)


def test_start_heating_goes_again_after_each_new_set_point(bench: Bench) -> None:
    stage = bench.opened()
    for kelvin in (250.0, 200.0):
        stage.ramp_to(kelvin, 30.0)
        assert bench.world.controller.limit_K == pytest.approx(kelvin)


def test_status_has_everything_the_controller_knows(bench: Bench) -> None:
    stage = bench.opened()
    stage.ramp_to(100.0, 30.0)
    bench.clock.sleep(60.0)
    status = stage.status()
    truth = bench.world.truth()
    assert (status.state, status.at_set_point) == ("cooling", False)
    assert status.temperature.value == pytest.approx(truth["stage_temperature_K"], abs=0.1)
    assert status.set_point is not None
    assert (status.set_point.value, status.set_point.source) == (pytest.approx(100.0), "measured")
    assert status.rate is not None
    assert status.rate.value == pytest.approx(30.0)
    assert status.pump_percent is not None
    assert status.pump_percent > 10
    assert status.heater_percent is not None
    assert status.vacuum is not None
    assert (status.vacuum.value, status.vacuum.unit, status.vacuum.source) == (100.0, "mbar", "measured")
    bench.clock.sleep(600.0)
    status = stage.status()
    assert (status.state, status.at_set_point) == ("holding", True)


def test_adopts_a_stage_that_cools(bench: Bench) -> None:
    bench.world.stage("limit_K", 100.0)
    bench.world.stage("start")
    bench.sdk._set_point_K = 100.0
    stage = bench.opened(on_close="leave")
    assert stage.status().state == "cooling"
    stage.close()
    assert bench.orders() == []
    assert bench.world.truth()["stage_mode"] == "ramping"


@pytest.mark.parametrize("on_close", ["hold", "stop", "leave"])
def test_closing_leaves_the_stage_as_the_rig_file_says(bench: Bench, on_close: str) -> None:
    stage = bench.opened(on_close=on_close)
    stage.ramp_to(200.0, 30.0)
    bench.clock.sleep(30.0)
    here_K = bench.world.truth()["stage_temperature_K"]
    stage.close()
    stage.close()
    bench.clock.sleep(600.0)
    expected_K = {"hold": here_K, "leave": 200.0, "stop": 288.0}[on_close]
    assert bench.world.truth()["stage_temperature_K"] == pytest.approx(expected_K, abs=2.0)


def test_holding_does_not_switch_on_a_stage_that_is_off(bench: Bench) -> None:
    stage = bench.opened(on_close="hold")
    stage.hold()
    stage.close()
    assert bench.orders() == []


@pytest.mark.parametrize(("kelvin", "rate"), [(77.1, 10.0), (624.0, 10.0), (200.0, 31.0)])
def test_outside_the_limits_nothing_is_sent(bench: Bench, kelvin: float, rate: float) -> None:
    stage = bench.opened(minimum_K=77.0)
    with pytest.raises(LimitError, match=r"(?i)nothing was sent"):
        stage.ramp_to(kelvin, rate)
    assert bench.orders() == []


def test_pump(bench: Bench) -> None:
    stage = bench.opened()
    stage.set_pump(40.0)
    bench.clock.sleep(1.0)
    assert stage.status().pump_percent == pytest.approx(40.0)
    stage.set_pump(None)
    assert bench.world.stage("state")["pump_automatic"]
    with pytest.raises(LimitError):
        stage.set_pump(-1.0)


def test_vacuum_without_the_card_is_entered_by_a_person() -> None:
    bench = Bench(vacuum_card=False)
    try:
        stage = bench.opened()
        assert stage.status().vacuum is None
        stage.enter_vacuum(95.0)
        vacuum = stage.status().vacuum
        assert vacuum is not None
        assert (vacuum.value, vacuum.source) == (95.0, "entered")
    finally:
        bench.close()


@pytest.mark.parametrize(
    ("fault", "number", "words"),
    [
        ("stage.sensor_open", 3, "sensor is open"),
        ("stage.heater_error", 5, "voltage"),
        ("stage.ln2_empty", 12, "pump"),
    ],
)
def test_controller_errors_have_number_and_text(bench: Bench, fault: str, number: int, words: str) -> None:
    stage = bench.opened()
    good = stage.status().temperature
    bench.world.faults.set(fault)
    bench.clock.sleep(1.0)
    status = stage.status()
    assert f"error {number}:" in status.faults[0]
    assert words in status.faults[0]
    if fault == "stage.sensor_open":
        assert status.temperature == good
    with pytest.raises(FaultError, match=f"error {number}"):
        stage.ramp_to(200.0, 10.0)
    assert bench.orders() == []


def test_lost_vacuum_is_seen(bench: Bench) -> None:
    stage = bench.opened()
    bench.world.faults.set("stage.vacuum_lost")
    bench.clock.sleep(300.0)
    vacuum = stage.status().vacuum
    assert vacuum is not None
    assert vacuum.value > 900.0


@pytest.mark.parametrize("action", ["status", "ramp_to", "hold", "stop"])
@pytest.mark.parametrize("fault", ["reply_lost", "reply_late"])
def test_one_lost_or_late_answer_is_got_over(bench: Bench, action: str, fault: str) -> None:
    stage = bench.opened()
    stage.ramp_to(250.0, 30.0)
    bench.world.faults.set(f"cryostage.{fault}", count=1)
    if action == "ramp_to":
        stage.ramp_to(240.0, 30.0)
        assert bench.world.controller.limit_K == pytest.approx(240.0)
    else:
        getattr(stage, action)()


def test_connection_that_is_gone_for_a_while_is_waited_for(bench: Bench) -> None:
    stage = bench.opened()
    stage.ramp_to(200.0, 30.0)
    bench.sdk.messages.clear()
    bench.world.faults.set("cryostage.port_gone", duration_s=6.0)
    assert stage.status().state == "cooling"
    assert 6.0 <= bench.clock.now() < 16.0
    assert bench.orders() == []


def test_connection_that_goes_and_comes_back_switches_nothing_on(bench: Bench) -> None:
    stage = bench.opened(reconnect_s=0.0)
    bench.world.faults.set("cryostage.port_gone")
    with pytest.raises(InstrumentTimeoutError):
        stage.status()
    with pytest.raises(InstrumentConnectionError, match="no such device"):
        stage.status()
    with pytest.raises(InstrumentConnectionError, match=r"next attempt is made in 0\.5 s"):
        stage.ramp_to(200.0, 10.0)
    bench.world.faults.clear()
    bench.clock.sleep(1.0)
    assert stage.status().state == "stopped"
    assert bench.orders() == []


def test_hanging_library_is_given_up(bench: Bench, hang: Any) -> None:
    stage = bench.opened(attempts=1, reconnect_s=0.0)
    real = bench.sdk.linkamProcessMessageCommon

    @PROTOTYPES["linkamProcessMessageCommon"]
    def stay(*arguments: Any) -> bool:
        hang.stay()
        return False

    bench.sdk.linkamProcessMessageCommon = stay
    try:
        with pytest.raises(InstrumentTimeoutError, match="does not return"):
            stage.status()
        with pytest.raises(InstrumentError):
            stage.status()
    finally:
        bench.sdk.linkamProcessMessageCommon = real
        hang.release()


def test_refused_licence_says_what_to_do() -> None:
    bench = Bench(licensed=False)
    stage = bench.stage(licence="wrong.lsk")
    with pytest.raises(MissingDriverError, match=r"wrong\.lsk.*\.lsk file as 'licence'"):
        stage.open()
    stage.close()


def test_missing_library_says_what_to_do(bench: Bench) -> None:
    stage = LinkamSdk("cryostage", LinkamSdkSettings(library="/no/such/lib.so"), clock=bench.clock)
    with pytest.raises(MissingDriverError, match=r"(?i)install Linkam's SDK") as caught:
        stage.open()
    assert isinstance(caught.value, ImportError)


def test_another_library_is_refused(bench: Bench) -> None:
    stage = LinkamSdk("cryostage", LinkamSdkSettings(), clock=bench.clock, vendor=object())
    with pytest.raises(MissingDriverError, match="not the Linkam SDK"):
        stage.open()


@pytest.mark.parametrize(
    ("settings", "words"), [({"serial_number": "OTHER"}, "no such device"), ({"serial_port": "COM9"}, "")]
)
def test_which_controller(bench: Bench, settings: dict[str, str], words: str) -> None:
    stage = bench.stage(**settings)
    if words:
        with pytest.raises(InstrumentConnectionError, match=words):
            stage.open()
    else:
        stage.open()
        assert stage.status().connected


def test_controller_held_by_another_program(bench: Bench) -> None:
    bench.opened()
    other = bench.stage()
    with pytest.raises(InstrumentConnectionError, match="another program holds it"):
        other.open()


def test_a_value_that_is_no_number_is_refused(bench: Bench) -> None:
    stage = bench.opened()
    bench.sdk._actions[0x15] = lambda p1, p2: as_word(float("nan"))
    with pytest.raises(ProtocolError, match="gave nan as heater temperature"):
        stage.status()


def test_tables() -> None:
    assert controller_error(18) == "controller error 18: the T96's protection has tripped"
    assert controller_error(77) == "controller error 77: not in our table"
    assert connection_errors(0b1010) == "no such device was found; the controller did not answer in time"
    assert connection_errors(0) == "the SDK gave status 0x0"


def test_a_thousand_openings_leave_no_thread(bench: Bench, until: Any) -> None:
    stage = bench.stage(on_close="leave")
    before = threading.active_count()
    for _ in range(1000):
        stage.open()
        stage.status()
        stage.close()
    until(lambda: threading.active_count() <= before)
