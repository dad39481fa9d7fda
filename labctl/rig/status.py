"""Work that a device does in its own thread, as the engine wants to see it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class WorkStatus:
    """A running piece of work (bluesky's ``Status`` protocol around a future)."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future

    def add_callback(self, callback: Callable[[WorkStatus], None]) -> None:
        """Call ``callback(self)`` when the work has ended, at once if it has already."""
        self._future.add_done_callback(lambda _: callback(self))

    def exception(self, timeout: float | None = 0.0) -> BaseException | None:
        """The error that ended the work, or None; raises TimeoutError if it still runs."""
        return self._future.exception(timeout)

    @property
    def done(self) -> bool:
        """The work has ended, well or badly."""
        return self._future.done()

    @property
    def success(self) -> bool:
        """The work has ended well."""
        return self._future.done() and self._future.exception() is None


class Worker:
    """The one thread in which one device talks to its instrument."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"device-{name}")

    def submit(self, work: Callable[[], Any]) -> WorkStatus:
        """Start ``work`` after what was submitted before."""
        return WorkStatus(self._pool.submit(work))

    def close(self) -> None:
        """End the thread once its present work is done."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def finished() -> WorkStatus:
    """Work that is already done."""
    future: Future[None] = Future()
    future.set_result(None)
    return WorkStatus(future)
