"""Where a run is and how long is left, by a clock that the test moves."""

from __future__ import annotations

import threading

import pytest

from labctl.engine.schedule import PlannedStep, Progress


class HandClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now(self) -> float:
        return self.time_s

    def epoch_s(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.time_s += seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.time_s += seconds
        return event.is_set()


STEPS = [
    PlannedStep("cool", None, 100.0),
    PlannedStep("ramp", 0, 50.0),
    PlannedStep("expose", 0, 30.0),
    PlannedStep("ramp", 1, 50.0),
    PlannedStep("expose", 1, 30.0),
]


def test_time_left_is_what_the_steps_to_come_should_take() -> None:
    clock = HandClock()
    progress = Progress(STEPS, clock)
    progress.announce("cool")
    clock.sleep(40)
    assert progress.standing().left_s == pytest.approx(260 - 40)
    progress.announce("ramp")
    clock.sleep(10)
    assert progress.standing().left_s == pytest.approx(160 - 10)
    progress.announce("expose")
    progress.announce("ramp")
    assert progress.standing().step.point == 1
    assert progress.standing().left_s == pytest.approx(80)


def test_a_step_that_takes_longer_than_planned_does_not_run_backwards() -> None:
    clock = HandClock()
    progress = Progress(STEPS, clock)
    progress.announce("cool")
    clock.sleep(1_000)
    assert progress.standing().left_s == pytest.approx(160)
    assert progress.standing().done_s == pytest.approx(100)


def test_the_same_label_twice_means_the_next_of_its_kind() -> None:
    progress = Progress(STEPS, HandClock())
    for label in ("cool", "ramp", "expose", "ramp", "expose"):
        progress.announce(label)
    assert progress.standing().left_s == pytest.approx(30)
    progress.announce("unknown")
    assert progress.standing().step.label == "expose"


def test_a_plan_that_changes_its_mind_changes_the_time_left() -> None:
    clock = HandClock()
    progress = Progress(STEPS, clock)
    progress.announce("cool")
    progress.announce("ramp")
    clock.sleep(10)
    progress.replan([["expose", 0, 30.0], ["ramp", 2, 20.0], ["expose", 2, 5.0]])
    assert progress.standing().left_s == pytest.approx(40 + 55)
    progress.announce("expose")
    progress.announce("ramp")
    assert progress.standing().step == PlannedStep("ramp", 2, 20.0)
    assert progress.standing().left_s == pytest.approx(25)
