"""Do the error bars of the lifetimes hold, from tags to fit? Records of bursts, correlated, fitted, compared.

    python benchmarks/photons_coverage.py [--records 300]

Each record is made photon by photon, with or without a dead time longer than the burst, goes through the
correlator in 64 time blocks (as re-analysis makes them), and is fitted with the exact pair density; its
intervals come from the scatter between blocks. Printed: share of records whose 68 % and 95 % intervals hold
the true lifetime, with the standard error of that share.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time

import numpy as np

from drivers.time_tagger.base import TagChunk
from labctl.fitting.g2_fit import G2Options, fit_g2
from labctl.fitting.refusal import FitRefused
from labctl.fitting.value import Value
from labctl.photons.compiled import compiled
from labctl.photons.correlator import PairCorrelator
from labctl.photons.g2 import PairBlocks

FAST_S, SLOW_S, FAST_SHARE, SIGMA_PS = 0.24e-9, 0.74e-9, 0.56, 57.0
BLOCKS = 64
DEAD_TIME_PS = 77_000
# Photons per burst and detector -> bursts a second, seconds of record.
SETTINGS = {0.025: (1e6, 12.0), 0.25: (1e5, 6.0), 2.5: (2e4, 6.0)}
# Share of the light on the first detector, where it is not half; mu is the mean of both.
UNEVEN = {0.25: (0.3,), 2.5: (0.3,)}


def make_record(
    generator: np.random.Generator, mu: float, rate_Hz: float, seconds: float, dead: bool, split: float = 0.5
) -> PairBlocks:
    """Correlate one record of Poisson bursts on two detectors; the first gets ``split`` of the light."""
    length = round(seconds * 1e12)
    # Only bursts that are seen at all: a Poisson number above 0 of photons on both detectors together.
    seen = generator.poisson(rate_Hz * seconds * -math.expm1(-2 * mu))
    photons = above_zero(generator, 2 * mu, seen)
    times = np.repeat(generator.random(seen) * length, photons)
    lifetime = np.where(generator.random(len(times)) < FAST_SHARE, FAST_S, SLOW_S) * 1e12
    times = times + generator.exponential(1.0, len(times)) * lifetime
    on_first = generator.random(len(times)) < split
    tags = []
    for channel, mine in ((1, on_first), (2, ~on_first)):
        stamps = np.sort(times[mine])
        if dead:
            stamps = alive(stamps)
        stamps = stamps + generator.normal(0, SIGMA_PS / math.sqrt(2), len(stamps))
        tags.append((np.rint(stamps).astype(np.int64), np.full(len(stamps), channel, np.int32)))
    stamps, channels = (np.concatenate(both) for both in zip(*tags, strict=True))
    order = np.argsort(stamps, kind="stable")
    stamps, channels = stamps[order], channels[order]
    inside = (stamps >= 0) & (stamps < length)
    stamps, channels = stamps[inside], channels[inside]
    correlator = PairCorrelator(1, 2, window_ps=32_768, bin_ps=32)
    edges = [length * k // BLOCKS for k in range(BLOCKS + 1)]
    for begin, end in itertools.pairwise(edges):
        low, high = np.searchsorted(stamps, (begin, end))
        correlator.push(TagChunk(stamps[low:high], channels[low:high], begin, end))
        correlator.end_block()
    return correlator.blocks()


def above_zero(generator: np.random.Generator, mean: float, size: int) -> np.ndarray:
    """Poisson numbers given that they are not 0."""
    numbers = np.arange(1, 60)
    chance = np.cumsum(
        np.exp(numbers * math.log(mean) - mean - np.array([math.lgamma(n + 1) for n in numbers]))
    )
    return 1 + np.searchsorted(chance / chance[-1], generator.random(size))


@compiled
def alive(stamps: np.ndarray) -> np.ndarray:
    """Photons that find the detector alive (each count makes it blind for the dead time)."""
    kept = np.zeros(len(stamps), np.bool_)
    last = -1e18
    for i in range(len(stamps)):
        if stamps[i] - last >= DEAD_TIME_PS:
            kept[i] = True
            last = stamps[i]
    return stamps[kept]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--mu", type=float, choices=SETTINGS, help="only this one")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print("| mu | dead time | lifetime | mean pull | sd of pulls | in 68 % | in 95 % | refused |")
    print("|---|---|---|---|---|---|---|---|")
    chosen = SETTINGS if args.mu is None else {args.mu: SETTINGS[args.mu]}
    for mu, (rate, seconds) in chosen.items():
        for dead in (False, True):
            study(mu, rate, seconds, dead, args.records, args.seed)
        for uneven in UNEVEN.get(mu, ()):
            study(mu, rate, seconds, True, args.records, args.seed, uneven)


def study(
    mu: float, rate: float, seconds: float, dead: bool, records: int, seed: int, split: float = 0.5
) -> None:
    options = G2Options(
        response_sigma_s=SIGMA_PS * 1e-12,
        fraction=Value(FAST_SHARE, 0.0),
        n_lifetimes=2,
        dead_time_s=DEAD_TIME_PS * 1e-12 if dead else 0.0,
    )
    pulls: dict[str, list[float]] = {"fast": [], "slow": []}
    refused = 0
    began = time.perf_counter()
    for number in range(records):
        uneven = [] if split == 0.5 else [round(1000 * split)]
        sequence = np.random.SeedSequence([seed, round(mu * 1000), int(dead), number, *uneven])
        generator = np.random.Generator(np.random.PCG64(sequence))
        try:
            fit = fit_g2(make_record(generator, mu, rate, seconds, dead, split), options)
        except FitRefused:
            refused += 1
            continue
        fast = fit.tau_fast_s
        assert fast is not None
        pulls["fast"].append((fast.value - FAST_S) / fast.error)
        pulls["slow"].append((fit.tau_slow_s.value - SLOW_S) / fit.tau_slow_s.error)
    uneven_text = "" if split == 0.5 else f", {split:g} : {1 - split:g}"
    for name, values in pulls.items():
        x = np.array(values)
        cells = []
        for share, reach in ((0.68, 0.99446), (0.95, 1.95996)):
            inside = float((np.abs(x) <= reach).mean())
            cells.append(f"{100 * inside:.1f} +- {100 * math.sqrt(share * (1 - share) / len(x)):.1f}")
        print(
            f"| {mu:g}{uneven_text} | {'77 ns' if dead else 'none'} | {name} | {x.mean():+.2f} | "
            f"{x.std(ddof=1):.2f} | {cells[0]} | {cells[1]} | {refused} |",
            flush=True,
        )
    print(f"<!-- {records} records in {time.perf_counter() - began:.0f} s -->", flush=True)


if __name__ == "__main__":
    main()
