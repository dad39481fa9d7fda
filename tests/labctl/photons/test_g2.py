"""Normalisation and errors of g2 against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.time_tagger.base import TagChunk
from labctl.photons.correlator import PairCorrelator
from labctl.photons.g2 import PairBlocks


def blocks(pairs: list[list[int]], starts: list[int], stops: list[int], durations: list[int]) -> PairBlocks:
    return PairBlocks(
        10,
        5,
        np.array(pairs, np.uint64),
        np.array(starts, np.int64),
        np.array(stops, np.int64),
        np.array(durations, np.int64),
    )


def test_bin_centres_are_the_means_of_the_delays_that_a_bin_holds() -> None:
    # Bins [-10, -5), [-5, 0), [0, 5), [5, 10) hold the whole delays -10..-6, -5..-1, 0..4, 5..9.
    np.testing.assert_allclose(blocks([[0, 0, 0, 0]], [1], [1], [100]).lag_ps, [-8, -3, 2, 7])


def test_the_expectation_is_the_product_of_rates_times_the_time_that_a_lag_leaves() -> None:
    one = blocks([[1, 1, 1, 1]], [40], [30], [1000])
    wanted = [40 * 30 * 5 * (1000 - abs(lag)) / 1000**2 for lag in (-8, -3, 2, 7)]
    np.testing.assert_allclose(one.expected(), wanted)


def test_blocks_of_different_rates_are_combined_as_a_ratio_of_sums() -> None:
    """A drifting source: normalising by the mean rate would give g2 = 1.8 here."""
    bright, dim = 1000, 500
    expected_bright = blocks([[0] * 4], [bright], [bright], [10**6]).expected()
    expected_dim = blocks([[0] * 4], [dim], [dim], [10**6]).expected()
    drifting = blocks([[0] * 4] * 2, [bright, dim], [bright, dim], [10**6] * 2)
    np.testing.assert_allclose(drifting.expected(), expected_bright + expected_dim)


def test_the_far_level_divides_out_slow_fluctuations() -> None:
    blinking = blocks([[30, 6, 30, 30]], [40], [30], [10**6])
    far = blinking.g2("far level", beyond_ps=6)
    assert far[1] == pytest.approx(6 / 30, rel=1e-4)
    assert blinking.g2()[1] == pytest.approx(6 / (40 * 30 * 5 / 10**6), rel=1e-4)
    assert blinking.far_level(6) == pytest.approx(30 / (40 * 30 * 5 / 10**6), rel=1e-4)


def test_the_error_is_that_of_counting_and_an_empty_bin_has_that_of_one_count() -> None:
    one = blocks([[0, 16, 1, 4]], [100], [100], [10**6])
    per_pair = 1 / one.expected()
    np.testing.assert_allclose(one.g2_error(), per_pair * [1, 4, 1, 2])


def test_an_auto_correlation_expects_no_pair_of_a_tag_with_itself() -> None:
    auto = PairBlocks(
        10, 5, np.zeros((1, 4), np.uint64), np.array([3]), np.array([3]), np.array([10**9]), same_channel=True
    )
    assert auto.expected()[1] == pytest.approx(3 * 2 * 5 / 10**9, rel=1e-6)


def test_nothing_expected_gives_nan_not_a_number() -> None:
    assert np.isnan(blocks([[0, 0, 0, 0]], [5], [0], [1000]).g2()).all()
    with pytest.raises(ValueError, match="no far level"):
        blocks([[0, 0, 0, 0]], [5], [0], [1000]).far_level()


def test_records_are_put_behind_each_other_and_blocks_can_be_chosen() -> None:
    first = blocks([[1, 2, 3, 4], [5, 6, 7, 8]], [10, 20], [30, 40], [100, 200])
    second = blocks([[9, 9, 9, 9]], [50], [60], [300])
    both = PairBlocks.concatenate(first, second)
    assert both.total().tolist() == [15, 17, 19, 21]
    np.testing.assert_allclose(both.expected(), first.expected() + second.expected())
    np.testing.assert_allclose(both.select([2]).expected(), second.expected())
    np.testing.assert_allclose(both.select([2, 0]).total(), [10, 11, 12, 13])


def test_records_of_different_settings_are_not_added() -> None:
    other = PairBlocks(20, 10, np.zeros((1, 4), np.uint64), np.array([1]), np.array([1]), np.array([9]))
    with pytest.raises(ValueError, match="window_ps is 10 in one, 20 in another"):
        PairBlocks.concatenate(blocks([[0] * 4], [1], [1], [9]), other)


def test_uncorrelated_light_has_g2_of_one_up_to_four_tenths_of_the_record() -> None:
    """Mean over 600 records, near and far lags alike (without T - |tau| the far ones miss 30 %)."""
    generator = np.random.Generator(np.random.PCG64(12))
    length, window = 10**9, 4 * 10**8
    pairs, expected = np.zeros(80), np.zeros(80)
    for _ in range(600):
        stamps = np.sort(generator.integers(0, length, generator.poisson(1000))).astype(np.int64)
        channels = generator.choice(np.array([1, 2], np.int32), len(stamps))
        correlator = PairCorrelator(1, 2, window_ps=window, bin_ps=10**7)
        correlator.push(TagChunk(stamps, channels, 0, length))
        found = correlator.blocks()
        pairs += found.total()
        expected += found.expected()
    lag = np.abs(found.lag_ps)
    for low, high in ((0, 10**8), (10**8, 2 * 10**8), (2 * 10**8, 3 * 10**8), (3 * 10**8, 4 * 10**8)):
        inside = (lag >= low) & (lag < high)
        assert pairs[inside].sum() / expected[inside].sum() == pytest.approx(1, abs=2.5e-3)
