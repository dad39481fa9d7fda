import json

import numpy as np
import pytest

from labctl.emission.sample import load_sample
from labctl.fitting.point import PointFit, fit_point
from labctl.photons.g2 import PairBlocks

SIGMA = 57e-12


def light_of(name, temperature_K):
    emission = load_sample(name).emission(temperature_K)
    return emission, {
        "weights": emission.weights,
        "lifetimes": emission.lifetimes_s,
        "window_ps": 32_768,
        "dead": True,
    }


@pytest.mark.parametrize(("name", "temperature_K"), [("xray-A", 80.0), ("xray-A", 180.0), ("xray-B", 80.0)])
def test_a_point_gives_back_what_went_in(bursts, camera, name, temperature_K):
    emission, pairs = light_of(name, temperature_K)
    rng = np.random.default_rng(1)
    fit = fit_point(camera(rng, emission), bursts(rng, **pairs), response_sigma_s=SIGMA)
    coupled, uncoupled = emission.components
    assert fit.red_shift_eV.agrees_with(uncoupled.energy_eV - coupled.energy_eV, sigmas=3.5)
    assert fit.coupled_fraction.agrees_with(coupled.weight, sigmas=3.5)
    assert fit.tau_fast_s.agrees_with(coupled.lifetime_s, sigmas=3.5)
    assert fit.tau_slow_s.agrees_with(uncoupled.lifetime_s, sigmas=3.5)
    assert fit.mu.agrees_with(0.05, sigmas=4.0)
    assert fit.warnings == ()


def test_the_80_K_point_of_sample_A_within_the_papers_errors(bursts, camera):
    emission, pairs = light_of("xray-A", 80.0)
    rng = np.random.default_rng(2)
    fit = fit_point(camera(rng, emission), bursts(rng, **pairs), response_sigma_s=SIGMA)
    assert abs(fit.tau_fast_s.value - 0.24e-9) < 0.02e-9
    assert abs(fit.tau_slow_s.value - 0.74e-9) < 0.12e-9


def test_a_warm_point_has_one_peak_and_one_lifetime(bursts, camera):
    emission, pairs = light_of("xray-B", 300.0)
    rng = np.random.default_rng(3)
    fit = fit_point(camera(rng, emission), bursts(rng, **pairs), response_sigma_s=SIGMA)
    assert fit.red_shift_eV is None and fit.coupled_fraction is None and fit.tau_fast_s is None
    assert fit.tau_slow_s.agrees_with(3.35e-9, sigmas=3.5)


def test_written_and_read_again(bursts, camera):
    emission, pairs = light_of("xray-A", 80.0)
    rng = np.random.default_rng(4)
    fit = fit_point(camera(rng, emission), bursts(rng, **pairs), response_sigma_s=SIGMA)
    written = json.dumps(fit.to_dict(), allow_nan=False)
    again = PointFit.from_dict(json.loads(written))
    assert again.to_dict() == fit.to_dict()
    assert again.tau_fast_s == fit.tau_fast_s and again.software.startswith("labctl ")


def test_the_same_data_give_the_same_numbers(bursts, camera):
    emission, pairs = light_of("xray-A", 120.0)
    first, second = (
        fit_point(
            camera(np.random.default_rng(5), emission),
            bursts(np.random.default_rng(6), **pairs),
            response_sigma_s=SIGMA,
        )
        for _ in range(2)
    )
    assert first.to_dict() == second.to_dict()


def test_either_instrument_alone(bursts, camera):
    emission, pairs = light_of("xray-A", 80.0)
    rng = np.random.default_rng(7)
    light = fit_point(camera(rng, emission), None, response_sigma_s=SIGMA)
    assert light.coupled_fraction is not None and light.tau_slow_s is None and light.g2 is None
    counters = fit_point(None, bursts(rng, duration_s=4.0, **pairs), response_sigma_s=SIGMA)
    assert counters.coupled_fraction is None and counters.tau_slow_s.agrees_with(0.74e-9, sigmas=3.5)


def test_nothing_measured_is_all_none_with_reasons(camera):
    dark = camera(np.random.default_rng(8), load_sample("uv").emission(300.0), electrons=0.0, cosmic=False)
    empty = np.zeros(25, dtype=np.int64)
    pairs = PairBlocks(1000, 10, np.zeros((25, 200), np.uint64), empty, empty, empty + 10**9)
    fit = fit_point(dark, pairs, response_sigma_s=SIGMA)
    assert [fit.red_shift_eV, fit.coupled_fraction, fit.tau_fast_s, fit.tau_slow_s, fit.mu] == [None] * 5
    assert len(fit.warnings) == 2
    assert fit.warnings[0].startswith("spectrum: ") and fit.warnings[1].startswith("g2: ")
