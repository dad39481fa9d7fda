"""A Spellman high-voltage supply at the byte level: frames over TCP, in front of the world's tube.

What each model answers is in ``spellman_dialects``.
With ``checksum`` the server speaks as on a serial line; without as on Ethernet.
"""

from __future__ import annotations

import socket
import threading

from simulators.listener import Listener, reset
from simulators.randomness import random_stream
from simulators.spellman_dialects import DIALECTS, Dialect
from simulators.tube import Tube
from simulators.world import World

STX, ETX = b"\x02", b"\x03"
LATE_S = 1.5


def checksum(body: bytes) -> bytes:
    """The checksum byte of a frame's body (two's complement, seven bits, bit 6 set)."""
    total = 0
    for byte in body:
        total = (total + byte) % 256
    return bytes([(256 - total) % 256 & 0x7F | 0x40])


class SpellmanServer:
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
        self.model = model
        self.checksum = checksum
        self.late_s = late_s
        self.commands: list[str] = []
        self._world = world
        self._dialect: Dialect = DIALECTS[model](world.tube)
        self.host_and_port = (host, port)
        self._listener: Listener | None = None
        self._noise = random_stream(world.seed, "tube.line")

    @property
    def address(self) -> str:
        """VISA resource name of the server, once it was started."""
        host, port = self.host_and_port
        return f"TCPIP0::{host}::{port}::SOCKET"

    def start(self) -> None:
        """Listen. Raises ``PortInUseError`` if the port is taken."""
        host, port = self.host_and_port
        self._listener = Listener("spellman", self._serve, host=host, port=port, refuse=self._gone)
        self.host_and_port = (host, self._listener.port)

    def close(self) -> None:
        """Stop listening and end every connection."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _gone(self) -> bool:
        return self._world.faults.active("tube.port_gone")

    def _serve(self, connection: socket.socket, ended: threading.Event) -> None:
        pending = b""
        while not ended.is_set():
            try:
                received = connection.recv(4096)
            except TimeoutError:
                received = None
            if self._gone():
                reset(connection)
                return
            if received is None:
                continue
            if not received:
                return
            *frames, pending = (pending + received).split(ETX)
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
        take = self._world.faults.take
        if take("tube.reply_lost"):
            return
        if take("tube.reply_late"):
            ended.wait(self.late_s)
        if take("tube.reply_garbled"):
            reply = self._garble(reply)
        if take("tube.reply_truncated"):
            reply = reply[: len(reply) // 2]
        if take("tube.reply_doubled"):
            reply += reply
        connection.sendall(reply)

    def _garble(self, reply: bytes) -> bytes:
        """Set the top bit of one to three bytes, as a wrong parity setting does."""
        spoilt = bytearray(reply)
        for place in self._noise.integers(0, len(reply), size=int(self._noise.integers(1, 4))):
            spoilt[int(place)] |= 0x80
        return bytes(spoilt)
