"""The T95 driver and our simulator against lewis, an independent T95 (positive limits only)."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from drivers.clock import SystemClock
from drivers.cryostage.linkam_t95 import LinkamT95, LinkamT95Settings
from simulators.linkam_t95 import LinkamServer
from simulators.stage import Stage
from simulators.world import World

SPEED = 30.0
RUN = "from lewis.scripts.run import run_simulation; run_simulation()"


@pytest.fixture
def lewis(reserve_port: Callable[[], int], until: Callable[..., None]) -> Iterator[Callable[[float], int]]:
    """Start a lewis whose time runs so many times as fast as the wall clock; gives its port."""
    if importlib.util.find_spec("lewis") is None:
        pytest.skip("lewis is not installed")
    running: list[subprocess.Popen[bytes]] = []

    def start(speed: float) -> int:
        port = reserve_port()
        command = [sys.executable, "-c", RUN, "linkam_t95", "--speed", str(speed), "--output-level", "none"]
        command += ["-p", f"stream: {{bind_address: 127.0.0.1, port: {port}}}"]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

        def listens() -> bool:
            assert running[-1].poll() is None, "lewis ended"
            with socket.socket() as line:
                return line.connect_ex(("127.0.0.1", port)) == 0

        until(listens, "lewis does not start")
        return port

    yield start
    for process in running:
        process.kill()
        process.wait()


def exchange(line: socket.socket, command: bytes) -> bytes:
    line.sendall(command)
    reply = b""
    while not reply.endswith(b"\r"):
        reply += line.recv(64)
    return reply


def test_driver_reads_and_drives_lewis(lewis: Callable[[float], int], until: Callable[..., None]) -> None:
    address = f"tcp://127.0.0.1:{lewis(SPEED)}"
    settings = LinkamT95Settings(address=address, pacing_s=0.02, on_close="stop", reply_timeout_s=30.0)
    stage = LinkamT95("cryostage", settings, clock=SystemClock())
    stage.open()
    try:
        status = stage.status()
        assert (status.state, status.faults, status.warnings) == ("stopped", (), ())
        assert status.temperature.value == pytest.approx(273.15 + 24.0, abs=0.11)
        # An hour of ramp is two minutes here: it is not over before it was looked at.
        stage.ramp_to(273.15 + 84.0, 1.0)
        assert stage.status().state == "heating"
        began = time.monotonic()
        from_K = stage.status().temperature.value
        stage.ramp_to(273.15 + 44.0, 20.0)
        until(lambda: stage.status().state == "holding")
        status = stage.status()
        assert status.at_set_point
        assert status.temperature.value == pytest.approx(273.15 + 44.0, abs=0.11)
        # At 20 K/min, and not faster; it looks ten times in a second.
        assert time.monotonic() - began > (273.15 + 44.0 - from_K) / 20.0 * 60.0 / SPEED - 0.2
        stage.ramp_to(273.15 + 0.5, 1.0)
        assert stage.status().state == "cooling"
        stage.hold()
        assert (stage.status().state, stage.status().at_set_point) == ("holding", False)
        stage.set_pump(None)
        stage.stop()
        assert stage.status().state == "stopped"
        # It knows no names of stages and is silent.
        patient = stage._transport.patience
        stage._transport.patience = replace(patient, reply_timeout_s=0.3, attempts=50)
        assert stage.identify().model == "T95"
        stage._transport.patience = patient
    finally:
        stage.close()


def test_our_simulator_says_what_lewis_says(
    lewis: Callable[[float], int], until: Callable[..., None]
) -> None:
    world = World(stage=Stage(start_K=273.15 + 24.0, sensor_noise_K=0.0))
    server = LinkamServer(world)
    server.start()
    # A lewis that was told to hold never ramps again, so the ramps come first.
    ramps = [b"T", b"R12000", b"L10800", b"S", b"T", b"E", b"T", b"L10010", b"S", b"T"]
    commands = [command + b"\r" for command in (*ramps, b"O", b"T", b"E", b"T")]
    try:
        with (
            socket.create_connection(("127.0.0.1", lewis(1.0)), timeout=60) as theirs,
            socket.create_connection(server.host_and_port, timeout=60) as ours,
        ):
            patience_s = time.monotonic() + 60.0
            for command in commands:
                world.advance(0.1)
                our_reply, their_reply = exchange(ours, command), exchange(theirs, command)
                if command == b"T\r":
                    # Lewis looks at what it was told ten times in a second.
                    while their_reply[0] != our_reply[0] and time.monotonic() < patience_s:
                        their_reply = exchange(theirs, command)
                    # State, errors and the fixed bytes; pump and temperature are each model's own.
                    assert our_reply[:2] == their_reply[:2]
                    assert our_reply[2] & 0xE0 == their_reply[2] & 0xE0
                    assert our_reply[3:6] == their_reply[3:6]
                    assert len(our_reply) == len(their_reply)
                else:
                    # lewis answers with the text of an empty bytes object instead of nothing.
                    assert (our_reply, their_reply) == (b"\r", b"b''\r")
    finally:
        server.close()
