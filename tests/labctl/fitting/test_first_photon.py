"""Start-stop decays at any count rate, against photons drawn one by one."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.fitting.decay_fit import DecayData, expected_counts, fit_decay
from labctl.fitting.decay_model import decay_model
from labctl.fitting.first_photon import FirstPhotons, first_photon_model, pulses_left
from labctl.fitting.refusal import FitRefused

PERIOD = 50e-9
EDGES = np.linspace(0.0, PERIOD, 251)


def first_photons(
    generator: np.random.Generator, pulses: int, per_pulse: float, lifetime_s: float
) -> np.ndarray:
    """Histogram of the first photon in each period; light and background go on over the periods."""
    n = generator.poisson(per_pulse, pulses)
    light = np.repeat(np.arange(pulses) * PERIOD, n) + 3e-9
    light = light + generator.normal(0, 0.3e-9, len(light)) + generator.exponential(lifetime_s, len(light))
    dark = generator.random(generator.poisson(0.02 * pulses)) * pulses * PERIOD
    time = np.concatenate([light, dark])
    number = np.floor(time / PERIOD)
    order = np.lexsort((time, number))
    time, number = time[order], number[order]
    first = np.r_[True, np.diff(number) > 0]
    return np.histogram((time - number * PERIOD)[first], EDGES)[0]


@pytest.mark.parametrize(("per_pulse", "lifetime_s"), [(1.5, 4e-9), (0.7, 20e-9)])
def test_lifetimes_are_right_and_errors_cover_at_many_photons_per_pulse(
    per_pulse: float, lifetime_s: float
) -> None:
    """1.5 photons per pulse, and a decay that is seen for two more periods."""
    generator = np.random.Generator(np.random.PCG64(3))
    pulls, naive = [], []
    for _ in range(24):
        counts = first_photons(generator, 20_000, per_pulse, lifetime_s)
        data = DecayData(EDGES, counts, pulses=20_000, period_s=PERIOD)
        fit = fit_decay(data, n_lifetimes=1)
        lifetime = fit.lifetime_s(1)
        pulls.append((lifetime.value - lifetime_s) / lifetime.error)
        assert fit.estimates.value("counts").agrees_with(20_000 * per_pulse, sigmas=4.5)
        plain = fit_decay(DecayData(EDGES, counts), n_lifetimes=1).lifetime_s(1)
        naive.append((plain.value - lifetime_s) / plain.error)
    assert abs(np.mean(pulls)) < 3.5 / np.sqrt(24)
    assert 0.45 < np.mean(np.abs(pulls) < 1.0) < 0.92
    assert abs(np.mean(naive)) > 5


def test_the_maximum_for_free_rates_is_coates_correction() -> None:
    counts = np.array([300.0, 200.0, 100.0, 30.0])
    left = pulses_left(counts, 1000.0, hidden=50.0)
    assert left.tolist() == [950.0, 650.0, 450.0, 350.0]
    coates = -1000.0 * np.log(1 - counts / left)
    model, _ = first_photon_model(coates, np.zeros((4, 1)), 1000.0, left)
    np.testing.assert_allclose(model, counts)
    statistic = FirstPhotons(counts, left)
    assert statistic.deviance(model) == pytest.approx(0.0, abs=1e-9)
    assert statistic.deviance(model * 1.1) > 1.0
    assert statistic.deviance(left) == np.inf


def test_the_jacobian_agrees_with_finite_differences() -> None:
    edges = np.linspace(0.0, 10.0, 51)
    theta = np.array([2.0, 900.0, 2.03, 0.2, 1.5, 6.0, 0.4])
    left = np.linspace(1000.0, 300.0, 50)

    def model(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return first_photon_model(*decay_model(edges, None, values, 2, 10.0), 1000.0, left)

    jacobian = model(theta)[1]
    for index in range(theta.size):
        up, down = theta.copy(), theta.copy()
        up[index] += 1e-6
        down[index] -= 1e-6
        np.testing.assert_allclose(jacobian[:, index], (model(up)[0] - model(down)[0]) / 2e-6, atol=3e-4)
    # All light of a pulse falls into one period, with that of earlier pulses at the same place.
    assert decay_model(edges, None, theta, 2, 10.0)[0].sum() == pytest.approx(50 * 2.0 + 900.0, rel=1e-6)


def test_more_first_photons_than_pulses_are_refused() -> None:
    counts = first_photons(np.random.Generator(np.random.PCG64(1)), 2000, 1.0, 4e-9)
    with pytest.raises(FitRefused, match="more first photons than pulses"):
        fit_decay(DecayData(EDGES, counts, pulses=500))
    expected, sigma = expected_counts(
        DecayData(EDGES, counts), fit_decay(DecayData(EDGES, counts), n_lifetimes=1)
    )
    np.testing.assert_allclose(sigma, np.sqrt(expected))
