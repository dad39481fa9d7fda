"""The X-ray cascade: energy book-keeping, cross sections from elsewhere, counting against brute force."""

from __future__ import annotations

import math

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.emission import photoelectron
from labctl.emission.cascade import (
    PAIR_FACTOR,
    BurstStatistics,
    Cascade,
    burst_statistics,
    dot_statistics,
    simulate_cascade,
)
from labctl.emission.photoabsorption import (
    BROMINE,
    CAESIUM,
    CSPBBR3,
    LEAD,
    PHOTON_eV,
    attenuation_length_um,
    formula_mass,
    ionisations,
    sample_ionisations,
)
from labctl.emission.photoelectron import (
    Excitations,
    elastic_per_nm,
    hard_loss_eV_per_nm,
    hard_per_nm,
    mean_soft_loss_eV,
    soft_loss_table,
    stopping_eV_per_nm,
    track,
)


@pytest.fixture(scope="module")
def thousand() -> Cascade:
    return simulate_cascade(1000, np.random.default_rng(42))


def scattered(positions_nm, photons) -> Cascade:
    """A cascade with excitations placed by hand."""
    owner = np.asarray(photons, dtype=np.int64)
    places = np.asarray(positions_nm, dtype=np.float32)
    return Cascade(int(owner.max()) + 1, Excitations(owner, places))


def test_every_channel_of_absorption_conserves_energy():
    for channel in ionisations():
        total = sum(channel.electrons_eV) + channel.local_eV + channel.escaping_eV
        assert total == pytest.approx(PHOTON_eV)
    assert sum(channel.share for channel in ionisations()) == pytest.approx(1.0)


def test_only_shells_that_8_kev_can_ionise_take_part():
    shells = {channel.shell for channel in ionisations()}
    assert "Cs L3" in shells
    assert "Pb M5" in shells
    assert not shells & {"Cs K", "Pb K", "Br K", "Pb L1", "Pb L2", "Pb L3"}


def test_the_strongest_auger_lines_are_where_spectroscopy_finds_them():
    """Handbook of Auger spectroscopy: Cs MNN near 563 eV, Br LMM near 1396, Pb MNN near 2187."""
    auger = {channel.shell: channel.electrons_eV[1:] for channel in ionisations() if not channel.escaping_eV}
    assert auger["Cs M5"][0] == pytest.approx(563, abs=20)
    assert auger["Br L3"][0] == pytest.approx(1396, abs=20)
    assert auger["Pb M5"][0] == pytest.approx(2187, abs=20)


def test_absorption_agrees_with_chantlers_tables():
    """Chantler (NIST FFAST) at 8.048 keV: 313.2, 218.5 and 85.9 cm2/g, scattering included."""
    for element, chantler in ((CAESIUM, 313.2), (LEAD, 218.5), (BROMINE, 85.9)):
        assert element.photo_cm2_per_g == pytest.approx(chantler, rel=0.02)
    assert attenuation_length_um() == pytest.approx(11.1, abs=0.3)


def test_channels_are_drawn_by_their_shares():
    drawn = np.bincount(sample_ionisations(200_000, np.random.default_rng(0)), minlength=len(ionisations()))
    shares = np.array([channel.share for channel in ionisations()])
    npt.assert_allclose(drawn / 200_000, shares, atol=5 * math.sqrt(0.15 / 200_000))


def bethe_berger_seltzer(energy_eV: float) -> float:
    """Relativistic Bethe stopping of electrons in eV/nm with ICRU 37's mean excitation energies."""
    tau = energy_eV / 510998.95
    beta2 = tau * (tau + 2) / (tau + 1) ** 2
    tail = 1 - beta2 + (tau**2 / 8 - (2 * tau + 1) * math.log(2)) / (tau + 1) ** 2
    total = 0.0
    for element, excitation_eV in ((CAESIUM, 488.0), (LEAD, 823.0), (BROMINE, 357.0)):
        share = element.atoms_per_formula * element.atomic_mass / formula_mass()
        logarithm = math.log(tau**2 * (tau + 2) / 2) - 2 * math.log(excitation_eV / 510998.95)
        total += share * 0.153537 * element.atomic_number / element.atomic_mass / beta2 * (logarithm + tail)
    return total * 4.85 * 1e6 / 1e7


def test_the_stopping_power_joins_bethes_at_high_energy():
    for energy_eV in (8000.0, 20000.0):
        assert stopping_eV_per_nm(energy_eV) == pytest.approx(bethe_berger_seltzer(energy_eV), rel=0.08)


def test_the_stopping_power_stays_positive_down_to_100_ev():
    energy = np.linspace(100, PHOTON_eV, 500)
    assert np.all(stopping_eV_per_nm(energy) > 0)
    assert np.all(stopping_eV_per_nm(energy) > hard_loss_eV_per_nm(energy))


