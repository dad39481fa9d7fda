"""Photons of a decay in bins: lifetimes through the response, a background, light of earlier pulses."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.emission.response import exponential, normal_step

Array = NDArray[np.float64]

_MOST_EARLIER = 100
_RISE_OVER = 9.0
_DARK = 1e-13


def decay_model(
    edges_s: Array, response: Array | None, theta: Array, n: int, period_s: float | None = None
) -> tuple[Array, Array]:
    """Expected photons and Jacobian.

    Args:
        edges_s: Bin edges (m + 1,).
        response: Measured response (m,), normalised; None for a Gaussian.
        theta: background, counts, start, sigma, then n lifetimes, then n - 1 weights.
        n: Number of lifetimes.
        period_s: Distance of the pulses; light of earlier ones is added.

    Returns:
        Counts (m,) and Jacobian (m, p).
    """
    background, total, start, sigma = (float(x) for x in theta[:4])
    lifetimes, weights = theta[4 : 4 + n], theta[4 + n :]
    shares = np.append(weights, 1.0 - weights.sum())
    # Counts of a measured response lie on average in the middle of their bins.
    middle = 0.0 if response is None else 0.5 * float(edges_s[1] - edges_s[0])
    x = edges_s - start - middle
    width = sigma if response is None else 0.0
    parts = [_with_earlier(x, float(lifetime), width, response, period_s) for lifetime in lifetimes]
    shape = sum(share * part[0] for share, part in zip(shares, parts, strict=True))
    jacobian = np.empty((edges_s.size - 1, theta.size))
    jacobian[:, 0], jacobian[:, 1] = 1.0, shape
    jacobian[:, 2] = total * sum(share * part[1] for share, part in zip(shares, parts, strict=True))
    jacobian[:, 3] = total * sum(share * part[3] for share, part in zip(shares, parts, strict=True))
    for i in range(n):
        jacobian[:, 4 + i] = total * shares[i] * parts[i][2]
        if i < n - 1:
            jacobian[:, 4 + n + i] = total * (parts[i][0] - parts[-1][0])
    # Rounding of the transform may leave -1e-17 where there is no light; counts need a positive model.
    return background + total * np.maximum(np.asarray(shape), _DARK), jacobian


def _with_earlier(
    x: Array, lifetime_s: float, sigma_s: float, response: Array | None, period_s: float | None
) -> list[Array]:
    """As :func:`in_bins`, with the light of all earlier pulses."""
    parts = in_bins(x, lifetime_s, sigma_s, response)
    if period_s is None:
        return parts
    # So late after a pulse its rise is over to 1e-18, and the tails of all pulses before add up to one.
    late = _RISE_OVER * sigma_s + sigma_s**2 / lifetime_s
    k = 1
    while float(x[0]) + k * period_s < late and k <= _MOST_EARLIER:
        earlier = in_bins(x + k * period_s, lifetime_s, sigma_s, response)
        parts = [part + more for part, more in zip(parts, earlier, strict=True)]
        k += 1
    tails = _all_tails(x + k * period_s, lifetime_s, sigma_s, period_s)
    if response is not None:
        tails = [_convolved(part, response) for part in tails]
    return [part + more for part, more in zip(parts, tails, strict=True)]


def _all_tails(x: Array, lifetime_s: float, sigma_s: float, period_s: float) -> list[Array]:
    """The four of :func:`in_bins` for the tails at x, x + period, x + 2 periods, ...: a geometric series."""
    T, s = lifetime_s, sigma_s
    q = math.exp(-period_s / T)
    tail = np.exp(0.5 * (s / T) ** 2 - x / T) / -math.expm1(-period_s / T)
    delay = x + period_s * q / -math.expm1(-period_s / T)
    by_lifetime = -tail * (delay / T**2 - s**2 / T**3)
    return [-np.diff(tail), -np.diff(tail / T), np.diff(by_lifetime), np.diff(-tail * s / T**2)]


def in_bins(x: Array, lifetime_s: float, sigma_s: float, response: Array | None = None) -> list[Array]:
    """Share of a decay in each bin; its derivatives by start, lifetime and sigma.

    Args:
        x: Bin edges relative to the start (n + 1,).
        lifetime_s: Lifetime.
        sigma_s: Standard deviation of a Gaussian response, may be 0.
        response: Measured response (n,) to convolve with.

    With the cumulative C = Phi(x/s) - E(x):  dC/dx = E/T,  dC/dT = -E (x/T^2 - s^2/T^3) - G s^2/T^2,
    dC/ds = -E s/T^2 + G s/T  (the slopes of Phi and E at the rise combine).
    """
    T, s = lifetime_s, sigma_s
    if s == 0.0:
        tail = np.where(x >= 0.0, np.exp(-np.maximum(x, 0.0) / T), 0.0)
        cumulative, gauss = np.where(x >= 0.0, 1.0 - tail, 0.0), np.zeros_like(x)
    else:
        # Only about the rise are error functions needed: elsewhere they are 0 or 1 to 1e-18.
        late = _RISE_OVER * s + s**2 / T
        near = (x > -_RISE_OVER * s) & (x < late)
        after = x >= late
        tail = np.where(after, np.exp(0.5 * (s / T) ** 2 - np.maximum(x, late) / T), 0.0)
        tail[near] = exponential(x[near], T, s)
        cumulative = np.where(after, 1.0, 0.0)
        cumulative[near] = normal_step(x[near], s)
        cumulative -= tail
        gauss = np.exp(-0.5 * np.square(x / s)) / (s * math.sqrt(2.0 * math.pi))
    by_lifetime = -tail * (x / T**2 - s**2 / T**3) - gauss * s**2 / T**2
    by_sigma = -tail * s / T**2 + gauss * s / T
    parts = [np.diff(cumulative), -np.diff(tail / T), np.diff(by_lifetime), np.diff(by_sigma)]
    return parts if response is None else [_convolved(part, response) for part in parts]


def _convolved(piece: Array, response: Array) -> Array:
    """Piece with the measured response, both in bins; the response's own bin 0 is time 0."""
    size = 2 * piece.size
    spectrum = np.fft.rfft(piece, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(spectrum, size)[: piece.size])
