"""A Spellman high-voltage supply at the byte level: frames over TCP, in front of the world's tube.

What each model answers is in ``spellman_dialects``.
With ``checksum`` the server speaks as on a serial line; without as on Ethernet.
"""

from __future__ import annotations

import socket
import threading

import numpy as np

from simulators.line_faults import spoil
from simulators.listener import LineServer, received, send
from simulators.randomness import random_stream
from simulators.spellman_dialects import DIALECTS, Dialect
from simulators.tube import Tube
from simulators.world import World

STX, ETX = b"\x02", b"\x03"
LATE_S = 7.5


def checksum(body: bytes) -> bytes:
    """The checksum byte of a frame's body (two's complement, seven bits, bit 6 set)."""
    total = 0
    for byte in body:
        total = (total + byte) % 256
    return bytes([(256 - total) % 256 & 0x7F | 0x40])


class SpellmanServer(LineServer):
    """Serves the world's tube to any number of clients, until closed.

    Args:
        world: Its ``tube`` must be a ``simulators.tube.Tube``; its faults named ``tube.reply_*`` and
            ``tube.port_gone`` spoil the line.
        port: TCP port; 0 takes a free one.
        host: Address to bind to.
        model: One of ``DIALECTS``.
        checksum: Speak as on a serial line.
        late_s: Wall-clock delay of a late reply.
    """

    def __init__(
        self,
        world: World,
        port: int = 0,
        host: str = "127.0.0.1",
        model: str = "ux50p50",
        checksum: bool = False,
        *,
        late_s: float = LATE_S,
    ) -> None:
        if not isinstance(world.tube, Tube):
            raise TypeError("the world holds no simulated tube")
        if model not in DIALECTS:
            raise ValueError(f"unknown supply {model!r}; known: {', '.join(sorted(DIALECTS))}")
        super().__init__("spellman", host, port)
        self.model = model
        self.checksum = checksum
        self.late_s = late_s
        self.commands: list[str] = []
        self._world = world
        self._dialect: Dialect = DIALECTS[model](world.tube)
        self._noise = random_stream(world.seed, "tube.line")

    @property
    def address(self) -> str:
        """VISA resource name of the server."""
        host, port = self.host_and_port
        return f"TCPIP0::{host}::{port}::SOCKET"

    def _gone(self) -> bool:
        return self._world.faults.active("tube.port_gone")

    def _serve(self, connection: socket.socket, ended: threading.Event) -> None:
        pending = b""
        for data in received(connection, ended, self._gone):
            *frames, pending = (pending + data).split(ETX)
            pending = pending[-256:]
            for frame in frames:
                self._reply(connection, frame, ended)

    def _reply(self, connection: socket.socket, frame: bytes, ended: threading.Event) -> None:
        body = frame.rpartition(STX)[2]
        if self.checksum:
            body, end = body[:-1], body[-1:]
            if checksum(body) != end:
                return
        if not body.endswith(b",") or STX not in frame:
            return
        command, *arguments = body[:-1].decode("ascii", errors="replace").split(",")
        with self._world.lock:
            self.commands.append(body.decode("ascii", errors="replace"))
            answer = self._dialect.answer(command, arguments)
        if answer is not None:
            self._send(connection, command, answer, ended)

    def _send(
        self, connection: socket.socket, command: str, answer: list[str], ended: threading.Event
    ) -> None:
        body = "".join(f"{field}," for field in (command, *answer)).encode("ascii")
        reply = STX + body + (checksum(body) if self.checksum else b"") + ETX
        reply = spoil(reply, self._world.faults, "tube", self._noise, ended, self.late_s, flip_top_bit)
        if reply:
            send(connection, reply)


def flip_top_bit(byte: int, noise: np.random.Generator) -> int:
    """What becomes of a byte under a wrong parity setting."""
    return byte | 0x80
