"""When a temperature counts as settled."""

from __future__ import annotations

import math

import pytest

from drivers.cryostage.settling import Settling


def settling(**changes: float) -> Settling:
    return Settling(**{"target_K": 80.0, "tolerance_K": 0.3, "duration_s": 30.0} | changes)


def test_settles_after_the_duration_within_the_tolerance() -> None:
    watch = settling()
    for time_s in range(30):
        assert not watch.feed(float(time_s), 80.1)
        assert watch.time_left_s == pytest.approx(30.0 - time_s)
    assert watch.feed(30.0, 80.1)
    assert watch.time_left_s == 0.0


def test_one_reading_outside_begins_the_time_anew() -> None:
    watch = settling()
    for time_s in range(29):
        watch.feed(float(time_s), 80.0)
    assert not watch.feed(29.0, 80.31)
    assert watch.time_left_s == 30.0
    assert not watch.feed(30.0, 80.0)
    assert [watch.feed(30.0 + step, 80.0) for step in (10, 20, 30)] == [False, False, True]


def test_a_drift_through_the_tolerance_is_not_settled() -> None:
    watch = settling(tolerance_K=1.0, maximum_drift_K_per_min=0.5)
    slope_K_per_min = 1.2
    found = [watch.feed(float(t), 79.3 + slope_K_per_min * t / 60) for t in range(60)]
    assert not any(found)
    assert watch.drift_K_per_min == pytest.approx(slope_K_per_min)
    stopped = [watch.feed(60.0 + t, 80.4) for t in range(60)]
    assert not stopped[0]
    assert stopped[-1]


def test_a_crossing_of_the_set_point_at_full_ramp_is_not_settled() -> None:
    watch = settling(tolerance_K=2.0, duration_s=5.0, maximum_drift_K_per_min=1.0)
    assert not any(watch.feed(t / 2, 85.0 - 0.5 * t / 2) for t in range(41))


def test_a_missing_reading_counts_as_outside() -> None:
    watch = settling(duration_s=2.0)
    for time_s, kelvin in enumerate([80.0, 80.0, math.nan, 80.0, 80.0]):
        assert not watch.feed(float(time_s), kelvin)
    assert watch.feed(5.0, 80.0)


def test_an_old_reading_given_twice_counts_once() -> None:
    watch = settling(duration_s=10.0)
    watch.feed(0.0, 80.0)
    for _ in range(20):
        assert not watch.feed(5.0, 80.0)
    assert watch.time_left_s == 5.0


def test_noise_does_not_look_like_drift() -> None:
    watch = settling()
    kelvin = [80.0 + 0.05 * (-1) ** step for step in range(31)]
    assert [watch.feed(float(t), reading) for t, reading in enumerate(kelvin)][-1]


@pytest.mark.parametrize(
    "changes", [{"tolerance_K": 0.0}, {"duration_s": -1.0}, {"maximum_drift_K_per_min": 0.0}]
)
def test_a_senseless_criterion_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="settling wants"):
        settling(**changes)
