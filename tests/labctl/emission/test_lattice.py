"""The lattice of one dot: sum rules, limits, and the papers' numbers."""

from __future__ import annotations

import math

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.emission.dot_material import alloy, load_material, material_names
from labctl.emission.lattice import (
    DICKE_LIMIT,
    band_coupling_eV,
    biexciton_binding_eV,
    biexciton_rate_ratio,
    coherence_number,
    composition_diagram,
    crossover_temperature_K,
    diameter_diagram,
    disorder_eV,
    exponent_from_lifetimes_K,
    law_rate_ratio,
    rate_exponent_K,
    rate_ratio,
)
from labctl.emission.spectral_density import SpectralDensity, from_modes, mixed

K_B = 1.380649e-23 / 1.602176634e-19
PEROVSKITES = ("CsPbBr3", "CsPbI3", "CsPbCl3", "FAPbBr3")

modes = st.lists(
    st.tuples(st.floats(1e-3, 0.05), st.floats(0.0, 2.0), st.sampled_from([0.0, 1e-4, 1e-3, 5e-3])),
    min_size=1,
    max_size=5,
).filter(lambda rows: sum(row[1] for row in rows) > 0.01)


@given(modes)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_density_keeps_the_huang_rhys_factors_of_its_modes(rows):
    energy, strength, width = zip(*rows, strict=True)
    assert from_modes(energy, strength, width).huang_rhys == pytest.approx(sum(strength), rel=1e-9)


@given(modes, st.floats(0.1, 2000))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_disorder_lies_between_its_quantum_and_classical_limits(rows, temperature_K):
    density = from_modes(*zip(*rows, strict=True))
    variance = float(density.variance_eV2(temperature_K))
    classical = 2 * K_B * temperature_K * density.reorganisation_energy_eV
    quantum = float(np.sum(density.coupling_eV2))
    # x < x coth x < 1 + x
    assert max(classical, quantum) <= variance * (1 + 1e-9)
    assert variance <= (classical + quantum) * (1 + 1e-9)


def test_one_mode_has_the_variance_of_a_thermal_oscillator():
    energy, strength, temperature_K = 0.019, 0.7, 150.0
    occupation = 1 / (math.exp(energy / (K_B * temperature_K)) - 1)
    variance = from_modes([energy], [strength]).variance_eV2(temperature_K)
    assert variance == pytest.approx(strength * energy**2 * (2 * occupation + 1), rel=1e-6)
    assert from_modes([energy], [strength]).variance_eV2(0.0) == pytest.approx(strength * energy**2)


def test_a_broad_mode_is_its_own_numerical_integral():
    centre, strength, width, temperature_K = 0.02, 0.5, 0.002, 100.0
    energy = np.linspace(centre - 3 * width, centre + 3 * width, 20001)
    share = np.exp(-0.5 * ((energy - centre) / width) ** 2)
    integrand = share * energy**2 / np.tanh(energy / (2 * K_B * temperature_K))
    expected = strength * integrand.sum() / share.sum()
    density = from_modes([centre], [strength], [width])
    assert density.variance_eV2(temperature_K) == pytest.approx(expected, rel=1e-3)


def test_mixing_is_linear_in_the_variance():
    soft, stiff = from_modes([0.004], [1.0]), from_modes([0.026], [0.1])
    half = mixed(soft, stiff, 0.5).variance_eV2([50.0, 300.0])
    npt.assert_allclose(half, 0.5 * (soft.variance_eV2([50.0, 300.0]) + stiff.variance_eV2([50.0, 300.0])))


