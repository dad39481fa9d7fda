"""The connection to one tagger through the vendor's module: every call goes through here.

The vendor's module raises plain ``RuntimeError`` and ``ValueError``. An error while reading means that the
tagger is gone: the connection is then *lost*, and the next call tries to connect again, at growing
intervals. To connect again sets thresholds, delays and dead times as before; the test signal stays off.
The calls run in a thread of their own, so that one which never returns is a time-out and not a hang.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from drivers.clock import Clock
from drivers.errors import InstrumentConnectionError, InstrumentError, InstrumentTimeoutError, LimitError
from drivers.traffic import TrafficLog
from drivers.vendor_thread import VendorThread

T = TypeVar("T")

VENDOR_ERRORS = (RuntimeError, ValueError, TypeError, OSError)
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


class Connection:
    """One tagger, connected or not. Thread-safe.

    Args:
        instrument: Name of the instrument, for messages.
        vendor: The vendor's module.
        serial_number: Which tagger; empty: any.
        call_timeout_s: Deadline of one call of the vendor's module, on this computer's clock.
        clock: The clock of the experiment, for the pauses between attempts.
        set_up: Called with the tagger after each connecting; sets it up.
        traffic: Where calls are noted.
    """

    def __init__(
        self,
        instrument: str,
        vendor: Any,
        serial_number: str,
        *,
        call_timeout_s: float,
        clock: Clock,
        set_up: Callable[[], None],
        traffic: TrafficLog,
    ) -> None:
        self.instrument = instrument
        self.vendor = vendor
        self.lock = threading.RLock()
        self._serial_number = serial_number
        self._clock = clock
        self._set_up = set_up
        self._traffic = traffic
        self._call_timeout_s = call_timeout_s
        self._thread: VendorThread | None = None
        self._tagger: Any = None
        self._lost = ""
        self._pause_s = FIRST_PAUSE_S
        self._next_try_s = 0.0

    @property
    def lost(self) -> str:
        """Why the tagger is gone; empty while it is there."""
        return self._lost

    def open(self) -> None:
        """Connect and set up.

        Raises:
            InstrumentConnectionError: No such tagger, or another program uses it.
            InstrumentTimeoutError: The vendor's module does not return.
            LimitError: It refuses a setting.
        """
        with self.lock:
            if self._tagger is not None:
                return
            new_thread = self._thread is None
            if self._thread is None:
                self._thread = VendorThread(self.instrument, self._call_timeout_s)
            try:
                self._tagger = self._create()
                self._lost = ""
                self._set_up()
            except BaseException:
                self._free()
                # A thread that hangs in the vendor's module is kept: each new one would hang there too.
                if new_thread:
                    self._end_thread()
                raise
            self._pause_s = FIRST_PAUSE_S

    def close(self) -> None:
        """Let go of the tagger; the vendor's module ends what still measures."""
        with self.lock:
            self._free()
            self._end_thread()

    def tagger(self) -> Any:
        """The vendor's tagger object; connects again if it was lost and the pause is over.

        Raises:
            InstrumentConnectionError: Not open, or lost and not back yet.
        """
        with self.lock:
            if self._lost:
                self._connect_again()
            if self._tagger is None:
                raise InstrumentConnectionError(
                    self.instrument, "the time tagger is not connected", advice="Open it first"
                )
            return self._tagger

    def holds(self, tagger: Any) -> bool:
        """Whether this is still the tagger that is connected."""
        return self._tagger is tagger and not self._lost

    def run(self, call: Callable[[], T]) -> T:
        """Call the vendor's module in its thread, or here after ``close``; raises what the call raises.

        Raises:
            InstrumentTimeoutError: It did not return in time.
        """
        thread = self._thread
        return call() if thread is None else thread.call(call)

    def call(self, doing: str, call: Callable[[], T], *, quiet: bool = False) -> T:
        """Call the vendor's module; its errors mean that the tagger is gone.

        Args:
            doing: What is done, for message and log: "read the stream".
            call: Does it.
            quiet: Too frequent for the log.

        Raises:
            InstrumentConnectionError: The tagger is gone.
            InstrumentTimeoutError: The vendor's module does not return.
        """
        if not quiet:
            self._note(doing)
        try:
            return self.run(call)
        except InstrumentError as error:
            self._lose(f"could not {doing}: {error.what}")
            raise
        except VENDOR_ERRORS as error:
            self._lose(f"could not {doing}: {error}")
            raise InstrumentConnectionError(
                self.instrument,
                f"could not {doing}: {error}",
                done="It is connected again when it is next used",
                advice="Check USB cable and power",
            ) from error

    def set(self, what: str, call: Callable[[], T]) -> T:
        """Call the vendor's module to set something; its ``ValueError`` means that it refuses the value.

        Raises:
            LimitError: It refuses.
            InstrumentConnectionError: It is gone.
        """
        self._note(f"set {what}")
        try:
            return self.run(call)
        except InstrumentError as error:
            self._lose(f"could not set {what}: {error.what}")
            raise
        except (ValueError, TypeError) as error:
            raise LimitError(self.instrument, f"the tagger refuses {what}: {error}") from error
        except VENDOR_ERRORS as error:
            self._lose(f"could not set {what}: {error}")
            raise InstrumentConnectionError(self.instrument, f"could not set {what}: {error}") from error

    def attempt(self, call: Callable[[], object]) -> None:
        """Clean up as far as it goes: a tagger that is gone cannot be stopped."""
        with contextlib.suppress(AttributeError, *VENDOR_ERRORS):
            self.run(call)

    def await_start(self, timeout_s: float) -> None:
        """Wait until tags of now reach the measurements, not those of before they were made.

        Raises:
            InstrumentTimeoutError: Nothing came within ``timeout_s`` of this computer's time.
            InstrumentConnectionError: The tagger is gone.
        """
        tagger = self.tagger()
        if not self.call("wait for the stream", lambda: tagger.sync(round(1000 * timeout_s))):
            raise InstrumentTimeoutError(
                self.instrument,
                f"no data came within {timeout_s:g} s of starting a record",
                advice="Check USB cable and power, and the load of this computer",
            )

    def release(self, measurement: Any) -> None:
        """End a measurement and free its memory, whether the tagger is still there or not."""
        self.attempt(measurement.stop)
        # Leaving its context destroys it; otherwise its buffer stays until Python collects the object.
        self.attempt(lambda: measurement.__exit__(None, None, None))

    def _create(self) -> Any:
        serial, vendor = self._serial_number, self.vendor
        self._note(f"createTimeTagger({serial!r})")
        try:
            return self.run(lambda: vendor.createTimeTagger(serial) if serial else vendor.createTimeTagger())
        except InstrumentError:
            raise
        except VENDOR_ERRORS as error:
            self._note(f"failed: {error}")
            try:
                free = ", ".join(self.run(vendor.scanTimeTagger)) or "none"
            except VENDOR_ERRORS:
                free = "unknown"
            raise InstrumentConnectionError(
                self.instrument,
                f"no connection to time tagger {serial or '(any)'}: {error}",
                advice=f"Taggers that are free now: {free}. Check USB cable and power, close other programs "
                "that use it, and on Linux install the vendor's udev rule",
            ) from error

    def _lose(self, why: str) -> None:
        with self.lock:
            self._note(f"lost: {why}")
            if self._tagger is not None and not self._lost:
                self._lost = why
                self._next_try_s = self._clock.now()

    def _connect_again(self) -> None:
        wait_s = self._next_try_s - self._clock.now()
        if wait_s > 0:
            raise InstrumentConnectionError(
                self.instrument, f"the time tagger is gone ({self._lost})", done=f"Next try in {wait_s:.1f} s"
            )
        why, old, self._tagger = self._lost, self._tagger, None
        self.attempt(lambda: self.vendor.freeTimeTagger(old))
        try:
            self.open()
            self._note("connected again")
        except (InstrumentConnectionError, InstrumentTimeoutError):
            # Lost, not closed: the next use tries again.
            self._tagger, self._lost = old, why
            self._next_try_s = self._clock.now() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            raise

    def _free(self) -> None:
        tagger, self._tagger, self._lost = self._tagger, None, ""
        if tagger is not None:
            self._note("freeTimeTagger")
            self.attempt(lambda: self.vendor.freeTimeTagger(tagger))

    def _end_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def _note(self, text: str) -> None:
        self._traffic.record(self._clock.epoch_s(), "note", b"", text)
