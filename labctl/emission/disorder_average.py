"""Light of coupled dots averaged over disorder: what a detector sees of many groups of dots at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labctl.emission.coupled_dots import exact_modes, secular_modes
from labctl.emission.disorder import DotEnsemble, hamiltonians_eV

FloatArray = npt.NDArray[np.float64]

#: Width of the light of one mode (one standard deviation), homogeneous and spectrometer together. Chosen.
MODE_SD_eV = 0.020
#: By default, the decay is followed for this many lifetimes of an uncoupled dot, in this many points.
_LIFETIMES, _TIME_POINTS = 8, 400
#: By default, the spectrum covers this many widths of the mode energies on either side, in steps of sd / 4.
_WIDTHS = 4


@dataclass(frozen=True)
class DotEmission:
    """Disorder-averaged light of one group of dots after one excitation.

    ``decay_per_s`` (T,) at ``time_s``; ``spectrum_per_eV`` (E,) at ``energy_eV``, area = ``photons``;
    ``initial_rate_per_s`` is -d ln I / dt at t = 0; ``mean_rate_per_s`` is I(0) / photons, the rate of the
    single exponential with the same start and the same area. ``red_shift_eV`` and ``fwhm_eV`` describe the
    highest peak; ``one_over_e_s`` is NaN if the decay does not fall that far within ``time_s``.
    """

    time_s: FloatArray
    decay_per_s: FloatArray
    energy_eV: FloatArray
    spectrum_per_eV: FloatArray
    photons: float
    initial_rate_per_s: float
    mean_rate_per_s: float
    red_shift_eV: float
    mean_shift_eV: float
    fwhm_eV: float
    one_over_e_s: float


def average_emission(
    ensemble: DotEnsemble,
    *,
    realisations: int = 1000,
    rng: np.random.Generator,
    window_s: float = math.inf,
    mode_sd_eV: float = MODE_SD_eV,
    time_s: npt.ArrayLike | None = None,
    energy_eV: npt.ArrayLike | None = None,
) -> DotEmission:
    """Average decay, spectrum and rates over disorder, in the secular limit.

    Args:
        ensemble: the dots.
        realisations: groups of dots to draw.
        rng: source of the disorder.
        window_s: only light within this time of the excitation enters the spectrum and ``photons``.
        mode_sd_eV: Gaussian width of one mode's light.
        time_s: where to evaluate the decay; by default eight uncoupled lifetimes.
        energy_eV: where to evaluate the spectrum; by default wherever a mode may lie.

    Raises:
        ValueError: for fewer than one realisation or a width that is not positive.
    """
    matrices = hamiltonians_eV(ensemble, realisations, rng)
    modes = secular_modes(
        matrices,
        radiative_rate_per_s=ensemble.radiative_rate_per_s,
        loss_rate_per_s=ensemble.loss_rate_per_s,
        collectivity=ensemble.collectivity,
    )
    times = _default_times(ensemble) if time_s is None else np.atleast_1d(np.asarray(time_s, dtype=float))
    if energy_eV is None:
        margin = _WIDTHS * mode_sd_eV
        low, high = float(modes.energy_eV.min()) - margin, float(modes.energy_eV.max()) + margin
        energies = np.arange(low, high, mode_sd_eV / 4)
    else:
        energies = np.atleast_1d(np.asarray(energy_eV, dtype=float))
    decay = modes.decay_per_s(times).mean(axis=0)
    spectrum = modes.mean_spectrum_per_eV(energies, sd_eV=mode_sd_eV, window_s=window_s)
    light = modes.photons_per_mode(window_s)
    photons = float(light.sum() / realisations)
    start = modes.population * modes.radiative_rate_per_s
    peak_eV, fwhm_eV = _peak(energies, spectrum)
    return DotEmission(
        time_s=times,
        decay_per_s=decay,
        energy_eV=energies,
        spectrum_per_eV=spectrum,
        photons=photons,
        initial_rate_per_s=float(np.sum(start * modes.total_rate_per_s) / np.sum(start)),
        mean_rate_per_s=float(start.sum() / realisations / photons),
        red_shift_eV=ensemble.energy_eV - peak_eV,
        mean_shift_eV=ensemble.energy_eV - float(np.sum(light * modes.energy_eV) / light.sum()),
        fwhm_eV=fwhm_eV,
        one_over_e_s=_one_over_e(times, decay, float(start.sum() / realisations)),
    )


def average_exact_decay_per_s(
    ensemble: DotEnsemble, time_s: npt.ArrayLike, *, realisations: int = 1000, rng: np.random.Generator
) -> FloatArray:
    """Average decay (T,) with every interference between modes: what the secular limit is checked against.

    Raises:
        ValueError: for fewer than one realisation.
    """
    modes = exact_modes(
        hamiltonians_eV(ensemble, realisations, rng),
        radiative_rate_per_s=ensemble.radiative_rate_per_s,
        loss_rate_per_s=ensemble.loss_rate_per_s,
        collectivity=ensemble.collectivity,
    )
    decay: FloatArray = modes.decay_per_s(time_s).mean(axis=0)
    return decay


def _default_times(ensemble: DotEnsemble) -> FloatArray:
    lifetime_s = 1 / (ensemble.radiative_rate_per_s + ensemble.loss_rate_per_s)
    return np.linspace(0.0, _LIFETIMES * lifetime_s, _TIME_POINTS)


def _peak(energy_eV: FloatArray, spectrum_per_eV: FloatArray) -> tuple[float, float]:
    """Energy of the highest point (parabola through three) and full width at half of it."""
    top = int(np.argmax(spectrum_per_eV))
    peak_eV, height = float(energy_eV[top]), float(spectrum_per_eV[top])
    if 0 < top < len(energy_eV) - 1:
        below, at, above = spectrum_per_eV[top - 1 : top + 2]
        step = float(energy_eV[top + 1] - energy_eV[top])
        peak_eV += 0.5 * step * float((below - above) / (below - 2 * at + above))
    half = np.flatnonzero(spectrum_per_eV >= height / 2)
    left, right = int(half[0]), int(half[-1])
    edges = []
    for inner, outer in ((left, left - 1), (right, right + 1)):
        if not 0 <= outer < len(energy_eV):
            return peak_eV, math.nan
        fall = (spectrum_per_eV[inner] - height / 2) / (spectrum_per_eV[inner] - spectrum_per_eV[outer])
        edges.append(float(energy_eV[inner] + fall * (energy_eV[outer] - energy_eV[inner])))
    return peak_eV, edges[1] - edges[0]


def _one_over_e(time_s: FloatArray, decay_per_s: FloatArray, start_per_s: float) -> float:
    """Time at which the decay has fallen to 1/e of its start, logarithmically between points."""
    below = np.flatnonzero(decay_per_s <= start_per_s / math.e)
    if not below.size or below[0] == 0:
        return math.nan
    after = int(below[0])
    log_before, log_after = np.log(decay_per_s[after - 1 : after + 1])
    share = (log_before - math.log(start_per_s / math.e)) / (log_before - log_after)
    return float(time_s[after - 1] + share * (time_s[after] - time_s[after - 1]))
