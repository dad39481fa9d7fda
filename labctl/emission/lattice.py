"""One dot and its lattice: how far its exciton is coherent, and so how fast it radiates, at each temperature.

After Nagpal and Kambhampati, arXiv:2602.20490. The radiative rate is k_r(T, D) = N_coh(T, D) k_0 and its
growth on cooling R_X(T, D) = k_r(T, D) / k_r(300 K, D) is described by the law

    R_X = exp[A_X (1/T - 1/300 K)].

What the paper leaves open is how N_coh follows from the disorder sigma(T). Here: an exciton travels at the
velocity a V / hbar of its band until the lattice dephases it, after hbar / sigma(T); it is then coherent over
a V / sigma, that is over (V / sigma)^3 unit cells of edge a, and never over more than the dot holds:

    1 / N_coh = 1 / N_dot + (sigma(T) / V)^3,   N_dot = dot volume / a^3,   V = eta hbar^2 / (2 M a^2).

eta is one number for all materials, set so that an 8 nm CsPbBr3 dot has the A_X = 41 K of the measured
lifetimes under UV (3.48 ns at 300 K, 2.40 ns at 80 K). The form is ours; A_X(D, composition) then follows as
the exponent of the law that meets it at 80 and 300 K. Between the two the model lies above the law (it levels
off on cooling, as the disorder does); crossover temperatures and phase diagrams are those of the law.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from labctl.emission.dot_material import Material, alloy

FloatArray = npt.NDArray[np.float64]

REFERENCE_K = 300.0
#: Between this temperature and 300 K the law's exponent is taken from the model; the coldest of the rig.
COLD_K = 80.0
#: Rate ratio at which emission counts as cooperative. Chosen: 8 nm CsPbBr3 then crosses over near 180 K,
#: where the coupled peak appears.
CROSSOVER_RATIO = 1.1
#: Biexciton rate over exciton rate of two dipoles in phase, at most.
DICKE_LIMIT = 2.0

_HBAR2_OVER_2M_eV_nm2 = 0.0380998
_ETA = 2.0703


def disorder_eV(material: Material, temperature_K: npt.ArrayLike) -> FloatArray:
    """sigma(T): thermal lattice disorder and the static floor, added in squares.

    Raises:
        ValueError: for a negative temperature.
    """
    thermal = material.phonons.variance_eV2(temperature_K)
    return np.asarray(np.sqrt(thermal + material.static_disorder_eV**2), dtype=float)


def band_coupling_eV(material: Material) -> float:
    """V, the hopping between unit cells that carries the exciton: eta hbar^2 / (2 M a^2)."""
    return _ETA * _HBAR2_OVER_2M_eV_nm2 / (material.exciton_mass * material.unit_cell_nm**2)


def coherence_number(
    material: Material, temperature_K: npt.ArrayLike, diameter_nm: npt.ArrayLike
) -> FloatArray:
    """N_coh, unit cells that radiate together; temperature and diameter broadcast.

    Raises:
        ValueError: for a diameter that is not positive or a negative temperature.
    """
    diameter = np.asarray(diameter_nm, dtype=float)
    if not np.all(diameter > 0):
        raise ValueError(f"a dot's diameter in nm is positive, not {np.min(diameter):g}")
    dot = material.filling * (diameter / material.unit_cell_nm) ** 3
    lattice = (band_coupling_eV(material) / disorder_eV(material, temperature_K)) ** 3
    return np.asarray(dot * lattice / (dot + lattice), dtype=float)


def rate_ratio(material: Material, temperature_K: npt.ArrayLike, diameter_nm: npt.ArrayLike) -> FloatArray:
    """R_X from the model: N_coh(T, D) / N_coh(300 K, D).

    Raises:
        ValueError: as :func:`coherence_number`.
    """
    cold = coherence_number(material, temperature_K, diameter_nm)
    return np.asarray(cold / coherence_number(material, REFERENCE_K, diameter_nm), dtype=float)


def rate_exponent_K(material: Material, diameter_nm: npt.ArrayLike, *, cold_K: float = COLD_K) -> FloatArray:
    """A_X(D, material): exponent of the law that meets the model at ``cold_K`` and 300 K.

    Raises:
        ValueError: if ``cold_K`` is not between 0 and 300 K, or as :func:`coherence_number`.
    """
    if not 0 < cold_K < REFERENCE_K:
        raise ValueError(f"cold_K lies between 0 and {REFERENCE_K:g} K, not {cold_K}")
    ratio = rate_ratio(material, cold_K, diameter_nm)
    return np.asarray(np.log(ratio) / (1 / cold_K - 1 / REFERENCE_K), dtype=float)


def law_rate_ratio(exponent_K: npt.ArrayLike, temperature_K: npt.ArrayLike) -> FloatArray:
    """R_X = exp[A_X (1/T - 1/300 K)]; exponent and temperature broadcast.

    Raises:
        ValueError: for a temperature that is not positive.
    """
    temperature = np.asarray(temperature_K, dtype=float)
    if not np.all(temperature > 0):
        raise ValueError(f"temperatures of the rate law are positive, not {np.min(temperature):g} K")
    return np.asarray(np.exp(np.asarray(exponent_K) * (1 / temperature - 1 / REFERENCE_K)), dtype=float)


def exponent_from_lifetimes_K(cold_s: float, cold_K: float, warm_s: float, warm_K: float) -> float:
    """A_X from two radiative lifetimes: ln(warm / cold) / (1/T_cold - 1/T_warm).

    Raises:
        ValueError: for lifetimes or temperatures that are not positive, or equal temperatures.
    """
    if min(cold_s, warm_s, cold_K, warm_K) <= 0 or cold_K == warm_K:
        raise ValueError("two positive lifetimes at two different temperatures are needed")
    return math.log(warm_s / cold_s) / (1 / cold_K - 1 / warm_K)


def crossover_temperature_K(exponent_K: npt.ArrayLike, threshold: float = CROSSOVER_RATIO) -> FloatArray:
    """T_c, where the law reaches ``threshold``: 1/T_c = 1/300 + ln(threshold) / A_X.

    Zero where the exponent is not positive: such a dot never gets there, however cold.

    Raises:
        ValueError: for a threshold that is not above 1.
    """
    if not threshold > 1:
        raise ValueError(f"the rate ratio that marks the crossover lies above 1, not at {threshold}")
    exponent = np.asarray(exponent_K, dtype=float)
    # 1/T_c times A_X, so that A_X = 0 needs no division.
    scaled = exponent / REFERENCE_K + math.log(threshold)
    return np.asarray(np.where(exponent > 0, exponent / scaled, 0.0), dtype=float)


def diameter_diagram(
    material: Material, temperature_K: Sequence[float], diameter_nm: Sequence[float]
) -> FloatArray:
    """Phase diagram over temperature and diameter: R_X of the law, (n_temperatures, n_diameters).

    Its contour at a threshold is :func:`crossover_temperature_K` of the same exponents.

    Raises:
        ValueError: as :func:`coherence_number`.
    """
    exponent = rate_exponent_K(material, np.asarray(diameter_nm))
    return law_rate_ratio(exponent, np.asarray(temperature_K, dtype=float)[:, None])


def composition_diagram(
    first: Material,
    second: Material,
    temperature_K: Sequence[float],
    share_of_second: Sequence[float],
    *,
    diameter_nm: float,
) -> FloatArray:
    """Phase diagram over temperature and composition: R_X of the law, (n_temperatures, n_shares).

    Raises:
        ValueError: as :func:`coherence_number` and :func:`labctl.emission.dot_material.alloy`.
    """
    exponent = [float(rate_exponent_K(alloy(first, second, share), diameter_nm)) for share in share_of_second]
    return law_rate_ratio(exponent, np.asarray(temperature_K, dtype=float)[:, None])


def biexciton_binding_eV(material: Material, temperature_K: npt.ArrayLike) -> FloatArray:
    """Delta_XX(T) = Delta_Coul + Delta_lat(T): the lattice part freezes out on cooling.

    Delta_lat follows the thermal part of the disorder, sigma^2(T) - sigma^2(0), scaled to its value at 300 K
    (chosen form: it vanishes at T = 0 and needs no parameter of its own).

    Raises:
        ValueError: for a negative temperature.
    """
    frozen = material.phonons.variance_eV2(0.0)
    thermal = material.phonons.variance_eV2(temperature_K) - frozen
    share = thermal / (material.phonons.variance_eV2(REFERENCE_K) - frozen)
    binding = material.biexciton_coulomb_eV + material.biexciton_lattice_300K_eV * share
    return np.asarray(binding, dtype=float)


def biexciton_rate_ratio(exponent_K: npt.ArrayLike, temperature_K: npt.ArrayLike) -> FloatArray:
    """R_XX = k_XX / k_X = 2 - exp[-A (1/T - 1/300 K)]: 1 when warm, never above the Dicke limit 2.

    Near 300 K it rises linearly in 1/T with slope A, as the paper's does; how it saturates is chosen. ``A``
    is the dot's A_X: a dot whose lattice leaves its rate alone (CdSe) stays at 1. Above 300 K, 1.

    Raises:
        ValueError: for a temperature that is not positive.
    """
    gain = np.maximum(law_rate_ratio(exponent_K, temperature_K), 1.0)
    return np.asarray(DICKE_LIMIT - 1 / gain, dtype=float)
