import json
from pathlib import Path

import numpy as np
import pytest
from iminuit import Minuit
from scipy.special import xlogy
from scipy.stats import exponnorm

from labctl.fitting.decay_fit import DecayData, DecayFit, fit_decay
from labctl.fitting.decay_model import decay_model
from labctl.fitting.refusal import FitRefused

TRPL = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "edinburgh_trpl_export.csv"
EDGES = np.linspace(0.0, 25e-9, 1001)


def drawn(rng, n=100_000, weights=(0.51, 0.49), lifetimes=(1.29e-9, 2.40e-9), sigma_s=80e-12, background=3.0):
    """Arrival times of photons, one by one."""
    time = rng.exponential(rng.choice(lifetimes, n, p=weights)) + rng.normal(3e-9, sigma_s, n)
    return DecayData(EDGES, np.histogram(time, EDGES)[0] + rng.poisson(background, EDGES.size - 1))


def test_lifetimes_of_the_ultraviolet_sample():
    rng = np.random.default_rng(1)
    fit = fit_decay(drawn(rng, 2_000_000))
    assert fit.n_lifetimes == 2
    assert fit.lifetime_s(1).agrees_with(1.29e-9, sigmas=3.5)
    assert fit.lifetime_s(2).agrees_with(2.40e-9, sigmas=3.5)
    assert fit.weight(1).agrees_with(0.51, sigmas=3.5) and fit.weight(2).agrees_with(0.49, sigmas=3.5)
    assert fit.weight(1).error == pytest.approx(fit.weight(2).error)
    # The mean delay is known far better than the parts that it is made of.
    mean = fit.mean_lifetime_s()
    assert mean.agrees_with(0.51 * 1.29e-9 + 0.49 * 2.40e-9, sigmas=3.5)
    assert mean.error < 0.3 * fit.lifetime_s(1).error
    assert fit.estimates.value("response_sigma_s").agrees_with(80e-12, sigmas=3.5)
    assert fit.goodness.p_value > 1e-3


def test_errors_cover_the_truth():
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(60):
        data = drawn(rng, 20_000, (1.0,), (3.48e-9,))
        fit = fit_decay(data, response_sigma_s=80e-12, n_lifetimes=1)
        pulls.append((fit.lifetime_s(1).value - 3.48e-9) / fit.lifetime_s(1).error)
    assert 0.50 < np.mean(np.abs(pulls) < 1.0) < 0.87
    assert abs(np.mean(pulls)) < 0.45


def test_one_lifetime_suffices_where_there_is_one():
    rng = np.random.default_rng(7)
    fits = [fit_decay(drawn(rng, 20_000, (1.0,), (3.48e-9,)), response_sigma_s=80e-12) for _ in range(3)]
    assert [fit.n_lifetimes for fit in fits] == [1] * 3


def test_least_squares_on_few_counts_would_be_biased():
    # Empty bins: the Poisson likelihood is not, sqrt(n) weights are.
    rng = np.random.default_rng(3)
    values = [
        fit_decay(drawn(rng, 600, (1.0,), (3.48e-9,), background=0.2), response_sigma_s=80e-12, n_lifetimes=1)
        .lifetime_s(1)
        .value
        for _ in range(40)
    ]
    assert np.mean(values) == pytest.approx(3.48e-9, abs=3.5 * np.std(values) / np.sqrt(40))


def test_a_measured_response():
    rng = np.random.default_rng(4)
    shape = rng.exponential(0.15e-9, 400_000) + rng.normal(1e-9, 50e-12, 400_000)
    pulse = np.histogram(shape, EDGES)[0].astype(float)
    time = rng.exponential(1.3e-9, 200_000) + rng.choice(shape, 200_000) + 2e-9
    fit = fit_decay(DecayData(EDGES, np.histogram(time, EDGES)[0], pulse), n_lifetimes=1)
    assert fit.lifetime_s(1).agrees_with(1.3e-9, sigmas=3.5)
    assert fit.estimates.value("start_s").agrees_with(2e-9, sigmas=4.0)


@pytest.fixture(scope="module")
def dim():
    """6000 photons of two lifetimes, and their fit."""
    time = np.random.default_rng(14)
    data = drawn(time, 6000, background=0.3)
    data = DecayData(EDGES[::5], data.counts.reshape(-1, 5).sum(axis=1))
    return data, fit_decay(data, n_lifetimes=2, response_sigma_s=80e-12)


def test_few_photons_get_the_profile_likelihoods_intervals(dim):
    """At the ends a deviance written with SciPy and minimised by iminuit has risen as asked."""
    data, fit = dim
    edges_ns = data.edges_s * 1e9

    def deviance(background, counts, start, fast, slow, share):
        shape = sum(
            w * np.diff(exponnorm.cdf(edges_ns, t / 0.08, start, 0.08))
            for w, t in ((share, fast), (1.0 - share, slow))
        )
        model = background + counts * shape
        return 2.0 * np.sum(model - data.counts + xlogy(data.counts, data.counts / model))

    names = ("background", "counts", "start_s", "lifetime_s_1", "lifetime_s_2", "weight_1")
    start = [fit.estimates[name] * (1e9 if "_s" in name else 1.0) for name in names]

    def least(**held):
        minuit = Minuit(deviance, *start)
        minuit.limits["background", "fast", "slow"] = (0.05, None)
        minuit.limits["share"] = (0.0, 1.0)
        for name, value in held.items():
            minuit.values[name], minuit.fixed[name] = value, True
        minuit.simplex().migrad()
        assert minuit.valid
        return minuit.fval

    best = least()
    for name, its in (("lifetime_s_1", "fast"), ("lifetime_s_2", "slow")):
        for rise, ends in ((1.0, fit.intervals_68), (3.84, fit.intervals_95)):
            for end in ends[name]:
                assert least(**{its: end * 1e9}) - best == pytest.approx(rise, rel=0.03)


