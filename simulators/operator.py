"""A person at the simulated rig: does what is asked after some time, or is not there."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from simulators.world import WorldView


class _Clock(Protocol):
    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...

    def wait(self, event: threading.Event, seconds: float) -> bool: ...


class SimulatedOperator:
    """Answers the questions of drivers whose parts only a hand can move (``drivers.operator.Operator``).

    Moving the fibre is known; other parts of the world are moved by ``actions``.

    Args:
        world: Where the fibre's light goes.
        clock: The experiment's clock.
        after_s: How long the person takes; infinite: nobody is there.
        actions: What to do for a question about something that ends with the key, given what is wanted.
    """

    def __init__(
        self,
        world: WorldView,
        clock: _Clock,
        *,
        after_s: float = 20.0,
        actions: Mapping[str, Callable[[str], None]] | None = None,
    ) -> None:
        self._clock = clock
        self._after_s = after_s
        self._actions: dict[str, Callable[[str], None]] = {
            ".port": lambda wanted: world.set_port("counters" if wanted == "counters" else "spectrometer"),
            **(actions or {}),
        }

    def ask(
        self,
        question: str,
        timeout_s: float,
        *,
        about: str = "",
        wanted: str = "",
        cancel: threading.Event | None = None,
    ) -> Literal["confirmed", "timeout"]:
        """Do what is asked; ``"confirmed"`` once it is done, ``"timeout"`` if that takes too long."""
        wait_s = min(self._after_s, timeout_s)
        if cancel is not None:
            if self._clock.wait(cancel, wait_s):
                return "timeout"
        elif math.isfinite(wait_s):
            self._clock.sleep(wait_s)
        if self._after_s > timeout_s:
            return "timeout"
        for ending, action in self._actions.items():
            if about.endswith(ending):
                action(wanted)
        return "confirmed"
