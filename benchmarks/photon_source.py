"""How fast the simulated counters make tags, one thread. Run: python benchmarks/photon_source.py"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from simulators.detectors import Detector
from simulators.photon_source import Light, PhotonSource

RATES = {
    "night: 15 kcps, mu 0.02": (750e3, 0.02),
    "100 kcps, mu 0.02": (5e6, 0.02),
    "1 Mcps, mu 0.25": (4e6, 0.25),
    "1 Mcps, mu 2.5": (0.4e6, 2.5),
    "5 Mcps, mu 0.1": (50e6, 0.1),
}
REPEATS = 7
TAGS = 2_000_000


def median_rate_tag_per_s(bursts_Hz: float, mu: float, detector: Detector) -> tuple[float, float]:
    """Median speed in tags per second of computing, and the tags made per run."""
    light = Light(bursts_Hz, 2 * mu / detector.efficiency, (0.77, 0.23), (0.24e-9, 0.74e-9))
    duration_ps = int(TAGS / (2 * bursts_Hz * mu) * 1e12)
    source = PhotonSource([detector, detector], seed=1)
    source.pulses(light, duration_ps // 10)
    speeds = []
    tags = 0
    for _ in range(REPEATS):
        began_s = time.perf_counter()
        tags = source.pulses(light, duration_ps).times_ps.size
        speeds.append(tags / (time.perf_counter() - began_s))
    return statistics.median(speeds), tags


def main() -> None:
    """Print one line per rate."""
    print(f"median of {REPEATS} runs, about {TAGS} photons each, both counters together")
    for label, (bursts_Hz, mu) in RATES.items():
        for name, detector in (
            ("default counters", Detector()),
            ("with cross-talk", Detector(crosstalk_probability=0.001)),
        ):
            speed, tags = median_rate_tag_per_s(bursts_Hz, mu, detector)
            print(f"{label:26s} {name:18s} {speed / 1e6:7.2f} Mtag/s  ({tags} tags)")


if __name__ == "__main__":
    main()
