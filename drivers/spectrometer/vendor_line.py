"""Calls of a vendor's library as if they were messages on a line: one at a time, logged, with a deadline.

A C function cannot be interrupted. So the calls run in a thread of their own, and whoever asked goes on with
an error when a call has not returned in time; the next calls are refused until it has.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np

from drivers.clock import Clock
from drivers.errors import InstrumentConnectionError, InstrumentTimeoutError
from drivers.spectrometer.andor_library import speaking
from drivers.traffic import TrafficLog

Result = TypeVar("Result")

LONGEST_NOTE = 200
END_S = 5.0


@dataclass
class _Job:
    call: Callable[[], Any]
    what: str
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.call()
        except BaseException as error:
            self.error = error
        self.done.set()


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
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stuck: _Job | None = None

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
                    result = self._run(_Job(lambda: call(*arguments, **named), what))
            except InstrumentConnectionError as error:
                self.lost = True
                self._note("received", str(error))
                raise
            except Exception as error:
                self._note("received", str(error))
                raise
            self._note("received", _in_words(result))
            return cast(Result, result)

    def end(self) -> None:
        """End the thread. The next call starts it again."""
        with self.lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._jobs.put(None)
                thread.join(END_S)

    def _run(self, job: _Job) -> Any:
        if self._stuck is not None:
            if not self._stuck.done.is_set():
                raise InstrumentTimeoutError(
                    self.name,
                    f"the vendor's library still has not returned: {self._stuck.what}",
                    done="Nothing was sent",
                    advice="Switch the instrument off and on; if that does not help, restart this program",
                )
            self._stuck = None
        if self._thread is None:
            # A daemon: a call that never returns must not keep the program from ending.
            self._thread = threading.Thread(target=self._work, name=f"{self.name} vendor calls", daemon=True)
            self._thread.start()
        self._jobs.put(job)
        if not job.done.wait(self._timeout_s):
            self._stuck = job
            raise InstrumentTimeoutError(
                self.name,
                f"cannot {job.what}: the vendor's library did not return within {self._timeout_s:g} s",
                advice="Check power and cable of the instrument",
            )
        if job.error is not None:
            raise job.error
        return job.result

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()

    def _note(self, direction: Any, text: str) -> None:
        self._traffic.record(self._clock.epoch_s(), direction, b"", text[:LONGEST_NOTE])


def _in_words(result: Any) -> str:
    """A result for the log; arrays only by their shape."""
    if isinstance(result, np.ndarray):
        return f"array of shape {result.shape}"
    if isinstance(result, list) and result and isinstance(result[0], np.ndarray):
        return f"{len(result)} arrays of shape {result[0].shape}"
    return repr(result)
