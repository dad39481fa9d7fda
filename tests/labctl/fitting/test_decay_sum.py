"""Exponentials through the response by recurrence, against their closed form in ``emission.response``."""

import numpy as np
import pytest

from labctl.emission.response import exponential, normal_step
from labctl.fitting.decay_sum import mixture_means

WIDTH = 32e-12


def summed(edges, shares, lifetimes, by_share, by_lifetime, delay, sigma):
    """Rows of derivatives and the density, per second."""
    rows = np.full((by_lifetime.shape[0] + 3, edges.size - 1), np.nan)
    mixture_means(edges, shares, lifetimes, by_share, by_lifetime, delay, sigma, rows)
    return rows


def density(edges, shares, lifetimes, delay, sigma):
    """Only the density."""
    none = np.zeros((1, 2, lifetimes.size)), np.zeros((1, lifetimes.size))
    return summed(edges, shares, lifetimes, *none, delay, sigma)[-1]


def closed_form(edges, shares, lifetimes, delay, sigma):
    """The same as a difference of Phi + E(-x) before zero and Phi - E(x) after it."""
    x = edges - delay
    below = shares.sum() * normal_step(x, sigma)
    for before, after, lifetime in zip(*shares, lifetimes, strict=True):
        below = below + before * exponential(-x, lifetime, sigma) - after * exponential(x, lifetime, sigma)
    return np.diff(below) / np.diff(edges)


def window(bins, first=-150):
    """Edges of bins."""
    return (first + np.arange(bins + 1)) * WIDTH


@pytest.mark.parametrize("bins", [0.004, 0.03, 0.3, 1.0 / 0.49, 4.0, 60.0])
def test_each_exponential_is_the_closed_form(bins):
    """From a thousandth of the response to a thousand windows; zero within, on an edge and outside."""
    sigma = bins * WIDTH
    rng = np.random.default_rng(5)
    edges = window(300)
    for lifetime in np.geomspace(1e-3 * sigma, 1e3 * edges[-1], 60):
        delay = float(rng.choice([rng.uniform(-1.0, 1.0) * 1e-8, edges[rng.integers(301)], 3e-8, -3e-8]))
        shares = rng.random((2, 1))
        expected = closed_form(edges, shares, np.array([lifetime]), delay, sigma)
        found = density(edges, shares, np.array([lifetime]), delay, sigma)
        # The integral is good to 1e-13, and no better than double precision knows the edges.
        known = 2e-13 + np.spacing(edges[-1]) / sigma
        np.testing.assert_allclose(found * WIDTH, expected * WIDTH, rtol=0.0, atol=known)


def test_many_exponentials_are_their_sum():
    rng = np.random.default_rng(6)
    edges = window(400)
    for _ in range(30):
        lifetimes = np.exp(rng.uniform(np.log(1e-13), np.log(3e-8), 20))
        shares = rng.dirichlet(np.ones(40)).reshape(2, 20)
        sigma, delay = np.exp(rng.uniform(np.log(3e-12), np.log(5e-10))), rng.uniform(-9e-9, 9e-9)
        found = density(edges, shares, lifetimes, delay, sigma)
        expected = closed_form(edges, shares, lifetimes, delay, sigma)
        np.testing.assert_allclose(found * WIDTH, expected * WIDTH, rtol=0.0, atol=3e-13)


@pytest.mark.parametrize("side", [0, 1])
def test_far_tails_keep_their_relative_accuracy(side):
    """Behind the response an exponential is exp(s^2/2T^2 - |x|/T), down to exp(-29)."""
    lifetime, sigma = 0.24e-9, 57e-12
    edges = window(500, first=-250)
    shares = np.zeros((2, 1))
    shares[side] = 1.0
    found = density(edges, shares, np.array([lifetime]), 0.0, sigma)
    distance = edges if side else -edges[::-1]
    found = found if side else found[::-1]
    far = (distance[:-1] > 9.0 * sigma) & (distance[1:] < 29.0 * lifetime)
    height = np.exp(0.5 * (sigma / lifetime) ** 2 - distance[:-1] / lifetime)
    expected = height * -np.expm1(-WIDTH / lifetime) / WIDTH
    assert far.sum() > 150
    np.testing.assert_allclose(found[far], expected[far], rtol=1e-10)
    # On the other side there is nothing.
    np.testing.assert_array_less(np.abs(found[distance[1:] < -9.0 * sigma]) * WIDTH, 1e-15)


@pytest.mark.parametrize(("sigma", "delay"), [(57e-12, 1.3e-9), (3e-12, -2e-9), (6e-10, 4.7e-9)])
def test_derivatives_are_those_of_the_closed_form(sigma, delay):
    rng = np.random.default_rng(7)
    edges = window(300)
    lifetimes = np.array([0.3 * sigma, 0.24e-9, 0.74e-9, 4e-9])
    shares = rng.dirichlet(np.ones(8)).reshape(2, 4)
    by_share, by_lifetime = rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 4)) * lifetimes
    rows = summed(edges, shares, lifetimes, by_share, by_lifetime, delay, sigma)
    moves = [(by_share[i], by_lifetime[i], 0.0, 0.0) for i in range(3)]
    zero = np.zeros_like(shares), np.zeros_like(lifetimes)
    moves += [(*zero, sigma, 0.0), (*zero, 0.0, sigma)]
    for row, (share, lifetime, later, wider) in zip(rows[:-1], moves, strict=True):
        step = 1e-3
        moved = [
            closed_form(edges, shares + h * share, lifetimes + h * lifetime, delay + h * later, width)
            for h in (-2.0 * step, -step, step, 2.0 * step)
            for width in (sigma + h * wider,)
        ]
        # Fifth order, so that the step can be far above rounding.
        expected = (moved[0] - 8.0 * moved[1] + 8.0 * moved[2] - moved[3]) / (12.0 * step)
        scale = (later + wider) or 1.0
        np.testing.assert_allclose(row * scale, expected, rtol=0.0, atol=1e-8 * np.abs(expected).max())
