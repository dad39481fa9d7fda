"""What is said to stand out, for made light of which it is known."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.time_tagger.base import TagChunk
from labctl.photons.correlator import Pair
from labctl.photons.features import find_feature
from labctl.photons.g2 import PairBlocks
from labctl.photons.reanalysis import Request, correlate
from labctl.photons.summary import summarise

PAIR = Pair(1, 2)


def histogram(
    starts: np.ndarray,
    stops: np.ndarray,
    end_ps: int,
    window_ps: int,
    bin_ps: int,
    block_ps: int | None = None,
) -> PairBlocks:
    stamps = np.concatenate([starts, stops]).astype(np.int64)
    channels = np.repeat(np.array([1, 2], np.int32), [len(starts), len(stops)])
    order = np.argsort(stamps, kind="stable")
    chunk = TagChunk(stamps[order], channels[order], 0, end_ps)
    return correlate([chunk], Request((PAIR,), window_ps, bin_ps, block_ps=block_ps)).blocks[0]


@pytest.mark.parametrize("range_ns", [100, 400, 500, 700, 1000, 1500, 2000])
def test_uncorrelated_light_shows_nothing_however_short_the_record(range_ns: int) -> None:
    # 1 us of light with a thousand tags on each channel: the raw pairs fall as a triangle to 0 at 1 us.
    for seed in range(8):
        generator = np.random.Generator(np.random.PCG64(seed))
        starts, stops = generator.integers(0, 10**6, (2, 1000))
        blocks = histogram(starts, stops, 10**6, range_ns * 1000, 10_000)
        feature = find_feature(blocks)
        assert feature is not None
        assert (feature.kind, feature.comb) == ("none", None)
        lines = summarise(PAIR, blocks, feature)[0]
        assert lines[-1] == "no dip or peak above the counting noise"


def test_the_pulses_of_a_short_record_are_found_and_no_dip_towards_its_end() -> None:
    # Pulses every 50 ns for 2 us, the window longer than that; 20 photons per pulse on each channel.
    generator = np.random.Generator(np.random.PCG64(3))
    pulse = np.repeat(np.arange(40) * 50_000 + 25_000, 20)
    starts, stops = (pulse + generator.normal(0, 300, len(pulse)) for _ in range(2))
    feature = find_feature(histogram(starts, stops, 2 * 10**6, 2_500_000, 1000))
    assert feature is not None
    assert feature.comb is not None
    assert feature.kind == "none"
    assert feature.comb.period_ps == pytest.approx(50_000, abs=50)
    # Lags up to 0.9 of the record are seen.
    assert np.abs(feature.comb.delay_ps).max() < 1_800_000


def test_the_same_stamps_on_both_channels_peak_at_zero_and_nothing_is_said_of_a_far_level() -> None:
    stamps = np.arange(20_000) * 500_000_000
    blocks = histogram(stamps, stamps, 10**13, 10_000, 1000)
    feature = find_feature(blocks)
    assert feature is not None
    # The bin [0, 1000) ps has its centre at 499.5 ps.
    assert (feature.kind, feature.delay_ps, feature.pairs) == ("peak", 499.5, 20_000)
    lines, fields, _ = summarise(PAIR, blocks, feature)
    assert not any("far level" in line or "against" in line for line in lines)
    assert fields["feature"]["g2_far_level"] is None
    assert fields["far_level"] is None


def test_a_brightness_without_an_error_is_not_given() -> None:
    # Exactly one pair in each of 25 equal blocks: the blocks do not scatter, which says nothing of the error.
    at = np.arange(25) * 10**9 + 5 * 10**8
    blocks = histogram(at, at, 25 * 10**9, 10_000, 100, block_ps=10**9)
    feature = find_feature(blocks)
    assert feature is not None
    assert feature.kind == "peak"
    lines, fields, _ = summarise(PAIR, blocks, feature)
    assert fields["photons_per_burst"] is None
    assert lines[-1].startswith("photons per burst: not known")
