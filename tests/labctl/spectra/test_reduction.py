import numpy as np
import pytest

from labctl.emission.components import HC_EV_NM
from labctl.spectra.frames import SpectrumData, SpectrumRefused
from labctl.spectra.reduction import reduce_frames, to_energy

WAVELENGTH = np.linspace(450.0, 650.0, 512)
GAIN, READ, OFFSET = 2.0, 6.0, 300


def camera(rng, electrons, n_frames):
    """Frames in counts by drawing electrons, read noise and rounding."""
    frames = rng.poisson(electrons, (n_frames, electrons.size)) + rng.normal(
        0, READ, (n_frames, electrons.size)
    )
    return np.round(frames / GAIN + OFFSET).astype(np.int64)


def line(height):
    return height * np.exp(-0.5 * ((WAVELENGTH - 520.0) / 12.0) ** 2)


def data(frames, dark, **changes):
    fields = {
        "wavelength_nm": WAVELENGTH,
        "frames": frames,
        "dark": dark,
        "exposure_s": 10.0,
        "gain_electrons_per_count": GAIN,
        "read_noise_electrons": READ,
        "saturation_counts": 65535,
    }
    return SpectrumData(**(fields | changes))


def test_signal_and_stated_noise_agree_with_the_scatter_of_many_records():
    rng = np.random.default_rng(1)
    electrons = line(3000.0)
    records = [
        reduce_frames(data(camera(rng, electrons, 5), camera(rng, 0 * electrons, 3))) for _ in range(200)
    ]
    mean = np.mean([record.counts for record in records], axis=0)
    scatter = np.std([record.counts for record in records], axis=0, ddof=1)
    stated = np.mean([record.error for record in records], axis=0)
    assert np.max(np.abs(mean - electrons / GAIN) / (stated / np.sqrt(200))) < 4.5
    assert np.mean(scatter / stated) == pytest.approx(1.0, abs=0.02)


def test_cosmic_rays_are_left_out_and_light_is_not():
    rng = np.random.default_rng(2)
    electrons = line(3000.0)
    frames = camera(rng, electrons, 6)
    hits = [(0, 175), (1, 180), (3, 40), (4, 500)]
    for frame, pixel in hits:
        frames[frame, pixel] += 400
    spectrum = reduce_frames(data(frames, camera(rng, 0 * electrons, 4)))
    assert spectrum.n_cosmic == 3 * len(hits)  # each with the pixels beside it
    pull = (spectrum.counts - electrons / GAIN) / spectrum.error
    assert np.max(np.abs(pull)) < 5.0


def test_a_weak_cosmic_ray_in_a_dark_frame_and_its_spill_are_left_out():
    """It would drown in the bias's shot noise, if the bias had any."""
    rng = np.random.default_rng(12)
    electrons = line(3000.0)
    dark = camera(rng, 0 * electrons, 3)
    dark[1, 40:42] += (70, 15)
    spectrum = reduce_frames(data(camera(rng, electrons, 6), dark))
    pull = (spectrum.counts - electrons / GAIN) / spectrum.error
    assert np.max(np.abs(pull[39:43])) < 4.0
    assert spectrum.n_cosmic == 3


def test_one_frame_with_a_cosmic_ray_on_the_peak():
    rng = np.random.default_rng(3)
    electrons = line(3000.0)
    frames = camera(rng, electrons, 1)
    frames[0, 180] += 3000
    spectrum = reduce_frames(data(frames, camera(rng, 0 * electrons, 2)))
    assert not spectrum.valid[180] and spectrum.valid.sum() == 511
    assert spectrum.n_cosmic == 1


def test_a_tube_that_drifts_does_not_pass_for_cosmic_rays():
    rng = np.random.default_rng(4)
    electrons = line(20000.0)
    frames = np.vstack([camera(rng, f * electrons, 1) for f in (0.7, 0.9, 1.0, 1.1, 1.3)])
    spectrum = reduce_frames(data(frames, camera(rng, 0 * electrons, 3)))
    assert spectrum.n_cosmic == 0
    assert spectrum.counts.sum() == pytest.approx(electrons.sum() / GAIN, rel=2e-3)


def test_saturated_pixels_are_marked():
    rng = np.random.default_rng(5)
    frames = camera(rng, line(4000.0), 3)
    spectrum = reduce_frames(data(frames, camera(rng, line(0.0), 2), saturation_counts=2200))
    assert spectrum.n_saturated > 5
    assert np.all(frames[:, spectrum.valid] < 2200)
    assert "shorten the exposure" in spectrum.notes[0]


