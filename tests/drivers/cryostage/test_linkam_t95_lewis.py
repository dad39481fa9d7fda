"""The T95 driver and our simulator against lewis, an independent T95 (positive limits only)."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from drivers.clock import SystemClock
from drivers.cryostage.linkam_t95 import LinkamT95, LinkamT95Settings
from simulators.linkam_t95 import LinkamServer
from simulators.stage import Stage
from simulators.world import World

RUN = "from lewis.scripts.run import run_simulation; run_simulation()"
SPEED = 30


@pytest.fixture
def lewis() -> Iterator[int]:
    """Port of a lewis that runs 30 times as fast as the wall clock."""
    if importlib.util.find_spec("lewis") is None:
        pytest.skip("lewis is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-c", RUN, "linkam_t95", "--speed", str(SPEED), "--output-level", "none"]
    command += ["-p", f"stream: {{bind_address: 127.0.0.1, port: {port}}}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20.0
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, "lewis does not start"
                    time.sleep(0.1)
            yield port
        finally:
            process.kill()


def exchange(line: socket.socket, command: bytes) -> bytes:
    line.sendall(command)
    reply = b""
    while not reply.endswith(b"\r"):
        reply += line.recv(64)
    return reply


def test_driver_reads_and_drives_lewis(lewis: int) -> None:
    settings = LinkamT95Settings(address=f"tcp://127.0.0.1:{lewis}", pacing_s=0.02, on_close="stop")
    stage = LinkamT95("cryostage", settings, clock=SystemClock())
    stage.open()
    try:
        status = stage.status()
        assert (status.state, status.faults, status.warnings) == ("stopped", (), ())
        assert status.temperature.value == pytest.approx(273.15 + 24.0, abs=0.11)
        stage.ramp_to(273.15 + 34.0, 20.0)
        assert stage.status().state == "heating"
        began = time.monotonic()
        while stage.status().state == "heating" and time.monotonic() < began + 10.0:
            time.sleep(0.05)
        status = stage.status()
        assert (status.state, status.at_set_point) == ("holding", True)
        assert status.temperature.value == pytest.approx(273.15 + 34.0, abs=0.11)
        # 10 K at 20 K/min is 30 s, 1 s at this speed.
        assert time.monotonic() - began == pytest.approx(30.0 / SPEED, abs=0.5)
        stage.ramp_to(273.15 + 0.5, 30.0)
        assert stage.status().state == "cooling"
        stage.hold()
        assert (stage.status().state, stage.status().at_set_point) == ("holding", False)
        stage.set_pump(None)
        stage.stop()
        assert stage.status().state == "stopped"
        assert stage.identify().model == "T95"
    finally:
        stage.close()


def test_our_simulator_says_what_lewis_says(lewis: int) -> None:
    world = World(stage=Stage(start_K=273.15 + 24.0, sensor_noise_K=0.0))
    server = LinkamServer(world)
    server.start()
    # A lewis that was told to hold never ramps again, so the ramps come first.
    ramps = [b"T", b"R12000", b"L10800", b"S", b"T", b"E", b"T", b"L10010", b"S", b"T"]
    commands = [command + b"\r" for command in (*ramps, b"O", b"T", b"E", b"T")]
    try:
        with (
            socket.create_connection(("127.0.0.1", lewis), timeout=5) as theirs,
            socket.create_connection(server.host_and_port, timeout=5) as ours,
        ):
            for command in commands:
                their_reply, our_reply = exchange(theirs, command), exchange(ours, command)
                if command == b"T\r":
                    # State, errors and the fixed bytes; pump and temperature are each model's own.
                    assert our_reply[:2] == their_reply[:2]
                    assert our_reply[2] & 0xE0 == their_reply[2] & 0xE0
                    assert our_reply[3:6] == their_reply[3:6]
                    assert len(our_reply) == len(their_reply)
                else:
                    # lewis answers with the text of an empty bytes object instead of nothing.
                    assert (our_reply, their_reply) == (b"\r", b"b''\r")
                # Lewis looks at what it was told ten times in a second.
                time.sleep(0.25)
                world.advance(0.1)
    finally:
        server.close()
