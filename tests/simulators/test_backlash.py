"""The sample on the simulated stage remembers where it comes from, where the rig file says so."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulators
from labctl.config import load_rig
from labctl.emission.sample import SampleError, load_sample
from labctl.fitting.spectrum_fit import fit_spectrum
from labctl.rig.simulation import Simulation
from labctl.spectra.frames import SpectrumData
from simulators.backlash import RECORDED_K, Backlash
from simulators.kymera import FLAT_GRATINGS
from simulators.light import fibre_photons
from simulators.link import WorldLink, control_server
from simulators.optics import SpectrographState, electrons_per_photon, pixel_centres_nm
from simulators.settings import SimulationSettings
from simulators.world import DarkTube, World

HYSTERESIS_K = 20.0
PIXELS, PIXEL_um, FRAMES = 1024, 26.0, 4


class SteadyTube(DarkTube):
    """A tube that is always on."""

    voltage_kV = 40.0
    current_uA = 300.0
    hv_on = True


@pytest.fixture
def link() -> Iterator[WorldLink]:
    """A world whose sample lags, seen over the wire as the instruments' stand-ins see it."""
    world = World(sample="xray-B", tube=SteadyTube(), hysteresis_K=HYSTERESIS_K)
    server = control_server(world)
    seen = WorldLink("127.0.0.1", server.port)
    yield seen
    seen.close()
    server.close()
    world.close()


def bring(link: WorldLink, temperature_K: float, seconds: float) -> None:
    link.stage("limit_K", temperature_K)
    link.stage("rate_K_per_min", 60.0)
    link.stage("start")
    link.advance(seconds)


def spectrum(link: WorldLink, rng: np.random.Generator) -> SpectrumData:
    """Four frames of 1 s of the light over the wire, with the noise of photons and read-out."""
    state = SpectrographState(FLAT_GRATINGS[1], 545.0, 100.0)
    begin_s = link.now()
    link.advance(1.0)
    electrons = np.zeros(PIXELS)
    for piece in link.history(begin_s, link.now()):
        emission, photons_Hz = fibre_photons(link, piece)
        share = electrons_per_photon(emission, state, PIXELS, PIXEL_um, flat_sensor=True)
        electrons += photons_Hz * (piece.end_s - piece.begin_s) * share
    frames = rng.poisson(electrons, (FRAMES, PIXELS)) + rng.normal(100.0, 4.0, (FRAMES, PIXELS))
    dark = rng.normal(100.0, 4.0, (FRAMES, PIXELS))
    wavelength_nm = pixel_centres_nm(PIXELS, PIXEL_um, 300.0, 545.0)
    return SpectrumData(
        wavelength_nm, frames.round().astype(np.int64), dark.round().astype(np.int64), 1.0, 1.0, 4.0, 65535
    )


def test_a_fit_finds_more_coupled_light_on_warming_than_on_cooling(link: WorldLink) -> None:
    """150 K on the way down, and again on the way up from 100 K: each time what the sample then is."""
    rng = np.random.default_rng(5)
    sample = load_sample("xray-B")
    found = {}
    for way, branch_K in (("cooling", 0.0), ("warming", HYSTERESIS_K)):
        bring(link, 150.0, 190.0 if way == "cooling" else 90.0)
        value = fit_spectrum(spectrum(link, rng)).coupled_fraction
        here_K, lag_K = link.truth()["stage_temperature_K"], link.lag_K(link.now())
        # The model's branch, but for what the controller overshot on its way.
        assert lag_K == pytest.approx(branch_K, abs=1.5)
        assert abs(value.value - sample.coupled_fraction(here_K, lag_K=lag_K)) < 4 * value.error
        assert value.error < 0.01
        found[way] = value.value
        bring(link, 100.0, 90.0)
    gap = sample.coupled_fraction(150.0, lag_K=HYSTERESIS_K) - sample.coupled_fraction(150.0)
    assert found["warming"] - found["cooling"] == pytest.approx(gap, rel=0.1)


@pytest.mark.parametrize("given_K", [None, HYSTERESIS_K])
def test_the_truth_beside_a_point_is_that_of_its_time(
    link: WorldLink, tmp_path: Path, given_K: float | None
) -> None:
    """The fit of a point may run when the stage has long turned."""
    text = Path(simulators.__file__).with_name("rig.toml").read_text(encoding="utf-8")
    line = "" if given_K is None else f"hysteresis_K = {given_K}\n"
    (tmp_path / "rig.toml").write_text(
        text.replace("[simulation]\n", f"[simulation]\n{line}"), encoding="utf-8"
    )
    simulation = Simulation(load_rig(tmp_path / "rig.toml"), sample="xray-B", seed=1, speed=0.0)
    simulation.link, simulation.began_epoch_s = link, 1e9
    bring(link, 100.0, 220.0)
    cold_s = link.now()
    bring(link, 150.0, 80.0)
    sample = load_sample("xray-B")
    # Overshoot at 100 K is a lag, too: a fraction of a K.
    cold = simulation.truth(150.0, 1e9 + cold_s)["coupled_fraction"]
    assert cold == pytest.approx(sample.coupled_fraction(150.0), abs=0.005)
    warm = simulation.truth(150.0, 1e9 + link.now())["coupled_fraction"]
    assert warm == pytest.approx(sample.coupled_fraction(150.0, lag_K=given_K or 0.0), abs=0.001)


def test_a_rig_file_without_hysteresis_has_that_of_the_samples_data_file() -> None:
    assert SimulationSettings(sample="xray-A").sample_hysteresis_K() == 0.0
    assert SimulationSettings(sample="xray-A", hysteresis_K=12.5).sample_hysteresis_K() == 12.5
    with pytest.raises(SampleError, match="no sample named"):
        SimulationSettings(sample="nobody's").sample_hysteresis_K()
    for wrong in (-1.0, 101.0):
        with pytest.raises(ValueError, match="hysteresis_K"):
            SimulationSettings(hysteresis_K=wrong)


def test_without_hysteresis_nothing_is_remembered() -> None:
    world = World(sample="xray-A")
    world.stage("limit_K", 250.0)
    world.stage("start")
    world.advance(30.0)
    world.stage("limit_K", 300.0)
    world.advance(30.0)
    assert {piece.lag_K for piece in world.history(0.0, 60.0)} == {0.0}
    assert world.lag_K(45.0) == 0.0


paths = st.lists(st.floats(80.0, 300.0), min_size=2, max_size=8)


@given(paths, st.floats(0.5, 40.0), st.integers(2, 12))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_the_lag_knows_neither_rate_nor_small_loops(
    path: list[float], hysteresis_K: float, steps: int
) -> None:
    """Rate-independent, wiped clean by a large excursion, and found again at the time it was."""
    coarse, fine = Backlash(hysteresis_K, path[0]), Backlash(hysteresis_K, path[0])
    seen, time_s = [], 0.0
    for before_K, after_K in itertools.pairwise(path):
        for part in range(1, steps + 1):
            time_s += 1.0
            fine.follow(time_s, before_K + (after_K - before_K) * part / steps)
            seen.append((time_s, fine.lag_K))
        coarse.follow(time_s, after_K)
    assert fine.lag_K == pytest.approx(coarse.lag_K, abs=1e-9)
    assert all(0.0 <= lag_K <= hysteresis_K for _, lag_K in seen)
    for at_s, lag_K in seen:
        assert fine.at(at_s) == pytest.approx(lag_K, abs=RECORDED_K)
    coarse.follow(time_s, path[-1] - hysteresis_K)
    assert coarse.lag_K == pytest.approx(0.0, abs=1e-9)
