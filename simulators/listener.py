"""The far end of a line: a TCP listener, one thread that accepts, one per connection, all joined on close."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

POLL_S = 0.1
SEND_S = 10.0
JOIN_S = 5.0
LINGER = "hh" if sys.platform == "win32" else "ii"


class PortInUseError(OSError):
    """The port that a server was to listen on is taken."""


class Listener:
    """Listens on a TCP port and hands each connection to ``serve`` in a thread of its own.

    Args:
        name: Name of the server, for its threads and messages.
        serve: Called with the connection and an event that is set when the listener closes. The
            connection has a receive time-out of 0.1 s, so that ``serve`` can look at the event; it is
            closed when ``serve`` returns.
        host: Address to bind to.
        port: Port; 0 takes a free one.
        refuse: Asked at each new connection; while true, connections are reset at once.

    Raises:
        PortInUseError: Somebody else listens there.
    """

    def __init__(
        self,
        name: str,
        serve: Callable[[socket.socket, threading.Event], None],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        refuse: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self._serve = serve
        self._refuse = refuse
        self._ended = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._socket = self._bind(host, port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name=f"{name} listener", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Stop listening, end every connection, join the threads."""
        self._ended.set()
        with contextlib.suppress(OSError):  # wakes the acceptor at once where the system allows it
            self._socket.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(JOIN_S)
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(JOIN_S)
        self._socket.close()

    def _bind(self, host: str, port: int) -> socket.socket:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # SO_REUSEADDR means "take it from whoever has it" on Windows, and only there.
        if sys.platform == "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(16)
        except OSError as error:
            listening.close()
            raise PortInUseError(f"{self.name}: cannot listen on {host}:{port}: {error.strerror}") from error
        listening.settimeout(POLL_S)
        return listening

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if self._refuse():
                reset(connection)
                continue
            thread = threading.Thread(
                target=self._run, args=(connection,), name=f"{self.name} connection", daemon=True
            )
            with self._lock:
                self._threads.add(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(POLL_S)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with contextlib.suppress(OSError):  # the client may go at any moment
                    self._serve(connection, self._ended)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())


class LineServer(ABC):
    """A simulated instrument at the far end of a line; serves any number of clients until closed.

    Started again, it listens on the port that it had.

    Args:
        name: What it is, for threads and messages.
        host: Address to bind to.
        port: TCP port; 0 takes a free one.
    """

    def __init__(self, name: str, host: str, port: int) -> None:
        self._name = name
        self._where = (host, port)
        self._listener: Listener | None = None

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Where it listens, listened last, or is to listen."""
        if self._where[1] == 0:
            raise RuntimeError(f"the {self._name} server was not started")
        return self._where

    def start(self) -> None:
        """Listen. Raises ``PortInUseError`` if the port is taken."""
        host, port = self._where
        self._listener = Listener(self._name, self._serve, host=host, port=port, refuse=self._gone)
        self._where = (host, self._listener.port)

    def close(self) -> None:
        """Stop listening and end every connection."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _gone(self) -> bool:
        """Whether the line is cut."""
        return False

    @abstractmethod
    def _serve(self, connection: socket.socket, ended: threading.Event) -> None:
        """Answer one client until ``received`` ends."""


def received(
    connection: socket.socket, ended: threading.Event, gone: Callable[[], bool] = lambda: False
) -> Iterator[bytes]:
    """What a client sends, piece by piece, until it goes, ``ended`` is set, or the line is cut (then reset).

    Args:
        connection: As ``Listener`` hands it over.
        ended: Set when the listener closes.
        gone: Whether the line is cut; asked at least every 0.1 s.
    """
    while not ended.is_set():
        try:
            data = connection.recv(65536)
        except TimeoutError:
            data = None
        if gone():
            reset(connection)
            return
        if data is None:
            continue
        if not data:
            return
        yield data


def send(connection: socket.socket, data: bytes) -> None:
    """Send all of ``data``, with more patience than a connection has for receiving. Raises ``OSError``."""
    connection.settimeout(SEND_S)
    try:
        connection.sendall(data)
    finally:
        connection.settimeout(POLL_S)


def reset(connection: socket.socket) -> None:
    """Close a connection so that the other side sees a reset, as when a cable is pulled."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(LINGER, 1, 0))
    connection.close()
