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
    drivers: list[SpellmanTube] = field(default_factory=list)

    def driver(self, **settings: Any) -> SpellmanTube:
        quick = {
            "address": self.server.address,
            "model": self.server.model,
            "reply_timeout_s": 2.0,
            "attempts": 3,
            "pacing_s": 0.01,
        }
        driver = SpellmanTube(
            "tube", SpellmanTube.Settings.model_validate(quick | settings), clock=self.clock
        )
        self.drivers.append(driver)
        return driver

    def hurry(self, reply_timeout_s: float = 0.1, attempts: int = 1) -> None:
        """From now on give up soon: for tests in which no reply comes. A busy computer needs more."""
        for driver in self.drivers:
            driver.transport.patience = replace(
                driver.transport.patience, reply_timeout_s=reply_timeout_s, attempts=attempts
            )

    def take_time(self) -> None:
        """Be patient again."""
        self.hurry(2.0, 3)


@pytest.fixture
def make_bench() -> Iterator[Callable[..., Bench]]:
    benches = []

    def make(**server: Any) -> Bench:
        faults = Faults()
        tube = Tube(faults, seed=1)
        world = World(seed=1, tube=tube, faults=faults)
        bench = Bench(world, faults, tube, SpellmanServer(world, late_s=0.35, **server), WorldClock(world))
        bench.server.start()
        benches.append(bench)
        return bench

    yield make
    for bench in benches:
        bench.faults.clear()
        for driver in bench.drivers:
            driver.close()
        bench.server.close()
        bench.world.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
