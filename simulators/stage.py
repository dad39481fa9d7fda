"""The cryostage as physics and as a controller: heater, liquid nitrogen, thermal inertia, ramp.

The stage is one heat capacity with a heater, a liquid-nitrogen flow and a loss to the room. The
controller moves a ramp set point to the limit and drives heater and pump with a proportional-integral
rule plus feed-forward; so the stage lags the ramp, overshoots a little and settles, as a real one does.
All rates are divided by the heat capacity: drives are in K/s. The constants are chosen, not measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from simulators.randomness import random_stream

Mode = Literal["stopped", "ramping", "at_limit", "holding"]

ROOM_K = 293.15
NITROGEN_K = 77.36
HEATER_MAX_K_PER_S = 3.0
COOLING_PER_S = 0.25
COOLING_MAX_K_PER_S = 2.5
LOSS_PER_S = 1.0 / 1200.0
LOSS_IN_AIR_PER_S = 1.0 / 250.0
GAIN_PER_S = 0.15
INTEGRAL_PER_S2 = 0.004
FEED_FORWARD = 0.85
PUMP_STEPS = 30
AIR_MBAR = 1013.0
PUMPED_MBAR = 100.0
VACUUM_TIME_S = 60.0
SWING_K = 2.0
SWING_PERIOD_S = 60.0


@dataclass(frozen=True)
class StageFaults:
    """Which of the stage's faults hold."""

    ln2_empty: bool = False
    heater_error: bool = False
    sensor_open: bool = False
    vacuum_lost: bool = False
    cannot_settle: bool = False


NO_FAULTS = StageFaults()


class Stage:
    """Stage and controller together. Not thread-safe: the world's lock guards it.

    Args:
        seed: Seed of the sensor noise.
        start_K: Temperature to begin with.
        sensor_noise_K: Standard deviation of one reading.
    """

    def __init__(self, seed: int = 0, *, start_K: float = 300.0, sensor_noise_K: float = 0.02) -> None:
        self.temperature_K = start_K
        self.mode: Mode = "stopped"
        self.limit_K = start_K
        self.rate_K_per_min = 10.0
        self.ramp_K = start_K
        self.pump_automatic = True
        self.pump_manual_fraction = 0.0
        self.pump_fraction = 0.0
        self.heater_fraction = 0.0
        self.pressure_mbar = PUMPED_MBAR
        self.faults = NO_FAULTS
        self._sensor_noise_K = sensor_noise_K
        self._noise = random_stream(seed, "stage.sensor")
        self._integral = 0.0
        self._phase_s = 0.0

    @property
    def error(self) -> bool:
        """The controller has a reason not to drive the stage."""
        return self.faults.sensor_open

    def sensor_K(self) -> float:
        """One reading of the sensor: truth plus noise; nan with the sensor open."""
        if self.faults.sensor_open:
            return math.nan
        return self.temperature_K + self._sensor_noise_K * float(self._noise.standard_normal())

    def start(self) -> None:
        """Ramp from the present temperature to ``limit_K`` at ``rate_K_per_min``; then hold there."""
        if self.error:
            return
        if self.mode == "stopped":
            self._integral = 0.0
        self.ramp_K = self.temperature_K
        self.mode = "ramping"

    def hold(self) -> None:
        """Hold the present temperature."""
        if self.error:
            return
        if self.mode == "stopped":
            self._integral = 0.0
        self.ramp_K = self.temperature_K
        self.mode = "holding"

    def stop(self) -> None:
        """Heater and pump off."""
        self.mode = "stopped"
        self.heater_fraction = 0.0
        self._integral = 0.0
        if self.pump_automatic:
            self.pump_fraction = 0.0

    def advance(self, dt_s: float) -> None:
        """Integrate one step of at most 0.1 s (explicit Euler; the fastest rate is 0.25 /s)."""
        if self.faults.sensor_open and self.mode != "stopped":
            self.stop()
        self._move_vacuum(dt_s)
        feed = self._move_ramp(dt_s)
        drive = 0.0
        saturated = False
        temperature = self.temperature_K
        leak = self._loss_per_s() * (ROOM_K - temperature)
        cooling_full = min(COOLING_PER_S * max(temperature - NITROGEN_K, 0.0), COOLING_MAX_K_PER_S)
        if self.mode != "stopped":
            target = self.ramp_K
            if self.faults.cannot_settle:
                self._phase_s += dt_s
                target += SWING_K * math.sin(2 * math.pi * self._phase_s / SWING_PERIOD_S)
            error = target - temperature
            demand = feed + GAIN_PER_S * error + self._integral - leak
            drive, saturated = self._share(demand, cooling_full)
            if not saturated:
                self._integral += INTEGRAL_PER_S2 * error * dt_s
        elif not self.pump_automatic:
            self.pump_fraction = self.pump_manual_fraction
            drive = 0.0 if self.faults.ln2_empty else -self.pump_fraction * cooling_full
        self.temperature_K = temperature + (drive + leak) * dt_s

    def _share(self, demand: float, cooling_full: float) -> tuple[float, bool]:
        """Share a drive (K/s) between heater and pump; returns the drive got, and whether it was cut."""
        if self.pump_automatic:
            wanted = -demand / cooling_full if cooling_full > 1e-9 else 0.0
            self.pump_fraction = min(max(math.ceil(PUMP_STEPS * wanted), 0), PUMP_STEPS) / PUMP_STEPS
        else:
            self.pump_fraction = self.pump_manual_fraction
        cooling = self.pump_fraction * cooling_full
        heating = demand + cooling
        self.heater_fraction = min(max(heating / HEATER_MAX_K_PER_S, 0.0), 1.0)
        saturated = heating < -1e-9 or heating > HEATER_MAX_K_PER_S
        if self.faults.heater_error:
            self.heater_fraction = 0.0
            saturated = True
        if self.faults.ln2_empty:
            cooling = 0.0
            saturated = True
        return self.heater_fraction * HEATER_MAX_K_PER_S - cooling, saturated

    def _move_ramp(self, dt_s: float) -> float:
        """Move the ramp set point; returns the feed-forward drive in K/s."""
        if self.mode == "at_limit" and self.ramp_K != self.limit_K:
            self.mode = "ramping"
        if self.mode != "ramping":
            return 0.0
        step = self.rate_K_per_min / 60.0 * dt_s
        rest = self.limit_K - self.ramp_K
        if abs(rest) <= step:
            self.ramp_K = self.limit_K
            if abs(self.limit_K - self.temperature_K) < 0.5:
                self.mode = "at_limit"
            return 0.0
        self.ramp_K += math.copysign(step, rest)
        return FEED_FORWARD * math.copysign(self.rate_K_per_min / 60.0, rest)

    def _loss_per_s(self) -> float:
        share = (self.pressure_mbar - PUMPED_MBAR) / (AIR_MBAR - PUMPED_MBAR)
        return LOSS_PER_S + (LOSS_IN_AIR_PER_S - LOSS_PER_S) * min(max(share, 0.0), 1.0)

    def _move_vacuum(self, dt_s: float) -> None:
        goal = AIR_MBAR if self.faults.vacuum_lost else PUMPED_MBAR
        if self.pressure_mbar != goal:
            self.pressure_mbar += (goal - self.pressure_mbar) * dt_s / VACUUM_TIME_S
            if abs(goal - self.pressure_mbar) < 1e-3:
                self.pressure_mbar = goal
