import numpy as np
import pytest

from labctl.spectra.wide_hits import widest_excess

PIXELS = 400


@pytest.mark.parametrize("width", [2, 4, 8, 12])
def test_a_run_is_found_where_it_is_with_the_significance_of_least_squares(width):
    pull = np.zeros(PIXELS)
    pull[200 : 200 + width] = 6.0
    found = widest_excess(pull, np.zeros(PIXELS))
    assert (found.first, found.last) == (200, 199 + width)
    # Height over error of a box beside a parabola, by least squares over the same pixels.
    beside = max(2 * width, 4)
    x = np.arange(200 - beside, 200 + width + beside)
    design = np.stack(
        [(x >= 200) & (x < 200 + width), np.ones(x.size), x - x.mean(), (x - x.mean()) ** 2], axis=1
    )
    error = np.sqrt(np.linalg.inv(design.T @ design)[0, 0])
    assert found.sigma == pytest.approx(6.0 / error)


def test_what_is_smooth_over_a_line_is_no_hit():
    x = np.arange(PIXELS) - 200.0
    for smooth in (40.0 - 0.01 * x**2, 0.3 * x, 15.0 * np.exp(-0.5 * (x / 40.0) ** 2)):
        assert widest_excess(smooth / max(1.0, np.abs(smooth).max() / 15.0), np.zeros(PIXELS)) is None


def test_clean_pixels_hold_no_hit_and_their_skewness_is_allowed_for():
    rng = np.random.default_rng(1)
    assert all(widest_excess(rng.normal(size=1024), np.zeros(1024)) is None for _ in range(100))
    # An exponential's third cumulant over the cube of its standard deviation is 2.
    frames = rng.exponential(size=(100, 1024)) - 1.0
    untold = sum(widest_excess(frame, np.zeros(1024)) is not None for frame in frames)
    told = sum(widest_excess(frame, np.full(1024, 2.0)) is not None for frame in frames)
    assert untold > 10 and told < 0.2 * untold
