"""The X-ray tube and its high-voltage supply as physics: ramps, filament, interlock, limits, trips.

Voltage and current follow their programmed values with a first-order lag and a largest slope. The output
is free of noise (noise sits in the monitors, as a function of time, so that asking more often changes
nothing). All constants are chosen for a 50 kV, 1 mA, 50 W supply, not measured.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal, Protocol

from simulators.randomness import random_stream

Trip = Literal["interlock", "over_voltage", "over_power", "arc", "over_temperature"]
SwitchOn = Literal["done", "interlock", "fault"]

VOLTAGE_LAG_S = 0.25
CURRENT_LAG_S = 0.4
FILAMENT_LAG_S = 1.0
BLEED_S = 0.3
FILAMENT_WARM_A = 1.2
ROOM_C = 25.0
BOARD_C_PER_W = 0.35
BOARD_LAG_S = 300.0
HOT_C = 95.0
HOT_LAG_S = 5.0
TRIP_C = 75.0
TRIP_MARGIN = 1.1
DRIFT_PER_S = 0.002
DRIFT_MAX = 0.3
SETTLED = 1e-6
MONITOR_STEP_S = 0.1
VOLTAGE_NOISE = 2e-4
CURRENT_NOISE = 1e-3


@dataclass(frozen=True)
class Rating:
    """What the supply and its tube can do.

    Attributes:
        voltage_kV: Largest voltage.
        current_uA: Largest current.
        power_W: Largest power; 10 % above it the supply trips.
        voltage_slope_kV_per_s: Largest slope of the voltage.
        current_slope_uA_per_s: Largest slope of the current.
        emission: Largest emission current (uA) by voltage (kV), interpolated; less at low voltage
            because of space charge.
    """

    voltage_kV: float = 50.0
    current_uA: float = 1000.0
    power_W: float = 50.0
    voltage_slope_kV_per_s: float = 25.0
    current_slope_uA_per_s: float = 500.0
    emission: tuple[tuple[float, float], ...] = (
        (0.0, 0.0),
        (5.0, 120.0),
        (10.0, 240.0),
        (15.0, 420.0),
        (20.0, 540.0),
        (25.0, 720.0),
        (30.0, 1000.0),
        (35.0, 1100.0),
        (50.0, 1200.0),
    )


@dataclass(frozen=True)
class Monitors:
    """What the supply measures of itself."""

    voltage_kV: float
    current_uA: float
    filament_A: float
    filament_V: float
    board_C: float


class TubeFaults(Protocol):
    """The part of the faults that the tube looks at."""

    def active(self, name: str) -> bool:
        """Whether the fault of this name holds now."""


class Tube:
    """Tube and supply together. Not thread-safe: the world's lock guards it.

    Args:
        faults: Looked at for ``interlock.open``, ``tube.arc``, ``tube.over_temperature`` and
            ``tube.current_drift``; None: nothing ever goes wrong.
        seed: Seed of the monitors' noise.
        rating: What the supply can do.
    """

    def __init__(
        self, faults: TubeFaults | None = None, *, seed: int = 0, rating: Rating | None = None
    ) -> None:
        self.rating = rating if rating is not None else Rating()
        self.voltage_kV = 0.0
        self.current_uA = 0.0
        self.hv_on = False
        self.interlock_closed = True
        self.voltage_set_kV = 0.0
        self.current_set_uA = 0.0
        self.filament_preheat_A = 1.5
        self.filament_limit_A = 1.7
        self.filament_A = 0.0
        self.board_C = ROOM_C
        self.on_s = 0.0
        self.trips: set[Trip] = set()
        self._faults = faults
        self._seed = seed
        self._time_s = 0.0
        self._drift = 0.0
        self._drift_active = False
        self._arcing = False
        self._hot = False
        self._look_at_faults()

    def program(self, *, voltage_kV: float | None = None, current_uA: float | None = None) -> None:
        """Set what the output goes to while high voltage is on."""
        if voltage_kV is not None:
            self.voltage_set_kV = voltage_kV
        if current_uA is not None:
            self.current_set_uA = current_uA

    def switch_on(self) -> SwitchOn:
        """High voltage on, unless the interlock is open or a trip is latched."""
        self._look_at_faults()
        if not self.interlock_closed:
            return "interlock"
        if self.trips:
            return "fault"
        self.hv_on = True
        return "done"

    def switch_off(self) -> None:
        """High voltage off: emission ends at once, the cable's charge bleeds off."""
        self.hv_on = False
        self.current_uA = 0.0

    def clear_trips(self) -> None:
        """Forget the trips whose cause has gone. High voltage stays off."""
        self._look_at_faults()
        causes: dict[Trip, bool] = {
            "interlock": not self.interlock_closed,
            "arc": self._arcing,
            "over_temperature": self.board_C > TRIP_C,
        }
        self.trips = {trip for trip in self.trips if causes.get(trip, False)}

    def emission_limit_uA(self) -> float:
        """Largest emission current at the present voltage."""
        table = self.rating.emission
        place = bisect_right(table, (self.voltage_kV, float("inf")))
        if place == len(table):
            return table[-1][1]
        (low_kV, low_uA), (high_kV, high_uA) = table[place - 1], table[place]
        return low_uA + (high_uA - low_uA) * (self.voltage_kV - low_kV) / (high_kV - low_kV)

    def monitors(self) -> Monitors:
        """One reading of the monitors: truth plus noise that depends on seed and time only."""
        step = round(self._time_s / MONITOR_STEP_S)
        noise = random_stream(self._seed, f"tube.monitor.{step}").standard_normal(2)
        current_uA = self.current_uA if self.hv_on else 0.0
        return Monitors(
            voltage_kV=max(self.voltage_kV * (1 + VOLTAGE_NOISE * float(noise[0])), 0.0),
            current_uA=max(current_uA * (1 + CURRENT_NOISE * float(noise[1])), 0.0),
            filament_A=self.filament_A,
            filament_V=2.0 * self.filament_A,
            board_C=self.board_C,
        )

    def advance(self, dt_s: float) -> None:
        """Let ``dt_s`` (at most 0.1 s) pass: explicit Euler, the fastest rate is 4 /s."""
        self._time_s += dt_s
        self._look_at_faults()
        if self.hv_on:
            self.on_s += dt_s
            self._move_voltage(dt_s)
            self._move_current(dt_s)
            self._watch(dt_s)
        elif self.voltage_kV:
            self.voltage_kV -= self.voltage_kV * dt_s / BLEED_S
            if self.voltage_kV < SETTLED:
                self.voltage_kV = 0.0
        filament_A = self.filament_preheat_A if self.hv_on else 0.0
        self.filament_A += (filament_A - self.filament_A) * min(dt_s / FILAMENT_LAG_S, 1.0)
        board_C = ROOM_C + BOARD_C_PER_W * self.voltage_kV * self.current_uA * 1e-3
        if self._hot:
            self.board_C += (HOT_C - self.board_C) * dt_s / HOT_LAG_S
        else:
            self.board_C += (board_C - self.board_C) * dt_s / BOARD_LAG_S

    def _move_voltage(self, dt_s: float) -> None:
        rest_kV = self.voltage_set_kV - self.voltage_kV
        if abs(rest_kV) < SETTLED:
            self.voltage_kV = self.voltage_set_kV
            return
        slope = self.rating.voltage_slope_kV_per_s
        self.voltage_kV += min(max(rest_kV / VOLTAGE_LAG_S, -slope), slope) * dt_s

    def _move_current(self, dt_s: float) -> None:
        wanted_uA = min(self.current_set_uA, self.emission_limit_uA())
        if self.filament_A < min(FILAMENT_WARM_A, self.filament_limit_A):
            wanted_uA = 0.0
        wanted_uA *= 1 + self._drift
        rest_uA = wanted_uA - self.current_uA
        if abs(rest_uA) < SETTLED:
            self.current_uA = wanted_uA
            return
        slope = self.rating.current_slope_uA_per_s
        self.current_uA += min(max(rest_uA / CURRENT_LAG_S, -slope), slope) * dt_s

    def _watch(self, dt_s: float) -> None:
        if self.voltage_kV > TRIP_MARGIN * self.rating.voltage_kV:
            self._trip("over_voltage")
        if self.voltage_kV * self.current_uA * 1e-3 > TRIP_MARGIN * self.rating.power_W:
            self._trip("over_power")
        if self.board_C > TRIP_C:
            self._trip("over_temperature")
        if self._drift_active:
            self._drift = min(self._drift + DRIFT_PER_S * dt_s, DRIFT_MAX)
        else:
            self._drift = 0.0

    def _look_at_faults(self) -> None:
        faults = self._faults
        if faults is None:
            return
        self.interlock_closed = not faults.active("interlock.open")
        self._arcing = faults.active("tube.arc")
        self._hot = faults.active("tube.over_temperature")
        self._drift_active = faults.active("tube.current_drift")
        if self.hv_on and not self.interlock_closed:
            self._trip("interlock")
        if self.hv_on and self._arcing:
            self._trip("arc")

    def _trip(self, trip: Trip) -> None:
        self.trips.add(trip)
        self.switch_off()
