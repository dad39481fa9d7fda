"""Counters blind for longer than a burst: each gives the first of its photons, and no other until it wakes.

A burst has a Poisson number of detected photons, mean mu on one counter. That counter fires with probability
p = 1 - exp(-mu), at a time of density

    h(t) = mu f(t) exp(-mu F(t)) / p,      F(t) = int_0^t f.

The first of k photons of a mixture of exponentials is again one (rates add: the first of m photons of
component 1 and k - m of component 2 comes at rate m/T1 + (k - m)/T2), so h is a mixture of exponentials with
positive weights. Two counters of unequal brightness have different h: the delay between their first photons
then has different tails on both sides of zero.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

BRIGHTEST = 5.0
"""Photons per burst and counter up to which the mixture is written out."""


def photons_that_matter(mu: float, precision: float = 1e-15) -> int:
    """Largest number of photons in a burst that is not rarer than ``precision``."""
    term, photons = 1.0, 1
    while photons < 60:
        term *= mu / photons
        if term < precision * mu:
            return max(photons - 1, 1)
        photons += 1
    return photons - 1


def first_photon(
    weights: ArrayLike, lifetimes_s: ArrayLike, mu: float, *, photons: int | None = None
) -> tuple[Array, Array]:
    """Decay of the first detected photon of a burst, h(t) above, as a mixture of exponentials.

    Args:
        weights: Shares of one or two components.
        lifetimes_s: Their lifetimes.
        mu: Mean detected photons per burst on one detector before the dead time, 0 to 5.
        photons: Bursts of more photons are left out; None keeps all that double precision can see.

    Returns:
        Weights (sum 1) and lifetimes of h.

    Raises:
        ValueError: more than two components or mu out of range.
    """
    w, tau = np.atleast_1d(np.asarray(weights, float)), np.atleast_1d(np.asarray(lifetimes_s, float))
    if w.size > 2 or w.shape != tau.shape:
        raise ValueError("the first-photon decay is written for one or two components")
    if not 0.0 <= mu <= BRIGHTEST:
        raise ValueError(f"{mu} photons per burst and detector is outside 0 to 5")
    if mu < 1e-12 and photons is None:
        return w, tau
    number, first, chance = _bursts(photons or photons_that_matter(mu), w.size)
    share, rate, second = w / w.sum(), 1.0 / tau, number - first
    # mu^(k-1)/k!: one factor mu taken out of all, so that mu = 0 is no special case.
    out = chance * mu ** (number - 1) * share[0] ** first * share[-1] ** second
    return out / out.sum(), 1.0 / (first * rate[0] + second * rate[-1])


@lru_cache(maxsize=256)
def _bursts(photons: int, components: int) -> tuple[Array, Array, Array]:
    """Photons, those of the first component, and (photons over first)/photons! of every kind of burst."""
    kinds = [
        (number, first)
        for number in range(1, photons + 1)
        for first in (range(number + 1) if components == 2 else (number,))
    ]
    number, first = np.array(kinds, dtype=np.float64).T
    chance = [math.comb(k, m) / math.factorial(k) for k, m in kinds]
    return number, first, np.array(chance)


def delay_shares(start_weights: ArrayLike, stop_weights: ArrayLike, lifetimes_s: ArrayLike) -> Array:
    """Shares of the exponentials in the delay between two independent photons, either side of zero.

    With decays a(t) = sum a_i r_i exp(-r_i t) of the start and b(t) of the stop, r = 1/T, the delay
    t_stop - t_start has the density

        int a(t) b(t + tau) dt = sum_j r_j exp(-r_j tau) b_j sum_i a_i r_i / (r_i + r_j)     for tau > 0

    and the same with a and b exchanged for tau < 0. Equal weights give twice the half of ``pair_shares``.

    Args:
        start_weights, stop_weights: a and b, shape (n,).
        lifetimes_s: T, shape (n,).

    Returns:
        Shape (2, n): shares of tau < 0 and of tau > 0; all of them add up to 1.
    """
    a, b = np.asarray(start_weights, dtype=np.float64), np.asarray(stop_weights, dtype=np.float64)
    rate = 1.0 / np.asarray(lifetimes_s, dtype=np.float64)
    earlier = rate[:, None] / (rate[:, None] + rate[None, :])
    return np.stack([a * (b @ earlier), b * (a @ earlier)])
