"""Vendor's events to tags and gaps: each kind of mark, and any order of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.time_tagger.base import Gap
from drivers.time_tagger.marks import (
    ERROR,
    MISSED_EVENTS,
    OVERFLOW_BEGIN,
    OVERFLOW_END,
    TIME_TAG,
    Events,
    cut_stretch,
    merged,
)


def events(*rows: tuple[int, int, int, int]) -> Events:
    """Rows of (time, channel, type, missed)."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return Events(
        np.array(columns[0], dtype=np.int64),
        np.array(columns[1], dtype=np.int32),
        np.array(columns[2], dtype=np.uint8),
        np.array(columns[3], dtype=np.uint16),
    )


def test_plain_tags_pass_and_the_stretch_is_half_open():
    chunk, open_ = cut_stretch(events((10, 1, 0, 0), (15, -2, 0, 0), (20, 1, 0, 0)), 10, 20)
    assert chunk.timestamps_ps.tolist() == [10, 15]
    assert chunk.channels.tolist() == [1, -2]
    assert (chunk.begin_ps, chunk.end_ps, chunk.gaps, open_) == (10, 20, (), False)
    assert chunk.timestamps_ps.dtype == np.int64
    assert chunk.channels.dtype == np.int32


def test_overflow_becomes_a_gap_with_its_counts_by_channel():
    chunk, open_ = cut_stretch(
        events(
            (5, 1, TIME_TAG, 0),
            (10, 0, OVERFLOW_BEGIN, 0),
            (18, 1, MISSED_EVENTS, 65535),
            (18, 1, MISSED_EVENTS, 3),
            (18, 2, MISSED_EVENTS, 7),
            (20, 0, OVERFLOW_END, 0),
            (25, 2, TIME_TAG, 0),
        ),
        0,
        30,
    )
    assert chunk.timestamps_ps.tolist() == [5, 25]
    assert chunk.gaps == (Gap(10, 20, {1: 65538, 2: 7}),)
    assert not open_


def test_overflow_goes_on_in_the_next_stretch():
    first, open_ = cut_stretch(events((10, 0, OVERFLOW_BEGIN, 0), (15, 1, MISSED_EVENTS, 4)), 0, 30)
    assert open_
    assert first.gaps == (Gap(10, 30, {1: 4}),)
    second, open_ = cut_stretch(events((33, 1, MISSED_EVENTS, 2)), 30, 40, overflowing=True)
    assert open_
    assert second.gaps == (Gap(30, 40, {1: 2}),)
    third, open_ = cut_stretch(
        events((44, 0, OVERFLOW_END, 0), (45, 1, TIME_TAG, 0)), 40, 50, overflowing=True
    )
    assert not open_
    assert third.gaps == (Gap(40, 44, {}),)


def test_end_without_a_begin_closes_what_was_open_since_the_last_good_mark():
    chunk, _ = cut_stretch(events((7, 0, OVERFLOW_END, 0), (9, 1, TIME_TAG, 0)), 0, 10)
    assert chunk.gaps == (Gap(0, 7, {}),)


def test_error_mark_and_unknown_marks_spoil_the_time_before_them():
    for kind in (ERROR, 77):
        chunk, _ = cut_stretch(events((3, 1, TIME_TAG, 0), (6, 0, kind, 0), (8, 1, TIME_TAG, 0)), 0, 10)
        assert chunk.gaps == (Gap(0, 7, {}),)


def test_gaps_that_touch_become_one_and_empty_ones_go():
    gaps = [Gap(5, 8, {1: 2}), Gap(0, 5, {1: 1, 2: 1}), Gap(9, 9), Gap(20, 20, {1: 5}), Gap(30, 40)]
    assert merged(gaps) == (Gap(0, 8, {1: 3, 2: 1}), Gap(20, 20, {1: 5}), Gap(30, 40))


ROW = st.tuples(
    st.integers(0, 200),
    st.sampled_from([1, 2, -1]),
    st.sampled_from([0, 0, 0, 1, 2, 3, 4, 9]),
    st.integers(0, 99),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ROW, max_size=40), st.integers(0, 200), st.booleans())
def test_any_marks_give_a_chunk_that_keeps_its_promises(rows, cut, overflowing):
    rows.sort(key=lambda row: row[0])
    whole = events(*rows)
    first, open_ = cut_stretch(whole, 0, cut, overflowing=overflowing)
    second, end_open = cut_stretch(whole, cut, 201, overflowing=open_)
    missed = 0
    for chunk in (first, second):
        assert np.all(np.diff(chunk.timestamps_ps) >= 0)
        assert np.all((chunk.timestamps_ps >= chunk.begin_ps) & (chunk.timestamps_ps < chunk.end_ps))
        ends = [edge for gap in chunk.gaps for edge in (gap.begin_ps, gap.end_ps)]
        assert ends == sorted(ends)
        assert all(chunk.begin_ps <= edge <= chunk.end_ps for edge in ends)
        missed += sum(sum(gap.missed.values()) for gap in chunk.gaps)
    # nothing is lost and nothing is counted twice, wherever the stretches are cut
    assert first.timestamps_ps.size + second.timestamps_ps.size == sum(row[2] == TIME_TAG for row in rows)
    assert missed == sum(row[3] for row in rows if row[2] == MISSED_EVENTS)
    if end_open:
        assert second.gaps[-1].end_ps == 201


@pytest.mark.parametrize("overflowing", [True, False])
def test_empty_stretch(overflowing):
    chunk, open_ = cut_stretch(events(), 5, 9, overflowing=overflowing)
    assert chunk.gaps == ((Gap(5, 9, {}),) if overflowing else ())
    assert open_ is overflowing


def test_a_hundred_thousand_arbitrary_buffers_do_no_harm():
    """Any bytes as times, channels, types and counts: no exception, no tag or lost event made up."""
    generator = np.random.default_rng(20)
    n_cases, longest = 100_000, 6
    sizes = generator.integers(0, longest + 1, n_cases)
    stamps = np.sort(generator.integers(-50, 250, (n_cases, longest)), axis=1)
    channels = generator.integers(-(2**31), 2**31, (n_cases, longest), dtype=np.int64).astype(np.int32)
    types = generator.integers(0, 256, (n_cases, longest)).astype(np.uint8)
    few = generator.random((n_cases, longest)) < 0.9
    types[few] = generator.integers(0, 5, int(few.sum())).astype(np.uint8)
    missed = generator.integers(0, 2**16, (n_cases, longest)).astype(np.uint16)
    for i, n in enumerate(sizes):
        chunk, _ = cut_stretch(Events(stamps[i, :n], channels[i, :n], types[i, :n], missed[i, :n]), 0, 200)
        inside = (stamps[i, :n] >= 0) & (stamps[i, :n] < 200)
        assert chunk.timestamps_ps.size == np.count_nonzero(inside & (types[i, :n] == TIME_TAG))
        lost = inside & (types[i, :n] == MISSED_EVENTS)
        assert sum(sum(gap.missed.values()) for gap in chunk.gaps) == int(missed[i, :n][lost].sum())
        if n and not (inside & (types[i, :n] != TIME_TAG)).any():
            assert chunk.gaps == ()
