"""How fast the simulated counters make tags, one thread. Run: python benchmarks/photon_source.py"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from simulators.detectors import Detector
from simulators.photon_source import Light, PhotonSource
from simulators.swabian_api import vendor_module
from simulators.world import World

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


class _Beam:
    """A tube that is always on, as in the default night."""

    voltage_kV = 40.0
    current_uA = 300.0
    hv_on = True
    interlock_closed = True

    def advance(self, dt_s: float) -> None:
        """Nothing changes."""


def through_tagger_tag_per_s(duration_s: float = 30.0) -> tuple[float, float]:
    """Median speed of the whole way (world, light, counters, tagger, buffer), and the rate of tags in it."""
    world = World(tube=_Beam())
    world.controller.temperature_K = 80.0
    world.set_port("counters")
    module = vendor_module(world)
    speeds, tags = [], 0
    with module.createTimeTagger() as tagger:
        stream = module.TimeTagStream(tagger, 10_000_000, [1, 2])
        for _ in range(REPEATS):
            began_s, tags = time.perf_counter(), 0
            for _ in range(int(duration_s)):
                world.advance(1.0)
                tags += stream.getData().size
            speeds.append(tags / (time.perf_counter() - began_s))
    return statistics.median(speeds), tags / duration_s


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
    speed, rate_Hz = through_tagger_tag_per_s()
    print(f"through the simulated tagger, 1 s per read   {speed / 1e6:7.2f} Mtag/s  ({rate_Hz:.0f} tags/s)")


if __name__ == "__main__":
    main()
