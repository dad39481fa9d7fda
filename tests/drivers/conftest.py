"""A vendor's library that hangs, however slow the machine is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from drivers import vendor_thread

GUARD_S = 60.0


class Hang:
    """A place in a vendor's library at which a call stays, until ``release``."""

    def __init__(self) -> None:
        self.here, self._released = threading.Event(), threading.Event()
        self.given_up: list[threading.Event] = []

    def stay(self) -> None:
        self.here.set()
        self._released.wait(GUARD_S)
        self.here.clear()

    def release(self) -> None:
        self._released.set()
        for done in self.given_up:
            assert threading.Event.wait(done, GUARD_S)


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch, until: Callable[..., None]) -> Iterator[Hang]:
    """A hang; the deadline of a call passes as soon as the call has come to it, and never before."""
    place = Hang()

    class Done(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            until(lambda: self.is_set() or place.here.is_set(), "a call of the library does not end")
            if not self.is_set():
                place.given_up.append(self)
            return self not in place.given_up

    plain = vendor_thread._Call.__init__

    def begin(call: vendor_thread._Call, work: Callable[[], object]) -> None:
        plain(call, work)
        call.done = Done()

    monkeypatch.setattr(vendor_thread._Call, "__init__", begin)
    yield place
    place.release()
