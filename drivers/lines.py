"""Lines that carry bytes: a serial port, a TCP connection; a VISA resource is in ``visa_line``.

A line knows nothing of messages, retries or instruments. It raises ``OSError`` when it is broken and
``TimeoutError`` when nothing complete came before a deadline of the wall clock; other exceptions of the
libraries below do not pass.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

LONGEST_MESSAGE = 65_536
VISA_NAME = re.compile(r"(?:TCPIP|ASRL|USB|GPIB|VXI|PXI)\d*.*::.*", re.IGNORECASE)
TCP_URL = re.compile(r"tcp://(?P<host>[^:/]+|\[[^\]]+\]):(?P<port>\d{1,5})", re.IGNORECASE)


class Line(ABC):
    """One line, closed when made. Not thread-safe: the transport's lock guards it.

    Args:
        address: Where it goes.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.pending = b""

    @property
    @abstractmethod
    def is_serial(self) -> bool:
        """Bytes can be changed or lost on the way (a serial line), or not (a network)."""

    @abstractmethod
    def open(self, timeout_s: float) -> None:
        """Open the line. Raises ``OSError``."""

    @abstractmethod
    def close(self) -> None:
        """Close the line; nothing if it is closed. Raises nothing."""

    @abstractmethod
    def write(self, data: bytes, timeout_s: float) -> None:
        """Send all bytes. Raises ``OSError`` or ``TimeoutError``."""

    @abstractmethod
    def receive(self, timeout_s: float) -> bytes:
        """Bytes that are there, or come within the time; ``b""`` if none. Raises ``OSError``."""

    def read_until(self, terminator: bytes, deadline_s: float) -> bytes:
        """Bytes up to and with ``terminator``.

        Args:
            terminator: What ends a message.
            deadline_s: Time of ``time.monotonic`` at which to give up.

        Raises:
            TimeoutError: The message was not complete at the deadline; what came stays in ``pending``.
            OSError: The line is broken.
        """
        while terminator not in self.pending:
            rest_s = deadline_s - time.monotonic()
            # After the deadline there is a last look: what came while this program was not run is in time.
            self.pending = (self.pending + self.receive(max(rest_s, 0.0)))[-LONGEST_MESSAGE:]
            if rest_s <= 0 and terminator not in self.pending:
                raise TimeoutError(f"no end of message; received so far: {self.pending[:64]!r}")
        message, _, self.pending = self.pending.partition(terminator)
        return message + terminator

    def discard_input(self) -> bytes:
        """Throw away what came unasked, and return it. Raises ``OSError``."""
        stale = self.pending
        self.pending = b""
        while received := self.receive(0.0):
            stale = (stale + received)[-LONGEST_MESSAGE:]
        return stale


class TcpLine(Line):
    """A TCP connection, address ``tcp://host:port``."""

    is_serial = False

    def __init__(self, address: str) -> None:
        super().__init__(address)
        found = TCP_URL.fullmatch(address)
        if not found or int(found["port"]) > 65535:
            raise ValueError(f"{address!r} is not of the form tcp://host:port")
        self._where = (found["host"].strip("[]"), int(found["port"]))
        self._socket: socket.socket | None = None

    def open(self, timeout_s: float) -> None:
        """Connect. Raises ``OSError``."""
        self.close()
        self._socket = socket.create_connection(self._where, timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close the connection."""
        self.pending = b""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send all bytes."""
        connection = self._connection()
        connection.settimeout(timeout_s)
        connection.sendall(data)

    def receive(self, timeout_s: float) -> bytes:
        """Bytes that come within the time; a closed connection raises ``ConnectionResetError``."""
        connection = self._connection()
        readable, _, _ = select.select([connection], [], [], max(timeout_s, 0.0))
        if not readable:
            return b""
        received = connection.recv(4096)
        if not received:
            raise ConnectionResetError("the other side closed the connection")
        return received

    def _connection(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionError("the line is closed")
        return self._socket


class SerialLine(Line):
    """A serial port through pyserial: a port's name, or any URL that ``serial_for_url`` takes.

    Args:
        address: ``COM3``, ``/dev/ttyUSB0``, ``socket://host:port``, ``loop://`` ...
        baud_rate: Speed in bit/s; 8 data bits, no parity, 1 stop bit, no flow control.
    """

    is_serial = True

    def __init__(self, address: str, baud_rate: int = 9600) -> None:
        super().__init__(address)
        self._baud_rate = baud_rate
        self._port: Any = None

    def open(self, timeout_s: float) -> None:
        """Open the port. Raises ``OSError``."""
        import serial

        self.close()
        with _serial_errors():
            port = serial.serial_for_url(
                self.address, do_not_open=True, baudrate=self._baud_rate, timeout=0, write_timeout=timeout_s
            )
            try:
                port.open()
            except BaseException:
                _release(port)
                raise
            self._port = port

    def close(self) -> None:
        """Close the port."""
        self.pending = b""
        if self._port is not None:
            _release(self._port)
            self._port = None

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send all bytes."""
        port = self._opened()
        with _serial_errors():
            port.write_timeout = timeout_s
            port.write(data)

    def receive(self, timeout_s: float) -> bytes:
        """Bytes that come within the time."""
        port = self._opened()
        with _serial_errors():
            port.timeout = max(timeout_s, 0.0)
            first: bytes = port.read(1)
            if not first:
                return b""
            port.timeout = 0
            rest: bytes = port.read(4096)
            return first + rest

    def _opened(self) -> Any:
        if self._port is None:
            raise ConnectionError("the line is closed")
        return self._port


def _release(port: Any) -> None:
    """Close a port of pyserial, which forgets the socket of a ``socket://`` URL when that was reset."""
    forgotten = getattr(port, "_socket", None)
    with contextlib.suppress(Exception):
        port.close()
    if forgotten is not None:
        with contextlib.suppress(OSError):
            forgotten.close()


@contextlib.contextmanager
def _serial_errors() -> Iterator[None]:
    """Let nothing but ``OSError`` out of pyserial (its own errors are, ``termios.error`` is not)."""
    import serial

    try:
        yield
    except serial.SerialTimeoutException as error:
        raise TimeoutError(str(error)) from error
    except OSError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise ConnectionError(f"serial port: {error}") from error
    except Exception as error:
        # termios.error exists on POSIX only and is not an OSError.
        if type(error).__module__ == "termios":
            raise ConnectionError(f"serial port: {error}") from error
        raise


def is_visa_name(address: str) -> bool:
    """Whether ``address`` is a VISA resource name, e.g. ``TCPIP0::host::50001::SOCKET``."""
    return VISA_NAME.fullmatch(address) is not None


def line_to(address: str, *, baud_rate: int = 9600, terminator: bytes = b"\r") -> Line:
    """The line to an address, not yet opened.

    Args:
        address: A VISA resource name, ``tcp://host:port``, a serial port or a URL of pyserial.
        baud_rate: Speed of a serial line in bit/s.
        terminator: End of a message (VISA hands out received bytes at its last byte).

    Raises:
        ValueError: A ``tcp://`` address without host or port.
    """
    if is_visa_name(address):
        from drivers.visa_line import VisaLine

        return VisaLine(address, baud_rate, terminator=terminator)
    if address.lower().startswith("tcp://"):
        return TcpLine(address)
    return SerialLine(address, baud_rate)
