"""Material files: complete, sourced, and refused by name when unknown."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest

from labctl.emission.dot_material import alloy, load_material, material_names


def test_the_package_brings_perovskites_and_the_counter_example():
    assert {"CsPbBr3", "CsPbI3", "CsPbCl3", "FAPbBr3", "CdSe"} <= set(material_names())


@pytest.mark.parametrize("name", material_names())
def test_every_number_has_an_origin(name):
    material = load_material(name)
    assert material.name == name
    numbers = {
        "unit_cell_nm",
        "exciton_mass",
        "static_disorder_eV",
        "biexciton_coulomb_eV",
        "biexciton_lattice_300K_eV",
    }
    assert numbers < set(material.origins)
    assert sum(key.startswith("mode ") for key in material.origins) >= 1
    assert all(len(origin) > 10 for origin in material.origins.values())


@pytest.mark.parametrize("name", material_names())
def test_an_origin_says_whether_its_source_was_read(name):
    """Nothing claims a source by silence; what is seen says where, what is chosen says why."""
    for origin in load_material(name).origins.values():
        status, _, where = origin.partition(": ")
        assert status in ("seen", "derived", "notes", "chosen"), origin
        if status in ("seen", "derived"):
            assert any(mark in where for mark in ("arXiv:", "doi ", "github.com/", ".org/", "Nano Lett.")), (
                origin
            )
        else:
            assert len(where) >= len("as above")


def test_the_cell_of_cdse_is_that_of_its_diffraction_lines():
    a, c = 2 * 0.214925, 2 * 0.350760
    assert load_material("CdSe").unit_cell_nm == pytest.approx((3**0.5 / 4 * a * a * c) ** (1 / 3), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "bohr", "wave_number_per_cm"),
    [("CsPbI3", 11.88638, 112.9), ("CsPbBr3", 11.09269, 149.4), ("CsPbCl3", 10.591915, 214.0)],
)
def test_caesium_lead_halides_have_the_cells_and_stiffest_modes_read(name, bohr, wave_number_per_cm):
    """Distances between lead ions in Bohr, effective infrared modes in 1/cm: the files name both sources."""
    material = load_material(name)
    assert material.unit_cell_nm == pytest.approx(bohr * 0.0529177211, rel=1e-3)
    stiffest_eV = float(tomllib.loads(_text(name))["mode"][-1]["energy_eV"])
    assert stiffest_eV == pytest.approx(wave_number_per_cm * 1.239842e-4, abs=0.6e-4)


def test_fapbbr3_has_the_replicas_of_single_dots():
    modes = [mode["energy_eV"] * 1e3 for mode in tomllib.loads(_text("FAPbBr3"))["mode"]]
    assert modes == pytest.approx([4.3, 8.6, 13.2, 18.6])


def test_masses_of_the_halides_go_as_those_of_their_methylammonium_sisters():
    bromide = load_material("CsPbBr3").exciton_mass
    assert bromide == pytest.approx(4 * 0.18)
    for name, reduced_mass in (("CsPbI3", 0.104), ("CsPbCl3", 0.2)):
        assert load_material(name).exciton_mass / bromide == pytest.approx(reduced_mass / 0.117, rel=2e-3)


def _text(name: str) -> str:
    folder = resources.files("labctl.emission") / "materials"
    return (folder / f"{name}.toml").read_text(encoding="utf-8")


def test_an_unknown_material_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no material 'GaAs'.*CdSe.*CsPbBr3"):
        load_material("GaAs")


def test_a_file_elsewhere_is_not_reached_by_name():
    with pytest.raises(ValueError, match="no material"):
        load_material("../samples/uv")


def test_an_even_alloy_is_the_most_disordered():
    bromide, iodide = load_material("CsPbBr3"), load_material("CsPbI3")
    floors = [alloy(bromide, iodide, share).static_disorder_eV for share in (0.0, 0.25, 0.5, 1.0)]
    assert floors[0] == bromide.static_disorder_eV
    assert floors[2] == max(floors)
    half = alloy(bromide, iodide, 0.5)
    assert half.unit_cell_nm == pytest.approx((0.587 + 0.629) / 2)
    assert half.phonons.huang_rhys == pytest.approx(
        (bromide.phonons.huang_rhys + iodide.phonons.huang_rhys) / 2
    )
