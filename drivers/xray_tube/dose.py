"""How long the beam was on and how much charge it brought to the target, in all and per sample."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields
from typing import Any

LONGEST_SEEN_GAP_S = 60.0


@dataclass(frozen=True)
class Dose:
    """What a tube gave.

    Attributes:
        beam_on_s: Time with the beam on, in s.
        charge_mAs: Tube current times time, in mAs: what the dose is proportional to at one voltage.
        energy_J: Tube power times time, in J.
        unseen_s: Part of ``beam_on_s`` that lies between readings more than 60 s apart, in which the
            current was taken for steady.
    """

    beam_on_s: float = 0.0
    charge_mAs: float = 0.0
    energy_J: float = 0.0
    unseen_s: float = 0.0

    @property
    def beam_on_hours(self) -> float:
        """Time with the beam on, in h."""
        return self.beam_on_s / 3600.0

    def __add__(self, other: Dose) -> Dose:
        return Dose(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True)
class _Reading:
    at_s: float
    beam_on: bool
    current_uA: float
    power_W: float


class DoseMeter:
    """Sums up monitor readings by the trapezoidal rule. Thread-safe.

    A stretch between two readings counts if the beam was on at both of its ends, or at one: going on or
    off lies somewhere between, and the larger dose is the safer record.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: _Reading | None = None
        self._sample = ""
        self._doses: dict[str, Dose] = {}

    @property
    def sample(self) -> str:
        """Name of the sample that is exposed now; empty: none was named."""
        return self._sample

    def begin_sample(self, name: str) -> None:
        """What comes from now on belongs to this sample (added to what it has already)."""
        with self._lock:
            self._sample = name

    def update(self, at_s: float, *, beam_on: bool, voltage_kV: float, current_uA: float) -> None:
        """Take one reading of the monitors.

        Args:
            at_s: Time of the reading in s, on a clock that does not run backwards.
            beam_on: High voltage is on.
            voltage_kV: Monitored voltage.
            current_uA: Monitored current.
        """
        current_uA = current_uA if beam_on else 0.0
        now = _Reading(at_s, beam_on, current_uA, voltage_kV * current_uA * 1e-3)
        with self._lock:
            last, self._last = self._last, now
            if last is None or at_s <= last.at_s or not (beam_on or last.beam_on):
                return
            length_s = at_s - last.at_s
            # Where one end is off, the monitors of the other end hold for the whole stretch.
            mean_uA = (last.current_uA + current_uA) / (2 if beam_on and last.beam_on else 1)
            mean_W = (last.power_W + now.power_W) / (2 if beam_on and last.beam_on else 1)
            part = Dose(
                beam_on_s=length_s,
                charge_mAs=mean_uA * 1e-3 * length_s,
                energy_J=mean_W * length_s,
                unseen_s=length_s if length_s > LONGEST_SEEN_GAP_S else 0.0,
            )
            self._doses[self._sample] = self._doses.get(self._sample, Dose()) + part

    def dose(self, sample: str) -> Dose:
        """What one sample got; ``""``: what came while none was named."""
        with self._lock:
            return self._doses.get(sample, Dose())

    def doses(self) -> dict[str, Dose]:
        """What each sample got."""
        with self._lock:
            return dict(self._doses)

    def total(self) -> Dose:
        """What the tube gave in all."""
        return sum(self.doses().values(), Dose())

    def to_dict(self) -> dict[str, dict[str, float]]:
        """The doses as plain values, for a file."""
        return {sample: asdict(dose) for sample, dose in self.doses().items()}

    def at_least(self, doses: dict[str, Any]) -> None:
        """Raise the sums to those of a file, where they are larger there.

        Args:
            doses: As ``to_dict`` gives them.

        Raises:
            ValueError, TypeError, AttributeError: Something else was given.
        """
        known = {
            sample: Dose(**{name: float(value) for name, value in dose.items()})
            for sample, dose in doses.items()
        }
        if not all(0 <= value < 1e15 for dose in known.values() for value in asdict(dose).values()):
            raise ValueError("a dose that cannot be")
        with self._lock:
            for sample, dose in known.items():
                if dose.beam_on_s >= self._doses.get(sample, Dose()).beam_on_s:
                    self._doses[sample] = dose
