"""The compiled loops behind log-spaced lags: exact pairs at short lags, dense products above.

Every octave [2^e, 2^(e+1)) of lag is split into 16 bins of equal width, so the bin of a lag is read off
its floating-point form: exponent and the top four bits of the mantissa.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.photons.compiled import compiled, i64, u64

PER_OCTAVE = 16
ZERO_SLOT = 0
"""Slot of lag 0; slot 1 + 16 e + s holds [2^e (1 + s/16), 2^e (1 + (s + 1)/16))."""


@compiled
def count_log_pairs(
    later: NDArray[np.int64],
    before: NDArray[np.uint32],
    first: int,
    last: int,
    earlier: NDArray[np.int64],
    reach: int,
    sign: int,
    delay: int,
    limit: int,
    slots: NDArray[np.uint32],
    histogram: NDArray[np.uint64],
) -> None:
    """Count the pairs of ``later[first:last]`` with earlier tags at signed lags below ``limit``.

    The first half of ``histogram`` takes lags >= 0, the second half lags < 0; each half ends with a slot
    for what lies beyond the limit. ``earlier[0]`` must be out of everybody's reach.
    """
    one = u64(1)
    half = u64(len(histogram) // 2)
    room = u64(len(slots))
    for i in range(u64(first), u64(last)):
        stamp = later[i]
        nearest = u64(before[i]) - one
        farthest = nearest
        while stamp - earlier[farthest] <= reach:
            farthest -= one
        begin = farthest + one
        while begin <= nearest:
            # Slots first, counts after: an update of the histogram stalls the loads that follow it.
            end = min(nearest + one, begin + room)
            for j in range(begin, end):
                lag = delay + sign * (stamp - earlier[j])
                size = abs(lag)
                slot = (np.float64(size).view(np.uint64) >> u64(48)) - u64(1023 * PER_OCTAVE - 1)
                slot = u64(ZERO_SLOT) if size == 0 else slot
                slot = slot if size < limit else half - one
                slots[j - begin] = slot + half if lag < 0 else slot
            for j in range(end - begin):
                histogram[u64(slots[j])] += one
            begin = end


@compiled
def bin_tags(
    stamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    first: int,
    last: int,
    channel: int,
    shift_ps: int,
    width: int,
    origin: int,
    counts: NDArray[np.int64],
) -> int:
    """Add the tags of a channel to the coarse bins that begin at bin ``origin``; give their number."""
    found = 0
    for i in range(u64(first), u64(last)):
        if channels[i] == channel:
            counts[u64(((stamps[i] + shift_ps) >> width) - origin)] += 1
            found += 1
    return found


@compiled
def add_products(
    earlier: NDArray[np.int64],
    later: NDArray[np.int64],
    first: int,
    last: int,
    valid: int,
    products: NDArray[np.int64],
    earlier_sums: NDArray[np.int64],
    later_sums: NDArray[np.int64],
    terms: NDArray[np.int64],
) -> None:
    """Add the products of coarse bins 16 to 31 apart whose later bin is one of ``first:last``.

    Bins before ``valid`` are not part of this piece of record. The sums of the factors go with each lag:
    they are its symmetric normalisation.
    """
    for k in range(PER_OCTAVE):
        apart = PER_OCTAVE + k
        begin = max(first, valid + apart)
        if begin >= last:
            continue
        product = i64(0)
        sum_earlier = i64(0)
        sum_later = i64(0)
        a = earlier[begin - apart : last - apart]
        b = later[begin:last]
        for i in range(len(b)):
            product += a[i] * b[i]
            sum_earlier += a[i]
            sum_later += b[i]
        products[k] += product
        earlier_sums[k] += sum_earlier
        later_sums[k] += sum_later
        terms[k] += last - begin


@compiled
def halve(fine: NDArray[np.int64], first: int, last: int, coarse: NDArray[np.int64], at: int) -> None:
    """Sum pairs of bins ``first:last`` (an even number of them) into ``coarse`` from ``at`` on."""
    for i in range((last - first) // 2):
        coarse[at + i] = fine[first + 2 * i] + fine[first + 2 * i + 1]
