"""What a line can do to the T95 driver: arbitrary bytes, a thousand breaks, a real serial port."""

from __future__ import annotations

import os
import random
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers import transport
from drivers.cryostage.linkam_t95 import LinkamT95, LinkamT95Settings
from drivers.errors import InstrumentError
from simulators.link import SimulatedClock
from simulators.linkam_t95 import LinkamServer
from simulators.listener import Listener
from simulators.world import World

GOOD = bytes.fromhex("50 80 80 80 80 80 30 30 66 30 0D")


def open_handles() -> int:
    """Open file handles of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket, threading.Event], None]], int]]:
    listeners: list[Listener] = []

    def start(talk: Callable[[socket.socket, threading.Event], None]) -> int:
        listeners.append(Listener("line", talk))
        return listeners[-1].port

    yield start
    for listener in listeners:
        listener.close()


def stage_on(port: int, **settings: float) -> LinkamT95:
    table = LinkamT95Settings(
        address=f"tcp://127.0.0.1:{port}",
        on_close="leave",
        **{"pacing_s": 0.0, "reply_timeout_s": 30.0, "connect_timeout_s": 30.0} | settings,
    )
    return LinkamT95("cryostage", table, clock=SimulatedClock(World()))


def test_a_thousand_breaks_leak_nothing(serve: Any, until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other end closes after every reply; every status comes through, and one command only is sent."""
    monkeypatch.setattr(transport, "LEAST_PAUSE_S", 0.0)
    commands: set[bytes] = set()

    def answer_once(line: socket.socket, ended: threading.Event) -> None:
        commands.add(line.recv(16))
        line.sendall(GOOD)

    stage = stage_on(serve(answer_once))
    stage.open()
    for _ in range(20):
        stage.status()
    before = open_handles() if sys.platform == "linux" else 0
    for _ in range(980):
        assert stage.status().state == "holding"
    # The other end's threads close their side when they get to it.
    until(lambda: threading.active_count() < 8)
    if sys.platform == "linux":
        until(lambda: open_handles() <= before + 2)
    stage.close()
    assert stage._transport.reconnects >= 1000
    assert commands == {b"T\r"}


def test_arbitrary_bytes_give_an_error_of_ours_or_the_truth(serve: Any) -> None:
    chance = random.Random(7)
    script = [b""]

    def say_anything(line: socket.socket, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                if not line.recv(64):
                    return
            except TimeoutError:
                continue
            line.sendall(script[0])

    stage = stage_on(serve(say_anything))
    patient = stage._transport.patience
    script[0] = GOOD
    stage.open()
    for _ in range(150):
        spoilt = bytearray(GOOD)
        if chance.random() < 0.5:
            spoilt = bytearray(chance.randbytes(chance.randrange(40)))
        else:
            spoilt[chance.randrange(11)] = chance.randrange(256)
        script[0] = bytes(spoilt) + chance.choice([b"", b"\r"])
        stage._transport.patience = replace(patient, reply_timeout_s=0.03, attempts=1)
        try:
            stage.status()
        except InstrumentError:
            pass
        except Exception as error:
            pytest.fail(f"{error!r} for {script[0]!r}")
        stage._transport.patience, script[0] = patient, GOOD
        status = stage.status()
        assert status.temperature.value == pytest.approx(297.15)
    stage.close()


def test_the_simulated_controller_survives_arbitrary_bytes() -> None:
    world = World()
    server = LinkamServer(world)
    chance = random.Random(8)
    for _ in range(20_000):
        reply = server.answer(chance.randbytes(chance.randrange(8)).replace(b"\r", b""))
        assert reply in (b"", b"\r", b"THMS350V\r") or len(reply) == 11


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_a_real_serial_port() -> None:
    """The same driver through pyserial's own port, with a pseudo-terminal as the cable."""
    world = World()
    server = LinkamServer(world)
    ours, theirs = os.openpty()
    ended = threading.Event()

    def controller() -> None:
        pending = b""
        while not ended.is_set():
            if not select.select([ours], [], [], 0.05)[0]:
                continue
            *commands, pending = (pending + os.read(ours, 256)).split(b"\r")
            for command in commands:
                os.write(ours, server.answer(command))

    thread = threading.Thread(target=controller, name="controller")
    thread.start()
    try:
        settings = LinkamT95Settings(address=os.ttyname(theirs), on_close="stop", reply_timeout_s=30.0)
        with LinkamT95("cryostage", settings, clock=SimulatedClock(world)) as stage:
            stage.ramp_to(250.0, 30.0)
            assert stage.status().state == "cooling"
            assert stage.identify().model == "T95 with THMS350V"
        assert world.truth()["stage_mode"] == "stopped"
    finally:
        ended.set()
        thread.join(60.0)
        os.close(ours)
        os.close(theirs)
