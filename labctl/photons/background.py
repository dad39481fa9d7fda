"""Dark counts and stray light: what they take from g2, and g2 of the signal alone.

Counts that are not correlated with anything dilute g2: with shares f_A and f_B of signal,

    g2 - 1 = f_A f_B (g2_signal - 1).

Where the rates drift, f_A f_B is the mean over the time blocks with the weights that g2 itself has,
rho = sum (r_A - b_A)(r_B - b_B) T / sum r_A r_B T.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import TagChunk
from labctl.errors import InputError
from labctl.fitting.student import reach, scatter_of_blocks
from labctl.photons.correlator import Pair
from labctl.photons.g2 import PairBlocks
from labctl.photons.reanalysis import Request, correlate


@dataclass(frozen=True)
class Rate:
    """A count rate with its standard error, in Hz."""

    Hz: float
    error_Hz: float = 0.0


@dataclass(frozen=True)
class SignalShare:
    """Share of the counts that is signal.

    Attributes:
        start, stop: (rate - background) / rate of each detector, mean over the record.
        start_error, stop_error: From the error of the background rate and from counting.
        both: rho, share of the accidental pairs that are pairs of two signal photons.
        both_error: Its standard error.
    """

    start: float
    stop: float
    start_error: float
    stop_error: float
    both: float
    both_error: float


def signal_share(blocks: PairBlocks, start: Rate, stop: Rate) -> SignalShare:
    """Share of the counts that is not background.

    Args:
        blocks: The record.
        start, stop: Background of each detector; for an auto-correlation the same one twice.

    Raises:
        ValueError: A background is negative, or not below the count rate.
    """
    live_s = blocks.duration_ps.astype(np.float64) * 1e-12
    shares, errors, rates = [], [], []
    for name, tags, background in (
        ("start", blocks.start_tags, start),
        ("stop", blocks.stop_tags, stop),
    ):
        total, seconds = float(tags.sum()), float(live_s.sum())
        rate = total / seconds if seconds else 0.0
        if not 0 <= background.Hz < rate:
            raise ValueError(
                f"background of {background.Hz:g} per s on the {name} channel must lie between 0 and its "
                f"count rate of {rate:g} per s"
            )
        shares.append(1 - background.Hz / rate)
        errors.append(math.hypot(background.error_Hz, background.Hz / math.sqrt(total)) / rate)
        rates.append(tags / np.maximum(live_s, 1e-15))
    a, b = rates
    weight = float((a * b * live_s).sum())
    both = float(((a - start.Hz) * (b - stop.Hz) * live_s).sum()) / weight
    # d rho / d b_A = -sum (r_B - b_B) T / weight; an auto-correlation has one background for both.
    by_start = float(((b - stop.Hz) * live_s).sum()) / weight * errors[0] * _mean(a, live_s)
    by_stop = float(((a - start.Hz) * live_s).sum()) / weight * errors[1] * _mean(b, live_s)
    error = by_start + by_stop if blocks.same_channel else math.hypot(by_start, by_stop)
    return SignalShare(shares[0], shares[1], errors[0], errors[1], both, error)


def _mean(rate: NDArray[np.float64], live_s: NDArray[np.float64]) -> float:
    return float((rate * live_s).sum() / live_s.sum())


def signal_g2(
    g2: NDArray[np.float64], g2_error: NDArray[np.float64], share: SignalShare
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """g2 of the signal alone, 1 + (g2 - 1) / rho.

    Args:
        g2: Measured, normalised to the total count rates, shape (n,).
        g2_error: Its standard error, shape (n,).
        share: Share of signal.

    Returns:
        g2 of the signal; its error from counting, independent from bin to bin; and its error from the
        background rates, which moves all bins together, each of shape (n,).
    """
    excess = (g2 - 1) / share.both
    return 1 + excess, g2_error / share.both, np.abs(excess) * share.both_error / share.both


def measure_background(chunks: Iterable[TagChunk], channels: set[int], what: str) -> dict[int, Rate]:
    """Count rates of a record with the light off.

    The error is the larger of counting and the scatter between time blocks, a 68.3 % interval by Student's t.

    Args:
        chunks: The record.
        channels: Channels wanted.
        what: Name of the record, for messages.

    Returns:
        Rate of each channel.

    Raises:
        InputError: A channel never fires there, or the record holds no live time.
    """
    wanted = sorted(channels)
    pairs = tuple(Pair(channel, channel) for channel in wanted)
    found = correlate(chunks, Request(pairs, 1000, 1000))
    rates = {}
    for channel, blocks in zip(wanted, found.blocks, strict=True):
        seconds, tags = float(blocks.duration_ps.sum()) * 1e-12, float(blocks.start_tags.sum())
        if not tags or not seconds:
            seen = ", ".join(map(str, sorted(found.tags_by_channel))) or "none"
            raise InputError(
                f"{what}: channel {channel} never fires in {seconds:.3g} s (channels that do: {seen}); a "
                "counter has dark counts, so this is the wrong channel or too short a record"
            )
        share = blocks.duration_ps / blocks.duration_ps.sum()
        variance = tags
        if np.count_nonzero(share) > 1:
            factor, dof = scatter_of_blocks(share)
            scatter = factor * float(((blocks.start_tags - tags * share) ** 2).sum())
            variance = max(tags, float(reach(dof)) ** 2 * scatter)
        rates[channel] = Rate(tags / seconds, math.sqrt(variance) / seconds)
    return rates
