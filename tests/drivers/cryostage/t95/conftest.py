"""A world with a T95 at the byte level, and drivers opened on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from drivers.cryostage.linkam_t95 import LinkamT95, LinkamT95Settings
from simulators.link import SimulatedClock
from simulators.linkam_t95 import LinkamServer
from simulators.world import World

# No machine is as slow as this; where a reply does not come, the tests hurry.
PATIENT_S = 30.0
# A late reply comes after the driver has given it up, and the server's end cuts its wait short.
NEVER_S = 600.0


class Bench:
    """A world with its controller and the drivers opened on it."""

    def __init__(self, port: int, **server: Any) -> None:
        self.world = World(seed=11)
        self.clock = SimulatedClock(self.world)
        self.server = LinkamServer(self.world, port, late_s=NEVER_S, **server)
        self.server.start()
        self.stages: list[LinkamT95] = []

    def stage(self, **settings: Any) -> LinkamT95:
        table = {"address": self.server.address.replace("socket:", "tcp:"), "minimum_K": 77.0}
        table |= {"reply_timeout_s": PATIENT_S, "connect_timeout_s": PATIENT_S} | settings
        stage = LinkamT95("cryostage", LinkamT95Settings(**table), clock=self.clock)
        self.stages.append(stage)
        return stage

    def opened(self, **settings: Any) -> LinkamT95:
        stage = self.stage(**settings)
        stage.open()
        return stage

    def hurry(self, reply_timeout_s: float = 0.1, attempts: int = 50) -> None:
        """From now on give up soon, for replies that do not come; ask often, should this computer be late."""
        for stage in self.stages:
            transport = stage._transport
            transport.patience = replace(
                transport.patience, reply_timeout_s=reply_timeout_s, attempts=attempts
            )

    def close(self) -> None:
        self.world.faults.clear()
        if not self.server.silent_sets:
            self.hurry(PATIENT_S)
        for stage in self.stages:
            stage.close()
        self.server.close()
        self.world.close()


@pytest.fixture
def make_bench(reserve_port: Callable[[], int]) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**server: Any) -> Bench:
        made.append(Bench(reserve_port(), **server))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
