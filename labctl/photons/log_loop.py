"""The compiled loops behind log-spaced lags: exact pairs at short lags, dense products above.

Every octave [2^e, 2^(e+1)) of lag is split into 16 bins of equal width, so the bin of a lag is read off
its floating-point form: exponent and the top four bits of the mantissa.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.photons.compiled import compiled, i64, u64
from labctl.photons.pair_lists import reachable

PER_OCTAVE = 16
ZERO_SLOT = 0
"""Slot of lag 0; slot 1 + 16 e + s holds [2^e (1 + s/16), 2^e (1 + (s + 1)/16))."""


@compiled
def log_slot(lag: int, limit: int, half: int) -> int:
    """Slot of a signed lag; the last slot of each half takes what lies beyond the limit."""
    size = abs(lag)
    slot = (np.float64(size).view(np.uint64) >> u64(48)) - u64(1023 * PER_OCTAVE - 1)
    slot = u64(ZERO_SLOT) if size == 0 else slot
    slot = slot if size < limit else u64(half - 1)
    return slot + u64(half) if lag < 0 else slot  # type: ignore[no-any-return]


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
    survivors: NDArray[np.uint32],
    slots: NDArray[np.uint32],
    histogram: NDArray[np.uint64],
) -> None:
    """Count the pairs of ``later[first:last]`` with earlier tags at signed lags below ``limit``.

    The first half of ``histogram`` takes lags >= 0, the second half lags < 0; each half ends with a slot
    for what lies beyond the limit. ``earlier[0]`` must be out of everybody's reach. In rounds over those tags
    whose next partner is still within reach, as the end of `pair_loop.count_pairs`.
    """
    one = u64(1)
    half = len(histogram) // 2
    alive = u64(reachable(later, before, first, last, earlier, reach, survivors))
    back = one
    while alive > 0:
        still = u64(0)
        for q in range(alive):
            i = u64(survivors[q])
            j = u64(before[i]) - back
            stamp = later[i]
            slots[q] = log_slot(delay + sign * (stamp - earlier[j]), limit, half)
            survivors[still] = i
            still += u64(stamp - earlier[j - one] <= reach)
        for q in range(alive):
            histogram[u64(slots[q])] += one
        alive = still
        back += one


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
    counts: NDArray[np.int32],
) -> None:
    """Add the tags of a channel to the coarse bins that begin at bin ``origin``."""
    for i in range(u64(first), u64(last)):
        counts[u64(((stamps[i] + shift_ps) >> width) - origin)] += np.int32(channels[i] == channel)


@compiled
def add_products(
    earlier: NDArray[np.int32],
    later: NDArray[np.int32],
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
    # Sums over neighbouring ranges differ by a bin or two: one long sum, then steps.
    sum_earlier = i64(0)
    sum_later = i64(0)
    from_earlier, from_later, upto = first - PER_OCTAVE, first, last - PER_OCTAVE
    for i in range(from_earlier, upto):
        sum_earlier += i64(earlier[i])
    for i in range(from_later, last):
        sum_later += i64(later[i])
    for k in range(PER_OCTAVE):
        apart = PER_OCTAVE + k
        begin = max(first, valid + apart)
        while upto > last - apart:
            upto -= 1
            sum_earlier -= i64(earlier[upto])
        while from_earlier > begin - apart:
            from_earlier -= 1
            sum_earlier += i64(earlier[from_earlier])
        while from_earlier < min(begin - apart, upto):
            sum_earlier -= i64(earlier[from_earlier])
            from_earlier += 1
        while from_later < min(begin, last):
            sum_later -= i64(later[from_later])
            from_later += 1
        if begin >= last:
            continue
        product = i64(0)
        a = earlier[begin - apart : last - apart]
        b = later[begin:last]
        for i in range(len(b)):
            product += i64(a[i]) * i64(b[i])
        products[k] += product
        earlier_sums[k] += sum_earlier
        later_sums[k] += sum_later
        terms[k] += last - begin


@compiled
def halve(fine: NDArray[np.int32], first: int, last: int, coarse: NDArray[np.int32], at: int) -> None:
    """Sum pairs of bins ``first:last`` (an even number of them) into ``coarse`` from ``at`` on."""
    for i in range((last - first) // 2):
        coarse[at + i] = fine[first + 2 * i] + fine[first + 2 * i + 1]
