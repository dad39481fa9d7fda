import dataclasses
import json

import numpy as np
import pytest

from labctl.emission.components import Component, Emission, spectrum_per_eV
from labctl.emission.sample import load_sample
from labctl.errors import InputError
from labctl.fitting.constraints import Constraint
from labctl.fitting.lines import line
from labctl.fitting.refusal import FitRefused
from labctl.fitting.spectrum_fit import SpectrumOptions, fit_spectrum
from labctl.fitting.spectrum_model import parameter_names, spectrum_model
from labctl.fitting.spectrum_result import SpectrumFit
from labctl.fitting.sweep_pixels import pixels
from labctl.fitting.value import Value
from labctl.spectra.frames import SpectrumData
from simulators.kymera import BLAZED_GRATINGS
from simulators.optics import SpectrographState, electrons_per_photon, pixel_centres_nm, quantum_efficiency


@pytest.mark.parametrize("name", ["xray-A", "xray-B", "uv"])
@pytest.mark.parametrize("temperature_K", [80.0, 140.0])
def test_peaks_of_the_papers_samples_come_back(camera, name, temperature_K):
    emission = load_sample(name).emission(temperature_K)
    coupled, uncoupled = emission.components
    fit = fit_spectrum(camera(np.random.default_rng(1), emission))
    assert fit.n_peaks == 2
    assert fit.coupled_fraction.agrees_with(coupled.weight, sigmas=3.5)
    assert fit.red_shift_eV.agrees_with(uncoupled.energy_eV - coupled.energy_eV, sigmas=3.5)
    assert fit.estimates.value("energy_eV").agrees_with(2.45, sigmas=3.5)
    assert fit.estimates.value("coupled_width_eV").agrees_with(coupled.width_eV, sigmas=3.5)
    assert fit.goodness.p_value > 1e-3


def test_errors_cover_the_truth(camera):
    emission = load_sample("xray-B").emission(120.0)
    coupled = emission.component("coupled")
    rng = np.random.default_rng(2)
    pulls = []
    for _ in range(60):
        fit = fit_spectrum(camera(rng, emission, electrons=1e4))
        fraction, shift = fit.coupled_fraction, fit.red_shift_eV
        pulls.append(
            (
                (fraction.value - coupled.weight) / fraction.error,
                (shift.value - (2.45 - coupled.energy_eV)) / shift.error,
            )
        )
    inside = np.mean(np.abs(pulls) < 1.0, axis=0)
    # 60 records: 68 % +- 6 %, bounds at 3 of these.
    assert np.all(inside > 0.50) and np.all(inside < 0.87)
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.45)


def test_one_peak_suffices_where_there_is_one(camera):
    emission = load_sample("xray-B").emission(300.0)
    rng = np.random.default_rng(3)
    fits = [fit_spectrum(camera(rng, emission)) for _ in range(30)]
    assert all(fit.n_peaks == 1 and fit.coupled_fraction is None and fit.red_shift_eV is None for fit in fits)


def test_without_the_jacobian_the_fraction_would_be_wrong(camera):
    # The check that conversion matters at all: sample A's share of counts in wavelength is not its share.
    emission = load_sample("xray-A").emission(80.0)
    data = camera(np.random.default_rng(4), emission, electrons=3e6, cosmic=False)
    fit = fit_spectrum(data)
    assert fit.coupled_fraction.agrees_with(0.77, sigmas=3.5)
    energy = 1239.841984 / data.wavelength_nm[::-1]
    counts = (data.frames.mean(axis=0) - data.dark.mean(axis=0))[::-1]
    width = fit.estimates["coupled_width_eV"]
    low = np.abs(energy - 2.13) < 3 * width
    raw = counts[low].sum() / counts.sum()
    assert abs(raw - 0.77) < 0.01  # the sum over pixels keeps photons
    peak = (
        counts.max() * 0 + counts[np.argmin(np.abs(energy - 2.13))] / counts[np.argmin(np.abs(energy - 2.45))]
    )
    truth = spectrum_per_eV(emission, 2.13) / spectrum_per_eV(emission, 2.45)
    assert peak / truth == pytest.approx((2.13 / 2.45) ** -2 * (2.13 / 2.45) ** 4, rel=0.05)


def test_background_and_cosmic_rays_do_not_pass_for_light(camera):
    emission = load_sample("xray-A").emission(100.0)
    fit = fit_spectrum(camera(np.random.default_rng(5), emission, stray=20.0, n_frames=3))
    assert fit.coupled_fraction.agrees_with(emission.component("coupled").weight, sigmas=3.5)
    # 20 electrons of stray light are 10 counts per pixel and frame.
    assert fit.estimates.value("background_per_pixel").agrees_with(10.0, sigmas=3.5)


