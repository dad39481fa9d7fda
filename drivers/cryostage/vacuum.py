"""The pressure in the stage: from a gauge, or entered by a person."""

from __future__ import annotations

from drivers.base import Reading
from drivers.clock import Clock
from drivers.cryostage.limits import check_pressure
from drivers.cryostage.pfeiffer_tpg import PfeifferTpg, PfeifferTpgSettings
from drivers.errors import InstrumentError

# A gauge is slow and the pressure, too: no need to ask at every status of the stage.
EVERY_S = 5.0


class Vacuum:
    """Where a stage without a vacuum card has its pressure from. Not thread-safe.

    Args:
        name: The stage's name, for messages.
        gauge: The gauge's table; None: there is none.
        entered_mbar: What the rig file says; None: nobody knows.
        clock: The clock of the experiment.
    """

    def __init__(
        self, name: str, gauge: PfeifferTpgSettings | None, entered_mbar: float | None, *, clock: Clock
    ) -> None:
        self._name = name
        self._clock = clock
        self._gauge = None if gauge is None else PfeifferTpg(f"{name}.gauge", gauge, clock=clock)
        self._last: Reading | None = None
        self._complaint: tuple[str, ...] = ()
        self._asked_s = float("-inf")
        if entered_mbar is not None:
            self._last = Reading(entered_mbar, "mbar", "entered", clock.now())

    def open(self) -> None:
        """Connect the gauge, if there is one. Raises ``InstrumentConnectionError``."""
        if self._gauge is not None:
            self._gauge.open()

    def close(self) -> None:
        """Release the gauge's line."""
        if self._gauge is not None:
            self._gauge.close()

    def enter(self, pressure_mbar: float) -> None:
        """Take what a person read. Raises ``LimitError``."""
        check_pressure(self._name, pressure_mbar)
        self._last = Reading(pressure_mbar, "mbar", "entered", self._clock.now())

    def reading(self) -> tuple[Reading | None, tuple[str, ...]]:
        """The newest pressure and what the gauge complains of; a gauge that fails does not stop the stage."""
        now_s = self._clock.now()
        if self._gauge is not None and now_s >= self._asked_s + EVERY_S:
            self._asked_s = now_s
            try:
                self._last = self._gauge.read()
                self._complaint = ()
            except InstrumentError as error:
                self._complaint = (str(error),)
        return self._last, self._complaint
