"""One look at a supply, and what a person should be told about it."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.base import Reading
from drivers.xray_tube.base import TubeStatus
from drivers.xray_tube.settings import SpellmanSettings
from drivers.xray_tube.supply import Flags, Monitors, Supply


@dataclass(frozen=True)
class Snapshot:
    """What the supply said: flags, monitors, set points, faults."""

    flags: Flags
    monitors: Monitors
    voltage_set_kV: float
    current_set_uA: float
    faults: tuple[str, ...]

    def voltage_agrees(self, settings: SpellmanSettings) -> bool:
        """Monitored and set voltage agree."""
        return abs(self.monitors.voltage_kV - self.voltage_set_kV) <= settings.voltage_tolerance_kV

    def current_agrees(self, settings: SpellmanSettings) -> bool:
        """Monitored and set current agree."""
        return abs(self.monitors.current_uA - self.current_set_uA) <= settings.current_tolerance_uA

    def drift(self, settings: SpellmanSettings) -> tuple[str, ...]:
        """What has drifted away from its set point, in words."""
        found = []
        if not self.voltage_agrees(settings):
            found.append(
                f"voltage drifted: {self.monitors.voltage_kV:.2f} kV, not {self.voltage_set_kV:.2f} kV"
            )
        if not self.current_agrees(settings):
            found.append(
                f"current drifted: {self.monitors.current_uA:.1f} uA, not {self.current_set_uA:.1f} uA"
            )
        return tuple(found)

    def too_hot(self, settings: SpellmanSettings) -> tuple[str, ...]:
        """Which board is too hot, in words."""
        limit_C = settings.maximum_board_temperature_C
        return tuple(
            f"{name.replace('_', ' ')} {value:.1f} C is above {limit_C:g} C"
            for name, value in self.monitors.others.items()
            if name.endswith("temperature") and value > limit_C
        )

    def status(self, state: str, extra: tuple[str, ...], now_s: float) -> TubeStatus:
        """The status of the kind of instrument.

        Args:
            state: One word for a beam without fault.
            extra: Faults that the supply does not report itself.
            now_s: Time of the reading.
        """
        return TubeStatus(
            connected=True,
            state="fault" if self.flags.fault else state,
            faults=(*self.faults, *extra),
            read_at_s=now_s,
            beam_on=self.flags.high_voltage_on,
            interlock_closed=self.flags.interlock_closed,
            voltage=Reading(self.monitors.voltage_kV, "kV", "measured", now_s),
            current=Reading(self.monitors.current_uA, "uA", "measured", now_s),
            voltage_set=Reading(self.voltage_set_kV, "kV", "commanded", now_s),
            current_set=Reading(self.current_set_uA, "uA", "commanded", now_s),
            other_monitors={
                name: Reading(value, _unit(name), "measured", now_s)
                for name, value in self.monitors.others.items()
            },
        )


def look(supply: Supply) -> Snapshot:
    """Ask a supply for everything, the flags last: they matter most. Raises ``InstrumentError``."""
    monitors = supply.monitors()
    voltage_set_kV, current_set_uA = supply.set_points()
    flags = supply.flags()
    faults = supply.faults() if flags.fault or not flags.interlock_closed else ()
    if flags.fault and not faults:
        faults = ("a fault without saying which",)
    return Snapshot(flags, monitors, voltage_set_kV, current_set_uA, faults)


def _unit(name: str) -> str:
    if name.endswith("temperature"):
        return "degC"
    return "A" if name.endswith("current") else "V"
