"""Detector faults put into made tags are found with the size they were given."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.time_tagger.base import TagChunk
from labctl.photons.correlator import Pair
from labctl.photons.diagnosis import check_uncorrelated, measure_dead_time, measure_response
from labctl.photons.g2 import PairBlocks
from labctl.photons.reanalysis import Request, correlate

SECOND = 10**12


def correlated(
    tags: dict[int, np.ndarray], seconds: float, pair: Pair, window: int, bin_ps: int
) -> PairBlocks:
    stamps = np.concatenate(list(tags.values())).astype(np.int64)
    channels = np.concatenate([np.full(len(t), channel, np.int32) for channel, t in tags.items()])
    order = np.argsort(stamps, kind="stable")
    stamps, channels = stamps[order], channels[order]
    kept = (stamps >= 0) & (stamps < seconds * SECOND)
    chunk = TagChunk(stamps[kept], channels[kept], 0, int(seconds * SECOND))
    return correlate([chunk], Request((pair,), window, bin_ps)).blocks[0]


def steady(generator: np.random.Generator, rate_Hz: float, seconds: float) -> np.ndarray:
    return np.sort(generator.random(generator.poisson(rate_Hz * seconds)) * seconds * SECOND)


def with_dead_time(stamps: np.ndarray, dead_ps: float) -> np.ndarray:
    kept, last = [], -np.inf
    for stamp in stamps:
        if stamp - last >= dead_ps:
            kept.append(stamp)
            last = stamp
    return np.array(kept)


def test_the_response_to_a_short_pulse_gives_delay_and_width() -> None:
    generator = np.random.Generator(np.random.PCG64(1))
    pulses = np.arange(0, 2 * SECOND, 12_500_000, dtype=float)
    first = pulses[generator.random(len(pulses)) < 0.4]
    second = pulses[generator.random(len(pulses)) < 0.4]
    tags = {
        1: first + generator.normal(0, 30, len(first)),
        2: second + 1234.5 + generator.normal(0, 40, len(second)),
    }
    found = measure_response(correlated(tags, 2, Pair(1, 2), 100_000, 10))
    # Stamps are cut to whole ps on both channels, which cancels.
    assert found.delay_ps == pytest.approx(1234.5, abs=4 * found.delay_error_ps)
    assert found.delay_error_ps == pytest.approx(50 / np.sqrt(found.pairs), rel=0.1)
    assert found.sigma_ps == pytest.approx(50, abs=4 * found.sigma_error_ps)
    assert found.sigma_error_ps == pytest.approx(50 / np.sqrt(2 * found.pairs), rel=0.15)
    assert found.fwhm_ps == pytest.approx(2.355 * 50, rel=0.1)


def test_a_calibrated_delay_brings_the_pulse_to_zero() -> None:
    generator = np.random.Generator(np.random.PCG64(2))
    pulses = np.arange(0, SECOND, 12_500_000, dtype=float)
    tags = {1: pulses, 2: pulses - 7000 + generator.normal(0, 40, len(pulses))}
    raw = measure_response(correlated(tags, 1, Pair(1, 2), 50_000, 20))
    shifted = Pair(1, 2, -round(raw.delay_ps))
    assert abs(measure_response(correlated(tags, 1, shifted, 50_000, 20)).delay_ps) < 1


def test_no_pulse_is_said_so() -> None:
    generator = np.random.Generator(np.random.PCG64(3))
    tags = {1: steady(generator, 1000, 1), 2: steady(generator, 1000, 1)}
    with pytest.raises(ValueError, match="no peak"):
        measure_response(correlated(tags, 1, Pair(1, 2), 10_000, 100))


def test_dead_time_and_after_pulses_are_read_off_the_auto_correlation() -> None:
    """1 % after-pulses with a 30 ns tail behind 77 ns of dead time."""
    generator = np.random.Generator(np.random.PCG64(4))
    light = steady(generator, 200_000, 3)
    after = light[generator.random(len(light)) < 0.01]
    tags = {
        1: with_dead_time(
            np.sort(np.concatenate([light, after + 77_000 + generator.exponential(30_000, len(after))])),
            77_000,
        )
    }
    found = measure_dead_time(correlated(tags, 3, Pair(1, 1), 1_000_000, 500))
    assert found.dead_ps == pytest.approx(77_000, abs=501)
    assert found.after_pulses == pytest.approx(0.01, abs=4 * found.after_pulses_error + 0.001)
    assert found.after_pulses_error < 0.002


def test_a_detector_without_dead_time_shows_none() -> None:
    generator = np.random.Generator(np.random.PCG64(5))
    found = measure_dead_time(correlated({1: steady(generator, 200_000, 2)}, 2, Pair(1, 1), 1_000_000, 500))
    assert found.dead_ps == 0
    assert abs(found.after_pulses) < 4 * found.after_pulses_error


def test_cross_talk_is_found_at_its_delay_with_its_probability() -> None:
    generator = np.random.Generator(np.random.PCG64(6))
    a, b = steady(generator, 300_000, 4), steady(generator, 300_000, 4)
    flashes = a[generator.random(len(a)) < 2e-3] + 5000
    tags = {1: a, 2: np.sort(np.concatenate([b, flashes + generator.normal(0, 200, len(flashes))]))}
    found = check_uncorrelated(correlated(tags, 4, Pair(1, 2), 100_000, 100))
    (talk,) = found.cross_talk
    assert talk.delay_ps == pytest.approx(5000, abs=60)
    assert talk.per_count == pytest.approx(2e-3, abs=4 * talk.per_count_error)
    assert found.level == pytest.approx(1, abs=4 * found.level_error)


def test_clean_light_shows_nothing_and_unequal_bins_show_their_spread() -> None:
    generator = np.random.Generator(np.random.PCG64(7))
    clean = correlated(
        {1: steady(generator, 4e5, 3), 2: steady(generator, 4e5, 3)}, 3, Pair(1, 2), 100_000, 100
    )
    found = check_uncorrelated(clean)
    assert found.cross_talk == ()
    assert found.chi2_per_bin == pytest.approx(1, abs=0.2)
    widths = 1 + 0.05 * generator.standard_normal(clean.n_bins)
    uneven = PairBlocks(
        clean.window_ps,
        clean.bin_ps,
        generator.poisson(2000 * widths)[None, :].astype(np.uint64),
        np.array([clean.start_tags.sum()]),
        np.array([clean.stop_tags.sum()]),
        np.array([int(clean.start_tags.sum()) * int(clean.stop_tags.sum()) * 100 // 2000]),
    )
    assert check_uncorrelated(uneven).bin_width_rms == pytest.approx(0.05, rel=0.1)


def test_light_that_is_correlated_itself_is_no_light_to_judge_detectors_by() -> None:
    generator = np.random.Generator(np.random.PCG64(8))
    pulsed = {
        channel: np.sort(
            generator.integers(0, 80_000_000, 100_000) * 12_500 + generator.normal(0, 300, 100_000)
        )
        for channel in (1, 2)
    }
    with pytest.raises(ValueError, match=r"pulsed \(period 12\.5.* ns\): this record cannot show"):
        check_uncorrelated(correlated(pulsed, 1, Pair(1, 2), 160_000, 100))
    # On for a quarter of the time, 1 ms of 4: g2 is 4 at delays of up to microseconds.
    blinking = {
        channel: np.sort(generator.integers(0, 250, 100_000) * 4e9 + generator.random(100_000) * 1e9)
        for channel in (1, 2)
    }
    with pytest.raises(ValueError, match=r"g2 is (3\.9|4).* outside all peaks"):
        check_uncorrelated(correlated(blinking, 1, Pair(1, 2), 160_000, 100))


def test_too_little_to_judge_is_said_so() -> None:
    few = {1: np.array([1e9, 2e9]), 2: np.array([1.5e9])}
    with pytest.raises(ValueError, match="too few"):
        check_uncorrelated(correlated(few, 1, Pair(1, 2), 1000, 10))
    with pytest.raises(ValueError, match="too few"):
        measure_dead_time(correlated(few, 1, Pair(1, 1), 1000, 10))
    with pytest.raises(ValueError, match="auto-correlation"):
        measure_dead_time(correlated(few, 1, Pair(1, 2), 1000, 10))
