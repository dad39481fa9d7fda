"""Pairs of blind counters as the live fit expects them, against a quadrature of the physics.

Nothing is shared with the fit: no mixture of exponentials, but the density of the first photon itself,

    h(t) = mu f(t) exp(-mu F(t)) / p,    p = 1 - exp(-mu),

integrated by Gauss and Legendre over the start's time, and over the response.
"""

import numpy as np
import pytest

from labctl.fitting.blinding import Blinding
from labctl.fitting.live_blinding import expected_pairs
from labctl.fitting.pair_model import PairModel

WIDTH, FIRST, BINS = 16e-12, -600, 1300
EDGES = (FIRST + np.arange(BINS + 1)) * WIDTH
ACCIDENTALS = np.linspace(40.0, 60.0, BINS)
# level, contrast, fraction, both lifetimes, delay, response; recorded rates; dead time
DIM = np.array([1.02, 4e-7, 0.56, 0.24e-9, 0.74e-9, 0.3e-9, 57e-12]), (1e5, 1.3e5), 77e-9
BRIGHT = np.array([0.9, 1.2e-6, 0.3, 0.2e-9, 0.9e-9, 0.705e-9, 90e-12]), (4e5, 7e5), 6e-9
SWAPPED = np.array([1.0, 8e-7, 0.7, 0.8e-9, 0.3e-9, 0.7e-9, 30e-12]), (1e6, 1e5), 7e-9


def expected(theta, rates, dead_time):
    """Jacobian and the model (8, n)."""
    rows = np.full((8, BINS), np.nan)
    expected_pairs(theta, EDGES, ACCIDENTALS, np.array(rates), dead_time, rows)
    return rows


def legendre(ends, nodes):
    """Places and weights of a rule on each of the pieces between ``ends`` (..., pieces + 1)."""
    node, weight = np.polynomial.legendre.leggauss(nodes)
    half, middle = 0.5 * np.diff(ends), 0.5 * (ends[..., 1:] + ends[..., :-1])
    shape = (*ends.shape[:-1], -1)
    places = middle[..., None] + half[..., None] * node
    return places.reshape(shape), (half[..., None] * weight).reshape(shape)


def photons_per_burst(contrast, rates, dead_time):
    """mu of start and stop: R C = p P(both awake) / P(the other awake)."""
    awake = [1.0 - rate * dead_time for rate in rates]
    chance = 0.5 * contrast * sum(rates)
    both = awake[0] * awake[1] + rates[0] * rates[1] * dead_time * (contrast - dead_time * chance)
    return [-np.log1p(-rates[own] * contrast * awake[1 - own] / both) for own in (0, 1)]


def share_below(x, theta, mu):
    """Share of the delays between first photons that are below x (n,), seen through the response."""
    fraction, fast, slow, sigma = theta[2], theta[3], theta[4], theta[6]
    longest = max(fast, slow)
    t, weight = legendre(longest * np.array([0.0, 0.1, 0.3, 0.7, 1.5, 3.0, 6.0, 12.0, 34.0]), 10)

    def decay(time):
        early, late = fraction * np.exp(-time / fast), (1.0 - fraction) * np.exp(-time / slow)
        return early / fast + late / slow, 1.0 - early - late

    def fired(own, time):
        return np.expm1(-mu[own] * decay(time)[1]) / np.expm1(-mu[own])

    def first(own, time):
        density, integral = decay(time)
        return mu[own] * density * np.exp(-mu[own] * integral) / -np.expm1(-mu[own])

    # The response cuts at |v| = 8 sigma and where the delay changes its sign: there is a kink.
    kink = np.clip(x, -8.0 * sigma, 8.0 * sigma)
    low, high = np.full_like(x, -8.0 * sigma), np.full_like(x, 8.0 * sigma)
    v, by_v = legendre(np.stack([low, 0.5 * (low + kink), kink, 0.5 * (kink + high), high], axis=-1), 12)
    by_v = by_v * np.exp(-0.5 * (v / sigma) ** 2) / (sigma * np.sqrt(2.0 * np.pi))
    delay = (x[:, None] - v)[..., None]
    lag = np.abs(delay)
    # Stop before start + lag; for a negative delay one minus start before stop + |lag|.
    both = [(weight * first(own, t) * fired(1 - own, t + lag)).sum(-1) for own in (0, 1)]
    return (np.where(delay[..., 0] >= 0.0, both[0], 1.0 - both[1]) * by_v).sum(-1)


