"""How strongly the lattice shakes a dot's transition energy: J(w) = sum_q |g_q|^2 delta(w - w_q).

Nagpal and Kambhampati, "Dynamic lattice disorder and collective dipole coupling give rise to Dicke physics in
perovskite quantum dots" (arXiv:2602.20490). Frequencies are kept as energies h w in eV, couplings as g^2 in
eV^2, so that the Huang-Rhys factor of a mode is S = g^2 / (h w)^2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BOLTZMANN_eV_per_K = 8.617333262e-5
INVERSE_CM_eV = 1.2398419843e-4

FloatArray = npt.NDArray[np.float64]

# A broad mode becomes this many sharp ones, out to this many standard deviations.
_POINTS, _REACH = 41, 3.0


@dataclass(frozen=True)
class SpectralDensity:
    """J as sharp modes: ``energy_eV`` (m,) positive, ``coupling_eV2`` (m,) = g^2 not negative.

    Raises:
        ValueError: for arrays that do not match, an energy that is not positive, a negative coupling.
    """

    energy_eV: FloatArray
    coupling_eV2: FloatArray

    def __post_init__(self) -> None:
        energy, coupling = self.energy_eV, self.coupling_eV2
        if energy.ndim != 1 or energy.shape != coupling.shape or energy.size == 0:
            raise ValueError(
                "a spectral density needs one coupling for each mode energy, and at least one mode"
            )
        if not (np.all(np.isfinite(energy)) and np.all(np.isfinite(coupling))):
            raise ValueError("a spectral density holds a value that is not a number")
        if np.any(energy <= 0) or np.any(coupling < 0):
            raise ValueError("mode energies of a spectral density are positive and couplings not negative")

    @property
    def huang_rhys(self) -> float:
        """Total Huang-Rhys factor S = integral of J / w^2: mean number of phonons the exciton displaces."""
        return float(np.sum(self.coupling_eV2 / self.energy_eV**2))

    @property
    def reorganisation_energy_eV(self) -> float:
        """Integral of J / w = sum of S h w; at high temperature sigma^2 = 2 k T times this."""
        return float(np.sum(self.coupling_eV2 / self.energy_eV))

    @property
    def mean_energy_eV(self) -> float:
        """Mode energy averaged over the Huang-Rhys factor: low for a soft lattice."""
        return self.reorganisation_energy_eV / self.huang_rhys if self.huang_rhys else math.nan

    def variance_eV2(self, temperature_K: npt.ArrayLike) -> FloatArray:
        """Dynamic disorder sigma^2(T) = integral of J(w) coth(h w / 2 k T), of the temperatures' shape.

        Raises:
            ValueError: for a negative temperature or one that is not a number.
        """
        temperature = np.asarray(temperature_K, dtype=float)
        if not np.all(temperature >= 0):
            raise ValueError(f"temperatures are in kelvin and not negative, not {np.min(temperature):g}")
        with np.errstate(divide="ignore"):
            reduced = self.energy_eV / (2 * BOLTZMANN_eV_per_K * temperature[..., None])
        return np.asarray(np.sum(self.coupling_eV2 / np.tanh(reduced), axis=-1), dtype=float)

    def scaled_to(self, huang_rhys: float) -> SpectralDensity:
        """The same shape with another total Huang-Rhys factor.

        Raises:
            ValueError: for a factor that is not positive, or a density without any coupling to scale.
        """
        if not (huang_rhys > 0 and math.isfinite(huang_rhys)):
            raise ValueError(f"a Huang-Rhys factor to scale to must be positive, not {huang_rhys}")
        if self.huang_rhys == 0:
            raise ValueError("a spectral density without any coupling has no shape to scale")
        return SpectralDensity(self.energy_eV, self.coupling_eV2 * (huang_rhys / self.huang_rhys))


def from_modes(
    energy_eV: Sequence[float], huang_rhys: Sequence[float], width_eV: Sequence[float] | None = None
) -> SpectralDensity:
    """Spectral density of phonon modes.

    Args:
        energy_eV: (m,) mode energies h w_q.
        huang_rhys: (m,) S_q of each mode.
        width_eV: (m,) Gaussian width (sd) of each mode, 0 for a sharp one; what would reach below zero
            energy is left out and the rest keeps the mode's S.

    Raises:
        ValueError: as :class:`SpectralDensity`, or for lists of different lengths.
    """
    widths = [0.0] * len(energy_eV) if width_eV is None else list(width_eV)
    energies, couplings = [], []
    for centre, strength, width in zip(energy_eV, huang_rhys, widths, strict=True):
        if width < 0:
            raise ValueError(f"a mode's width cannot be negative, it is {width} eV")
        offset = np.linspace(-_REACH, _REACH, _POINTS) if width > 0 else np.zeros(1)
        energy = centre + width * offset
        # The share of S within each slice; a slice at or below zero frequency is no vibration.
        share = np.exp(-0.5 * offset**2) * (energy > 0)
        if centre <= 0:
            raise ValueError(f"a mode's energy is positive, not {centre} eV")
        inside = share > 0
        energies.append(energy[inside])
        couplings.append(strength * share[inside] / share.sum() * energy[inside] ** 2)
    if not energies:
        raise ValueError("a spectral density needs at least one mode")
    return SpectralDensity(np.concatenate(energies), np.concatenate(couplings))


def mixed(first: SpectralDensity, second: SpectralDensity, share_of_second: float) -> SpectralDensity:
    """Spectral density of an alloy: both constituents', weighted by their shares.

    Raises:
        ValueError: if the share is not between 0 and 1.
    """
    if not 0 <= share_of_second <= 1:
        raise ValueError(f"a share lies between 0 and 1, not {share_of_second}")
    return SpectralDensity(
        np.concatenate([first.energy_eV, second.energy_eV]),
        np.concatenate([(1 - share_of_second) * first.coupling_eV2, share_of_second * second.coupling_eV2]),
    )
