"""The simulated T95 at the byte level, against the protocol's tables."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from simulators.linkam_t95 import LinkamServer, temperature_field
from simulators.world import World

Talk = Callable[[bytes], bytes]


@pytest.fixture
def world() -> Iterator[World]:
    world = World(seed=2)
    yield world
    world.close()


@pytest.fixture
def server(world: World) -> Iterator[LinkamServer]:
    server = LinkamServer(world, late_s=0.2)
    server.start()
    yield server
    server.close()


@pytest.fixture
def talk(server: LinkamServer) -> Iterator[Talk]:
    """What a command is answered with; it may be nothing.

    A status request follows, whose answer has eleven bytes: commands are answered one after the other.
    """
    with socket.create_connection(server.host_and_port, timeout=60) as line:

        def talk(data: bytes) -> bytes:
            line.sendall(data)
            answer = b""
            if data != b"T\r":
                line.sendall(b"T\r")
            # The last eleven bytes: two of state and errors, pump, three that never change, temperature.
            while answer[-8:-5] != b"\x80\x80\x80" or answer[-1:] != b"\r":
                received = line.recv(64)
                assert received, "the server ended the connection"
                answer += received
            return answer if data == b"T\r" else answer[:-11]

        yield talk


@pytest.mark.parametrize(
    ("celsius", "field"), [(24.0, b"00f0"), (-120.0, b"fb50"), (0.0, b"0000"), (-0.1, b"ffff")]
)
def test_temperature_field(celsius: float, field: bytes) -> None:
    assert temperature_field(celsius + 273.15) == field


def test_nothing_is_done_before_the_first_status_request(server: LinkamServer, world: World) -> None:
    assert server.answer(b"S") == b""
    assert world.truth()["stage_mode"] == "stopped"
    assert len(server.answer(b"T")) == 11
    assert server.answer(b"S") == b"\r"
    assert world.truth()["stage_mode"] == "ramping"


def test_status_at_rest(talk: Talk) -> None:
    reply = talk(b"T\r")
    assert reply[:6] == bytes.fromhex("01 80 80 80 80 80")
    assert reply[10:] == b"\r"
    assert int(reply[6:10], 16) == pytest.approx(268, abs=1)  # 300 K


def test_set_commands_are_acknowledged_by_a_lone_carriage_return(talk: Talk, world: World) -> None:
    talk(b"T\r")
    for command in (b"R12000\r", b"L1-1200\r", b"Pa0\r", b"Pm0\r", b"P?\r", b"B\r", b"S\r", b"O\r", b"E\r"):
        assert talk(command) == b"\r"
    controller = world.controller
    assert controller.rate_K_per_min == 20.0
    assert controller.limit_K == pytest.approx(153.15)
    assert controller.pump_manual_fraction == 0.5


def test_states_of_a_ramp(talk: Talk, world: World) -> None:
    talk(b"T\r")
    for command in (b"R13000\r", b"L1-1000\r", b"S\r"):
        talk(command)
    world.advance(10.0)
    assert talk(b"T\r")[0] == 0x20
    world.advance(600.0)
    assert talk(b"T\r")[0] == 0x30
    talk(b"L10000\r")
    talk(b"S\r")
    world.advance(10.0)
    assert talk(b"T\r")[0] == 0x10
    talk(b"O\r")
    assert talk(b"T\r")[0] == 0x50
    talk(b"E\r")
    assert talk(b"T\r")[0] == 0x01


def test_error_bits(talk: Talk, world: World) -> None:
    world.faults.set("stage.sensor_open")
    world.advance(0.1)
    reply = talk(b"T\r")
    assert (reply[1], reply[6:10]) == (0x82, b"7fff")
    world.faults.clear()
    world.faults.set("stage.heater_error")
    world.advance(0.1)
    assert talk(b"T\r")[1] == 0x84


@pytest.mark.parametrize(
    "command", [b"X\r", b"R1\r", b"R1abc\r", b"L1--5\r", b"PZ\r", b"\r", b"\xff\x00\r", b"R1123456\r"]
)
def test_what_it_does_not_know_it_does_not_answer(talk: Talk, world: World, command: bytes) -> None:
    talk(b"T\r")
    before = world.stage("state") | {"sensor_K": 0}
    assert talk(command) == b""
    assert world.stage("state") | {"sensor_K": 0} == before


def test_values_beyond_the_controller_are_taken_and_not_obeyed(talk: Talk, world: World) -> None:
    talk(b"T\r")
    for command in (b"R115001\r", b"R10\r", b"L19999\r"):
        talk(command)
    assert (world.controller.rate_K_per_min, world.controller.limit_K) == (10.0, 300.0)


def test_two_commands_in_one_packet_and_one_in_two(talk: Talk, server: LinkamServer) -> None:
    with socket.create_connection(server.host_and_port, timeout=60) as line:
        line.sendall(b"T\rT\r")
        received = b""
        while len(received) < 22:
            received += line.recv(64)
        line.sendall(b"R1")
        line.sendall(b"0500\r")
        assert line.recv(64) == b"\r"


def test_line_faults_change_the_reply(talk: Talk, world: World) -> None:
    def name(fault: str) -> bytes:
        world.faults.set(f"cryostage.{fault}", count=1)
        return talk(b"\xefS\r")

    talk(b"T\r")
    assert talk(b"\xefS\r") == b"THMS350V\r"
    assert name("reply_lost") == b""
    assert name("reply_truncated") == b"THMS"
    assert name("reply_doubled") == b"THMS350V\r" * 2
    garbled = name("reply_garbled")
    assert len(garbled) == 9
    assert garbled != b"THMS350V\r"
    assert world.faults.state() == []


def test_port_gone_resets_the_connection_and_comes_back(server: LinkamServer, world: World) -> None:
    with socket.create_connection(server.host_and_port, timeout=60) as line:
        world.faults.set("cryostage.port_gone")
        with pytest.raises(ConnectionResetError):
            assert line.recv(1)
            raise AssertionError("the line is still there")
    world.faults.clear()
    with socket.create_connection(server.host_and_port, timeout=60) as line:
        line.sendall(b"T\r")
        assert len(line.recv(64)) == 11
