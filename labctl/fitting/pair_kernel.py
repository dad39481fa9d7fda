"""Compiled form of ``emission.response.two_sided_cumulative_gradient``, averaged over bins.

The same equations in the same branches, some ten times faster: fits call them hundreds of times. A test holds
both to each other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.emission.error_function import _FAR_P, _FAR_Q, _INVERSE_ROOT_PI, _MIDDLE_P, _MIDDLE_Q
from labctl.photons.compiled import compiled

Array = NDArray[np.float64]

_ROOT_HALF = math.sqrt(0.5)
_GAUSS_TOP = 1.0 / math.sqrt(2.0 * math.pi)


@compiled
def erfcx_positive(x: float) -> float:
    """exp(x^2) erfc(x) for x >= 0, by Cody's approximations (see ``emission.error_function``)."""
    if x < 0.5:
        return math.exp(x * x) * math.erfc(x)
    if x <= 4.0:
        top, bottom = _MIDDLE_P[0], _MIDDLE_Q[0]
        for k in range(1, 9):
            top = top * x + _MIDDLE_P[k]
            bottom = bottom * x + _MIDDLE_Q[k]
        return float(top / bottom)
    u = 1.0 / (x * x)
    top, bottom = _FAR_P[0], _FAR_Q[0]
    for k in range(1, 6):
        top = top * u + _FAR_P[k]
        bottom = bottom * u + _FAR_Q[k]
    return float((_INVERSE_ROOT_PI - u * top / bottom) / x)


@compiled
def exponential(x: float, lifetime: float, sigma: float) -> float:
    """exp(-x/T), x >= 0, through a Gaussian: E(x) of ``emission.response``; sigma above 0."""
    ratio = sigma / lifetime
    if x > sigma * (ratio + 9.2):
        return math.exp(min(0.5 * ratio * ratio - x / lifetime, 0.0))
    if x < -39.0 * sigma:
        return 0.0
    z = (ratio - x / sigma) * _ROOT_HALF
    if z < 0.0:
        return 0.5 * math.exp(0.5 * ratio * ratio - x / lifetime) * math.erfc(z)
    return 0.5 * math.exp(-0.5 * (x / sigma) ** 2) * erfcx_positive(z)


@compiled
def bin_means(edges: Array, delay: float, lifetime: float, sigma: float, out: Array) -> None:
    """Mean over each bin of exp(-|x|/T)/2T through the response, and its derivatives.

    Args:
        edges: Bin edges (n + 1,).
        delay: Where x = 0 lies.
        lifetime: T.
        sigma: Standard deviation of the response.
        out: Filled with density and derivatives by delay, lifetime and sigma (4, n).
    """
    before_all = np.empty(4)
    here = np.empty(4)
    for k in range(edges.size):
        x = edges[k] - delay
        after, ahead = exponential(x, lifetime, sigma), exponential(-x, lifetime, sigma)
        total, difference = after + ahead, ahead - after
        step = 1.0 if x > 0.0 else 0.0
        if abs(x) < 9.0 * sigma:
            step = 0.5 * math.erfc(-x / sigma * _ROOT_HALF)
        here[0] = step + 0.5 * difference
        here[1] = -total / (2.0 * lifetime)
        here[2] = -0.5 * (total * x / lifetime**2 + difference * sigma**2 / lifetime**3)
        here[3] = 0.5 * difference * sigma / lifetime**2
        if k > 0:
            width = edges[k] - edges[k - 1]
            for i in range(4):
                out[i, k - 1] = (here[i] - before_all[i]) / width
        for i in range(4):
            before_all[i] = here[i]


@compiled
def reach_of(lifetime: float, sigma: float) -> float:
    """Delay beyond which nothing is left of an exponential through the response (1e-15 of its height)."""
    ratio = sigma / lifetime
    return max(sigma * (ratio + 9.2), lifetime * (0.5 * ratio * ratio + 35.0))