def test_hard_losses_are_the_integral_of_the_free_electron_cross_section():
    energy = 4000.0
    loss = np.geomspace(100, energy / 2, 20001)
    density = photoelectron.FREE_ELECTRONS * 4.85 / formula_mass() * 6.02214076e23
    per_eV = density * np.pi * (14.399645e-8) ** 2 / energy / loss**2 / 1e7
    assert hard_per_nm(energy) == pytest.approx(np.trapezoid(per_eV, loss), rel=1e-4)
    assert hard_loss_eV_per_nm(energy) == pytest.approx(np.trapezoid(per_eV * loss, loss), rel=1e-4)


def test_elastic_collisions_are_rutherfords_screened():
    """Closed form: sigma = pi (Z e^2 / 2 E)^2 / (alpha (1 + alpha)) at energies far below m c^2."""
    energy = 5000.0
    for element in CSPBBR3:
        alpha = float(photoelectron.screening(element, energy))
        size_cm = element.atomic_number * 14.399645e-8 / (2 * energy)
        density = element.atoms_per_formula * 4.85 / formula_mass() * 6.02214076e23
        sigma = np.pi * size_cm**2 / (alpha * (1 + alpha))
        assert elastic_per_nm(element, energy) == pytest.approx(sigma * density / 1e7, rel=0.03)


def test_a_turn_keeps_the_length_and_makes_the_angle_asked_for():
    rng = np.random.default_rng(0)
    heading = rng.normal(size=(3, 1000))
    heading[:, :3] = np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0]]).T
    heading /= np.linalg.norm(heading, axis=0)
    cosine = rng.uniform(-1, 1, 1000)
    turned = photoelectron._turned(heading, cosine, rng)
    npt.assert_allclose(np.linalg.norm(turned, axis=0), 1.0)
    npt.assert_allclose(np.sum(heading * turned, axis=0), cosine, atol=1e-9)


@pytest.mark.parametrize("energy_eV", [50.0, 150.0, 1000.0, 4000.0])
def test_tracks_turn_all_their_energy_into_excitations(energy_eV):
    electrons = 400
    made = track(np.arange(electrons), np.full(electrons, energy_eV), np.random.default_rng(1))
    per_electron = made.photon.size / electrons
    # One excitation per mean soft loss; a hard loss keeps one for the dot it happens in.
    assert per_electron * mean_soft_loss_eV() == pytest.approx(energy_eV, rel=0.03, abs=3)


def test_tracks_stay_within_the_range_of_their_electrons():
    """Kanaya and Okayama (1972): range of 8 keV electrons in CsPbBr3, mean Z and A by mass."""
    z, a = 0.229 * 55 + 0.357 * 82 + 0.413 * 35, 0.229 * 132.9 + 0.357 * 207.2 + 0.413 * 79.9
    range_nm = 27.6 * a * 8.0**1.67 / (z**0.89 * 4.85)
    made = track(np.arange(200), np.full(200, 8000.0), np.random.default_rng(2))
    reach = np.zeros(200)
    np.maximum.at(reach, made.photon, np.linalg.norm(made.position_nm, axis=1))
    assert 0.2 * range_nm < np.median(reach) < range_nm
    assert reach.max() < 1.2 * range_nm


def test_slower_electrons_stay_closer():
    def spread(energy):
        made = track(np.arange(100), np.full(100, energy), np.random.default_rng(3))
        return float(np.sqrt(np.mean(made.position_nm**2)))

    assert spread(500.0) < spread(2000.0) < spread(8000.0)


def test_soft_losses_lie_between_the_gap_and_100_ev_around_the_plasmon():
    cumulative, loss = soft_loss_table()
    assert (loss[0], loss[-1]) == (2.4, 100.0)
    assert np.all(np.diff(cumulative) > 0)
    assert 10 < loss[np.searchsorted(cumulative, 0.5)] < 20


def test_the_cascade_has_the_papers_order_of_numbers(thousand):
    """Paper: hundreds of excitations, about 50 nm between them, on average 2 excited neighbours."""
    dots = dot_statistics(thousand, np.random.default_rng(0))
    assert 200 < dots.excitations_per_photon < 1000
    assert 40 < dots.pair_distance_nm < 80
    assert 1.5 < dots.neighbours < 2.5
    assert dots.neighbours < dots.neighbours_18 < dots.neighbours_26


def test_the_energy_of_a_photon_is_accounted_for(thousand):
    escaping = sum(channel.share * channel.escaping_eV for channel in ionisations())
    kept = thousand.per_photon().mean() * mean_soft_loss_eV()
    assert kept == pytest.approx(PHOTON_eV - escaping, rel=0.02)


def test_the_same_seed_gives_the_same_tracks():
    first, second = (simulate_cascade(20, np.random.default_rng(5)).excitations for _ in range(2))
    npt.assert_array_equal(first.position_nm, second.position_nm)
    npt.assert_array_equal(first.photon, second.photon)


def test_batches_are_joined_in_order(monkeypatch):
    monkeypatch.setattr("labctl.emission.cascade._BATCH", 7)
    counts = simulate_cascade(20, np.random.default_rng(5)).per_photon()
    assert counts.size == 20
    assert counts.min() > 100


