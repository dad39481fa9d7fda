"""The world's control port: JSON lines over TCP, its server, its client and the clock made of it.

One request per line, ``{"op": "advance", "seconds": 0.5}``, one answer per line,
``{"ok": true, "value": ...}`` or ``{"ok": false, "error": "..."}``. The port binds to loopback.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

from simulators.listener import Listener, received, send
from simulators.world import Conditions, Excitation, Port, World

ANSWER_S = 60.0
CATCH_UP_S = 1.0
WAIT_STEP_S = 0.25


class LinkError(ConnectionError):
    """The simulated rig's process does not answer."""


def control_server(world: World, *, host: str = "127.0.0.1", port: int = 0) -> Listener:
    """Start the control port of a world. Close the listener to end it."""
    operations = _operations(world)

    def serve(connection: socket.socket, ended: threading.Event) -> None:
        pending = b""
        for data in received(connection, ended):
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                send(connection, _answer(operations, line))

    return Listener("world control", serve, host=host, port=port)


def _operations(world: World) -> dict[str, Callable[..., Any]]:
    def about() -> dict[str, Any]:
        return {
            "seed": world.seed,
            "sample": world.sample,
            "excitation": world.excitation,
            "speed": world.speed,
        }

    def history(begin_s: float, end_s: float) -> list[Any]:
        return [astuple(piece) for piece in world.history(begin_s, end_s)]

    def fault_set(name: str, duration_s: float | None = None, count: int | None = None) -> None:
        world.faults.set(name, count=count, **({} if duration_s is None else {"duration_s": duration_s}))

    return {
        "about": about,
        "now": world.now,
        "advance": world.advance,
        "advance_to": world.advance_to,
        "history": history,
        "lag_K": world.lag_K,
        "port": world.port,
        "set_port": world.set_port,
        "stage": world.stage,
        "set_tube": world.set_tube,
        "truth": world.truth,
        "fault_active": world.faults.active,
        "fault_take": world.faults.take,
        "fault_set": fault_set,
        "fault_clear": world.faults.clear,
        "faults": world.faults.state,
    }


def _answer(operations: dict[str, Callable[..., Any]], line: bytes) -> bytes:
    answer: dict[str, Any]
    try:
        request = json.loads(line)
        operation = operations[request.pop("op")]
        answer = {"ok": True, "value": operation(**request)}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    return json.dumps(answer).encode("utf-8") + b"\n"


class LinkFaults:
    """The world's faults, seen through the link."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def active(self, name: str) -> bool:
        """Whether the fault holds now."""
        return bool(self._call("fault_active", name=name))

    def take(self, name: str) -> bool:
        """Like ``active``, but uses up one of a counted fault's answers."""
        return bool(self._call("fault_take", name=name))

    def set(self, name: str, *, duration_s: float | None = None, count: int | None = None) -> None:
        """Let a fault begin now, for a time or for a number of answers, else until it is cleared."""
        self._call("fault_set", name=name, duration_s=duration_s, count=count)

    def clear(self, name: str | None = None) -> None:
        """End one fault, or all."""
        self._call("fault_clear", name=name)

    def state(self) -> list[dict[str, Any]]:
        """Faults that hold and that are to come."""
        return list(self._call("faults"))


