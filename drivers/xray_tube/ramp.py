"""Bringing the beam up and down on a supply: voltage before current up, current before voltage down.

With voltage 0 and current on, electrons stay at the filament and damage the tube; so the order is never
turned round, and each ramp is made of small steps between which flags are looked at.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from drivers.clock import Clock
from drivers.errors import FaultError, InstrumentTimeoutError, InterlockError
from drivers.xray_tube.settings import SpellmanSettings
from drivers.xray_tube.supply import Supply

NOTHING_uA = 20.0
NOTHING_kV = 1.0
DOWN_TIMEOUT_S = 5.0


class Ramp:
    """Ramps of one beam. Made anew for each ``beam_on`` or ``beam_off``.

    Args:
        name: The tube's name, for messages.
        supply: The supply.
        clock: The clock of the experiment.
        settings: Slopes, tolerances, time-outs.
        guard: Called around each command that changes something; raises if the ramp is to end.
        cancel: Wakes a pause early.
    """

    def __init__(
        self,
        name: str,
        supply: Supply,
        clock: Clock,
        settings: SpellmanSettings,
        *,
        guard: Callable[[Callable[[], None]], None],
        cancel: threading.Event | None = None,
    ) -> None:
        self.name = name
        self._supply = supply
        self._clock = clock
        self._settings = settings
        self._guard = guard
        self._cancel = cancel

    def up(self, voltage_kV: float, current_uA: float) -> None:
        """Bring a beam that is on to voltage and current; return once the monitors agree.

        The current first goes down to the smaller of old and new, so that no point on the way asks for
        more than its ends.
        """
        present_kV, present_uA = self._supply.set_points()
        lower_uA = min(present_uA, current_uA)
        if lower_uA < present_uA:
            self._move_current(present_uA, lower_uA)
            self._settle(None, lower_uA)
        self._move_voltage(present_kV, voltage_kV)
        self._settle(voltage_kV, None)
        self._move_current(lower_uA, current_uA)
        self._settle(voltage_kV, current_uA)

    def down(self) -> None:
        """Current, then voltage, to nearly nothing at the supply's own slope. Gives up after a while."""
        self._supply.set_current(0.0)
        self._await_nothing(lambda: self._supply.monitors().current_uA <= NOTHING_uA)
        self._supply.set_voltage(0.0)
        self._await_nothing(lambda: self._supply.monitors().voltage_kV <= NOTHING_kV)

    def hold(self, seconds: float, each: Callable[[], None]) -> None:
        """Stay where the beam is, look at the flags and call ``each`` about once a second."""
        end_s = self._clock.now() + seconds
        while (rest_s := end_s - self._clock.now()) > 0:
            self._pause(min(rest_s, max(1.0, self._settings.poll_s)))
            self._must_be_on()
            each()

    def await_high_voltage(self) -> None:
        """Wait until the flag says that high voltage is on."""
        deadline_s = self._clock.now() + self._settings.settle_timeout_s
        while not self.raise_if_tripped():
            if self._clock.now() >= deadline_s:
                raise InstrumentTimeoutError(
                    self.name,
                    f"high voltage did not come on within {self._settings.settle_timeout_s:g} s",
                    advice="look at the supply: remote mode, filament, pre-warning",
                )
            self._pause()

    def raise_if_tripped(self) -> bool:
        """Whether high voltage is on; raises with the interlock open or a fault."""
        flags = self._supply.flags()
        if not flags.interlock_closed:
            raise InterlockError(self.name, "the X-ray interlock is open", advice="close the safety circuit")
        if flags.fault:
            faults = ", ".join(self._supply.faults()) or "a fault without saying which"
            raise FaultError(
                self.name,
                f"the supply reports {faults}",
                advice="remove the cause, then clear the fault",
            )
        if not flags.remote:
            raise FaultError(
                self.name, "the supply is in local mode", advice="set it to remote at its own panel"
            )
        return flags.high_voltage_on

    def _move_voltage(self, present_kV: float, goal_kV: float) -> None:
        step_kV = self._settings.voltage_ramp_kV_per_s * self._settings.poll_s
        self._move(present_kV, goal_kV, step_kV, self._supply.set_voltage)

    def _move_current(self, present_uA: float, goal_uA: float) -> None:
        step_uA = self._settings.current_ramp_uA_per_s * self._settings.poll_s
        self._move(present_uA, goal_uA, step_uA, self._supply.set_current)

    def _move(self, present: float, goal: float, step: float, send: Callable[[float], None]) -> None:
        steps = max(math.ceil(abs(goal - present) / step - 1e-9), 1)
        for number in range(1, steps + 1):
            value = present + (goal - present) * number / steps
            self._guard(lambda value=value: send(value))  # type: ignore[misc]
            if number < steps:
                self._pause()
                self._must_be_on()

    def _settle(self, voltage_kV: float | None, current_uA: float | None) -> None:
        settings = self._settings
        deadline_s = self._clock.now() + settings.settle_timeout_s
        while True:
            self._must_be_on()
            now = self._supply.monitors()
            if (voltage_kV is None or abs(now.voltage_kV - voltage_kV) <= settings.voltage_tolerance_kV) and (
                current_uA is None or abs(now.current_uA - current_uA) <= settings.current_tolerance_uA
            ):
                return
            if self._clock.now() >= deadline_s:
                wanted = [
                    *([] if voltage_kV is None else [f"{voltage_kV:g} kV"]),
                    *([] if current_uA is None else [f"{current_uA:g} uA"]),
                ]
                raise InstrumentTimeoutError(
                    self.name,
                    f"the monitors show {now.voltage_kV:.2f} kV and {now.current_uA:.1f} uA, not"
                    f" {' and '.join(wanted)}, {settings.settle_timeout_s:g} s after the ramp",
                    advice="look at filament and tube",
                )
            self._pause()

    def _await_nothing(self, is_nothing: Callable[[], bool]) -> None:
        # High voltage is switched off afterwards in any case: waiting for ever would be worse.
        deadline_s = self._clock.now() + DOWN_TIMEOUT_S
        while not is_nothing() and self._clock.now() < deadline_s:
            self._pause()

    def _must_be_on(self) -> None:
        if not self.raise_if_tripped():
            raise FaultError(
                self.name, "high voltage went off by itself", advice="look at the supply's own display"
            )

    def _pause(self, seconds: float | None = None) -> None:
        seconds = self._settings.poll_s if seconds is None else seconds
        self._guard(_nothing)
        if self._cancel is None:
            self._clock.sleep(seconds)
        else:
            self._clock.wait(self._cancel, seconds)
        self._guard(_nothing)


def _nothing() -> None:
    """Lets a guard look without anything being done."""
