"""Re-analysis on several threads, in blocks and time ranges, against the plain correlator."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.time_tagger.base import Gap, TagChunk
from labctl.errors import InputError
from labctl.photons import reanalysis
from labctl.photons.correlator import Correlator, Pair, PairCorrelator
from labctl.photons.reanalysis import Request, add_records, correlate

PAIRS = (Pair(1, 2, 3), Pair(1, 1), Pair(2, 3))


def record(seed: int, n: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.Generator(np.random.PCG64(seed))
    stamps = np.sort(generator.integers(0, end, n)).astype(np.int64)
    return stamps, generator.choice(np.array([1, 2, 3], np.int32), n)


def chunks(
    stamps: np.ndarray, channels: np.ndarray, edges: list[int], gaps: tuple[Gap, ...] = ()
) -> list[TagChunk]:
    parts = []
    for begin, end in itertools.pairwise(edges):
        low, high = np.searchsorted(stamps, (begin, end))
        inside = tuple(
            Gap(max(g.begin_ps, begin), min(g.end_ps, end))
            for g in gaps
            if (g.begin_ps < end and g.end_ps > begin) or begin <= g.begin_ps == g.end_ps < end
        )
        parts.append(TagChunk(stamps[low:high], channels[low:high], begin, end, inside))
    return parts


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(1, 2999), max_size=6),
    holes=st.lists(st.integers(1, 2999), max_size=4),
    block=st.one_of(st.none(), st.integers(1, 700)),
    size=st.integers(1, 60),
    first_block=st.integers(1, 40),
    workers=st.integers(1, 3),
)
def test_any_number_of_threads_slices_and_blocks_gives_the_same_whole_numbers(
    seed: int, cuts: list[int], holes: list[int], block: int | None, size: int, first_block: int, workers: int
) -> None:
    stamps, channels = record(seed, 150, 3000)
    edges = [0, *sorted(set(cuts)), 3000]
    holes = sorted(holes)
    gaps = tuple(Gap(a, b) for a, b in zip(holes[::2], holes[1::2], strict=False))
    plain = Correlator(PAIRS, window_ps=120, bin_ps=8)
    for chunk in chunks(stamps, channels, edges, gaps):
        plain.push(chunk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reanalysis, "_SLICE_TAGS", size)
        patch.setattr(reanalysis, "_FIRST_BLOCK_PS", first_block)
        patch.setattr(reanalysis, "_MOST_BLOCKS", 8)
        found = correlate(
            chunks(stamps, channels, edges, gaps), Request(PAIRS, 120, 8, block_ps=block, workers=workers)
        )
    assert found.tags == 150
    for index in range(len(PAIRS)):
        ours, theirs = found.blocks[index], plain.blocks(index)
        np.testing.assert_array_equal(ours.total(), theirs.total())
        assert ours.start_tags.sum() == theirs.start_tags.sum()
        assert ours.stop_tags.sum() == theirs.stop_tags.sum()
        assert ours.duration_ps.sum() == theirs.duration_ps.sum()
        if block is None:
            assert ours.n_blocks <= 8
        else:
            assert ours.duration_ps.max() <= block


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(1, 399), max_size=4), holes=st.lists(st.integers(1, 399), max_size=4))
def test_joined_blocks_keep_their_exposure(cuts: list[int], holes: list[int]) -> None:
    """With a tag of each channel at every ps the pairs of a block are its exposure."""
    stamps = np.repeat(np.arange(400, dtype=np.int64), 2)
    channels = np.tile(np.array([1, 2], np.int32), 400)
    holes = sorted(holes)
    gaps = tuple(Gap(a, b) for a, b in zip(holes[::2], holes[1::2], strict=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reanalysis, "_FIRST_BLOCK_PS", 5)
        patch.setattr(reanalysis, "_MOST_BLOCKS", 4)
        found = correlate(
            chunks(stamps, channels, [0, *sorted(set(cuts)), 400], gaps), Request((Pair(1, 2),), 90, 1)
        )
    (blocks,) = found.blocks
    if blocks.duration_ps.sum():
        np.testing.assert_allclose(blocks.expected(), blocks.total().astype(float), atol=1e-9)
    for number in range(blocks.n_blocks):
        one = blocks.select([number])
        np.testing.assert_allclose(one.expected(), one.total().astype(float), atol=1e-9)


def test_a_hole_between_slices_lets_no_pair_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reanalysis, "_SLICE_TAGS", 1)
    parts = [
        TagChunk(np.array([5]), np.array([1], np.int32), 0, 10),
        TagChunk(np.array([12]), np.array([2], np.int32), 11, 20),
        TagChunk(np.array([21]), np.array([1], np.int32), 20, 30),
    ]
    found = correlate(parts, Request((Pair(1, 2),), 100, 1))
    assert np.flatnonzero(found.blocks[0].total()).tolist() == [100 - 9]


def test_a_range_of_time_counts_only_what_lies_in_it() -> None:
    stamps, channels = record(4, 600, 3000)
    inside = (stamps >= 500) & (stamps < 2100)
    plain = PairCorrelator(1, 2, window_ps=100, bin_ps=5)
    plain.push(TagChunk(stamps[inside], channels[inside], 500, 2100))
    found = correlate(
        chunks(stamps, channels, [0, 499, 1000, 3000]),
        Request((Pair(1, 2),), 100, 5, begin_ps=500, end_ps=2100),
    )
    np.testing.assert_array_equal(found.blocks[0].total(), plain.blocks().total())
    np.testing.assert_allclose(found.blocks[0].expected().sum(), plain.blocks().expected().sum(), rtol=0.2)
    assert int(found.blocks[0].duration_ps.sum()) == 1600


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(InputError, match="no part of the record"):
        correlate(
            [TagChunk(np.array([5]), np.array([1], np.int32), 0, 10)], Request(PAIRS, 8, 8, begin_ps=50)
        )


def test_too_many_blocks_are_refused_before_memory_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reanalysis, "_MOST_BYTES", 10_000)
    stamps, channels = record(1, 100, 10_000)
    with pytest.raises(InputError, match="take longer blocks"):
        correlate([TagChunk(stamps, channels, 0, 10_000)], Request(PAIRS, 120, 8, block_ps=10))


def test_wrong_data_becomes_a_clear_error() -> None:
    bad = TagChunk(np.array([5, 4]), np.array([1, 2], np.int32), 0, 10)
    with pytest.raises(InputError, match="backwards"):
        correlate([bad], Request(PAIRS, 120, 8))


def test_two_records_are_added_block_behind_block() -> None:
    one, two = (
        correlate(chunks(*record(seed, 300, 3000), [0, 3000]), Request(PAIRS, 120, 8, block_ps=1000))
        for seed in (1, 2)
    )
    both = add_records([one, two])
    assert both.blocks[0].n_blocks == 6
    np.testing.assert_array_equal(both.blocks[1].total(), one.blocks[1].total() + two.blocks[1].total())
    assert both.tags_by_channel[1] == one.tags_by_channel[1] + two.tags_by_channel[1]
    other = correlate(chunks(*record(1, 300, 3000), [0, 3000]), Request(PAIRS, 128, 8))
    with pytest.raises(InputError, match="window_ps is 120 in one, 128 in another"):
        add_records([one, other])


def test_progress_tells_the_tags_read() -> None:
    seen: list[int] = []
    correlate(chunks(*record(1, 300, 3000), [0, 1000, 3000]), Request(PAIRS, 120, 8), seen.append)
    assert seen[-1] == 300
    assert len(seen) == 2
