"""The complementary error function and its scaled form for arrays, with numpy alone.

Rational Chebyshev approximations of W. J. Cody, "Rational Chebyshev approximations for the error function",
Math. Comp. 23 (1969) 631-637, in the arrangement of his Fortran routine CALERF. Largest relative error of
erfcx over -5 <= x <= 1e8 against scipy.special: below 1e-15 (see the tests).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_INVERSE_ROOT_PI = 5.6418958354775628695e-1
_SMALL = 0.46875

# erf(x) = x P(x^2)/Q(x^2) for |x| <= 0.46875; leading coefficient first.
_ERF_P = np.array(
    [
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ]
)
_ERF_Q = np.array(
    [1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3]
)
# erfcx(x) = P(x)/Q(x) for 0.46875 < x <= 4.
_MIDDLE_P = np.array(
    [
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ]
)
_MIDDLE_Q = np.array(
    [
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ]
)
# erfcx(x) = (1/sqrt(pi) - r(1/x^2)) / x for x > 4, r = u P(u)/Q(u).
_FAR_P = np.array(
    [
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ]
)
_FAR_Q = np.array(
    [
        1.0,
        2.56852019228982242e0,
        1.87295284992346725e0,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ]
)


def _polynomial(coefficients: Array, x: Array) -> Array:
    """Horner's scheme, leading coefficient first."""
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + coefficient
    return result


def _exp_minus_square(x: Array) -> Array:
    """exp(-x^2) without the rounding of x^2 being multiplied up by the exponential (Cody's splitting)."""
    coarse = np.trunc(x * 16.0) / 16.0
    return np.asarray(np.exp(-coarse * coarse) * np.exp(-(x - coarse) * (x + coarse)))


def _erf_small(x: Array) -> Array:
    square = x * x
    return x * _polynomial(_ERF_P, square) / _polynomial(_ERF_Q, square)


def _erfcx_positive(x: Array) -> Array:
    """exp(x^2) erfc(x) for x > 0.46875."""
    middle = np.minimum(x, 4.0)
    near = _polynomial(_MIDDLE_P, middle) / _polynomial(_MIDDLE_Q, middle)
    far_x = np.maximum(x, 4.0)
    inverse_square = 1.0 / (far_x * far_x)
    correction = inverse_square * _polynomial(_FAR_P, inverse_square) / _polynomial(_FAR_Q, inverse_square)
    return np.where(x <= 4.0, near, (_INVERSE_ROOT_PI - correction) / far_x)


def erfc(x: ArrayLike) -> Array:
    """Complementary error function, 2/sqrt(pi) times the integral of exp(-t^2) from x to infinity.

    Args:
        x: Real numbers, any shape; NaN gives NaN.

    Returns:
        Same shape; 0 beyond x = 26.6 (below the smallest double), 2 far on the negative side.
    """
    x = np.asarray(x, dtype=np.float64)
    size = np.abs(x)
    tail = np.where(size < 27.0, _exp_minus_square(np.minimum(size, 27.0)), 0.0) * _erfcx_positive(size)
    beyond = np.where(x < 0.0, 2.0 - tail, tail)
    return np.where(size <= _SMALL, 1.0 - _erf_small(np.clip(x, -_SMALL, _SMALL)), beyond)


def erfcx(x: ArrayLike) -> Array:
    """Scaled complementary error function exp(x^2) erfc(x).

    Args:
        x: Real numbers, any shape; infinite below x = -26.6, where the true value exceeds every double.

    Returns:
        Same shape; tends to 1/(x sqrt(pi)) for large x.
    """
    x = np.asarray(x, dtype=np.float64)
    size = np.abs(x)
    with np.errstate(over="ignore"):
        growth = np.exp(np.minimum(x * x, 709.0))
        doubled = 2.0 * growth
    positive = _erfcx_positive(size)
    small = growth * (1.0 - _erf_small(np.clip(x, -_SMALL, _SMALL)))
    result = np.where(size <= _SMALL, small, np.where(x < 0.0, doubled - positive, positive))
    return np.where(x < -26.6, np.inf, result)


def normal_cdf(x: ArrayLike) -> Array:
    """Share of a standard normal distribution below x."""
    return 0.5 * erfc(-np.asarray(x, dtype=np.float64) / np.sqrt(2.0))