def test_neighbours_in_a_row_are_counted():
    row = scattered([[10 * k, 0, 0] for k in range(3)] + [[0, 0, 0]], [0, 0, 0, 1])
    dots = dot_statistics(row, np.random.default_rng(0))
    assert dots.neighbours == pytest.approx((1 + 2 + 1 + 0) / 4)
    assert dots.dots_per_photon == 2
    assert dots.excitations_per_photon == 2
    assert dots.pair_distance_nm == pytest.approx((10 + 10 + 20) / 3, rel=0.5)


def test_excitations_of_different_photons_are_no_neighbours():
    apart = scattered([[0, 0, 0], [10, 0, 0]], [0, 1])
    assert dot_statistics(apart, np.random.default_rng(0)).neighbours_26 == 0


def test_neighbours_agree_with_brute_force():
    rng = np.random.default_rng(9)
    # On lattice points of a unit lattice, whatever the shift, floor keeps the differences.
    sites = rng.integers(-4, 5, (300, 3))
    owner = np.sort(rng.integers(0, 3, 300))
    dots = dot_statistics(scattered(sites * 10.0, owner), rng)
    unique = {(int(p), *map(int, s)) for p, s in zip(owner, sites, strict=True)}
    found = np.zeros(3)
    for photon, x, y, z in unique:
        for photon2, x2, y2, z2 in unique:
            step = (abs(x - x2), abs(y - y2), abs(z - z2))
            if photon == photon2 and max(step) == 1:
                found[sum(step) - 1] += 1
    expected = np.cumsum(found) / len(unique)
    npt.assert_allclose([dots.neighbours, dots.neighbours_18, dots.neighbours_26], expected)


def test_pair_distances_agree_with_brute_force():
    rng = np.random.default_rng(4)
    owner = np.repeat(np.arange(40), 200)
    places = rng.normal(0, 30, (8000, 3))
    mean = []
    for photon in range(40):
        mine = places[owner == photon]
        separation = np.linalg.norm(mine[:, None] - mine, axis=2)
        mean.append(separation.sum() / (200 * 199))
    dots = dot_statistics(scattered(places, owner), rng)
    assert dots.pair_distance_nm == pytest.approx(np.mean(mean), rel=0.02)


@given(st.floats(0.5, 200), st.floats(0.001, 1))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_poisson_bursts_have_contrast_one_over_the_rate(mean, efficiency):
    burst = BurstStatistics(mean, 1.0, 1.0).detected(efficiency)
    assert burst.fano == pytest.approx(1.0)
    assert burst.contrast_s(2e6) == pytest.approx(1 / 2e6)


def test_thinning_agrees_with_drawing():
    rng = np.random.default_rng(6)
    counts = rng.integers(1, 40, 3000)
    cascade = scattered(np.zeros((counts.sum(), 3)), np.repeat(np.arange(3000), counts))
    burst = burst_statistics(cascade, 0.3)
    drawn = rng.binomial(np.tile(counts, 200), 0.3)
    assert burst.mean == pytest.approx(drawn.mean(), rel=0.01)
    assert burst.fano == pytest.approx(drawn.var() / drawn.mean(), rel=0.01)
    assert burst.pair_factor == pytest.approx(np.mean(drawn * (drawn - 1.0)) / drawn.mean() ** 2, rel=0.01)


def test_a_bursts_moments_are_consistent(thousand):
    """<n(n-1)> / <n>^2 = 1 + (F - 1) / <n> for every distribution."""
    burst = burst_statistics(thousand, 0.2)
    assert burst.pair_factor == pytest.approx(1 + (burst.fano - 1) / burst.mean, rel=1e-9)
    # Most photons leave all their energy: the burst is nearly as regular as its number of steps allows.
    assert 1.0 < burst.pair_factor < 1.05
    assert burst.pair_factor == pytest.approx(PAIR_FACTOR, abs=0.005)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: simulate_cascade(0, np.random.default_rng(0)), "at least one photon"),
        (lambda c: dot_statistics(c, np.random.default_rng(0), lattice_nm=0.0), "positive"),
        (lambda c: dot_statistics(c, np.random.default_rng(0), lattice_nm=0.001), "too fine"),
        (lambda c: burst_statistics(c, 0.0), "between 0 and 1"),
        (lambda c: BurstStatistics(1, 1, 1).detected(1.1), "between 0 and 1"),
        (lambda c: BurstStatistics(1, 1, 1).contrast_s(0.0), "above 0"),
        (lambda c: track(np.array([0]), np.array([9e3]), np.random.default_rng(0)), "at most"),
        (lambda c: track(np.array([0]), np.array([np.nan]), np.random.default_rng(0)), "at most"),
    ],
)
def test_wrong_questions_are_refused(thousand, call, message):
    with pytest.raises(ValueError, match=message):
        call(thousand)
