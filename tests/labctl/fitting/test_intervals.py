import numpy as np
import pytest

from labctl.fitting.g2_fit import G2Options, fit_g2
from labctl.fitting.intervals import g2_intervals, minos_intervals
from labctl.fitting.profile import profile_interval
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import Parameter, PoissonCounts, solve
from labctl.fitting.value import Value

X = np.linspace(0.0, 5.0, 60)


def decay(theta):
    shape = np.exp(-X / theta[1])
    gradient = [shape, theta[0] * shape * X / theta[1] ** 2, np.ones_like(X)]
    return theta[0] * shape + theta[2], np.stack(gradient, axis=1)


def test_minos_and_our_own_profile_agree():
    counts = np.random.default_rng(1).poisson(decay((12.0, 0.9, 0.5))[0]).astype(float)
    parameters = [
        Parameter("height", 9.0, 0, 99),
        Parameter("tau", 0.5, 0.01, 99),
        Parameter("floor", 1.0, 0, 99),
    ]
    fit = solve(decay, PoissonCounts(counts), parameters)
    best = [p.at(float(v)) for p, v in zip(parameters, fit.values, strict=True)]
    for rise in (1.0, 3.84):
        minos = minos_intervals(decay, PoissonCounts(counts), best, ["tau"], rise=rise)["tau"]
        own = profile_interval(decay, PoissonCounts(counts), fit, "tau", rise=rise)
        error = np.sqrt(fit.covariance()[1, 1] * rise)
        assert minos.low == pytest.approx(own.low, abs=0.02 * error)
        assert minos.high == pytest.approx(own.high, abs=0.02 * error)
        # The likelihood of a lifetime is longer towards long lifetimes.
        assert minos.high - fit.values[1] > fit.values[1] - minos.low


def test_interval_of_a_lifetime_and_of_one_that_was_held(bursts):
    pairs = bursts(np.random.default_rng(2), duration_s=1.0, n_blocks=25)
    options = G2Options(57e-12, fraction=Value(0.56, 0.005), dead_time_s=0.0, n_lifetimes=2)
    fit = fit_g2(pairs, options)
    interval = g2_intervals(pairs, options, fit)["lifetime_fast_s"]
    assert interval.low < fit.tau_fast_s.value < interval.high
    assert 0.5 * (interval.high - interval.low) == pytest.approx(fit.tau_fast_s.error, rel=0.35)
    with pytest.raises(FitRefused, match="not a free parameter"):
        g2_intervals(pairs, options, fit, ["response_sigma_s"])
