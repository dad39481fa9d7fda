"""The vacuum gauge: bytes of the mnemonics protocol, units, a gauge that fails beside a stage that works."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from drivers.cryostage.linkam_t95 import LinkamT95, LinkamT95Settings
from drivers.cryostage.pfeiffer_tpg import PfeifferTpg, PfeifferTpgSettings, decode_pressure
from drivers.errors import FaultError, InstrumentConnectionError, ProtocolError
from simulators.link import SimulatedClock
from simulators.linkam_t95 import LinkamServer
from simulators.pfeiffer_tpg import GaugeServer
from simulators.world import World


@pytest.fixture
def world() -> World:
    return World(seed=1)


@pytest.fixture
def server(world: World, reserve_port: Callable[[], int]) -> Iterator[GaugeServer]:
    server = GaugeServer(world, reserve_port())
    server.start()
    yield server
    server.close()


@pytest.fixture
def gauge(world: World, server: GaugeServer) -> Iterator[PfeifferTpg]:
    settings = PfeifferTpgSettings(address=server.address, reply_timeout_s=30.0)
    gauge = PfeifferTpg("cryostage.gauge", settings, clock=SimulatedClock(world))
    gauge.open()
    yield gauge
    gauge.close()


@pytest.mark.parametrize(
    ("reply", "status", "value"),
    [(b"0,+1.0000E+02\r\n", 0, 100.0), (b"0,1.23E-3\r\n", 0, 0.00123), (b"5,+2.0000E-02\r\n", 5, 0.02)],
)
def test_pressure_reply(reply: bytes, status: int, value: float) -> None:
    assert decode_pressure(reply) == (status, pytest.approx(value))


def test_arbitrary_replies_raise_nothing_but_a_value_error() -> None:
    chance = random.Random(3)
    for _ in range(100_000):
        spoilt = bytearray(b"0,+1.0000E+02\r\n")
        for _ in range(chance.randrange(1, 4)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        try:
            status, value = decode_pressure(bytes(spoilt))
        except ValueError:
            continue
        assert float(bytes(spoilt)[2:-2]) == value
        assert int(bytes(spoilt)[:1]) == status


def test_bytes_on_the_line(gauge: PfeifferTpg) -> None:
    gauge.read()
    messages = [entry.data for entry in gauge.traffic.entries() if entry.data]
    assert messages == [
        b"UNI\r\n",
        b"\x06\r\n",
        b"\x05",
        b"0\r\n",
        b"PR1\r\n",
        b"\x06\r\n",
        b"\x05",
        b"0,+1.0000E+02\r\n",
    ]


@pytest.mark.parametrize("unit", [0, 1, 2])
def test_every_unit_ends_in_mbar(gauge: PfeifferTpg, server: GaugeServer, unit: int) -> None:
    server.unit = unit
    reading = gauge.read()
    assert (reading.value, reading.unit, reading.source) == (
        pytest.approx(100.0, rel=1e-4),
        "mbar",
        "measured",
    )


def test_a_sensor_that_is_off_is_a_fault(gauge: PfeifferTpg, server: GaugeServer) -> None:
    server.status = 4
    with pytest.raises(FaultError, match="the sensor is off"):
        gauge.read()


def test_a_sensor_that_is_not_there(world: World, server: GaugeServer) -> None:
    for sensor, error in ((2, FaultError), (3, ProtocolError)):
        settings = PfeifferTpgSettings(address=server.address, sensor=sensor, reply_timeout_s=30.0)
        gauge = PfeifferTpg("cryostage.gauge", settings, clock=SimulatedClock(world))
        gauge.open()
        with pytest.raises(error):
            gauge.read()
        gauge.close()


def test_the_stage_shows_the_gauge_and_lives_without_it(world: World, server: GaugeServer) -> None:
    clock = SimulatedClock(world)
    controller = LinkamServer(world)
    controller.start()
    address = controller.address.replace("socket", "tcp")
    table = PfeifferTpgSettings(address=server.address, reply_timeout_s=30.0)
    stage = LinkamT95(
        "cryostage", LinkamT95Settings(address=address, gauge=table, reply_timeout_s=30.0), clock=clock
    )
    try:
        stage.open()
        vacuum = stage.status().vacuum
        assert vacuum is not None
        assert (vacuum.value, vacuum.source) == (pytest.approx(100.0), "measured")
        world.faults.set("stage.vacuum_lost")
        clock.sleep(300.0)
        later = stage.status().vacuum
        assert later is not None
        assert later.value > 900.0
        server.close()
        clock.sleep(10.0)
        status = stage.status()
        assert "cryostage.gauge" in status.warnings[0]
        assert status.vacuum == later
        assert status.temperature.value == pytest.approx(world.truth()["stage_temperature_K"], abs=0.2)
    finally:
        stage.close()
        controller.close()


def test_a_gauge_that_is_not_there_is_said_at_the_opening(world: World, server: GaugeServer) -> None:
    controller = LinkamServer(world)
    controller.start()
    table = PfeifferTpgSettings(address="tcp://127.0.0.1:1")
    settings = LinkamT95Settings(
        address=controller.address.replace("socket", "tcp"), gauge=table, reply_timeout_s=30.0
    )
    stage = LinkamT95("cryostage", settings, clock=SimulatedClock(world))
    with pytest.raises(InstrumentConnectionError, match=r"cryostage\.gauge"):
        stage.open()
    stage.close()
    controller.close()
