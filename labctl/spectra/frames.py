"""What the spectrometer hands over at one point: frames in camera counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.errors import InputError


class SpectrumRefused(InputError):
    """Frames from which no spectrum can be made; the message says why and what would help."""


@dataclass(frozen=True)
class SpectrumData:
    """Frames of one point with what turns counts into photo-electrons.

    Args:
        wavelength_nm: Centre of each pixel, float64 (n,), rising or falling.
        frames: Light frames in counts, int64 (m, n).
        dark: Dark frames of the same exposure in counts, int64 (k, n).
        exposure_s: Exposure of each frame.
        gain_electrons_per_count: Photo-electrons per count.
        read_noise_electrons: RMS read noise per pixel and frame.
        saturation_counts: Counts at which a pixel saturates.
        response: Relative response of spectrograph and camera at each pixel, above 0, float64 (n,); None
            where none was measured.
    """

    wavelength_nm: NDArray[np.float64]
    frames: NDArray[np.int64]
    dark: NDArray[np.int64]
    exposure_s: float
    gain_electrons_per_count: float
    read_noise_electrons: float
    saturation_counts: int
    response: NDArray[np.float64] | None = None


def check_frames(data: SpectrumData) -> None:
    """Refuse frames that cannot be a measurement.

    Raises:
        SpectrumRefused: shapes that do not match, no light or dark frame, NaN or negative counts, a
            wavelength axis that is not monotonic, camera numbers out of range.
    """
    n_pixels = data.wavelength_nm.size
    if n_pixels < 8:
        raise SpectrumRefused(f"spectrum has {n_pixels} pixels: at least 8 are needed")
    for name, frames in (("light", data.frames), ("dark", data.dark)):
        if frames.ndim != 2 or frames.shape[1] != n_pixels:
            raise SpectrumRefused(f"{name} frames have shape {frames.shape}, expected (frames, {n_pixels})")
        if frames.shape[0] == 0:
            raise SpectrumRefused(f"spectrum has no {name} frame: take at least one")
        if not np.all(np.isfinite(frames)):
            raise SpectrumRefused(f"{name} frames hold values that are not numbers")
        if np.any(frames < 0):
            raise SpectrumRefused(f"{name} frames hold negative counts: these are not raw camera counts")
    steps = np.diff(data.wavelength_nm)
    if not np.all(np.isfinite(data.wavelength_nm)) or not (np.all(steps > 0) or np.all(steps < 0)):
        raise SpectrumRefused(
            "wavelengths of the pixels do not rise or fall throughout: calibrate the spectrometer"
        )
    if float(np.min(data.wavelength_nm)) <= 0.0:
        raise SpectrumRefused("wavelengths of the pixels are not all above 0 nm: calibrate the spectrometer")
    if not (0.0 < data.gain_electrons_per_count < np.inf and 0.0 <= data.read_noise_electrons < np.inf):
        raise SpectrumRefused(
            f"camera gain is {data.gain_electrons_per_count} electrons per count and read noise "
            f"{data.read_noise_electrons} electrons: gain must be above 0, noise not negative"
        )
    if not 0.0 < data.exposure_s < np.inf:
        raise SpectrumRefused(f"exposure is {data.exposure_s} s: it must be above 0")
    response = data.response
    if response is not None and not (
        response.shape == data.wavelength_nm.shape
        and bool(np.all(np.isfinite(response)))
        and float(response.min()) > 0.0
    ):
        raise SpectrumRefused(
            f"the spectrometer's response has shape {response.shape} for {n_pixels} pixels, or is not above "
            "0 everywhere: correct its table in the rig file"
        )
