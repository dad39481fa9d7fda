"""Electrons of some keV in CsPbBr3, collision by collision, many tracks at once.

A single-scattering model after Joy, "Monte Carlo Modeling for Electron Microscopy and Microanalysis" (1995):

* elastic collisions from the screened Rutherford cross section of each element, with its angles;
* stopping power of Bethe as modified by Joy and Luo (Scanning 11, 176, 1989) down to 100 eV, but spent in
  discrete losses, not continuously: hard ones (above 100 eV, 1/W^2 as between free electrons) throw out
  secondary electrons that are tracked in turn, soft ones follow a broad valence plasmon and take up what the
  hard ones leave of the stopping power;
* every loss excites the dot in which it happens. An electron that falls below 100 eV ends there; its energy
  still makes excitations, at one per mean soft loss, scattered over ``TAIL_nm``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from labctl.emission.photoabsorption import (
    CSPBBR3,
    AVOGADRO_per_mol,
    DENSITY_g_per_cm3,
    Element,
    LOCAL_eV,
    PHOTON_eV,
    formula_mass,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Range of an electron below 100 eV (one standard deviation per axis). Chosen: the few nm of its track.
TAIL_nm = 1.5
#: Valence plasmon and its width; losses reach from the band gap to 100 eV. Chosen, typical of lead halides.
PLASMON_eV, PLASMON_WIDTH_eV, GAP_eV = 16.0, 12.0, 2.4
#: Electrons of one formula unit that a loss above 100 eV can free (binding below about 100 eV):
#: Cs 4d 5s 5p 6s, Pb 5d 6s 6p, Br 3d 4s 4p.
FREE_ELECTRONS = 19 + 14 + 3 * 17
# pi e^4 of the free-electron (Rutherford) cross section dsigma/dW = pi e^4 / (E W^2).
_PI_E4_eV2_cm2 = 6.5141e-14
_NM_PER_CM = 1e7
_TABLE_POINTS = 2048
_ELASTIC = len(CSPBBR3)
_SOFT, _HARD = _ELASTIC, _ELASTIC + 1


@dataclass(frozen=True)
class Excitations:
    """Where X-ray photons excited their surroundings.

    ``photon`` (n,) says which photon each excitation belongs to, ``position_nm`` (n, 3) where it is, counted
    from the atom that absorbed that photon.
    """

    photon: IntArray
    position_nm: npt.NDArray[np.float32]


def screening(element: Element, energy_eV: npt.ArrayLike) -> FloatArray:
    """Screening parameter alpha = 3.4e-3 Z^0.67 / E(keV) (Joy, chapter 3)."""
    energy_keV = np.asarray(energy_eV, dtype=float) / 1e3
    return np.asarray(3.4e-3 * element.atomic_number**0.67 / energy_keV, dtype=float)


def elastic_per_nm(element: Element, energy_eV: npt.ArrayLike) -> FloatArray:
    """Elastic collisions per nm of path with one element of CsPbBr3 (screened Rutherford; Joy, chapter 3)."""
    energy_keV = np.asarray(energy_eV, dtype=float) / 1e3
    alpha = screening(element, energy_eV)
    relativistic = ((energy_keV + 511) / (energy_keV + 1024)) ** 2
    sigma_cm2 = 5.21e-21 * (element.atomic_number / energy_keV) ** 2 * relativistic
    sigma_cm2 = sigma_cm2 * 4 * np.pi / (alpha * (1 + alpha))
    return np.asarray(sigma_cm2 * element.atoms_per_formula * _formulas_per_cm3() / _NM_PER_CM, dtype=float)


def stopping_eV_per_nm(energy_eV: npt.ArrayLike) -> FloatArray:
    """Mean energy loss per nm of path in CsPbBr3 (Joy and Luo 1989; k = 0.734 Z^0.037)."""
    energy_keV = np.asarray(energy_eV, dtype=float) / 1e3
    total = np.zeros_like(energy_keV)
    for element in CSPBBR3:
        z = element.atomic_number
        ionisation_keV = (9.76 * z + 58.5 * z**-0.19) * 1e-3
        density = DENSITY_g_per_cm3 * element.atoms_per_formula * element.atomic_mass / formula_mass()
        logarithm = np.log(1.166 * (energy_keV + 0.734 * z**0.037 * ionisation_keV) / ionisation_keV)
        total = total + 78500 * density * z / (element.atomic_mass * energy_keV) * logarithm
    return np.asarray(total * 1e3 / _NM_PER_CM, dtype=float)


@cache
def soft_loss_table() -> tuple[FloatArray, FloatArray]:
    """Cumulative probability and energy of soft losses: Drude's energy loss function, gap to 100 eV."""
    loss = np.linspace(GAP_eV, LOCAL_eV, 4096)
    weight = loss / ((loss**2 - PLASMON_eV**2) ** 2 + (PLASMON_WIDTH_eV * loss) ** 2)
    cumulative = np.concatenate([[0.0], np.cumsum((weight[1:] + weight[:-1]) / 2)])
    return cumulative / cumulative[-1], loss


