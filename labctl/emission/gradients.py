"""Analytic derivatives of the three observables by the components' parameters.

With K_j(tau) = exp(-|tau|/tau_j)/2tau_j through the response and
a_j = w_j sum_i w_i 2 tau_j / (tau_i + tau_j), A = sum_j a_j K_j has

    da_j/dw_k   = delta_jk a_j / w_j + w_j 2 tau_j / (tau_k + tau_j)
    da_j/dtau_k = delta_jk w_j sum_i w_i 2 tau_i / (tau_i + tau_j)^2 - w_j w_k 2 tau_j / (tau_k + tau_j)^2

Weights are taken as independent: a caller that keeps their sum at 1 chains that.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.emission.components import Emission, line_per_eV
from labctl.emission.response import exponential, two_sided_density, two_sided_gradient

Array = NDArray[np.float64]


def spectrum_gradient(emission: Emission, energy_eV: ArrayLike, *, resolution_eV: float = 0.0) -> Array:
    """Derivatives of S(E) by centre, width and weight of each component.

    Returns:
        Shape (components, 3, n): per eV^2 for centre and width, per eV for the weight.
    """
    energy = np.asarray(energy_eV, dtype=np.float64)
    result = np.empty((len(emission.components), 3, energy.size))
    for row, part in zip(result, emission.components, strict=True):
        width = math.hypot(part.width_eV, resolution_eV)
        line = line_per_eV(part, energy, resolution_eV=resolution_eV)
        u = (energy - part.energy_eV) / width
        row[0] = part.weight * line * u / width
        row[1] = part.weight * line * (u * u - 1.0) / width * (part.width_eV / width)
        row[2] = line
    return result


def decay_gradient(emission: Emission, time_s: ArrayLike, *, sigma_s: float = 0.0) -> Array:
    """Derivatives of the decay f(t) by weight and lifetime of each component.

    With E(x) of ``response``: dE/dT = E (x/T^2 - s^2/T^3) + G s^2/T^2.

    Returns:
        Shape (components, 2, n): per s for the weight, per s^2 for the lifetime.
    """
    x = np.asarray(time_s, dtype=np.float64)
    result = np.empty((len(emission.components), 2, x.size))
    gauss = np.zeros_like(x)
    if sigma_s > 0.0:
        gauss = np.exp(-0.5 * np.square(x / sigma_s)) / (sigma_s * math.sqrt(2.0 * math.pi))
    for row, part in zip(result, emission.components, strict=True):
        T = part.lifetime_s
        tail = exponential(x, T, sigma_s)
        by_lifetime = tail * (x / T**2 - sigma_s**2 / T**3) + gauss * sigma_s**2 / T**2
        row[0] = tail / T
        row[1] = part.weight * (by_lifetime / T - tail / T**2)
    return result


def pair_density_gradient(emission: Emission, lag_s: ArrayLike, *, sigma_s: float) -> Array:
    """Derivatives of A(tau) by weight and lifetime of each component; the response's sigma must be above 0.

    Returns:
        Shape (components, 2, n): per s for the weight, per s^2 for the lifetime.
    """
    lag = np.asarray(lag_s, dtype=np.float64)
    w, tau = emission.weights, emission.lifetimes_s
    n = w.size
    ratio = 2.0 * tau[:, None] / (tau[:, None] + tau[None, :])
    square = (tau[:, None] + tau[None, :]) ** 2
    shares = w * (ratio @ w)
    by_weight = w[:, None] * ratio + np.diag(ratio @ w)
    own = np.diag(w * ((2.0 * tau[None, :] / square) @ w))
    by_lifetime = own - np.outer(w, w) * 2.0 * tau[:, None] / square
    kernels = np.stack([two_sided_density(lag, float(T), sigma_s) for T in tau])
    slopes = np.stack([two_sided_gradient(lag, float(T), sigma_s)[1] for T in tau])
    result = np.empty((n, 2, lag.size))
    result[:, 0] = by_weight.T @ kernels
    result[:, 1] = by_lifetime.T @ kernels + shares[:, None] * slopes
    return result
