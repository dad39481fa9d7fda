"""Do the error bars of the lifetimes hold, from tags to fit? Records of bursts, correlated, fitted, compared.

    python benchmarks/photons_coverage.py [--records 300] [--blocks 25 64]

Each record is made photon by photon, with or without a dead time longer than the burst, goes through the
correlator in time blocks (64 as re-analysis makes them, and other numbers on request), and is fitted with the
exact pair density. Printed: share of records whose 68.3 % and 95 % intervals hold the true lifetime, with the
standard error of that share. The same records are cut into all numbers of blocks.
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
from labctl.fitting.student import ONE_SIGMA
from labctl.fitting.value import Value
from labctl.photons.compiled import compiled
from labctl.photons.correlator import PairCorrelator
from labctl.photons.g2 import PairBlocks

FAST_S, SLOW_S, FAST_SHARE, SIGMA_PS = 0.24e-9, 0.74e-9, 0.56, 57.0
DEAD_TIME_PS = 77_000
DEAD_TIME = {False: "none", True: "77 ns"}
# Photons per burst and detector -> bursts a second, seconds of record.
SETTINGS = {0.025: (1e6, 12.0), 0.25: (1e5, 6.0), 2.5: (2e4, 6.0)}
# Share of the light on the first detector, where it is not half; mu is the mean of both.
UNEVEN = {0.25: (0.3,), 2.5: (0.3,)}


def make_record(
    generator: np.random.Generator,
    mu: float,
    rate_Hz: float,
    seconds: float,
    dead: bool,
    split: float,
    numbers_of_blocks: list[int],
) -> list[PairBlocks]:
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
    return [in_blocks(stamps, channels, length, number) for number in numbers_of_blocks]


def in_blocks(stamps: np.ndarray, channels: np.ndarray, length: int, number: int) -> PairBlocks:
    """Correlate a record cut into so many blocks."""
    correlator = PairCorrelator(1, 2, window_ps=32_768, bin_ps=32)
    edges = [length * k // number for k in range(number + 1)]
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
    parser.add_argument("--blocks", type=int, nargs="+", default=[64], help="time blocks")
    parser.add_argument("--dead-time", choices=("none", "77 ns"), help="only this one")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print("| mu | dead time | blocks | lifetime | mean pull | sd of pulls | in 68 % | in 95 % | refused |")
    print("|---|---|---|---|---|---|---|---|---|")
    chosen = SETTINGS if args.mu is None else {args.mu: SETTINGS[args.mu]}
    for mu, (rate, seconds) in chosen.items():
        dead_times = [dead for dead in (False, True) if args.dead_time in (None, DEAD_TIME[dead])]
        for dead in dead_times:
            study(mu, rate, seconds, dead, args)
        for uneven in UNEVEN.get(mu, ()):
            if True in dead_times:
                study(mu, rate, seconds, True, args, uneven)


def study(
    mu: float, rate: float, seconds: float, dead: bool, args: argparse.Namespace, split: float = 0.5
) -> None:
    """Fit all records and print the rows of one setting."""
    options = G2Options(
        response_sigma_s=SIGMA_PS * 1e-12,
        fraction=Value(FAST_SHARE, 0.0),
        n_lifetimes=2,
        dead_time_s=DEAD_TIME_PS * 1e-12 if dead else 0.0,
    )
    truth = {"fast": FAST_S, "slow": SLOW_S}
    found: dict[tuple[int, str], list[Value]] = {(m, name): [] for m in args.blocks for name in truth}
    refused = dict.fromkeys(args.blocks, 0)
    began = time.perf_counter()
    for number in range(args.records):
        uneven = [] if split == 0.5 else [round(1000 * split)]
        sequence = np.random.SeedSequence([args.seed, round(mu * 1000), int(dead), number, *uneven])
        generator = np.random.Generator(np.random.PCG64(sequence))
        for blocks, pairs in zip(
            args.blocks, make_record(generator, mu, rate, seconds, dead, split, args.blocks), strict=True
        ):
            try:
                fit = fit_g2(pairs, options)
            except FitRefused:
                refused[blocks] += 1
                continue
            assert fit.tau_fast_s is not None
            found[blocks, "fast"].append(fit.tau_fast_s)
            found[blocks, "slow"].append(fit.tau_slow_s)
    light = f"{mu:g}" if split == 0.5 else f"{mu:g}, {split:g} : {1 - split:g}"
    for (blocks, name), values in found.items():
        pulls = np.array([(value.value - truth[name]) / value.error for value in values])
        cells = []
        for share in (ONE_SIGMA, 0.95):
            ends = np.array([value.interval(share) for value in values])
            inside = float(np.mean((ends[:, 0] <= truth[name]) & (truth[name] <= ends[:, 1])))
            cells.append(f"{100 * inside:.1f} +- {100 * math.sqrt(share * (1 - share) / len(values)):.1f}")
        print(
            f"| {light} | {DEAD_TIME[dead]} | {blocks} | {name} | {pulls.mean():+.2f} | "
            f"{pulls.std(ddof=1):.2f} | {cells[0]} | {cells[1]} | {refused[blocks]} |",
            flush=True,
        )
    print(f"<!-- {args.records} records in {time.perf_counter() - began:.0f} s -->", flush=True)


if __name__ == "__main__":
    main()
