"""The wish to stop, seen by every device that waits."""

from __future__ import annotations

import threading


class StopRequestedError(Exception):
    """A person (or a guard) asked for the run to stop; the message says who and why."""


class StopFlag:
    """Set once by whoever wants the run to stop; read by everything that waits.

    ``event`` is what drivers take as ``cancel``.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason = ""

    def request(self, reason: str) -> None:
        """Ask for the stop; the first reason is kept."""
        if not self.event.is_set():
            self.reason = reason
            self.event.set()

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        return self.event.is_set()

    def check(self) -> None:
        """Raise ``StopRequestedError`` if a stop was asked for."""
        if self.event.is_set():
            raise StopRequestedError(self.reason)
