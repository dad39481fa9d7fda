"""A VISA resource as a line, through pyvisa; with pyvisa-py no other VISA need be installed.

pyvisa-py 0.8 has edges that are rounded off here: it takes a refused TCP connection for an open one,
spins at full load until the time-out when the other side has closed, leaves a socket behind when a host
name is unknown, and keeps every closed session for ever.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

from drivers.lines import Line

_managers: dict[str, Any] = {}
_managers_lock = threading.Lock()


def resource_manager(library: str) -> Any:
    """The process's one resource manager of a VISA library.

    pyvisa shares one manager per library among all its users and closes it at exit; to close it earlier
    would end everybody's connections.
    """
    import pyvisa

    with _managers_lock:
        if library not in _managers:
            _managers[library] = pyvisa.ResourceManager(library)
        return _managers[library]


class VisaLine(Line):
    """A VISA resource.

    Args:
        address: Resource name, e.g. ``TCPIP0::192.168.1.4::50001::SOCKET`` or ``ASRL3::INSTR``.
        baud_rate: Speed in bit/s, for serial resources.
        terminator: End of a message: VISA hands out what came at its last byte.
        library: VISA library; ``@py`` is pyvisa-py.
    """

    def __init__(
        self, address: str, baud_rate: int = 9600, *, terminator: bytes = b"\r", library: str = "@py"
    ) -> None:
        super().__init__(address)
        self._baud_rate = baud_rate
        self._terminator = terminator
        self._library = library
        self._resource: Any = None

    @property
    def is_serial(self) -> bool:
        """The resource is a serial port."""
        return self.address.upper().startswith("ASRL")

    def open(self, timeout_s: float) -> None:
        """Open the resource. Raises ``OSError``."""
        self.close()
        parts = self.address.split("::")
        if self._library == "@py" and parts[-1].upper() == "SOCKET":
            socket.getaddrinfo(parts[1], None, socket.AF_INET)
        with _visa_errors():
            manager = resource_manager(self._library)
            self._resource = manager.open_resource(self.address, open_timeout=max(int(timeout_s * 1000), 1))
            self._resource.timeout = max(timeout_s * 1000, 1)
            self._resource.read_termination = self._terminator.decode("latin-1")
            if self.is_serial:
                self._resource.baud_rate = self._baud_rate
        connection = self._socket()
        if connection is not None:
            try:
                connection.getpeername()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                reason = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                self.close()
                raise ConnectionRefusedError(f"no connection to {self.address} (code {reason})") from error

    def close(self) -> None:
        """Close the resource; the process's resource manager stays."""
        self.pending = b""
        resource, self._resource = self._resource, None
        if resource is None:
            return
        with contextlib.suppress(Exception):
            library, session = resource.visalib, resource.session
            resource.close()
            if self._library == "@py":
                library.sessions.pop(session, None)

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send all bytes."""
        resource = self._opened()
        with _visa_errors():
            resource.timeout = max(timeout_s * 1000, 1)
            sent = resource.write_raw(data)
        if sent != len(data):
            raise ConnectionError(f"only {sent} of {len(data)} bytes were sent")

    def receive(self, timeout_s: float) -> bytes:
        """Bytes that come within the time."""
        resource = self._opened()
        connection = self._socket()
        if connection is not None:
            # Read past pyvisa-py's own loop, which burns a processor when the other side has gone.
            readable, _, _ = select.select([connection], [], [], max(timeout_s, 0.0))
            received = connection.recv(4096) if readable else b""
            if readable and not received:
                raise ConnectionResetError("the other side closed the connection")
            return received
        try:
            with _visa_errors():
                resource.timeout = max(timeout_s * 1000, 1)
                message: bytes = resource.read_raw()
        except TimeoutError:
            return b""
        return message

    def _socket(self) -> socket.socket | None:
        """The TCP socket inside pyvisa-py's session, if that is what there is."""
        if self._library != "@py" or self._resource is None:
            return None
        session = self._resource.visalib.sessions.get(self._resource.session)
        connection = getattr(session, "interface", None)
        return connection if isinstance(connection, socket.socket) else None

    def _opened(self) -> Any:
        if self._resource is None:
            raise ConnectionError("the line is closed")
        return self._resource


@contextlib.contextmanager
def _visa_errors() -> Iterator[None]:
    """Let nothing but ``OSError`` and ``TimeoutError`` out of pyvisa and its back-ends."""
    import pyvisa

    try:
        yield
    except pyvisa.errors.VisaIOError as error:
        if error.error_code == pyvisa.constants.StatusCode.error_timeout:
            raise TimeoutError(error.description) from error
        raise ConnectionError(f"{error.abbreviation}: {error.description}") from error
    except OSError:
        raise
    except Exception as error:
        # pyvisa-py raises bare Exception, ValueError and others when a resource cannot be opened.
        raise ConnectionError(f"VISA: {error}") from error