@compiled
def side_means(edges: Array, delay: float, lifetime: float, sigma: float, out: Array) -> tuple[int, int]:
    """Mean over each bin of exp(-|x|/T)/T on one side of zero only, through the response, with derivatives.

    Cumulatives Phi(x/s) + E(-x) for x < 0 and Phi(x/s) - E(x) for x > 0; with the normalised Gaussian G

        d/dT E(x) = E(x) (x/T^2 - s^2/T^3) + G s^2/T^2,    d/ds [E(x) - Phi(x/s)] = E(x) s/T^2 - G s/T.

    Args:
        edges, delay, lifetime, sigma: As in :func:`bin_means`.
        out: Filled with density and derivatives by delay, lifetime and sigma, for x < 0 and x > 0 (2, 4, n).

    Returns:
        First bin and end of those that were filled: within reach of the exponential.
    """
    reach = reach_of(lifetime, sigma)
    first = max(int(np.searchsorted(edges, delay - reach)) - 1, 0)
    last = min(int(np.searchsorted(edges, delay + reach)) + 1, edges.size)
    before_all = np.empty((2, 4))
    here = np.empty((2, 4))
    ratio = sigma / lifetime
    by_lifetime, by_sigma = ratio * ratio / lifetime, ratio / lifetime
    for k in range(first, last):
        x = edges[k] - delay
        after, ahead = exponential(x, lifetime, sigma), exponential(-x, lifetime, sigma)
        step, gauss = 1.0 if x > 0.0 else 0.0, 0.0
        if abs(x) < 9.0 * sigma:
            step = 0.5 * math.erfc(-x / sigma * _ROOT_HALF)
            gauss = math.exp(-0.5 * (x / sigma) ** 2) * _GAUSS_TOP
        slope = x / (lifetime * lifetime)
        here[0, 0], here[1, 0] = step + ahead, step - after
        here[0, 1], here[1, 1] = -ahead / lifetime, -after / lifetime
        here[0, 2] = gauss * ratio / lifetime - ahead * (slope + by_lifetime)
        here[1, 2] = -gauss * ratio / lifetime - after * (slope - by_lifetime)
        here[0, 3] = ahead * by_sigma - gauss / lifetime
        here[1, 3] = gauss / lifetime - after * by_sigma
        if k > first:
            per_width = 1.0 / (edges[k] - edges[k - 1])
            for side in range(2):
                for i in range(4):
                    out[side, i, k - 1] = (here[side, i] - before_all[side, i]) * per_width
        for side in range(2):
            for i in range(4):
                before_all[side, i] = here[side, i]
    return first, max(last - 1, first)


@compiled
def mixture_means(
    edges: Array,
    shares: Array,
    lifetimes: Array,
    by_share: Array,
    by_lifetime: Array,
    delay: float,
    sigma: float,
    value: Array,
    gradient: Array,
) -> None:
    """Sum of many exponentials and its derivatives by the parameters behind shares and lifetimes.

    Args:
        edges: Bin edges (n + 1,).
        shares: Of the mixture, x < 0 and x > 0 (2, m).
        lifetimes: Of the mixture (m,).
        by_share: Derivatives of the shares by the parameters (d, 2, m).
        by_lifetime: Derivatives of the lifetimes (d, m).
        delay, sigma: As in :func:`bin_means`.
        value: Filled with the density (n,).
        gradient: Filled with derivatives by the d parameters, delay and sigma (d + 2, n).
    """
    n_parameters, n_terms = by_lifetime.shape
    n = edges.size - 1
    part = np.empty((2, 4, n))
    value[:] = 0.0
    gradient[:] = 0.0
    for j in range(n_terms):
        begin, end = side_means(edges, delay, lifetimes[j], sigma, part)
        for side in range(2):
            share = shares[side, j]
            for k in range(begin, end):
                value[k] += share * part[side, 0, k]
                gradient[n_parameters, k] += share * part[side, 1, k]
                gradient[n_parameters + 1, k] += share * part[side, 3, k]
            for i in range(n_parameters):
                a, b = by_share[i, side, j], share * by_lifetime[i, j]
                for k in range(begin, end):
                    gradient[i, k] += a * part[side, 0, k] + b * part[side, 2, k]
