"""First photons of bursts for the live fit: ``blinding`` and ``emission.first_photon`` as compiled functions.

The same equations for bursts of two components, with their derivatives; the interpreter's lock is not held.
Counters without dead time see what counters see of bursts of a single photon. Tests hold both to each other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.emission.first_photon import photons_that_matter
from labctl.fitting.blinding import _MOST_ASLEEP, _MOST_SEEN, _RAREST
from labctl.fitting.decay_sum import add, mixture_means
from labctl.photons.compiled import compiled_numeric

Array = NDArray[np.float64]

_N_DECAY = 4
"""contrast, fraction and both lifetimes shape the mixture."""

most_photons = compiled_numeric(photons_that_matter)


@compiled_numeric
def brightness(contrast: float, rates: Array, dead_time: float, mu: Array) -> None:
    """Photons per burst of start and stop and their slope with the contrast into ``mu`` (2, 2).

    All light is taken to come from bursts. Without dead time both are 0.
    """
    joint = rates[0] * rates[1] * dead_time * (1.0 - 0.5 * dead_time * (rates[0] + rates[1]))
    for own in range(2):
        awake = 1.0 - min(rates[own] * dead_time, _MOST_ASLEEP)
        other_awake = 1.0 - min(rates[1 - own] * dead_time, _MOST_ASLEEP)
        both = awake + joint * contrast / other_awake
        seen = rates[own] * contrast / both
        mu[0, own] = mu[1, own] = 0.0
        if dead_time > 0.0:
            mu[0, own] = -math.log1p(-min(max(seen, 0.0), _MOST_SEEN))
            if 0.0 <= seen < _MOST_SEEN:
                mu[1, own] = rates[own] * awake / (both * both * (1.0 - seen))


@compiled_numeric
def first_photons(mu: float, by_contrast: float, w: float, photons: int, weights: Array) -> None:
    """Weights of the exponentials of a burst's first photon and their derivatives by contrast and fraction.

    Of m photons of the first component and n of the second: mu^(m + n - 1) w^m/m! (1 - w)^n/n!, normalised.

    Args:
        mu, by_contrast: Photons per burst and their slope.
        w: Fraction of the first component.
        photons: Bursts of more are left out.
        weights: Filled (3, photons (photons + 3) / 2).
    """
    # w^m/m! has the derivative w^(m - 1)/(m - 1)!, the entry before.
    power = np.zeros((2, photons + 2))
    power[0, 1] = power[1, 1] = 1.0
    for k in range(1, photons + 1):
        power[0, k + 1] = power[0, k] * w / k
        power[1, k + 1] = power[1, k] * (1.0 - w) / k
    at, bright, brighter, total = 0, 1.0, 0.0, np.zeros(3)
    for number in range(1, photons + 1):
        for first in range(number + 1):
            second = number - first
            kind = power[0, first + 1] * power[1, second + 1]
            by_w = power[0, first] * power[1, second + 1] - power[0, first + 1] * power[1, second]
            weights[0, at] = kind * bright
            weights[1, at] = kind * brighter * by_contrast
            weights[2, at] = by_w * bright
            for i in range(3):
                total[i] += weights[i, at]
            at += 1
        brighter, bright = number * bright, bright * mu
    for k in range(at):
        weights[0, k] /= total[0]
        for i in range(1, 3):
            weights[i, k] = (weights[i, k] - weights[0, k] * total[i]) / total[0]


@compiled_numeric
def mixture(
    mu: Array,
    decay: Array,
    photons: int,
    shares: Array,
    lifetimes: Array,
    by_share: Array,
    by_lifetime: Array,
) -> None:
    """Delays between first photons, tau < 0 and tau > 0, and derivatives by contrast, fraction, lifetimes.

    The share of an exponential of rate s on one side is its weight at the later counter times
    sum_i a_i s_i / (s_i + s) over those of the earlier one. With s_i = m_i r + n_i q, r and q the rates of
    both components, that sum has the derivative q sum_i a_i (m_i n - n_i m)/(s_i + s)^2 by r, and -r/q times
    that by q, as only the ratio of rates matters.

    Args:
        mu: From :func:`brightness`.
        decay: Fraction and both lifetimes (3,).
        photons: Bursts of more are left out; m is photons (photons + 3) / 2.
        shares, lifetimes: Filled (2, m) and (m,).
        by_share, by_lifetime: Filled with the derivatives (4, 2, m) and (4, m).
    """
    n, fast, slow = lifetimes.size, 1.0 / decay[1], 1.0 / decay[2]
    weights, speed, kind = np.empty((2, 3, n)), np.empty(n), np.empty((2, n))
    at = 0
    for number in range(1, photons + 1):
        for first in range(number + 1):
            kind[0, at], kind[1, at] = first, number - first
            speed[at] = kind[0, at] * fast + kind[1, at] * slow
            lifetimes[at] = 1.0 / speed[at]
            by_lifetime[0, at] = by_lifetime[1, at] = 0.0
            by_lifetime[2, at] = kind[0, at] * (fast * lifetimes[at]) ** 2
            by_lifetime[3, at] = kind[1, at] * (slow * lifetimes[at]) ** 2
            at += 1
    for side in range(2):
        first_photons(mu[0, side], mu[1, side], decay[0], photons, weights[side])
    sums, ratio, square = np.zeros((2, 5, n)), np.empty(n), np.empty(n)
    for i in range(n):
        for j in range(n):
            inverse = 1.0 / (speed[i] + speed[j])
            ratio[j], square[j] = speed[i] * inverse, inverse * inverse
        for side in range(2):
            for row in range(3):
                add(weights[side, row, i], ratio, sums[side, row])
            for component in range(2):
                add(weights[side, 0, i] * kind[component, i], square, sums[side, 3 + component])
    for side in range(2):
        own, other = weights[side], sums[1 - side]
        for j in range(n):
            shares[side, j] = own[0, j] * other[0, j]
            for row in range(1, 3):
                by_share[row - 1, side, j] = own[row, j] * other[0, j] + own[0, j] * other[row, j]
            by_ratio = own[0, j] * (kind[1, j] * other[3, j] - kind[0, j] * other[4, j]) * fast * slow
            by_share[2, side, j] = -by_ratio * fast
            by_share[3, side, j] = by_ratio * slow


@compiled_numeric
def expected_pairs(
    theta: Array, edges: Array, accidentals: Array, rates: Array, dead_time: float, jacobian: Array
) -> None:
    """Model and Jacobian of two lifetimes.

    Args:
        theta: Parameters (7,).
        edges: Bin edges in s (n + 1,).
        accidentals: Pairs without bunching (n,).
        rates: Counts per second of start and stop (2,).
        dead_time: Of the counters, longer than the bursts; 0 for none.
        jacobian: Filled (8, n): derivatives by the parameters, then the model.
    """
    mu = np.empty((2, 2))
    brightness(theta[1], rates, dead_time, mu)
    photons = 1
    if dead_time > 0.0:
        photons = most_photons(max(mu[0, 0], mu[0, 1], 1e-6), _RAREST)
    n = photons * (photons + 3) // 2
    shares, lifetimes = np.empty((2, n)), np.empty(n)
    by_share, by_lifetime = np.empty((_N_DECAY, 2, n)), np.empty((_N_DECAY, n))
    mixture(mu, theta[2:5], photons, shares, lifetimes, by_share, by_lifetime)
    # Rows 1 to 6 take the derivatives of A, row 7 takes A itself.
    mixture_means(edges, shares, lifetimes, by_share, by_lifetime, theta[5], theta[6], jacobian[1:])
    with_far_level(theta, edges, accidentals, rates, dead_time, jacobian)


@compiled_numeric
def with_far_level(
    theta: Array, edges: Array, accidentals: Array, rates: Array, dead_time: float, jacobian: Array
) -> None:
    """From A and its derivatives in rows 7 and 1 to 6 to pairs: accidentals x (level D + C A)."""
    level, contrast, delay = theta[0], theta[1], theta[5]
    start, stop = min(rates[0] * contrast, 1.0), min(rates[1] * contrast, 1.0)
    per_contrast = 1.0 / contrast if max(start, stop) < 1.0 and contrast > 0.0 else 0.0
    below, below_by = 0.0, np.zeros(6)
    for k in range(accidentals.size):
        width = edges[k + 1] - edges[k]
        density = jacobian[7, k]
        asleep = abs(0.5 * (edges[k] + edges[k + 1]) - delay) < dead_time
        far = 1.0 - (start + (stop - start) * (below + 0.5 * width * density)) if asleep else 1.0
        for i in range(6):
            slope = jacobian[1 + i, k]
            value = contrast * slope
            if i == 0:
                value += density
                if asleep:
                    value -= level * (1.0 - far) * per_contrast
            if asleep:
                value -= level * (stop - start) * (below_by[i] + 0.5 * width * slope)
            below_by[i] += width * slope
            jacobian[1 + i, k] = accidentals[k] * value
        below += width * density
        jacobian[0, k] = accidentals[k] * far
        jacobian[7, k] = accidentals[k] * (level * far + contrast * density)
