"""Every number in a written fit has an error bar, or the file says why it has none."""

import json

import numpy as np
import pytest

from labctl import __version__
from labctl.emission.sample import load_sample
from labctl.fitting.choice import FitChoice
from labctl.fitting.constraints import Constraint
from labctl.fitting.g2_fit import G2Options
from labctl.fitting.sweep_fit import fit_sweep
from labctl.fitting.sweep_start import SweepPoint
from labctl.fitting.value import Value

SIGMA_S = 57e-12


def numbers_without_an_error(thing, where=()):
    """Path and name of each number that stands alone: found by what a reader of the file can see."""
    if isinstance(thing, dict):
        alone = dict(thing)
        alone.pop("without_error", None)
        if "error" in thing and thing["error"] > 0.0:
            for part in ("value", "error", "below", "above", "dof"):
                alone.pop(part, None)
        if "covariance" in thing:
            size = len(thing["names"])
            assert np.shape(thing["covariance"]) == (size, size) and len(thing["values"]) == size
            for i, name in enumerate(thing["names"]):
                if not thing["covariance"][i][i] > 0.0:
                    yield (*where, name)
            for part in ("values", "covariance", "dof"):
                alone.pop(part, None)
        if set(alone) >= {"value", "error"}:
            yield where
            alone = {}
        for name, part in alone.items():
            yield from numbers_without_an_error(part, (*where, name))
    elif isinstance(thing, list):
        for part in thing:
            yield from numbers_without_an_error(part, where)
    elif isinstance(thing, (int, float)) and not isinstance(thing, bool):
        yield where


def check(fields):
    written = json.loads(json.dumps(fields, allow_nan=False))
    why = written["without_error"]
    alone = {path[-1] for path in numbers_without_an_error(written)}
    assert alone == set(why)
    assert not [name for name, reason in why.items() if reason == "no error was written"]
    assert written["software"] == f"labctl {__version__}"
    return why


@pytest.fixture
def record(bursts, camera):
    def make(temperature_K, seed=1):
        emission = load_sample("xray-A").emission(temperature_K)
        rng = np.random.default_rng(seed)
        pairs = bursts(
            rng,
            emission.weights,
            emission.lifetimes_s,
            dead=True,
            duration_s=0.25,
            n_blocks=25,
            window_ps=12_000,
            bin_ps=96,
        )
        return camera(rng, emission, electrons=5e3, n_pixels=256, n_frames=1, cosmic=False), pairs

    return make


@pytest.mark.parametrize(
    ("temperature_K", "choice"),
    [
        (80.0, FitChoice()),
        (80.0, FitChoice(joint=True)),
        (80.0, FitChoice(line_shape="asymmetric", dead_time_s=0.0, form="naive")),
        (80.0, FitChoice(constraints=(Constraint("lifetime_slow_s", fixed=0.74e-9),))),
        (300.0, FitChoice()),
    ],
)
def test_numbers_of_a_point(record, temperature_K, choice):
    spectrum, pairs = record(temperature_K)
    fit = choice.fit(spectrum, pairs, response_sigma_s=SIGMA_S, background_Hz=(20.0, 30.0))
    why = check(fit.to_dict())
    # The timing response was given; so was a lifetime where it was held.
    assert why["response_sigma_s"] == "held at this value"
    assert ("tau_slow_s" in why) == ("lifetime_slow_s" in why) == bool(choice.constraints)
    assert (fit.joint is not None) == choice.joint


def test_numbers_of_a_sweep(record):
    points = []
    for seed, temperature_K in enumerate((120.0, 80.0)):
        share = Value(load_sample("xray-A").coupled_fraction(temperature_K), 0.005)
        points.append(SweepPoint(temperature_K, record(temperature_K, seed)[1], share, None, (20.0, 30.0)))
    why = check(fit_sweep(points, G2Options(SIGMA_S)).to_dict())
    assert set(why) >= {"temperatures_K", "background_Hz", "response_sigma_s"}
    assert "lifetime_fast_300K_s" not in why
