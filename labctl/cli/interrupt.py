"""Ctrl-C and its relatives: seen at any moment, acted on where it is safe."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from labctl.rig.stop import StopFlag

# SIGBREAK is Windows' Ctrl-Break, SIGHUP a closed terminal elsewhere.
_NAMES = ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP")
_WORDS = {"SIGINT": "Ctrl-C"}


class Interrupt:
    """While entered, a signal sets ``stop``; outside ``shielded`` it also raises KeyboardInterrupt.

    The rig is opened unshielded (whatever waits there is broken off) and run and closed shielded (the run
    sees the flag and ends in order; the way to the safe state is never broken off).
    """

    def __init__(self, stop: StopFlag) -> None:
        self._stop = stop
        self._depth = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is not None:
                self._before[number] = signal.signal(number, self._act)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _act(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        self._stop.request(_WORDS.get(name, f"signal {name}"))
        if self._depth == 0:
            raise KeyboardInterrupt

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Within, a signal only sets the flag."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