def test_a_lopsided_interval_is_said_as_such(dim):
    fit = dim[1]
    slow = fit.lifetime_s(2)
    assert slow.lopsided and " +" in str(slow.scaled(1e9))
    low, high = fit.interval_95("lifetime_s_2")
    # Twice the error would have claimed far too short a way up.
    assert high - slow.value > 1.3 * 1.96 * slow.error and low < slow.interval()[0]
    both, other = fit.weight(1), fit.weight(2)
    assert other.value == pytest.approx(1.0 - both.value)
    assert (other.below, other.above) == (both.above, both.below)
    assert DecayFit.from_dict(json.loads(json.dumps(fit.to_dict()))).to_dict() == fit.to_dict()


def test_light_of_earlier_pulses_is_a_long_decay_folded():
    theta = np.array([0.0, 900.0, 2.0, 0.3, 1.5, 14.0, 0.3])
    long = decay_model(np.linspace(0.0, 400.0, 4001), None, theta, 2)
    folded = decay_model(np.linspace(0.0, 10.0, 101), None, theta, 2, 10.0)
    np.testing.assert_allclose(folded[0], long[0].reshape(40, 100).sum(axis=0), rtol=1e-9)
    jacobian = long[1].reshape(40, 100, -1).sum(axis=0)[:, 1:]
    np.testing.assert_allclose(folded[1][:, 1:], jacobian, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("measured", [False, True])
def test_jacobian_agrees_with_finite_differences(n, measured):
    edges = np.linspace(0.0, 10.0, 101)
    response = np.exp(-0.5 * ((np.arange(100) - 20.0) / 3.0) ** 2) if measured else None
    theta = np.array([2.0, 900.0, 2.03, 0.2, *([0.5, 1.5, 4.0][:n]), *([0.3, 0.2][: n - 1])])
    if response is not None:
        response /= response.sum()
    jacobian = decay_model(edges, response, theta, n)[1]
    for index in range(theta.size):
        if measured and index == 3:
            continue
        step = 1e-6
        up, down = theta.copy(), theta.copy()
        up[index] += step
        down[index] -= step
        numeric = decay_model(edges, response, up, n)[0] - decay_model(edges, response, down, n)[0]
        np.testing.assert_allclose(jacobian[:, index], numeric / (2 * step), atol=3e-4)


def test_written_and_read_again():
    fit = fit_decay(drawn(np.random.default_rng(5), 20_000))
    assert (
        DecayFit.from_dict(json.loads(json.dumps(fit.to_dict(), allow_nan=False))).to_dict() == fit.to_dict()
    )


@pytest.mark.skipif(not TRPL.exists(), reason="../shared/data is not beside the repository")
def test_a_real_decay_is_fitted_and_marked_where_the_model_does_not_hold():
    rows = [line.split(",")[:2] for line in TRPL.read_text(encoding="latin-1").splitlines()]
    table = np.array([row for row in rows if row[0][:1].isdigit() and len(row) == 2 and row[1]], dtype=float)
    time_s, counts = table[:, 0] * 1e-9, table[:, 1]
    assert counts.size == 2048 and counts.max() == 20_000 and counts.sum() == 170_813
    step = 9.765625e-9
    edges = step * (np.arange(2049) - 0.5)
    assert np.max(np.abs(time_s - step * np.arange(2048))) < 1e-9
    fit = fit_decay(DecayData(edges, counts), max_lifetimes=3)
    assert fit.n_lifetimes == 3
    assert fit.lifetime_s(1).value < fit.lifetime_s(2).value < fit.lifetime_s(3).value
    # A doped film's delayed emission is no sum of exponentials within 20 000 counts: said, not hidden.
    assert fit.goodness.p_value < 1e-3 and any("widened" in warning for warning in fit.warnings)


@pytest.mark.parametrize(
    ("edges", "counts", "message"),
    [
        (EDGES, np.zeros(1000), "0 counts"),
        (EDGES, np.full(1000, 5.0), "flat"),
        (EDGES, np.r_[np.nan, np.ones(999)], "not numbers"),
        (EDGES, np.r_[-1.0, np.ones(999)], "negative"),
        (EDGES, np.ones(10), "one edge more"),
        (EDGES[:9], np.ones(8), "8 bins"),
        (EDGES[::-1], np.ones(1000), "rise"),
        (EDGES**2, np.ones(1000), "even"),
    ],
)
def test_histograms_that_are_no_decay_are_refused(edges, counts, message):
    with pytest.raises(FitRefused, match=message):
        fit_decay(DecayData(edges, counts))


def test_a_response_that_is_none_is_refused():
    data = drawn(np.random.default_rng(6), 20_000)
    with pytest.raises(FitRefused, match="measured response"):
        fit_decay(DecayData(data.edges_s, data.counts, np.zeros(1000)))
