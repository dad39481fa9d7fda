"""A bright simulated rig with the Andor stand-ins under pylablib."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from drivers.spectrometer.andor import AndorSpectrometer
from simulators.andor_sdk import AndorStandIn, installed
from simulators.link import SimulatedClock
from simulators.stage import Stage
from simulators.world import World


class SteadyTube:
    """A tube that is always on."""

    voltage_kV = 40.0
    current_uA = 300.0
    hv_on = True
    interlock_closed = True

    def advance(self, dt_s: float) -> None:
        pass


@dataclass
class Bench:
    """World, clock and stand-in with one driver on it."""

    world: World
    clock: SimulatedClock
    stand_in: AndorStandIn
    driver: AndorSpectrometer
    another: Callable[..., AndorSpectrometer]


@pytest.fixture
def bench() -> Iterator[Bench]:
    world = World(seed=7, tube=SteadyTube(), stage=Stage(7, start_K=80.0))
    clock = SimulatedClock(world)

    def another(**changes: object) -> AndorSpectrometer:
        table = {
            "gain_electrons_per_count": 2.8,
            "read_noise_electrons": 4.0,
            "saturation_counts": 65535,
            **changes,
        }
        return AndorSpectrometer("spectrometer", AndorSpectrometer.Settings(**table), clock=clock)

    with installed(world) as stand_in:
        driver = another()
        driver.open()
        yield Bench(world, clock, stand_in, driver, another)
        driver.close()
        assert not stand_in.errors
    world.close()
