"""The delay between two counters: right on average, and with the error that it claims."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.time_tagger.base import TagChunk
from drivers.time_tagger.delay import NoPeakError, delay_between, differences_ps, peak_centre

WINDOW = 100_000.0


def lags(seed, n, centre, background, sigma=57.0):
    """Two-sided decay of 0.24 and 0.74 ns with Gaussian response on a flat background."""
    generator = np.random.default_rng(seed)
    tau = np.where(generator.random(n) < 0.6, 240.0, 740.0)
    peak = centre + generator.laplace(0.0, tau) + generator.normal(0.0, sigma, n)
    flat = generator.uniform(-WINDOW, WINDOW, background)
    return np.concatenate([peak[np.abs(peak) < WINDOW], flat])


@pytest.mark.parametrize(("n", "background"), [(300, 200), (3000, 20_000), (30_000, 0)])
def test_the_error_is_the_scatter(n, background):
    found = [peak_centre(lags(seed, n, 3217.0, background), window_ps=WINDOW) for seed in range(60)]
    pulls = np.array([(delay.delay_ps - 3217.0) / delay.error_ps for delay in found])
    assert abs(pulls.mean()) < 4 / np.sqrt(60)
    assert 0.75 < pulls.std() < 1.35
    # Cramer-Rao bound for the place of this peak: integral f'^2 / f by quadrature
    assert np.median([delay.error_ps for delay in found]) < 1.5 * cramer_rao_ps() / np.sqrt(n)


def cramer_rao_ps(sigma=57.0):
    x = np.arange(-12_000.0, 12_000.0)
    shape = 0.6 * np.exp(-np.abs(x) / 240) / 480 + 0.4 * np.exp(-np.abs(x) / 740) / 1480
    response = np.exp(-((np.arange(-400.0, 401.0) / sigma) ** 2) / 2)
    density = np.convolve(shape, response / response.sum(), "same")
    return 1 / np.sqrt(np.sum(np.gradient(density) ** 2 / density))


def test_sign_is_stop_minus_start_by_brute_force():
    start = np.array([1_000_000, 5_000_000, 9_000_000])
    stop = np.array([1_000_700, 5_000_700, 9_000_700, 9_050_000])
    stamps = np.concatenate([start, stop])
    channels = np.concatenate([np.full(3, 1), np.full(4, 2)]).astype(np.int32)
    order = np.argsort(stamps)
    chunk = TagChunk(stamps[order], channels[order], 0, 10_000_000)
    brute = sorted(b - a for a in start for b in stop if -100_000 <= b - a < 100_000)
    assert differences_ps([chunk], 1, 2, window_ps=100_000).tolist() == brute == [700, 700, 700, 50_000]
    assert differences_ps([chunk], 2, 1, window_ps=100_000).tolist() == [-50_000, -700, -700, -700]


def test_counters_of_the_simulated_rig_are_aligned(make_bench):
    from simulators.detectors import Detector

    bench = make_bench(detectors=(Detector(transit_ps=5_000.0), Detector(transit_ps=8_250.0)))
    with bench.tagger() as tagger:
        delay = delay_between(tagger.stream([1, 2], 10.0), 1, 2)
        assert delay.error_ps < 15
        assert delay.delay_ps == pytest.approx(3250, abs=4.5 * delay.error_ps)
        tagger.set_delay("B", -round(delay.delay_ps))
        again = delay_between(tagger.stream([1, 2], 10.0), 1, 2)
        assert again.delay_ps == pytest.approx(0, abs=4.5 * np.hypot(delay.error_ps, again.error_ps))


def test_light_without_bursts_shows_no_delay():
    flat = np.random.default_rng(3).uniform(-WINDOW, WINDOW, 50_000)
    with pytest.raises(NoPeakError, match="no peak among 50000 pairs"):
        peak_centre(flat, window_ps=WINDOW)
    with pytest.raises(NoPeakError, match="no peak among 0 pairs"):
        delay_between([], 1, 2)


def test_peak_at_the_edge_is_not_trusted():
    generator = np.random.default_rng(4)
    cut = WINDOW - np.abs(generator.exponential(300.0, 5000))
    with pytest.raises(NoPeakError):
        peak_centre(cut, window_ps=WINDOW)