@cache
def mean_soft_loss_eV() -> float:
    """Energy per excitation: the mean of the soft losses."""
    cumulative, loss = soft_loss_table()
    return float(np.sum(np.diff(cumulative) * (loss[1:] + loss[:-1]) / 2))


def hard_per_nm(energy_eV: npt.ArrayLike) -> FloatArray:
    """Losses above 100 eV per nm of path: free-electron collisions up to half the energy."""
    energy = np.asarray(energy_eV, dtype=float)
    inverse = np.maximum(1 / LOCAL_eV - 2 / energy, 0.0)
    return np.asarray(_free_electrons_per_nm3_area() / energy * inverse, dtype=float)


def hard_loss_eV_per_nm(energy_eV: npt.ArrayLike) -> FloatArray:
    """The part of the stopping power that goes into losses above 100 eV."""
    energy = np.asarray(energy_eV, dtype=float)
    logarithm = np.log(np.maximum(energy / 2 / LOCAL_eV, 1.0))
    return np.asarray(_free_electrons_per_nm3_area() / energy * logarithm, dtype=float)


def track(
    photon: IntArray,
    energy_eV: FloatArray,
    rng: np.random.Generator,
    *,
    local: tuple[IntArray, FloatArray] | None = None,
) -> Excitations:
    """Follow electrons that start at the origin in random directions until all are below 100 eV.

    Args:
        photon: (n,) which photon each electron belongs to.
        energy_eV: (n,) their energies, at most the photon's.
        rng: source of the collisions.
        local: photons (m,) and energies (m,) in eV that stay at the origin and make excitations there.

    Raises:
        ValueError: for an energy that is above the photon's or not a number.
    """
    if not np.all(energy_eV <= PHOTON_eV):
        raise ValueError(f"electrons of one photon have at most its {PHOTON_eV:g} eV")
    alive = energy_eV >= LOCAL_eV
    record = _Record(rng)
    record.tails(photon[~alive], np.zeros((3, int(np.sum(~alive)))), energy_eV[~alive])
    if local is not None:
        record.tails(local[0], np.zeros((3, local[0].size)), local[1])
    owner, energy = photon[alive].copy(), energy_eV[alive].astype(float)
    place, heading = np.zeros((3, owner.size)), _isotropic(owner.size, rng)
    while owner.size:
        owner, energy, place, heading = _step(owner, energy, place, heading, record, rng)
    return record.excitations()


