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
    arguments = parser.parse_args()
    print("photons/pulse  likelihood    lifetime  mean pull   68 %   95 %  refused")
    for per_pulse in arguments.per_pulse:
        found: dict[str, list[tuple[float, float]]] = {"first photon": [], "all photons": []}
        refused = dict.fromkeys(found, 0)
        generator = np.random.Generator(np.random.PCG64(int(1000 * per_pulse)))
        for _ in range(arguments.records):
            counts = first_photons(generator, arguments.pulses, per_pulse)
            for name, pulses in (("first photon", float(arguments.pulses)), ("all photons", None)):
                data = DecayData(EDGES_S, counts, pulses=pulses, period_s=PERIOD_S)
                try:
                    fit = fit_decay(data, n_lifetimes=2, response_sigma_s=80e-12)
                except FitRefused:
                    refused[name] += 1
                    continue
                values = (fit.lifetime_s(1), fit.lifetime_s(2))
                pulls = [
                    (value.value - true) / value.error for value, true in zip(values, TRUTH_S, strict=True)
                ]
                found[name].append((pulls[0], pulls[1]))
        for name, both in found.items():
            for k, label in enumerate(("fast", "slow")):
                pulls = np.array([pair[k] for pair in both])
                inside = [np.mean(np.abs(pulls) < sigmas) for sigmas in (1.0, 1.96)]
                print(
                    f"{per_pulse:13g}  {name:12s}  {label:8s}  {pulls.mean():+9.2f}  {100 * inside[0]:5.1f}  "
                    f"{100 * inside[1]:5.1f}  {refused[name]:7d}"
                )


if __name__ == "__main__":
    main()
