"""Settings that a person makes: asked for, confirmed, recorded as entered."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from drivers.errors import InstrumentConnectionError, InstrumentTimeoutError, LimitError
from drivers.operator import OperatorDesk
from drivers.operator_setting.confirmed import OperatorSetting, OperatorSettingSettings
from simulators.link import SimulatedClock
from simulators.world import World


@pytest.fixture
def clock():
    world = World()
    yield SimulatedClock(world)
    world.close()


def confirming_desk(clock):
    desk = OperatorDesk(clock, notify=lambda question: desk.confirm(question.number))
    return desk


def iris(clock, operator, **changes):
    table = {"title": "collection iris", "unit": "um", "minimum": 10.0, "maximum": 100.0, **changes}
    return OperatorSetting("iris", OperatorSettingSettings(**table), clock=clock, vendor=operator)


def test_number_is_asked_for_and_recorded_as_entered(clock):
    setting = iris(clock, confirming_desk(clock))
    setting.open()
    assert setting.reading() is None
    clock.sleep(30.0)
    setting.set(28.0)
    reading = setting.reading()
    assert (reading.value, reading.unit, reading.source) == (28.0, "um", "entered")
    assert reading.read_at_s == pytest.approx(30.0)
    assert setting.status().state == "confirmed"


def test_word_is_one_of_the_choices(clock):
    settings = OperatorSettingSettings(title="excitation source", choices=["X-ray tube", "KrCl lamp 222 nm"])
    source = OperatorSetting("source", settings, clock=clock, vendor=confirming_desk(clock))
    source.open()
    source.set("KrCl lamp 222 nm")
    assert source.status().value == "KrCl lamp 222 nm"
    assert source.reading() is None
    with pytest.raises(LimitError, match="'laser' is none of 'X-ray tube'"):
        source.set("laser")


@pytest.mark.parametrize("value", [5.0, 101.0, float("nan"), "wide"])
def test_impossible_number_is_refused_before_anybody_is_asked(clock, value):
    asked = []
    desk = OperatorDesk(clock, notify=asked.append)
    setting = iris(clock, desk)
    setting.open()
    with pytest.raises(LimitError, match="Nobody was asked"):
        setting.set(value)
    assert asked == []


def test_nothing_is_asked_for_what_stands_already(clock):
    asked = []
    setting = iris(clock, OperatorDesk(clock, notify=asked.append), value=50.0)
    setting.open()
    setting.set(50.0)
    assert asked == []
    assert setting.reading().value == 50.0


def test_without_an_answer_it_counts_as_unknown(clock):
    setting = iris(clock, OperatorDesk(clock), value=50.0, timeout_s=60.0)
    setting.open()
    with pytest.raises(InstrumentTimeoutError, match="the collection iris at 28 um within 60 s"):
        setting.set(28.0)
    assert setting.status().value is None
    assert setting.status().state == "unknown"


def test_without_anybody_to_ask_the_rig_file_must_say_how_it_stands(clock):
    with pytest.raises(InstrumentConnectionError, match="nobody to ask"):
        iris(clock, None).open()
    setting = iris(clock, None, value=50.0)
    setting.open()
    with pytest.raises(InstrumentConnectionError, match="nobody to ask"):
        setting.set(28.0)


@pytest.mark.parametrize(
    "table",
    [
        {"title": "iris"},
        {"title": "iris", "unit": "um", "choices": ["a"]},
        {"title": "iris", "unit": "um", "value": "a"},
        {"title": "iris", "choices": ["a"], "value": "b"},
        {"title": "iris", "unit": "um", "maximum": 10.0, "value": 11.0},
    ],
)
def test_impossible_table_is_refused(table):
    with pytest.raises(ValidationError):
        OperatorSettingSettings(**table)
