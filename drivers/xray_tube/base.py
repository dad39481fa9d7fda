"""What an X-ray tube does for a measurement. Voltages in kV, currents in uA."""

from __future__ import annotations

import threading
from abc import abstractmethod
from dataclasses import dataclass, field

from drivers.base import Instrument, Reading, Status
from drivers.xray_tube.dose import DoseMeter


@dataclass(frozen=True)
class TubeLimits:
    """What the tube may be asked for."""

    maximum_voltage_kV: float
    maximum_current_uA: float
    maximum_power_W: float


@dataclass(frozen=True)
class TubeStatus(Status):
    """State of the tube: ``state`` is one of off, ramping, warming, on, fault, unknown.

    Attributes:
        beam_on: X-rays are being made (high voltage is on).
        interlock_closed: The safety circuit is closed.
        voltage: Monitored tube voltage (kV).
        current: Monitored tube current (uA).
        voltage_set: Programmed voltage (kV).
        current_set: Programmed current (uA).
        other_monitors: What else the supply measures, by name: filament, temperatures, supplies.
    """

    beam_on: bool
    interlock_closed: bool
    voltage: Reading
    current: Reading
    voltage_set: Reading
    current_set: Reading
    other_monitors: dict[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True)
class WarmUpStep:
    """One step of a warm-up programme: this voltage and current for ``hold_s`` seconds."""

    voltage_kV: float
    current_uA: float
    hold_s: float


class XrayTube(Instrument):
    """An X-ray tube with its high-voltage supply. Never switched on by ``open`` or a reconnect.

    Attributes:
        dose: Beam-on time and charge, in all and per sample, from the readings of ``status``.
    """

    dose: DoseMeter

    @property
    @abstractmethod
    def limits(self) -> TubeLimits:
        """Limits from the rig file and the model's table."""

    @abstractmethod
    def status(self) -> TubeStatus:
        """Ask the supply for flags and monitors."""

    @abstractmethod
    def check(self, voltage_kV: float, current_uA: float) -> None:
        """Raise ``LimitError`` if the tube may not run at this voltage and current; sends nothing."""

    def self_test(self) -> tuple[str, ...]:
        """What does not look right, in words; empty when all is well. Switches nothing."""
        return ()

    def beam_hours(self) -> Reading | None:
        """Hours with high voltage on in the supply's life, as it counts them itself; None: it does not."""
        return None

    def warm_up_steps(self, voltage_kV: float) -> tuple[WarmUpStep, ...]:
        """What the tube needs after its rest before it may have this voltage; empty: nothing."""
        return ()

    @abstractmethod
    def beam_on(self, voltage_kV: float, current_uA: float, *, cancel: threading.Event | None = None) -> None:
        """Switch X-rays on: voltage up first, then current; return once the monitors agree.

        Args:
            voltage_kV: Tube voltage.
            current_uA: Tube current.
            cancel: When set, the ramp is broken off and the beam switched off.

        Raises:
            LimitError: Outside ``limits``; nothing was sent.
            InterlockError: The interlock is open; the beam stays off.
            FaultError: The supply reports a fault; the beam was switched off.
            InstrumentCancelledError: ``cancel`` was set, or ``beam_off`` called; the beam is off.
            InstrumentTimeoutError: The monitors did not agree in time; the beam was switched off.
        """

    @abstractmethod
    def beam_off(self) -> None:
        """Current down, then voltage down, high voltage off; verified by the status flags.

        Raises:
            InstrumentError: It could not be verified that the beam is off. Always the first thing
                to show to a person.
        """

    @abstractmethod
    def clear_faults(self) -> None:
        """Clear latched faults. Leaves the beam off."""
