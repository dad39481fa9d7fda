"""Brightness, background and stability against what was put into made tags."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.time_tagger.base import TagChunk
from labctl.errors import InputError
from labctl.photons.background import Rate, measure_background, signal_g2, signal_share
from labctl.photons.correlator import Pair
from labctl.photons.g2 import PairBlocks
from labctl.photons.reanalysis import Request, correlate
from labctl.photons.statistics import (
    burst_brightness,
    pair_ratio_error,
    rate_record,
)


def bursts(mu: float, rate_Hz: float, seconds: float, background_Hz: float, seed: int) -> PairBlocks:
    """X-rays at random; each gives Poisson(mu) photons per detector within 1 ns; plus random background."""
    generator = np.random.Generator(np.random.PCG64(seed))
    end = int(seconds * 1e12)
    hits = generator.random(generator.poisson(rate_Hz * seconds)) * end
    stamps, channels = [], []
    for channel in (1, 2):
        photons = np.repeat(hits, generator.poisson(mu, len(hits)))
        photons = photons + generator.exponential(300.0, len(photons))
        stray = generator.random(generator.poisson(background_Hz * seconds)) * end
        both = np.concatenate([photons, stray])
        stamps.append(both)
        channels.append(np.full(len(both), channel, np.int32))
    merged = np.concatenate(stamps).astype(np.int64)
    order = np.argsort(merged, kind="stable")
    merged, numbers = merged[order], np.concatenate(channels)[order]
    kept = merged < end
    chunk = TagChunk(merged[kept], numbers[kept], 0, end)
    return correlate([chunk], Request((Pair(1, 2),), 100_000, 100)).blocks[0]


@pytest.mark.parametrize("mu", [0.025, 0.25, 2.5])
def test_photons_per_burst_follow_from_the_area_of_the_peak(mu: float) -> None:
    blocks = bursts(mu, 20_000, 20, 0.0, seed=int(1000 * mu))
    found = burst_brightness(blocks, 5000)
    assert found.start == pytest.approx(mu, abs=4 * found.start_error)
    assert found.stop == pytest.approx(mu, abs=4 * found.stop_error)
    assert found.start_error < 0.2 * mu
    assert found.fano == pytest.approx((1 + mu) ** 2, rel=0.1)
    assert bool(found.warning()) == (mu >= 0.02)


def test_errors_of_bright_bursts_come_from_the_scatter_between_blocks() -> None:
    """At mu = 2.5 the area scatters (1 + mu) = 3.5 times more than counting says."""
    areas, errors, naive = [], [], []
    for seed in range(24):
        blocks = bursts(2.5, 20_000, 1, 0.0, seed)
        found = burst_brightness(blocks, 5000)
        areas.append(found.area_ps)
        errors.append(found.area_error_ps)
        inside = np.abs(blocks.lag_ps) <= 5000
        pairs = float(blocks.total()[inside].sum())
        naive.append(found.area_ps / np.sqrt(pairs))
    scatter = float(np.std(areas, ddof=1))
    assert scatter / np.mean(naive) > 2
    assert float(np.mean(errors)) == pytest.approx(scatter, rel=0.45)


def test_background_dilutes_the_contrast_by_the_product_of_the_signal_shares() -> None:
    clean = bursts(0.1, 50_000, 20, 0.0, seed=1)
    mixed = bursts(0.1, 50_000, 20, 5000.0, seed=2)
    share = signal_share(mixed, Rate(5000.0), Rate(5000.0))
    assert share.start == pytest.approx(0.5, abs=0.01)
    assert share.both == pytest.approx(0.25, abs=0.01)
    inside = np.abs(clean.lag_ps) <= 300
    corrected, error, _ = signal_g2(mixed.g2(), mixed.g2_error(), share)
    assert (mixed.g2()[inside] - 1).mean() == pytest.approx(0.25 * (clean.g2()[inside] - 1).mean(), rel=0.1)
    assert (corrected[inside] - 1).mean() == pytest.approx((clean.g2()[inside] - 1).mean(), rel=0.1)
    np.testing.assert_allclose(error, mixed.g2_error() / share.both)
    found = burst_brightness(mixed, 5000, share=share)
    assert found.start == pytest.approx(0.1, abs=4 * found.start_error)
    assert found.start_error < 0.01
    with pytest.raises(ValueError, match="must lie between 0 and its count rate"):
        signal_share(mixed, Rate(1e6), Rate(0.0))


def test_the_error_of_the_background_rate_reaches_g2_of_the_signal() -> None:
    """Known rates drawn about the true ones: the corrected peak scatters as the common error says."""
    mixed = bursts(0.1, 50_000, 20, 5000.0, seed=2)
    g2, peak = mixed.g2(), int(np.argmax(mixed.total()))
    generator = np.random.Generator(np.random.PCG64(4))
    drawn = generator.normal(5000.0, 250.0, (400, 2))
    values = [
        signal_g2(g2, mixed.g2_error(), signal_share(mixed, Rate(a), Rate(b)))[0][peak] for a, b in drawn
    ]
    share = signal_share(mixed, Rate(5000.0, 250.0), Rate(5000.0, 250.0))
    common = signal_g2(mixed.g2(), mixed.g2_error(), share)[2][peak]
    assert common == pytest.approx(np.std(values), rel=0.12)


def test_a_drifting_signal_over_a_steady_background_is_corrected_by_the_weighted_share() -> None:
    """Halves with signal rates 9 and 1 over a background of 1: rho = (81 + 1)/(100 + 4), not (10/12)^2."""
    tags = np.array([10_000, 2_000])
    blocks = PairBlocks(10, 5, np.zeros((2, 4), np.uint64), tags, tags, np.full(2, 10**12))
    share = signal_share(blocks, Rate(1000.0), Rate(1000.0))
    assert share.both == pytest.approx(82 / 104)
    assert share.start == pytest.approx(10 / 12)


def test_background_rates_are_measured_with_their_scatter_and_a_silent_counter_is_refused() -> None:
    generator = np.random.Generator(np.random.PCG64(3))
    stamps = np.sort(generator.integers(0, 10**13, 4000))
    chunk = TagChunk(stamps, np.tile(np.array([1, 1, 1, 2], np.int32), 1000), 0, 10**13)
    rates = measure_background([chunk], {1, 2}, "dark")
    assert (rates[1].Hz, rates[2].Hz) == (300.0, 100.0)
    # Every third or fourth tag of a Poisson stream: the error is at least that of counting.
    assert np.sqrt(3000) / 10 <= rates[1].error_Hz < 1.3 * np.sqrt(3000) / 10
    with pytest.raises(InputError, match="channel 7 never fires"):
        measure_background([chunk], {1, 7}, "dark")


def test_the_error_of_a_background_that_flickers_is_students() -> None:
    """Four blocks of 1 ms with 100, 300, 100, 300 counts; 1.20 is in table G.2 of the GUM (68.27 %, 3)."""
    counts = (100, 300, 100, 300)
    stamps = np.concatenate([k * 10**9 + np.arange(n) * 10**6 for k, n in enumerate(counts)])
    chunk = TagChunk(stamps, np.ones(stamps.size, np.int32), 0, 4 * 10**9)
    rate = measure_background([chunk], {1}, "dark")[1]
    assert rate.Hz == 200_000.0
    mean_error = np.std(counts, ddof=1) / np.sqrt(4)
    assert rate.error_Hz == pytest.approx(1.20 * mean_error / 1e-3, abs=0.005 * mean_error / 1e-3)


def test_a_steady_record_shows_no_drift_and_a_fading_one_shows_how_much() -> None:
    steady = rate_record(bursts(0.0, 0.0, 10, 20_000.0, seed=3))
    assert steady.start_excess < 0.01
    assert abs(steady.level_error) < 0.002
    n = 50
    ramp = np.linspace(20_000, 10_000, n).astype(np.int64)
    fading = PairBlocks(10, 5, np.zeros((n, 4), np.uint64), ramp, ramp, np.full(n, 10**12, np.int64))
    record = rate_record(fading)
    relative = ramp / ramp.mean()
    assert record.start_excess == pytest.approx(relative.std(), rel=0.02)
    assert record.level_error == pytest.approx((relative**2).mean() - 1, rel=1e-9)
    np.testing.assert_allclose(record.start_Hz, ramp)


def test_a_peak_outside_the_window_is_refused() -> None:
    blocks = bursts(0.1, 1000, 1, 0.0, seed=1)
    with pytest.raises(ValueError, match="does not fit"):
        burst_brightness(blocks, 200_000)


def test_errors_from_few_blocks_of_unequal_length_hold_what_they_say() -> None:
    """Poisson pairs in 20 blocks, one five times as long as the others, drawn 4000 times."""
    live = np.r_[np.full(19, 10**12), 5 * 10**12]
    tags = 1000 * live // 10**12
    generator = np.random.Generator(np.random.PCG64(5))
    inside = np.array([True, False])
    wanted, held, n = 200.0 * tags.sum() / 1000, 0, 4000
    for counts in generator.poisson(0.2 * tags, (n, len(tags))):
        pairs = np.stack([counts, counts], 1).astype(np.uint64)
        error = pair_ratio_error(PairBlocks(5, 5, pairs, tags, tags, live), inside, wanted)
        held += abs(counts.sum() / wanted - 1.0) < error
    # 68.27 % within 3.5 standard errors of a share from 4000 draws; without Student's t 66.7.
    assert held / n == pytest.approx(0.6827, abs=0.026)
