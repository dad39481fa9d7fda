"""The models' tables, and the driver on each model of the simulated supply."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.errors import FaultError, InstrumentError, InterlockError, LimitError, ProtocolError
from drivers.xray_tube.models import MNX50P50, MODELS, UX50P50, XRV
from drivers.xray_tube.spellman import SpellmanTube
from drivers.xray_tube.supply import Supply

NAMES = ["ux50p50", "mnx50p50", "xrv"]


@pytest.fixture(params=NAMES)
def model_bench(request: pytest.FixtureRequest, make_bench: Callable[..., Any]) -> Any:
    return make_bench(model=request.param)


def test_what_differs_between_the_models() -> None:
    """As in the manuals: a wrong table switches the wrong thing."""
    assert (UX50P50.commands.high_voltage, XRV.commands.high_voltage) == (99, 98)
    assert (UX50P50.commands.filament_preheat, UX50P50.commands.filament_limit) == (12, 13)
    assert (XRV.commands.filament_preheat, XRV.commands.filament_limit) == (13, 12)
    assert (UX50P50.commands.monitors, XRV.commands.monitors) == (20, 19)
    assert (UX50P50.commands.faults, MNX50P50.commands.faults, XRV.commands.faults) == (32, 76, 68)
    assert (UX50P50.commands.clear_faults, XRV.commands.clear_faults) == (52, 31)


def test_the_tables_have_the_lengths_of_the_replies() -> None:
    assert (len(UX50P50.status), len(UX50P50.monitors), len(UX50P50.faults)) == (3, 7, 7)
    assert len(MNX50P50.faults) == 8
    assert (len(XRV.status), len(XRV.monitors), len(XRV.faults)) == (17, 8, 27)


def test_xrv_flags_stand_where_pymeasure_has_them() -> None:
    spellman = pytest.importorskip("pymeasure.instruments.spellmanhv.spellmanXRV")
    status, error = spellman.StatusCode, spellman.ErrorCode

    def place(flag: int) -> int:
        return flag.bit_length() - 1

    assert XRV.status.index("high_voltage_on") == place(status.HV_ENABLED)
    assert XRV.status.index("interlock_1_closed") == place(status.INTERLOCK_1_CLOSED)
    assert XRV.status.index("interlock_2_closed") == place(status.INTERLOCK_2_CLOSED)
    assert XRV.status.index("fault") == place(status.POWER_SUPPLY_FAULT)
    assert XRV.status.index("local_mode") == place(status.LOCAL_MODE)
    assert XRV.status.index("ready") == place(status.POWER_SUPPLY_READY)
    assert XRV.status.index("internal_interlock_closed") == place(status.INTERNAL_INTERLOCK_CLOSED)
    assert XRV.faults.index("arc at the cathode") == place(error.CATHODE_ARC)
    assert XRV.faults.index("over-power") == place(error.OVERPOWER_FAULT)
    assert XRV.faults.index("watchdog") == place(error.WATCH_DOG_FAULT)
    assert XRV.faults.index("inverter not ready") == place(error.INVERTER_NOT_READY)


def test_every_model_has_a_simulated_supply() -> None:
    from simulators.spellman_dialects import DIALECTS

    assert sorted(MODELS) == sorted(NAMES) == sorted(DIALECTS)


def test_the_beam_goes_on_and_off(model_bench: Any) -> None:
    driver = model_bench.driver()
    driver.open()
    assert driver.status().state == "off"
    driver.beam_on(45.0, 500.0)
    status = driver.status()
    assert (status.state, status.beam_on, status.interlock_closed) == ("on", True, True)
    assert status.voltage.value == pytest.approx(45.0, abs=0.1)
    assert status.current.value == pytest.approx(model_bench.tube.current_uA, abs=3.0)
    assert model_bench.tube.current_uA == pytest.approx(500.0, abs=11.0)
    assert driver.supply.hours() == pytest.approx(model_bench.tube.on_s / 3600.0, abs=0.051)
    driver.beam_off()
    assert not model_bench.tube.hv_on


def test_an_open_interlock_is_open_whatever_the_polarity_of_the_flag(model_bench: Any) -> None:
    driver = model_bench.driver()
    driver.open()
    assert driver.status().interlock_closed
    model_bench.faults.set("interlock.open")
    model_bench.world.advance(0.2)
    assert not driver.status().interlock_closed
    with pytest.raises(InterlockError):
        driver.beam_on(40.0, 300.0)
    assert not model_bench.tube.hv_on


@pytest.mark.parametrize("fault", ["tube.arc", "tube.over_temperature"])
def test_faults_show_and_clear(model_bench: Any, fault: str) -> None:
    driver = model_bench.driver()
    driver.open()
    driver.beam_on(40.0, 300.0)
    model_bench.faults.set(fault)
    model_bench.world.advance(30.0)
    status = driver.status()
    assert status.state == "fault"
    assert not status.beam_on
    assert status.faults
    with pytest.raises(FaultError):
        driver.beam_on(40.0, 300.0)
    with pytest.raises(FaultError, match="after clearing"):
        driver.clear_faults()
    model_bench.faults.clear()
    model_bench.world.advance(900.0)
    driver.clear_faults()
    assert driver.status().faults == ()
    assert not model_bench.tube.hv_on


def test_xrv_tells_its_rating(make_bench: Callable[..., Any]) -> None:
    driver = make_bench(model="xrv").driver(maximum_voltage_kV=160.0, maximum_current_uA=30_000.0)
    driver.open()
    assert (driver.limits.maximum_voltage_kV, driver.limits.maximum_current_uA) == (50.0, 1000.0)


def test_an_xrv_in_local_mode_is_not_switched_on(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(model="xrv")
    driver = bench.driver()
    driver.open()
    driver.supply._do(99, 0)  # its command for local mode
    with pytest.raises(FaultError, match="local mode"):
        driver.beam_on(40.0, 300.0)
    assert not any(body.startswith("98,1") for body in bench.server.commands)


@pytest.mark.parametrize("wrong", ["xrv", "mnx50p50"])
def test_a_wrong_model_in_the_rig_file_is_noticed_and_nothing_goes_on(
    make_bench: Callable[..., Any], wrong: str
) -> None:
    bench = make_bench(model="ux50p50")
    driver = bench.driver(model=wrong, reply_timeout_s=0.1)
    with pytest.raises(InstrumentError):
        driver.open()
        bench.tube.trips.add("arc")
        driver.status()
    assert not bench.tube.hv_on


def test_a_ux_table_on_an_xrv_is_noticed_before_99_is_sent(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(model="xrv")
    with pytest.raises(ProtocolError, match="17 values where 3 were expected"):
        bench.driver(model="ux50p50").open()
    assert not any(body.startswith(("98", "99")) for body in bench.server.commands)


def test_filament_currents_are_sent_before_switching_on(bench: Any) -> None:
    driver = bench.driver(filament_preheat_A=1.5, filament_limit_A=1.7)
    driver.open()
    driver.beam_on(40.0, 300.0)
    sent = bench.server.commands
    # 2.442 mA per bit: 1.5 A is 614 counts, 1.7 A 696.
    assert sent.index("12,614,") < sent.index("99,1,")
    assert sent.index("13,696,") < sent.index("99,1,")


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "xrv", "filament_limit_A": 1.7},
        {"filament_preheat_A": 1.8, "filament_limit_A": 1.7},
    ],
)
def test_filament_currents_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="filament"):
        SpellmanTube.Settings.model_validate({"address": "tcp://localhost:1"} | wrong)


@pytest.mark.parametrize("form", ["socket://{}:{}", "TCPIP0::{}::{}::SOCKET", "tcp://{}:{}"])
def test_with_checksum_on_every_kind_of_line(make_bench: Callable[..., Any], form: str) -> None:
    bench = make_bench(checksum=True)
    address = form.format(*bench.server.host_and_port)
    driver = bench.driver(address=address, **({} if form.startswith("socket") else {"checksum": True}))
    driver.open()
    driver.beam_on(30.0, 200.0)
    assert bench.tube.hv_on
    off = [entry for entry in driver.transport.traffic.entries() if entry.data == b"\x0299,1,E\x03"]
    assert len(off) == 1
    driver.beam_off()
    assert not bench.tube.hv_on


def test_a_healthy_supply_passes_its_self_test_without_anything_switched(model_bench: Any) -> None:
    driver = model_bench.driver()
    driver.open()
    assert driver.self_test() == ()
    assert not any(body.startswith(("10", "11", "98", "99")) for body in model_bench.server.commands)


def test_the_self_test_finds_a_wrong_name_local_mode_and_limits_beyond_the_rating(
    make_bench: Callable[..., Any],
) -> None:
    bench = make_bench(model="ux50p50")
    driver = bench.driver(model="mnx50p50", maximum_voltage_kV=60.0)
    driver.open()
    assert driver.self_test() == (
        "the supply calls itself 'uX50P50', but the rig file says MNX50P50",
        "the rig file allows 60 kV, the supply only 50 kV",
    )
    other = make_bench(model="xrv").driver()
    other.open()
    other.supply._do(99, 0)
    assert other.self_test() == ("the supply is in local mode: set it to remote at its own panel",)


class _AnyReply:
    """A transport that gives what it is told to, whatever is asked."""

    reply = b""

    def exchange(self, request: bytes, *, is_reply: Callable[[bytes], bool], **_: Any) -> bytes:
        if not is_reply(self.reply):
            raise ProtocolError("tube", "no valid reply")
        return self.reply


def _reply(source: random.Random, command: int) -> bytes:
    """A reply with the right command number and anything after it."""
    tokens = ["0", "1", "4095", "4096", "-1", "$", "!", "1.5", "", "nan", "1e9", " 1", "２", "160", "30"]
    fields = [source.choice(tokens) for _ in range(source.choice([0, 1, 1, 2, 3, 3, 7, 8, 17, 27]))]
    body = "".join(f"{field}," for field in [f"{command:02d}", *fields]).encode("utf-8", errors="replace")
    reply = bytearray(b"\x02" + body + b"\x03")
    if source.random() < 0.3:
        reply[source.randrange(len(reply))] = source.randrange(256)
    return bytes(reply)


@pytest.mark.parametrize("name", NAMES)
def test_arbitrary_replies_give_values_in_range_or_our_error(name: str) -> None:
    source = random.Random(7)
    model = MODELS[name]
    line = _AnyReply()
    supply = Supply("tube", line, model, with_checksum=False)  # type: ignore[arg-type]
    asked: list[tuple[int, Callable[[], Any], Callable[[Any], bool]]] = [
        (model.commands.status, supply.flags, lambda flags: isinstance(flags.high_voltage_on, bool)),
        (model.commands.hours, supply.hours, lambda hours: 0 <= hours < 1e7),
        (model.commands.faults, supply.faults, lambda faults: set(faults) <= set(model.faults)),
        (model.commands.high_voltage, supply.switch_off, lambda nothing: nothing is None),
        (model.commands.clear_faults, supply.clear_faults, lambda nothing: nothing is None),
        (model.commands.firmware, supply.identity, lambda identity: identity.make == "Spellman"),
        (
            model.commands.monitors,
            supply.monitors,
            lambda seen: 0 <= seen.voltage_kV <= 50 and 0 <= seen.current_uA <= 2400,
        ),
    ]
    understood = 0
    for _ in range(34_000):
        command, ask, sensible = source.choice(asked)
        line.reply = _reply(source, command)
        try:
            value = ask()
        except (ProtocolError, LimitError, InterlockError):
            continue
        understood += 1
        assert sensible(value), line.reply
    assert understood > 100


def test_arbitrary_scalings_are_finite_and_positive() -> None:
    source = random.Random(8)
    for _ in range(5000):
        line = _AnyReply()
        line.reply = _reply(source, 28)
        supply = Supply("tube", line, XRV, with_checksum=False)  # type: ignore[arg-type]
        try:
            scaling = supply.scaling()
        except ProtocolError:
            continue
        assert 0 < scaling.voltage_kV < 1000
        assert 0 < scaling.current_uA < 1e7
