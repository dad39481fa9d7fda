from importlib import resources

import numpy as np
import pytest

from labctl.emission import sample as s


@pytest.mark.parametrize(
    ("name", "fraction", "shift_eV", "fast_ns", "slow_ns"),
    [
        ("xray-A", 0.77, 0.320, 0.24, 0.74),
        ("xray-B", 0.56, 0.120, 0.24, 0.74),
        ("uv", 0.51, 0.060, 1.29, 2.40),
    ],
)
def test_samples_meet_the_papers_values_at_80_K(name, fraction, shift_eV, fast_ns, slow_ns):
    emission = s.load_sample(name).emission(80.0)
    coupled, uncoupled = emission.component("coupled"), emission.component("uncoupled")
    assert uncoupled.energy_eV == 2.45
    assert coupled.weight == pytest.approx(fraction)
    assert uncoupled.energy_eV - coupled.energy_eV == pytest.approx(shift_eV)
    assert coupled.lifetime_s == pytest.approx(fast_ns * 1e-9)
    assert uncoupled.lifetime_s == pytest.approx(slow_ns * 1e-9)


@pytest.mark.parametrize(
    ("name", "slow_ns", "most"), [("xray-A", 3.35, 0.06), ("xray-B", 3.35, 0), ("uv", 3.48, 0)]
)
def test_samples_meet_the_papers_values_at_300_K(name, slow_ns, most):
    emission = s.load_sample(name).emission(300.0)
    assert emission.component("uncoupled").lifetime_s == pytest.approx(slow_ns * 1e-9)
    assert 1.0 - emission.component("uncoupled").weight == pytest.approx(most)


@pytest.mark.parametrize("name", s.sample_names())
def test_coupled_light_grows_on_cooling_from_about_180_K(name):
    sample = s.load_sample(name)
    warm = sample.coupled_fraction(300.0)
    shares = np.array([sample.coupled_fraction(T) for T in np.arange(80.0, 301.0, 5.0)])
    assert np.all(np.diff(shares) < 0.0)
    assert sample.coupled_fraction(220.0) - warm < 0.02
    assert sample.coupled_fraction(120.0) > 0.5 * sample.coupled_fraction(80.0)


def test_uncoupled_lifetime_follows_the_rate_law():
    # ln(3.48 / 2.40) / (1/80 - 1/300) = 40.5 K, the 41 K of the notes.
    assert s.load_sample("uv").rate_constant_K == pytest.approx(41.0, abs=0.7)
    sample = s.load_sample("xray-A")
    inverse = np.array([1 / 80, 1 / 120, 1 / 200, 1 / 300])
    log = [np.log(sample.emission(1 / x).component("uncoupled").lifetime_s) for x in inverse]
    slopes = np.diff(log) / np.diff(inverse)
    np.testing.assert_allclose(slopes, -sample.rate_constant_K, rtol=1e-9)


def test_far_below_the_stages_range_lifetimes_stand_still():
    """The law's 1/T would leave 1e-26 s at 4 K; down to 77 K it holds."""
    for name in ("xray-A", "uv"):
        sample = s.load_sample(name)
        slow = {
            kelvin: sample.emission(kelvin).component("uncoupled").lifetime_s
            for kelvin in (4.0, 60.0, 77.0, 78.0)
        }
        assert slow[4.0] == slow[60.0] == slow[77.0] < slow[78.0]
        law = sample.lifetime_s[0] * np.exp(-sample.rate_constant_K * (1 / 77 - 1 / 80))
        assert slow[77.0] == pytest.approx(law)


def test_coupled_light_is_broader_and_broader_still_under_xrays():
    uv, xray = s.load_sample("uv").emission(80.0), s.load_sample("xray-A").emission(80.0)
    assert uv.component("coupled").width_eV > uv.component("uncoupled").width_eV
    assert xray.component("coupled").width_eV > uv.component("coupled").width_eV


def test_smaller_collection_spots_see_slightly_more_coupled_light():
    sample = s.load_sample("xray-A")
    shares = [sample.coupled_fraction(80.0, spot_um=spot) for spot in (50.0, 28.0, 13.0)]
    assert shares[0] < shares[1] < shares[2] < 1.1 * shares[0]


def test_light_yield_is_relative_to_80_K():
    for name in s.sample_names():
        sample = s.load_sample(name)
        assert sample.light_yield(80.0) == pytest.approx(1.0)
        assert sample.light_yield(300.0) == pytest.approx(sample.light_yield_300K)
        assert sample.photons_per_xray > 0.0


def test_no_coupled_light_is_one_component():
    assert [part.name for part in s.load_sample("uv").emission(300.0).components] == ["uncoupled"]


def test_an_unknown_sample_names_the_known_ones():
    with pytest.raises(s.SampleError, match="known are uv, xray-A, xray-B here, and xray-03 to xray-10"):
        s.load_sample("xray-C")


def test_temperatures_nobody_measured_are_refused():
    with pytest.raises(s.SampleError, match="4 to 500 K"):
        s.load_sample("uv").emission(1.0)
    with pytest.raises(s.SampleError, match="spot"):
        s.load_sample("uv").emission(80.0, spot_um=0.0)


def spoiled(old, new):
    text = (
        resources.files("labctl.emission").joinpath("samples").joinpath("uv.toml").read_text(encoding="utf-8")
    )
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fraction_80K = 0.51", "fraction_80K = 1.51", "coupled.fraction_80K is 1.51"),
        ("midpoint_K = 135.0", "midpoint_K = 'cold'", "coupled.midpoint_K is 'cold'"),
        ("midpoint_K = 135.0", "", "coupled.midpoint_K is missing"),
        ("midpoint_K = 135.0", "midpoint_K = 135.0\nmiddle_K = 3", "unknown key coupled.middle_K"),
        ('excitation = "uv"', 'excitation = "laser"', "excitation is 'laser'"),
        ('excitation = "uv"', "excitation = ", "Invalid value"),
        ("energy_eV = 2.45", "energy_eV = nan", "energy_eV is nan"),
    ],
)
def test_a_wrong_data_file_names_the_key(old, new, message):
    with pytest.raises(s.SampleError, match=message):
        s.parse_sample("mine", spoiled(old, new))
