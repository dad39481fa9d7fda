"""Log-spaced lags of a stored record in one pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np

from drivers.time_tagger.base import TagChunk
from labctl.errors import InputError
from labctl.photons.correlator import Pair
from labctl.photons.log_lags import LogCorrelator, LogG2, good_crossover_ps
from labctl.photons.reanalysis import Correlated

_LOOK_AHEAD_TAGS = 100_000


def correlate_log(
    chunks: Iterable[TagChunk],
    pair: Pair,
    longest_ps: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[tuple[LogG2, LogG2], Correlated]:
    """Correlate a record over log-spaced lags.

    The crossover from exact counting to coarse bins follows from the count rate of the first tags.

    Args:
        chunks: The record.
        pair: Channels.
        longest_ps: Longest lag; lags beyond the record have no expectation (g2 is NaN there).
        progress: Called with the number of tags read so far.

    Raises:
        InputError: Stamps run backwards, or an auto-correlation with a delay.
    """
    stream = iter(chunks)
    head: list[TagChunk] = []
    for chunk in stream:
        head.append(chunk)
        if sum(len(part.timestamps_ps) for part in head) >= _LOOK_AHEAD_TAGS:
            break
    seen = Correlated()
    try:
        correlator = LogCorrelator(
            pair, longest_ps=longest_ps, exact_below_ps=min(good_crossover_ps(_rate(head, pair)), longest_ps)
        )
        for chunk in itertools.chain(head, stream):
            correlator.push(chunk)
            seen.tags += len(chunk.timestamps_ps)
            for channel in (pair.start_channel, pair.stop_channel):
                found = int(np.count_nonzero(chunk.channels == channel))
                seen.tags_by_channel[channel] = seen.tags_by_channel.get(channel, 0) + found
            if progress is not None:
                progress(seen.tags)
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(str(error)) from error
    return correlator.result(), seen


def _rate(head: list[TagChunk], pair: Pair) -> float:
    """Mean rate per channel of the pair in the first chunks, in Hz."""
    tags = sum(int(np.isin(c.channels, (pair.start_channel, pair.stop_channel)).sum()) for c in head)
    seconds = sum(c.end_ps - c.begin_ps for c in head) * 1e-12
    share = 1 if pair.same_channel else 2
    return tags / share / seconds if seconds > 0 else 0.0
