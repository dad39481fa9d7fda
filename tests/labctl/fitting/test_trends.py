import json

import numpy as np
import pytest
from scipy import optimize

from labctl.emission.sample import load_sample
from labctl.fitting.point import PointFit
from labctl.fitting.refusal import FitRefused
from labctl.fitting.trends import LAWS, Trend, TrendPoint, fit_trend, split_directions, sweep_trends
from labctl.fitting.value import Value

TEMPERATURES = np.array([300.0, 260.0, 220.0, 190.0, 160.0, 130.0, 105.0, 80.0])


def measured(rng, function, error):
    return [TrendPoint(T, Value(function(T) + rng.normal(0, error), error)) for T in TEMPERATURES]


def test_rate_constants_of_the_papers():
    # 3.35 ns at 300 K and 0.90 ns at 80 K give A_X = 143 K; 3.48 and 2.40 ns give 41 K.
    for warm, cold, expected in ((3.35, 0.90, 143.0), (3.48, 2.40, 41.0)):
        trend = fit_trend(
            [TrendPoint(300.0, Value(warm, 0.05)), TrendPoint(80.0, Value(cold, 0.01))], "lifetime"
        )
        assert trend.estimates.value("rate_constant_K").value == pytest.approx(expected, abs=0.8)


def test_lifetimes_of_sample_A_give_its_rate_constant_and_band():
    sample = load_sample("xray-A")
    rng = np.random.default_rng(1)

    def slow(T):
        return sample.emission(T).component("uncoupled").lifetime_s * 1e9

    pulls, inside = [], []
    for _ in range(200):
        trend = fit_trend(measured(rng, slow, 0.03), "lifetime")
        rate = trend.estimates.value("rate_constant_K")
        pulls.append((rate.value - sample.rate_constant_K) / rate.error)
        inside.append(abs(trend.curve(np.array([150.0]))[0] - slow(150.0)) < trend.band(np.array([150.0]))[0])
    assert np.std(pulls) == pytest.approx(1.0, abs=0.17)
    assert np.mean(inside) == pytest.approx(0.68, abs=0.11)


def test_crossover_temperature_follows_the_second_papers_formula():
    trend = fit_trend([TrendPoint(300.0, Value(3.35, 0.05)), TrendPoint(80.0, Value(0.90, 0.01))], "lifetime")
    # 1/T_c = 1/300 + ln(2)/143.4 K: 122.5 K.
    assert trend.crossover_K(2.0).value == pytest.approx(1 / (1 / 300 + np.log(2) / 143.37), rel=1e-3)
    with pytest.raises(ValueError, match="ratio above 1"):
        trend.crossover_K(0.5)


def test_onset_of_the_coupled_fraction():
    sample = load_sample("xray-A")
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(60):
        trend = fit_trend(measured(rng, sample.coupled_fraction, 0.005), "fraction")
        onset = trend.onset_K()
        pulls.append((onset.value - (140.0 + 16.0 * np.log(9.0))) / onset.error)
    assert abs(np.mean(pulls)) < 0.6 and np.std(pulls) == pytest.approx(1.0, abs=0.35)
    assert trend.estimates.value("midpoint_K").agrees_with(140.0, sigmas=3.5)


def test_line_is_weighted_least_squares():
    rng = np.random.default_rng(3)
    points = measured(rng, lambda T: 0.32 - 2e-4 * (T - 80.0), 0.003)
    trend = fit_trend(points, "line")
    x = np.array([p.temperature_K for p in points]) - 190.0
    y = np.array([p.value.value for p in points])
    best, covariance = optimize.curve_fit(
        lambda t, a, b: a + b * t, x, y, sigma=np.full(8, 0.003), absolute_sigma=True
    )
    np.testing.assert_allclose(trend.estimates.values, best, rtol=1e-6)
    np.testing.assert_allclose(trend.estimates.covariance, covariance, rtol=1e-3, atol=1e-14)


@pytest.mark.parametrize("law", ["lifetime", "fraction", "line"])
def test_laws_have_the_right_derivatives(law):
    theta = {"lifetime": [3.3, 150.0], "fraction": [0.05, 0.7, 140.0, 16.0], "line": [0.3, -1e-3]}[law]
    theta, model = np.array(theta), LAWS[law][1]
    for index in range(theta.size):
        step = 1e-6 * abs(theta[index])
        up, down = theta.copy(), theta.copy()
        up[index] += step
        down[index] -= step
        numeric = (model(TEMPERATURES, up)[0] - model(TEMPERATURES, down)[0]) / (2 * step)
        np.testing.assert_allclose(model(TEMPERATURES, theta)[1][:, index], numeric, rtol=1e-6, atol=1e-8)


def test_a_law_that_does_not_hold_is_marked_and_its_errors_widened():
    points = [TrendPoint(T, Value(1.0 + 0.2 * (-1) ** i, 0.01)) for i, T in enumerate(TEMPERATURES)]
    trend = fit_trend(points, "line")
    assert any("widened" in warning for warning in trend.warnings)
    assert trend.estimates.value("at_190K").error > 0.05


def fit_with(tau_slow_ns, error_ns=0.02):
    return PointFit(
        None, None, None, Value(tau_slow_ns * 1e-9, error_ns * 1e-9), None, None, None, (), "test"
    )


def test_cooling_and_warming_are_kept_apart():
    sample = load_sample("xray-A")
    up = [(T, fit_with(sample.emission(T).component("uncoupled").lifetime_s * 1e9)) for T in TEMPERATURES]
    points = up + up[-2::-1]
    assert [(name, len(part)) for name, part in split_directions(points)] == [("cooling", 8), ("warming", 8)]
    cooling, warming = sweep_trends(points)
    for half in (cooling, warming):
        rate = half.trends["tau_slow_s"].estimates.value("rate_constant_K")
        assert rate.agrees_with(sample.rate_constant_K)
        assert "coupled_fraction" in half.refused and "needs 4" in half.refused["coupled_fraction"]


def test_written_and_read_again():
    trend = fit_trend(measured(np.random.default_rng(4), lambda T: 1 + T / 300, 0.1), "line")
    again = Trend.from_dict(json.loads(json.dumps(trend.to_dict(), allow_nan=False)))
    assert again.to_dict() == trend.to_dict()


@pytest.mark.parametrize(
    ("points", "law", "message"),
    [
        ([], "line", "0 points"),
        ([TrendPoint(80.0, Value(1, 1))] * 4, "line", "1 temperatures"),
        ([TrendPoint(80.0, Value(1, 0.0)), TrendPoint(90.0, Value(1, 0.1))], "line", "no error"),
        ([TrendPoint(-80.0, Value(1, 0.1)), TrendPoint(90.0, Value(1, 0.1))], "lifetime", "above 0"),
    ],
)
def test_points_without_a_trend_are_refused(points, law, message):
    with pytest.raises(FitRefused, match=message):
        fit_trend(points, law)
