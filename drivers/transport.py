"""Messages over a line: one request, one reply, with deadlines, reconnect and a traffic log.

A request is repeated only if its sender says that repeating is harmless. A lost line is opened again with
growing pauses; on the new line only such harmless requests are sent by themselves, so that a reconnect
never switches anything on. Deadlines of an exchange are wall-clock; pauses are the experiment's time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from drivers.clock import Clock
from drivers.errors import (
    InstrumentConnectionError,
    InstrumentError,
    InstrumentTimeoutError,
    ProtocolError,
)
from drivers.lines import Line
from drivers.traffic import Direction, TrafficLog

# In simulated time a pause takes no time at all; the other side still needs some to come back.
LEAST_PAUSE_S = 0.02


@dataclass(frozen=True)
class Patience:
    """How long and how often to try.

    Attributes:
        reply_timeout_s: Wall-clock deadline of one reply.
        connect_timeout_s: Wall-clock deadline of opening the line.
        attempts: How often a harmless request is sent before giving up.
        pacing_s: Least time between two requests.
        first_pause_s: Pause before the first reconnect; doubles each time.
        longest_pause_s: Longest pause between two reconnects.
    """

    reply_timeout_s: float = 1.0
    connect_timeout_s: float = 3.0
    attempts: int = 3
    pacing_s: float = 0.0
    first_pause_s: float = 0.1
    longest_pause_s: float = 10.0


def _any_reply(reply: bytes) -> bool:
    return True


class Transport:
    """One instrument's line. Thread-safe: one exchange at a time.

    Args:
        name: The instrument's name, used in every message.
        line: The line, not yet opened.
        clock: The clock of the experiment.
        terminator: End of a reply.
        patience: Deadlines, attempts, pauses.
        explain: Gives the meaning of a message in words, for the log; what it raises is ignored.

    Attributes:
        patience: May be changed between two exchanges.
        traffic: What went over the line.
        reconnects: How often the line was opened again after it was lost.
    """

    def __init__(
        self,
        name: str,
        line: Line,
        *,
        clock: Clock,
        terminator: bytes,
        patience: Patience | None = None,
        explain: Callable[[bytes], str] = lambda message: "",
    ) -> None:
        self.name = name
        self.traffic = TrafficLog()
        self.reconnects = 0
        self._line = line
        self._clock = clock
        self._terminator = terminator
        self.patience = patience if patience is not None else Patience()
        self._explain = explain
        self._lock = threading.RLock()
        self._wanted = False
        self._connected = False
        self._last_sent_s = float("-inf")
        self._next_try_s = float("-inf")
        self._pause_s = self.patience.first_pause_s

    @property
    def address(self) -> str:
        """Where the line goes."""
        return self._line.address

    @property
    def connected(self) -> bool:
        """The line is open, as far as one knows."""
        return self._connected

    def open(self) -> None:
        """Open the line. Raises ``InstrumentConnectionError``."""
        with self._lock:
            self._wanted = True
            try:
                self._connect()
            except InstrumentConnectionError:
                self._wanted = False
                raise

    def close(self) -> None:
        """Close the line. Raises nothing."""
        with self._lock:
            self._wanted = False
            self._drop("closed")

    def exchange(
        self,
        request: bytes,
        *,
        harmless: bool,
        is_reply: Callable[[bytes], bool] = _any_reply,
        attempts: int | None = None,
        urgent: bool = False,
    ) -> bytes:
        """Send one request and return its reply, terminator included.

        Args:
            request: Bytes to send.
            harmless: It may be sent again after a time-out, and on a line that was opened anew. What
                switches something on is never harmless.
            is_reply: Whether a received message answers this request; others are logged and passed over.
            attempts: How often a harmless request is sent; None: as ``patience`` says.
            urgent: Connect again at once if need be, whatever pause is due.

        Raises:
            InstrumentTimeoutError: No reply in time. The request may have been carried out.
            ProtocolError: Something came in time, but not the reply.
            InstrumentConnectionError: The line is lost, or was never opened.
        """
        tries = (attempts or self.patience.attempts) if harmless else 1
        with self._lock:
            if urgent:
                self._next_try_s = float("-inf")
            for left in range(tries - 1, -1, -1):
                try:
                    return self._try(request, may_reconnect=harmless, is_reply=is_reply)
                except InstrumentError:
                    if not left or not self._wanted:
                        raise
                    self._wait(self._pause_s if not self._connected else 0.0)
        raise AssertionError("unreachable")

    def _try(self, request: bytes, *, may_reconnect: bool, is_reply: Callable[[bytes], bool]) -> bytes:
        if not self._connected:
            if not may_reconnect or not self._wanted:
                raise InstrumentConnectionError(
                    self.name,
                    f"no connection to {self.address}",
                    done="nothing was sent",
                    advice="check power, cable and address",
                )
            self._reconnect()
        self._wait(self._last_sent_s + self.patience.pacing_s - self._clock.now())
        try:
            stale = self._line.discard_input()
            if stale:
                self._note("received", stale, "came unasked, thrown away")
            self._note("sent", request)
            self._line.write(request, self.patience.reply_timeout_s)
            self._last_sent_s = self._clock.now()
            return self._await(request, is_reply)
        except ProtocolError:
            self._resynchronise()
            raise
        except TimeoutError as error:
            self._resynchronise()
            raise InstrumentTimeoutError(
                self.name,
                f"no reply to {self._words(request)} within {self.patience.reply_timeout_s:g} s"
                f" on {self.address}",
                advice="check that the instrument is on, in remote mode, and speaks this protocol",
            ) from error
        except OSError as error:
            self._drop(f"lost: {error}")
            raise InstrumentConnectionError(
                self.name,
                f"connection to {self.address} lost: {error}",
                advice="check power and cable",
            ) from error

    def _await(self, request: bytes, is_reply: Callable[[bytes], bool]) -> bytes:
        passed_over = b""
        deadline_s = time.monotonic() + self.patience.reply_timeout_s
        while True:
            try:
                message = self._line.read_until(self._terminator, deadline_s)
            except TimeoutError:
                if self._line.pending:
                    self._note("received", self._line.pending, "incomplete")
                    passed_over = passed_over or self._line.pending
                if not passed_over:
                    raise
                raise ProtocolError(
                    self.name,
                    f"no valid reply to {self._words(request)}; instead came {passed_over[:64]!r}",
                    advice="check model, baud rate and checksum setting",
                ) from None
            if is_reply(message):
                self._note("received", message)
                return message
            passed_over = message
            self._note("received", message, "not the reply to this request, passed over")

    def _resynchronise(self) -> None:
        """Make sure that a reply that comes too late is not taken for the next one's."""
        if not self._line.is_serial:
            # What is late on the old connection dies with it.
            self._drop("closed after a missing reply")
            self._next_try_s = float("-inf")
            return
        try:
            quiet_s = time.monotonic() + self.patience.reply_timeout_s
            while time.monotonic() < quiet_s:
                stale = self._line.pending or self._line.receive(min(0.05, self.patience.reply_timeout_s))
                self._line.pending = b""
                if stale:
                    self._note("received", stale, "too late, thrown away")
        except OSError as error:
            self._drop(f"lost: {error}")

    def _connect(self) -> None:
        try:
            self._line.open(self.patience.connect_timeout_s)
        except OSError as error:
            self._note("note", b"", f"cannot connect: {error}")
            self._next_try_s = self._clock.now() + self._pause_s
            self._pause_s = min(2 * self._pause_s, self.patience.longest_pause_s)
            raise InstrumentConnectionError(
                self.name,
                f"cannot connect to {self.address}: {error}",
                advice="check power, cable and address, and that no other program holds the line",
            ) from error
        self._connected = True
        self._pause_s = self.patience.first_pause_s
        self._next_try_s = float("-inf")
        self._note("note", b"", "connected")

    def _reconnect(self) -> None:
        rest_s = self._next_try_s - self._clock.now()
        if rest_s > 1e-9:
            raise InstrumentConnectionError(
                self.name,
                f"no connection to {self.address}",
                done=f"the next attempt is made in {rest_s:.1f} s",
                advice="check power and cable",
            )
        self._connect()
        self.reconnects += 1

    def _drop(self, why: str) -> None:
        if self._connected:
            self._note("note", b"", why)
        self._connected = False
        self._line.close()

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            if not self._connected:
                time.sleep(LEAST_PAUSE_S)
            self._clock.sleep(seconds)

    def _note(self, direction: Direction, data: bytes, meaning: str | None = None) -> None:
        if meaning is None:
            meaning = self._words(data)
        self.traffic.record(self._clock.epoch_s(), direction, data, meaning)

    def _words(self, message: bytes) -> str:
        with contextlib.suppress(Exception):
            return self._explain(message) or repr(message)
        return repr(message)
