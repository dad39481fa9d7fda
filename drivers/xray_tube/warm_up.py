"""Warming a tube up after days of rest: which steps, how long each.

Gas that comes off inside a resting tube makes it arc when full voltage comes at once. The voltage is
therefore brought up in steps of 5 kV, each held for a time that grows with the rest *at that voltage*: a
tube that was used yesterday at 20 kV and a month ago at 50 kV is warmed up from 20 kV on. Steps of 5 kV
and 30 to 600 s each are those of public programs for 50 kV tubes; a fifth of the current follows Oxford
Instruments' conditioning procedure. The tube's maker has the last word: the times are settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from drivers.xray_tube.base import WarmUpStep

STEP_kV = 5.0
DAY_s = 86_400.0
# After so many days of rest, hold each step for so many seconds.
HOLDS: tuple[tuple[float, float], ...] = ((1.0, 30.0), (7.0, 120.0), (30.0, 300.0), (90.0, 600.0))
CURRENT_FRACTION = 0.2


def hold_s(rest_s: float, holds: Sequence[Sequence[float]] = HOLDS) -> float:
    """How long a step is held after ``rest_s`` seconds of rest.

    Args:
        rest_s: Time since the tube last had this voltage; infinite if it never had.
        holds: Pairs of days and seconds, days rising.
    """
    return max((hold for days, hold in holds if rest_s >= days * DAY_s), default=0.0)


def levels_kV(goal_kV: float) -> tuple[float, ...]:
    """Voltages of the steps up to a goal: multiples of 5 kV, then the goal itself."""
    steps = math.ceil(goal_kV / STEP_kV - 1e-9)
    return tuple(min(STEP_kV * number, goal_kV) for number in range(1, steps + 1))


def warm_up_steps(
    goal_kV: float,
    *,
    rest_s: Callable[[float], float],
    largest_current_uA: Callable[[float], float],
    holds: Sequence[Sequence[float]] = HOLDS,
    current_fraction: float = CURRENT_FRACTION,
) -> tuple[WarmUpStep, ...]:
    """The programme that a tube needs before it may have ``goal_kV``.

    Args:
        goal_kV: Voltage that is wanted afterwards.
        rest_s: Time since the tube last had at least this voltage (kV), in s.
        largest_current_uA: Largest current allowed at a voltage (kV).
        holds: As for ``hold_s``.
        current_fraction: Part of the largest current that flows during a step.

    Returns:
        Steps with rising voltage; empty if the tube is warm.
    """
    steps = []
    for voltage_kV in levels_kV(goal_kV):
        seconds = hold_s(rest_s(voltage_kV), holds)
        if seconds > 0:
            steps.append(WarmUpStep(voltage_kV, current_fraction * largest_current_uA(voltage_kV), seconds))
    return tuple(steps)
