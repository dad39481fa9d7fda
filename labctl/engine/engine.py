"""The engine: runs one plan at a time in a thread of its own and says truthfully how it stands."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from bluesky.run_engine import RunEngine
from bluesky.utils import DuringTask

from labctl.engine.steps import Plan
from labctl.rig.stop import StopFlag

State = Literal["idle", "running", "stopping", "stuck"]
Subscriber = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class EngineState:
    """How the engine stands, and why."""

    state: State
    why: str = ""


class Engine:
    """A facade in front of bluesky's RunEngine.

    Plans run in the engine's own thread, so no caller ever blocks on a device that hangs. A stop is
    cooperative: the flag is seen by whatever the plan waits for, the plan's cleanup runs, the run ends.

    Args:
        stop: The flag that the rig's devices watch.
    """

    def __init__(self, stop: StopFlag) -> None:
        self._stop = stop
        logging.getLogger("bluesky").addHandler(logging.NullHandler())
        logging.getLogger("bluesky").propagate = False
        self._loop = asyncio.new_event_loop()
        # The defaults would install a SIGINT handler, which only the main thread may do, and a Qt event
        # loop if Qt were imported: this engine never runs in the main thread.
        self._run_engine = RunEngine(
            {}, loop=self._loop, context_managers=[], during_task=DuringTask(), call_returns_result=True
        )
        self._thread: threading.Thread | None = None
        self._late = False

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber(name, document)`` for every document, in the engine's loop thread.

        An exception in a subscriber stops the run: what cannot be recorded must not go on.
        """
        self._run_engine.subscribe(subscriber)

    @property
    def state(self) -> EngineState:
        """How the engine stands now."""
        if self._thread is None or not self._thread.is_alive():
            return EngineState("idle")
        if self._late:
            return EngineState("stuck", f"asked to stop ({self._stop.reason}), but a step does not end")
        if self._stop.requested:
            return EngineState("stopping", self._stop.reason)
        return EngineState("running")

    def start(self, plan: Plan) -> Future[Any]:
        """Run ``plan``; the future gives its return value, or the error that ended it.

        Raises:
            RuntimeError: Another plan is running.
        """
        if self.state.state != "idle":
            raise RuntimeError(f"the engine is {self.state.state}; one plan at a time")
        future: Future[Any] = Future()

        def work() -> None:
            try:
                result = self._run_engine(plan)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result.plan_result)

        self._late = False
        self._thread = threading.Thread(target=work, name="engine", daemon=True)
        self._thread.start()
        return future

    def stop(self, reason: str, *, timeout_s: float) -> bool:
        """Ask the present plan to end and wait for it; returns whether it ended in time.

        If it did not, the state is *stuck*: a device hangs. The rig must then be made safe without the
        engine.
        """
        self._stop.request(reason)
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._late = self._thread.is_alive()
        return not self._late

    def close(self, *, timeout_s: float = 10.0) -> None:
        """Stop what runs and end the engine's threads."""
        if self.state.state != "idle" and not self.stop("the programme ends", timeout_s=timeout_s):
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in threading.enumerate():
            if thread.name == "bluesky-run-engine" and thread is self._run_engine._th:
                thread.join(timeout_s)
        if not self._loop.is_running():
            self._loop.close()