@pytest.mark.parametrize(("theta", "rates", "dead_time"), [DIM, BRIGHT, SWAPPED])
def test_pairs_of_blind_counters_are_those_of_the_quadrature(theta, rates, dead_time):
    level, contrast, delay = theta[0], theta[1], theta[5]
    mu = photons_per_burst(contrast, rates, dead_time)
    centre = round(delay / WIDTH) - FIRST
    k = np.unique(np.r_[np.arange(8, BINS, 60), centre + np.arange(-24, 24, 3)])
    below, above, middle = (
        share_below(EDGES[k] + move * WIDTH - delay, theta, mu) for move in (0.0, 1.0, 0.5)
    )
    rows = expected(theta, rates, dead_time)
    lag = EDGES[k] + 0.5 * WIDTH - delay
    start, stop = rates[0] * contrast, rates[1] * contrast
    far = 1.0 - np.where(np.abs(lag) < dead_time, start + (stop - start) * middle, 0.0)
    # Half of the middle bin's pairs are taken to come before its middle.
    np.testing.assert_allclose(rows[0, k] / ACCIDENTALS[k], far, rtol=0.0, atol=2e-4 * abs(stop - start))
    peak = contrast * (above - below) / WIDTH
    found = rows[7, k] / ACCIDENTALS[k] - level * rows[0, k] / ACCIDENTALS[k]
    # Bursts rarer than one in a million are left out.
    np.testing.assert_allclose(found, peak, rtol=1e-5, atol=1e-10 * peak.max())


@pytest.mark.parametrize(("theta", "rates", "dead_time"), [DIM, BRIGHT, SWAPPED, (DIM[0], DIM[1], 0.0)])
def test_derivatives_are_finite_differences(theta, rates, dead_time):
    rows = expected(theta, rates, dead_time)
    scale = np.abs(theta)
    for i in range(7):
        step = np.zeros(7)
        step[i] = 1e-4 * scale[i]
        a, b, c, d = (expected(theta + n * step, rates, dead_time)[7] for n in (-2, -1, 1, 2))
        slope = (a - 8.0 * b + 8.0 * c - d) / 12e-4
        np.testing.assert_allclose(rows[i] * scale[i], slope, rtol=0.0, atol=1e-8 * np.abs(slope).max())


@pytest.mark.parametrize("dead_time", [77e-9, 5e-9, 0.0])
def test_the_stored_fits_model_is_the_same(dead_time):
    """Any parameters, also on bounds: one component, no bursts, more light than a counter sees."""
    rng = np.random.default_rng(3)
    thetas = np.column_stack(
        [
            rng.uniform(0.0, 2.0, 12),
            np.exp(rng.uniform(np.log(1e-9), np.log(3e-6), 12)),
            rng.random(12),
            *np.exp(rng.uniform(np.log(1e-11), np.log(3e-9), (2, 12))),
            rng.uniform(-1e-9, 1e-9, 12),
            np.exp(rng.uniform(np.log(3e-12), np.log(3e-10), 12)),
        ]
    )
    thetas[0, 1], thetas[1, 2], thetas[2, 2], thetas[3, 1] = 0.0, 0.0, 1.0, 2e-5
    for theta in thetas:
        rates = tuple(np.exp(rng.uniform(np.log(1e4), np.log(6e5), 2)))
        stored = PairModel(
            EDGES, ACCIDENTALS, 2, blinding=Blinding(rates, dead_time) if dead_time > 0.0 else None
        )
        model, jacobian = stored(theta)
        rows = expected(theta, rates, dead_time)
        np.testing.assert_allclose(rows[7], model, rtol=1e-9, atol=1e-12 * model.max())
        for i in range(7):
            # The stored fit differentiates the mixture numerically.
            own = jacobian[:, i]
            size = np.abs(own).max()
            np.testing.assert_allclose(rows[i], own, rtol=0.0, atol=2e-5 * size, err_msg=f"{i} of {theta}")