def test_a_cosmic_ray_on_the_peak_of_a_single_frame(camera):
    emission = load_sample("xray-A").emission(80.0)
    data = camera(np.random.default_rng(6), emission, n_frames=1, cosmic=False)
    data.frames[0, np.argmin(np.abs(data.wavelength_nm - 582.0))] += 3000
    data.frames[0, np.argmin(np.abs(data.wavelength_nm - 506.0))] += 500
    fit = fit_spectrum(data)
    assert fit.coupled_fraction.agrees_with(0.77, sigmas=3.5)
    assert fit.goodness.p_value > 1e-3


def struck(camera, rng, emission, pixels, electrons):
    """One frame with a hit of so many pixels on the flank of the uncoupled peak."""
    data = camera(rng, emission, electrons=1e5, n_frames=1, cosmic=False)
    first = int(np.argmin(np.abs(data.wavelength_nm - 503.0)))
    # Two electrons make a count.
    data.frames[0, first : first + pixels] += rng.poisson(electrons / pixels, pixels) // 2
    return data, 1239.841984 / data.wavelength_nm[first + pixels // 2]


def test_a_hit_of_several_pixels_on_the_peak_of_a_single_frame(camera):
    """150 electrons on each of 6 pixels with about 1000 of light: no pixel of them is far above the fit."""
    emission = load_sample("xray-A").emission(80.0)
    rng = np.random.default_rng(15)
    for _ in range(4):
        data, at_eV = struck(camera, rng, emission, 6, 900.0)
        fit = fit_spectrum(data)
        assert any("left out as a cosmic ray" in warning for warning in fit.warnings)
        ((low, high),) = fit.left_out_eV
        assert low < at_eV < high
        assert fit.coupled_fraction.agrees_with(0.77, sigmas=3.5)
        assert fit.red_shift_eV.agrees_with(0.32, sigmas=3.5)
        assert fit.goodness.p_value > 1e-3
        energy, pull = fit.residuals(data)
        assert 6 <= 1024 - energy.size <= 16 and pull.max() < 6.0
        # A fit of these and other data leaves out the same pixels.
        assert np.all(np.isin(pixels(data, fit).measured.energy_eV, energy))
        assert SpectrumFit.from_dict(fit.to_dict()).left_out_eV == fit.left_out_eV


def test_a_hit_as_wide_as_a_narrow_line_is_named_and_stays(camera):
    emission = load_sample("xray-A").emission(80.0)
    data, at_eV = struck(camera, np.random.default_rng(16), emission, 12, 1300.0)
    fit = fit_spectrum(data)
    (said,) = [warning for warning in fit.warnings if "or a narrow line" in warning]
    assert "take several frames" in said
    assert float(said.split(" at ")[1].split(" eV")[0]) == pytest.approx(at_eV, abs=0.01)
    assert fit.left_out_eV == ()


def test_a_hit_does_not_pass_for_a_second_peak(camera):
    emission = load_sample("xray-B").emission(300.0)
    data, _ = struck(camera, np.random.default_rng(17), emission, 6, 1500.0)
    fit = fit_spectrum(data)
    assert fit.n_peaks == 1 and any("left out as a cosmic ray" in warning for warning in fit.warnings)


def test_clean_single_frames_hold_no_hit(camera):
    rng = np.random.default_rng(18)
    for name, temperature_K in (("xray-A", 80.0), ("xray-B", 300.0)):
        emission = load_sample(name).emission(temperature_K)
        for _ in range(5):
            fit = fit_spectrum(camera(rng, emission, n_frames=1, cosmic=False))
            assert fit.left_out_eV == () and not any("cosmic" in warning for warning in fit.warnings)


def test_three_peaks_and_their_number(camera):
    parts = [(2.45, 0.025, 0.4), (2.33, 0.03, 0.35), (2.10, 0.06, 0.25)]
    emission = Emission(tuple(Component(f"c{i}", e, s, w, 1e-9) for i, (e, s, w) in enumerate(parts)))
    fit = fit_spectrum(
        camera(np.random.default_rng(7), emission, electrons=1e5), SpectrumOptions(max_peaks=3)
    )
    assert fit.n_peaks == 3
    found = sorted(
        [
            (fit.estimates["shift_eV"], fit.estimates.value("fraction")),
            (fit.estimates["shift_eV_2"], fit.estimates.value("fraction_2")),
        ],
        key=lambda pair: pair[0],
    )
    assert found[0][0] == pytest.approx(0.12, abs=0.005) and found[0][1].agrees_with(0.35, sigmas=3.5)
    assert found[1][0] == pytest.approx(0.35, abs=0.01) and found[1][1].agrees_with(0.25, sigmas=3.5)
    assert fit.coupled_fraction.agrees_with(0.6, sigmas=3.5)
    assert set(fit.components(np.linspace(2, 2.6, 5))) == {"uncoupled", "coupled", "coupled_2"}


def test_asymmetric_lines(camera):
    rng = np.random.default_rng(8)
    wavelength = np.linspace(440.0, 680.0, 1024)
    energy = 1239.841984 / wavelength
    # Two-piece Gaussian with 60 % of its width on the low side, drawn as electrons per pixel.
    density = line(energy, 2.3, 0.05, 0.3)[0] * energy / wavelength * (wavelength[1] - wavelength[0])
    light = rng.poisson(5e4 * density, (4, 1024)) + rng.normal(0, 6, (4, 1024))
    counts = np.round(light / 2 + 300).astype(np.int64)
    dark = np.round(rng.normal(0, 6, (3, 1024)) / 2 + 300).astype(np.int64)
    fit = fit_spectrum(
        SpectrumData(wavelength, counts, dark, 1.0, 2.0, 6.0, 65535),
        SpectrumOptions(n_peaks=1, line_shape="asymmetric"),
    )
    assert fit.estimates.value("skew").agrees_with(0.3, sigmas=3.5)
    assert fit.estimates.value("energy_eV").agrees_with(2.3, sigmas=3.5)


def test_asymmetric_line_has_unit_area_and_right_derivatives():
    energy = np.linspace(1.0, 4.0, 30001)
    for skew in (-0.5, 0.0, 0.7):
        value = line(energy, 2.3, 0.1, skew)
        assert np.trapezoid(value[0], energy) == pytest.approx(1.0, abs=1e-9)
        for index in range(3):
            up, down = [2.3, 0.1, skew], [2.3, 0.1, skew]
            up[index] += 1e-6
            down[index] -= 1e-6
            numeric = (line(energy, *up)[0] - line(energy, *down)[0]) / 2e-6
            np.testing.assert_allclose(value[1 + index], numeric, atol=2e-5 * np.max(np.abs(numeric)))


@pytest.mark.parametrize("line_shape", ["gaussian", "asymmetric"])
@pytest.mark.parametrize("n_peaks", [1, 2, 3])
def test_jacobian_agrees_with_finite_differences(n_peaks, line_shape):
    guess = {
        "counts": 900.0, "background_per_pixel": 2.0, "energy_eV": 2.45, "width_eV": 0.03, "skew": 0.2,
        "fraction": 0.3, "shift_eV": 0.1, "coupled_width_eV": 0.05, "coupled_skew": -0.1,
        "fraction_2": 0.2, "shift_eV_2": 0.3, "coupled_width_eV_2": 0.07, "coupled_skew_2": 0.1,
    }  # fmt: skip
    names = parameter_names(n_peaks, line_shape)
    theta = np.array([guess[name] for name in names])
    energy = np.linspace(1.9, 2.7, 200)
    shape = 1.0 / energy**2
    jacobian = spectrum_model(energy, shape, theta, n_peaks, line_shape)[1]
    for index in range(theta.size):
        step = 1e-6 * max(abs(theta[index]), 0.1)
        up, down = theta.copy(), theta.copy()
        up[index] += step
        down[index] -= step
        numeric = spectrum_model(energy, shape, up, n_peaks, line_shape)[0]
        numeric = (numeric - spectrum_model(energy, shape, down, n_peaks, line_shape)[0]) / (2 * step)
        np.testing.assert_allclose(jacobian[:, index], numeric, atol=3e-5 * np.max(np.abs(numeric)))


def test_written_and_read_again(camera):
    fit = fit_spectrum(camera(np.random.default_rng(9), load_sample("xray-A").emission(80.0)))
    again = SpectrumFit.from_dict(json.loads(json.dumps(fit.to_dict(), allow_nan=False)))
    energy = np.linspace(1.9, 2.7, 50)
    np.testing.assert_array_equal(again.curve(energy), fit.curve(energy))
    assert again.to_dict() == fit.to_dict()
    assert fit.to_dict()["software"].startswith("labctl ")


def test_a_peak_that_leaves_the_window_is_marked(camera):
    data = camera(np.random.default_rng(10), load_sample("xray-A").emission(80.0))
    cut = data.wavelength_nm < 600.0
    part = SpectrumData(
        data.wavelength_nm[cut], data.frames[:, cut], data.dark[:, cut], 10.0, 2.0, 6.0, 65535
    )
    assert any("edge" in warning for warning in fit_spectrum(part).warnings)


def frames_of(light, rng):
    dark = np.round(rng.normal(300, 3, (3, light.size))).astype(np.int64)
    frames = np.round(rng.poisson(light, (3, light.size)) / 2 + rng.normal(300, 3, (3, light.size)))
    wavelength = np.linspace(440.0, 680.0, light.size)
    return SpectrumData(wavelength, frames.astype(np.int64), dark, 10.0, 2.0, 6.0, 65535)


@pytest.mark.parametrize(
    ("light", "message"),
    [
        (np.zeros(512), "no light|flat"),
        (np.full(512, 400.0), "flat"),
        (np.full(12, 400.0), "usable pixels"),
    ],
)
def test_spectra_without_a_peak_are_refused(light, message):
    with pytest.raises(FitRefused, match=message):
        fit_spectrum(frames_of(light, np.random.default_rng(11)))


def test_what_is_known_of_the_peaks_enters_the_fit(camera):
    emission = load_sample("xray-B").emission(140.0)
    coupled = emission.component("coupled")
    data = camera(np.random.default_rng(12), emission)
    free = fit_spectrum(data).estimates

    held = fit_spectrum(data, SpectrumOptions(constraints=(Constraint("width_eV", fixed=0.03),)))
    assert held.estimates.value("width_eV") == Value(0.03, 0.0)
    assert held.goodness.dof == fit_spectrum(data).goodness.dof + 1

    # A Gaussian prior far from what was measured: both combine by their weights, up to other parameters.
    other = free.value("shift_eV")
    prior = Value(other.value + 2.0 * other.error, other.error)
    pulled = fit_spectrum(data, SpectrumOptions(constraints=(Constraint("shift_eV", prior=prior),)))
    shift = pulled.estimates.value("shift_eV")
    assert shift.value == pytest.approx(other.value + other.error, abs=0.2 * other.error)
    assert shift.error == pytest.approx(other.error / np.sqrt(2.0), rel=0.1)

    low = coupled.weight + 0.1
    bounded = fit_spectrum(data, SpectrumOptions(constraints=(Constraint("fraction", low=low),)))
    assert bounded.estimates["fraction"] == low
    assert any("fraction ended at the bound" in warning for warning in bounded.warnings)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "give a value to hold"),
        ({"fixed": 1.0, "low": 0.0}, "give a value to hold"),
        ({"low": 2.0, "high": 1.0}, "not below"),
        ({"prior": Value(1.0, 0.0)}, "hold the parameter"),
        ({"fixed": float("nan")}, "no value for a parameter"),
    ],
)
def test_constraints_that_say_nothing_or_too_much_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Constraint("width_eV", **fields)


