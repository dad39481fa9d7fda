"""The physical truth of the simulated rig: stage, tube, fibre position, faults; one clock, one seed.

The byte-level servers and the stand-ins of the vendor libraries all look at the same world. Its clock is
*stepped* (virtual time moves only when somebody advances it: reproducible) or *free* (wall time times a
speed).
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from simulators.backlash import Backlash
from simulators.faults import Fault, Faults
from simulators.stage import Stage, StageFaults

Port = Literal["spectrometer", "counters"]
Excitation = Literal["xray", "uv"]

SUBSTEP_S = 0.1
PIECE_S = 1.0
KEEP_S = 2 * 3600.0
FREE_TICK_S = 0.02
SAME_CURRENT_uA = 1e-6
STAGE_FAULTS = ("ln2_empty", "heater_error", "sensor_open", "vacuum_lost", "cannot_settle")


@dataclass(frozen=True)
class Conditions:
    """What the sample saw in one stretch of virtual time, at most 1 s long.

    Attributes:
        begin_s: Start (inclusive).
        end_s: End (exclusive).
        stage_temperature_K: Mean true temperature.
        voltage_kV: Mean tube voltage, 0 when off.
        current_uA: Mean tube current, 0 when off.
        port: Where the fibre's light went.
        lag_K: Mean lag of the sample's coupled light (``simulators.backlash``).
    """

    begin_s: float
    end_s: float
    stage_temperature_K: float
    voltage_kV: float
    current_uA: float
    port: Port
    lag_K: float = 0.0


class FaultView(Protocol):
    """The part of the faults that a stand-in needs."""

    def active(self, name: str) -> bool:
        """Whether the fault of this name holds now."""


class WorldView(Protocol):
    """What the instruments' stand-ins see of the world; the world itself and its link give it."""

    @property
    def seed(self) -> int:
        """Seed of all noise."""

    @property
    def sample(self) -> str:
        """Name of the sample under the beam."""

    @property
    def excitation(self) -> Excitation:
        """What excites it."""

    @property
    def faults(self) -> FaultView:
        """The faults that hold."""

    def now(self) -> float:
        """Virtual time in s."""

    def advance(self, seconds: float) -> float:
        """Let virtual time pass; returns the new time."""

    def history(self, begin_s: float, end_s: float) -> list[Conditions]:
        """Conditions that cover ``[begin_s, end_s)`` in pieces of at most 1 s."""

    def port(self) -> Port:
        """Where the fibre's light goes."""

    def set_port(self, port: Port) -> None:
        """Send the fibre's light to the spectrometer or to the counters."""

    def stage(self, call: str, value: float | bool | None = None) -> dict[str, Any]:
        """Act on the stage's controller (see ``World.stage``) and return its state."""

    def set_tube(self, voltage_kV: float, current_uA: float) -> bool:
        """Set the tube at its own panel (see ``World.set_tube``)."""


class TubeModel(Protocol):
    """What the world wants of a tube model. Its own server calls the rest of it under ``World.lock``."""

    @property
    def voltage_kV(self) -> float:
        """Voltage at the tube."""

    @property
    def current_uA(self) -> float:
        """Current through the tube."""

    @property
    def hv_on(self) -> bool:
        """High voltage is on."""

    @property
    def interlock_closed(self) -> bool:
        """The safety circuit is closed."""

    def advance(self, dt_s: float) -> None:
        """Let ``dt_s`` (at most 0.1 s) pass."""

    def program(self, *, voltage_kV: float | None = None, current_uA: float | None = None) -> None:
        """Set what the output goes to while high voltage is on."""

    def switch_on(self) -> str:
        """High voltage on; ``"done"``, or what forbids it."""

    def switch_off(self) -> None:
        """High voltage off."""


class DarkTube:
    """A tube that is never on: for excitation by the lamp, and for tests of the stage alone."""

    voltage_kV = 0.0
    current_uA = 0.0
    hv_on = False
    interlock_closed = True

    def advance(self, dt_s: float) -> None:
        """Nothing changes."""

    def program(self, *, voltage_kV: float | None = None, current_uA: float | None = None) -> None:
        """Nothing changes."""

    def switch_on(self) -> str:
        """It stays dark."""
        return "fault"

    def switch_off(self) -> None:
        """Nothing changes."""


