"""Sums of many exponentials through one Gaussian response, averaged over bins of equal width; compiled.

E(x), the exponential exp(-x/T), x >= 0, through the response (``emission.response``), obeys

    dE/dx = -E/T + G(x)

with G the normalised Gaussian. From edge to edge of the bins it shrinks by exp(-h/T) and gains the integral
of G(u) exp(-(x - u)/T): no exponential and no error function per edge. Within 8 sigma of zero G is taken as a
polynomial in each interval of half a sigma or less, the same for all lifetimes; outside as 0.

E is good to 1e-13: the polynomials leave out less than that of G, 8 sigma 1e-15, and an exponential is
followed for 30 lifetimes, to 1e-13. Less than one pair in a peak of 1e12. A test holds the sum to
``emission.response``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.photons.compiled import compiled_numeric

Array = NDArray[np.float64]

_REACH_SIGMA = 8.0
_REACH_LIFETIMES = 30.0
_DEGREE = 12
_LONGEST_PIECE_SIGMA = 0.5
_GAUSS_TOP = 1.0 / math.sqrt(2.0 * math.pi)


@compiled_numeric
def gaussian_pieces(first: float, length: float, pieces: Array) -> None:
    """Normal density around the middle z of each of many intervals, as a Taylor series.

    G(z + v length/2) length/2 = sum_p c_p v^p; from G' = -z G each c_p follows from the two before.

    Args:
        first: Where the first interval begins, in sigma.
        length: Of each interval, in sigma.
        pieces: Filled with c_p (degree + 1, intervals).
    """
    half = 0.5 * length
    for i in range(pieces.shape[1]):
        z = first + (i + 0.5) * length
        before, here = 0.0, half * _GAUSS_TOP * math.exp(-0.5 * z * z)
        for p in range(pieces.shape[0]):
            pieces[p, i] = here
            before, here = here, -half * (z * here + half * before) / (p + 1.0)


@compiled_numeric
def decaying_moments(damping: float, moments: Array) -> None:
    """Integrals of exp(-damping (1 - v)) v^p over -1 < v < 1.

    damping M_p + p M_(p-1) = 1 - (-1)^p exp(-2 damping): upwards in p for a large damping; for a small one
    downwards, from so far above that the wrong start is forgotten.

    Args:
        damping: 0 or more.
        moments: Filled with M_p (degree + 1,).
    """
    n, left, moment = moments.size, math.exp(-2.0 * damping), 0.0
    if damping > n:
        for p in range(n):
            ends = 1.0 - left if p % 2 == 0 else 1.0 + left
            moment = (ends - p * moment) / damping
            moments[p] = moment
    else:
        for p in range(n + 12 + int(2.5 * damping), 0, -1):
            ends = 1.0 - left if p % 2 == 0 else 1.0 + left
            moment = (ends - damping * moment) / p
            if p <= n:
                moments[p - 1] = moment


@compiled_numeric
def follow(
    lifetime: float, width: float, per_bin: int, pieces: Array, begin: int, gain: Array, table: Array
) -> tuple[int, int]:
    """One exponential at the edges of the bins: E(-x), before zero, and E(x), after zero.

    Args:
        lifetime: T.
        width: Of a bin.
        per_bin: Intervals in a bin.
        pieces: From :func:`gaussian_pieces`.
        begin: Edge at which the first interval begins.
        gain: Scratch (2, intervals).
        table: E(-x) and E(x) at the edges (2, edges): filled where they are not 0.

    Returns:
        First edge of E(-x), which ends with the intervals, and last edge of E(x), which begins with them.
    """
    n_pieces, n_edges = pieces.shape[1], table.shape[1]
    end = begin + n_pieces // per_bin
    shrink, moments = math.exp(-width / (per_bin * lifetime)), np.empty(pieces.shape[0])
    decaying_moments(0.5 * width / (per_bin * lifetime), moments)
    for i in range(n_pieces):
        gain[0, i] = gain[1, i] = 0.0
    for p in range(moments.size):
        weight, row, total = moments[p], pieces[p], gain[p % 2]
        for i in range(n_pieces):
            total[i] += weight * row[i]
    before = after = table[0, end] = table[1, begin] = 0.0
    for k in range(end - begin):
        for piece in range(k * per_bin, (k + 1) * per_bin):
            mirrored = n_pieces - 1 - piece
            after = after * shrink + (gain[0, piece] + gain[1, piece])
            # Seen from the other side the odd powers change sign.
            before = before * shrink + (gain[0, mirrored] - gain[1, mirrored])
        table[1, begin + 1 + k] = after
        table[0, end - 1 - k] = before
    shrink = math.exp(-width / lifetime)
    bins = int(_REACH_LIFETIMES * min(lifetime / width, float(n_edges))) + 1
    first, last = max(begin - bins, 0), min(end + bins, n_edges - 1)
    for k in range(end + 1, last + 1):
        after *= shrink
        table[1, k] = after
    for k in range(begin - 1, first - 1, -1):
        before *= shrink
        table[0, k] = before
    return first, last


@compiled_numeric
def coefficients(
    side: int, share: float, by_share: Array, rate: float, by_lifetime: Array, sigma: float, per: Array
) -> None:
    """Weights of what one exponential adds to each row of :func:`mixture_means`.

    Args:
        side: 0 for x < 0, 1 for x > 0.
        share, by_share: Share of the exponential and its derivatives (d,).
        rate, by_lifetime: 1/T and the derivatives of T (d,).
        sigma: Of the response.
        per: Weights of E, x E, Phi and the normal density (4, d + 3): the last two are added to.
    """
    d = by_lifetime.size
    sign = 1.0 if side == 0 else -1.0
    for i in range(d):
        slower = share * by_lifetime[i] * rate * rate
        per[0, i] = sign * (by_share[i] - slower * sigma * sigma * rate)
        per[1, i] = -slower
        per[2, i] += by_share[i]
        per[3, i] += sign * slower * sigma
    per[0, d] = -share * rate
    per[0, d + 1] = sign * share * sigma * rate * rate
    per[3, d + 1] -= sign * share * rate
    per[0, d + 2] = sign * share
    per[2, d + 2] += share


@compiled_numeric
def add(weight: float, curve: Array, row: Array) -> None:
    """Add a multiple of a curve to a row."""
    for k in range(row.size):
        row[k] += weight * curve[k]


@compiled_numeric
def mixture_means(
    edges: Array,
    shares: Array,
    lifetimes: Array,
    by_share: Array,
    by_lifetime: Array,
    delay: float,
    sigma: float,
    out: Array,
) -> None:
    """Means over bins of exponentials on either side of zero, and derivatives by what is behind them.

    Cumulatives Phi(x/s) + E(-x) for x < 0 and Phi(x/s) - E(x) for x > 0; with G the normalised Gaussian

        d/dT E(x) = E(x) (x/T^2 - s^2/T^3) + G s^2/T^2,    d/ds [E(x) - Phi(x/s)] = E(x) s/T^2 - G s/T.

    Args:
        edges: Bin edges (n + 1,), of equal width.
        shares: Of the exponentials exp(-|x|/T)/T, x < 0 and x > 0 (2, m).
        lifetimes: T (m,).
        by_share: Derivatives of the shares by the d parameters behind them (d, 2, m).
        by_lifetime: Derivatives of the lifetimes (d, m).
        delay: Where x = 0 lies.
        sigma: Standard deviation of the response, above 0.
        out: Filled with derivatives by the d parameters, delay and sigma, then the density (d + 3, n).
    """
    n_rows, n = out.shape
    width = (edges[n] - edges[0]) / n
    # The intervals may begin before the window and end after it: edges go on to there.
    near = math.floor((delay - _REACH_SIGMA * sigma - edges[0]) / width)
    past = math.ceil((delay + _REACH_SIGMA * sigma - edges[0]) / width)
    outside = max(-near, 0)
    begin, end = near + outside, past + outside
    per_bin = max(math.ceil(width / (_LONGEST_PIECE_SIGMA * sigma)), 1)
    pieces = np.empty((_DEGREE + 1, (end - begin) * per_bin))
    gaussian_pieces((edges[0] + near * width - delay) / sigma, width / (per_bin * sigma), pieces)
    x = np.empty(max(past, n) + outside + 1)
    for k in range(x.size):
        x[k] = edges[0] + (k - outside) * width - delay
    for r in range(n_rows):
        for k in range(n):
            out[r, k] = 0.0
    per = np.zeros((4, n_rows))
    table, gain = np.empty((2, x.size)), np.empty((2, pieces.shape[1]))
    rise, turn = np.empty(n), np.empty(n)
    for j in range(lifetimes.size):
        first, last = follow(lifetimes[j], width, per_bin, pieces, begin, gain, table)
        for side in range(2):
            coefficients(
                side, shares[side, j], by_share[:, side, j], 1.0 / lifetimes[j], by_lifetime[:, j], sigma, per
            )
            low = max(first if side == 0 else begin, outside)
            bins = max(min(end if side == 0 else last, outside + n) - low, 0)
            here, there = table[side, low:], x[low:]
            for k in range(bins):
                rise[k] = (here[k + 1] - here[k]) / width
                turn[k] = (here[k + 1] * there[k + 1] - here[k] * there[k]) / width
            for r in range(n_rows):
                row = out[r, low - outside : low - outside + bins]
                add(per[0, r], rise, row)
                if per[1, r] != 0.0:
                    add(per[1, r], turn, row)
    low, bins = max(begin, outside), min(end, outside + n) - max(begin, outside)
    for k in range(low, low + bins):
        step = 0.0
        for piece in range((k - begin) * per_bin, (k - begin + 1) * per_bin):
            for p in range(0, _DEGREE + 1, 2):
                step += pieces[p, piece] * 2.0 / (p + 1.0)
        bump = math.exp(-0.5 * (x[k + 1] / sigma) ** 2) - math.exp(-0.5 * (x[k] / sigma) ** 2)
        for r in range(n_rows):
            out[r, k - outside] += (per[2, r] * step + per[3, r] * _GAUSS_TOP * bump) / width
