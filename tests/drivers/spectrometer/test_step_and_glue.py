"""Spectra wider than the camera."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from drivers.errors import LimitError
from drivers.spectrometer.base import CameraNoise
from drivers.spectrometer.step_and_glue import Piece, glue, take_wide

HC_EV_NM = 1239.8419843320026
NOISE = CameraNoise(1.0, 1.0, 65535)


def piece(first_nm, last_nm, level=100, frames=2, n=101):
    axis = np.linspace(first_nm, last_nm, n)
    light = np.full((frames, n), level, dtype=np.int64)
    return Piece(0.5 * (first_nm + last_nm), axis, light, np.zeros((3, n), dtype=np.int64))


def test_pieces_are_cut_in_the_middle_of_their_overlap_and_keep_their_counts():
    wide = glue([piece(400, 500), piece(480, 580, level=7)], NOISE)
    assert wide.seams[0].wavelength_nm == 490.0
    assert np.all(np.diff(wide.wavelengths_nm) > 0)
    assert np.all(wide.frames[:, wide.wavelengths_nm < 490.0] == 100)
    assert np.all(wide.frames[:, wide.wavelengths_nm >= 490.0] == 7)
    assert np.array_equal(wide.piece, (wide.wavelengths_nm >= 490.0).astype(int))
    assert wide.frames.shape == (2, 181)
    assert wide.dark.shape == (3, 181)


def test_seam_tells_how_the_light_drifted_with_its_error():
    # 20 nm of overlap at one count per nm pixel and frame, two frames: 20 pixels with half ones at the ends.
    wide = glue([piece(400, 500, level=10_000), piece(480, 580, level=9_000)], NOISE)
    seam = wide.seams[0]
    assert seam.ratio == pytest.approx(0.9, rel=1e-12)
    electrons = np.array([10_000.0, 9_000.0]) * 20
    # Poisson errors of two frames each; read noise and the half pixels at the ends are small beside them.
    assert seam.ratio_error == pytest.approx(0.9 * np.sqrt((1 / (2 * electrons)).sum()), rel=0.03)


def test_dispersion_that_differs_between_pieces_does_not_show_in_the_seam():
    # The same light per nm, seen with pixels of 1 and of 0.5 nm.
    wide = glue([piece(400, 500, level=200), piece(480, 530, level=100)], NOISE)
    assert wide.seams[0].ratio == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([], "no piece"),
        ([piece(400, 500), piece(501, 600)], "do not overlap"),
        ([piece(400, 500), piece(480, 580, frames=3)], "number of frames"),
        ([piece(480, 580), piece(470, 570), piece(400, 500)], "rising wavelength"),
    ],
)
def test_pieces_that_do_not_fit_are_refused(pieces, words):
    with pytest.raises(ValueError, match=words):
        glue(pieces, NOISE)


def test_wide_spectrum_of_the_sample_is_that_of_its_emission(bench):
    from labctl.emission.components import spectrum_per_nm
    from labctl.emission.sample import load_sample

    bench.driver.cool()
    bench.world.controller.temperature_K = 80.0
    bench.world.controller.hold()
    wide = take_wide(
        bench.driver, grating=3, first_nm=450.0, last_nm=700.0, number=12, dark_number=12, exposure_s=5.0
    )
    axis = wide.wavelengths_nm
    assert axis[0] < 450.0 + 1.0
    assert axis[-1] >= 700.0
    assert len(wide.centres_nm) == 3
    assert np.all(np.diff(axis) > 0)
    assert np.diff(axis).max() < 2.0 * np.diff(axis).min()
    for seam in wide.seams:
        assert abs(seam.ratio - 1.0) < 4.0 * seam.ratio_error
    # Medians over frames: cosmic rays do not count. Per nm: the pixels' width falls from blue to red.
    light = np.median(wide.frames, axis=0) - np.median(wide.dark, axis=0)
    inner = slice(5, -5)
    found = (light / np.gradient(axis))[inner]
    expected = spectrum_per_nm(load_sample("xray-A").emission(80.0), axis[inner])
    # Least-squares scale, then the shape: residuals are noise of about 3 counts per pixel.
    scale = (found * expected).sum() / (expected**2).sum()
    smooth = np.convolve(found - scale * expected, np.ones(25) / 25, mode="valid")
    assert np.abs(smooth).max() < 0.03 * found.max()


def test_cancelled_wide_spectrum_is_none(bench):
    cancel = threading.Event()
    cancel.set()
    assert (
        take_wide(
            bench.driver,
            grating=3,
            first_nm=450.0,
            last_nm=700.0,
            number=1,
            dark_number=1,
            exposure_s=1.0,
            cancel=cancel,
        )
        is None
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"last_nm": 440.0},
        {"overlap": 0.6},
        {"overlap": 0.0},
        {"number": 0},
        {"dark_number": 0},
        {"last_nm": 2.0e4},
    ],
)
def test_impossible_range_is_refused_before_anything_is_taken(bench, wrong):
    asked = {
        "grating": 3,
        "first_nm": 450.0,
        "last_nm": 700.0,
        "number": 1,
        "dark_number": 1,
        "exposure_s": 1.0,
        **wrong,
    }
    with pytest.raises(LimitError, match="Nothing was taken"):
        take_wide(bench.driver, **asked)
    assert "StartAcquisition" not in bench.stand_in.calls
