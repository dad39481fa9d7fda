"""The simulated person."""

from __future__ import annotations

import math
import threading

import pytest

from drivers.errors import InstrumentTimeoutError
from drivers.light_path.manual import ManualPath, ManualSettings
from drivers.xray_tube.manual import ManualTube
from simulators.link import SimulatedClock
from simulators.operator import SimulatedOperator
from simulators.tube import Tube
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


@pytest.fixture
def lit():
    """A world with a tube, and the driver of a tube that only the person at its panel can set."""
    world = World()
    world.tube = Tube(world.faults)
    clock = SimulatedClock(world)
    tube = ManualTube("tube", ManualTube.Settings(), clock=clock, vendor=SimulatedOperator(world, clock))
    tube.open()
    yield world, tube
    world.close()


def test_tube_is_set_at_its_panel_as_asked(lit):
    world, tube = lit
    tube.beam_on(40.0, 300.0)
    truth = world.truth()
    assert truth["hv_on"]
    assert truth["voltage_kV"] == pytest.approx(40.0, rel=1e-3)
    assert truth["current_uA"] == pytest.approx(300.0, rel=1e-3)
    assert tube.status().voltage.source == "entered"
    tube.beam_on(30.0, 300.0)
    assert world.truth()["voltage_kV"] == pytest.approx(30.0, rel=1e-3)
    tube.close()
    assert not world.truth()["hv_on"]
    assert not tube.status().beam_on


def test_a_tube_that_does_not_come_on_is_not_confirmed(lit):
    world, tube = lit
    world.faults.set("interlock.open")
    world.advance(1.0)
    with pytest.raises(InstrumentTimeoutError, match="nobody confirmed"):
        tube.beam_on(40.0, 300.0)
    assert not world.truth()["hv_on"]
    assert world.now() == pytest.approx(1.0 + tube.settings.timeout_s)
    tube.beam_off()
