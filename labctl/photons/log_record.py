"""Log-spaced lags of stored records, each in one pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from drivers.time_tagger.base import TagChunk
from labctl.errors import InputError
from labctl.photons.correlator import Pair
from labctl.photons.log_lags import LogCorrelator, LogG2, good_crossover_ps
from labctl.photons.reanalysis import Correlated

_LOOK_AHEAD_TAGS = 100_000
_MOST_TAGS_WITHIN_DELAY = 1000.0
"""Every tag meets all tags within the delay: more of them make the exact count hopelessly slow."""


Record = tuple[Callable[[], Iterable[TagChunk]], Callable[[int], None]]
"""Starts a reading of a record; is told the number of tags read so far."""


def correlate_log(
    records: Sequence[Record], pairs: Sequence[Pair], longest_ps: int
) -> tuple[list[tuple[LogG2, LogG2]], Correlated]:
    """Correlate records over log-spaced lags and add them, pair by pair.

    The crossover from exact counting to coarse bins follows from the count rate of the first record's first
    tags; the others take the same, so that their lags agree.

    Args:
        records: Records of equal settings, each read once.
        pairs: Channels.
        longest_ps: Longest lag; lags beyond the record have no expectation (g2 is NaN there).

    Returns:
        For each pair (lags >= 0, lags < 0), and the tags of the pairs' channels.

    Raises:
        InputError: Stamps run backwards, an auto-correlation with a delay, or a delay that holds more than
            1000 tags of a channel.
    """
    seen = Correlated()
    crossovers: list[int] = []
    sums: list[tuple[LogG2, LogG2]] = []
    for read, progress in records:
        stream = iter(read())
        head: list[TagChunk] = []
        for chunk in stream:
            head.append(chunk)
            if sum(len(part.timestamps_ps) for part in head) >= _LOOK_AHEAD_TAGS:
                break
        for pair in pairs:
            _refuse_hopeless_delay(pair, _rate(head, pair))
        crossovers = crossovers or [min(good_crossover_ps(_rate(head, pair)), longest_ps) for pair in pairs]
        try:
            found = _one_record(itertools.chain(head, stream), pairs, longest_ps, crossovers, seen, progress)
        except ValueError as error:
            raise error if isinstance(error, InputError) else InputError(str(error)) from error
        sums = [_added(*both) for both in zip(sums, found, strict=True)] if sums else found
    return sums, seen


def _one_record(
    chunks: Iterable[TagChunk],
    pairs: Sequence[Pair],
    longest_ps: int,
    crossovers: Sequence[int],
    seen: Correlated,
    progress: Callable[[int], None],
) -> list[tuple[LogG2, LogG2]]:
    correlators = [
        LogCorrelator(pair, longest_ps=longest_ps, exact_below_ps=crossover)
        for pair, crossover in zip(pairs, crossovers, strict=True)
    ]
    wanted = sorted({channel for pair in pairs for channel in (pair.start_channel, pair.stop_channel)})
    before = seen.tags
    for chunk in chunks:
        for correlator in correlators:
            correlator.push(chunk)
        seen.tags += len(chunk.timestamps_ps)
        for channel in wanted:
            found = int(np.count_nonzero(chunk.channels == channel))
            seen.tags_by_channel[channel] = seen.tags_by_channel.get(channel, 0) + found
        progress(seen.tags - before)
    return [correlator.result() for correlator in correlators]


def _refuse_hopeless_delay(pair: Pair, rate_per_s: float) -> None:
    within = abs(pair.stop_delay_ps) * 1e-12 * rate_per_s
    if within > _MOST_TAGS_WITHIN_DELAY:
        most = _MOST_TAGS_WITHIN_DELAY / rate_per_s * 1e12
        raise InputError(
            f"channels {pair.start_channel},{pair.stop_channel}: a delay of {pair.stop_delay_ps} ps is too "
            f"long for log-spaced lags: it holds {within:.4g} tags of a channel; up to {most:.2g} ps can be "
            "counted at this rate"
        )


def _added(mine: tuple[LogG2, LogG2], other: tuple[LogG2, LogG2]) -> tuple[LogG2, LogG2]:
    """Sum of pairs over sum of expectations, lag by lag."""
    first, second = (
        replace(a, pairs=a.pairs + b.pairs, expected=a.expected + b.expected)
        for a, b in zip(mine, other, strict=True)
    )
    return first, second


def _rate(head: list[TagChunk], pair: Pair) -> float:
    """Mean rate per channel of the pair in the first chunks, in Hz."""
    tags = sum(int(np.isin(c.channels, (pair.start_channel, pair.stop_channel)).sum()) for c in head)
    seconds = sum(c.end_ps - c.begin_ps for c in head) * 1e-12
    share = 1 if pair.same_channel else 2
    return tags / share / seconds if seconds > 0 else 0.0
