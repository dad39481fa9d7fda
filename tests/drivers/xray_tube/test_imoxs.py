"""The iMOXS is refused honestly: no bytes are guessed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.clock import SystemClock
from drivers.errors import LimitError, MissingDriverError
from drivers.registry import driver_names, load_driver
from drivers.xray_tube.imoxs import ImoxsTube

CALLS: list[Callable[[ImoxsTube], object]] = [
    lambda tube: tube.open(),
    lambda tube: tube.identify(),
    lambda tube: tube.status(),
    lambda tube: tube.beam_on(40.0, 300.0),
    lambda tube: tube.beam_off(),
    lambda tube: tube.clear_faults(),
]


@pytest.fixture
def tube() -> ImoxsTube:
    return ImoxsTube("tube", ImoxsTube.Settings(address="COM3"), clock=SystemClock())


def test_the_registry_knows_it() -> None:
    assert load_driver("xray_tube", "imoxs") is ImoxsTube
    assert {"imoxs", "manual", "spellman"} <= set(driver_names("xray_tube"))


@pytest.mark.parametrize("call", CALLS)
def test_every_call_says_that_the_protocol_is_not_public_and_what_to_do(
    tube: ImoxsTube, call: Callable[[ImoxsTube], object]
) -> None:
    with pytest.raises(MissingDriverError, match=r'not public.*driver = "manual"'):
        call(tube)


def test_limits_can_be_checked_all_the_same(tube: ImoxsTube) -> None:
    tube.check(50.0, 600.0)
    with pytest.raises(LimitError):
        tube.check(50.0, 601.0)


def test_closing_is_nothing(tube: ImoxsTube) -> None:
    tube.close()