class _Record:
    """Excitations as they happen; one list of arrays, joined at the end."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._photons: list[IntArray] = []
        self._places: list[npt.NDArray[np.float32]] = []

    def at(self, photon: IntArray, place: FloatArray) -> None:
        self._photons.append(photon)
        self._places.append(place.astype(np.float32))

    def tails(self, photon: IntArray, place: FloatArray, energy_eV: FloatArray) -> None:
        """Excitations of energy that stays: one per mean soft loss, the remainder by chance."""
        if not photon.size:
            return
        share = energy_eV / mean_soft_loss_eV()
        count = np.floor(share + self._rng.random(share.size)).astype(np.int64)
        spread = self._rng.normal(0.0, TAIL_nm, (3, int(count.sum())))
        self.at(np.repeat(photon, count), np.repeat(place, count, axis=1) + spread)

    def excitations(self) -> Excitations:
        if not self._photons:
            return Excitations(np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.float32))
        return Excitations(np.concatenate(self._photons), np.concatenate(self._places, axis=1).T.copy())


def _step(
    owner: IntArray,
    energy: FloatArray,
    place: FloatArray,
    heading: FloatArray,
    record: _Record,
    rng: np.random.Generator,
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
    """One collision of every electron; returns those that go on, secondaries among them."""
    path_nm, shares, alphas = _collision_tables()
    bins = ((energy - LOCAL_eV) * ((_TABLE_POINTS - 1) / (PHOTON_eV - LOCAL_eV))).astype(np.int64)
    place += heading * (path_nm[bins] * rng.standard_exponential(owner.size))
    pick = rng.random(owner.size)
    kind = np.sum(pick > shares[:, bins], axis=0)

    elastic = np.flatnonzero(kind < _ELASTIC)
    alpha = alphas[kind[elastic], bins[elastic]]
    chance = rng.random(elastic.size)
    cosine = 1 - 2 * alpha * chance / (1 + alpha - chance)
    heading[:, elastic] = _turned(heading[:, elastic], cosine, rng)

    soft = np.flatnonzero(kind == _SOFT)
    record.at(owner[soft], place[:, soft])
    energy[soft] -= np.interp(rng.random(soft.size), *soft_loss_table())

    hard = np.flatnonzero(kind == _HARD)
    record.at(owner[hard], place[:, hard])
    # 1/W^2 between 100 eV and half the energy, by inversion.
    most = np.maximum(energy[hard] / 2, LOCAL_eV)
    loss = 1 / (1 / LOCAL_eV - rng.random(hard.size) * (1 / LOCAL_eV - 1 / most))
    # The excitation recorded above keeps one mean soft loss; the rest is the secondary's.
    born = (owner[hard], loss - mean_soft_loss_eV(), place[:, hard])
    share = loss / energy[hard]
    axis = heading[:, hard]
    heading[:, hard] = _turned(axis, np.sqrt(1 - share), rng)
    energy[hard] -= loss

    owner = np.concatenate([owner, born[0]])
    energy = np.concatenate([energy, born[1]])
    place = np.concatenate([place, born[2]], axis=1)
    heading = np.concatenate([heading, _turned(axis, np.sqrt(share), rng)], axis=1)
    ended = energy < LOCAL_eV
    if not np.any(ended):
        return owner, energy, place, heading
    record.tails(owner[ended], place[:, ended], np.maximum(energy[ended], 0.0))
    alive = np.flatnonzero(~ended)
    return owner[alive], energy[alive], place[:, alive], heading[:, alive]


@cache
def _collision_tables() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Over electron energy: mean free path, cumulative shares of the kinds of collision, screenings."""
    energy = np.linspace(LOCAL_eV, PHOTON_eV, _TABLE_POINTS)
    soft = (stopping_eV_per_nm(energy) - hard_loss_eV_per_nm(energy)) / mean_soft_loss_eV()
    rates = np.stack([*(elastic_per_nm(e, energy) for e in CSPBBR3), soft, hard_per_nm(energy)])
    total = rates.sum(axis=0)
    alphas = np.stack([screening(element, energy) for element in CSPBBR3])
    # The last share is 1 whatever the rounding: drop it, so that the kind is the number of shares passed.
    return 1 / total, np.cumsum(rates, axis=0)[:-1] / total, alphas


def _turned(heading: FloatArray, cosine: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Unit vectors (3, n) turned by the polar angles given and random azimuths."""
    x, y, z = heading
    sine = np.sqrt(np.maximum(1 - cosine**2, 0.0))
    azimuth = rng.random(cosine.size) * (2 * np.pi)
    # Two directions across (Duff et al. 2017): no special case near the poles.
    sign = np.copysign(1.0, z)
    a = -1 / (sign + z)
    b = x * y * a
    across, along = sine * np.cos(azimuth), sine * np.sin(azimuth)
    turned = np.empty_like(heading)
    turned[0] = cosine * x + across * (1 + sign * x * x * a) + along * b
    turned[1] = cosine * y + across * sign * b + along * (sign + y * y * a)
    turned[2] = cosine * z - across * sign * x - along * y
    # A thousand turns let rounding creep into the length.
    turned /= np.sqrt(np.sum(turned**2, axis=0))
    return turned


def _isotropic(count: int, rng: np.random.Generator) -> FloatArray:
    z = rng.uniform(-1, 1, count)
    azimuth = rng.uniform(0, 2 * np.pi, count)
    ring = np.sqrt(1 - z**2)
    return np.stack([ring * np.cos(azimuth), ring * np.sin(azimuth), z])


def _formulas_per_cm3() -> float:
    return DENSITY_g_per_cm3 * AVOGADRO_per_mol / formula_mass()


def _free_electrons_per_nm3_area() -> float:
    """Pi e^4 times the density of free electrons: eV^2 per nm."""
    return FREE_ELECTRONS * _formulas_per_cm3() * _PI_E4_eV2_cm2 / _NM_PER_CM
