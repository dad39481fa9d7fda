"""Overflows, silent counters, jumps of the clock: what a record says of tags that it lost."""

from __future__ import annotations

import pytest

from drivers.errors import (
    FaultError,
)


def test_overflow_becomes_gaps_and_shows_in_the_status(bench):
    with bench.tagger() as tagger:
        stream = tagger.stream([1, 2], 6.0)
        chunks = [next(stream), next(stream)]
        bench.world.faults.set("tagger.overflow", duration_s=1.5)
        chunks += list(stream)
        status = tagger.status()
    gaps = [gap for chunk in chunks for gap in chunk.gaps]
    assert gaps
    dead_ps = sum(gap.end_ps - gap.begin_ps for gap in gaps)
    assert 1.0e12 <= dead_ps <= 3.0e12
    missed = sum(sum(gap.missed.values()) for gap in gaps)
    assert missed == pytest.approx(dead_ps * 1e-12 * 41_000, rel=0.1)
    for chunk in chunks:
        for gap in chunk.gaps:
            inside = (chunk.timestamps_ps >= gap.begin_ps) & (chunk.timestamps_ps < gap.end_ps)
            assert not inside.any()
    assert status.overflows == 1
    assert "1 overflow" in status.faults[0]
    # lost tags still count in the rate: 6 s at full rate
    assert status.rates_Hz[1] == pytest.approx(20_500, rel=0.05)


def test_rate_above_the_limit_ends_in_marked_gaps(bench):
    with bench.tagger() as tagger:
        stream = tagger.stream([1, 2], 10.0)
        chunks = [next(stream)]
        bench.world.faults.set("tagger.rate_limit")
        chunks += list(stream)
        assert tagger.status().overflows >= 2
    gaps = [gap for chunk in chunks for gap in chunk.gaps]
    delivered = sum(chunk.timestamps_ps.size for chunk in chunks[1:])
    # the poor link carries 5000 tags/s and its buffer holds 10 000
    assert delivered <= 5000 * 9.2 + 2 * 10_000
    assert sum(sum(gap.missed.values()) for gap in gaps) > 250_000


def test_dead_counter_ends_the_record_with_its_name(bench):
    with bench.tagger() as tagger:
        stream = tagger.stream([1, 2], 100.0)
        chunks = [next(stream), next(stream), next(stream)]
        bench.world.faults.set("tagger.counter_dead")
        with pytest.raises(FaultError, match=r"counter 'B' \(channel 2\) gave no pulse for 1\d(\.\d+)? s"):
            chunks.extend(stream)
        assert len(chunks) >= 12
        assert bench.clock.now() < 16


def test_dead_counter_is_found_over_several_short_records(bench):
    with bench.tagger() as tagger:
        bench.record(tagger, 4.0)
        bench.world.faults.set("tagger.counter_dead")
        bench.record(tagger, 4.0)
        bench.record(tagger, 4.0)
        with pytest.raises(
            FaultError, match=r"counter 'B' \(channel 2\) gave no pulse for 10 s of recording"
        ):
            bench.record(tagger, 4.0)
        with pytest.raises(FaultError, match="gave no pulse"):
            bench.record(tagger, 4.0)
        bench.world.faults.clear("tagger.counter_dead")
        bench.record(tagger, 4.0)
        bench.record(tagger, 12.0)


@pytest.mark.parametrize(
    ("jump_ps", "text"),
    [
        (-3_000_000_000_000, r"jumped by about -3 s, 2 s into"),
        (-400_000_000_000, r"jumped by about -0\.4 s, 2 s into"),
        (300_000_000_000, r"jumped by about \+0\.3 s, 2 s into"),
        (5_000_000_000_000, r"jumped by about \+5 s, 2 s into"),
    ],
)
def test_time_jump_ends_the_record_either_way(make_bench, jump_ps, text):
    bench = make_bench(time_jump_ps=jump_ps)
    with bench.tagger() as tagger:
        stream = tagger.stream([1, 2], 100.0)
        next(stream), next(stream)
        bench.world.faults.set("tagger.time_jump")
        with pytest.raises(FaultError, match=text):
            list(stream)


def test_full_buffer_is_a_gap(bench):
    with bench.tagger(buffer_tags=10_000) as tagger:
        chunks = bench.record(tagger, 2.0)
    for chunk in chunks:
        if chunk.timestamps_ps.size >= 10_000:
            assert chunk.gaps[-1].end_ps == chunk.end_ps
            assert chunk.gaps[-1].begin_ps == chunk.timestamps_ps[-1] + 1
    assert any(chunk.gaps for chunk in chunks)


def test_dead_counter_shows_in_the_status(bench):
    with bench.tagger() as tagger:
        bench.world.faults.set("tagger.counter_dead")
        for _ in range(9):
            bench.world.advance(1.0)
            assert tagger.status().faults == ()
        bench.world.advance(1.5)
        assert tagger.status().faults == ("counter 'B': no pulse for 10.5 s, not even dark counts",)
        bench.world.faults.clear("tagger.counter_dead")
        bench.world.advance(1.0)
        assert tagger.status().faults == ()


def test_rate_near_the_limit_of_the_model_shows_in_the_status(bench):
    with bench.tagger() as tagger:
        tagger.set_test_signal(True)
        bench.vendor._box.test_signal_divider = 15
        tagger.status()
        bench.world.advance(0.05)
        assert tagger.status().faults == ("8.33e+06 counts/s, the Time Tagger 20 transfers 8.5e+06 tags/s",)
