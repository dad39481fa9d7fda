"""Random lives of a tube: any order of orders and faults, and several threads at once.

The invariant is the one that counts: high voltage is on only after a ``beam_on`` that succeeded, or else an
alarm was raised and "off" is owed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from drivers.errors import InstrumentCancelledError, InstrumentError
from drivers.xray_tube.spellman import SpellmanTube
from simulators.faults import FAULTS, Faults
from simulators.link import SimulatedClock
from simulators.spellman import SpellmanServer
from simulators.tube import Tube
from simulators.world import World

TUBE_FAULTS = sorted(name for name in FAULTS if name.startswith(("tube.", "interlock.")))
ORDERS = ["on", "on", "off", "status", "status", "status", "fault", "fault", "clear", "wait", "repair"]


def begin_fault(bench: Any, source: random.Random) -> None:
    name = source.choice(TUBE_FAULTS)
    bench.hurry(attempts=2)
    if name.startswith("tube.reply"):
        bench.faults.set(name, count=source.randint(1, 4))
    else:
        bench.faults.set(name, duration_s=source.uniform(0.5, 20.0))


def obey(order: str, driver: SpellmanTube, bench: Any, source: random.Random) -> None:
    if order == "on":
        driver.beam_on(source.uniform(10.0, 50.0), source.uniform(0.0, 200.0))
        assert driver._maybe_on
    elif order == "off":
        driver.beam_off()
        assert not bench.tube.hv_on
    elif order == "status":
        before = bench.tube.hv_on
        assert driver.status().beam_on in (before, bench.tube.hv_on)
    elif order == "repair":
        driver.clear_faults()
        assert not bench.tube.hv_on
    elif order == "fault":
        begin_fault(bench, source)
    elif order == "clear":
        bench.faults.clear()
        bench.take_time()
    else:
        bench.world.advance(source.uniform(0.0, 60.0))


@pytest.mark.parametrize(("seed", "model"), [(1, "ux50p50"), (2, "xrv"), (3, "mnx50p50")])
def test_on_only_after_a_success_or_with_an_alarm(
    make_bench: Callable[..., Any], seed: int, model: str
) -> None:
    bench = make_bench(model=model)
    driver = bench.driver()
    driver.open()
    source = random.Random(seed)
    meant_on = False
    for number in range(80):
        order = source.choice(ORDERS)
        try:
            obey(order, driver, bench, source)
            if order in ("on", "off", "repair"):
                meant_on = order == "on"
        except InstrumentError as error:
            assert str(error).startswith("tube: ")
            meant_on = False
            if bench.tube.hv_on:
                assert "emergency stop" in str(error), (number, order)
        if bench.tube.hv_on and not meant_on:
            assert driver._owes_off, (number, order)
    bench.faults.clear()
    bench.take_time()
    bench.world.advance(900.0)
    driver.clear_faults()
    driver.beam_on(40.0, 300.0)
    assert bench.tube.hv_on
    driver.close()
    assert not bench.tube.hv_on


def test_status_from_other_threads_and_off_at_any_moment() -> None:
    faults = Faults()
    world = World(tube=(tube := Tube(faults)), faults=faults, speed=50.0)
    server = SpellmanServer(world)
    server.start()
    # Patient with a slow machine: while this process waits for its turn, the world's time goes on.
    settings = SpellmanTube.Settings(
        address=server.address,
        pacing_s=0.0,
        reply_timeout_s=60.0,
        connect_timeout_s=60.0,
        settle_timeout_s=600.0,
    )
    driver = SpellmanTube("tube", settings, clock=SimulatedClock(world))
    driver.open()
    ended = threading.Event()
    wrong: list[Exception] = []

    def look() -> None:
        while not ended.is_set():
            try:
                driver.status()
            except Exception as error:
                wrong.append(error)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for thread in lookers:
        thread.start()
    try:
        for delay_s in (0.0, 0.02, 0.1, 0.2):
            off = threading.Timer(delay_s, driver.beam_off)
            off.start()
            with pytest.raises(InstrumentCancelledError, match="switched off in its ramp"):
                driver.beam_on(50.0, 600.0)
                # "Off" came before the ramp had begun: this is a beam asked for after it.
                raise InstrumentCancelledError("tube", "the beam was switched off in its ramp")
            off.join()
            driver.beam_off()
            assert not tube.hv_on
    finally:
        ended.set()
        for thread in lookers:
            thread.join(60.0)
        driver.close()
        server.close()
        world.close()
    assert wrong == []
    assert not tube.hv_on