def test_scaling_changes_the_strength_and_not_the_shape():
    density = from_modes([0.004, 0.02], [0.5, 0.5]).scaled_to(0.1)
    assert density.huang_rhys == pytest.approx(0.1)
    assert density.mean_energy_eV == pytest.approx(0.012)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpectralDensity(np.array([0.01]), np.array([-1e-6])), "not negative"),
        (lambda: SpectralDensity(np.array([0.0]), np.array([1e-6])), "positive"),
        (lambda: SpectralDensity(np.array([]), np.array([])), "at least one mode"),
        (lambda: SpectralDensity(np.array([np.nan]), np.array([1.0])), "not a number"),
        (lambda: from_modes([], []), "at least one mode"),
        (lambda: from_modes([0.01], [1.0], [-1.0]), "width"),
        (lambda: from_modes([-0.01], [1.0], [0.001]), "positive"),
        (lambda: from_modes([0.01], [1.0]).variance_eV2(-1), "kelvin"),
        (lambda: from_modes([0.01], [1.0]).scaled_to(0), "positive"),
        (lambda: from_modes([0.01], [0.0]).scaled_to(1), "no shape"),
        (lambda: mixed(from_modes([0.01], [1.0]), from_modes([0.01], [1.0]), 1.5), "between 0 and 1"),
    ],
)
def test_wrong_densities_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", material_names())
def test_the_smallest_dots_are_wholly_coherent_and_large_ones_limited_by_the_lattice(name):
    material = load_material(name)
    tiny_nm, huge_nm = 0.3, 1e4
    cells = material.filling * (tiny_nm / material.unit_cell_nm) ** 3
    assert coherence_number(material, 80.0, tiny_nm) == pytest.approx(cells, rel=0.01)
    lattice = (band_coupling_eV(material) / disorder_eV(material, 80.0)) ** 3
    assert coherence_number(material, 80.0, huge_nm) == pytest.approx(lattice, rel=0.01)
    assert rate_exponent_K(material, tiny_nm) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("name", material_names())
def test_rates_grow_on_cooling_and_exponents_with_diameter(name):
    material = load_material(name)
    ratios = rate_ratio(material, np.arange(300.0, 4.0, -5.0), 8.0)
    assert ratios[0] == pytest.approx(1.0)
    assert np.all(np.diff(ratios) >= 0)
    assert np.all(np.diff(rate_exponent_K(material, np.arange(3.0, 40.0))) > 0)


def test_the_measured_lifetimes_give_the_papers_exponents():
    assert exponent_from_lifetimes_K(0.90e-9, 80, 3.35e-9, 300) == pytest.approx(143, abs=1)
    assert exponent_from_lifetimes_K(2.40e-9, 80, 3.48e-9, 300) == pytest.approx(41, abs=1)


def test_cspbbr3_of_8_nm_has_the_exponent_measured_under_uv():
    assert rate_exponent_K(load_material("CsPbBr3"), 8.0) == pytest.approx(40.5, abs=0.2)


def test_no_size_of_dot_reaches_the_exponent_of_the_x_ray_lifetimes():
    """Far larger than its coherent volume, a dot has N ~ sigma^-3: A_X = 3 ln(sigma_300 / sigma_80) / ..."""
    material = load_material("CsPbBr3")
    cold, warm = disorder_eV(material, [80.0, 300.0])
    ceiling = 3 * math.log(warm / cold) / (1 / 80 - 1 / 300)
    assert rate_exponent_K(material, 1e5) == pytest.approx(ceiling, rel=1e-6)
    assert ceiling < exponent_from_lifetimes_K(0.90e-9, 80, 3.35e-9, 300)


def test_perovskites_respond_to_cooling_and_cdse_does_not():
    exponents = {name: float(rate_exponent_K(load_material(name), 8.0)) for name in PEROVSKITES}
    assert min(exponents.values()) > 30
    # CdSe dots emit in the visible at diameters of 3 to 5 nm.
    assert rate_exponent_K(load_material("CdSe"), 4.0) < 1
    assert load_material("CdSe").phonons.huang_rhys == pytest.approx(0.1)
    assert load_material("CsPbBr3").phonons.huang_rhys == pytest.approx(1.0)
    assert (
        load_material("CsPbBr3").phonons.mean_energy_eV < 0.4 * load_material("CdSe").phonons.mean_energy_eV
    )


@given(st.floats(0.1, 500), st.floats(1.001, 20))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_law_reaches_the_threshold_at_the_crossover(exponent_K, threshold):
    crossover = crossover_temperature_K(exponent_K, threshold)
    assert 0 < crossover < 300
    assert law_rate_ratio(exponent_K, crossover) == pytest.approx(threshold, rel=1e-9)


def test_a_dot_without_exponent_never_crosses_over():
    npt.assert_array_equal(crossover_temperature_K([0.0, -5.0]), [0.0, 0.0])
    assert law_rate_ratio(-5.0, 80.0) < 1


