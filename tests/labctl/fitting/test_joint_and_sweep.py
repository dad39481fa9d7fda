import dataclasses
import json

import numpy as np
import pytest

from labctl.emission.sample import load_sample
from labctl.fitting.constraints import Constraint
from labctl.fitting.g2_fit import G2Options
from labctl.fitting.joint_fit import JointFit, fit_joint
from labctl.fitting.mixed import MixedData
from labctl.fitting.point import fit_point
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import GaussianData, PoissonCounts
from labctl.fitting.sweep_fit import SweepFit, fit_sweep
from labctl.fitting.sweep_start import SweepPoint, alone
from labctl.fitting.value import Value

SIGMA = 57e-12
OPTIONS = G2Options(SIGMA)
SAMPLE = load_sample("xray-A")


def joint_data(bursts, camera, rng, temperature_K=100.0):
    emission = SAMPLE.emission(temperature_K)
    pairs = bursts(rng, emission.weights, emission.lifetimes_s, dead=True, duration_s=0.5, n_blocks=25)
    return emission, camera(rng, emission, electrons=5e3), pairs


def test_joint_errors_cover_the_truth(bursts, camera):
    rng = np.random.default_rng(1)
    pulls = []
    for _ in range(20):
        emission, spectrum, pairs = joint_data(bursts, camera, rng)
        coupled, uncoupled = emission.components
        fit = fit_joint(spectrum, pairs, OPTIONS)
        truth = (
            (fit.coupled_fraction, coupled.weight),
            (fit.red_shift_eV, uncoupled.energy_eV - coupled.energy_eV),
            (fit.tau_fast_s, coupled.lifetime_s),
            (fit.tau_slow_s, uncoupled.lifetime_s),
        )
        pulls.append([(value.value - true) / value.error for value, true in truth])
    inside = np.mean(np.abs(pulls) < 1.0, axis=0)
    # 20 records: 68 % +- 10 %, bounds at 3 of these.
    assert np.all(inside > 0.36) and np.all(inside < 0.99)
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.75)


def test_joint_fit_agrees_with_the_prior_where_the_spectrum_is_sharp(bursts, camera):
    _, spectrum, pairs = joint_data(bursts, camera, np.random.default_rng(2))
    joint = fit_joint(spectrum, pairs, OPTIONS)
    apart = fit_point(spectrum, pairs, response_sigma_s=SIGMA)
    assert joint.tau_fast_s.value == pytest.approx(apart.tau_fast_s.value, rel=0.01)
    assert joint.tau_fast_s.error == pytest.approx(apart.tau_fast_s.error, rel=0.05)
    assert joint.coupled_fraction.error <= 1.05 * apart.coupled_fraction.error
    again = JointFit.from_dict(json.loads(json.dumps(joint.to_dict(), allow_nan=False)))
    assert again.to_dict() == joint.to_dict()
    for found in (joint.spectrum_residuals(spectrum), joint.g2_residuals(pairs)):
        x, pull = found
        assert np.all(np.diff(x) > 0.0) and x.size == pull.size
        # A right model leaves pulls of mean square 1, known to sqrt(2/n).
        assert np.mean(pull**2) == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / pull.size))
    np.testing.assert_array_equal(again.g2_residuals(pairs)[1], joint.g2_residuals(pairs)[1])
    # Light added in one pixel of every frame stands out there, by extra/noise of the mean of 5 frames.
    pixel = int(np.argmin(np.abs(spectrum.wavelength_nm - 620.0)))
    more = spectrum.frames.copy()
    more[:, pixel] += 60
    energy, pull = joint.spectrum_residuals(dataclasses.replace(spectrum, frames=more))
    assert energy[np.argmax(pull)] == pytest.approx(1239.841984 / spectrum.wavelength_nm[pixel])
    noise = np.sqrt((np.maximum(spectrum.frames[:, pixel].mean() - 300.0, 0.0) / 2.0 + 9.0) * (1 / 5 + 1 / 3))
    assert pull.max() > 60.0 / noise - 3.0


