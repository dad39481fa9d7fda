"""A simulated supply on a TCP port, its world, and a driver that talks to it in virtual time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from drivers.xray_tube.spellman import SpellmanTube
from simulators.faults import Faults
from simulators.spellman import SpellmanServer
from simulators.tube import Tube
from simulators.world import World

# No machine is as slow as this; where a reply does not come, the tests hurry.
PATIENT_S = 60.0
# A late reply comes after the driver has given it up, and the server's end cuts its wait short.
NEVER_S = 600.0
MANY = 50


class WorldClock:
    """The clock of a world in this process."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return self._world.now()

    def epoch_s(self) -> float:
        return 1.7e9 + self._world.now()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._world.advance(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.sleep(seconds)
        return event.is_set()


@dataclass
class Bench:
    """World, server, driver; the driver is closed and the rest ended after the test."""

    world: World
    faults: Faults
    tube: Tube
    server: SpellmanServer
    clock: WorldClock
    until: Callable[..., None]
    drivers: list[SpellmanTube] = field(default_factory=list)

    def driver(self, **settings: Any) -> SpellmanTube:
        quick = {
            "address": self.server.address,
            "model": self.server.model,
            "reply_timeout_s": PATIENT_S,
            "connect_timeout_s": PATIENT_S,
            "attempts": 3,
            "pacing_s": 0.01,
        }
        driver = SpellmanTube(
            "tube", SpellmanTube.Settings.model_validate(quick | settings), clock=self.clock
        )
        self.drivers.append(driver)
        return driver

    def opened(self, **settings: Any) -> SpellmanTube:
        driver = self.driver(**settings)
        driver.open()
        return driver

    def goes_off(self) -> None:
        """High voltage goes off: "off" was sent, though nobody waited for the answer."""
        self.until(lambda: not self.tube.hv_on, "high voltage stays on")

    def hurry(self, reply_timeout_s: float = 0.1, attempts: int = MANY) -> None:
        """From now on give up soon, for replies that do not come; ask often, should this computer be late."""
        for driver in self.drivers:
            driver.transport.patience = replace(
                driver.transport.patience, reply_timeout_s=reply_timeout_s, attempts=attempts
            )

    def take_time(self) -> None:
        """Be patient again."""
        self.hurry(PATIENT_S, 3)


@pytest.fixture
def make_bench(reserve_port: Callable[[], int], until: Callable[..., None]) -> Iterator[Callable[..., Bench]]:
    benches = []

    def make(*, late_s: float = NEVER_S, **server: Any) -> Bench:
        faults = Faults()
        tube = Tube(faults, seed=1)
        world = World(seed=1, tube=tube, faults=faults)
        supply = SpellmanServer(world, reserve_port(), late_s=late_s, **server)
        bench = Bench(world, faults, tube, supply, WorldClock(world), until)
        bench.server.start()
        benches.append(bench)
        return bench

    yield make
    for bench in benches:
        bench.faults.clear()
        bench.take_time()
        for driver in bench.drivers:
            driver.close()
        bench.server.close()
        bench.world.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
