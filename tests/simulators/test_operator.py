"""The simulated person."""

from __future__ import annotations

import math
import threading

import pytest

from drivers.errors import InstrumentTimeoutError
from drivers.light_path.manual import ManualPath, ManualSettings
from simulators.link import SimulatedClock
from simulators.operator import SimulatedOperator
from simulators.world import World


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


def test_fibre_is_moved_in_the_world_when_asked(world):
    clock = SimulatedClock(world)
    person = SimulatedOperator(world, clock, after_s=30.0)
    path = ManualPath("light_path", ManualSettings(), clock=clock, vendor=person)
    path.open()
    path.select("counters")
    assert world.port() == "counters"
    assert world.now() == pytest.approx(30.0)
    path.select("spectrometer")
    assert world.port() == "spectrometer"


def test_nobody_there_ends_in_the_drivers_time_out(world):
    clock = SimulatedClock(world)
    person = SimulatedOperator(world, clock, after_s=math.inf)
    path = ManualPath("light_path", ManualSettings(timeout_s=60.0), clock=clock, vendor=person)
    path.open()
    with pytest.raises(InstrumentTimeoutError):
        path.select("counters")
    assert world.port() == "spectrometer"


def test_withdrawn_question_changes_nothing(world):
    cancel = threading.Event()
    cancel.set()
    person = SimulatedOperator(world, SimulatedClock(world))
    assert person.ask("Move it", 100.0, about="x.port", wanted="counters", cancel=cancel) == "timeout"
    assert world.port() == "spectrometer"


def test_other_parts_are_moved_by_their_action(world):
    moved = []
    person = SimulatedOperator(world, SimulatedClock(world), actions={".beam": moved.append})
    assert person.ask("On, please", 100.0, about="tube.beam", wanted="on") == "confirmed"
    assert moved == ["on"]
