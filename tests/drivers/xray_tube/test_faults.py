"""Every fault that the simulated rig has for the tube, at every stage of its life.

Whatever happens: a clear error of ours or a recovery; "on" is sent at most once per ``beam_on``;
after an error of ``beam_on`` the tube is off; nothing true is reported wrong; when the fault has gone the
tube can be used again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drivers.errors import InstrumentError
from drivers.xray_tube.spellman import SpellmanTube
from simulators.faults import FAULTS

TUBE_FAULTS = sorted(name for name in FAULTS if name.startswith(("tube.", "interlock.")))
LINE_FAULTS = [name for name in TUBE_FAULTS if name.startswith("tube.reply_") or name == "tube.port_gone"]
# What the supply says of itself differs from model to model; the line does not.
CASES = [
    (fault, model)
    for model in ("ux50p50", "mnx50p50", "xrv")
    for fault in TUBE_FAULTS
    if model == "ux50p50" or fault not in LINE_FAULTS
]
# Faults in which a reply does not come, or none that can be used.
SILENT = [name for name in LINE_FAULTS if name not in ("tube.reply_doubled", "tube.port_gone")]


def test_there_are_as_many_faults_as_the_list_has() -> None:
    assert len(TUBE_FAULTS) == 10


def count_on(bench: Any) -> int:
    on = "98,1," if bench.server.model == "xrv" else "99,1,"
    return int(bench.server.commands.count(on))


def begin(bench: Any, fault: str) -> None:
    if fault in SILENT:
        bench.hurry(attempts=1)
    bench.faults.set(fault)


def end(bench: Any) -> None:
    bench.faults.clear()
    bench.take_time()


def check_status(driver: SpellmanTube, bench: Any) -> InstrumentError | None:
    """Ask for the status; it is true, or an error."""
    voltages, currents = [bench.tube.voltage_kV], [bench.tube.current_uA]
    try:
        status = driver.status()
    except InstrumentError as error:
        assert str(error).startswith("tube: ")
        return error
    assert status.beam_on == bench.tube.hv_on
    assert status.interlock_closed == bench.tube.interlock_closed
    voltages.append(bench.tube.voltage_kV)
    currents.append(bench.tube.current_uA)
    assert min(voltages) - 0.1 <= status.voltage.value <= max(voltages) + 0.1
    assert min(currents) - 3.0 <= status.current.value <= max(currents) + 3.0
    return None


def use_again(driver: SpellmanTube, bench: Any) -> None:
    """The fault goes; the tube can be used again, and goes off in the end."""
    end(bench)
    bench.clock.sleep(900.0)
    driver.clear_faults()
    driver.beam_on(30.0, 200.0)
    assert bench.tube.hv_on
    assert check_status(driver, bench) is None
    driver.close()
    assert not bench.tube.hv_on


@pytest.mark.parametrize(("fault", "model"), CASES)
def test_while_the_beam_is_off(make_bench: Callable[..., Any], fault: str, model: str) -> None:
    bench = make_bench(model=model)
    driver = bench.opened()
    begin(bench, fault)
    for _ in range(2):
        bench.world.advance(0.5)
        check_status(driver, bench)
    assert not bench.tube.hv_on
    assert count_on(bench) == 0
    use_again(driver, bench)


@pytest.mark.parametrize(("fault", "model"), CASES)
def test_in_the_ramp(make_bench: Callable[..., Any], fault: str, model: str) -> None:
    bench = make_bench(model=model)
    driver = bench.opened()
    plain_advance = bench.tube.advance

    def advance(dt_s: float) -> None:
        plain_advance(dt_s)
        if bench.tube.voltage_kV > 15.0:
            bench.tube.advance = plain_advance
            begin(bench, fault)

    bench.tube.advance = advance
    try:
        driver.beam_on(40.0, 300.0)
    except InstrumentError as error:
        assert str(error).startswith("tube: ")
        if fault == "tube.port_gone":
            # Nothing gets through: the alarm says so, and "off" is owed.
            assert "emergency stop" in str(error)
        else:
            bench.goes_off()
    else:
        assert fault in ("tube.current_drift", "tube.reply_doubled", "tube.over_temperature")
        assert check_status(driver, bench) is None
    assert count_on(bench) == 1
    end(bench)
    bench.clock.sleep(30.0)
    check_status(driver, bench)
    if fault == "tube.port_gone":
        assert not bench.tube.hv_on
    use_again(driver, bench)


@pytest.mark.parametrize(("fault", "model"), CASES)
def test_while_the_beam_is_on(make_bench: Callable[..., Any], fault: str, model: str) -> None:
    bench = make_bench(model=model)
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    begin(bench, fault)
    bench.world.advance(60.0)
    error = check_status(driver, bench)
    line_is_dead = fault in LINE_FAULTS and fault != "tube.reply_doubled"
    assert (error is not None) == line_is_dead
    if fault in ("interlock.open", "tube.arc", "tube.over_temperature"):
        status = driver.status()
        assert not status.beam_on
        assert status.faults
    if fault == "tube.current_drift":
        assert any("current drifted" in text for text in driver.status().faults)
        driver.beam_off()
    if line_is_dead:
        assert "emergency stop" in str(error)
        # The supply heard "off" on a line on which only the answers are spoilt.
        if fault == "tube.port_gone":
            assert bench.tube.hv_on
        else:
            bench.goes_off()
        end(bench)
        bench.clock.sleep(30.0)
        assert check_status(driver, bench) is None
        assert not bench.tube.hv_on
    assert count_on(bench) == 1
    use_again(driver, bench)


@pytest.mark.parametrize("fault", TUBE_FAULTS)
def test_closing_in_a_fault_ends_and_off_where_that_is_possible(bench: Any, fault: str) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    begin(bench, fault)
    try:
        driver.close()
    except InstrumentError as error:
        assert "could not be verified that the beam is off" in str(error)
    if fault == "tube.port_gone":
        assert bench.tube.hv_on
    else:
        bench.goes_off()
    end(bench)
    bench.tube.switch_off()
    assert not driver.transport.connected
