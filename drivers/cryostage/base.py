"""What a cryostage does for a measurement. Temperatures in K, rates in K/min."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

from drivers.base import Instrument, Reading, Status

AGREE_K = 1.0


@dataclass(frozen=True)
class CryostageLimits:
    """Set points and rates that the stage accepts."""

    minimum_K: float
    maximum_K: float
    maximum_rate_K_per_min: float


@dataclass(frozen=True)
class CryostageStatus(Status):
    """State of the stage: ``state`` is one of stopped, heating, cooling, holding, unknown.

    Attributes:
        temperature: Measured stage temperature (K).
        set_point: Target (K) if one was sent or can be read back, else None.
        rate: Ramp rate (K/min) if known.
        pump_percent: Speed of the liquid-nitrogen pump, 0-100 %, if the controller tells it.
        at_set_point: The controller says that its ramp is done.
        warnings: What the controller reports without stopping for it.
        heater_percent: Heater power, 0-100 %, if the controller tells it.
        vacuum: Pressure in the stage (mbar) and how it is known; None where nobody knows it.
    """

    temperature: Reading
    set_point: Reading | None
    rate: Reading | None
    pump_percent: float | None
    at_set_point: bool = False
    warnings: tuple[str, ...] = ()
    heater_percent: float | None = None
    vacuum: Reading | None = None


class Cryostage(Instrument):
    """A heated and liquid-nitrogen-cooled sample stage."""

    @property
    @abstractmethod
    def limits(self) -> CryostageLimits:
        """Limits from the instrument where it tells them, else from the rig file."""

    @abstractmethod
    def status(self) -> CryostageStatus:
        """Ask the controller for state and temperature."""

    def self_test(self) -> tuple[str, ...]:
        """What does not look right, in words; empty when all is well. Changes nothing at the stage."""
        first, second = self.status(), self.status()
        found = [*second.faults, *second.warnings]
        one_K, other_K = first.temperature.value, second.temperature.value
        if math.isnan(other_K):
            found.append("the controller gives no temperature")
        elif abs(one_K - other_K) > AGREE_K:
            found.append(f"two readings at once differ: {one_K:.2f} and {other_K:.2f} K")
        if second.state == "unknown":
            found.append("the controller is in a state that the driver does not know")
        return tuple(found)

    @abstractmethod
    def ramp_to(self, set_point_K: float, rate_K_per_min: float) -> None:
        """Start a ramp to ``set_point_K`` and hold there. Returns at once.

        Raises:
            LimitError: Set point or rate outside ``limits``; nothing was sent.
            FaultError: The controller has a fault that keeps it from ramping.
            InstrumentTimeoutError: The controller did not take a command.
            InstrumentConnectionError: The line was lost.
        """

    @abstractmethod
    def hold(self) -> None:
        """Hold the present temperature."""

    @abstractmethod
    def stop(self) -> None:
        """Switch heating and cooling off."""

    @abstractmethod
    def set_pump(self, percent: float | None) -> None:
        """Set the speed of the liquid-nitrogen pump.

        Args:
            percent: 0-100 %; None: the controller sets it by itself.

        Raises:
            LimitError: Outside 0-100 %; nothing was sent.
        """

    @abstractmethod
    def enter_vacuum(self, pressure_mbar: float) -> None:
        """Take the pressure in the stage from a person who read a gauge; ``status`` marks it so.

        Raises:
            LimitError: Not a pressure between 0 and 1100 mbar.
        """
