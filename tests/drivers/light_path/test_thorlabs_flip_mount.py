"""The flip mount through the unmodified pylablib, byte by byte over pyserial's socket port."""

from __future__ import annotations

import socket
import struct

import pytest

from drivers.errors import (
    InstrumentConnectionError,
    InstrumentError,
    InstrumentTimeoutError,
    LimitError,
    MissingDriverError,
)
from drivers.light_path.thorlabs_flip_mount import FlipMountPath, FlipMountSettings
from simulators.link import SimulatedClock
from simulators.thorlabs_mff import FlipMount
from simulators.world import World


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


@pytest.fixture
def mount(world):
    made = FlipMount(world)
    yield made
    made.close()


@pytest.fixture
def path(world, mount):
    settings = FlipMountSettings(address=mount.address)
    made = FlipMountPath("light_path", settings, clock=SimulatedClock(world))
    made.open()
    yield made
    made.close()


def test_hardware_information_is_that_of_the_mount(path):
    found = path.identify()
    assert (found.make, found.model, found.serial_number) == ("Thorlabs", "MFF101", "37000001")
    assert found.firmware == "1.1.4"


def test_light_goes_where_it_is_sent_in_the_mounts_time(path, world):
    for port in ("counters", "spectrometer", "counters"):
        began_s = world.now()
        path.select(port)
        status = path.status()
        assert (status.port, status.source) == (port, "measured")
        assert world.port() == port
        assert 0.5 < world.now() - began_s < 1.0


def test_nothing_moves_if_it_stands_there_already(path, world):
    path.select("spectrometer")
    assert world.now() == 0.0


def test_positions_may_be_the_other_way_round(world):
    mount = FlipMount(world, spectrometer_position=2)
    settings = FlipMountSettings(address=mount.address, spectrometer_position=2)
    with FlipMountPath("light_path", settings, clock=SimulatedClock(world)) as path:
        assert path.status().state == "position 2"
        path.select("counters")
        assert path.status().state == "position 1"
        assert world.port() == "counters"
    mount.close()


def test_opening_and_closing_leave_it_where_it_stands(world, mount, path):
    path.select("counters")
    path.close()
    path.open()
    assert path.status().port == "counters"


def test_blocked_mount_ends_in_a_time_out(path, mount, world):
    mount.blocked = True
    with pytest.raises(InstrumentTimeoutError, match="position 2 was not reached within 5 s"):
        path.select("counters")
    assert world.now() == pytest.approx(5.0, abs=0.3)


def test_unknown_port_is_refused(path):
    with pytest.raises(LimitError, match="no port 'lamp'"):
        path.select("lamp")


def test_lost_mount_is_an_error_and_is_found_again(path, mount, world):
    port = int(mount.address.rsplit(":", 1)[1])
    mount.close()
    with pytest.raises(InstrumentError):
        path.status()
    with pytest.raises(InstrumentConnectionError):
        path.status()
    with pytest.raises(InstrumentConnectionError, match="tried again in"):
        path.status()
    back = FlipMount(world, port)
    world.advance(120.0)
    assert path.status().port == "spectrometer"
    back.close()
    path.close()


def test_nobody_there_is_a_connection_error(world):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    settings = FlipMountSettings(address=f"socket://127.0.0.1:{number}")
    path = FlipMountPath("light_path", settings, clock=SimulatedClock(world))
    with pytest.raises(InstrumentConnectionError, match="cannot connect to socket://"):
        path.open()
    with pytest.raises(InstrumentConnectionError, match="not open"):
        path.status()


def test_serial_number_without_the_ftdi_driver_says_what_to_install(world):
    path = FlipMountPath("light_path", FlipMountSettings(address="37000001"), clock=SimulatedClock(world))
    with pytest.raises(MissingDriverError, match="pyft232"):
        path.open()


# Bytes of the APT protocol document: MGMSG_MOT_REQ_STATUSBITS, MGMSG_MOT_MOVE_JOG, MGMSG_HW_REQ_INFO.
def test_messages_are_those_of_the_protocol(mount, world):
    assert mount.answer(bytes.fromhex("29 04 01 00 50 01")) == bytes.fromhex(
        "2A 04 06 00 81 50 01 00 01 00 00 00"
    )
    assert mount.answer(bytes.fromhex("6A 04 01 02 50 01")) == b""
    assert mount.answer(bytes.fromhex("29 04 01 00 50 01"))[-4:] == bytes.fromhex("20 00 00 00")
    world.advance(1.0)
    assert mount.answer(bytes.fromhex("29 04 01 00 50 01"))[-4:] == bytes.fromhex("02 00 00 00")
    info = mount.answer(bytes.fromhex("05 00 00 00 50 01"))
    assert struct.unpack("<HH", info[:4]) == (0x0006, 84)
    assert len(info) == 90
