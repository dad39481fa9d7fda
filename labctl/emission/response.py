"""What the instruments do to the light: timing jitter and spectral resolution.

An exponential of lifetime T seen through a Gaussian response of standard deviation s is

    E(x) = 1/2 exp(s^2/2T^2 - x/T) erfc(z),     z = (s/T - x/s) / sqrt(2)
         = 1/2 exp(-x^2/2s^2) erfcx(z)

The first form overflows for x << 0, the second for x >> 0: each is used on its own side of z = 0, where
every factor stays between 0 and 2. The exponential of both sides of zero is f(x) = E(x) + E(-x), its
normalised cumulative F(x) = Phi(x/s) + (E(-x) - E(x)) / 2. Counts in a bin are differences of F, exact for
any bin width.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.emission.error_function import erfc, erfcx, normal_cdf

Array = NDArray[np.float64]

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
HC_EV_NM = 1239.841984332003
"""Planck constant times speed of light (exact SI values) in eV nm."""


def pair_sigma_s(start_fwhm_s: float, stop_fwhm_s: float, tagger_rms_s: float) -> float:
    """Standard deviation of a start-stop delay.

    sigma^2 = sigma_start^2 + sigma_stop^2 + 2 sigma_tagger^2, all Gaussian.

    Args:
        start_fwhm_s: Jitter of the start detector, full width at half maximum.
        stop_fwhm_s: The same of the stop detector.
        tagger_rms_s: Jitter of the time tagger on one channel, standard deviation.
    """
    return math.sqrt((start_fwhm_s**2 + stop_fwhm_s**2) / FWHM_PER_SIGMA**2 + 2.0 * tagger_rms_s**2)


def resolution_eV(fwhm_nm: float, energy_eV: float) -> float:
    """Standard deviation in energy of a spectrometer's resolution at one photon energy.

    Args:
        fwhm_nm: Full width at half maximum in wavelength.
        energy_eV: Where in the spectrum.
    """
    return fwhm_nm / FWHM_PER_SIGMA * energy_eV**2 / HC_EV_NM


def exponential(x_s: ArrayLike, lifetime_s: float, sigma_s: float = 0.0) -> Array:
    """One-sided exponential exp(-x/T), x >= 0, through a Gaussian response: E(x) above (not normalised).

    Args:
        x_s: Times, any shape.
        lifetime_s: T, positive.
        sigma_s: Standard deviation of the response; 0 gives the bare exponential, 1/2 at x = 0.

    Raises:
        ValueError: lifetime not positive, or response negative.
    """
    _check(lifetime_s, sigma_s)
    x = np.asarray(x_s, dtype=np.float64)
    if x.ndim == 0:
        return np.asarray(exponential(x[None], lifetime_s, sigma_s)[0])
    if sigma_s == 0.0:
        return np.where(x == 0.0, 0.5, np.where(x > 0.0, np.exp(-np.maximum(x, 0.0) / lifetime_s), 0.0))
    ratio = sigma_s / lifetime_s
    # Beyond 9.2 sigma after the rise erfc(z) is 2 to the last bit, 39 sigma before it exp(-x^2/2s^2) is 0:
    # only the points between need the error function.
    falls_alone = x > sigma_s * (ratio + 9.2)
    late = np.where(falls_alone, x, 0.0)
    result = np.where(falls_alone, np.exp(np.minimum(0.5 * ratio * ratio - late / lifetime_s, 0.0)), 0.0)
    near = ~falls_alone & (x > -39.0 * sigma_s) | np.isnan(x)
    result[near] = _near_exponential(x[near], ratio, sigma_s)
    return result


def _near_exponential(x: Array, ratio: float, sigma_s: float) -> Array:
    """E(x) around its rise by whichever of the two forms cannot overflow."""
    z = (ratio - x / sigma_s) / math.sqrt(2.0)
    rising = np.exp(-0.5 * np.square(x / sigma_s)) * erfcx(np.maximum(z, 0.0))
    # Where z < 0, x > s^2/T, so that the exponent is below -s^2/2T^2: nothing can overflow.
    late = np.where(z < 0.0, x, ratio * sigma_s)
    falling = np.exp(0.5 * ratio * ratio - ratio * late / sigma_s) * erfc(np.minimum(z, 0.0))
    return 0.5 * np.where(z < 0.0, falling, rising)


def exponential_density(x_s: ArrayLike, lifetime_s: float, sigma_s: float = 0.0) -> Array:
    """Decay of unit area, exp(-x/T)/T for x >= 0, through a Gaussian response. Per second."""
    return exponential(x_s, lifetime_s, sigma_s) / lifetime_s


def two_sided_density(x_s: ArrayLike, lifetime_s: float, sigma_s: float = 0.0) -> Array:
    """exp(-|x|/T) / 2T, unit area, through a Gaussian response. Per second."""
    x = np.asarray(x_s, dtype=np.float64)
    both = exponential(x, lifetime_s, sigma_s) + exponential(-x, lifetime_s, sigma_s)
    return both / (2.0 * lifetime_s)


def two_sided_cumulative(x_s: ArrayLike, lifetime_s: float, sigma_s: float = 0.0) -> Array:
    """Area of :func:`two_sided_density` below x, from 0 to 1."""
    x = np.atleast_1d(np.asarray(x_s, dtype=np.float64))
    difference = exponential(-x, lifetime_s, sigma_s) - exponential(x, lifetime_s, sigma_s)
    return (normal_step(x, sigma_s) + 0.5 * difference).reshape(np.shape(x_s))


def two_sided_cumulative_gradient(
    x_s: ArrayLike, lifetime_s: float, sigma_s: float
) -> tuple[Array, Array, Array, Array]:
    """The cumulative and its derivatives with respect to x, lifetime and sigma.

    dF/dx = f / 2T,   dF/dT = [-(E(-x) + E(x)) x/T^2 - (E(-x) - E(x)) s^2/T^3] / 2,
    dF/ds = (E(-x) - E(x)) s / 2T^2   (the Gaussian terms cancel).

    Returns:
        Four arrays (n,): :func:`two_sided_cumulative` and the three derivatives.
    """
    x = np.atleast_1d(np.asarray(x_s, dtype=np.float64))
    after, before = exponential(x, lifetime_s, sigma_s), exponential(-x, lifetime_s, sigma_s)
    total, difference = after + before, before - after
    by_lifetime = -0.5 * (total * x / lifetime_s**2 + difference * sigma_s**2 / lifetime_s**3)
    by_sigma = 0.5 * difference * sigma_s / lifetime_s**2
    return normal_step(x, sigma_s) + 0.5 * difference, total / (2.0 * lifetime_s), by_lifetime, by_sigma


def two_sided_gradient(x_s: ArrayLike, lifetime_s: float, sigma_s: float) -> tuple[Array, Array, Array]:
    """Derivatives of :func:`two_sided_density` with respect to x, lifetime and sigma.

    With f = E(x) + E(-x) and the normalised Gaussian G:  df/dx = (E(-x) - E(x)) / T,
    df/dT = -f s^2/T^3 + x (E(x) - E(-x)) / T^2 + 2 G s^2/T^2,   df/ds = f s/T^2 - 2 G s/T;
    the density is f / 2T.

    Returns:
        Three arrays of the shape of x. Needs sigma > 0.
    """
    if sigma_s <= 0.0:
        raise ValueError(f"response sigma is {sigma_s} s: the derivative needs one above 0")
    x = np.asarray(x_s, dtype=np.float64)
    T, s = lifetime_s, sigma_s
    after, before = exponential(x, T, s), exponential(-x, T, s)
    gauss = np.exp(-0.5 * np.square(x / s)) / (s * math.sqrt(2.0 * math.pi))
    f = after + before
    by_lifetime = -f * s**2 / T**3 + x * (after - before) / T**2 + 2.0 * gauss * s**2 / T**2
    by_sigma = f * s / T**2 - 2.0 * gauss * s / T
    return (before - after) / (2.0 * T**2), by_lifetime / (2.0 * T) - f / (2.0 * T**2), by_sigma / (2.0 * T)


def normal_step(x: Array, sigma_s: float) -> Array:
    """Share of a Gaussian of standard deviation sigma below x; a step with 1/2 at 0 where sigma is 0."""
    if sigma_s == 0.0:
        return np.where(x == 0.0, 0.5, (x > 0.0).astype(np.float64))
    # Beyond 9 sigma the step is 0 or 1 to the last bit that a difference of bins can see.
    result = np.where(x > 0.0, 1.0, 0.0)
    near = np.abs(x) < 9.0 * sigma_s
    result[near] = normal_cdf(x[near] / sigma_s)
    return result


def _check(lifetime_s: float, sigma_s: float) -> None:
    if not lifetime_s > 0.0 or not math.isfinite(lifetime_s):
        raise ValueError(f"lifetime is {lifetime_s} s: it must be above 0")
    if not 0.0 <= sigma_s < math.inf:
        raise ValueError(f"response sigma is {sigma_s} s: it must be 0 or more")
