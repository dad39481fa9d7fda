"""A server that answers as it is told, transports to it, and ways to order what happens on both sides."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from drivers.clock import Clock, SystemClock
from drivers.lines import line_to
from drivers.transport import Patience, Transport

Answer = Callable[[bytes], Iterable[bytes | None]]
Until = Callable[..., None]
# Long enough for any machine; what must come in less than this, and does not, fails by it.
LONG_S = 60.0
TCP = "tcp://127.0.0.1:{}"


class ScriptedServer:
    """Answers each CR-ended request piece by piece; ``None`` closes the connection.

    Attributes:
        requests: What was answered, in order.
        pieces: How many pieces were sent.
        let_go: No piece is sent before this is set.
    """

    def __init__(self, port: int, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.pieces = 0
        self.let_go = threading.Event()
        self.let_go.set()
        self.port = port
        self._socket: socket.socket | None = None
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.listen()

    def listen(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(8)
        self._socket = listening
        self._accepting = self._start(self._accept, listening)

    def _start(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        pending = b""
        try:
            while received := connection.recv(4096):
                *lines, pending = (pending + received).split(b"\r")
                for line in lines:
                    replies = self.answer(line)
                    self.requests.append(line)
                    for reply in replies:
                        self.let_go.wait(LONG_S)
                        if reply is None:
                            connection.close()
                            return
                        connection.sendall(reply)
                        self.pieces += 1
        except OSError:
            return

    def go(self) -> None:
        """Close everything: nobody listens any more, and nobody accepted in the last moment is served."""
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
        self.let_go.set()
        self._accepting.join(LONG_S)
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._connections.clear()
        for thread in self._threads:
            thread.join(LONG_S)
        self._threads.clear()


@pytest.fixture
def serve(reserve_port: Callable[[], int]) -> Iterator[Callable[..., ScriptedServer]]:
    servers = []

    def start(answer: Answer) -> ScriptedServer:
        servers.append(ScriptedServer(reserve_port(), answer))
        return servers[-1]

    yield start
    for server in servers:
        server.go()


@pytest.fixture
def connect() -> Iterator[Callable[..., Transport]]:
    transports = []

    def make(
        server: ScriptedServer, form: str = TCP, *, clock: Clock | None = None, **patience: float
    ) -> Transport:
        settings = {"reply_timeout_s": LONG_S, "connect_timeout_s": LONG_S, "first_pause_s": 0.02} | patience
        transport = Transport(
            "device",
            line_to(form.format(server.port)),
            clock=clock or SystemClock(),
            terminator=b"\r",
            patience=Patience(**settings),  # type: ignore[arg-type]
        )
        transports.append(transport)
        transport.open()
        return transport

    yield make
    for transport in transports:
        transport.close()


@pytest.fixture
def in_step(until: Until) -> Callable[..., None]:
    """Let a request go out once the server has dealt with the one before; the n-th has the n-th deadline."""

    def tie(transport: Transport, server: ScriptedServer, *deadlines_s: float) -> None:
        line: Any = transport._line
        plain, deadlines, written = line.write, list(deadlines_s), []

        def write(data: bytes, timeout_s: float) -> None:
            until(lambda: len(server.requests) == len(written))
            deadline_s = deadlines.pop(0) if deadlines else LONG_S
            transport.patience = replace(transport.patience, reply_timeout_s=deadline_s)
            written.append(data)
            plain(data, LONG_S)

        line.write = write

    return tie


@pytest.fixture
def give_up_after_pieces(until: Until) -> Callable[..., None]:
    """Let the deadline of a reply pass as soon as the server has sent something."""

    def tie(transport: Transport, server: ScriptedServer) -> None:
        line: Any = transport._line
        plain, seen = line.read_until, server.pieces

        def read_until(terminator: bytes, deadline_s: float) -> bytes:
            until(lambda: server.pieces > seen)
            return bytes(plain(terminator, time.monotonic() + 0.02))

        line.read_until = read_until

    return tie


class SteppedClock:
    """A clock that stands still until somebody sleeps."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now(self) -> float:
        return self.time_s

    epoch_s = now

    def sleep(self, seconds: float) -> None:
        self.time_s += max(seconds, 0.0)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.sleep(seconds)
        return event.is_set()


@pytest.fixture
def stepped_clock() -> SteppedClock:
    return SteppedClock()