def test_a_joint_fit_of_a_spectrum_that_peaks_do_not_describe_is_widened(bursts, camera):
    _, spectrum, pairs = joint_data(bursts, camera, np.random.default_rng(9))
    plain = fit_joint(spectrum, pairs, OPTIONS)
    # Every other pixel 8 counts up: more scatter than the camera's noise, of no shape that peaks could take.
    more = spectrum.frames + 8 * (np.arange(spectrum.wavelength_nm.size) % 2)
    fit = fit_joint(dataclasses.replace(spectrum, frames=more), pairs, OPTIONS)
    chi2 = fit.spectrum_goodness
    assert chi2.p_value < 1e-3
    assert any("errors were widened" in warning for warning in fit.warnings)
    ratio = fit.red_shift_eV.error / plain.red_shift_eV.error
    assert ratio == pytest.approx(np.sqrt(chi2.chi2 / chi2.dof), rel=0.1)


def test_joint_fit_without_light_is_refused(bursts, camera):
    emission, _, pairs = joint_data(bursts, camera, np.random.default_rng(3))
    dark = camera(np.random.default_rng(4), emission, electrons=0.0, cosmic=False)
    with pytest.raises(FitRefused, match=r"no light|flat"):
        fit_joint(dark, pairs, OPTIONS)


def test_mixed_data_add_their_deviances():
    counts, values = np.array([3.0, 0.0]), np.array([1.0, 2.0])
    poisson, gauss = PoissonCounts(counts), GaussianData(values, np.array([0.5, 0.5]))
    mixed = MixedData((poisson, gauss))
    model = np.array([2.0, 1.0, 1.5, 1.5])
    assert mixed.deviance(model) == pytest.approx(poisson.deviance(model[:2]) + gauss.deviance(model[2:]))
    np.testing.assert_array_equal(mixed.variance(model), [2.0, 1.0, 0.5, 0.5])


@pytest.fixture
def sweep(bursts, camera):
    def make(rng, temperatures=(300.0, 200.0, 150.0, 110.0, 80.0), *, electrons=0.0):
        points = []
        for temperature in temperatures:
            emission = SAMPLE.emission(temperature)
            pairs = bursts(
                rng,
                emission.weights,
                emission.lifetimes_s,
                dead=True,
                duration_s=1.0,
                n_blocks=25,
                window_ps=24_000,
                bin_ps=48,
            )
            share = SAMPLE.coupled_fraction(temperature) + rng.normal(0.0, 0.005)
            spectrum = camera(rng, emission, electrons=electrons, cosmic=False) if electrons else None
            points.append(SweepPoint(temperature, pairs, Value(share, 0.005), spectrum))
        return points

    return make


@pytest.mark.parametrize("shared", ["lifetimes", "fraction", "all"])
def test_a_sweep_gives_the_laws_of_the_sample(sweep, shared):
    points = sweep(np.random.default_rng(5), electrons=2e4 if shared == "all" else 0.0)
    fit = fit_sweep(points, OPTIONS, shared=shared)
    estimates = fit.estimates
    assert estimates.value("rate_constant_slow_K").agrees_with(SAMPLE.rate_constant_K, sigmas=3.5)
    assert estimates.value("lifetime_slow_300K_s").agrees_with(3.35e-9, sigmas=3.5)
    assert estimates.value("rate_constant_fast_K").agrees_with(80.07, sigmas=3.5)
    assert fit.lifetime_s("fast", 80.0).agrees_with(0.24e-9, sigmas=3.5)
    assert fit.lifetime_s("slow", 80.0).agrees_with(0.74e-9, sigmas=3.5)
    # At 300 K the law is its own first parameter, known as well as that one.
    warm, law = fit.lifetime_s("slow", 300.0), estimates.value("lifetime_slow_300K_s")
    assert warm.dof == pytest.approx(law.dof) and warm.dof < 1e3
    assert warm.error == pytest.approx(law.error)
    if shared != "lifetimes":
        assert estimates.value("fraction_midpoint_K").agrees_with(140.0, sigmas=3.5)
        assert estimates.value("fraction_steepness_K").agrees_with(16.0, sigmas=3.5)
    if shared == "all":
        coupled, uncoupled = SAMPLE.emission(200.0).components
        # One spectrum alone does not tell 3 % of coupled light from none; the laws do.
        assert fit.coupled_fraction(200.0).agrees_with(coupled.weight, sigmas=3.5)
        assert fit.coupled_fraction(200.0).error < 0.1 * coupled.weight
        assert fit.red_shift_eV(200.0).agrees_with(uncoupled.energy_eV - coupled.energy_eV, sigmas=3.5)
        assert estimates.value("energy_eV[0]").agrees_with(2.45, sigmas=3.5)
        assert all(one.p_value > 1e-3 for one in fit.spectrum_goodness)
    again = SweepFit.from_dict(json.loads(json.dumps(fit.to_dict(), allow_nan=False)))
    assert again.to_dict() == fit.to_dict()