class WorldLink:
    """A world in another process. Thread-safe.

    Args:
        host: Where the world's control port is.
        port: Its number.
        timeout_s: Deadline of one exchange.

    Raises:
        LinkError: Nobody answers there.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float = ANSWER_S) -> None:
        self._lock = threading.Lock()
        self._address = f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as error:
            raise LinkError(f"no simulated rig answers on {self._address}: {error}") from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = b""
        about = self._call("about")
        self.seed: int = about["seed"]
        self.sample: str = about["sample"]
        self.excitation: Excitation = about["excitation"]
        self.speed: float | None = about["speed"]
        self.faults = LinkFaults(self._call)

    def close(self) -> None:
        """Close the connection; the world goes on."""
        with contextlib.suppress(OSError):
            self._socket.close()

    def now(self) -> float:
        """Virtual time in s."""
        return float(self._call("now"))

    def advance(self, seconds: float) -> float:
        """Let ``seconds`` of virtual time pass; returns the new time."""
        if self.speed is None:
            return float(self._call("advance", seconds=seconds))
        return self.advance_to(self.now() + seconds)

    def advance_to(self, time_s: float) -> float:
        """Let virtual time pass until ``time_s``; returns the new time."""
        if self.speed is None:
            return float(self._call("advance_to", time_s=time_s))
        # A free clock is waited for here and not in the world: the link stays open for other threads.
        while (now_s := self.now()) < time_s:
            time.sleep(min((time_s - now_s) / self.speed, WAIT_STEP_S))
        return now_s

    def history(self, begin_s: float, end_s: float) -> list[Conditions]:
        """Conditions that cover ``[begin_s, end_s)``."""
        return [Conditions(*piece) for piece in self._call("history", begin_s=begin_s, end_s=end_s)]

    def lag_K(self, time_s: float) -> float:
        """How far the sample's coupled light lagged at a time from 0 to now."""
        return float(self._call("lag_K", time_s=time_s))

    def port(self) -> Port:
        """Where the fibre's light goes."""
        port: Port = self._call("port")
        return port

    def set_port(self, port: Port) -> None:
        """Send the fibre's light to the spectrometer or to the counters."""
        self._call("set_port", port=port)

    def stage(self, call: str, value: float | bool | None = None) -> dict[str, Any]:
        """Act on the stage's controller and return its state (see ``World.stage``)."""
        return dict(self._call("stage", call=call, value=value))

    def set_tube(self, voltage_kV: float, current_uA: float) -> bool:
        """Set the tube at its own panel (see ``World.set_tube``)."""
        return bool(self._call("set_tube", voltage_kV=voltage_kV, current_uA=current_uA))

    def truth(self) -> dict[str, Any]:
        """What is really so; no instrument says this."""
        return dict(self._call("truth"))

    def _call(self, op: str, **arguments: Any) -> Any:
        request = json.dumps({"op": op, **arguments}).encode("utf-8") + b"\n"
        with self._lock:
            try:
                self._socket.sendall(request)
                while b"\n" not in self._pending:
                    received = self._socket.recv(65536)
                    if not received:
                        raise ConnectionResetError("it closed the connection")
                    self._pending += received
            except OSError as error:
                # An answer that comes after this would be taken for the next one's.
                self._socket.close()
                raise LinkError(f"the simulated rig on {self._address} does not answer: {error}") from error
            line, self._pending = self._pending.split(b"\n", 1)
        answer = json.loads(line)
        if not answer["ok"]:
            raise ValueError(f"simulated rig: {answer['error']}")
        return answer["value"]


class SimulatedClock:
    """The clock of a simulated rig.

    Sleeping moves the world's stepped clock, never faster than ``speed`` times the wall's; sleeps of
    several threads overlap as on any clock. A free world's clock is only waited for.

    Args:
        link: The world, or its link.
        speed: Virtual seconds per second; None: as fast as it computes.
    """

    def __init__(self, link: WorldLink | World, speed: float | None = None) -> None:
        if speed is not None and not speed > 0:
            raise ValueError(f"speed must be positive, not {speed}")
        self._link = link
        self._speed = speed
        self._lock = threading.Lock()
        self._anchor_wall_s = time.monotonic()
        self._anchor_s = link.now()
        #: When virtual time was 0, in s since 1970-01-01 UTC.
        self.began_epoch_s = time.time() - self._anchor_s

    def now(self) -> float:
        """Virtual seconds since the world began."""
        return self._link.now()

    def epoch_s(self) -> float:
        """Virtual seconds since 1970-01-01 UTC; the clock began at the wall's time."""
        return self.began_epoch_s + self._link.now()

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` of virtual time pass."""
        if seconds > 0:
            self._pass(seconds, None)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Let up to ``seconds`` of virtual time pass; end early when ``event`` is set."""
        if seconds > 0:
            self._pass(seconds, event)
        return event.is_set()

    def _pass(self, seconds: float, event: threading.Event | None) -> None:
        now_s = self._link.now()
        until_s = now_s + seconds
        while now_s < until_s and not (event is not None and event.is_set()):
            step_s = until_s - now_s if event is None and self._speed is None else WAIT_STEP_S
            if self._speed is not None:
                step_s = min(max(WAIT_STEP_S, self._speed * 0.05), until_s - now_s)
            now_s = self._link.advance_to(min(now_s + step_s, until_s))
            self._keep_pace(now_s, step_s, event)

    def _keep_pace(self, now_s: float, step_s: float, event: threading.Event | None) -> None:
        if self._speed is None:
            return
        longest_s = step_s / self._speed
        with self._lock:
            wall_s = time.monotonic()
            ahead_s = (now_s - self._anchor_s) / self._speed - (wall_s - self._anchor_wall_s)
            # Do not race to catch up after a long computation, nor wait for what another clock has moved.
            if not -CATCH_UP_S <= ahead_s <= longest_s:
                ahead_s = min(max(ahead_s, 0.0), longest_s)
                self._anchor_wall_s, self._anchor_s = wall_s + ahead_s, now_s
        if ahead_s > 0:
            if event is None:
                time.sleep(ahead_s)
            else:
                event.wait(ahead_s)
