"""The person at the rig as part of it: asked to do something, confirms it, or does not answer.

Drivers of parts that only a hand can move ask through ``Operator``. ``OperatorDesk`` is the implementation
for a running rig: the questions wait there until a panel, a command line or a phone answers them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from drivers.clock import Clock

Answer = Literal["confirmed", "timeout"]

# A person may answer at any time: look this often whether the experiment's time is over.
LOOK_S = 1.0


class Operator(Protocol):
    """Somebody who can be asked."""

    def ask(
        self,
        question: str,
        timeout_s: float,
        *,
        about: str = "",
        wanted: str = "",
        cancel: threading.Event | None = None,
    ) -> Answer:
        """Ask the person to do something and wait until it is confirmed.

        Args:
            question: What to do, in a sentence or two.
            timeout_s: Longest wait, in the experiment's time.
            about: What it is about, for programs: ``"light_path.port"``.
            wanted: What it should become, for programs: ``"counters"``.
            cancel: When set, the question is withdrawn.

        Returns:
            ``"confirmed"``, or ``"timeout"`` if nobody answered in time or the question was withdrawn.
        """


@dataclass(frozen=True)
class Question:
    """A question that waits for its answer.

    Attributes:
        number: Its number, for the answer.
        text: What to do.
        about: What it is about, for programs.
        wanted: What it should become, for programs.
        asked_at_s: When it was asked, on the experiment's clock.
        timeout_s: How long it waits.
    """

    number: int
    text: str
    about: str
    wanted: str
    asked_at_s: float
    timeout_s: float


class OperatorDesk:
    """Where questions wait for a person. Thread-safe.

    Args:
        clock: The clock of the experiment.
        notify: Called with each new question, in the thread that asks; must return at once.
    """

    def __init__(self, clock: Clock, notify: Callable[[Question], None] | None = None) -> None:
        self._clock = clock
        self._notify = notify
        self._lock = threading.Lock()
        self._asked = 0
        self._open: dict[int, tuple[Question, threading.Event]] = {}

    def questions(self) -> tuple[Question, ...]:
        """The questions that wait, oldest first."""
        with self._lock:
            return tuple(question for question, _ in self._open.values())

    def confirm(self, number: int) -> bool:
        """It is done. Returns False if that question waits no more."""
        with self._lock:
            found = self._open.get(number)
            if found is not None:
                found[1].set()
            return found is not None

    def ask(
        self,
        question: str,
        timeout_s: float,
        *,
        about: str = "",
        wanted: str = "",
        cancel: threading.Event | None = None,
    ) -> Answer:
        """Put up a question and wait for its answer (see ``Operator.ask``)."""
        done = threading.Event()
        with self._lock:
            self._asked += 1
            entry = Question(self._asked, question, about, wanted, self._clock.now(), timeout_s)
            self._open[entry.number] = (entry, done)
        try:
            if self._notify is not None:
                self._notify(entry)
            end_s = entry.asked_at_s + timeout_s
            while not (cancel is not None and cancel.is_set()):
                left_s = end_s - self._clock.now()
                if self._clock.wait(done, min(max(left_s, 0.0), LOOK_S)):
                    return "confirmed"
                if left_s <= 0:
                    break
            return "timeout"
        finally:
            with self._lock:
                self._open.pop(entry.number, None)
