"""A thread for a vendor's library: its calls get a deadline, and it sees one thread only."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from drivers.errors import InstrumentConnectionError, InstrumentTimeoutError

Result = TypeVar("Result")
JOIN_S = 5.0


class _Call:
    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error
        self.done.set()


class VendorThread:
    """Runs calls one after the other in a thread of its own.

    Args:
        name: The instrument's name, used in messages.
        timeout_s: Wall-clock deadline of one call.
    """

    def __init__(self, name: str, timeout_s: float) -> None:
        self.name = name
        self._timeout_s = timeout_s
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._hung: _Call | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name=f"{name} vendor library", daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], Result]) -> Result:
        """The result of ``work``; what it raises is raised here.

        Raises:
            InstrumentTimeoutError: It did not return in time, or an earlier call still has not.
            InstrumentConnectionError: The thread was closed.
        """
        with self._lock:
            if not self._thread.is_alive():
                raise InstrumentConnectionError(
                    self.name, "the connection is closed", done="nothing was sent"
                )
            if self._hung is not None and not self._hung.done.is_set():
                raise self._late("an earlier call still hangs")
            self._hung = None
            call = _Call(work)
            self._calls.put(call)
            if not call.done.wait(self._timeout_s):
                self._hung = call
                raise self._late(f"no answer within {self._timeout_s:g} s")
        if call.error is not None:
            raise call.error
        result: Result = call.result
        return result

    def close(self) -> None:
        """End the thread. One that hangs in the library is left behind and ends with the process."""
        self._calls.put(None)
        self._thread.join(0.0 if self._hung is not None and not self._hung.done.is_set() else JOIN_S)

    def _late(self, what: str) -> InstrumentTimeoutError:
        return InstrumentTimeoutError(
            self.name,
            f"the vendor's library does not return: {what}",
            done="the call was given up",
            advice="check power and cable; if it goes on, restart this program",
        )

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
