"""The compiled loops that count pairs of tags, branch-free where the work is.

Every pair is counted when its later tag arrives, so a histogram is complete at any time and a
record may be cut anywhere. Tags come sorted into one list per channel (`pair_lists`). Each new tag
looks back to the nearest earlier tag of the other channel, then to the second nearest, and so on;
after each round only the tags whose next partner is still within reach stay in the list. All tests
are arithmetic: mispredicted branches, not memory, bound a plain two-pointer loop, unless tags are so
dense that many pairs share a misprediction. Unsigned indices spare the wrap-around test of each access.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.photons.compiled import compiled, i64, u64
from labctl.photons.pair_lists import reachable

TRASH = 64
"""Slots after the histogram that take what must not be counted (spread, so that no slot is a bottleneck)."""


_DENSE = 5
"""From so many partners per tag on, a plain loop is faster than rounds."""


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
    # Unless the delay is longer than the window, what is within reach is within the histogram.
    inside = factor != 0 and 0 <= offset < span and 0 <= offset + sign * reach < span
    if inside and _is_dense(later, before, first, last, earlier, reach):
        _count_dense(later, before, first, last, earlier, reach, sign, offset, multiplier, down, histogram)
        return
    alive = u64(reachable(later, before, first, last, earlier, reach, survivors))
    back = one
    while alive > 0:
        still = u64(0)
        for q in range(alive):
            i = u64(survivors[q])
            j = u64(before[i]) - back
            stamp = later[i]
            place = u64(offset + sign * (stamp - earlier[j]))
            # Two loops in one: the compiler takes the test of ``inside`` out.
            if inside:
                slots[q] = (place * multiplier) >> down
            else:
                slot = (place * multiplier) >> down if factor != 0 else place // u64(bin_ps)
                slots[q] = slot if place < wide else trash + (q & u64(TRASH - 1))
            survivors[still] = i
            still += u64(stamp - earlier[j - one] <= reach)
        for q in range(alive):
            histogram[u64(slots[q])] += one
        alive = still
        back += one


@compiled
def _is_dense(
    later: NDArray[np.int64],
    before: NDArray[np.uint32],
    first: int,
    last: int,
    earlier: NDArray[np.int64],
    reach: int,
) -> bool:
    """Say whether a tag has about `_DENSE` partners or more."""
    if last <= first:
        return False
    partners = i64(before[last - 1]) - 1
    time = np.float64(later[last - 1]) - np.float64(earlier[1])
    return partners > _DENSE and partners * np.float64(reach) > _DENSE * time  # type: ignore[no-any-return]


@compiled
def _count_dense(
    later: NDArray[np.int64],
    before: NDArray[np.uint32],
    first: int,
    last: int,
    earlier: NDArray[np.int64],
    reach: int,
    sign: int,
    offset: int,
    multiplier: int,
    down: int,
    histogram: NDArray[np.uint64],
) -> None:
    """Count tag by tag from the farthest partner on: two mispredictions per tag, none per pair."""
    one = u64(1)
    far = one
    for i in range(u64(first), u64(last)):
        stamp, end = later[i], u64(before[i])
        while far < end and stamp - earlier[far] > reach:
            far += one
        # The two signs apart, so that the inner loop holds no product with the sign.
        if sign > 0:
            for j in range(far, end):
                histogram[(u64(offset + stamp - earlier[j]) * multiplier) >> down] += one
        else:
            for j in range(far, end):
                histogram[(u64(offset - stamp + earlier[j]) * multiplier) >> down] += one
