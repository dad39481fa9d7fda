"""The streaming correlator against counting every pair by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from drivers.time_tagger.base import Gap, TagChunk
from labctl.photons.correlator import Correlator, Pair, PairCorrelator
from labctl.photons.pair_loop import division_factor


def count_by_hand(
    stamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    pair: Pair,
    window_ps: int,
    bin_ps: int,
    gaps: tuple[Gap, ...] = (),
) -> NDArray[np.uint64]:
    """Histogram of all pairs, one by one in Python's integers."""
    histogram = np.zeros(2 * window_ps // bin_ps, np.uint64)
    live = [i for i, t in enumerate(stamps) if not any(g.begin_ps <= t < g.end_ps for g in gaps)]
    for i in live:
        for j in live:
            if i == j or channels[i] != pair.start_channel or channels[j] != pair.stop_channel:
                continue
            low, high = sorted((int(stamps[i]), int(stamps[j])))
            if any(low < g.begin_ps <= high or low < g.end_ps <= high for g in gaps):
                continue
            delay = int(stamps[j]) + pair.stop_delay_ps - int(stamps[i])
            if -window_ps <= delay < window_ps:
                histogram[(delay + window_ps) // bin_ps] += 1
    return histogram


def cut(
    stamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    end_ps: int,
    cuts: list[int],
    gaps: tuple[Gap, ...] = (),
) -> list[TagChunk]:
    """Cut a record beginning at 0 into chunks at the given times; gaps go where they lie."""
    edges = [0, *sorted({c for c in cuts if 0 < c < end_ps}), end_ps]
    chunks = []
    for begin, end in itertools.pairwise(edges):
        low, high = np.searchsorted(stamps, (begin, end))
        inside = tuple(
            Gap(max(g.begin_ps, begin), min(g.end_ps, end))
            for g in gaps
            if (g.begin_ps < end and g.end_ps > begin) or begin <= g.begin_ps == g.end_ps < end
        )
        chunks.append(TagChunk(stamps[low:high], channels[low:high], begin, end, inside))
    return chunks


@st.composite
def records(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.int32], int]:
    end = draw(st.integers(1, 400))
    stamps = np.sort(np.array(draw(st.lists(st.integers(0, end - 1), max_size=60)), np.int64))
    numbers = st.lists(st.sampled_from([-2, 1, 5]), min_size=len(stamps), max_size=len(stamps))
    return stamps, np.array(draw(numbers), np.int32), end


@st.composite
def gaps(draw: st.DrawFn) -> tuple[Gap, ...]:
    edges = sorted(draw(st.lists(st.integers(1, 399), max_size=4)))
    return tuple(Gap(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False))


@settings(max_examples=150, deadline=None)
@given(
    record=records(),
    cuts=st.lists(st.integers(0, 400), max_size=5),
    bins=st.integers(1, 30),
    bin_ps=st.integers(1, 7),
    delay=st.integers(-150, 150),
    holes=gaps(),
)
def test_every_bin_equals_brute_force_for_any_chunks_delay_and_gaps(
    record: tuple[NDArray[np.int64], NDArray[np.int32], int],
    cuts: list[int],
    bins: int,
    bin_ps: int,
    delay: int,
    holes: tuple[Gap, ...],
) -> None:
    stamps, channels, end = record
    window = bins * bin_ps
    pairs = [Pair(1, -2, delay), Pair(-2, 1), Pair(1, 1), Pair(5, 5, delay), Pair(-2, 5)]
    correlator = Correlator(pairs, window_ps=window, bin_ps=bin_ps)
    for number, chunk in enumerate(cut(stamps, channels, end, cuts, holes)):
        correlator.push(chunk)
        if number % 2:
            correlator.end_block()
    live = sum(1 for t in range(end) if not any(g.begin_ps <= t < g.end_ps for g in holes))
    for index, pair in enumerate(pairs):
        blocks = correlator.blocks(index)
        by_hand = count_by_hand(stamps, channels, pair, window, bin_ps, holes)
        np.testing.assert_array_equal(blocks.total(), by_hand)
        assert int(blocks.duration_ps.sum()) == live


@settings(max_examples=60, deadline=None)
@given(
    end=st.integers(1, 300),
    cuts=st.lists(st.integers(0, 300), max_size=6),
    window=st.integers(1, 120),
    holes=gaps(),
    delay=st.integers(-50, 50),
)
def test_the_exposure_is_the_number_of_pairs_of_an_always_firing_clock(
    end: int, cuts: list[int], window: int, holes: tuple[Gap, ...], delay: int
) -> None:
    """With one tag of each channel at every ps, the pairs at lag tau count the time it could be seen."""
    stamps = np.repeat(np.arange(end, dtype=np.int64), 2)
    channels = np.tile(np.array([1, 2], np.int32), end)
    correlator = PairCorrelator(1, 2, window_ps=window, bin_ps=1, stop_delay_ps=delay)
    for number, chunk in enumerate(cut(stamps, channels, end, cuts, holes)):
        correlator.push(chunk)
        if number % 3 == 1:
            correlator.end_block()
    blocks = correlator.blocks()
    if blocks.duration_ps.sum() == 0:
        return
    # One tag per ps and channel: N N / T^2 = 1 in every block, so the expectation is the exposure.
    np.testing.assert_allclose(blocks.expected(), blocks.total().astype(float), atol=1e-9)


def count_by_search(
    stamps: NDArray[np.int64], channels: NDArray[np.int32], pair: Pair, window_ps: int, bin_ps: int
) -> NDArray[np.int64]:
    """Histogram of all pairs; the stops of each start's window are looked up one start at a time."""
    starts = stamps[channels == pair.start_channel]
    stops = stamps[channels == pair.stop_channel] + pair.stop_delay_ps
    delays = [
        stops[np.searchsorted(stops, start - window_ps) : np.searchsorted(stops, start + window_ps)] - start
        for start in starts
    ]
    places = (np.concatenate([*delays, np.empty(0, np.int64)]) + window_ps) // bin_ps
    histogram = np.bincount(places, minlength=2 * window_ps // bin_ps)
    if pair.same_channel and -window_ps <= pair.stop_delay_ps < window_ps:
        histogram[(pair.stop_delay_ps + window_ps) // bin_ps] -= len(starts)  # each tag with itself
    return histogram


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    tags=st.integers(60, 2500),
    within_reach=st.sampled_from([0.05, 0.4, 1.0, 3.0, 6.0, 9.0, 40.0]),
    crowded=st.booleans(),
    bins=st.integers(1, 60),
    bin_ps=st.sampled_from([1, 7, 16, 100, 10**8]),
    delay=st.integers(-4000, 4000),
    chunks=st.integers(1, 40),
)
def test_every_bin_is_right_however_crowded_the_window_is(
    seed: int, tags: int, within_reach: float, crowded: bool, bins: int, bin_ps: int, delay: int, chunks: int
) -> None:
    """Few and many partners, evenly and in bursts: there is a loop for each."""
    generator = np.random.Generator(np.random.PCG64(seed))
    window = bins * bin_ps
    end = max(int(window * tags / within_reach), 10)
    stamps = generator.integers(0, end, tags)
    if crowded:
        stamps = np.minimum(stamps // 20 * 20 + generator.integers(0, max(bin_ps, 2), tags), end - 1)
    stamps = np.sort(stamps).astype(np.int64)
    channels = generator.choice(np.array([-2, 1, 5], np.int32), tags, p=[0.4, 0.5, 0.1])
    pairs = [Pair(1, -2), Pair(-2, 1, delay), Pair(1, 1, delay // 100)]
    correlator = Correlator(pairs, window_ps=window, bin_ps=bin_ps)
    for chunk in cut(stamps, channels, end, list(generator.integers(0, end, chunks))):
        correlator.push(chunk)
    for index, pair in enumerate(pairs):
        by_search = count_by_search(stamps, channels, pair, window, bin_ps)
        np.testing.assert_array_equal(correlator.blocks(index).total().astype(np.int64), by_search)


def test_a_dense_record_larger_than_the_inner_buffers_is_exact() -> None:
    generator = np.random.Generator(np.random.PCG64(11))
    stamps = np.sort(generator.integers(0, 3_000_000, 40_000)).astype(np.int64)
    channels = generator.choice(np.array([3, 4], np.int32), 40_000)
    correlator = PairCorrelator(3, 4, window_ps=5000, bin_ps=20)
    for chunk in cut(stamps, channels, 3_000_000, [10, 1_000_000, 1_000_500]):
        correlator.push(chunk)
    expected = count_by_search(stamps, channels, Pair(3, 4), 5000, 20)
    np.testing.assert_array_equal(correlator.blocks().total(), expected)


def test_priming_with_the_tags_before_makes_seams_exact() -> None:
    generator = np.random.Generator(np.random.PCG64(5))
    stamps = np.sort(generator.integers(0, 100_000, 3000)).astype(np.int64)
    channels = generator.choice(np.array([1, 2], np.int32), 3000)
    whole = PairCorrelator(1, 2, window_ps=700, bin_ps=7)
    whole.push(TagChunk(stamps, channels, 0, 100_000))
    total = np.zeros(200, np.uint64)
    for begin, end in ((0, 40_001), (40_001, 40_002), (40_002, 100_000)):
        part = Correlator([Pair(1, 2)], window_ps=700, bin_ps=7)
        before = slice(*np.searchsorted(stamps, (begin - part.reach_ps, begin)))
        if begin:
            part.prime(stamps[before], channels[before], begin)
        inside = slice(*np.searchsorted(stamps, (begin, end)))
        part.push(TagChunk(stamps[inside], channels[inside], begin, end))
        total += part.blocks().total()
    np.testing.assert_array_equal(total, whole.blocks().total())


@pytest.mark.parametrize("origin", [-(2**63) + 10_000, -5, 2**63 - 1001])
def test_stamps_at_the_ends_of_the_64_bit_range_are_exact(origin: int) -> None:
    stamps = np.array([origin, origin + 7, origin + 900], np.int64)
    correlator = PairCorrelator(1, 2, window_ps=1000, bin_ps=1)
    correlator.push(TagChunk(stamps, np.array([1, 2, 1], np.int32), origin, origin + 1000))
    assert np.flatnonzero(correlator.blocks().total()).tolist() == [1000 - 893, 1007]


def test_a_window_longer_than_the_record_gives_its_pairs_and_a_falling_expectation() -> None:
    correlator = PairCorrelator(1, 2, window_ps=1000, bin_ps=100)
    correlator.push(TagChunk(np.array([5, 60], np.int64), np.array([1, 2], np.int32), 0, 100))
    blocks = correlator.blocks()
    assert int(blocks.total().sum()) == 1
    assert blocks.expected()[0] == 0
    assert np.isnan(blocks.g2()[0])


def test_a_wide_window_with_coarse_bins_divides_exactly() -> None:
    window = 50_000_000_000
    correlator = PairCorrelator(1, 2, window_ps=window, bin_ps=1_000_000)
    stamps = np.array([0, 999_999, 1_000_000, 7_000_000_001], np.int64)
    correlator.push(TagChunk(stamps, np.array([1, 2, 2, 2], np.int32), 0, 10**11))
    assert (np.flatnonzero(correlator.blocks().total()) - 50_000).tolist() == [0, 1, 7000]


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 2**40), st.integers(1, 2**22), st.data())
def test_the_multiplication_divides_exactly_or_is_refused(
    limit: int, divisor: int, data: st.DataObject
) -> None:
    factor, shift = division_factor(limit, divisor)
    if factor == 0:
        assert limit > 2**30
        return
    for x in (0, limit - 1, data.draw(st.integers(0, limit - 1)), (limit - 1) // divisor * divisor):
        for y in (x, max(x - 1, 0)):
            assert y * factor < 2**63
            assert (y * factor) >> shift == y // divisor


BAD_CHUNKS = {
    "backwards": (
        TagChunk(np.array([5, 4]), np.array([1, 2], np.int32), 0, 10),
        "backwards: 4 ps comes after 5",
    ),
    "outside": (TagChunk(np.array([5, 10]), np.array([1, 2], np.int32), 0, 10), "outside their stretch"),
    "lengths": (TagChunk(np.array([5]), np.array([1, 2], np.int32), 0, 10), "1 time stamps but 2 channels"),
    "inverted": (TagChunk(np.array([], np.int64), np.array([], np.int32), 10, 0), "before it begins"),
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_chunk_that_breaks_its_promise_is_refused(name: str) -> None:
    chunk, message = BAD_CHUNKS[name]
    with pytest.raises(ValueError, match=message):
        PairCorrelator(1, 2, window_ps=10, bin_ps=1).push(chunk)


def test_a_stretch_that_begins_before_the_last_one_ended_is_refused() -> None:
    correlator = PairCorrelator(1, 2, window_ps=10, bin_ps=1)
    empty = np.array([], np.int64), np.array([], np.int32)
    correlator.push(TagChunk(*empty, 0, 100))
    with pytest.raises(ValueError, match="before the last one ended at 100 ps"):
        correlator.push(TagChunk(*empty, 99, 200))


def test_bins_that_do_not_fill_the_window_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fill"):
        PairCorrelator(1, 2, window_ps=100, bin_ps=7)
    with pytest.raises(ValueError, match="positive"):
        PairCorrelator(1, 2, window_ps=100, bin_ps=0)
    with pytest.raises(ValueError, match="twice"):
        Correlator([Pair(1, 2), Pair(1, 2)], window_ps=100, bin_ps=10)