def test_cspbbr3_of_8_nm_crosses_over_where_the_coupled_peak_appears():
    crossover = crossover_temperature_K(rate_exponent_K(load_material("CsPbBr3"), 8.0))
    assert 170 < crossover < 220


def test_the_diameter_diagram_meets_the_model_at_80_and_300_k():
    material = load_material("CsPbBr3")
    diagram = diameter_diagram(material, [80.0, 300.0], [5.0, 8.0, 12.0])
    assert diagram.shape == (2, 3)
    npt.assert_allclose(diagram[1], 1.0)
    npt.assert_allclose(diagram[0], rate_ratio(material, 80.0, [5.0, 8.0, 12.0]))
    assert np.all(np.diff(diagram[0]) > 0)


def test_the_diagrams_contour_is_the_crossover_temperature():
    material = load_material("CsPbBr3")
    diameters = [6.0, 8.0, 12.0]
    crossover = crossover_temperature_K(rate_exponent_K(material, diameters), 1.3)
    diagram = diameter_diagram(material, list(crossover), diameters)
    npt.assert_allclose(np.diag(diagram), 1.3)


def test_the_model_levels_off_where_the_law_does_not():
    material = load_material("CsPbBr3")
    law = law_rate_ratio(rate_exponent_K(material, 8.0), [20.0, 150.0])
    model = rate_ratio(material, [20.0, 150.0], 8.0)
    assert model[0] < law[0]
    assert model[1] > law[1]


def test_the_composition_diagram_joins_its_pure_ends():
    bromide, iodide = load_material("CsPbBr3"), load_material("CsPbI3")
    diagram = composition_diagram(bromide, iodide, [80.0, 200.0], [0.0, 0.5, 1.0], diameter_nm=8.0)
    npt.assert_allclose(diagram[:, [0]], diameter_diagram(bromide, [80.0, 200.0], [8.0]))
    npt.assert_allclose(diagram[:, [2]], diameter_diagram(iodide, [80.0, 200.0], [8.0]))


def test_the_biexcitons_lattice_binding_is_half_and_freezes_out():
    """Second paper: the apparent binding at 10 K is about half of that at 300 K."""
    binding = biexciton_binding_eV(load_material("CsPbBr3"), np.array([10.0, 300.0]))
    assert binding[1] == pytest.approx(0.010)
    assert binding[0] / binding[1] == pytest.approx(0.5, abs=0.02)
    cdse = biexciton_binding_eV(load_material("CdSe"), np.array([10.0, 300.0]))
    assert cdse[0] == pytest.approx(cdse[1])


@given(st.floats(0, 500), st.floats(1, 300))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_biexciton_ratio_stays_between_one_and_the_dicke_limit(exponent_K, temperature_K):
    assert 1 <= biexciton_rate_ratio(exponent_K, temperature_K) <= DICKE_LIMIT


def test_the_biexciton_ratio_rises_linearly_in_inverse_temperature_at_first():
    inverse = 1 / 300 + np.array([0.0, 1e-5, 2e-5])
    ratio = biexciton_rate_ratio(41.0, 1 / inverse)
    npt.assert_allclose(np.diff(ratio) / 1e-5, 41.0, rtol=1e-3)
    assert biexciton_rate_ratio(0.0, 10.0) == 1
    assert biexciton_rate_ratio(41.0, 4.0) == pytest.approx(DICKE_LIMIT, abs=0.001)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: coherence_number(m, 80, 0.0), "diameter"),
        (lambda m: rate_exponent_K(m, 8.0, cold_K=300), "cold_K"),
        (lambda m: law_rate_ratio(41, 0.0), "positive"),
        (lambda m: crossover_temperature_K(41, 1.0), "above 1"),
        (lambda m: exponent_from_lifetimes_K(1e-9, 80, 2e-9, 80), "different temperatures"),
        (lambda m: alloy(m, m, -0.1), "between 0 and 1"),
        (lambda m: alloy(m, load_material("CdSe"), 0.5), "shape"),
        (lambda m: disorder_eV(m, -4.0), "kelvin"),
    ],
)
def test_wrong_questions_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(load_material("CsPbBr3"))
