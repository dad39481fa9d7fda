"""Coupled dots against closed forms, brute force and sum rules."""

from __future__ import annotations

import math

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from labctl.emission.coupled_dots import HBAR_eV_s, decay_matrix_per_s, exact_modes, secular_modes
from labctl.emission.disorder import UV, UV_PAIRS, UV_STRONG, X_RAY, DotEnsemble, hamiltonians_eV
from labctl.emission.disorder_average import average_emission, average_exact_decay_per_s
from labctl.emission.dot_lattice import lattice_sites, neighbour_pairs

GAMMA = 1e9
TIMES = np.linspace(0, 5e-9, 41)
LEGENDRE = np.polynomial.legendre.leggauss(400)


def random_system(seed: int, n_dots: int, spread: float) -> np.ndarray:
    """Random symmetric Hamiltonian with energies of ``spread`` times hbar Gamma_0."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(0, spread, (n_dots, n_dots))
    return (matrix + matrix.T) / 2 * HBAR_eV_s * GAMMA


systems = st.builds(
    random_system,
    seed=st.integers(0, 2**31),
    n_dots=st.integers(1, 6),
    spread=st.sampled_from([0.0, 0.01, 0.5, 3.0, 30.0, 1e5]),
)


def integrated_photons(matrix: np.ndarray, loss: float, collectivity: float) -> float:
    """Photons emitted in the end, from the Lyapunov equation solved as a linear system."""
    n_dots = len(matrix)
    gamma = decay_matrix_per_s(n_dots, 1.0, collectivity)
    effective = matrix / HBAR_eV_s / GAMMA - 0.5j * (gamma + loss * np.eye(n_dots))
    identity = np.eye(n_dots)
    superoperator = -1j * np.kron(effective, identity) + 1j * np.kron(identity, effective.conj())
    integral = -np.linalg.solve(superoperator, (np.eye(n_dots) / n_dots).ravel())
    return float(np.trace(gamma @ integral.reshape(n_dots, n_dots)).real)


@given(systems, st.floats(0.05, 3.0), st.floats(0, 1))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_photons_agree_with_the_integrated_master_equation(matrix, loss, collectivity):
    modes = exact_modes(
        matrix, radiative_rate_per_s=GAMMA, loss_rate_per_s=loss * GAMMA, collectivity=collectivity
    )
    assert modes.photons()[0] == pytest.approx(integrated_photons(matrix, loss, collectivity), abs=1e-6)


@given(systems, st.floats(0, 3.0), st.floats(0, 1))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_first_light_is_one_dots_rate_whatever_the_coupling(matrix, loss, collectivity):
    kwargs = {"radiative_rate_per_s": GAMMA, "loss_rate_per_s": loss * GAMMA, "collectivity": collectivity}
    assert exact_modes(matrix, **kwargs).decay_per_s(0.0)[0, 0] == pytest.approx(GAMMA, rel=1e-6)
    assert secular_modes(matrix, **kwargs).decay_per_s(0.0)[0, 0] == pytest.approx(GAMMA, rel=1e-12)


@given(systems, st.floats(0.05, 3.0))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_light_is_never_negative_and_never_more_than_the_excitation(matrix, loss):
    modes = exact_modes(matrix, radiative_rate_per_s=GAMMA, loss_rate_per_s=loss * GAMMA)
    assert np.all(modes.decay_per_s(TIMES) > -1e-6 * GAMMA)
    poles = HBAR_eV_s * (modes.eigenvalue_per_s[0].real + modes.offset_per_s[0])
    spectrum = modes.spectrum_per_eV(np.concatenate([poles, np.linspace(poles.min(), poles.max(), 50)]))
    assert np.all(spectrum > -1e-6 * np.max(spectrum))
    assert -1e-9 < modes.photons()[0] < 1 + 1e-9


@given(systems, st.floats(0.05, 3.0), st.sampled_from([math.inf, 1e-9]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_area_of_the_spectrum_is_the_number_of_photons(matrix, loss, window_s):
    modes = exact_modes(matrix, radiative_rate_per_s=GAMMA, loss_rate_per_s=loss * GAMMA)
    # A Lorentzian wider than everything has its area at any point of a tan-spaced grid.
    width = 20 * HBAR_eV_s * GAMMA + 3 * np.max(np.abs(matrix))
    angle = (np.arange(4000) + 0.5) / 4000 * np.pi - np.pi / 2
    spectrum = modes.spectrum_per_eV(width * np.tan(angle), window_s=window_s, linewidth_eV=width)
    area = np.sum(spectrum * width / np.cos(angle) ** 2) * np.pi / 4000
    assert area == pytest.approx(modes.photons(window_s)[0], abs=1e-6)


@given(systems, st.floats(0.0, 3.0))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_photons_within_a_window_are_the_integral_of_the_decay(matrix, loss):
    nodes, weights = LEGENDRE
    window_s = 2e-9
    for solve in (exact_modes, secular_modes):
        if solve is exact_modes and np.ptp(np.linalg.eigvalsh(matrix)) > 100 * HBAR_eV_s * GAMMA:
            continue  # beats too fast for 400 points
        modes = solve(matrix, radiative_rate_per_s=GAMMA, loss_rate_per_s=loss * GAMMA)
        decay = modes.decay_per_s(window_s * (nodes + 1) / 2)
        assert modes.photons(window_s)[0] == pytest.approx(decay[0] @ weights * window_s / 2, abs=1e-7)


@pytest.mark.parametrize("n_dots", [1, 2, 5, 10])
def test_identical_uncoupled_dots_superradiate_with_n_times_the_rate(n_dots):
    modes = exact_modes(2.45 * np.eye(n_dots), radiative_rate_per_s=GAMMA)
    npt.assert_allclose(
        modes.decay_per_s(TIMES)[0], GAMMA * np.exp(-n_dots * GAMMA * TIMES), atol=1e-9 * GAMMA
    )
    # The dark N - 1 modes keep their excitation for ever.
    assert modes.photons()[0] == pytest.approx(1 / n_dots, rel=1e-9)
    lorentzian_peak = 2 / (np.pi * n_dots**2 * HBAR_eV_s * GAMMA)
    assert modes.spectrum_per_eV(2.45)[0, 0] == pytest.approx(lorentzian_peak, rel=1e-9)


@pytest.mark.parametrize("solve", [exact_modes, secular_modes])
def test_dots_that_radiate_on_their_own_decay_as_one_exponential(solve):
    matrix = random_system(4, 5, 30.0)
    modes = solve(matrix, radiative_rate_per_s=GAMMA, loss_rate_per_s=0.5 * GAMMA, collectivity=0.0)
    npt.assert_allclose(modes.decay_per_s(TIMES)[0], GAMMA * np.exp(-1.5 * GAMMA * TIMES), rtol=1e-9)
    assert modes.photons()[0] == pytest.approx(1 / 1.5, rel=1e-9)


def test_a_symmetric_start_is_the_dicke_state():
    n_dots = 6
    ring = hamiltonians_eV(
        DotEnsemble((n_dots,), 2.45, 0.0, -0.05, 0.0, GAMMA, 0.0, periodic=True), 1, np.random.default_rng(0)
    )
    symmetric = np.full((n_dots, n_dots), 1 / n_dots)
    exact = exact_modes(ring, radiative_rate_per_s=GAMMA, initial=symmetric)
    expected = n_dots * GAMMA * np.exp(-n_dots * GAMMA * TIMES)
    npt.assert_allclose(exact.decay_per_s(TIMES)[0], expected, atol=1e-6 * GAMMA)
    # Nearest-neighbour coupling J lowers the symmetric mode of a ring by 2 |J|.
    assert np.average(
        HBAR_eV_s * (exact.eigenvalue_per_s[0].real + exact.offset_per_s[0]),
        weights=np.abs(np.diagonal(exact.weight_per_s[0])),
    ) == pytest.approx(2.35, abs=1e-6)
    secular = secular_modes(ring, radiative_rate_per_s=GAMMA, initial=symmetric)
    npt.assert_allclose(secular.decay_per_s(TIMES)[0], expected, atol=1e-6 * GAMMA)


@pytest.mark.parametrize("n_dots", [2, 3, 4, 6, 10])
def test_dark_modes_keep_their_excitation_at_the_dots_true_energies(n_dots):
    """A chain of equal dots has modes sin(k n pi / (N + 1)); the even ones are dark by symmetry."""
    chain = DotEnsemble((n_dots,), 2.45, 0.0, -0.05, 0.0, GAMMA, 0.0)
    matrices = hamiltonians_eV(chain, 1, np.random.default_rng(0))
    bright = (n_dots + 1) // 2
    for solve in (exact_modes, secular_modes):
        photons = solve(matrices, radiative_rate_per_s=GAMMA).photons()
        assert photons[0] == pytest.approx(bright / n_dots, rel=1e-6)


def test_two_dots_match_the_closed_form():
    """Equal dots coupled by J: modes at +-J, the lower one with 2 Gamma, the upper one dark."""
    coupling = -0.05
    matrix = np.array([[2.45, coupling], [coupling, 2.45]])
    modes = secular_modes(matrix, radiative_rate_per_s=GAMMA, loss_rate_per_s=0.5 * GAMMA)
    npt.assert_allclose(modes.energy_eV[0], [2.40, 2.50])
    npt.assert_allclose(modes.radiative_rate_per_s[0], [2 * GAMMA, 0.0], atol=1e-6)
    npt.assert_allclose(modes.photons_per_mode()[0], [0.5 * 2 / 2.5, 0.0], atol=1e-15)
    grid = np.linspace(2.2, 2.7, 2001)
    spectrum = modes.mean_spectrum_per_eV(grid, sd_eV=0.02)
    expected = 0.4 * np.exp(-0.5 * ((grid - 2.40) / 0.02) ** 2) / (0.02 * math.sqrt(2 * math.pi))
    npt.assert_allclose(spectrum, expected, atol=2e-3 * expected.max())


def test_an_exceptional_point_is_survived():
    """Two dots detuned by hbar Gamma_0 merge their modes: H_eff has one eigenvector only."""
    matrix = np.diag([0.5, -0.5]) * HBAR_eV_s * GAMMA
    light = exact_modes(matrix, radiative_rate_per_s=GAMMA).decay_per_s(TIMES)[0]
    # exp of a 2x2 nilpotent generator: -i H_eff / hbar = -Gamma/2 + Gamma/2 [[-i, -1], [-1, i]].
    nilpotent = 0.5 * np.array([[-1j, -1], [-1, 1j]])
    assert np.max(np.abs(nilpotent @ nilpotent)) == 0
    expected = []
    for x in GAMMA * TIMES:
        propagator = math.exp(-x / 2) * (np.eye(2) + x * nilpotent)
        expected.append(GAMMA / 2 * np.sum(np.abs(np.ones(2) @ propagator) ** 2))
    npt.assert_allclose(light, expected, atol=1e-6 * GAMMA)


def test_the_secular_limit_is_reached_at_the_dots_true_energies():
    rng = np.random.default_rng(8)
    times = np.linspace(0, 3e-9, 60)
    exact = average_exact_decay_per_s(X_RAY, times, realisations=200, rng=rng)
    secular = average_emission(X_RAY, realisations=200, rng=np.random.default_rng(8), time_s=times)
    npt.assert_allclose(secular.decay_per_s, exact, atol=1e-4 * X_RAY.radiative_rate_per_s)


def test_taken_literally_the_formula_gives_the_density_of_states():
    lossless = DotEnsemble((10,), 2.45, 0.1, -0.15, 0.1, GAMMA, 0.0)
    matrices = hamiltonians_eV(lossless, 300, np.random.default_rng(2))
    modes = secular_modes(matrices, radiative_rate_per_s=GAMMA)
    npt.assert_allclose(modes.photons_per_mode(), 0.1, rtol=1e-9)
    grid = np.linspace(1.5, 3.4, 400)
    density = np.exp(-0.5 * ((grid[:, None] - np.linalg.eigvalsh(matrices).ravel()) / 0.02) ** 2).sum(axis=1)
    density /= 0.02 * math.sqrt(2 * math.pi) * matrices.shape[0] * 10
    spectrum = modes.mean_spectrum_per_eV(grid, sd_eV=0.02)
    npt.assert_allclose(spectrum, density, atol=5e-3 * density.max())
    mean_eV = np.sum(grid * spectrum) / np.sum(spectrum)
    assert mean_eV == pytest.approx(2.45, abs=0.01)


def test_a_short_window_shows_the_red_shift_without_loss():
    lossless = DotEnsemble((10,), 2.45, 0.1, -0.15, 0.1, GAMMA, 0.0)
    short, endless = (
        average_emission(lossless, realisations=2000, rng=np.random.default_rng(5), window_s=window_s)
        for window_s in (0.3 / GAMMA, math.inf)
    )
    assert short.mean_shift_eV > 0.15
    assert abs(endless.mean_shift_eV) < 0.01


@pytest.mark.parametrize(
    ("ensemble", "shift_eV", "one_over_e"),
    [(UV, (0.08, 0.13), 0.38), (X_RAY, (0.26, 0.36), 0.31)],
    ids=["uv", "xray"],
)
def test_shift_and_decay_as_checked_for_the_paper(ensemble, shift_eV, one_over_e):
    light = average_emission(ensemble, realisations=4000, rng=np.random.default_rng(11))
    assert shift_eV[0] < light.red_shift_eV < shift_eV[1]
    assert light.one_over_e_s * ensemble.radiative_rate_per_s == pytest.approx(one_over_e, abs=0.01)


@pytest.mark.parametrize(
    ("ensemble", "share", "shift_eV", "ratio"),
    [(X_RAY, 0.77, (0.28, 0.34), (0.26, 0.32)), (UV_PAIRS, 0.51, (0.05, 0.06), (0.50, 0.58))],
    ids=["X-rays, the paper's set", "UV, pairs"],
)
def test_measured_as_the_paper_measures_the_light_has_its_shift_and_lifetime_ratio(
    ensemble, share, shift_eV, ratio
):
    """Paper, 80 K: 320 meV and 0.26 (mean) to 0.32 (A) under X-rays; 50 to 60 meV and 0.54 under UV."""
    light = average_emission(ensemble, realisations=3000, rng=np.random.default_rng(2))
    assert shift_eV[0] < light.red_shift_eV < shift_eV[1]
    lone_s = 1 / (ensemble.radiative_rate_per_s + ensemble.loss_rate_per_s)
    time = light.time_s / lone_s
    decay = share * light.decay_per_s * lone_s / light.photons + (1 - share) * np.exp(-time)
    used = decay > 1e-3 * decay[0]

    def two(t, a, fast, b, slow):
        return a * np.exp(-t / fast) + b * np.exp(-t / slow)

    start, error = (0.7 * decay[0], 0.4, 0.3 * decay[0], 1.2), np.sqrt(decay[used])
    found = curve_fit(two, time[used], decay[used], p0=start, sigma=error, bounds=(0, np.inf))[0]
    assert ratio[0] < found[1] / found[3] < ratio[1]


def test_x_rays_shift_and_broaden_more_than_uv_and_both_decay_faster_than_uncoupled_dots():
    uv, strong, xray = (
        average_emission(ensemble, realisations=2000, rng=np.random.default_rng(1))
        for ensemble in (UV, UV_STRONG, X_RAY)
    )
    assert 0 < uv.red_shift_eV < strong.red_shift_eV < xray.red_shift_eV
    assert xray.fwhm_eV > 1.5 * uv.fwhm_eV
    for light, ensemble in ((uv, UV), (xray, X_RAY)):
        uncoupled_s = 1 / (ensemble.radiative_rate_per_s + ensemble.loss_rate_per_s)
        assert light.one_over_e_s < 0.6 * uncoupled_s
        assert light.initial_rate_per_s > 2 / uncoupled_s


def test_uncoupled_disordered_dots_keep_their_rate_and_their_gaussian_line():
    apart = DotEnsemble((10,), 2.45, 0.1, 0.0, 0.0, GAMMA, 0.5 * GAMMA)
    light = average_emission(apart, realisations=5000, rng=np.random.default_rng(3))
    assert light.one_over_e_s * GAMMA == pytest.approx(1 / 1.5, rel=1e-4)
    assert light.initial_rate_per_s == pytest.approx(1.5 * GAMMA)
    assert light.mean_rate_per_s == pytest.approx(1.5 * GAMMA)
    assert light.photons == pytest.approx(1 / 1.5)
    assert light.fwhm_eV == pytest.approx(2.3548 * math.hypot(0.1, 0.02), rel=0.03)
    assert abs(light.mean_shift_eV) < 0.002
    area = np.sum(light.spectrum_per_eV) * (light.energy_eV[1] - light.energy_eV[0])
    assert area == pytest.approx(light.photons, rel=1e-4)


def test_the_same_seed_gives_the_same_light():
    first, second = (average_emission(X_RAY, realisations=50, rng=np.random.default_rng(7)) for _ in range(2))
    npt.assert_array_equal(first.spectrum_per_eV, second.spectrum_per_eV)


@pytest.mark.parametrize(
    ("shape", "bonds"), [((10,), 9), ((3, 3), 12), ((2, 2, 2), 12), ((1,), 0), ((3, 4, 5), 133)]
)
def test_lattices_have_their_bonds(shape, bonds):
    pairs = neighbour_pairs(shape)
    assert len(pairs) == bonds
    if bonds:
        sites = lattice_sites(shape)
        assert np.all(np.abs(sites[pairs[:, 0]] - sites[pairs[:, 1]]).sum(axis=1) == 1)
        assert len({tuple(pair) for pair in pairs}) == bonds


def test_rings_close_and_pairs_do_not_bond_twice():
    assert len(neighbour_pairs((5,), periodic=True)) == 5
    assert len(neighbour_pairs((2,), periodic=True)) == 1
    assert len(neighbour_pairs((3, 3, 3), periodic=True)) == 81


def test_disorder_has_the_means_and_spreads_asked_for():
    matrices = hamiltonians_eV(X_RAY.with_shape(3, 3), 20000, np.random.default_rng(0))
    energies = matrices[:, range(9), range(9)]
    couplings = matrices[:, 0, 1]
    assert energies.mean() == pytest.approx(2.45, abs=0.002)
    assert energies.std() == pytest.approx(0.100, rel=0.01)
    assert couplings.mean() == pytest.approx(-0.150, abs=0.003)
    assert couplings.std() == pytest.approx(0.100, rel=0.02)
    assert np.all(matrices[:, 0, 8] == 0)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((2, 3)), r"\(N, N\)"),
        (np.array([[0.0, 1.0], [2.0, 0.0]]), "not symmetric"),
        (np.array([[np.nan]]), "not a number"),
    ],
)
@pytest.mark.parametrize("solve", [exact_modes, secular_modes])
def test_a_wrong_hamiltonian_is_refused(solve, matrix, message):
    with pytest.raises(ValueError, match=message):
        solve(matrix, radiative_rate_per_s=GAMMA)


def test_wrong_ensembles_and_states_are_refused():
    with pytest.raises(ValueError, match="one to three axes"):
        UV.with_shape(2, 2, 2, 2)
    with pytest.raises(ValueError, match="cannot be negative"):
        DotEnsemble((2,), 2.45, -0.1, 0, 0, GAMMA, 0)
    with pytest.raises(ValueError, match="at least one realisation"):
        hamiltonians_eV(UV, 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="density matrix"):
        exact_modes(np.eye(2), radiative_rate_per_s=GAMMA, initial=np.eye(2))
    with pytest.raises(ValueError, match="sd_eV"):
        secular_modes(np.eye(2), radiative_rate_per_s=GAMMA).mean_spectrum_per_eV([2.45], sd_eV=0)