def test_the_background_of_each_point_is_used(bursts):
    """Half of the counts are stray light: untold, mu is half of what it is and lifetimes come out short."""
    rng = np.random.default_rng(11)
    points = []
    for temperature, background in ((80.0, 5e5), (120.0, 3e5)):
        emission = SAMPLE.emission(temperature)
        pairs = bursts(
            rng,
            emission.weights,
            emission.lifetimes_s,
            mu=1.0,
            xrays_per_s=5e5,
            background_per_s=background,
            dead=True,
            duration_s=0.25,
            n_blocks=20,
            window_ps=12_000,
            bin_ps=96,
        )
        share = Value(SAMPLE.coupled_fraction(temperature), 0.005)
        points.append(SweepPoint(temperature, pairs, share, background_Hz=(background, background)))
    fit = fit_sweep(points, OPTIONS)
    assert fit.background_Hz == ((5e5, 5e5), (3e5, 3e5))
    for temperature in (80.0, 120.0):
        emission = SAMPLE.emission(temperature)
        for which, component in (("fast", "coupled"), ("slow", "uncoupled")):
            true = emission.component(component).lifetime_s
            assert fit.lifetime_s(which, temperature).agrees_with(true, sigmas=3.5)
    untold = fit_sweep([dataclasses.replace(point, background_Hz=None) for point in points], OPTIONS)
    assert untold.lifetime_s("fast", 80.0).value < 0.9 * 0.24e-9
    # Starts that were fitted without it do not decide.
    starts = [
        alone(dataclasses.replace(p, background_Hz=None), OPTIONS, "lifetimes", "gaussian") for p in points
    ]
    again = fit_sweep(points, OPTIONS, starts=starts)
    assert again.lifetime_s("fast", 80.0).value == pytest.approx(fit.lifetime_s("fast", 80.0).value, rel=1e-4)


def test_sharing_the_law_sharpens_the_lifetimes(sweep):
    points = sweep(np.random.default_rng(6))
    fit = fit_sweep(points, OPTIONS)
    alone = fit_sweep(points[-2:], OPTIONS)
    assert fit.lifetime_s("slow", 80.0).error <= 1.05 * alone.lifetime_s("slow", 80.0).error
    assert fit.lifetime_s("slow", 300.0).error < 0.5 * alone.lifetime_s("slow", 300.0).error


def test_sweeps_that_cannot_be_fitted_are_refused(sweep):
    points = sweep(np.random.default_rng(7), (300.0, 80.0))
    with pytest.raises(FitRefused, match="two temperatures"):
        fit_sweep(points[:1], OPTIONS)
    with pytest.raises(FitRefused, match="no point of the sweep"):
        fit_sweep([SweepPoint(p.temperature_K, p.pairs, None) for p in points], OPTIONS)
    with pytest.raises(FitRefused, match="law needs 4"):
        fit_sweep(points, OPTIONS, shared="fraction")


def test_a_sweep_of_spectra_holds_what_it_is_told(sweep):
    points = sweep(np.random.default_rng(8), (300.0, 150.0, 130.0, 110.0, 80.0), electrons=2e4)
    bare = [dataclasses.replace(point, pairs=None) for point in points[1:3]]
    mixed = [points[0], *bare, *points[3:]]
    held = (Constraint("rate_constant_fast_K", fixed=80.07), Constraint("fraction_warm", low=0.0))

    fit = fit_sweep(mixed, OPTIONS, shared="all", constraints=held)

    assert fit.estimates.value("rate_constant_fast_K") == Value(80.07, 0.0)
    assert fit.estimates["fraction_warm"] >= 0.0
    assert [one is None for one in fit.goodness] == [False, True, True, False, False]
    assert fit.lifetime_s("fast", 80.0).agrees_with(0.24e-9, sigmas=3.5)
    with pytest.raises(FitRefused, match="two points with a g2"):
        fit_sweep([*bare, points[0]], OPTIONS, shared="all")
