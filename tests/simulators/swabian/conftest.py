"""A lit world and the stand-in of the vendor's module on it."""

from __future__ import annotations

import pytest

from simulators.swabian_api import vendor_module
from simulators.world import World


class SteadyTube:
    voltage_kV = 40.0
    current_uA = 300.0
    hv_on = True
    interlock_closed = True

    def advance(self, dt_s: float) -> None:
        pass


def lit_world(**more) -> World:
    world = World(tube=SteadyTube(), **more)
    world.controller.temperature_K = world.controller.limit_K = 80.0
    world.controller.start()
    world.set_port("counters")
    return world


@pytest.fixture
def world():
    return lit_world()


@pytest.fixture
def module(world):
    return vendor_module(world)


@pytest.fixture
def make_world():
    return lit_world
