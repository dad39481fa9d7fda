"""A Pfeiffer TPG vacuum gauge at the byte level, in front of the world's stage: sensor 1 is in the stage."""

from __future__ import annotations

import socket
import threading

from simulators.listener import LineServer, received, send
from simulators.world import World

ENQ, ACK, NAK = b"\x05", b"\x06", b"\x15"
END = b"\r\n"
PER_MBAR = {0: 1.0, 1: 0.750061683, 2: 100.0}


class GaugeServer(LineServer):
    """Serves the pressure in the stage to any number of clients, until closed.

    Args:
        world: Holds the stage.
        port: TCP port; 0 takes a free one.
        host: Address to bind to.
    """

    def __init__(self, world: World, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__("gauge", host, port)
        self.unit = 0
        self.status = 0
        self._world = world

    @property
    def address(self) -> str:
        """Address of the server."""
        host, port = self.host_and_port
        return f"tcp://{host}:{port}"

    def _serve(self, connection: socket.socket, ended: threading.Event) -> None:
        pending, asked = b"", b""
        for data in received(connection, ended):
            for byte in (data[index : index + 1] for index in range(len(data))):
                if byte == ENQ:
                    send(connection, self._answer(asked) + END)
                elif (pending := (pending + byte)[-32:]).endswith(END):
                    asked, pending = pending.strip(), b""
                    send(connection, (ACK if self._answer(asked) != b"0001" else NAK) + END)

    def _answer(self, asked: bytes) -> bytes:
        if asked == b"UNI":
            return b"%d" % self.unit
        if asked == b"PR1":
            with self._world.lock:
                pressure = self._world.controller.pressure_mbar * PER_MBAR[self.unit]
            return b"%d,%+.4E" % (self.status, pressure)
        if asked == b"PR2":
            return b"5,+2.0000E-02"
        return b"0001"