def test_dark_frames_that_scatter_more_than_the_data_sheet_set_the_noise():
    rng = np.random.default_rng(6)
    noisy = np.round(rng.normal(OFFSET, 9.0, (5, 512))).astype(np.int64)
    spectrum = reduce_frames(data(np.round(rng.normal(OFFSET, 9.0, (4, 512))).astype(np.int64), noisy))
    assert np.median(spectrum.error) == pytest.approx(9.0 * np.sqrt(1 / 4 + 1 / 5), rel=0.1)
    assert "scatter" in spectrum.notes[0]


def test_a_known_response_is_divided_out_with_its_noise():
    """Photons come back whatever share of them the instrument sees; what scatters is what it saw."""
    rng = np.random.default_rng(13)
    photons = line(4000.0)
    response = np.linspace(0.2, 1.0, 512)
    records = [
        reduce_frames(
            data(camera(rng, photons * response, 5), camera(rng, 0 * photons, 3), response=response)
        )
        for _ in range(200)
    ]
    counts = np.array([record.counts for record in records])
    stated = np.mean([record.error for record in records], axis=0)
    assert np.max(np.abs(counts.mean(axis=0) - photons / GAIN) / (stated / np.sqrt(200))) < 4.5
    assert np.mean(counts.std(axis=0, ddof=1) / stated) == pytest.approx(1.0, abs=0.02)
    assert records[0].corrected


def test_conversion_to_energy_keeps_the_light_and_its_noise():
    rng = np.random.default_rng(7)
    spectrum = reduce_frames(data(camera(rng, line(3000.0), 5), camera(rng, line(0.0), 3)))
    energy = to_energy(spectrum)
    assert np.all(np.diff(energy.energy_eV) > 0)
    assert np.sum(energy.counts_per_eV * energy.pixel_eV) == pytest.approx(spectrum.counts.sum(), rel=1e-12)
    # Pull is the same in both axes, and the pixel width is hc dl / l^2.
    np.testing.assert_allclose(
        energy.counts_per_eV / energy.error, (spectrum.counts / spectrum.error)[::-1], rtol=1e-12
    )
    width = HC_EV_NM * (WAVELENGTH[1] - WAVELENGTH[0]) / WAVELENGTH**2
    np.testing.assert_allclose(energy.pixel_eV, width[::-1], rtol=1e-9)


def test_wavelengths_may_fall_along_the_camera():
    rng = np.random.default_rng(8)
    frames, dark = camera(rng, line(3000.0), 3), camera(rng, line(0.0), 2)
    up = reduce_frames(data(frames, dark))
    down = reduce_frames(data(frames[:, ::-1], dark[:, ::-1], wavelength_nm=WAVELENGTH[::-1]))
    np.testing.assert_array_equal(up.counts, down.counts)
    np.testing.assert_array_equal(up.wavelength_nm, down.wavelength_nm)


def good():
    rng = np.random.default_rng(9)
    return camera(rng, line(100.0), 3), camera(rng, line(0.0), 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": np.zeros((0, 512), np.int64)}, "no light frame"),
        ({"dark": np.zeros((0, 512), np.int64)}, "no dark frame"),
        ({"frames": np.full((2, 512), -3)}, "negative counts"),
        ({"frames": np.full((2, 512), np.nan)}, "not numbers"),
        ({"frames": np.full((2, 512), 65535)}, "512 of 512 pixels are saturated"),
        ({"frames": np.zeros((2, 100), np.int64)}, "shape"),
        ({"wavelength_nm": np.full(512, 500.0)}, "calibrate"),
        ({"wavelength_nm": np.linspace(-10, 500.0, 512)}, "above 0 nm"),
        ({"wavelength_nm": np.linspace(400, 500.0, 5)}, "at least 8"),
        ({"gain_electrons_per_count": 0.0}, "gain"),
        ({"gain_electrons_per_count": np.inf}, "gain"),
        ({"read_noise_electrons": np.nan}, "read noise"),
        ({"exposure_s": 0.0}, "exposure is 0.0 s"),
        ({"response": np.ones(100)}, "response has shape"),
        ({"response": np.zeros(512)}, "not above 0"),
    ],
)
def test_frames_that_are_no_measurement_are_refused(changes, message):
    frames, dark = good()
    with pytest.raises(SpectrumRefused, match=message):
        reduce_frames(data(**({"frames": frames, "dark": dark} | changes)))
