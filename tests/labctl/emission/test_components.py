import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from labctl.emission import components as c

PAPER_B = c.Emission(
    (
        c.Component("coupled", 2.33, 0.05, 0.56, 0.24e-9),
        c.Component("uncoupled", 2.45, 0.026, 0.44, 0.74e-9),
    )
)

finite = {"allow_nan": False, "allow_infinity": False}
emissions = st.builds(
    lambda w, e, shift, s1, s2, t1, ratio: c.Emission(
        (c.Component("coupled", e - shift, s1, w, t1), c.Component("uncoupled", e, s2, 1.0 - w, t1 * ratio))
    ),
    st.floats(0.0, 1.0, **finite),
    st.floats(2.2, 2.8),
    st.floats(0.01, 0.4),
    st.floats(0.01, 0.1),
    st.floats(0.01, 0.1),
    st.floats(0.05e-9, 2e-9),
    st.floats(1.0, 20.0),
)


@settings(deadline=None, max_examples=40)
@given(emissions)
def test_spectrum_decay_and_pairs_have_unit_area(emission):
    energy = np.linspace(0.8, 4.0, 6401)
    assert np.trapezoid(c.spectrum_per_eV(emission, energy), energy) == pytest.approx(1.0, abs=1e-6)
    edges = np.linspace(0.0, 2e-6, 3)
    assert c.decay_in_bins(emission, edges).sum() == pytest.approx(1.0, abs=1e-9)
    lag = np.linspace(-2e-6, 2e-6, 4)
    assert c.pair_share_in_bins(emission, lag, sigma_s=57e-12).sum() == pytest.approx(1.0, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(emissions, st.floats(0.0, 5e-9), st.floats(0.0, 0.3e-9))
def test_pairs_are_symmetric_and_fall_to_one_at_infinity(emission, lag, sigma):
    ahead = float(c.g2(emission, lag, contrast_s=1e-7, sigma_s=sigma))
    behind = float(c.g2(emission, -lag, contrast_s=1e-7, sigma_s=sigma))
    assert ahead == pytest.approx(behind, rel=1e-12)
    assert float(c.g2(emission, 1e-3, contrast_s=1e-7, sigma_s=sigma)) == pytest.approx(1.0, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(emissions)
def test_a_component_without_weight_leaves_nothing(emission):
    coupled, uncoupled = emission.components
    bare = c.Emission((c.Component(**{**vars(uncoupled), "weight": 1.0}),))
    dark = c.Emission(
        (
            c.Component(**{**vars(coupled), "weight": 0.0}),
            c.Component(**{**vars(uncoupled), "weight": 1.0}),
        )
    )
    lag = np.linspace(-3e-9, 3e-9, 31)
    np.testing.assert_allclose(c.pair_density_per_s(dark, lag), c.pair_density_per_s(bare, lag), rtol=1e-12)
    np.testing.assert_allclose(
        c.spectrum_per_eV(dark, np.linspace(2, 3, 11)), c.spectrum_per_eV(bare, np.linspace(2, 3, 11))
    )
    np.testing.assert_allclose(
        c.decay_per_s(dark, lag[lag > 0]), c.decay_per_s(bare, lag[lag > 0]), rtol=1e-12
    )


@pytest.mark.parametrize("lag", [0.0, 0.1e-9, 0.6e-9, 3e-9])
def test_pair_density_is_the_overlap_of_the_decay_with_itself(lag):
    def integrand(t):
        return float(c.decay_per_s(PAPER_B, t * 1e-9) * c.decay_per_s(PAPER_B, t * 1e-9 + lag)) * 1e-9

    overlap = integrate.quad(integrand, 0.0, 30.0, points=[0.2, 1.0, 4.0], epsrel=1e-11, limit=300)[0]
    assert float(c.pair_density_per_s(PAPER_B, lag)) == pytest.approx(overlap, rel=1e-9)


def test_pair_density_agrees_with_drawn_photons():
    rng = np.random.default_rng(3)
    n = 400_000
    t = [rng.exponential(np.where(rng.random(n) < 0.56, 0.24e-9, 0.74e-9)) for _ in range(2)]
    sigma = 57e-12
    delay = t[1] - t[0] + rng.normal(0.0, sigma, n)
    edges = np.linspace(-3e-9, 3e-9, 61)
    expected = n * c.pair_share_in_bins(PAPER_B, edges, sigma_s=sigma)
    drawn = np.histogram(delay, edges)[0]
    chi2 = float(np.sum((drawn - expected) ** 2 / expected))
    assert chi2 < 60 + 4 * math.sqrt(120)
    naive = n * 0.5 * np.diff(edges)[0] * 2 * c.naive_pair_density_per_s(PAPER_B, edges, sigma_s=sigma)
    assert np.max(np.abs(0.5 * (naive[1:] + naive[:-1]) - drawn) / np.sqrt(expected)) > 10


def test_wavelength_spectrum_carries_the_jacobian():
    wavelength = np.linspace(380.0, 800.0, 20001)
    per_nm = c.spectrum_per_nm(PAPER_B, wavelength)
    assert np.trapezoid(per_nm, wavelength) == pytest.approx(1.0, abs=1e-8)
    energy = c.HC_EV_NM / wavelength
    np.testing.assert_allclose(per_nm * wavelength**2 / c.HC_EV_NM, c.spectrum_per_eV(PAPER_B, energy))
    # The maximum in wavelength is not where the maximum in energy is.
    mean_E = float(np.sum(energy * per_nm) / np.sum(per_nm))
    assert mean_E == pytest.approx(0.56 * 2.33 + 0.44 * 2.45, abs=1e-6)


def test_shares_in_wavelength_bins_are_integrals():
    edges = np.linspace(400.0, 700.0, 7)
    fine = np.linspace(400.0, 700.0, 60001)
    cumulative = integrate.cumulative_simpson(c.spectrum_per_nm(PAPER_B, fine), x=fine, initial=0.0)
    np.testing.assert_allclose(c.spectrum_shares(PAPER_B, edges), np.diff(cumulative[::10000]), atol=1e-10)
    np.testing.assert_allclose(
        c.spectrum_shares(PAPER_B, edges[::-1])[::-1], c.spectrum_shares(PAPER_B, edges)
    )


def test_resolution_adds_in_quadrature():
    line = c.Component("x", 2.0, 0.03, 1.0, 1e-9)
    assert float(c.line_per_eV(line, 2.0, resolution_eV=0.04)) == pytest.approx(
        1 / (0.05 * math.sqrt(2 * math.pi))
    )


def test_decay_through_the_response_is_its_integral_over_bins():
    edges = np.linspace(-1e-9, 6e-9, 8)
    fine = np.linspace(-1e-9, 6e-9, 700001)
    curve = c.decay_per_s(PAPER_B, fine, sigma_s=0.1e-9)
    numeric = np.diff(integrate.cumulative_simpson(curve, x=fine, initial=0.0)[::100000])
    np.testing.assert_allclose(c.decay_in_bins(PAPER_B, edges, sigma_s=0.1e-9), numeric, atol=1e-10)


def test_contrast_of_poisson_bursts_is_one_over_the_rate():
    assert c.contrast_s(2e6) == pytest.approx(5e-7)
    assert c.contrast_s(2e6, signal_share=0.5) == pytest.approx(1.25e-7)


def test_light_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="add up"):
        c.Emission((c.Component("a", 2.4, 0.1, 0.5, 1e-9),))
    with pytest.raises(ValueError, match="lifetime_s"):
        c.Component("a", 2.4, 0.1, 0.5, 0.0)
    with pytest.raises(ValueError, match="weight"):
        c.Component("a", 2.4, 0.1, 1.5, 1e-9)
    with pytest.raises(ValueError, match="X-ray rate"):
        c.contrast_s(0.0)
