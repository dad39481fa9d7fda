"""The X-ray cascade: 10 000 photons of 8 keV, and counting their excited dots.

python benchmarks/cascade.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from labctl.emission.cascade import burst_statistics, dot_statistics, simulate_cascade

PHOTONS = 10_000


def main() -> None:
    simulate_cascade(10, np.random.default_rng(0))
    tracking, counting = [], []
    for seed in range(3):
        begin = time.perf_counter()
        cascade = simulate_cascade(PHOTONS, np.random.default_rng(seed))
        between = time.perf_counter()
        dots = dot_statistics(cascade, np.random.default_rng(seed))
        counting.append(time.perf_counter() - between)
        tracking.append(between - begin)
    print(f"{PHOTONS} photons, tracks:      median {statistics.median(tracking):.1f} s")
    print(f"{PHOTONS} photons, dot counts:  median {statistics.median(counting):.1f} s")
    print(dots)
    print(burst_statistics(cascade, 1.0))


if __name__ == "__main__":
    main()
