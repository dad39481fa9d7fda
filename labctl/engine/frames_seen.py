"""Events of one point, as the engine's documents carry them, as the data that fits take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData

Data = Mapping[str, Any]
Configuration = Mapping[str, Mapping[str, Any]]


def spectrum_seen(
    light: Sequence[Data], dark: Sequence[Data], configuration: Configuration
) -> SpectrumData | None:
    """Camera frames of a point; None where light or dark frames are missing.

    Args:
        light, dark: ``data`` of the events of the streams ``spectrum`` and ``dark``.
        configuration: ``data`` of each device's configuration, by its name.
    """
    light = [data for data in light if "spectrometer_counts" in data]
    dark = [data for data in dark if "spectrometer_counts" in data]
    if not light or not dark:
        return None
    camera = configuration["spectrometer"]
    response = np.asarray(camera.get("spectrometer_response", [1.0]), dtype=np.float64)
    return SpectrumData(
        wavelength_nm=np.asarray(camera["spectrometer_wavelength_nm"], dtype=np.float64),
        frames=np.asarray([data["spectrometer_counts"] for data in light], dtype=np.int64),
        dark=np.asarray([data["spectrometer_counts"] for data in dark], dtype=np.int64),
        exposure_s=float(light[0]["spectrometer_exposure_s"]),
        gain_electrons_per_count=float(camera["spectrometer_gain_electrons_per_count"]),
        read_noise_electrons=float(camera["spectrometer_read_noise_electrons"]),
        saturation_counts=int(camera["spectrometer_saturation_counts"]),
        # A flat one is what a driver gives that knows none.
        response=response if np.ptp(response) > 0.0 else None,
    )


def pairs_seen(frames: Sequence[Data], configuration: Configuration) -> PairBlocks | None:
    """Pair histograms of a point, one block a frame; None where there is none.

    Args:
        frames: ``data`` of the events of the stream ``g2``.
        configuration: As for :func:`spectrum_seen`.
    """
    frames = [data for data in frames if "counters_pairs" in data]
    if not frames:
        return None
    counters = configuration["counters"]
    return PairBlocks(
        window_ps=int(counters["counters_window_ps"]),
        bin_ps=int(counters["counters_bin_ps"]),
        pairs=np.asarray([data["counters_pairs"] for data in frames], dtype=np.uint64),
        start_tags=np.asarray([data["counters_start_tags"] for data in frames], dtype=np.int64),
        stop_tags=np.asarray([data["counters_stop_tags"] for data in frames], dtype=np.int64),
        duration_ps=np.asarray([data["counters_duration_ps"] for data in frames], dtype=np.int64),
    )
