"""What can go wrong in the simulated rig: by name, on a schedule, at random, or live.

A fault is either a *state* that holds for some time (``stage.ln2_empty``) or an *event* that spoils the
next answers (``cryostage.reply_lost`` with a count). Time is the world's virtual time.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulators.randomness import random_stream

LINE_FAULTS = {
    "reply_lost": "no reply comes",
    "reply_late": "the reply comes after the driver's deadline",
    "reply_truncated": "the reply ends in the middle",
    "reply_doubled": "the reply comes twice",
    "reply_garbled": "bytes of the reply are wrong",
    "port_gone": "the connection breaks and nobody listens until it is cleared",
}

FAULTS: dict[str, str] = {
    **{f"cryostage.{name}": f"cryostage line: {text}" for name, text in LINE_FAULTS.items()},
    **{f"tube.{name}": f"X-ray supply line: {text}" for name, text in LINE_FAULTS.items()},
    "stage.ln2_empty": "the dewar is empty: the pump runs, nothing cools",
    "stage.heater_error": "the heater is dead and the controller reports it",
    "stage.sensor_open": "the temperature sensor is open",
    "stage.vacuum_lost": "the stage fills with air",
    "stage.cannot_settle": "the temperature swings around the set point",
    "interlock.open": "the X-ray interlock is open",
    "tube.arc": "the tube arcs: over-current fault, high voltage trips",
    "tube.over_temperature": "the tube is too hot",
    "tube.current_drift": "the tube current drifts away from its set point",
    "camera.port_gone": "the USB line to spectrograph and camera is dead until it is cleared",
    "camera.not_stabilised": "the camera's cooler does not hold its temperature",
    "camera.acquisition_error": "the camera breaks off an acquisition",
    "camera.cosmic_ray": "cosmic rays hit every frame",
    "camera.saturation": "the frame saturates",
    "tagger.overflow": "the time tagger's buffer overflows",
    "tagger.counter_dead": "the second photon counter gives no pulses",
    "tagger.rate_limit": "a count rate above what the tagger transfers",
    "tagger.time_jump": "the tagger's time jumps",
}


@dataclass(frozen=True)
class Fault:
    """One fault of a schedule.

    Attributes:
        name: One of ``FAULTS``.
        at_s: Virtual time at which it begins.
        duration_s: How long it lasts; infinite: until it is cleared.
        count: It also ends after this many answers were spoilt; None: no such end.
    """

    name: str
    at_s: float = 0.0
    duration_s: float = math.inf
    count: int | None = None


@dataclass
class _Active:
    end_s: float
    count: int | None


def check_name(name: str) -> str:
    """Return ``name`` if it is a fault's name; raise ``ValueError`` that lists the known ones otherwise."""
    if name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}; known: {', '.join(sorted(FAULTS))}")
    return name


def random_faults(
    seed: int, names: Iterable[str], per_hour: float, duration_s: float, horizon_s: float
) -> list[Fault]:
    """A random schedule: each name comes as a Poisson process.

    Args:
        seed: Seed of the simulated rig.
        names: Which faults may come.
        per_hour: Mean number of each per virtual hour.
        duration_s: Length of each; line faults spoil one answer instead.
        horizon_s: End of the schedule in virtual s.

    Returns:
        Faults ordered by time.
    """
    plan: list[Fault] = []
    for name in sorted(set(names)):
        check_name(name)
        stream = random_stream(seed, f"faults.{name}")
        spoils_one_answer = name.split(".")[1].startswith("reply_")
        at_s = 0.0
        while per_hour > 0:
            at_s += float(stream.exponential(3600.0 / per_hour))
            if at_s >= horizon_s:
                break
            plan.append(Fault(name, at_s, duration_s, 1 if spoils_one_answer else None))
    return sorted(plan, key=lambda fault: (fault.at_s, fault.name))


class Faults:
    """The faults of one world: which hold now, which are to come. Thread-safe.

    Args:
        plan: The schedule to begin with.
    """

    def __init__(self, plan: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._active: dict[str, _Active] = {}
        self._plan: list[Fault] = []
        self._now_s = 0.0
        self.next_change_s = math.inf
        for fault in plan:
            self.schedule(fault)
        self.update(0.0)

    def schedule(self, fault: Fault) -> None:
        """Add one fault to the schedule.

        Raises:
            ValueError: Unknown name, or a time, length or count that makes no sense.
        """
        check_name(fault.name)
        if not fault.at_s >= 0 or not fault.duration_s > 0 or (fault.count is not None and fault.count < 1):
            raise ValueError(f"fault {fault.name!r}: at_s >= 0, duration_s > 0 and count >= 1 expected")
        with self._lock:
            self._plan.append(fault)
            self._plan.sort(key=lambda entry: entry.at_s)
            self._refresh()

    def set(self, name: str, *, duration_s: float = math.inf, count: int | None = None) -> None:
        """Let a fault begin now."""
        self.schedule(Fault(name, self._now_s, duration_s, count))

    def clear(self, name: str | None = None) -> None:
        """End one fault, or all of them, and forget the schedule for it."""
        if name is not None:
            check_name(name)
        with self._lock:
            for entry in [name] if name is not None else list(self._active):
                self._active.pop(entry, None)
            self._plan = [fault for fault in self._plan if name is not None and fault.name != name]
            self._refresh()

    def update(self, now_s: float) -> None:
        """Move to virtual time ``now_s``: begin and end what is due."""
        with self._lock:
            self._now_s = now_s
            self._refresh()

    def active(self, name: str) -> bool:
        """Whether the fault holds now. Raises ``ValueError`` for an unknown name."""
        check_name(name)
        with self._lock:
            return name in self._active

    def take(self, name: str) -> bool:
        """Like ``active``, but uses up one of a counted fault's answers."""
        check_name(name)
        with self._lock:
            entry = self._active.get(name)
            if entry is None:
                return False
            if entry.count is not None:
                entry.count -= 1
                if entry.count <= 0:
                    del self._active[name]
            return True

    def state(self) -> list[dict[str, Any]]:
        """The faults that hold now and those to come, as plain values for a person or a program."""
        with self._lock:
            now = [
                {
                    "name": name,
                    "active": True,
                    "until_s": None if math.isinf(entry.end_s) else entry.end_s,
                    "count": entry.count,
                }
                for name, entry in sorted(self._active.items())
            ]
            later = [
                {
                    "name": fault.name,
                    "active": False,
                    "at_s": fault.at_s,
                    "duration_s": None if math.isinf(fault.duration_s) else fault.duration_s,
                    "count": fault.count,
                }
                for fault in self._plan
            ]
        return now + later

    def _refresh(self) -> None:
        while self._plan and self._plan[0].at_s <= self._now_s:
            fault = self._plan.pop(0)
            end_s = fault.at_s + fault.duration_s
            known = self._active.get(fault.name)
            if known is None or end_s >= known.end_s:
                self._active[fault.name] = _Active(end_s, fault.count)
        for name in [name for name, entry in self._active.items() if entry.end_s <= self._now_s]:
            del self._active[name]
        self.next_change_s = min(
            [self._plan[0].at_s if self._plan else math.inf, *(e.end_s for e in self._active.values())]
        )