class World:
    """The truth. Thread-safe; ``lock`` guards stage and tube for the servers that act on them.

    Args:
        seed: Seed of all noise.
        sample: Name of the sample.
        excitation: What excites it.
        tube: Tube model; None: one that is never on.
        stage: Stage model; None: one at room temperature with this seed.
        faults: Schedule of faults, or the faults themselves (where the tube model looks at them too).
        speed: None for a stepped clock; else virtual seconds per second of the free clock.
        hysteresis_K: How far the sample's coupled light lags on warming.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        sample: str = "xray-A",
        excitation: Excitation = "xray",
        tube: TubeModel | None = None,
        stage: Stage | None = None,
        faults: Faults | Iterable[Fault] = (),
        speed: float | None = None,
        hysteresis_K: float = 0.0,
    ) -> None:
        self.seed = seed
        self.sample = sample
        self.excitation: Excitation = excitation
        self.speed = speed
        self.lock = threading.RLock()
        self.faults = faults if isinstance(faults, Faults) else Faults(faults)
        self.tube: TubeModel = tube if tube is not None else DarkTube()
        self.controller = stage if stage is not None else Stage(seed)
        self.backlash = Backlash(hysteresis_K, self.controller.temperature_K)
        self.tube_on_s = 0.0
        self._port: Port = "spectrometer"
        self._now_s = 0.0
        self._begins: list[float] = []
        self._pieces: list[tuple[float, float, float, float, Port, float]] = []
        self._moved = threading.Condition(self.lock)
        self._ended = threading.Event()
        self._apply_faults()
        self._ticker: threading.Thread | None = None
        if speed is not None:
            self._ticker = threading.Thread(
                target=self._run_free, args=(speed,), name="world clock", daemon=True
            )
            self._ticker.start()

    def close(self) -> None:
        """Stop the free clock; waiting calls of ``advance`` return."""
        self._ended.set()
        with self._moved:
            self._moved.notify_all()
        if self._ticker is not None:
            self._ticker.join(5.0)

    def now(self) -> float:
        """Virtual time in s since the world began."""
        with self.lock:
            return self._now_s

    def advance(self, seconds: float) -> float:
        """Let ``seconds`` pass: a stepped clock moves at once, a free one is waited for."""
        if not seconds >= 0:
            raise ValueError(f"virtual time runs forwards only, not by {seconds} s")
        with self.lock:
            return self.advance_to(self._now_s + seconds)

    def advance_to(self, time_s: float) -> float:
        """Let time pass until ``time_s`` (nothing if it has passed); returns the new time."""
        with self._moved:
            if self.speed is None:
                self._integrate(time_s)
                self._moved.notify_all()
            else:
                while self._now_s < time_s and not self._ended.is_set():
                    self._moved.wait(1.0)
            return self._now_s

    def history(self, begin_s: float, end_s: float) -> list[Conditions]:
        """Conditions that cover ``[begin_s, end_s)``.

        Raises:
            ValueError: The stretch reaches into the future or further back than is kept.
        """
        with self.lock:
            if end_s > self._now_s + 1e-9:
                raise ValueError(f"history asked up to {end_s} s, but it is only {self._now_s} s")
            if end_s <= begin_s:
                return []
            if begin_s < (self._begins[0] if self._begins else 0.0) - 1e-9:
                raise ValueError(
                    f"history asked from {begin_s} s, but it is kept from {self._begins[0]} s only"
                )
            first = max(bisect_left(self._begins, begin_s + 1e-9) - 1, 0)
            last = bisect_left(self._begins, end_s - 1e-9)
            return [self._conditions(index, begin_s, end_s) for index in range(first, last)]

    def lag_K(self, time_s: float) -> float:
        """How far the sample's coupled light lagged at a time from 0 to now; kept for ever."""
        with self.lock:
            return self.backlash.at(time_s)

    def port(self) -> Port:
        """Where the fibre's light goes."""
        with self.lock:
            return self._port

    def set_port(self, port: Port) -> None:
        """Send the fibre's light to the spectrometer or to the counters."""
        if port not in ("spectrometer", "counters"):
            raise ValueError(f"no such port {port!r}: spectrometer or counters")
        with self.lock:
            self._port = port

    def stage(self, call: str, value: float | bool | None = None) -> dict[str, Any]:
        """Act on the stage's controller and return its state.

        Args:
            call: ``"state"``; ``"start"``, ``"hold"``, ``"stop"``; or one of ``"limit_K"``,
                ``"rate_K_per_min"``, ``"pump_automatic"``, ``"pump_manual_fraction"`` with a value.
            value: The value to set.
        """
        with self.lock:
            controller = self.controller
            if call in ("start", "hold", "stop"):
                getattr(controller, call)()
            elif call in ("limit_K", "rate_K_per_min", "pump_manual_fraction"):
                setattr(controller, call, float(value))  # type: ignore[arg-type]
            elif call == "pump_automatic":
                controller.pump_automatic = bool(value)
            elif call != "state":
                raise ValueError(f"the stage knows no {call!r}")
            sensor_K = controller.sensor_K()
            return {
                "mode": controller.mode,
                "sensor_K": None if math.isnan(sensor_K) else sensor_K,
                "limit_K": controller.limit_K,
                "rate_K_per_min": controller.rate_K_per_min,
                "pump_automatic": controller.pump_automatic,
                "pump_fraction": controller.pump_fraction,
                "heater_fraction": controller.heater_fraction,
                "pressure_mbar": controller.pressure_mbar,
                "faults": [name for name in STAGE_FAULTS if getattr(controller.faults, name)],
            }

    def set_tube(self, voltage_kV: float, current_uA: float) -> bool:
        """Set the tube as a person does at its own panel; both 0 is off.

        Args:
            voltage_kV: What the voltage goes to.
            current_uA: What the current goes to.

        Returns:
            Whether the panel shows what was wanted: not with the interlock open or a trip latched.
        """
        with self.lock:
            self.tube.program(voltage_kV=voltage_kV, current_uA=current_uA)
            if voltage_kV == 0 and current_uA == 0:
                self.tube.switch_off()
                return True
            return self.tube.hv_on or self.tube.switch_on() == "done"

    def truth(self) -> dict[str, Any]:
        """What is really so, as plain values; no instrument says this."""
        with self.lock:
            return {
                "now_s": self._now_s,
                "stage_temperature_K": self.controller.temperature_K,
                "stage_mode": self.controller.mode,
                "pressure_mbar": self.controller.pressure_mbar,
                "voltage_kV": self.tube.voltage_kV,
                "current_uA": self.tube.current_uA,
                "hv_on": self.tube.hv_on,
                "interlock_closed": self.tube.interlock_closed,
                "tube_on_s": self.tube_on_s,
                "port": self._port,
            }

    def _integrate(self, end_s: float) -> None:
        # A world that is closed stops on its way: a long stretch must not outlive the process that asked.
        while self._now_s < end_s - 1e-9 and not self._ended.is_set():
            self.faults.update(self._now_s)
            self._apply_faults()
            # Looking at the faults once per piece is enough: live ones are not timed better than that.
            piece_end_s = min(
                end_s, self._now_s + PIECE_S, max(self.faults.next_change_s, self._now_s + SUBSTEP_S)
            )
            while self._now_s < piece_end_s - 1e-9:
                self._step(min(SUBSTEP_S, piece_end_s - self._now_s))
        # Sums of steps end a rounding error away; who waits for a time must see it reached.
        if not self._ended.is_set():
            self._now_s = max(self._now_s, end_s)
        self.faults.update(self._now_s)
        self._forget()

    def _step(self, dt_s: float) -> None:
        self.controller.advance(dt_s)
        self.tube.advance(dt_s)
        tube = self.tube
        voltage_kV, current_uA = (tube.voltage_kV, tube.current_uA) if tube.hv_on else (0.0, 0.0)
        if tube.hv_on:
            self.tube_on_s += dt_s
        begin_s, self._now_s = self._now_s, self._now_s + dt_s
        temperature_K = self.controller.temperature_K
        lag_K = self.backlash.follow(self._now_s, temperature_K)
        if self._pieces:
            old_T, old_V, old_I, old_end_s, port, old_lag = self._pieces[-1]
            length_s = old_end_s - self._begins[-1]
            if (
                port == self._port
                and abs(old_I - current_uA) < SAME_CURRENT_uA
                and abs(old_V - voltage_kV) < SAME_CURRENT_uA
                and length_s + dt_s <= PIECE_S + 1e-9
            ):
                new = dt_s / (length_s + dt_s)
                mean_T, mean_lag = old_T + (temperature_K - old_T) * new, old_lag + (lag_K - old_lag) * new
                self._pieces[-1] = (mean_T, old_V, old_I, self._now_s, port, mean_lag)
                return
        self._begins.append(begin_s)
        self._pieces.append((temperature_K, voltage_kV, current_uA, self._now_s, self._port, lag_K))

    def _conditions(self, index: int, begin_s: float, end_s: float) -> Conditions:
        temperature_K, voltage_kV, current_uA, piece_end_s, port, lag_K = self._pieces[index]
        return Conditions(
            max(self._begins[index], begin_s),
            min(piece_end_s, end_s),
            temperature_K,
            voltage_kV,
            current_uA,
            port,
            lag_K,
        )

    def _forget(self) -> None:
        if self._begins and self._begins[0] < self._now_s - 2 * KEEP_S:
            cut = bisect_left(self._begins, self._now_s - KEEP_S)
            del self._begins[:cut]
            del self._pieces[:cut]

    def _apply_faults(self) -> None:
        active = self.faults.active
        self.controller.faults = StageFaults(**{name: active(f"stage.{name}") for name in STAGE_FAULTS})

    def _run_free(self, speed: float) -> None:
        last = time.monotonic()
        while not self._ended.wait(FREE_TICK_S):
            wall = time.monotonic()
            with self._moved:
                self._integrate(self._now_s + (wall - last) * speed)
                self._moved.notify_all()
            last = wall
