"""What a sequence means to do and how long it should take; where it stands and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drivers.clock import Clock


@dataclass(frozen=True)
class PlannedStep:
    """One step with the time that it should take.

    Attributes:
        label: What is done, as shown to the person.
        point: Number of the point it belongs to, or None.
        expected_s: Expected duration in s.
    """

    label: str
    point: int | None
    expected_s: float


@dataclass(frozen=True)
class Standing:
    """Where the run is.

    Attributes:
        step: The present step.
        done_s: Expected duration of what is done, in s.
        left_s: Expected time left, in s.
    """

    step: PlannedStep
    done_s: float
    left_s: float


class Progress:
    """Follows the steps that a plan announces.

    Args:
        steps: The whole schedule, in order.
        clock: The experiment's clock.
    """

    def __init__(self, steps: list[PlannedStep], clock: Clock) -> None:
        self._steps = steps
        self._clock = clock
        self._index = 0
        self._began_s = clock.now()

    @property
    def points(self) -> int:
        """Number of points in the schedule."""
        return 1 + max((step.point for step in self._steps if step.point is not None), default=-1)

    @property
    def total_s(self) -> float:
        """Expected duration of everything, in s."""
        return sum(step.expected_s for step in self._steps)

    def announce(self, label: str) -> None:
        """The plan begins the next step with this label; steps before it are done."""
        for index in range(self._index, len(self._steps)):
            if self._steps[index].label == label and (index > self._index or index == 0):
                self._index = index
                self._began_s = self._clock.now()
                return

    def replan(self, rest: Sequence[Sequence[Any]]) -> None:
        """The plan changes what comes after the present step.

        Args:
            rest: Label, number of the point (or None) and expected duration in s of each step to come, in the
                order of :class:`PlannedStep`.
        """
        self._steps = [*self._steps[: self._index + 1], *(PlannedStep(*step) for step in rest)]

    def standing(self) -> Standing:
        """Where the run is now; a step that takes longer than planned counts as nearly done."""
        step = self._steps[self._index]
        spent_s = min(self._clock.now() - self._began_s, step.expected_s)
        done_s = sum(before.expected_s for before in self._steps[: self._index]) + spent_s
        return Standing(step, done_s, max(0.0, self.total_s - done_s))
