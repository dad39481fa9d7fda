"""A thousand times opened and closed: nothing stays behind."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

import pytest

from drivers.spectrometer.andor import AndorSpectrometer
from drivers.traffic import TrafficEntry
from simulators.andor_sdk import installed
from simulators.link import SimulatedClock
from simulators.world import World


def objects_alive():
    gc.collect()
    return sum(1 for thing in gc.get_objects() if not isinstance(thing, TrafficEntry))


def test_thousand_reconnects_leave_no_handle_thread_or_object(world_and_driver):
    driver = world_and_driver
    for _ in range(20):
        driver.open()
        driver.close()
    threads, objects = threading.active_count(), objects_alive()
    files = Path("/proc/self/fd")
    handles = len(list(files.iterdir())) if sys.platform == "linux" else 0
    for _ in range(1000):
        driver.open()
        driver.close()
    assert threading.active_count() == threads
    assert objects_alive() - objects < 100
    if sys.platform == "linux":
        assert len(list(files.iterdir())) == handles
    from pylablib.devices import Andor

    assert Andor.Shamrock.libctl.open_devices == 0
    assert Andor.AndorSDK2.libctl.open_devices == 0


@pytest.fixture
def world_and_driver():
    world = World()
    settings = AndorSpectrometer.Settings(
        gain_electrons_per_count=2.8,
        read_noise_electrons=4.0,
        saturation_counts=65535,
        warm_up_before_close_C=None,
    )
    with installed(world):
        yield AndorSpectrometer("spectrometer", settings, clock=SimulatedClock(world))
    world.close()
