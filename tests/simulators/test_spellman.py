"""The simulated supply at its bytes, and pymeasure's XRV driver as a client of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulators.faults import Faults
from simulators.spellman import SpellmanServer
from simulators.tube import Tube
from simulators.world import World

PATIENT_S = 60.0


class Bench:
    def __init__(self, port: int, **server: Any) -> None:
        self.faults = Faults()
        self.tube = Tube(self.faults)
        self.world = World(tube=self.tube, faults=self.faults)
        self.server = SpellmanServer(self.world, port, late_s=0.3, **server)
        self.server.start()
        self.connections: list[socket.socket] = []

    def connect(self) -> socket.socket:
        connection = socket.create_connection(self.server.host_and_port, timeout=PATIENT_S)
        self.connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        self.server.close()
        self.world.close()


@pytest.fixture
def make(reserve_port: Callable[[], int]) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make_one(**server: Any) -> Bench:
        benches.append(Bench(reserve_port(), **server))
        return benches[-1]

    yield make_one
    for bench in benches:
        bench.close()


def ask(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    reply = b""
    while not reply.endswith(b"\x03"):
        received = connection.recv(4096)
        if not received:
            break
        reply += received
    return reply


def said_to(connection: socket.socket, request: bytes, mark: bytes = b"\x0214,\x03") -> bytes:
    """Everything that a request is answered with; it may be nothing.

    A question with a known answer follows: requests are answered one after the other.
    """
    connection.sendall(request + mark)
    end = b"\x0214,0,\x03"
    reply = b""
    while not reply.endswith(end):
        received = connection.recv(4096)
        assert received, "the server ended the connection"
        reply += received
    return reply.removesuffix(end)


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (b"\x0222,\x03", b"\x0222,0,0,0,\x03"),
        (b"\x0210,4095,\x03", b"\x0210,$,\x03"),
        (b"\x0211,0,\x03", b"\x0211,$,\x03"),
        (b"\x0214,\x03", b"\x0214,0,\x03"),
        (b"\x0210,4096,\x03", b"\x0210,1,\x03"),  # out of range
        (b"\x0210,-1,\x03", b"\x0210,1,\x03"),
        (b"\x0210,\x03", b"\x0210,1,\x03"),
        (b"\x0299,1,\x03", b"\x0299,$,\x03"),
        (b"\x0299,7,\x03", b"\x0299,1,\x03"),  # wrong argument
        (b"\x0232,\x03", b"\x0232,0,0,0,0,0,0,0,\x03"),
        (b"\x0226,\x03", b"\x0226,uX50P50,\x03"),
        (b"\x0252,\x03", b"\x0252,$,\x03"),
    ],
)
def test_ux_bytes(make: Callable[..., Bench], request_: bytes, reply: bytes) -> None:
    assert ask(make().connect(), request_) == reply


def test_ux_refuses_high_voltage_with_the_interlock_open(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.faults.set("interlock.open")
    connection = bench.connect()
    assert ask(connection, b"\x0299,1,\x03") == b"\x0299,2,\x03"
    assert ask(connection, b"\x0222,\x03") == b"\x0222,0,1,0,\x03"  # 1 = open
    assert not bench.tube.hv_on


def test_mnx_tells_arc_and_temperature_by_its_inputs(make: Callable[..., Bench]) -> None:
    bench = make(model="mnx50p50")
    connection = bench.connect()
    assert ask(connection, b"\x0276,\x03") == b"\x0276,0,0,0,0,0,0,0,0,\x03"
    assert said_to(connection, b"\x0232,\x03") == b""
    bench.tube.trips.update({"arc", "over_temperature"})
    assert ask(connection, b"\x0276,\x03") == b"\x0276,0,0,0,0,0,0,1,1,\x03"
    assert ask(connection, b"\x0222,\x03") == b"\x0222,0,0,1,\x03"


def test_xrv_takes_the_command_but_stays_off_with_the_interlock_open(make: Callable[..., Bench]) -> None:
    bench = make(model="xrv")
    connection = bench.connect()
    flags = ask(connection, b"\x0222,\x03").decode()[1:-2].split(",")[1:]
    assert len(flags) == 17
    assert (flags[1], flags[2], flags[16]) == ("1", "1", "1")  # 1 = closed
    bench.faults.set("interlock.open")
    assert ask(connection, b"\x0298,1,\x03") == b"\x0298,$,\x03"
    assert not bench.tube.hv_on


def test_99_is_not_high_voltage_on_an_xrv(make: Callable[..., Bench]) -> None:
    bench = make(model="xrv")
    assert ask(bench.connect(), b"\x0299,1,\x03") == b"\x0299,$,\x03"
    assert not bench.tube.hv_on


def test_unknown_command(make: Callable[..., Bench]) -> None:
    assert ask(make(model="xrv").connect(), b"\x0288,\x03") == b"\x0288,!,2,\x03"
    assert said_to(make().connect(), b"\x0288,\x03") == b""


def test_a_wrong_checksum_gets_silence_and_a_right_one_an_answer(make: Callable[..., Bench]) -> None:
    connection = make(checksum=True).connect()
    connection.sendall(b"\x0222,x\x03")
    # The first that comes is the answer to the right one.
    reply = ask(connection, b"\x0222,p\x03")
    assert reply.startswith(b"\x0222,0,0,0,")
    assert ask(connection, b"\x0210,0,W\x03") == bytes.fromhex("02 31 30 2C 24 2C 63 03")


def test_two_frames_in_one_packet_and_one_frame_in_two(make: Callable[..., Bench]) -> None:
    connection = make().connect()
    connection.sendall(b"\x0214,\x03\x0215,\x03\x0222")
    received = b""
    while received.count(b"\x03") < 2:
        received += connection.recv(4096)
    connection.sendall(b",\x03")
    while received.count(b"\x03") < 3:
        received += connection.recv(4096)
    assert received == b"\x0214,0,\x03\x0215,0,\x03\x0222,0,0,0,\x03"


def test_noise_does_not_end_the_server(make: Callable[..., Bench]) -> None:
    connection = make().connect()
    connection.sendall(bytes(range(256)) * 20 + b"\x02\x03,\x03\x02\xff,\x03" + b"\x0299\x03")
    assert ask(connection, b"\x0222,\x03").endswith(b"\x0222,0,0,0,\x03")


def test_two_clients_at_once(make: Callable[..., Bench]) -> None:
    bench = make()
    first, second = bench.connect(), bench.connect()
    assert ask(first, b"\x0210,100,\x03") == b"\x0210,$,\x03"
    assert ask(second, b"\x0214,\x03") == b"\x0214,100,\x03"


@pytest.mark.parametrize(
    ("fault", "reply"),
    [
        ("tube.reply_lost", b""),
        ("tube.reply_truncated", b"\x0222,0"),
        ("tube.reply_doubled", b"\x0222,0,0,0,\x03" * 2),
    ],
)
def test_spoilt_answers(make: Callable[..., Bench], fault: str, reply: bytes) -> None:
    bench = make()
    bench.faults.set(fault, count=1)
    connection = bench.connect()
    assert said_to(connection, b"\x0222,\x03") == reply
    assert ask(connection, b"\x0222,\x03") == b"\x0222,0,0,0,\x03"


def test_a_late_answer_comes_late(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.faults.set("tube.reply_late", count=1)
    began = time.monotonic()
    assert ask(bench.connect(), b"\x0222,\x03") == b"\x0222,0,0,0,\x03"
    assert time.monotonic() - began >= 0.3


def test_a_garbled_answer_is_not_the_answer(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.faults.set("tube.reply_garbled", count=1)
    assert said_to(bench.connect(), b"\x0222,\x03") != b"\x0222,0,0,0,\x03"


def test_port_gone_ends_connections_and_refuses_new_ones_until_it_is_back(make: Callable[..., Bench]) -> None:
    bench = make()
    connection = bench.connect()
    assert ask(connection, b"\x0222,\x03")
    bench.faults.set("tube.port_gone")
    with pytest.raises(ConnectionError):
        ask(connection, b"\x0222,\x03")
        ask(connection, b"\x0222,\x03")
    with pytest.raises(ConnectionError):
        ask(bench.connect(), b"\x0222,\x03")
    bench.faults.clear()
    assert ask(bench.connect(), b"\x0222,\x03") == b"\x0222,0,0,0,\x03"


def test_it_wants_a_world_with_a_tube_and_a_known_model() -> None:
    world = World()
    with pytest.raises(TypeError, match="no simulated tube"):
        SpellmanServer(world)
    world.close()
    other = World(tube=Tube())
    with pytest.raises(ValueError, match="known: mnx50p50, ux50p50, xrv"):
        SpellmanServer(other, model="ux9")
    other.close()


def test_pymeasures_xrv_driver_runs_the_simulated_supply(make: Callable[..., Bench]) -> None:
    """An independent program: frames, scaling, flags and switching agree with it."""
    spellman = pytest.importorskip("pymeasure.instruments.spellmanhv.spellmanXRV")
    bench = make(model="xrv")
    supply = spellman.SpellmanXRV(bench.server.address, visa_library="@py", query_delay=0.0)
    supply.adapter.connection.timeout = 1000 * PATIENT_S
    try:
        assert supply.scaling == {"voltage": 50_000, "current": pytest.approx(1e-3), "polarity": 0}
        supply.voltage_setpoint = 40_000
        supply.current_setpoint = 300e-6
        assert supply.voltage_setpoint == pytest.approx(40_000, abs=10)
        assert supply.current_setpoint == pytest.approx(300e-6, abs=2e-7)
        assert bench.tube.voltage_set_kV == pytest.approx(40.0, abs=0.01)
        assert not supply.output_enabled
        supply.output_enabled = True
        assert bench.tube.hv_on
        bench.world.advance(20.0)
        monitor = supply.analog_monitor
        assert monitor["voltage"] == pytest.approx(40_000, abs=60)
        assert monitor["current"] == pytest.approx(300e-6, rel=5e-3)
        assert supply.voltage == pytest.approx(40_000, abs=60)
        status = supply.status
        closed = spellman.StatusCode.INTERLOCK_1_CLOSED | spellman.StatusCode.INTERLOCK_2_CLOSED
        assert spellman.StatusCode.HV_ENABLED in status
        assert closed in status
        assert supply.errors == spellman.ErrorCode.NO_ERROR
        assert supply.temperature == pytest.approx(bench.tube.board_C, abs=0.1)
        bench.faults.set("tube.arc", duration_s=0.5)
        bench.world.advance(1.0)
        assert spellman.ErrorCode.CATHODE_ARC in supply.errors
        assert spellman.StatusCode.POWER_SUPPLY_FAULT in supply.status
        supply.reset_errors()
        assert supply.errors == spellman.ErrorCode.NO_ERROR
        supply.output_enabled = False
        assert not bench.tube.hv_on
        with pytest.raises(ValueError, match="expected"):
            supply.write("10,5000")
            supply.check_set_errors()
    finally:
        supply.adapter.connection.close()
