"""The compiled loops that count pairs of tags, branch-free where the work is.

Every pair is counted when its later tag arrives, so a histogram is complete at any time and a
record may be cut anywhere. Tags are sorted into one list per channel; with each tag goes the
place where it stands in the other list. Then each new tag looks back to the nearest earlier tag of
the other channel, then to the second nearest, and so on; after each round only the tags whose next
partner is still within reach stay in the list. All tests are arithmetic: mispredicted branches, not
memory, bound a plain two-pointer loop. Unsigned indices spare the wrap-around test of each access.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.photons.compiled import compiled, i64, u64

TRASH = 64
"""Slots after the histogram that take what must not be counted (spread, so that no slot is a bottleneck)."""

_ROUNDS = 6
"""After so many partners the rest of a dense neighbourhood is cheaper in one go."""


def division_factor(limit: int, divisor: int) -> tuple[int, int]:
    """Give (factor, shift) with ``x // divisor == (x * factor) >> shift`` for all ``0 <= x < limit``.

    A zero factor means that no exact one fits into 63 bits and the loop must divide. (Granlund and
    Montgomery, "Division by invariant integers using multiplication", PLDI 1994.)
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
def split_two(
    timestamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    first: int,
    last: int,
    one: int,
    two: int,
    ones: NDArray[np.int64],
    twos_before: NDArray[np.uint32],
    n_ones: int,
    twos: NDArray[np.int64],
    ones_before: NDArray[np.uint32],
    n_twos: int,
) -> tuple[int, int]:
    """Append the tags ``first:last`` of two channels to their lists; give the new lengths.

    ``twos_before[i]`` becomes the length of the other list when tag ``ones[i]`` came, and vice versa.
    """
    filled_ones, filled_twos = u64(n_ones), u64(n_twos)
    for i in range(u64(first), u64(last)):
        stamp, channel = timestamps[i], channels[i]
        ones[filled_ones] = stamp
        twos_before[filled_ones] = filled_twos
        twos[filled_twos] = stamp
        ones_before[filled_twos] = filled_ones
        filled_ones += u64(channel == one)
        filled_twos += u64(channel == two)
    return filled_ones, filled_twos


@compiled
def split_one(
    timestamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    first: int,
    last: int,
    one: int,
    ones: NDArray[np.int64],
    ones_before: NDArray[np.uint32],
    n_ones: int,
) -> int:
    """Append the tags ``first:last`` of one channel to its list; give the new length."""
    filled = u64(n_ones)
    for i in range(u64(first), u64(last)):
        ones[filled] = timestamps[i]
        ones_before[filled] = filled
        filled += u64(channels[i] == one)
    return int(filled)


@compiled
def count_pairs(
    later: NDArray[np.int64],
    before: NDArray[np.uint32],
    first: int,
    last: int,
    earlier: NDArray[np.int64],
    reach: int,
    sign: int,
    offset: int,
    span: int,
    bin_ps: int,
    factor: int,
    shift: int,
    survivors: NDArray[np.uint32],
    slots: NDArray[np.uint32],
    histogram: NDArray[np.uint64],
) -> None:
    """Count the pairs of each new tag ``later[first:last]`` with the tags ``earlier[:before]``.

    A pair at distance d goes to bin ``(sign * d + offset) // bin_ps`` if that delay lies in
    ``[0, span)``. ``earlier[0]`` must be out of everybody's reach.
    """
    one = u64(1)
    wide, multiplier, down = u64(span), u64(factor), u64(shift)
    trash = u64(len(histogram) - TRASH)
    alive = u64(0)
    for i in range(u64(first), u64(last)):
        survivors[alive] = i
        alive += u64(later[i] - earlier[u64(before[i]) - one] <= reach)
    back = one
    while alive > 0 and back <= _ROUNDS:
        still = u64(0)
        for q in range(alive):
            i = u64(survivors[q])
            j = u64(before[i]) - back
            stamp = later[i]
            place = u64(offset + sign * (stamp - earlier[j]))
            slot = (place * multiplier) >> down if factor != 0 else place // u64(bin_ps)
            slots[q] = slot if place < wide else trash + (q & u64(TRASH - 1))
            survivors[still] = i
            still += u64(stamp - earlier[j - one] <= reach)
        for q in range(alive):
            histogram[u64(slots[q])] += one
        alive = still
        back += one
    for q in range(alive):
        i = u64(survivors[q])
        stamp = later[i]
        nearest = u64(before[i]) - back
        farthest = nearest
        while stamp - earlier[farthest] <= reach:
            farthest -= one
        for j in range(farthest + one, nearest + one):
            place = u64(offset + sign * (stamp - earlier[j]))
            slot = (place * multiplier) >> down if factor != 0 else place // u64(bin_ps)
            histogram[slot if place < wide else trash + (j & u64(TRASH - 1))] += one


@compiled
def keep_reachable(stamps: NDArray[np.int64], filled: int, now: int, reach: int) -> int:
    """Move the tags that a tag at ``now`` or later can still reach to the front; give the new length."""
    one = u64(1)
    end = u64(filled)
    start = end
    while start > one and now - stamps[start - one] <= reach:
        start -= one
    for i in range(end - start):
        stamps[one + i] = stamps[start + i]
    return int(one + end - start)
