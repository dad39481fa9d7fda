"""A person at the simulated rig: does what is asked after some time, or is not there."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from simulators.world import WorldView

# From zero the voltage takes 2 s, the filament 1 s and the current 2 s; then a person reads the panel.
PANEL_S = 10.0


class _Clock(Protocol):
    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...

    def wait(self, event: threading.Event, seconds: float) -> bool: ...


class SimulatedOperator:
    """Answers the questions of drivers whose parts only a hand can move (``drivers.operator.Operator``).

    Moving the fibre and setting the tube at its own panel are known; other parts of the world are moved by
    ``actions``. What does not come about (a tube whose interlock is open) is not confirmed.

    Args:
        world: Where the fibre's light goes.
        clock: The experiment's clock.
        after_s: How long the person takes; infinite: nobody is there.
        actions: What to do for a question about something that ends with the key, given what is wanted; gives
            False if that did not come about.
    """

    def __init__(
        self,
        world: WorldView,
        clock: _Clock,
        *,
        after_s: float = 20.0,
        actions: Mapping[str, Callable[[str], bool | None]] | None = None,
    ) -> None:
        self._clock = clock
        self._after_s = after_s
        self._world = world
        self._actions: dict[str, Callable[[str], bool | None]] = {
            ".port": lambda wanted: world.set_port("counters" if wanted == "counters" else "spectrometer"),
            ".beam": self._set_tube,
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
        end_s = self._clock.now() + timeout_s
        if self._withdrawn(min(self._after_s, timeout_s), cancel) or self._after_s > timeout_s:
            return "timeout"
        for ending, action in self._actions.items():
            if about.endswith(ending) and action(wanted) is False:
                self._withdrawn(end_s - self._clock.now(), cancel)
                return "timeout"
        return "confirmed"

    def _withdrawn(self, seconds: float, cancel: threading.Event | None) -> bool:
        """Let time pass; whether the question was withdrawn meanwhile."""
        if cancel is not None:
            return self._clock.wait(cancel, seconds)
        if math.isfinite(seconds):
            self._clock.sleep(seconds)
        return False

    def _set_tube(self, wanted: str) -> bool:
        """Set the tube to ``"40 kV, 300 uA"`` or ``"off"`` at its panel; whether the panel shows it then."""
        asked = re.fullmatch(r"([\d.e+]+) kV, ([\d.e+]+) uA", wanted)
        voltage_kV, current_uA = (float(asked[1]), float(asked[2])) if asked else (0.0, 0.0)
        if not self._world.set_tube(voltage_kV, current_uA):
            return False
        self._clock.sleep(PANEL_S)
        return True
