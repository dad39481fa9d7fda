"""From one X-ray photon to excited dots, and from excited dots to the photons of a burst.

Setting of Katznelson et al. (arXiv:2412.21101), supplement S9: 8 keV photons in bulk CsPbBr3, dots on a cubic
lattice of 10 nm. The paper counts hundreds of excitations per photon, about 50 nm between excitations of one
photon and on average two excited neighbours of an excited dot.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labctl.emission.components import contrast_s
from labctl.emission.photoabsorption import ionisations, sample_ionisations
from labctl.emission.photoelectron import Excitations, track

IntArray = npt.NDArray[np.int64]

LATTICE_nm = 10.0
#: <n(n-1)> / <n>^2 of the photons of an 8 keV burst, as :func:`simulate_cascade` gives it: 1.0071 over 40 000
#: photons (1.0062 to 1.0077 in tens of thousands). Kept as a number because the cascade takes seconds.
PAIR_FACTOR = 1.0071
#: Photons followed at once: enough to fill numpy's loops, few enough to stay in the cache.
_BATCH = 2000
# Lattice coordinates are packed into one integer of this many bits per axis.
_BITS = 12
_HALF = 1 << (_BITS - 1)


@dataclass(frozen=True)
class Cascade:
    """Excitations of many photons, each photon at its own origin; ``photons`` absorbed in all."""

    photons: int
    excitations: Excitations

    def per_photon(self) -> IntArray:
        """Number of excitations of each photon: (photons,)."""
        return np.bincount(self.excitations.photon, minlength=self.photons).astype(np.int64)


@dataclass(frozen=True)
class DotStatistics:
    """How the excitations of one photon share the lattice of dots.

    ``neighbours`` counts excited dots among the 6 that touch a face, ``neighbours_18`` among those that share
    a face or an edge, ``neighbours_26`` also a corner. ``pair_distance_nm`` is the mean distance between two
    excitations of one photon, ``centre_distance_nm`` the mean distance from their centre.
    """

    excitations_per_photon: float
    dots_per_photon: float
    excitations_per_dot: float
    pair_distance_nm: float
    centre_distance_nm: float
    neighbours: float
    neighbours_18: float
    neighbours_26: float


@dataclass(frozen=True)
class BurstStatistics:
    """Number n of photons per X-ray: its mean, Fano factor var(n) / <n>, and <n(n-1)> / <n>^2.

    The last is what contrast depends on, and losing photons at random does not change it.
    """

    mean: float
    fano: float
    pair_factor: float

    def detected(self, efficiency: float) -> BurstStatistics:
        """The same burst after each photon was kept with probability ``efficiency``.

        Raises:
            ValueError: if the efficiency is not between 0 and 1.
        """
        if not 0 <= efficiency <= 1:
            raise ValueError(f"an efficiency lies between 0 and 1, not {efficiency}")
        return BurstStatistics(self.mean * efficiency, 1 + efficiency * (self.fano - 1), self.pair_factor)

    def contrast_s(self, xrays_per_s: float) -> float:
        """C = <n(n-1)> / (<n>^2 Phi) in g2 = 1 + C A(tau), in seconds because A is a density.

        Raises:
            ValueError: if the rate of X-rays is not positive.
        """
        return contrast_s(xrays_per_s, pair_factor=self.pair_factor)


def simulate_cascade(photons: int, rng: np.random.Generator) -> Cascade:
    """Absorb ``photons`` photons of 8 keV and follow every electron.

    Args:
        photons: how many; 10 000 take some seconds.
        rng: source of everything random; the same state gives the same tracks.

    Raises:
        ValueError: for fewer than one photon.
    """
    if photons < 1:
        raise ValueError(f"a cascade needs at least one photon, not {photons}")
    parts = []
    for first in range(0, photons, _BATCH):
        part = _batch(min(_BATCH, photons - first), rng)
        parts.append(Excitations(part.photon + first, part.position_nm))
    order = np.concatenate([part.photon for part in parts])
    places = np.concatenate([part.position_nm for part in parts])
    return Cascade(photons, Excitations(order, places))


def dot_statistics(
    cascade: Cascade, rng: np.random.Generator, *, lattice_nm: float = LATTICE_nm
) -> DotStatistics:
    """Count excited dots and their excited neighbours on a cubic lattice.

    Each photon is absorbed at a random place of its dot. Distances use one random partner per excitation.

    Raises:
        ValueError: if the lattice constant is not positive, or too fine for the tracks.
    """
    if not lattice_nm > 0:
        raise ValueError(f"a lattice constant is positive, not {lattice_nm} nm")
    photon, place = cascade.excitations.photon, cascade.excitations.position_nm
    keys = _dots(cascade, rng, lattice_nm)
    shells: dict[int, int] = {1: 0, 2: 0, 3: 0}
    for offset in itertools.product((-1, 0, 1), repeat=3):
        steps = sum(abs(axis) for axis in offset)
        # Half of the offsets suffice: neighbourhood is mutual.
        if steps and offset > (0, 0, 0):
            shells[steps] += 2 * _count_present(keys, keys + _packed(np.array(offset)))
    counts = cascade.per_photon()
    centre = np.stack(
        [np.bincount(photon, place[:, axis], cascade.photons) for axis in range(3)]
    ) / np.maximum(counts, 1)
    from_centre = np.linalg.norm(place - centre.T[photon], axis=1)
    n_dots = max(len(keys), 1)
    return DotStatistics(
        excitations_per_photon=float(counts.mean()),
        dots_per_photon=len(keys) / cascade.photons,
        excitations_per_dot=len(photon) / n_dots,
        pair_distance_nm=_mean_pair_distance(cascade, rng),
        centre_distance_nm=float(from_centre.mean()),
        neighbours=shells[1] / n_dots,
        neighbours_18=(shells[1] + shells[2]) / n_dots,
        neighbours_26=sum(shells.values()) / n_dots,
    )


def burst_statistics(cascade: Cascade, photons_per_excitation: float) -> BurstStatistics:
    """Distribution of emitted photons per X-ray, each excitation emitting with the given probability.

    Raises:
        ValueError: if the probability is not above 0 and at most 1.
    """
    if not 0 < photons_per_excitation <= 1:
        raise ValueError(f"photons_per_excitation lies between 0 and 1, not {photons_per_excitation}")
    count = cascade.per_photon().astype(float)
    mean = float(count.mean())
    pair_factor = float(np.mean(count * (count - 1)) / mean**2)
    return BurstStatistics(mean, float(count.var() / mean), pair_factor).detected(photons_per_excitation)


def _batch(photons: int, rng: np.random.Generator) -> Excitations:
    channels = ionisations()
    which = sample_ionisations(photons, rng)
    owners, energies = [], []
    for index, channel in enumerate(channels):
        hit = np.flatnonzero(which == index)
        for energy in channel.electrons_eV:
            owners.append(hit)
            energies.append(np.full(hit.size, energy))
    stays = np.array([channel.local_eV for channel in channels])[which]
    local = (np.arange(photons), stays)
    return track(np.concatenate(owners), np.concatenate(energies), rng, local=local)


def _dots(cascade: Cascade, rng: np.random.Generator, lattice_nm: float) -> IntArray:
    """Sorted keys of the distinct excited dots: photon, then lattice coordinates, packed."""
    shift = rng.random((cascade.photons, 3)) * lattice_nm
    photon = cascade.excitations.photon
    site = np.floor((cascade.excitations.position_nm + shift[photon]) / lattice_nm).astype(np.int64)
    if site.size and np.max(np.abs(site)) >= _HALF - 1:
        raise ValueError(f"a lattice of {lattice_nm:g} nm is too fine: tracks span over {_HALF} dots")
    return np.unique((photon << (3 * _BITS)) + _packed(site + _HALF))


def _packed(site: IntArray) -> IntArray:
    return np.asarray((site[..., 0] << (2 * _BITS)) + (site[..., 1] << _BITS) + site[..., 2], dtype=np.int64)


def _count_present(keys: IntArray, wanted: IntArray) -> int:
    """How many of ``wanted`` are among the sorted ``keys``."""
    if not keys.size:
        return 0
    found = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return int(np.sum(keys[found] == wanted))


def _mean_pair_distance(cascade: Cascade, rng: np.random.Generator) -> float:
    """Mean over photons of the distance between two of its excitations, one random partner for each."""
    photon = cascade.excitations.photon
    counts = cascade.per_photon()
    order = np.argsort(photon, kind="stable")
    place = cascade.excitations.position_nm[order].astype(float)
    owner = photon[order]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])[owner]
    # A partner other than itself: step on by 1 to count - 1 places, in a circle.
    many = counts[owner]
    usable = many > 1
    step = 1 + np.floor(rng.random(owner.size) * np.maximum(many - 1, 1)).astype(np.int64)
    partner = first + (np.arange(owner.size) - first + step) % many
    distance = np.linalg.norm(place - place[partner], axis=1)
    weight = np.bincount(owner[usable], minlength=cascade.photons)
    total = np.bincount(owner[usable], distance[usable], cascade.photons)
    return float(np.mean(total[weight > 0] / weight[weight > 0])) if np.any(weight) else float("nan")
