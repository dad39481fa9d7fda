"""First photons of bursts for the live fit: ``blinding`` and ``emission.first_photon`` as compiled functions.

The same equations for bursts of two components; the interpreter's lock is not held. A test holds both to each
other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.emission.first_photon import BRIGHTEST
from labctl.fitting.blinding import _MOST_ASLEEP, _MOST_SEEN, _RAREST
from labctl.fitting.pair_kernel import mixture_means
from labctl.photons.compiled import compiled

Array = NDArray[np.float64]

_N_DECAY = 4
"""contrast, fraction and both lifetimes shape the mixture."""


@compiled
def brightness(contrast: float, rates: Array, dead_time: float, mu: Array) -> None:
    """Photons per burst of start and stop into ``mu`` (2,); all light is taken to come from bursts."""
    joint = rates[0] * rates[1] * dead_time
    joint *= contrast * (1.0 - 0.5 * dead_time * (rates[0] + rates[1]))
    for own in range(2):
        awake = 1.0 - min(rates[own] * dead_time, _MOST_ASLEEP)
        other_awake = 1.0 - min(rates[1 - own] * dead_time, _MOST_ASLEEP)
        seen = rates[own] * contrast / (awake + joint / other_awake)
        mu[own] = -math.log1p(-min(max(seen, 0.0), _MOST_SEEN))


@compiled
def most_photons(mu: float) -> int:
    """Photons per burst up to which the mixture has to go."""
    term, photons = 1.0, 1
    mu = min(max(mu, 1e-6), BRIGHTEST)
    while photons < 60:
        term *= mu / photons
        if term < _RAREST * mu:
            return max(photons - 1, 1)
        photons += 1
    return photons - 1


@compiled
def mixture(
    contrast: float,
    decay: Array,
    rates: Array,
    dead_time: float,
    photons: int,
    shares: Array,
    lifetimes: Array,
) -> None:
    """Delays between first photons into ``shares`` (2, m) and ``lifetimes`` (m,).

    Args:
        contrast: C.
        decay: Fraction and both lifetimes (3,).
        rates, dead_time: As in :func:`brightness`.
        photons: Bursts of more are left out; m is photons (photons + 3) / 2.
        shares, lifetimes: Filled.
    """
    mu, total = np.empty(2), np.zeros(2)
    brightness(contrast, rates, dead_time, mu)
    n = lifetimes.size
    weights, speed = np.empty((2, n)), np.empty(n)
    fast_rate, slow_rate = 1.0 / decay[1], 1.0 / decay[2]
    at, factorial = 0, 1.0
    for number in range(1, photons + 1):
        factorial *= number
        choose = 1.0
        for first in range(number + 1):
            second = number - first
            kind = choose * decay[0] ** first * (1.0 - decay[0]) ** second / factorial
            choose *= second / (first + 1.0)
            speed[at] = first * fast_rate + second * slow_rate
            lifetimes[at] = 1.0 / speed[at]
            for side in range(2):
                weights[side, at] = kind * mu[side] ** (number - 1)
                total[side] += weights[side, at]
            at += 1
    shares[:] = 0.0
    for i in range(n):
        for j in range(n):
            later = speed[i] / (speed[i] + speed[j]) / (total[0] * total[1])
            shares[1, j] += weights[0, i] * weights[1, j] * later
            shares[0, j] += weights[1, i] * weights[0, j] * later


@compiled
def expected_blinded(
    theta: Array, edges: Array, accidentals: Array, rates: Array, dead_time: float, jacobian: Array
) -> None:
    """Model and Jacobian of two lifetimes seen by counters that are blind after each count.

    Args:
        theta: Parameters (7,).
        edges: Bin edges in s (n + 1,).
        accidentals: Pairs without bunching (n,).
        rates: Counts per second of start and stop (2,).
        dead_time: Of the counters.
        jacobian: Filled (8, n): derivatives by the parameters, then the model.
    """
    level, contrast, delay = theta[0], theta[1], theta[5]
    mu = np.empty(2)
    brightness(contrast, rates, dead_time, mu)
    photons = most_photons(max(mu[0], mu[1]))
    n = photons * (photons + 3) // 2
    shares, lifetimes = np.empty((2, n)), np.empty(n)
    ends_shares, ends_lifetimes = np.empty((2, 2, n)), np.empty((2, n))
    by_share, by_lifetime = np.empty((_N_DECAY, 2, n)), np.empty((_N_DECAY, n))
    decay = theta[2:5].copy()
    mixture(contrast, decay, rates, dead_time, photons, shares, lifetimes)
    for index in range(_N_DECAY):
        step = 1e-5 * max(abs(theta[1 + index]), 1e-2 if index == 1 else 1e-15)
        for end in range(2):
            moved = contrast
            if index == 0:
                moved += step if end == 0 else -step
            else:
                decay[index - 1] = theta[1 + index] + (step if end == 0 else -step)
            mixture(moved, decay, rates, dead_time, photons, ends_shares[end], ends_lifetimes[end])
        if index > 0:
            decay[index - 1] = theta[1 + index]
        for j in range(n):
            by_lifetime[index, j] = (ends_lifetimes[0, j] - ends_lifetimes[1, j]) / (2.0 * step)
            for side in range(2):
                by_share[index, side, j] = (ends_shares[0, side, j] - ends_shares[1, side, j]) / (2.0 * step)
    # Rows 1 to 6 take the derivatives of A, row 7 takes A itself.
    density = jacobian[7]
    mixture_means(edges, shares, lifetimes, by_share, by_lifetime, delay, theta[6], density, jacobian[1:7])
    _with_far_level(level, contrast, delay, edges, accidentals, rates, dead_time, jacobian)


@compiled
def _with_far_level(
    level: float,
    contrast: float,
    delay: float,
    edges: Array,
    accidentals: Array,
    rates: Array,
    dead_time: float,
    jacobian: Array,
) -> None:
    """From A and its derivatives in rows 7 and 1 to 6 to pairs: accidentals x (level D + C A)."""
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
