import numpy as np
import pytest
from scipy import optimize

from labctl.fitting.profile import profile_interval
from labctl.fitting.solver import GaussianData, Parameter, PoissonCounts, inverse_information, solve
from labctl.fitting.value import Value

X = np.linspace(0.0, 5.0, 60)


def decay(theta):
    height, lifetime, floor = theta
    shape = np.exp(-X / lifetime)
    return height * shape + floor, np.stack(
        [shape, height * shape * X / lifetime**2, np.ones_like(X)], axis=1
    )


def free(**changes):
    start = {"height": 30.0, "lifetime": 0.4, "floor": 1.0}
    return [changes.get(name, Parameter(name, value, 1e-6, 1e3)) for name, value in start.items()]


@pytest.fixture
def counts():
    return np.random.default_rng(1).poisson(decay((50.0, 0.9, 2.0))[0]).astype(float)


def deviance(theta, n):
    m = decay(theta)[0]
    return 2.0 * np.sum(m - n + np.where(n > 0, n * np.log(np.maximum(n, 1) / m), 0.0))


def test_poisson_fit_is_where_another_minimiser_ends(counts):
    fit = solve(decay, PoissonCounts(counts), free())
    other = optimize.minimize(
        deviance,
        (40.0, 0.7, 1.5),
        args=(counts,),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-10},
    )
    assert fit.converged
    np.testing.assert_allclose(fit.values, other.x, rtol=1e-4)
    assert fit.deviance == pytest.approx(other.fun, abs=1e-6)


def test_errors_agree_with_the_scatter_of_fits():
    rng = np.random.default_rng(2)
    fits = [
        solve(decay, PoissonCounts(rng.poisson(decay((50.0, 0.9, 2.0))[0]).astype(float)), free())
        for _ in range(300)
    ]
    values = np.array([fit.values for fit in fits])
    stated = np.mean([np.sqrt(np.diag(fit.covariance())) for fit in fits], axis=0)
    np.testing.assert_allclose(values.std(axis=0), stated, rtol=0.12)


def test_gaussian_fit_is_weighted_least_squares(counts):
    variance = np.linspace(1.0, 9.0, X.size)
    fit = solve(decay, GaussianData(counts, variance), free())
    other = optimize.curve_fit(
        lambda x, a, b, c: a * np.exp(-x / b) + c, X, counts, (30.0, 0.4, 1.0), np.sqrt(variance), True
    )
    np.testing.assert_allclose(fit.values, other[0], rtol=1e-5)
    np.testing.assert_allclose(fit.covariance(), other[1], rtol=1e-3, atol=1e-6)


def test_a_prior_acts_like_one_more_measurement(counts):
    known = Value(0.7, 0.02)
    fit = solve(decay, PoissonCounts(counts), free(lifetime=Parameter("lifetime", 0.4, 0, 9, prior=known)))
    other = optimize.minimize(
        lambda theta: deviance(theta, counts) + ((theta[1] - 0.7) / 0.02) ** 2,
        (40.0, 0.7, 1.5),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-10},
    )
    np.testing.assert_allclose(fit.values, other.x, rtol=1e-4)
    assert np.sqrt(fit.covariance()[1, 1]) < 0.02


def test_fixed_and_bounded_parameters(counts):
    held = solve(decay, PoissonCounts(counts), free(floor=Parameter("floor", 2.0, fixed=True)))
    assert held.values[2] == 2.0 and held.covariance()[2, 2] == 0.0
    edge = solve(decay, PoissonCounts(counts), free(lifetime=Parameter("lifetime", 0.4, 0.1, 0.5)))
    assert edge.converged and edge.at_bound == ("lifetime",)
    assert edge.values[1] == 0.5
    # One-sided: the deviance rises by 1 when the parameter moves inwards by its error.
    error = np.sqrt(edge.covariance()[1, 1])
    assert 0.0 < error < 0.02


def test_profile_interval_is_where_the_profile_deviance_has_risen_by_one(counts):
    fit = solve(decay, PoissonCounts(counts), free())
    interval = profile_interval(decay, PoissonCounts(counts), fit, "lifetime")
    for end in (interval.low, interval.high):
        inner = optimize.minimize(
            lambda rest, end=end: deviance((rest[0], end, rest[1]), counts),
            fit.values[[0, 2]],
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-10},
        )
        assert inner.fun - fit.deviance == pytest.approx(1.0, abs=0.03)
    error = np.sqrt(fit.covariance()[1, 1])
    assert interval.high - interval.low == pytest.approx(2 * error, rel=0.1)


def test_parameters_that_cannot_be_told_apart_are_an_error():
    def twice(theta):
        shape = np.exp(-X)
        return (theta[0] + theta[1]) * shape + 1.0, np.stack([shape, shape], axis=1)

    fit = solve(
        twice, PoissonCounts(np.round(20 * np.exp(-X)) + 1.0), [Parameter("a", 5.0), Parameter("b", 5.0)]
    )
    with pytest.raises(np.linalg.LinAlgError, match="told apart"):
        fit.covariance()
    with pytest.raises(np.linalg.LinAlgError, match="no influence"):
        inverse_information(np.zeros((2, 2)))


def test_a_fit_that_wanders_is_not_called_converged():
    def runaway(theta):
        return np.exp(-X * theta[0]) + 1e-12, (-X * np.exp(-X * theta[0]))[:, None]

    fit = solve(runaway, PoissonCounts(np.zeros(X.size)), [Parameter("rate", 1.0)])
    assert not fit.converged or fit.deviance < 2.1


def test_a_start_outside_the_bounds_is_refused():
    with pytest.raises(ValueError, match="outside its bounds"):
        Parameter("x", 3.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="fix the parameter"):
        Parameter("x", 0.5, 0.0, 1.0, prior=Value(0.5, 0.0))
