"""The T95 driver and replies that no controller should send: each is asked again, refused or said."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.cryostage.linkam_t95 import LinkamT95, LinkamT95Settings
from drivers.errors import InstrumentTimeoutError, ProtocolError
from simulators.link import SimulatedClock
from simulators.listener import Listener
from simulators.world import World


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
        table = {"address": f"tcp://127.0.0.1:{listener.port}", "reply_timeout_s": 30.0, "pacing_s": 0.0}
        clock = SimulatedClock(World())
        stage = LinkamT95("cryostage", LinkamT95Settings(**(table | settings)), clock=clock)
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
