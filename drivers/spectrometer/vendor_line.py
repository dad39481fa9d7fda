"""Calls of a vendor's library as if they were messages on a line: one at a time, logged, with a deadline.

A C function cannot be interrupted. So the calls run in a thread of their own, and whoever asked goes on with
an error when a call has not returned in time; the next calls are refused until it has.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from drivers.clock import Clock
from drivers.errors import InstrumentConnectionError
from drivers.spectrometer.andor_library import speaking
from drivers.traffic import TrafficLog
from drivers.vendor_thread import VendorThread

Result = TypeVar("Result")

LONGEST_NOTE = 200


class VendorLine:
    """The way to the libraries of one instrument. Thread-safe.

    One line for spectrograph and camera: some spectrographs are driven through the camera's own cable.

    Args:
        name: The instrument's name, used in every message.
        clock: The clock of the experiment, for the log.
        traffic: Gets every call with its result.
        timeout_s: Wall-clock deadline of one call.
    """

    def __init__(self, name: str, clock: Clock, traffic: TrafficLog, *, timeout_s: float = 120.0) -> None:
        self.name = name
        self.lock = threading.RLock()
        self.lost = False
        self._clock = clock
        self._traffic = traffic
        self._timeout_s = timeout_s
        self._thread: VendorThread | None = None

    def ask(self, what: str, call: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
        """Make one call.

        Args:
            what: What is being done, in words: ``"move the slit"``.
            call: The vendor's function.
            *arguments: Its arguments.
            **named: Its named arguments.

        Raises:
            InstrumentError: The call failed; the kind says who must act. After an
                ``InstrumentConnectionError`` the line counts as lost.
            InstrumentTimeoutError: It did not return in time, or an earlier one still has not.
        """
        with self.lock:
            words = [*(repr(value) for value in arguments), *(f"{k}={v!r}" for k, v in named.items())]
            function = getattr(call, "__name__", "") or "call"
            self._note("sent", f"{what}: {function}({', '.join(words)})")
            try:
                with speaking(self.name, what):
                    result = self._run(lambda: call(*arguments, **named))
            except InstrumentConnectionError as error:
                self.lost = True
                self._note("received", str(error))
                raise
            except Exception as error:
                self._note("received", str(error))
                raise
            self._note("received", _in_words(result))
            return result

    def end(self) -> None:
        """End the thread. The next call starts it again."""
        with self.lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                thread.close()

    def _run(self, work: Callable[[], Result]) -> Result:
        if self._thread is None:
            self._thread = VendorThread(self.name, self._timeout_s)
        return self._thread.call(work)

    def _note(self, direction: Any, text: str) -> None:
        self._traffic.record(self._clock.epoch_s(), direction, b"", text[:LONGEST_NOTE])


def _in_words(result: Any) -> str:
    """A result for the log; arrays only by their shape."""
    if isinstance(result, np.ndarray):
        return f"array of shape {result.shape}"
    if isinstance(result, list) and result and isinstance(result[0], np.ndarray):
        return f"{len(result)} arrays of shape {result[0].shape}"
    return repr(result)
