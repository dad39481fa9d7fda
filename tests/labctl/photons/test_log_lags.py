"""Log-spaced lags: exact counts below the crossover, products of coarse bins above, both by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.time_tagger.base import Gap, TagChunk
from labctl.photons.correlator import Pair
from labctl.photons.log_lags import LogCorrelator, LogG2, log_edges


def cut(stamps: np.ndarray, channels: np.ndarray, end: int, cuts: list[int]) -> list[TagChunk]:
    edges = [0, *sorted({c for c in cuts if 0 < c < end}), end]
    chunks = []
    for k in range(len(edges) - 1):
        low, high = np.searchsorted(stamps, edges[k : k + 2])
        chunks.append(TagChunk(stamps[low:high], channels[low:high], edges[k], edges[k + 1]))
    return chunks


def exact_by_hand(
    starts: np.ndarray, stops: np.ndarray, delay: int, part: LogG2, sign: int, same: bool
) -> np.ndarray:
    lags = stops[None, :] + delay - starts[:, None]
    if same:
        lags = lags[~np.eye(len(starts), dtype=bool)]
    lags = lags[lags >= 0] if sign > 0 else -lags[lags < 0]
    return np.array(
        [
            np.count_nonzero((lags >= low) & (lags < high))
            for low, high in zip(part.lag_low_ps[part.exact], part.lag_high_ps[part.exact], strict=True)
        ]
    )


def dense_by_hand(
    starts: np.ndarray, stops: np.ndarray, delay: int, end: int, part: LogG2, sign: int
) -> tuple[np.ndarray, np.ndarray]:
    """Products of coarse bins, level by level, and the product of the mean rates in the same bins."""
    pairs, expected = [], []
    for low, high in zip(part.lag_low_ps[~part.exact], part.lag_high_ps[~part.exact], strict=True):
        width = (int(high) - int(low) + 1) // 2
        apart = int(low - 1) // width + 1
        first = -(-max(0, delay) // width)
        last = min(end, end + delay) // width
        a, b = (
            np.array([np.count_nonzero((t // width) == k) for k in range(first, max(last, first))])
            for t in (starts, stops + delay)
        )
        if sign < 0:
            a, b = b, a
        n = len(a) - apart
        pairs.append(int(a[:n] @ b[apart:]) if n > 0 else 0)
        expected.append(a[:n].sum() * b[apart:].sum() / n if n > 0 else 0.0)
    return np.array(pairs), np.array(expected)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 120),
    end=st.integers(1, 4000),
    cuts=st.lists(st.integers(1, 4000), max_size=5),
    delay=st.integers(-90, 90),
    same=st.booleans(),
)
def test_pairs_equal_brute_force_at_every_lag(
    seed: int, n: int, end: int, cuts: list[int], delay: int, same: bool
) -> None:
    generator = np.random.Generator(np.random.PCG64(seed))
    stamps = np.sort(generator.integers(0, end, n)).astype(np.int64)
    channels = generator.choice(np.array([1, 2, 3], np.int32), n)
    pair = Pair(1, 1) if same else Pair(1, 2, delay)
    correlator = LogCorrelator(pair, longest_ps=2048, exact_below_ps=64)
    for chunk in cut(stamps, channels, end, cuts):
        correlator.push(chunk)
    starts, stops = stamps[channels == 1], stamps[channels == pair.stop_channel]
    for part, sign in zip(correlator.result(), (1, -1), strict=True):
        np.testing.assert_array_equal(
            part.pairs[part.exact], exact_by_hand(starts, stops, pair.stop_delay_ps, part, sign, same)
        )
        pairs, expected = dense_by_hand(starts, stops, pair.stop_delay_ps, end, part, sign)
        np.testing.assert_array_equal(part.pairs[~part.exact], pairs)
        np.testing.assert_allclose(part.expected[~part.exact], expected)


def test_the_lags_cover_everything_from_zero_without_hole_or_overlap() -> None:
    low, high = log_edges(1 << 20)
    kept = high > low
    assert low[kept][0] == 0
    np.testing.assert_array_equal(high[kept][:-1], low[kept][1:])
    assert high[-1] == 1 << 20


def test_no_pair_or_product_reaches_across_a_gap() -> None:
    """Light that is on in a clock-like pattern before the gap only: nothing after it pairs with that."""
    stamps = np.concatenate([np.arange(0, 5000, 10), np.arange(9003, 14_000, 10)]).astype(np.int64)
    channels = np.where(stamps < 9000, 1, 2).astype(np.int32)
    correlator = LogCorrelator(Pair(1, 2), longest_ps=1 << 14, exact_below_ps=256)
    correlator.push(TagChunk(stamps, channels, 0, 14_000, (Gap(5000, 5000),)))
    for part in correlator.result():
        assert part.pairs.sum() == 0


def test_uncorrelated_light_gives_one_from_a_picosecond_to_four_tenths_of_the_record() -> None:
    """g2 = 1 at every scale, within 4 standard errors of counting or 0.1 %."""
    generator = np.random.Generator(np.random.PCG64(8))
    end = 2 * 10**10
    stamps = np.sort(generator.integers(0, end, 2_000_000)).astype(np.int64)
    channels = generator.choice(np.array([1, 2], np.int32), len(stamps))
    correlator = LogCorrelator(Pair(1, 2), longest_ps=8 * 10**9, exact_below_ps=1 << 16)
    for chunk in cut(stamps, channels, end, list(range(10**9, end, 10**9))):
        correlator.push(chunk)
    positive, negative = correlator.result()
    for low, high in ((10**2, 10**4), (10**4, 10**6), (10**6, 10**8), (10**8, 8 * 10**9)):
        mean = pairs_in(positive, low, high) + pairs_in(negative, low, high)
        wanted = expected_in(positive, low, high) + expected_in(negative, low, high)
        assert abs(mean / wanted - 1) < max(1e-3, 4 / np.sqrt(wanted))


def pairs_in(part: LogG2, low: int, high: int) -> float:
    return float(part.pairs[(part.lag_low_ps >= low) & (part.lag_high_ps <= high)].sum())


def expected_in(part: LogG2, low: int, high: int) -> float:
    return float(part.expected[(part.lag_low_ps >= low) & (part.lag_high_ps <= high)].sum())


def test_lags_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="must rise"):
        LogCorrelator(Pair(1, 2), longest_ps=100, exact_below_ps=1000)
    with pytest.raises(ValueError, match="takes no delay"):
        LogCorrelator(Pair(1, 1, 5))
