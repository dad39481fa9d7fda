"""Materials of dots as data: lattice, exciton, phonons and biexciton, each number with its origin."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

from labctl.emission.spectral_density import SpectralDensity, from_modes, mixed

_FOLDER = "materials"
#: A sphere of diameter D fills this part of the cube of edge D.
_FILLING = {"cube": 1.0, "sphere": math.pi / 6}


@dataclass(frozen=True)
class Material:
    """What the lattice model needs to know of a material.

    ``unit_cell_nm`` is the edge of the cube that one formula unit fills, ``exciton_mass`` electron plus hole
    in free-electron masses, ``filling`` the volume of a dot over that of its enclosing cube. ``origins``
    says for each parameter (and each ``mode 1``, ``mode 2``...) where it comes from, beginning with ``seen``
    (read in the source named), ``derived`` (from numbers read in the sources named, by the step named),
    ``notes`` (from the rig's notes on the papers) or ``chosen`` (no source fixes it; the reason is given).
    """

    name: str
    unit_cell_nm: float
    exciton_mass: float
    static_disorder_eV: float
    biexciton_coulomb_eV: float
    biexciton_lattice_300K_eV: float
    phonons: SpectralDensity
    filling: float
    origins: dict[str, str]


def material_names() -> tuple[str, ...]:
    """Names of the materials that come with the package."""
    folder = resources.files("labctl.emission") / _FOLDER
    return tuple(sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".toml")))


def load_material(name: str) -> Material:
    """Read one of the package's materials.

    Raises:
        ValueError: if there is no such material; the message names those there are.
    """
    if name not in material_names():
        raise ValueError(f"no material '{name}'; there are {', '.join(material_names())}")
    file = resources.files("labctl.emission") / _FOLDER / f"{name}.toml"
    return _material(tomllib.loads(file.read_text(encoding="utf-8")))


def alloy(
    first: Material, second: Material, share_of_second: float, *, disorder_eV: float = 0.015
) -> Material:
    """Mix two materials: lengths and masses linearly (Vegard), phonons by their shares.

    Ions placed at random add ``disorder_eV`` * sqrt(4 x (1 - x)) of static disorder, which peaks at the even
    mixture (chosen form and size).

    Raises:
        ValueError: if the share is not between 0 and 1, or the dots' shapes differ.
    """
    if not 0 <= share_of_second <= 1:
        raise ValueError(f"the share of {second.name} lies between 0 and 1, not {share_of_second}")
    if first.filling != second.filling:
        raise ValueError(f"dots of {first.name} and {second.name} differ in shape and do not mix")

    def linear(parameter: str) -> float:
        low, high = getattr(first, parameter), getattr(second, parameter)
        return float((1 - share_of_second) * low + share_of_second * high)

    floor = linear("static_disorder_eV")
    random_ions = disorder_eV * math.sqrt(4 * share_of_second * (1 - share_of_second))
    return Material(
        name=f"{first.name} with {share_of_second:.0%} {second.name}",
        unit_cell_nm=linear("unit_cell_nm"),
        exciton_mass=linear("exciton_mass"),
        static_disorder_eV=math.hypot(floor, random_ions),
        biexciton_coulomb_eV=linear("biexciton_coulomb_eV"),
        biexciton_lattice_300K_eV=linear("biexciton_lattice_300K_eV"),
        phonons=mixed(first.phonons, second.phonons, share_of_second),
        filling=first.filling,
        origins={"all": f"mixed from {first.name} and {second.name}"},
    )


def _material(table: dict[str, Any]) -> Material:
    modes = table["mode"]
    numbers = {key: entry for key, entry in table.items() if isinstance(entry, dict)}
    origins = {key: str(entry["origin"]) for key, entry in numbers.items()}
    origins |= {f"mode {number}": str(mode["origin"]) for number, mode in enumerate(modes, start=1)}
    phonons = from_modes(
        [mode["energy_eV"] for mode in modes],
        [mode["huang_rhys"] for mode in modes],
        [mode["width_eV"] for mode in modes],
    )
    values = {key: float(entry["value"]) for key, entry in numbers.items()}
    return Material(
        name=str(table["name"]), phonons=phonons, filling=_FILLING[table["shape"]], origins=origins, **values
    )
