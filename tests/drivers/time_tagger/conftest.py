"""A simulated rig with the beam on and the fibre on the counters, and a tagger on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.time_tagger.swabian import SwabianSettings, SwabianTimeTagger
from simulators.swabian_api import vendor_module
from simulators.world import World


class SteadyTube:
    voltage_kV = 40.0
    current_uA = 300.0
    hv_on = True
    interlock_closed = True

    def advance(self, dt_s: float) -> None:
        pass


class WorldClock:
    """The clock of a stepped world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def now(self) -> float:
        return self.world.now()

    def epoch_s(self) -> float:
        return 1.7e9 + self.world.now()

    def sleep(self, seconds: float) -> None:
        self.world.advance(max(0.0, seconds))

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.sleep(seconds)
        return event.is_set()


class Bench:
    """World, clock and a way to make taggers on them."""

    def __init__(self, world: World, **options: Any) -> None:
        self.world = world
        self.clock = WorldClock(world)
        self.vendor = vendor_module(world, **options)
        self.taggers: list[SwabianTimeTagger] = []

    def tagger(self, vendor: Any = None, **settings: Any) -> SwabianTimeTagger:
        table = {"driver": "swabian", "channels": {"A": {"channel": 1}, "B": {"channel": 2}}} | settings
        tagger = SwabianTimeTagger(
            "tagger",
            SwabianSettings.model_validate(table),
            clock=self.clock,
            vendor=self.vendor if vendor is None else vendor,
        )
        self.taggers.append(tagger)
        return tagger

    @staticmethod
    def record(
        tagger: SwabianTimeTagger, duration_s: float = 3.0, channels: Any = (1, 2), **more: Any
    ) -> Any:
        return list(tagger.stream(channels, duration_s, **more))


@pytest.fixture
def make_bench() -> Iterator[Any]:
    benches: list[Bench] = []

    def make(*, seed: int = 1, beam: bool = True, sample: str = "xray-A", **options: Any) -> Bench:
        world = World(seed=seed, sample=sample, tube=SteadyTube() if beam else None)
        world.controller.temperature_K = 80.0
        world.controller.limit_K = 80.0
        world.controller.start()
        world.set_port("counters")
        benches.append(Bench(world, **options))
        return benches[-1]

    yield make
    for bench in benches:
        for tagger in bench.taggers:
            tagger.close()
        bench.world.close()


@pytest.fixture
def bench(make_bench: Any) -> Bench:
    return make_bench()
