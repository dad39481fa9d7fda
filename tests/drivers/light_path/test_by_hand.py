"""Light paths without a motor: fixed, and moved by a person who may not be there."""

from __future__ import annotations

import threading

import pytest
from pydantic import ValidationError

from drivers.errors import InstrumentConnectionError, InstrumentTimeoutError, LimitError
from drivers.light_path.fixed import FixedPath, FixedSettings
from drivers.light_path.manual import ManualPath, ManualSettings
from drivers.operator import OperatorDesk
from simulators.link import SimulatedClock
from simulators.world import World


@pytest.fixture
def clock():
    world = World()
    yield SimulatedClock(world)
    world.close()


class Person:
    """Does what is asked after some time, or never."""

    def __init__(self, clock, after_s):
        self.clock = clock
        self.after_s = after_s
        self.asked = []

    def ask(self, question, timeout_s, *, about="", wanted="", cancel=None):
        self.asked.append((question, about, wanted))
        if cancel is not None and cancel.is_set():
            return "timeout"
        self.clock.sleep(min(self.after_s, timeout_s))
        return "confirmed" if self.after_s <= timeout_s else "timeout"


def test_fixed_path_reaches_its_port_only(clock):
    with FixedPath("light_path", FixedSettings(port="counters"), clock=clock) as path:
        path.select("counters")
        assert path.reachable == ("counters",)
        status = path.status()
        assert (status.port, status.source) == ("counters", "entered")
        with pytest.raises(LimitError, match="goes to the counters only"):
            path.select("spectrometer")
        assert "counters" in path.identify().model


def test_fixed_path_needs_a_port():
    with pytest.raises(ValidationError):
        FixedSettings()
    with pytest.raises(ValidationError):
        FixedSettings(port="lamp")


def test_manual_path_asks_waits_and_records_what_was_confirmed(clock):
    person = Person(clock, after_s=40.0)
    with ManualPath("light_path", ManualSettings(), clock=clock, vendor=person) as path:
        assert path.status().port is None
        path.select("counters")
        status = path.status()
        assert (status.port, status.source, status.state) == ("counters", "entered", "confirmed")
        assert status.read_at_s == pytest.approx(40.0)
    assert person.asked[0][1:] == ("light_path.port", "counters")
    assert "photon counters" in person.asked[0][0]


def test_manual_path_does_not_ask_for_what_is_known(clock):
    person = Person(clock, after_s=1.0)
    path = ManualPath("light_path", ManualSettings(port="spectrometer"), clock=clock, vendor=person)
    path.open()
    path.select("spectrometer")
    assert person.asked == []


def test_manual_path_times_out_and_keeps_what_it_knew(clock):
    path = ManualPath(
        "light_path",
        ManualSettings(port="spectrometer", timeout_s=300.0),
        clock=clock,
        vendor=Person(clock, after_s=1e6),
    )
    path.open()
    with pytest.raises(InstrumentTimeoutError, match="taken to be at the spectrometer still"):
        path.select("counters")
    assert clock.now() == pytest.approx(300.0)
    assert path.status().port == "spectrometer"


def test_manual_path_can_be_cancelled(clock):
    cancel = threading.Event()
    cancel.set()
    path = ManualPath("light_path", ManualSettings(), clock=clock, vendor=Person(clock, after_s=1e6))
    path.open()
    path.select("counters", cancel=cancel)
    assert path.status().port is None


def test_manual_path_without_anybody_to_ask_says_so(clock):
    path = ManualPath("light_path", ManualSettings(), clock=clock)
    with pytest.raises(InstrumentConnectionError, match="nobody to ask"):
        path.open()


def test_manual_path_refuses_an_unknown_port(clock):
    path = ManualPath("light_path", ManualSettings(), clock=clock, vendor=Person(clock, after_s=1.0))
    with pytest.raises(LimitError, match="no port 'lamp'"):
        path.select("lamp")


def test_question_waits_at_the_desk_until_a_panel_confirms_it(clock):
    seen = []

    def confirm_later(question):
        seen.append(question)
        assert desk.questions() == (question,)
        assert desk.confirm(question.number)

    desk = OperatorDesk(clock, notify=confirm_later)
    path = ManualPath("light_path", ManualSettings(), clock=clock, vendor=desk)
    path.open()
    path.select("counters")
    assert path.status().port == "counters"
    assert seen[0].wanted == "counters"
    assert desk.questions() == ()
    assert not desk.confirm(seen[0].number)


def test_question_that_nobody_answers_leaves_the_desk_in_time(clock):
    desk = OperatorDesk(clock)
    assert desk.ask("Move the fibre", 120.0) == "timeout"
    assert clock.now() == pytest.approx(120.0)
    assert desk.questions() == ()


def test_withdrawn_question_leaves_the_desk_at_once(clock):
    cancel = threading.Event()
    desk = OperatorDesk(clock, notify=lambda question: cancel.set())
    assert desk.ask("Move the fibre", 1e6, cancel=cancel) == "timeout"
    assert clock.now() < 2.0
