"""Buffers of any cut to chunks: no time and no tag is lost or made up."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import FaultError, InstrumentTimeoutError
from drivers.time_tagger.base import Gap
from drivers.time_tagger.record import LATE_PS, Record

MS = 1_000_000_000


def buffer(stamps, get_data_ps, channel=1):
    stamps = np.asarray(stamps, dtype=np.int64)
    n = stamps.size
    return SimpleNamespace(
        getTimestamps=lambda: stamps,
        getChannels=lambda: np.full(n, channel, dtype=np.int32),
        getEventTypes=lambda: np.zeros(n, dtype=np.uint8),
        getMissedEvents=lambda: np.zeros(n, dtype=np.uint16),
        size=n,
        tGetData=get_data_ps,
    )


def make(duration_ps, *, begin_ps=0, silence_s=0.0, buffer_tags=1000, read_timeout_s=5.0):
    return Record(
        "tagger",
        {1: "A"},
        begin_ps=begin_ps,
        duration_ps=duration_ps,
        began_s=100.0,
        buffer_tags=buffer_tags,
        read_timeout_s=read_timeout_s,
        silence_s=silence_s,
    )


@settings(max_examples=200, deadline=None)
@given(
    begin_ps=st.integers(0, 10**17),
    steps_ps=st.lists(st.integers(0, 40), max_size=12),
    share=st.floats(0.1, 1.0),
    ahead_ps=st.integers(0, 5),
    seed=st.integers(0, 2**32),
)
def test_chunks_of_any_buffers_hold_each_tag_once(begin_ps, steps_ps, share, ahead_ps, seed):
    total_ps = sum(steps_ps) + 1
    duration_ps = max(1, int(share * total_ps))
    record = make(duration_ps, begin_ps=begin_ps)
    stamps = begin_ps + np.sort(np.random.default_rng(seed).integers(0, total_ps, 50))
    chunks, given_tags, at_ps = [], 0, begin_ps
    for step_ps in [*steps_ps, 1]:
        at_ps += step_ps
        # a buffer may hold tags that are a little later than the time it tells
        upto = int(np.searchsorted(stamps, at_ps + ahead_ps))
        chunks += record.take(buffer(stamps[given_tags:upto], at_ps), 100.0 + (at_ps - begin_ps) * 1e-12)
        given_tags = upto
    assert chunks[0].begin_ps == begin_ps
    assert chunks[-1].end_ps == begin_ps + duration_ps
    assert sum(chunk.end_ps - chunk.begin_ps for chunk in chunks) == duration_ps
    assert record.left_ps == 0
    got = np.concatenate([chunk.timestamps_ps for chunk in chunks])
    assert np.array_equal(got, stamps[stamps < begin_ps + duration_ps])
    for chunk in chunks:
        assert np.all((chunk.timestamps_ps >= chunk.begin_ps) & (chunk.timestamps_ps < chunk.end_ps))
        assert chunk.gaps == ()


def test_late_tag_is_counted_as_lost():
    record = make(10 * MS)
    list(record.take(buffer([1, 2], 5 * MS), 100.005))
    (chunk,) = record.take(buffer([5 * MS - 7, 6 * MS], 8 * MS), 100.008)
    assert chunk.timestamps_ps.tolist() == [6 * MS]
    assert chunk.gaps == (Gap(5 * MS, 5 * MS, {1: 1}),)


def test_tag_from_long_before_is_a_clock_set_back():
    record = make(10 * MS)
    list(record.take(buffer([], 5 * MS), 100.005))
    with pytest.raises(FaultError, match="time jumped"):
        list(record.take(buffer([5 * MS - LATE_PS - 1], 8 * MS), 100.008))


def test_times_out_of_order_are_a_clock_set_back():
    with pytest.raises(FaultError, match="time jumped"):
        list(make(10 * MS).take(buffer([7, 3], 5 * MS), 100.005))


def test_full_buffer_marks_the_rest_of_its_stretch():
    record = make(10 * MS, buffer_tags=3)
    (chunk,) = record.take(buffer([10, 20, 30], 5 * MS), 100.005)
    assert chunk.gaps == (Gap(31, 5 * MS, {}),)


def test_standing_time_is_waited_for_and_then_an_error():
    record = make(10 * MS, read_timeout_s=2.0)
    list(record.take(buffer([1], 5 * MS), 100.005))
    assert list(record.take(buffer([], 5 * MS), 101.9)) == []
    with pytest.raises(InstrumentTimeoutError, match="stands still for 2"):
        list(record.take(buffer([], 5 * MS), 102.1))


def test_silence_is_told_after_the_chunk_is_given():
    record = make(30 * 1000 * MS, silence_s=10.0)
    assert len(list(record.take(buffer([5], 9_000 * MS), 109.0))) == 1
    chunks = record.take(buffer([], 11_000 * MS), 111.0)
    assert next(chunks).end_ps == 11_000 * MS
    with pytest.raises(FaultError, match=r"counter 'A' \(channel 1\) gave no pulse for 11 s"):
        next(chunks)
