"""A Thorlabs MFF flip mount byte by byte (Thorlabs APT communications protocol, issue 2018).

Messages have a header of six bytes: identity (16 bits), then either two parameters or the length of the data
that follow (then the destination's top bit is set), destination, source. Answered here: hardware information
(0x0005 -> 0x0006), the status bits (0x0429 -> 0x042A), a jog to a position (0x046A), identify (0x0223).
"""

from __future__ import annotations

import socket
import struct
import threading

from simulators.listener import Listener, received, send
from simulators.world import Port, WorldView

HEADER_BYTES = 6
MOVE_S = 0.6
AT_POSITION_1, AT_POSITION_2, MOVING_BACK, MOVING_ON = 0x01, 0x02, 0x10, 0x20


class FlipMount:
    """The mount and its server, running from construction to ``close``.

    Args:
        world: Where time passes and the fibre's light goes.
        port: TCP port; 0 takes a free one.
        spectrometer_position: Position (1 or 2) at which the light goes to the spectrometer.

    Raises:
        PortInUseError: The port is taken.
    """

    def __init__(self, world: WorldView, port: int = 0, *, spectrometer_position: int = 1) -> None:
        self.world = world
        self.blocked = False
        self._own = spectrometer_position
        self._lock = threading.Lock()
        self._position = (
            spectrometer_position if world.port() == "spectrometer" else 3 - spectrometer_position
        )
        self._arrives_s = float("-inf")
        self._listener = Listener("flip mount", self._serve, port=port)

    @property
    def address(self) -> str:
        """Where it is, as the rig file's ``address`` wants it."""
        return f"socket://{self._listener.host}:{self._listener.port}"

    def close(self) -> None:
        """End the server."""
        self._listener.close()

    def answer(self, message: bytes) -> bytes:
        """Take one whole message; returns what the mount sends back, if anything."""
        identity, first, second, destination, source = struct.unpack("<HBBBB", message[:HEADER_BYTES])
        if identity == 0x0005:
            return _with_data(0x0006, hardware_information(), source, destination)
        if identity == 0x0429:
            return _with_data(0x042A, struct.pack("<HI", first, self._status()), source, destination)
        if identity == 0x046A:
            self._move(second)
        return b""

    def _status(self) -> int:
        with self._lock:
            moving = self.world.now() < self._arrives_s
            if not moving:
                return AT_POSITION_1 if self._position == 1 else AT_POSITION_2
            return MOVING_BACK if self._position == 1 else MOVING_ON

    def _move(self, position: int) -> None:
        with self._lock:
            if position not in (1, 2) or self.blocked or position == self._position:
                return
            self._position = position
            self._arrives_s = self.world.now() + MOVE_S
        port: Port = "spectrometer" if position == self._own else "counters"
        self.world.set_port(port)

    def _serve(self, connection: socket.socket, ended: threading.Event) -> None:
        pending = b""
        for data in received(connection, ended):
            pending += data
            while (length := _length(pending)) and len(pending) >= length:
                reply = self.answer(pending[:length])
                pending = pending[length:]
                if reply:
                    send(connection, reply)


def hardware_information() -> bytes:
    """The 84 data bytes of MGMSG_HW_GET_INFO."""
    model, note = b"MFF101\0\0", b"simulated flip mount".ljust(48, b"\0")
    firmware = bytes((4, 1, 1, 0))
    head = struct.pack("<I", 37_000_001) + model + struct.pack("<H", 46) + firmware + note
    return head + bytes(12) + struct.pack("<HHH", 1, 0, 1)


def _length(pending: bytes) -> int:
    """Length of the message at the front, 0 while its header is not whole."""
    if len(pending) < HEADER_BYTES:
        return 0
    has_data = pending[4] & 0x80
    return HEADER_BYTES + (struct.unpack_from("<H", pending, 2)[0] if has_data else 0)


def _with_data(identity: int, data: bytes, to: int, sender: int) -> bytes:
    return struct.pack("<HHBB", identity, len(data), to | 0x80, sender) + data
