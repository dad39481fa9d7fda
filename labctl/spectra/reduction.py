"""Frames to one spectrum: dark subtracted, cosmic rays left out, with its noise.

A pixel of one frame holds Poisson photo-electrons, read noise and dark noise. Its variance in counts^2:

    signal / gain + (read noise / gain)^2 + 1/12 + dark current's own,

the part that does not depend on the signal is taken from the camera's numbers or, where the dark frames show
more scatter than those, from that scatter. The signal part is kept as a factor, so that a fit can take the
variance from its model: weights from the data itself would favour low counts.

Where the instrument's relative response r is known, counts are divided by it, the floor by r^2 and the signal
part by r: photo-electrons are what scatters, photons what the sample gave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.emission.response import HC_EV_NM
from labctl.spectra.frames import SpectrumData, SpectrumRefused, check_frames

Array = NDArray[np.float64]

COSMIC_SIGMA = 6.0
"""A pixel this many standard deviations above the median of the frames was hit by a cosmic ray."""
_QUANTISATION = 1.0 / 12.0


@dataclass(frozen=True)
class Spectrum:
    """Mean dark-subtracted counts per frame against wavelength.

    Args:
        wavelength_nm: Pixel centres, rising (n,).
        counts: Mean counts per frame (n,); may be negative by noise.
        floor_variance: Variance that does not depend on the signal, counts^2 (n,).
        variance_per_count: Variance added per count of signal (n,).
        valid: False where a pixel saturated or no frame is left (n,).
        exposure_s: Exposure of each frame.
        n_frames: Frames averaged.
        n_cosmic: Pixel values left out as cosmic rays.
        n_saturated: Pixels left out because they saturated.
        response: Relative response that was divided out (n,); ones where none is known.
        notes: What a person should know about it.
    """

    wavelength_nm: Array
    counts: Array
    floor_variance: Array
    variance_per_count: Array
    valid: NDArray[np.bool_]
    exposure_s: float
    n_frames: int
    n_cosmic: int
    n_saturated: int
    response: Array
    notes: tuple[str, ...] = ()

    @property
    def corrected(self) -> bool:
        """A response that was not flat was divided out."""
        return bool(np.ptp(self.response) > 0.0)

    @property
    def error(self) -> Array:
        """Standard deviation of ``counts`` by the camera model, from the data itself (n,)."""
        return np.sqrt(self.floor_variance + self.variance_per_count * np.maximum(self.counts, 0.0))


@dataclass(frozen=True)
class EnergySpectrum:
    """The same per energy, S(E) = S(lambda) lambda^2 / hc; noise converted alike.

    Args:
        energy_eV: Rising (n,).
        counts_per_eV: Mean counts per frame and eV (n,).
        floor_variance, variance_per_unit: Variance = floor + per_unit * signal, in the units of the signal.
        pixel_eV: Width of each pixel in energy (n,).
        background_per_eV: Counts per eV that one count per pixel of background makes: light that never passed
            the grating, or a drift of the dark level, has not the spectrometer's response (n,).
    """

    energy_eV: Array
    counts_per_eV: Array
    floor_variance: Array
    variance_per_unit: Array
    pixel_eV: Array
    background_per_eV: Array

    @property
    def error(self) -> Array:
        """Standard deviation of ``counts_per_eV`` from the data itself (n,)."""
        return np.sqrt(self.variance(self.counts_per_eV))

    def variance(self, expected: Array) -> Array:
        """Variance of each pixel where ``expected`` counts per eV is what should be there (n,)."""
        return self.floor_variance + self.variance_per_unit * np.maximum(expected, 0.0)

    def kept(self, keep: NDArray[np.bool_]) -> EnergySpectrum:
        """Only the pixels marked in ``keep`` (n,)."""
        return EnergySpectrum(
            self.energy_eV[keep],
            self.counts_per_eV[keep],
            self.floor_variance[keep],
            self.variance_per_unit[keep],
            self.pixel_eV[keep],
            self.background_per_eV[keep],
        )


def reduce_frames(data: SpectrumData) -> Spectrum:
    """Dark-subtract, reject cosmic rays over the frames, average, and give the noise.

    Raises:
        SpectrumRefused: frames that are no measurement, or saturated nearly everywhere.
    """
    check_frames(data)
    gain = data.gain_electrons_per_count
    saturated = np.any(data.frames >= data.saturation_counts, axis=0)
    if np.mean(saturated) > 0.5:
        raise SpectrumRefused(
            f"{int(saturated.sum())} of {saturated.size} pixels are saturated: shorten the exposure"
        )
    notes: list[str] = []
    if saturated.any():
        notes.append(f"{int(saturated.sum())} saturated pixels left out: shorten the exposure")
    floor = _frame_floor(data, notes)
    dark_frames = data.dark.astype(np.float64)
    # A dark frame's level is the bias, which has no shot noise: only the floor counts.
    dark_kept = ~_cosmic(dark_frames, np.zeros(dark_frames.shape[1]), floor, 0.0)
    n_dark = np.maximum(dark_kept.sum(axis=0), 1)
    dark = np.where(dark_kept, dark_frames, 0.0).sum(axis=0) / n_dark
    light = data.frames.astype(np.float64)
    kept = ~_cosmic(light, dark, floor, 1.0 / gain)
    scale = _relative_brightness(light - dark, kept)
    weight = np.where(kept, scale[:, None], 0.0).sum(axis=0)
    n_kept = kept.sum(axis=0)
    usable = (weight > 0.0) & ~saturated
    safe = np.where(weight > 0.0, weight, 1.0)
    counts = np.where(kept, light - dark, 0.0).sum(axis=0) / safe
    order = np.argsort(data.wavelength_nm)
    dark_share = (n_kept / safe) ** 2 / n_dark
    response = np.ones(counts.size) if data.response is None else data.response
    return Spectrum(
        wavelength_nm=np.asarray(data.wavelength_nm, dtype=np.float64)[order],
        counts=(counts / response)[order],
        floor_variance=(floor * (n_kept / safe**2 + dark_share) / response**2)[order],
        variance_per_count=(1.0 / (gain * safe * response))[order],
        valid=usable[order],
        exposure_s=data.exposure_s,
        n_frames=light.shape[0],
        n_cosmic=int((~kept).sum() + (~dark_kept).sum()),
        n_saturated=int(saturated.sum()),
        response=response[order],
        notes=tuple(notes),
    )


def to_energy(spectrum: Spectrum) -> EnergySpectrum:
    """Counts per eV against energy, valid pixels only, with the Jacobian lambda^2 / hc.

    A pixel of width dl nm covers hc dl / lambda^2 eV.
    """
    width_eV = HC_EV_NM * np.gradient(spectrum.wavelength_nm) / spectrum.wavelength_nm**2
    keep = np.flatnonzero(spectrum.valid)[::-1]
    width = width_eV[keep]
    return EnergySpectrum(
        energy_eV=(HC_EV_NM / spectrum.wavelength_nm)[keep],
        counts_per_eV=spectrum.counts[keep] / width,
        floor_variance=spectrum.floor_variance[keep] / width**2,
        variance_per_unit=spectrum.variance_per_count[keep] / width,
        pixel_eV=width,
        background_per_eV=1.0 / (width * spectrum.response[keep]),
    )


def _frame_floor(data: SpectrumData, notes: list[str]) -> float:
    """Variance of one dark frame's pixel, counts^2: the camera's numbers, or the scatter if that is more."""
    stated = (data.read_noise_electrons / data.gain_electrons_per_count) ** 2 + _QUANTISATION
    freedom = data.dark.shape[0] - 1
    if freedom < 1:
        return stated
    scatter = np.var(data.dark, axis=0, ddof=1)
    # A cosmic ray or a hot pixel must not set the noise of all the others.
    limit = 20.0 * max(stated, float(np.median(scatter)))
    measured = float(np.mean(scatter[scatter <= limit]))
    precision = 3.0 * np.sqrt(2.0 / (freedom * data.dark.shape[1]))
    if measured > stated * (1.0 + precision):
        if measured > 2.0 * stated:
            notes.append(
                f"dark frames scatter by {np.sqrt(measured):.2g} counts, the camera's numbers give "
                f"{np.sqrt(stated):.2g}: the scatter was used"
            )
        return measured
    return stated


def _cosmic(frames: Array, dark: Array, floor: float, variance_per_count: float) -> NDArray[np.bool_]:
    """Where a frame stands far above the others (or, with one frame, above its neighbours)."""
    n_frames = frames.shape[0]
    if n_frames == 1:
        expected = _neighbour_level(frames[0])[None, :]
        tolerance = 0.2 * np.maximum(expected - dark, 0.0)
    else:
        brightness = _relative_brightness(frames - dark, np.ones(frames.shape, dtype=bool))
        level = frames - dark
        typical = np.median(level, axis=0) if n_frames > 2 else np.min(level, axis=0)
        expected = typical[None, :] * brightness[:, None] + dark
        tolerance = np.zeros_like(expected)
    variance = floor + variance_per_count * np.maximum(expected - dark, 0.0)
    limit = COSMIC_SIGMA * np.sqrt(variance * (1.0 + 1.6 / n_frames))
    hit = frames - expected > limit + tolerance
    # Charge spreads: the pixels beside a hit carry some of it, often too little to be found alone.
    if n_frames == 1:
        return np.asarray(hit)
    beside = hit.copy()
    beside[:, 1:] |= hit[:, :-1]
    beside[:, :-1] |= hit[:, 1:]
    return np.asarray(beside)


def _neighbour_level(frame: Array) -> Array:
    """Median over 9 pixels around each: wider than a cosmic ray, narrower than a line."""
    padded = np.pad(frame, 4, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 9), axis=1)


def _relative_brightness(signal: Array, kept: NDArray[np.bool_]) -> Array:
    """Brightness of each frame relative to their mean (m,), from its brightest pixels; 1 where dark."""
    n_frames = signal.shape[0]
    if n_frames < 3:
        return np.ones(n_frames)
    typical = np.median(signal, axis=0)
    bright = typical >= np.quantile(typical, 0.7)
    reference = float(typical[bright].sum())
    spread = float(np.sqrt(np.mean((signal[:, bright] - typical[bright]) ** 2) * bright.sum()))
    if reference < 50.0 * spread:
        # Too little light to tell frames apart better than to 2 %: do not add noise.
        return np.ones(n_frames)
    usable = kept & bright
    # Clipping keeps one cosmic ray from passing for a bright frame.
    clipped = np.minimum(signal, 2.0 * typical[None, :] + 1e-300)
    total = np.where(usable, clipped, 0.0).sum(axis=1)
    expected = np.where(usable, typical[None, :], 0.0).sum(axis=1)
    ratio = total / np.maximum(expected, 1e-300)
    return np.asarray(ratio / ratio.mean())
