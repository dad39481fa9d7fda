"""An 8 keV photon is absorbed in CsPbBr3: which shell, which electrons leave, what stays.

Cross sections, edges, jump ratios, fluorescence yields and line energies are those of Elam, Ravel and Sieber,
Radiat. Phys. Chem. 63, 121 (2002), as tabulated in xraydb, at the copper K-alpha line. Only shells that 8 keV
can ionise appear: K of all three elements and L of lead are out of reach. Jump ratios at the edges are taken
as the shares of the shells at 8 keV. An Auger step empties the same inner-valence shell twice (caesium
L -> M45 M45, M -> N45 N45; lead M -> N67 N67; bromine L -> M45 M45), the strongest of the many channels;
Coster-Kronig steps are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

#: Copper K-alpha, mean of the doublet.
PHOTON_eV = 8040.0
#: Below this an electron does not get out of its dot: its energy stays where it is.
LOCAL_eV = 100.0
#: Bulk CsPbBr3, as in the paper's simulation.
DENSITY_g_per_cm3 = 4.85

AVOGADRO_per_mol = 6.02214076e23


@dataclass(frozen=True)
class Shell:
    """One shell: binding energy, jump ratio at its edge, fluorescence yield and mean line energy.

    ``refilled_from_eV`` is the binding energy of the shell whose electrons fill the hole.
    """

    name: str
    binding_eV: float
    jump_ratio: float
    fluorescence_yield: float
    line_eV: float
    refilled_from_eV: float


@dataclass(frozen=True)
class Element:
    """One element of the compound; ``photo_cm2_per_g`` is its photoabsorption at :data:`PHOTON_eV`."""

    symbol: str
    atomic_number: int
    atomic_mass: float
    atoms_per_formula: int
    photo_cm2_per_g: float
    shells: tuple[Shell, ...]


CAESIUM = Element(
    "Cs",
    55,
    132.905,
    1,
    313.7,
    (
        Shell("L1", 5714.0, 1.14994, 0.049, 4863.0, 733.0),
        Shell("L2", 5359.0, 1.4, 0.090, 4687.0, 733.0),
        Shell("L3", 5012.0, 2.955, 0.091, 4368.0, 733.0),
        Shell("M1", 1211.0, 1.04, 0.0, 0.0, 78.0),
        Shell("M2", 1071.0, 1.058, 0.0, 0.0, 78.0),
        Shell("M3", 1003.0, 1.14447, 0.0, 0.0, 78.0),
        Shell("M4", 740.5, 1.052, 0.0, 0.0, 78.0),
        Shell("M5", 726.6, 1.451, 0.0, 0.0, 78.0),
        Shell("N1", 232.3, 1.18021, 0.0, 0.0, 78.0),
        Shell("N3", 161.3, 1.884, 0.0, 0.0, 20.0),
    ),
)
LEAD = Element(
    "Pb",
    82,
    207.2,
    1,
    219.8,
    (
        Shell("M1", 3851.0, 1.04, 0.0027, 2342.0, 139.0),
        Shell("M2", 3554.0, 1.058, 0.0155, 2342.0, 139.0),
        Shell("M3", 3066.0, 1.15887, 0.0050, 2654.0, 139.0),
        Shell("M4", 2586.0, 1.265, 0.0314, 2444.0, 139.0),
        Shell("M5", 2484.0, 1.757, 0.0308, 2342.0, 139.0),
        Shell("N1", 891.8, 1.0324, 0.0, 0.0, 139.0),
        Shell("N3", 643.5, 1.06, 0.0, 0.0, 139.0),
        Shell("N4", 434.3, 1.02, 0.0, 0.0, 139.0),
        Shell("O1", 147.0, 1.172, 0.0, 0.0, 20.0),
        Shell("N7", 136.9, 1.168, 0.0, 0.0, 20.0),
        Shell("O2", 106.4, 1.16, 0.0, 0.0, 20.0),
    ),
)
BROMINE = Element(
    "Br",
    35,
    79.904,
    3,
    86.67,
    (
        Shell("L1", 1782.0, 1.13916, 0.0036, 1600.0, 69.5),
        Shell("L2", 1596.0, 1.4, 0.0180, 1526.0, 69.5),
        Shell("L3", 1550.0, 4.654, 0.0200, 1480.0, 69.5),
        Shell("M1", 257.0, 1.04, 0.0, 0.0, 69.5),
        Shell("M3", 182.0, 1.11949, 0.0, 0.0, 20.0),
    ),
)
CSPBBR3 = (CAESIUM, LEAD, BROMINE)
# Mean line energies and mean binding energies of a group of subshells meet within this.
_SAME_SHELL_eV = 100.0
#: Everything outside the listed shells: valence and shallow core, whose hole stays in the dot.
_OUTER = Shell("outer", 20.0, 0.0, 0.0, 0.0, 0.0)


def formula_mass() -> float:
    """Mass of one formula unit, g/mol."""
    return sum(element.atoms_per_formula * element.atomic_mass for element in CSPBBR3)


def attenuation_length_um() -> float:
    """Depth over which 8 keV photons are absorbed to 1/e."""
    mass = formula_mass()
    mean = sum(e.atoms_per_formula * e.atomic_mass / mass * e.photo_cm2_per_g for e in CSPBBR3)
    return 1e4 / (mean * DENSITY_g_per_cm3)


@dataclass(frozen=True)
class Ionisation:
    """One way to absorb the photon: its share of all, and what follows.

    ``electrons_eV`` are the photoelectron and the Auger electrons above :data:`LOCAL_eV`; ``local_eV`` stays
    at the atom; ``escaping_eV`` leaves as fluorescence (micrometres away, out of the burst).
    """

    shell: str
    share: float
    electrons_eV: tuple[float, ...]
    local_eV: float
    escaping_eV: float


@cache
def ionisations() -> tuple[Ionisation, ...]:
    """Every channel of photoabsorption; shares sum to 1, energies of each channel to the photon's."""
    weights = [e.atoms_per_formula * e.atomic_mass * e.photo_cm2_per_g for e in CSPBBR3]
    channels: list[Ionisation] = []
    for element, weight in zip(CSPBBR3, weights, strict=True):
        left = weight / sum(weights)
        for shell in element.shells:
            share = left * (1 - 1 / shell.jump_ratio)
            left -= share
            channels += _channels(element, shell, share)
        channels += _channels(element, _OUTER, left)
    return tuple(channels)


