"""How often the intervals of fitted lifetimes hold the truth: start-stop decays made photon by photon.

``python -m benchmarks.decay_coverage --records 300``; made light and fit share no code.
"""

from __future__ import annotations

import argparse

import numpy as np

from labctl.fitting.decay_fit import DecayData, fit_decay
from labctl.fitting.refusal import FitRefused

PERIOD_S = 50e-9
EDGES_S = np.linspace(0.0, PERIOD_S, 501)
TRUTH_S = (1.29e-9, 2.40e-9)
SHARE = 0.51


def first_photons(generator: np.random.Generator, pulses: int, per_pulse: float) -> np.ndarray:
    """Histogram of the first photon after each pulse: two lifetimes, 80 ps of response, dark counts."""
    n = generator.poisson(per_pulse, pulses)
    number = np.repeat(np.arange(pulses), n)
    lifetime = generator.choice(TRUTH_S, len(number), p=(SHARE, 1 - SHARE))
    time = number * PERIOD_S + 3e-9
    time += generator.normal(0, 80e-12, len(number)) + generator.exponential(lifetime)
    time = np.concatenate([time, generator.random(generator.poisson(1e-3 * pulses)) * pulses * PERIOD_S])
    number = np.floor(time / PERIOD_S)
    order = np.argsort(time)
    first = np.r_[True, np.diff(number[order]) > 0]
    return np.histogram((time - number * PERIOD_S)[order][first], EDGES_S)[0]


def main() -> None:
    """Print bias and coverage for several photons per pulse, with and without the first-photon likelihood."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--pulses", type=int, default=300_000)
    parser.add_argument("--per-pulse", type=float, nargs="+", default=[0.02, 0.2, 1.0], help="photons")
    parser.add_argument("--likelihood", choices=["first photon", "all photons"], help="only this one")
    arguments = parser.parse_args()
    print("photons/pulse  likelihood    number      mean pull   68 %   95 %  lopsided  two by BIC  refused")
    for per_pulse in arguments.per_pulse:
        for name in ("first photon", "all photons"):
            if arguments.likelihood in (None, name):
                study(name, per_pulse, arguments.records, arguments.pulses)


def study(name: str, per_pulse: float, records: int, pulses: int) -> None:
    """Fit two lifetimes to every record and print how often their intervals hold the truth."""
    generator = np.random.Generator(np.random.PCG64(int(1000 * per_pulse)))
    truth = (*TRUTH_S, SHARE)
    pulls, inside = np.empty((records, 3)), np.zeros((records, 3, 2), bool)
    lopsided, two, refused = 0, 0, np.zeros(records, bool)
    for number in range(records):
        counts = first_photons(generator, pulses, per_pulse)
        data = DecayData(
            EDGES_S, counts, pulses=float(pulses) if name == "first photon" else None, period_s=PERIOD_S
        )
        try:
            fit = fit_decay(data, n_lifetimes=2, response_sigma_s=80e-12)
        except FitRefused:
            refused[number] = True
            continue
        lopsided += bool(fit.intervals_68)
        two += bic_of_one(data) > min(fit.bic.values())
        for k, label in enumerate(("lifetime_s_1", "lifetime_s_2", "weight_1")):
            value = fit.value(label)
            pulls[number, k] = (value.value - truth[k]) / value.error
            for level, (low, high) in enumerate((value.interval(), fit.interval_95(label))):
                inside[number, k, level] = low <= truth[k] <= high
    for k, label in enumerate(("fast", "slow", "fast share")):
        shares = 100 * inside[~refused, k].mean(axis=0)
        print(
            f"{per_pulse:13g}  {name:12s}  {label:10s}  {pulls[~refused, k].mean():+9.2f}  {shares[0]:5.1f}  "
            f"{shares[1]:5.1f}  {lopsided:8d}  {two:10d}  {int(refused.sum()):7d}",
            flush=True,
        )


def bic_of_one(data: DecayData) -> float:
    """BIC of one lifetime, infinite where that fit does not converge."""
    try:
        return fit_decay(data, n_lifetimes=1, response_sigma_s=80e-12).bic[1]
    except FitRefused:
        return float("inf")


if __name__ == "__main__":
    main()
