"""Do profile-likelihood intervals hold the truth as often as they say? Points as in ``fits_coverage``.

    python -m benchmarks.interval_coverage [--joint 100] [--hidden 200]

Joint fits of sample A at 100 K: share of the 68 and 95 % intervals that hold what went in. Single lifetimes
with light hidden below the spectrum's sight (two components, the coupled share drawn from what the spectrum
is said to know, its lifetime from the range that is allowed): the interval with and without what may be
hidden, and the symmetric error.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks.fits_coverage import SIGMA_S, burst_record, camera_frames
from labctl.emission.components import Component, Emission
from labctl.emission.sample import load_sample
from labctl.errors import InputError
from labctl.fitting.g2_fit import G2Options, fit_g2
from labctl.fitting.hidden import COUPLED_PER_UNCOUPLED
from labctl.fitting.intervals import g2_intervals, joint_intervals
from labctl.fitting.joint_fit import fit_joint
from labctl.fitting.value import Value

RISES = {"68 %": 1.0, "95 %": 3.84}


def joint_study(points):
    emission = load_sample("xray-A").emission(100.0)
    coupled, uncoupled = emission.component("coupled"), emission.component("uncoupled")
    truth = {
        "shift_eV": uncoupled.energy_eV - coupled.energy_eV,
        "fraction": coupled.weight,
        "width_eV": uncoupled.width_eV,
        "coupled_width_eV": coupled.width_eV,
        "lifetime_fast_s": coupled.lifetime_s,
        "lifetime_slow_s": uncoupled.lifetime_s,
    }
    options = G2Options(SIGMA_S)
    inside, seconds, refused = [], [], 0
    for seed in range(points):
        rng = np.random.default_rng([seed, 9])
        frames = camera_frames(rng, emission, electrons=5e3)
        pairs = burst_record(
            rng, emission, xrays_per_s=3e6, mu=0.05, duration_s=0.25, n_blocks=25, dead=True, bin_ps=64
        )
        try:
            fit = fit_joint(frames, pairs, options)
            began = time.perf_counter()
            found = [
                joint_intervals(frames, pairs, options, fit, tuple(truth), rise=r) for r in RISES.values()
            ]
            seconds.append((time.perf_counter() - began) / len(RISES))
        except InputError as refusal:
            print(refusal)
            refused += 1
            continue
        inside.append([[holds(one[name], true) for name, true in truth.items()] for one in found])
    report(f"joint, {refused} refused, {np.median(seconds):.1f} s each", truth, np.array(inside))


def holds(interval, true):
    low = -np.inf if interval.low is None else interval.low
    high = np.inf if interval.high is None else interval.high
    return low < true < high


def hidden_study(points):
    """The spectrum says a coupled share of 2.5 +- 2.5 %; the truth is drawn from that."""
    share, slow_s = Value(0.025, 0.025), 1.8e-9
    options = G2Options(SIGMA_S, hidden=share, n_lifetimes=1, delay_s=None)
    inside = []
    for seed in range(points):
        rng = np.random.default_rng([seed, 10])
        weight = max(rng.normal(share.value, share.error), 0.0)
        ratio = np.exp(rng.uniform(*np.log(COUPLED_PER_UNCOUPLED)))
        parts = [Component("uncoupled", 2.45, 0.03, 1.0 - weight, slow_s)]
        parts += [Component("coupled", 2.3, 0.05, weight, ratio * slow_s)] if weight > 0.0 else []
        pairs = burst_record(
            rng, Emission(tuple(parts)), xrays_per_s=3e6, mu=0.05, duration_s=1.0, n_blocks=25, dead=True
        )
        fit = fit_g2(pairs, options)
        error = fit.tau_slow_s
        rows = []
        for rise in RISES.values():
            found = g2_intervals(pairs, options, fit, ["lifetime_s"], rise=rise)
            symmetric = abs(error.value - slow_s) < np.sqrt(rise) * error.error
            rows.append([holds(found["tau_slow_s"], slow_s), holds(found["lifetime_s"], slow_s), symmetric])
        inside.append(rows)
    names = ("with what may be hidden", "single exponential", "symmetric error of tau_slow")
    report("hidden light", names, np.array(inside))


def report(title, names, inside):
    n = len(inside)
    print(f"\n{title}, {n} points")
    for i, name in enumerate(names):
        shares = [f"{level}: {inside[:, j, i].mean():.3f}" for j, level in enumerate(RISES)]
        print(f"{name:30s} {'   '.join(shares)}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--joint", type=int, default=100)
    parser.add_argument("--hidden", type=int, default=200)
    arguments = parser.parse_args()
    if arguments.hidden:
        hidden_study(arguments.hidden)
    if arguments.joint:
        joint_study(arguments.joint)


if __name__ == "__main__":
    main()
