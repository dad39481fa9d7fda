"""Documents of a point as data for the fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labctl.engine.frames_seen import pairs_seen, spectrum_seen

CAMERA: dict[str, Any] = {
    "spectrometer_wavelength_nm": np.linspace(450.0, 650.0, 16).tolist(),
    "spectrometer_gain_electrons_per_count": 2.0,
    "spectrometer_read_noise_electrons": 4.0,
    "spectrometer_saturation_counts": 65535,
}
FRAME = {"spectrometer_counts": np.arange(16), "spectrometer_exposure_s": 5.0}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, None),
        ({"spectrometer_response": [1.0] * 16}, None),
        ({"spectrometer_response": np.linspace(0.5, 1.0, 16).tolist()}, np.linspace(0.5, 1.0, 16)),
    ],
)
def test_a_response_is_known_where_the_driver_told_one_that_is_not_flat(told: Any, expected: Any) -> None:
    seen = spectrum_seen([FRAME, FRAME], [FRAME], {"spectrometer": CAMERA | told})
    assert seen is not None
    assert seen.frames.shape == (2, 16) and seen.dark.shape == (1, 16)
    if expected is None:
        assert seen.response is None
    else:
        np.testing.assert_array_equal(seen.response, expected)


def test_without_light_dark_or_counters_there_is_nothing() -> None:
    assert spectrum_seen([FRAME], [], {"spectrometer": CAMERA}) is None
    assert spectrum_seen([], [FRAME], {"spectrometer": CAMERA}) is None
    assert pairs_seen([{"cryostage_temperature_K": 80.0}], {}) is None
