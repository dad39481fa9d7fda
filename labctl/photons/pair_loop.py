"""The compiled loop that counts pairs of tags in the merged stream, branch-free where the work is.

Every pair is counted when its later tag arrives, so a histogram is complete at any time and a record
may be cut anywhere. Each new tag looks back to the tag before it, then to the second before it, and so
on. As long as most tags find one within reach, a round goes over all of them, in steps that the compiler
makes into vector instructions; then only the tags whose next one is still within reach stay in a list.
All tests are arithmetic: mispredicted branches, not memory, bound a plain two-pointer loop. What must
not be counted goes to slots behind the histogram. Unsigned indices spare the wrap-around test of each
access; slices, not sums of indices, let the compiler see that a loop runs along an array.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.photons.compiled import compiled, i64, u32, u64
from labctl.photons.dense_loop import TRASH

TILE = 8192
"""Tags handled at a time: their slots stay in the second-level cache."""


def division_factor(limit: int, divisor: int) -> tuple[int, int]:
    """Give (factor, shift) with ``x // divisor == (x * factor) >> shift`` for all ``0 <= x < limit``.

    A zero factor means that no exact one fits into 63 bits and the loop must divide; any other is below
    2^32, and so is ``limit``. (Granlund and Montgomery, "Division by invariant integers using
    multiplication", PLDI 1994.)
    """
    bits = max(limit - 1, 1).bit_length()
    shift = bits + max(divisor - 1, 1).bit_length()
    factor = -(-(1 << shift) // divisor)
    if factor.bit_length() + bits > 63:
        return 0, 0
    return factor, shift


@compiled
def in_order(timestamps: NDArray[np.int64], first: int, last: int) -> bool:
    """Say whether the time stamps ``first:last`` never go backwards."""
    bad = 0
    for i in range(u64(first + 1), u64(last)):
        bad += i64(timestamps[i] < timestamps[i - u64(1)])
    return bad == 0


@compiled
def tally(channels: NDArray[np.int32], first: int, last: int, start: int, stop: int) -> tuple[int, int]:
    """Count the tags ``first:last`` of two channels."""
    starts = stops = 0
    some = channels[first:last]
    one, other = np.int32(start), np.int32(stop)
    for k in range(len(some)):
        starts += some[k] == one
        stops += some[k] == other
    return starts, stops


@compiled
def count_pairs(
    stamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    first: int,
    last: int,
    start: int,
    stop: int,
    mirrored: bool,
    reach: int,
    offset: int,
    span: int,
    bin_ps: int,
    factor: int,
    shift: int,
    rounds: int,
    survivors: NDArray[np.uint32],
    slots: NDArray[np.uint32],
    histogram: NDArray[np.uint64],
) -> None:
    """Count the pairs of each new tag ``first:last`` with earlier ones.

    A pair of a start and a stop d apart goes to bin ``(d + offset) // bin_ps`` if the stop is the later one,
    to ``(offset - d) // bin_ps`` if the start is, where that delay lies in ``[0, span)``. With one channel
    for both the later tag is the stop, or in a ``mirrored`` count the start. The first ``rounds`` rounds go
    over all tags. ``stamps[0]`` must be out of reach; more than ``rounds + 1`` entries stand before the
    first new one.
    """
    multiplier, down, wide = u64(u32(factor)), u64(shift), u64(span)
    trash = u32(len(histogram) - TRASH)
    one = u64(1)
    for begin in range(first, last, TILE):
        end = min(begin + TILE, last)
        n = u64(end - begin)
        now, role = stamps[begin:end], channels[begin:end]
        for back in range(1, rounds + 1):
            then, other = stamps[begin - back : end - back], channels[begin - back : end - back]
            for k in range(n):
                a, b = role[k], other[k]
                d = now[k] - then[k]
                place = offset + (d if (a == stop) != mirrored else -d)
                pair = ((a == stop) & (b == start)) | ((a == start) & (b == stop))
                slot = u32((u64(u32(place)) * multiplier) >> down)
                slots[k] = slot if pair & (u64(place) < wide) else trash + u32(k & u64(TRASH - 1))
            for k in range(n):
                histogram[u64(slots[k])] += one
        back = u64(rounds + 1)
        alive = u64(0)
        then = stamps[begin - rounds - 1 : end - rounds - 1]
        for k in range(n):
            survivors[alive] = u32(k)
            alive += u64(now[k] - then[k] <= reach)
        at = u64(begin)
        while alive > 0:
            still = u64(0)
            counted = u64(0)
            for q in range(alive):
                k = u64(survivors[q])
                i = at + k
                j = i - back
                a, b = channels[i], channels[j]
                d = stamps[i] - stamps[j]
                place = offset + (d if (a == stop) != mirrored else -d)
                pair = ((a == stop) & (b == start)) | ((a == start) & (b == stop))
                # Two loops in one: the compiler takes the test of the factor out.
                if factor != 0:
                    slots[counted] = u32((u64(u32(place)) * multiplier) >> down)
                else:
                    slots[counted] = u32(u64(place) // u64(bin_ps))
                counted += u64(pair & (u64(place) < wide))
                survivors[still] = u32(k)
                still += u64(stamps[i] - stamps[j - one] <= reach)
            for q in range(counted):
                histogram[u64(slots[q])] += one
            alive = still
            back += one
