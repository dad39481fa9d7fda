"""Whatever comes back from a flip mount: a position that it told, or an error of ours."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import numpy as np
import pytest

from drivers.errors import InstrumentError
from drivers.light_path.thorlabs_flip_mount import FlipMountPath, FlipMountSettings, position_of, status_bits
from simulators.link import SimulatedClock
from simulators.thorlabs_mff import hardware_information
from simulators.world import World

NUMBER = 100_000
NUMBER_OVER_THE_LINE = 15_000


def scripted_package(replies):
    """pylablib's MFF on a line that answers status requests with the next of ``replies``."""
    from pylablib.core.devio.comm_backend import IDeviceCommBackend
    from pylablib.devices.Thorlabs import MFF

    class Script(IDeviceCommBackend):
        _backend = "script"
        Error = OSError

        def __init__(self):
            super().__init__({"port": "COM1"})
            self.pending = b""

        def setup_cooldown(self, *_arguments, **_named):
            pass

        def write(self, data, *_arguments, **_named):
            if data[:2] == b"\x05\x00":
                self.pending = struct.pack("<HHBB", 6, 84, 0x81, 0x50) + hardware_information()
            elif data[:2] == b"\x29\x04":
                self.pending = next(replies)

        def read(self, size=None):
            taken, self.pending = self.pending[:size], self.pending[size:]
            if size is not None and len(taken) < size:
                raise OSError("read returned less data than expected")
            return taken

        def get_timeout(self):
            return 1.0

        def set_timeout(self, timeout):
            pass

        def close(self):
            pass

    return SimpleNamespace(MFF=lambda _address: MFF(Script()))


def random_replies(stream):
    """Pure noise, spoilt replies, and good ones."""
    good = [bytes.fromhex("2A 04 06 00 81 50 01 00") + struct.pack("<I", bits) for bits in (1, 2, 0x10, 0x20)]
    while True:
        kind = stream.integers(4)
        if kind == 0:
            yield stream.bytes(int(stream.integers(0, 40)))
        elif kind == 1:
            reply = bytearray(good[stream.integers(4)])
            reply[stream.integers(len(reply))] = int(stream.integers(256))
            yield bytes(reply)
        elif kind == 2:
            reply = good[stream.integers(4)]
            yield reply[: int(stream.integers(len(reply)))]
        else:
            yield good[stream.integers(4)]


def test_arbitrary_data_give_one_position_or_a_refusal():
    stream = np.random.default_rng(8)
    told = 0
    for _ in range(NUMBER):
        data = b"\x01\x00"[: stream.integers(3)] + stream.bytes(int(stream.integers(8)))
        try:
            bits = status_bits(data)
            position = position_of(bits)
        except ValueError:
            continue
        told += 1
        assert len(data) == 6
        assert data[:2] == b"\x01\x00"
        assert {None: 0, 1: 1, 2: 2}[position] == data[2] & 3
    assert told > 1000


def test_arbitrary_replies_give_a_told_position_or_our_error(monkeypatch):
    from pylablib.devices.Thorlabs import MFF

    monkeypatch.setattr(MFF, "_cycle_rts", staticmethod(lambda instr: None))
    world = World()
    clock = SimulatedClock(world)
    told = []

    def remembered():
        for reply in random_replies(np.random.default_rng(4)):
            told.append(reply)
            yield reply

    path = FlipMountPath(
        "light_path", FlipMountSettings(address="COM1"), clock=clock, vendor=scripted_package(remembered())
    )
    path.open()
    outcomes = {"position": 0, "moving": 0, "error": 0}
    for _ in range(NUMBER_OVER_THE_LINE):
        try:
            status = path.status()
        except InstrumentError:
            outcomes["error"] += 1
            continue
        bits = struct.unpack("<I", told[-1][-4:])[0]
        if status.port is None:
            outcomes["moving"] += 1
            assert not bits & 3
        else:
            outcomes["position"] += 1
            assert bits & 3 == (1 if status.port == "spectrometer" else 2)
    path.close()
    world.close()
    assert min(outcomes.values()) > 500


@pytest.mark.parametrize(
    ("bits", "position"), [(0x1, 1), (0x2, 2), (0x10, None), (0x20, None), (0x200, None)]
)
def test_status_bits_say_where_it_is(bits, position):
    assert position_of(bits) == position


@pytest.mark.parametrize("bits", [0x0, 0x3, 0x80000000])
def test_impossible_status_bits_are_refused(bits):
    with pytest.raises(ValueError, match="status 0x"):
        position_of(bits)