def sample_ionisations(photons: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Index into :func:`ionisations` for each absorbed photon: (photons,)."""
    shares = np.array([channel.share for channel in ionisations()])
    return rng.choice(len(shares), size=photons, p=shares / shares.sum()).astype(np.int64)


def _channels(element: Element, shell: Shell, share: float) -> list[Ionisation]:
    """Auger and, where there is a yield for it, fluorescence after a hole in ``shell``."""
    name = f"{element.symbol} {shell.name}"
    photoelectron = PHOTON_eV - shell.binding_eV
    electrons, local = _relax(element, shell.binding_eV, shell.refilled_from_eV)
    auger = Ionisation(name, share * (1 - shell.fluorescence_yield), (photoelectron, *electrons), local, 0.0)
    if shell.fluorescence_yield == 0:
        return [auger]
    electrons, local = _relax(element, shell.binding_eV - shell.line_eV, 0.0)
    glow = Ionisation(
        name, share * shell.fluorescence_yield, (photoelectron, *electrons), local, shell.line_eV
    )
    return [auger, glow]


def _relax(element: Element, hole_eV: float, refilled_from_eV: float) -> tuple[list[float], float]:
    """Auger electrons that leave after a hole of this energy, and the energy that stays."""
    auger = hole_eV - 2 * refilled_from_eV
    if auger < LOCAL_eV or refilled_from_eV == 0:
        # Where the hole sits is not said: in the shell nearest in energy, if there is one near.
        shell = min(element.shells, key=lambda candidate: abs(candidate.binding_eV - hole_eV))
        if refilled_from_eV == 0 and abs(shell.binding_eV - hole_eV) < _SAME_SHELL_eV:
            return _relax(element, hole_eV, shell.refilled_from_eV)
        return [], hole_eV
    electrons, local = [auger], 0.0
    for _ in range(2):
        more, kept = _relax(element, refilled_from_eV, 0.0)
        electrons += more
        local += kept
    return electrons, local
