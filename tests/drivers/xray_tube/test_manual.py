"""A tube set by hand: what is asked, what is recorded, what is believed when nobody answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from drivers.errors import (
    InstrumentCancelledError,
    InstrumentConnectionError,
    InstrumentTimeoutError,
    LimitError,
)
from drivers.operator import OperatorDesk, Question
from drivers.registry import load_driver
from drivers.xray_tube.manual import ManualTube


class StepClock:
    """Time that moves only when somebody waits."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        return self.now_s

    def epoch_s(self) -> float:
        return 1.7e9 + self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += max(seconds, 0.0)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.sleep(seconds)
        return event.is_set()


class Person:
    """Takes 20 s for everything, and does not always do it."""

    def __init__(self, clock: StepClock) -> None:
        self.clock = clock
        self.asked: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.answers = True
        self.before: Callable[[], None] = lambda: None

    def ask(
        self,
        question: str,
        timeout_s: float,
        *,
        about: str = "",
        wanted: str = "",
        cancel: threading.Event | None = None,
    ) -> Any:
        self.asked.append((about, wanted))
        self.texts.append(question)
        self.before()
        if (cancel is not None and cancel.is_set()) or not self.answers:
            self.clock.sleep(timeout_s)
            return "timeout"
        self.clock.sleep(20.0)
        return "confirmed"


@pytest.fixture
def clock() -> StepClock:
    return StepClock()


@pytest.fixture
def person(clock: StepClock) -> Person:
    return Person(clock)


@pytest.fixture
def tube(clock: StepClock, person: Person) -> ManualTube:
    made = ManualTube("tube", ManualTube.Settings(title="iMOXS"), clock=clock, vendor=person)
    made.open()
    return made


def test_the_registry_knows_it() -> None:
    assert load_driver("xray_tube", "manual") is ManualTube


def test_opening_asks_nothing_and_knows_nothing(tube: ManualTube, person: Person) -> None:
    assert person.asked == []
    assert tube.status().state == "unknown"
    assert tube.identify().model == "iMOXS, set by hand"


def test_on_asks_for_voltage_first_and_records_what_was_confirmed(tube: ManualTube, person: Person) -> None:
    tube.beam_on(40.0, 300.0)
    assert person.asked == [("tube.beam", "40 kV, 300 uA")]
    (text,) = person.texts
    assert text.index("40 kV") < text.index("300 uA")
    status = tube.status()
    assert (status.state, status.beam_on) == ("on", True)
    assert (status.voltage.value, status.voltage.source) == (40.0, "entered")
    assert (status.current.value, status.current.source) == (300.0, "entered")
    assert status.voltage_set.source == "commanded"
    assert status.voltage.read_at_s == 20.0


def test_off_asks_for_current_first(tube: ManualTube, person: Person) -> None:
    tube.beam_on(40.0, 300.0)
    tube.beam_off()
    assert person.asked[-1] == ("tube.beam", "off")
    assert person.texts[-1].index("current") < person.texts[-1].index("voltage")
    status = tube.status()
    assert (status.state, status.beam_on, status.voltage.value) == ("off", False, 0.0)


def test_a_beam_known_to_be_off_is_not_asked_for_again(tube: ManualTube, person: Person) -> None:
    tube.beam_off()
    tube.beam_off()
    assert len(person.asked) == 1


def test_limits_count_before_anybody_is_asked(tube: ManualTube, person: Person) -> None:
    with pytest.raises(LimitError):
        tube.beam_on(60.0, 300.0)
    with pytest.raises(LimitError):
        tube.check(50.0, 601.0)
    assert person.asked == []


def test_nobody_confirms_on_and_the_beam_counts_as_on(tube: ManualTube, person: Person) -> None:
    person.answers = False
    with pytest.raises(InstrumentTimeoutError, match="taken to be on"):
        tube.beam_on(40.0, 300.0)
    assert (tube.status().state, tube.status().beam_on) == ("unknown", True)
    person.answers = True
    tube.beam_off()
    assert not tube.status().beam_on


def test_nobody_confirms_off_is_an_alarm(tube: ManualTube, person: Person) -> None:
    tube.beam_on(40.0, 300.0)
    person.answers = False
    with pytest.raises(TimeoutError, match=r"[Tt]ake the beam for ON"):
        tube.beam_off()
    assert tube.status().beam_on


def test_cancel_has_it_switched_off(tube: ManualTube, person: Person) -> None:
    cancel = threading.Event()
    person.before = cancel.set
    with pytest.raises(InstrumentCancelledError, match=r"[Tt]he beam is off"):
        tube.beam_on(40.0, 300.0, cancel=cancel)
    assert person.asked[-1] == ("tube.beam", "off")
    assert tube.status().state == "off"


def test_the_time_between_the_confirmations_is_the_dose(tube: ManualTube, clock: StepClock) -> None:
    tube.dose.begin_sample("xray-A")
    tube.beam_on(50.0, 600.0)
    clock.sleep(3600.0)
    tube.beam_off()
    dose = tube.dose.dose("xray-A")
    # The 20 s that each confirmation took may have been with the beam on: they count.
    assert dose.beam_on_s == pytest.approx(3640.0)
    assert dose.charge_mAs == pytest.approx(0.6 * 3640.0)


def test_close_has_the_beam_switched_off_once(tube: ManualTube, person: Person) -> None:
    tube.beam_on(40.0, 300.0)
    tube.close()
    tube.close()
    assert [wanted for _, wanted in person.asked] == ["40 kV, 300 uA", "off"]


def test_close_asks_nothing_if_the_beam_was_never_asked_for(tube: ManualTube, person: Person) -> None:
    tube.close()
    assert person.asked == []


def test_without_a_person_it_cannot_be_opened(clock: StepClock) -> None:
    tube = ManualTube("tube", ManualTube.Settings(), clock=clock)
    with pytest.raises(InstrumentConnectionError, match="nobody to ask"):
        tube.open()


def test_through_the_operators_desk(clock: StepClock) -> None:
    def confirm(question: Question) -> None:
        desk.confirm(question.number)

    desk = OperatorDesk(clock, notify=confirm)
    tube = ManualTube("tube", ManualTube.Settings(), clock=clock, vendor=desk)
    tube.open()
    tube.beam_on(40.0, 300.0)
    assert tube.status().state == "on"
    tube.clear_faults()
    tube.close()
    assert tube.status().state == "off"
    assert desk.questions() == ()
