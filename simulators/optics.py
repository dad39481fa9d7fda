"""What a Czerny-Turner spectrograph does with light: grating equation, slit, efficiency.

First order, included angle 2K fixed by the mirrors (the *angular deviation*). With the grating turned by phi
the light comes in at phi - K and leaves towards the middle of the exit at phi + K:

    centre wavelength  lambda_c = 2 d sin(phi) cos(K)
    at distance x      lambda(x) = d [sin(phi - K) + sin(phi + K + arctan(x / f))]

(J. M. Lerner and A. Thevenon, The Optics of Spectroscopy, Jobin Yvon 1988, section 1 and 2.) With f = 328 mm
and 2K = 24.3 degrees, 600 lines/mm spread 126 nm over 1024 pixels of 26 um around 520 nm, as measured on a
Kymera 328i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.emission.components import Emission, spectrum_shares

Array = NDArray[np.float64]

FOCAL_LENGTH_mm = 328.0
ANGULAR_DEVIATION_deg = 24.3
FIBRE_CORE_um = 100.0
# Width (sigma) of the image of an infinitely narrow slit: aberration. Chosen: the maker gives 0.1 nm for
# 1200 lines/mm.
ABERRATION_um = 14.0


@dataclass(frozen=True)
class Grating:
    """One grating of the turret.

    Args:
        lines_per_mm: Groove density.
        blaze_nm: Blaze wavelength; None: the efficiency does not depend on wavelength.
        peak_efficiency: Efficiency at the blaze.
    """

    lines_per_mm: float
    blaze_nm: float | None
    peak_efficiency: float = 0.65

    def efficiency(self, wavelength_nm: Array) -> Array:
        """Share of the light in the first order: scalar blaze theory, sinc^2(1 - lambda_B / lambda)."""
        if self.blaze_nm is None:
            return np.full_like(wavelength_nm, self.peak_efficiency)
        return np.asarray(self.peak_efficiency * np.sinc(1.0 - self.blaze_nm / wavelength_nm) ** 2)


# Sensor response of a back-illuminated silicon CCD with a visible coating; typical data-sheet values.
_QUANTUM_EFFICIENCY = (
    (300.0, 0.35),
    (400.0, 0.70),
    (450.0, 0.88),
    (500.0, 0.94),
    (550.0, 0.95),
    (600.0, 0.94),
    (700.0, 0.86),
    (800.0, 0.70),
    (900.0, 0.45),
    (1000.0, 0.12),
)


def quantum_efficiency(wavelength_nm: Array) -> Array:
    """Photo-electrons per photon of the sensor."""
    table = np.array(_QUANTUM_EFFICIENCY)
    return np.asarray(np.interp(wavelength_nm, table[:, 0], table[:, 1], left=0.0, right=0.0))


def longest_wavelength_nm(lines_per_mm: float) -> float:
    """Longest centre wavelength: the grating turned by 40 degrees, the end of the drive."""
    spacing_nm = 1e6 / lines_per_mm
    return 2.0 * spacing_nm * math.sin(math.radians(40.0)) * math.cos(_half_angle())


def wavelengths_at(distance_mm: ArrayLike, lines_per_mm: float, centre_nm: float) -> Array:
    """Wavelength at distances from the middle of the exit plane (negative at zero order's short side).

    Args:
        distance_mm: Distances along the dispersion, any shape.
        lines_per_mm: Groove density.
        centre_nm: Wavelength in the middle; 0 for zero order.
    """
    spacing_nm = 1e6 / lines_per_mm
    half = _half_angle()
    turn = math.asin(centre_nm / (2.0 * spacing_nm * math.cos(half)))
    out = turn + half + np.arctan(np.asarray(distance_mm, dtype=np.float64) / FOCAL_LENGTH_mm)
    return np.asarray(spacing_nm * (math.sin(turn - half) + np.sin(out)))


def pixel_edges_nm(n_pixels: int, pixel_um: float, lines_per_mm: float, centre_nm: float) -> Array:
    """Wavelengths of the pixels' edges, rising, shape (n_pixels + 1,)."""
    distance_mm = (np.arange(n_pixels + 1) - n_pixels / 2) * pixel_um * 1e-3
    return wavelengths_at(distance_mm, lines_per_mm, centre_nm)


def pixel_centres_nm(n_pixels: int, pixel_um: float, lines_per_mm: float, centre_nm: float) -> Array:
    """Wavelengths of the pixels' centres, rising, shape (n_pixels,)."""
    distance_mm = (np.arange(n_pixels) + 0.5 - n_pixels / 2) * pixel_um * 1e-3
    return wavelengths_at(distance_mm, lines_per_mm, centre_nm)


def slit_share(slit_um: float, core_um: float = FIBRE_CORE_um) -> float:
    """Share of a fibre's light that a centred slit lets through: a strip of a disc."""
    if slit_um >= core_um:
        return 1.0
    u = max(slit_um, 0.0) / core_um
    return 2.0 / math.pi * (math.asin(u) + u * math.sqrt(1.0 - u * u))


def line_kernel(slit_um: float, pixel_um: float, core_um: float = FIBRE_CORE_um) -> Array:
    """What one wavelength looks like on the pixels: the strip of the fibre's disc, blurred by aberration.

    Returns:
        Shape (2 m + 1,), sum 1, centred.
    """
    fine_um = pixel_um / 27  # odd, so that the fine grid has a middle point
    half_um = min(slit_um, core_um) / 2.0
    reach = math.ceil((half_um + 4.0 * ABERRATION_um) / pixel_um)
    n_fine = (2 * reach + 1) * 27
    x = (np.arange(n_fine) - n_fine // 2) * fine_um
    disc = np.where(np.abs(x) <= half_um, np.sqrt(np.maximum((core_um / 2) ** 2 - x**2, 0.0)), 0.0)
    if not disc.any():
        disc[x.size // 2] = 1.0
    blur = np.exp(-0.5 * (x / ABERRATION_um) ** 2)
    shape = np.convolve(disc, blur, mode="same")
    kernel = shape.reshape(2 * reach + 1, 27).sum(axis=1)
    return np.asarray(kernel / kernel.sum())


@dataclass(frozen=True)
class SpectrographState:
    """Where the spectrograph stands, as far as the light cares.

    Args:
        grating: The grating in the beam.
        centre_nm: Centre wavelength, 0 at zero order.
        slit_um: Width of the entrance slit.
    """

    grating: Grating
    centre_nm: float
    slit_um: float


def electrons_per_photon(
    emission: Emission, state: SpectrographState, n_pixels: int, pixel_um: float, *, flat_sensor: bool
) -> Array:
    """Photo-electrons per pixel column for each photon that leaves the fibre.

    Args:
        emission: The light.
        state: Grating, wavelength, slit.
        n_pixels: Columns of the sensor.
        pixel_um: Their width.
        flat_sensor: The sensor sees every wavelength with the efficiency it has at 545 nm.

    Returns:
        Shape (n_pixels,). At zero order all the light falls on the slit's image in the middle.
    """
    kernel = line_kernel(state.slit_um, pixel_um)
    reach = kernel.size // 2
    wide = n_pixels + 2 * reach
    if state.centre_nm < 1.0:
        share = np.zeros(wide)
        share[wide // 2] = slit_share(state.slit_um) * state.grating.peak_efficiency
        return np.convolve(share, kernel, mode="valid")
    edges_nm = pixel_edges_nm(wide, pixel_um, state.grating.lines_per_mm, state.centre_nm)
    inside = np.maximum(edges_nm, 100.0)
    share = spectrum_shares(emission, inside)
    centres_nm = 0.5 * (inside[1:] + inside[:-1])
    sensor = quantum_efficiency(np.full_like(centres_nm, 545.0) if flat_sensor else centres_nm)
    share = share * slit_share(state.slit_um) * state.grating.efficiency(centres_nm) * sensor
    return np.convolve(share, kernel, mode="valid")


def _half_angle() -> float:
    return math.radians(ANGULAR_DEVIATION_deg / 2.0)
