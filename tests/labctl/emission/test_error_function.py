import math

import numpy as np
import pytest
from scipy import special

from labctl.emission.error_function import erfc, erfcx, normal_cdf


def test_erfcx_agrees_with_scipy_to_the_last_digits():
    x = np.concatenate([np.linspace(-26.5, 30.0, 40001), np.logspace(1, 8, 1000)])
    np.testing.assert_allclose(erfcx(x), special.erfcx(x), rtol=2e-15)


def test_erfc_agrees_with_scipy():
    x = np.linspace(-8.0, 10.0, 40001)
    np.testing.assert_allclose(erfc(x), special.erfc(x), rtol=3e-14)


@pytest.mark.parametrize("x", [0.1, 0.46875, 0.5, 3.999, 4.001, 12.3, 25.4])
def test_erfc_keeps_relative_accuracy_into_the_far_tail(x):
    assert float(erfc(x)) == pytest.approx(math.erfc(x), rel=5e-15)


def test_limits_are_exact_and_nan_stays_nan():
    np.testing.assert_array_equal(erfc([np.inf, -np.inf, 30.0, -30.0]), [0.0, 2.0, 0.0, 2.0])
    np.testing.assert_array_equal(erfcx([np.inf, -30.0]), [0.0, np.inf])
    assert np.isnan(erfc(np.nan)) and np.isnan(erfcx(np.nan))
    np.testing.assert_allclose(normal_cdf([-1.0, 0.0, 1.0]), special.ndtr([-1.0, 0.0, 1.0]), rtol=1e-15)
