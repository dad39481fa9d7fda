"""The engine runs plans in its own thread, ends them in order, and says when it cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.clock import SystemClock
from labctl.engine import steps
from labctl.engine.engine import Engine
from labctl.rig.devices import Device, Soft
from labctl.rig.status import WorkStatus
from labctl.rig.stop import StopFlag, StopRequestedError


class Work(Device):
    """A device whose motion is the function it is moved to."""

    def set(self, work: Callable[[], None]) -> WorkStatus:
        return self._start(work)


class Bench:
    """An engine with a device and a value, and the documents that they made."""

    def __init__(self) -> None:
        self.stop = StopFlag()
        self.engine = Engine(self.stop)
        self.documents: list[tuple[str, dict[str, Any]]] = []
        self.engine.subscribe(lambda name, document: self.documents.append((name, document)))
        clock = SystemClock()
        self.work = Work("work", clock=clock, stop=self.stop)
        self.point = Soft("point", clock=clock, stop=self.stop)

    def close(self) -> None:
        self.engine.close()
        self.work.close()
        self.point.close()

    def names(self) -> list[str]:
        return [name for name, _ in self.documents]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_a_plan_runs_and_gives_its_value(bench: Bench) -> None:
    def plan() -> steps.Plan:
        yield from steps.begin_run(title="x")
        for index in range(3):
            yield from steps.tell(bench.point, index)
            yield from steps.frame("s", [], [bench.point])
        yield from steps.end_run()
        return "value"

    assert bench.engine.start(plan()).result(60) == "value"
    assert bench.names() == ["start", "descriptor", "event", "event", "event", "stop"]
    values = [document["data"]["point_value"] for name, document in bench.documents if name == "event"]
    assert values == [0, 1, 2]
    assert bench.engine.state.state == "idle"


def test_a_stop_is_seen_by_what_waits_and_the_cleanup_runs(bench: Bench) -> None:
    waiting, cleaned = threading.Event(), []

    def wait() -> None:
        waiting.set()
        bench.stop.event.wait(60)
        bench.stop.check()

    def plan() -> steps.Plan:
        yield from steps.begin_run()
        yield from steps.move(bench.work, wait)

    def cleanup() -> steps.Plan:
        yield from steps.tell(bench.work, lambda: cleaned.append("off"))

    future = bench.engine.start(steps.always_finally(plan(), cleanup))
    assert waiting.wait(60)
    assert bench.engine.state.state == "running"
    assert bench.engine.stop("enough", timeout_s=60)
    assert cleaned == ["off"]
    assert bench.names()[-1] == "stop"
    error = future.exception(0)
    assert isinstance(error.__cause__ if error is not None else None, StopRequestedError)


def test_a_device_error_ends_the_run_and_the_cleanup_runs(bench: Bench) -> None:
    cleaned = []

    def broken() -> None:
        raise OSError("line gone")

    def plan() -> steps.Plan:
        yield from steps.begin_run()
        yield from steps.move(bench.work, broken)

    def cleanup() -> steps.Plan:
        yield from steps.tell(bench.work, lambda: cleaned.append("off"))

    error = bench.engine.start(steps.always_finally(plan(), cleanup)).exception(60)
    assert error is not None
    assert str(error.__cause__) == "line gone"
    assert cleaned == ["off"]
    assert bench.documents[-1][1]["exit_status"] == "fail"


def test_a_document_that_cannot_be_kept_ends_the_run(bench: Bench) -> None:
    def full(name: str, document: dict[str, Any]) -> None:
        if name == "event":
            raise OSError("disk full")

    bench.engine.subscribe(full)

    def plan() -> steps.Plan:
        yield from steps.begin_run()
        yield from steps.tell(bench.point, 1)
        yield from steps.frame("s", [], [bench.point])
        yield from steps.frame("s", [], [bench.point])

    error = bench.engine.start(plan()).exception(60)
    assert isinstance(error, OSError)
    assert bench.names().count("event") == 1


def test_a_hanging_device_is_called_stuck_and_does_not_block_the_caller(bench: Bench) -> None:
    release = threading.Event()

    def plan() -> steps.Plan:
        yield from steps.move(bench.work, lambda: (release.wait(60), None)[1])

    future = bench.engine.start(plan())
    assert not bench.engine.stop("enough", timeout_s=0.2)
    assert bench.engine.state.state == "stuck"
    assert "enough" in bench.engine.state.why
    release.set()
    future.exception(60)


def test_only_one_plan_at_a_time(bench: Bench) -> None:
    release = threading.Event()

    def plan() -> steps.Plan:
        yield from steps.move(bench.work, lambda: (release.wait(60), None)[1])

    future = bench.engine.start(plan())
    with pytest.raises(RuntimeError, match="one plan at a time"):
        bench.engine.start(plan())
    release.set()
    future.result(60)


def test_fifty_engines_leave_no_thread_behind(until: Any) -> None:
    before = threading.active_count()
    for _ in range(50):
        Engine(StopFlag()).close()
    until(lambda: threading.active_count() <= before)