def test_a_constraint_outside_the_parameters_range_is_refused(camera):
    data = camera(np.random.default_rng(13), load_sample("xray-A").emission(80.0))
    with pytest.raises(InputError, match="fraction cannot be held at 3"):
        fit_spectrum(data, SpectrumOptions(constraints=(Constraint("fraction", fixed=3.0),)))


def test_a_blazed_grating_and_its_camera_are_divided_out():
    """The simulated spectrograph's own efficiencies, told to the fit; untold they change the shares."""
    emission = load_sample("xray-A").emission(80.0)
    grating = BLAZED_GRATINGS[1]
    state = SpectrographState(grating, 545.0, 100.0)
    share = electrons_per_photon(emission, state, 1024, 26.0, flat_sensor=False)
    wavelength = pixel_centres_nm(1024, 26.0, grating.lines_per_mm, 545.0)
    response = grating.efficiency(wavelength) * quantum_efficiency(wavelength)
    rng = np.random.default_rng(14)
    light = rng.poisson(3e6 * share / share.sum() + 50.0, (4, 1024)) + rng.normal(0, 6, (4, 1024))
    dark = np.round(rng.normal(300, 3, (3, 1024))).astype(np.int64)
    frames = np.round(light / 2 + 300).astype(np.int64)
    told = SpectrumData(wavelength, frames, dark, 1.0, 2.0, 6.0, 65535, response / response.max())

    fit, untold = fit_spectrum(told), fit_spectrum(dataclasses.replace(told, response=None))

    true = emission.component("coupled").weight
    assert fit.corrected and not untold.corrected
    assert fit.coupled_fraction.agrees_with(true, sigmas=3.5)
    assert not untold.coupled_fraction.agrees_with(true, sigmas=8.0)
    # 50 electrons of light that never met the grating: 25 counts in every pixel.
    assert fit.estimates.value("background_per_pixel").agrees_with(25.0, sigmas=3.5)
    energy, pull = fit.residuals(told)
    assert np.all(np.diff(energy) > 0) and energy.size == 1024
    # Pulls of 1024 pixels: mean square 1 +- 0.044.
    assert np.mean(pull**2) == pytest.approx(1.0, abs=0.15)
