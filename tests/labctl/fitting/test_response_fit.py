"""The timing response against made delays with known width, delay and tails."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.fitting.response_fit import fit_response, response_model

EDGES = np.arange(-2000.0, 2001.0, 4.0) * 1e-12


def histogram(generator: np.random.Generator, pairs: int, later: float, earlier: float) -> np.ndarray:
    delay = generator.normal(12.3, 57.0, pairs)
    kind = generator.random(pairs)
    delay += np.where(kind < later, generator.exponential(200.0, pairs), 0.0)
    delay -= np.where(kind > 1 - earlier, generator.exponential(200.0, pairs), 0.0)
    return np.histogram(delay * 1e-12, EDGES)[0] + generator.poisson(0.3, len(EDGES) - 1)


def test_width_delay_and_tails_come_back_within_their_errors() -> None:
    generator = np.random.Generator(np.random.PCG64(1))
    fit = fit_response(EDGES, histogram(generator, 40_000, 0.08, 0.02), 0.0, 100e-12)
    assert fit.has_tails and fit.goodness.p_value > 1e-3
    for name, true in (("delay_s", 12.3e-12), ("sigma_s", 57e-12), ("later_tail", 0.08), ("tail_s", 200e-12)):
        assert fit.estimates.value(name).agrees_with(true, sigmas=3.5), name
    assert fit.estimates.value("sigma_s").error < 0.5e-12
    assert fit.tail.agrees_with(0.10, sigmas=3.5)
    # Variance of a mixture: within the parts and between their means.
    assert fit.rms_s() == pytest.approx(
        np.sqrt(57**2 + 0.1 * 2 * 200**2 - (0.06 * 200) ** 2) * 1e-12, rel=0.03
    )


def test_a_gaussian_needs_no_tails_and_its_errors_cover_the_truth() -> None:
    generator = np.random.Generator(np.random.PCG64(2))
    pulls = []
    for _ in range(40):
        fit = fit_response(EDGES, histogram(generator, 3000, 0.0, 0.0), 0.0, 100e-12)
        assert not fit.has_tails
        sigma, delay = fit.estimates.value("sigma_s"), fit.estimates.value("delay_s")
        pulls += [(sigma.value - 57e-12) / sigma.error, (delay.value - 12.3e-12) / delay.error]
    assert 0.5 < np.mean(np.abs(pulls) < 1) < 0.85
    assert abs(np.mean(pulls)) < 0.4


def test_the_jacobian_agrees_with_finite_differences() -> None:
    edges = np.linspace(-20.0, 30.0, 101)
    theta = np.array([2.0, 900.0, 1.3, 1.1, 0.1, 0.05, 4.0])
    jacobian = response_model(edges, theta)[1]
    for index in range(theta.size):
        up, down = theta.copy(), theta.copy()
        up[index] += 1e-6
        down[index] -= 1e-6
        numeric = (response_model(edges, up)[0] - response_model(edges, down)[0]) / 2e-6
        np.testing.assert_allclose(jacobian[:, index], numeric, atol=3e-4)
