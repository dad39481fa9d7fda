"""What a counter may be, and how its events are kept in order."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.detectors import Detector, sort_by_time


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"efficiency": 1.2}, "efficiency is 1.2"),
        ({"dead_time_ps": -1.0}, "dead_time_ps"),
        ({"dark_Hz": float("inf")}, "dark_Hz"),
        ({"afterpulse_probability": 0.95}, "never end"),
        ({"transit_ps": 1.0}, "transit_ps"),
        ({"crosstalk_delay_ps": 10.0}, "crosstalk_delay_ps"),
    ],
)
def test_impossible_counter_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Detector(**wrong)


def test_default_jitter_is_50_ps_full_width():
    assert Detector().jitter_ps_rms * 2 * np.sqrt(2 * np.log(2)) == pytest.approx(50.0)


def test_sorting_keeps_pairs_together():
    generator = np.random.default_rng(1)
    times = np.arange(1000.0) + generator.normal(0, 5, 1000)
    detectors = generator.integers(0, 2, 1000).astype(np.uint8)
    order = np.argsort(times, kind="stable")
    expected = times[order], detectors[order]
    sort_by_time(times, detectors, 1000)
    assert np.array_equal(times, expected[0])
    assert np.array_equal(detectors, expected[1])
