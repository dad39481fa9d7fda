"""The T95 driver on the wall's clock, against a simulated rig that runs by itself, as on hardware."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.clock import SystemClock
from drivers.cryostage.linkam_t95 import LinkamT95
from drivers.cryostage.settings import LinkamT95Settings
from drivers.cryostage.settling import Settling
from simulators.server import RigServers
from simulators.settings import SimulationSettings

SPEED = 40.0


@pytest.fixture
def rig() -> Iterator[RigServers]:
    with RigServers(SimulationSettings(seed=3), speed=SPEED) as rig:
        yield rig


def test_ramp_and_settle_in_real_time(rig: RigServers) -> None:
    address = rig.addresses["cryostage"].replace("socket", "tcp")
    clock = SystemClock()
    settings = LinkamT95Settings(address=address, pacing_s=0.01, reply_timeout_s=30.0)
    with LinkamT95("cryostage", settings, clock=clock) as stage:
        stage.ramp_to(290.0, 30.0)
        # The rig's time runs 40 times as fast: half a second here is 20 s there.
        watch = Settling(target_K=290.0, tolerance_K=0.3, duration_s=0.5, maximum_drift_K_per_min=20.0)
        while not watch.settled and clock.now() < 60.0:
            clock.sleep(0.02)
            watch.feed(clock.now(), stage.status().temperature.value)
        assert watch.settled
        # 10 K at 30 K/min are 20 s there.
        assert clock.now() > 0.9
        assert stage.status().at_set_point


def test_two_clients_and_a_fault_at_the_same_time(rig: RigServers, until: Any) -> None:
    """Somebody else polls the controller while it is driven, as a second program on the network may."""
    address = rig.addresses["cryostage"].replace("socket", "tcp")
    settings = LinkamT95Settings(
        address=address, pacing_s=0.0, on_close="leave", reply_timeout_s=1.0, attempts=20
    )
    stop = threading.Event()
    seen: list[str] = []

    def poll() -> None:
        with LinkamT95("watcher", settings, clock=SystemClock()) as watcher:
            while not stop.is_set():
                seen.append(watcher.status().state)

    watcher = threading.Thread(target=poll, name="watcher")
    watcher.start()
    try:
        with LinkamT95("cryostage", settings, clock=SystemClock()) as stage:
            stage.ramp_to(100.0, 10.0)
            rig.world.faults.set("cryostage.reply_garbled", count=2)
            until(lambda: "cooling" in seen)
            stage.stop()
    finally:
        stop.set()
        watcher.join(60.0)
    assert {"cooling"} <= set(seen) <= {"stopped", "cooling"}
    assert rig.world.truth()["stage_mode"] == "stopped"
