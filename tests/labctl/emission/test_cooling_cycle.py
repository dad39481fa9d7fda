"""Cooling cycles: the first is the data file's, later ones scatter around it, losses only where asked for."""

from dataclasses import replace

import numpy as np
import pytest

from labctl.emission.cooling_cycle import lag_after
from labctl.emission.population import find_sample
from labctl.emission.sample import SampleError, load_sample
from simulators.light import emission_now
from simulators.world import Conditions, World


def with_cycles(name="xray-A", **changes):
    sample = load_sample(name)
    return replace(sample, cycles=replace(sample.cycles, **changes))


def test_the_first_cycle_is_the_data_files():
    assert load_sample("xray-A@1") == load_sample("xray-A") == load_sample("xray-A").in_cycle(1)


def test_later_cycles_come_back_within_the_spread_given():
    sample = load_sample("xray-A")
    light = [sample.in_cycle(cycle).emission(80.0).component("coupled") for cycle in range(2, 402)]
    share = np.array([part.weight for part in light]) / 0.77
    shift = 2.45 - np.array([part.energy_eV for part in light])
    lifetime = np.array([part.lifetime_s for part in light]) / 0.24e-9
    # Reversible: the mean of 400 coolings is the first, to four standard errors (spread / 20 each).
    for values, centre, spread in ((share, 1.0, 0.02), (shift, 0.32, 0.002), (lifetime, 1.0, 0.01)):
        assert values.mean() == pytest.approx(centre, abs=spread / 5)
        assert values.std(ddof=1) == pytest.approx(spread, rel=0.15)
        assert np.all(np.abs(values - centre) <= 3 * spread + 1e-12)
    assert abs(np.corrcoef(share, np.arange(400))[0, 1]) < 0.2


def test_uncoupled_light_is_the_same_in_every_cycle():
    first, fifth = load_sample("uv").emission(80.0), load_sample("uv@5").emission(80.0)
    assert first.component("uncoupled").energy_eV == fifth.component("uncoupled").energy_eV
    assert first.component("uncoupled").lifetime_s == fifth.component("uncoupled").lifetime_s
    assert sum(fifth.weights) == pytest.approx(1.0)


def test_an_irreversible_share_is_lost_once_per_cycle():
    sample = with_cycles(irreversible_share=0.1, fraction_scatter=0.0)
    shares = [sample.in_cycle(cycle).coupled_fraction(80.0) for cycle in (1, 2, 3, 8)]
    np.testing.assert_allclose(shares, 0.77 * 0.9 ** np.array([0, 1, 2, 7]))


def test_hysteresis_moves_the_midpoint_and_leaves_the_ends():
    sample = load_sample("xray-A")
    for ends in (80.0, 300.0):
        assert sample.coupled_fraction(ends, lag_K=12.0) == pytest.approx(sample.coupled_fraction(ends))
    warming = [sample.coupled_fraction(kelvin, lag_K=12.0) for kelvin in (120.0, 150.0, 180.0)]
    cooling = [sample.coupled_fraction(kelvin) for kelvin in (120.0, 150.0, 180.0)]
    assert np.all(np.array(warming) > np.array(cooling))
    half = 0.5 * (0.77 + 0.06)
    temperatures = np.linspace(100, 200, 2001)
    down, up = (
        np.interp(-half, [-sample.coupled_fraction(k, lag_K=lag_K) for k in temperatures], temperatures)
        for lag_K in (0.0, 12.0)
    )
    assert up - down == pytest.approx(12.0, abs=1.5)


def test_after_a_turn_the_light_stays_what_it_was_until_the_lag_is_used_up():
    """A backlash: 150 K, down to 120 K, up by less than the hysteresis and by more, down again."""
    lags, lag_K, here_K = {}, 0.0, 150.0
    for step, goal_K in (("down", 120.0), ("a little up", 125.0), ("up", 160.0), ("a little down", 157.0)):
        lag_K, here_K = lag_after(lag_K, goal_K - here_K, 12.0), goal_K
        lags[step] = lag_K
    assert lags == {"down": 0.0, "a little up": 5.0, "up": 12.0, "a little down": 9.0}
    sample = load_sample("xray-A")
    turned = sample.coupled_fraction(120.0), sample.coupled_fraction(125.0, lag_K=5.0)
    # Only the scaling to the ends at 80 and 300 K moves it, by far less than 5 K on a branch do.
    assert turned[1] == pytest.approx(turned[0], rel=0.01)
    assert sample.coupled_fraction(125.0) < 0.95 * turned[0]


def test_two_samples_do_not_scatter_together():
    names = ("xray-A", "xray-07")
    factors = [find_sample(f"{name}@2").fraction[0] / find_sample(name).fraction[0] for name in names]
    assert factors[0] != factors[1] and min(factors) != 1.0


def test_the_simulated_rig_shows_the_cycle_that_its_sample_is_in():
    seen = Conditions(0.0, 1.0, 80.0, 40.0, 300.0, "counters")
    light, _ = emission_now(World(sample="xray-A@4"), seen)
    assert light == load_sample("xray-A").in_cycle(4).emission(80.0)
    assert light != load_sample("xray-A").emission(80.0)


def test_the_simulated_rig_takes_any_member_of_the_population():
    seen = Conditions(0.0, 1.0, 80.0, 40.0, 300.0, "counters")
    light, _ = emission_now(World(sample="xray-07@2"), seen)
    assert light == find_sample("xray-07").in_cycle(2).emission(80.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("xray-A@0", "cooling cycle 0: cycles are counted from 1"),
        ("xray-A@two", r"after '@' comes the number of the cooling cycle, as in xray-A@2"),
        ("xray-A@", "after '@'"),
        ("xray-Z@2", "no sample named 'xray-Z': known are"),
    ],
)
def test_a_wrong_cycle_is_refused(name, message):
    for find in (load_sample, find_sample):
        with pytest.raises(SampleError, match=message):
            find(name)


def test_a_cycle_of_a_cycle_is_refused():
    with pytest.raises(SampleError, match="xray-A@2 is in a later cooling cycle already"):
        load_sample("xray-A@2").in_cycle(3)
