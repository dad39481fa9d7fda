import math

import numpy as np
import pytest
from scipy import integrate, special

from labctl.emission import response


def quadrature(x, lifetime, sigma):
    """exp(-t/T)/T for t > 0 against a Gaussian, by numerical integration."""

    def integrand(t):
        gauss = math.exp(-0.5 * ((x - t) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
        return math.exp(-t / lifetime) / lifetime * gauss

    low, high = max(0.0, x - 9 * sigma), max(0.0, x + 9 * sigma)
    return integrate.quad(integrand, low, high, epsabs=0, epsrel=1e-12, limit=200)[0] if high > low else 0.0


@pytest.mark.parametrize("lifetime", [0.05, 0.24, 3.35])
@pytest.mark.parametrize("sigma", [0.02, 0.057, 0.4])
def test_convolved_exponential_agrees_with_numerical_integration(lifetime, sigma):
    for x in (-3 * sigma, -0.1, 0.0, 0.03, 0.5, 4.0):
        expected = quadrature(x, lifetime, sigma)
        value = float(response.exponential_density(x, lifetime, sigma))
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_convolved_exponential_is_finite_where_textbook_forms_overflow():
    x = np.array([-1e3, -40.0, -1.0, 0.0, 1.0, 40.0, 1e3])
    for lifetime in (1e-3, 1.0, 1e3):
        for sigma in (1e-6, 0.05, 5.0):
            values = response.exponential(x, lifetime, sigma)
            assert np.all(np.isfinite(values)) and np.all(values >= 0.0) and np.all(values <= 1.0)


def test_cumulative_is_the_integral_of_the_density():
    x = np.linspace(-20.0, 20.0, 400001)
    for sigma in (0.0, 0.057, 0.5):
        density = response.two_sided_density(x, 0.74, sigma)
        cumulative = response.two_sided_cumulative(x, 0.74, sigma)
        numeric = integrate.cumulative_simpson(density, x=x, initial=0.0)
        tolerance = 1e-9 if sigma else 2e-4
        np.testing.assert_allclose(cumulative - cumulative[0], numeric, atol=tolerance)
        assert float(cumulative[-1]) == pytest.approx(1.0, abs=1e-11)


def test_symmetric_about_zero():
    x = np.linspace(0.0, 5.0, 101)
    np.testing.assert_array_equal(
        response.two_sided_density(x, 0.3, 0.06), response.two_sided_density(-x, 0.3, 0.06)
    )


def finite_difference(function, values, index, step):
    up, down = list(values), list(values)
    up[index], down[index] = values[index] + step, values[index] - step
    return (function(*up) - function(*down)) / (2 * step)


@pytest.mark.parametrize("lifetime", [0.05, 0.24, 2.0])
def test_analytic_derivatives_agree_with_finite_differences(lifetime):
    x = np.linspace(-2.0, 2.0, 201)
    cumulative = response.two_sided_cumulative_gradient(x, lifetime, 0.057)
    np.testing.assert_array_equal(cumulative[0], response.two_sided_cumulative(x, lifetime, 0.057))
    for function, gradient in (
        (response.two_sided_cumulative, cumulative[1:]),
        (response.two_sided_density, response.two_sided_gradient(x, lifetime, 0.057)),
    ):
        for index, analytic in enumerate(gradient):
            numeric = finite_difference(function, (x, lifetime, 0.057), index, 1e-6)
            np.testing.assert_allclose(analytic, numeric, atol=1e-7 * np.max(np.abs(numeric)) + 1e-9)


def test_pair_response_adds_all_four_jitters():
    # Two detectors of 50 ps FWHM and a tagger of 34 ps rms on each channel.
    assert response.pair_sigma_s(50e-12, 50e-12, 34e-12) == pytest.approx(56.7e-12, rel=2e-3)


def test_spectrometer_resolution_in_energy():
    # 1 nm at 2.45 eV is 2.45^2 / 1239.84 eV.
    fwhm = 2.3548200450309493
    assert response.resolution_eV(fwhm, 2.45) == pytest.approx(2.45**2 / 1239.841984)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="lifetime"):
        response.exponential(np.zeros(2), 0.0, 0.1)
    with pytest.raises(ValueError, match="sigma"):
        response.exponential(np.zeros(2), 1.0, -0.1)


def test_normal_step_under_the_cumulative():
    x = np.linspace(-1.0, 1.0, 101)
    short = response.two_sided_cumulative(x, 1e-9, 0.057)
    np.testing.assert_allclose(short, special.ndtr(x / 0.057), atol=1e-12)
