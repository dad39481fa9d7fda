"""What a sweep says as a whole agrees with the laws that its points were made from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from labctl.cli.trend_lines import trends
from labctl.fitting.point import PointFit
from labctl.fitting.value import Value

A_X_K = 164.7
TEMPERATURES_K = (300.0, 250.0, 220.0, 200.0, 180.0, 160.0, 140.0, 120.0, 100.0, 80.0)


def point(temperature_K: float, rng: np.random.Generator) -> PointFit:
    """A point whose slow lifetime follows the law of the second paper, with 1 % noise."""

    def noisy(true: float, relative: float) -> Value:
        return Value(true * (1.0 + relative * rng.standard_normal()), true * relative)

    slow = 3.35e-9 * math.exp(-A_X_K * (1.0 / temperature_K - 1.0 / 300.0))
    share = 0.56 / (1.0 + math.exp((temperature_K - 145.0) / 12.0))
    return PointFit(
        red_shift_eV=noisy(0.12, 0.01),
        coupled_fraction=noisy(share, 0.02),
        tau_fast_s=None,
        tau_slow_s=noisy(slow, 0.01),
        mu=None,
        spectrum=None,
        g2=None,
        warnings=(),
        software="labctl test",
    )


def test_the_rate_constant_of_a_known_law_is_found_within_its_error() -> None:
    rng = np.random.default_rng(3)
    lines, fields = trends([(kelvin, point(kelvin, rng)) for kelvin in TEMPERATURES_K])
    assert lines[0] == "On cooling:"
    assert any("tau_slow: A_X 16" in line for line in lines)
    assert max(len(line) for line in lines) <= 90
    slow: dict[str, Any] = fields[0]["trends"]["tau_slow_s"]
    assert slow["law"] == "lifetime"
    assert "tau_fast_s" in fields[0]["refused"]


@pytest.mark.parametrize("number", [0, 1])
def test_too_few_points_say_nothing(number: int) -> None:
    rng = np.random.default_rng(3)
    lines, _ = trends([(300.0, point(300.0, rng))] * number)
    assert lines == []
