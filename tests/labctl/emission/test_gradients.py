from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from labctl.emission import components as c
from labctl.emission import gradients as g

PARTS = (
    c.Component("a", 2.1, 0.07, 0.5, 0.24),
    c.Component("b", 2.3, 0.05, 0.3, 0.5),
    c.Component("c", 2.45, 0.03, 0.2, 1.9),
)
EMISSION = c.Emission(PARTS)


def moved(index, field, step):
    """The emission with one number moved, weights no longer adding up."""
    parts = list(PARTS)
    parts[index] = replace(parts[index], **{field: getattr(parts[index], field) + step})
    weights = np.array([part.weight for part in parts])
    return SimpleNamespace(
        components=tuple(parts), weights=weights, lifetimes_s=np.array([part.lifetime_s for part in parts])
    )


def numeric(function, index, field, step=1e-6):
    return (function(moved(index, field, step)) - function(moved(index, field, -step))) / (2 * step)


CASES = [
    (
        lambda e: c.spectrum_per_eV(e, np.linspace(1.9, 2.6, 60), resolution_eV=0.02),
        lambda e: g.spectrum_gradient(e, np.linspace(1.9, 2.6, 60), resolution_eV=0.02),
        ("energy_eV", "width_eV", "weight"),
    ),
    (
        lambda e: c.decay_per_s(e, np.linspace(-0.5, 5.0, 60), sigma_s=0.1),
        lambda e: g.decay_gradient(e, np.linspace(-0.5, 5.0, 60), sigma_s=0.1),
        ("weight", "lifetime_s"),
    ),
    (
        lambda e: c.decay_per_s(e, np.linspace(0.01, 5.0, 60)),
        lambda e: g.decay_gradient(e, np.linspace(0.01, 5.0, 60)),
        ("weight", "lifetime_s"),
    ),
    (
        lambda e: c.pair_density_per_s(e, np.linspace(-3.0, 3.0, 61), sigma_s=0.057),
        lambda e: g.pair_density_gradient(e, np.linspace(-3.0, 3.0, 61), sigma_s=0.057),
        ("weight", "lifetime_s"),
    ),
]


@pytest.mark.parametrize(("function", "gradient", "fields"), CASES)
def test_analytic_derivatives_agree_with_finite_differences(function, gradient, fields):
    analytic = gradient(EMISSION)
    for index in range(3):
        for row, field in enumerate(fields):
            expected = numeric(function, index, field)
            tolerance = 1e-7 * max(np.max(np.abs(expected)), 1.0)
            np.testing.assert_allclose(analytic[index, row], expected, atol=tolerance)
