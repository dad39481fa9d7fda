"""The control port, its client and the simulated clock."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from simulators.link import LinkError, SimulatedClock, WorldLink, control_server
from simulators.listener import Listener, PortInUseError
from simulators.world import World


@pytest.fixture
def served() -> Iterator[tuple[World, Listener]]:
    world = World(seed=9, sample="xray-B", excitation="uv")
    server = control_server(world)
    yield world, server
    server.close()
    world.close()


@pytest.fixture
def link(served: tuple[World, Listener]) -> Iterator[WorldLink]:
    link = WorldLink("127.0.0.1", served[1].port)
    yield link
    link.close()


def test_link_shows_the_world(served: tuple[World, Listener], link: WorldLink) -> None:
    world, _ = served
    assert (link.seed, link.sample, link.excitation, link.speed) == (9, "xray-B", "uv", None)
    assert link.advance(12.5) == world.now() == link.now() == 12.5
    link.set_port("counters")
    assert world.port() == link.port() == "counters"
    link.advance(1.0)
    assert link.history(11.0, 13.2) == world.history(11.0, 13.2)
    link.stage("limit_K", 90.0)
    assert world.controller.limit_K == 90.0
    assert link.truth() == world.truth()


def test_faults_through_the_link(served: tuple[World, Listener], link: WorldLink) -> None:
    link.faults.set("tube.arc", duration_s=3.0)
    link.faults.set("tube.reply_lost", count=1)
    assert served[0].faults.active("tube.arc")
    assert link.faults.take("tube.reply_lost")
    assert not link.faults.active("tube.reply_lost")
    link.faults.clear()
    assert link.faults.state() == []


def test_wrong_requests_are_answered_with_words_and_the_link_goes_on(link: WorldLink) -> None:
    with pytest.raises(ValueError, match="unknown fault"):
        link.faults.active("nope")
    with pytest.raises(ValueError, match="forwards"):
        link.advance(-1.0)
    assert link.now() == 0.0


@pytest.mark.parametrize(
    "line", [b"\n", b"null\n", b"{}\n", b'{"op": "fly"}\n', b"\xff\xfe\n", b'{"op": "now", "x": 1}\n']
)
def test_arbitrary_lines_do_not_end_the_server(served: tuple[World, Listener], line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", served[1].port), timeout=60) as connection:
        connection.sendall(line + b'{"op": "now"}\n')
        answers = connection.makefile("rb")
        assert json.loads(answers.readline())["ok"] is False
        assert json.loads(answers.readline()) == {"ok": True, "value": 0.0}
        answers.close()


def test_nobody_there_and_a_world_that_ends(reserve_port: Callable[[], int]) -> None:
    world = World()
    server = control_server(world, port=reserve_port())
    link = WorldLink("127.0.0.1", server.port)
    server.close()
    with pytest.raises(LinkError, match="does not answer"):
        link.now()
    with pytest.raises(LinkError, match="no simulated rig"):
        WorldLink("127.0.0.1", server.port)
    link.close()


def test_port_in_use_is_said(served: tuple[World, Listener]) -> None:
    with pytest.raises(PortInUseError, match=str(served[1].port)):
        control_server(served[0], port=served[1].port)


def test_sleep_moves_a_stepped_world_and_takes_no_wall_time(
    link: WorldLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimulatedClock(link)
    monkeypatch.setattr("simulators.link.time.sleep", lambda seconds: pytest.fail("it slept"))
    before = time.time()
    clock.sleep(3600.0)
    assert clock.now() == 3600.0
    clock.sleep(0.0)
    clock.sleep(-5.0)
    assert clock.now() == 3600.0
    assert 3540.0 < clock.epoch_s() - before < 3600.0 + 1.0


def test_speed_is_never_exceeded(link: WorldLink) -> None:
    began = time.monotonic()
    clock = SimulatedClock(link, speed=100.0)
    for _ in range(30):
        clock.sleep(1.0)
    assert time.monotonic() - began >= 0.3 * 0.95
    with pytest.raises(ValueError, match="positive"):
        SimulatedClock(link, speed=0.0)


def test_sleeps_of_two_threads_overlap() -> None:
    world = World()
    clock = SimulatedClock(world, speed=50.0)
    threads = [threading.Thread(target=clock.sleep, args=(10.0,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert 10.0 <= world.now() < 20.0


def test_wait_ends_at_once_when_the_event_is_set(link: WorldLink) -> None:
    clock = SimulatedClock(link, speed=10.0)
    event = threading.Event()
    assert not clock.wait(event, 1.0)
    assert clock.now() == pytest.approx(1.0)
    threading.Timer(0.1, event.set).start()
    assert clock.wait(event, 1000.0)
    assert clock.now() < 100.0


def test_link_to_a_free_world_waits_for_it() -> None:
    world = World(speed=100.0)
    server = control_server(world)
    link = WorldLink("127.0.0.1", server.port)
    clock = SimulatedClock(link)
    began = clock.now()
    clock.sleep(20.0)
    assert clock.now() >= began + 20.0
    link.close()
    server.close()
    world.close()
