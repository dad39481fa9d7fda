import math

import numpy as np
import pytest
from scipy import integrate

from labctl.emission.components import pair_shares
from labctl.emission.first_photon import delay_shares, first_photon, photons_that_matter


@pytest.mark.parametrize("mu", [0.025, 0.25, 2.5])
def test_first_photon_mixture_is_the_closed_form(mu):
    weights, lifetimes = np.array([0.56, 0.44]), np.array([0.24, 0.74])
    t = np.linspace(0.0, 8.0, 41)
    density = (weights / lifetimes * np.exp(-t[:, None] / lifetimes)).sum(axis=1)
    emitted = 1.0 - (weights * np.exp(-t[:, None] / lifetimes)).sum(axis=1)
    expected = mu * density * np.exp(-mu * emitted) / (1.0 - np.exp(-mu))
    w, tau = first_photon(weights, lifetimes, mu)
    assert w.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose((w / tau * np.exp(-t[:, None] / tau)).sum(axis=1), expected, rtol=1e-12)


def test_first_photon_agrees_with_drawn_bursts():
    rng = np.random.default_rng(11)
    n, mu = 400_000, 0.8
    photons = rng.poisson(mu, n)
    burst = np.repeat(np.arange(n), photons)
    delay = rng.exponential(np.where(rng.random(burst.size) < 0.3, 0.24, 0.74))
    order = np.lexsort((delay, burst))
    first = delay[order][np.r_[True, np.diff(burst[order]) > 0]]
    w, tau = first_photon([0.3, 0.7], [0.24, 0.74], mu)
    mean = float((w * tau).sum())
    assert first.mean() == pytest.approx(mean, abs=4 * first.std() / math.sqrt(first.size))


def closed_form(t, mu):
    """h(t) of 0.24 / 0.74 with 0.56 of the light in the first."""
    survives = 0.56 * np.exp(-t / 0.24) + 0.44 * np.exp(-t / 0.74)
    density = 0.56 / 0.24 * np.exp(-t / 0.24) + 0.44 / 0.74 * np.exp(-t / 0.74)
    return mu * density * np.exp(-mu * (1.0 - survives)) / -np.expm1(-mu)


@pytest.mark.parametrize("lag", [-0.9, -0.1, 0.05, 0.6])
def test_delay_between_unequal_counters_is_the_overlap_of_both_decays(lag):
    start, tau = first_photon([0.56, 0.44], [0.24, 0.74], 0.4, photons=14)
    stop = first_photon([0.56, 0.44], [0.24, 0.74], 1.9, photons=14)[0]
    shares = delay_shares(start, stop, tau)
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)
    found = (shares[int(lag > 0)] / tau * np.exp(-abs(lag) / tau)).sum()

    def both(t):
        return closed_form(t, 0.4) * closed_form(t + lag, 1.9)

    expected = integrate.quad(both, max(0.0, -lag), 12.0, epsabs=0, epsrel=1e-10, limit=200)[0]
    assert found == pytest.approx(expected, rel=1e-7)


def test_equal_weights_share_both_sides():
    w, tau = np.array([0.3, 0.7]), np.array([0.24, 0.74])
    before, after = delay_shares(w, w, tau)
    np.testing.assert_allclose(before, after)
    np.testing.assert_allclose(before + after, pair_shares(w, tau))


def test_a_detector_that_is_never_hit_twice_sees_the_decay_itself():
    w, tau = first_photon([0.3, 0.7], [0.24, 0.74], 0.0, photons=3)
    assert w[tau == 0.24].sum() + w[tau == 0.74].sum() == pytest.approx(1.0)
    assert first_photon([0.3, 0.7], [0.24, 0.74], 0.0)[0].tolist() == [0.3, 0.7]


def test_photons_that_matter_leave_out_rare_bursts_only():
    for mu in (0.01, 0.5, 5.0):
        most = photons_that_matter(mu, 1e-6)
        assert mu ** (most + 1) / math.factorial(most + 1) < 1e-6 * mu
        assert mu**most / math.factorial(most) >= 1e-6 * mu


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="photons per burst"):
        first_photon([1.0], [1.0], 9.0)
    with pytest.raises(ValueError, match="one or two"):
        first_photon([0.5, 0.3, 0.2], [1.0, 2.0, 3.0], 0.1)
