"""The tube's driver on a bad line: what is asked again, what never is, off first when the line is back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.errors import (
    InstrumentConnectionError,
    InstrumentTimeoutError,
    ProtocolError,
)
from drivers.xray_tube.spellman import SpellmanTube

ONE_REPLY = [
    "tube.reply_lost",
    "tube.reply_late",
    "tube.reply_truncated",
    "tube.reply_doubled",
    "tube.reply_garbled",
]


@pytest.mark.parametrize("fault", ONE_REPLY)
def test_one_spoilt_answer_to_a_question_is_asked_again(bench: Any, fault: str) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    bench.hurry()
    bench.faults.set(fault, count=1)
    for _ in range(3):
        status = driver.status()
        assert status.voltage.value == pytest.approx(40.0, abs=0.5)
        assert status.current.value == pytest.approx(300.0, abs=10.0)
    assert bench.tube.hv_on
    assert bench.server.commands.count("99,1,") == 1


@pytest.mark.parametrize("fault", [name for name in ONE_REPLY if name != "tube.reply_doubled"])
def test_a_spoilt_answer_to_on_is_not_repeated_and_ends_off(bench: Any, fault: str) -> None:
    driver = bench.opened()
    bench.hurry(0.5)
    plain_switch_on = bench.tube.switch_on

    def switch_on() -> Any:
        bench.faults.set(fault, count=1)
        return plain_switch_on()

    bench.tube.switch_on = switch_on
    with pytest.raises((InstrumentTimeoutError, ProtocolError), match="The beam was switched off"):
        driver.beam_on(40.0, 300.0)
    assert bench.server.commands.count("99,1,") == 1
    assert not bench.tube.hv_on


@pytest.mark.parametrize("fault", ["tube.reply_lost", "tube.reply_truncated", "tube.reply_garbled"])
def test_no_good_answers_at_all_while_on_tries_off_and_says_so(bench: Any, fault: str) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    bench.hurry(attempts=3)
    bench.faults.set(fault)
    with pytest.raises(
        (InstrumentTimeoutError, ProtocolError), match=r"could not be verified.*emergency stop"
    ):
        driver.status()
    # The supply heard "off" though its answers were lost.
    bench.goes_off()


def test_lost_connection_while_on_tries_off_raises_and_sends_it_at_the_next_contact(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    bench.faults.set("tube.port_gone")
    with pytest.raises(InstrumentConnectionError, match="could not be verified"):
        driver.status()
    assert bench.tube.hv_on
    bench.faults.clear()
    bench.clock.sleep(10.0)
    assert driver.status().state == "off"
    assert not bench.tube.hv_on


@pytest.mark.parametrize(
    "contact",
    [
        lambda driver: driver.status(),
        lambda driver: driver.identify(),
        lambda driver: driver.self_test(),
        lambda driver: driver.clear_faults(),
        lambda driver: driver.beam_on(30.0, 100.0),
    ],
)
def test_off_is_the_first_thing_over_a_line_that_is_back(
    bench: Any, contact: Callable[[SpellmanTube], object]
) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    bench.faults.set("tube.port_gone")
    with pytest.raises(InstrumentConnectionError):
        driver.status()
    bench.faults.clear()
    bench.clock.sleep(10.0)
    bench.server.commands.clear()
    contact(driver)
    assert bench.server.commands[0] == "99,0,"


def test_a_connection_that_comes_back_within_the_retries_goes_on(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    bench.server.close()
    bench.server.start()
    assert driver.status().state == "on"
    assert driver.transport.reconnects == 1
    assert bench.server.commands.count("99,1,") == 1


def test_a_power_cycled_supply_stays_off_after_the_reconnect(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    bench.server.close()
    bench.tube.switch_off()
    bench.tube.program(voltage_kV=0.0, current_uA=0.0)
    bench.server.start()
    assert driver.status().state == "off"
    assert bench.server.commands.count("99,1,") == 1


def test_off_on_a_dead_line_raises_the_alarm_once_at_close(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    bench.faults.set("tube.port_gone")
    with pytest.raises(InstrumentConnectionError, match="verified that the beam is off"):
        driver.close()
    driver.close()


def test_closing_a_dead_line_with_the_beam_off_is_quiet(bench: Any) -> None:
    driver = bench.opened()
    bench.faults.set("tube.port_gone")
    driver.close()


def test_six_monitors_after_switching_on_are_asked_for_again(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_on(40.0, 300.0)
    received = [
        entry.meaning for entry in driver.transport.traffic.entries() if entry.direction == "received"
    ]
    counts = [len(words.split(",")) for words in received if words.startswith("monitors")]
    assert counts[0] == 6
    assert counts[1] == 7


def test_the_traffic_log_says_what_the_bytes_mean(bench: Any) -> None:
    driver = bench.opened()
    driver.beam_off()
    entries = driver.transport.traffic.entries()
    sent = [entry for entry in entries if entry.data == b"\x0299,0,\x03"]
    assert sent[0].meaning == "high voltage 0"
    assert sent[0].direction == "sent"


def test_a_thousand_reconnects_leave_nothing_behind(bench: Any) -> None:
    import pyvisa

    driver = bench.opened(pacing_s=0.0)
    handles = Path("/proc/self/fd")
    library = pyvisa.ResourceManager("@py").visalib
    driver.status()
    sessions, threads = len(library.sessions), threading.active_count()
    descriptors = len(list(handles.iterdir())) if handles.exists() else 0
    for _ in range(1000):
        driver.transport._drop("test")
        driver.supply.flags()
    assert driver.transport.reconnects == 1000
    assert len(library.sessions) == sessions
    # The server's side of the last connections may take a moment to end.
    bench.until(lambda: threading.active_count() <= threads + 2)
    if handles.exists():
        bench.until(lambda: len(list(handles.iterdir())) <= descriptors + 2)
    assert bench.server.commands.count("99,1,") == 0
