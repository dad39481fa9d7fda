"""What does not look right at a Spellman supply, found by questions only."""

from __future__ import annotations

from drivers.xray_tube.base import TubeLimits
from drivers.xray_tube.settings import SpellmanSettings
from drivers.xray_tube.supply import Supply

LOW_VOLTAGE_V = 24.0
LOW_VOLTAGE_TOLERANCE = 0.1


def self_test(supply: Supply, settings: SpellmanSettings, limits: TubeLimits) -> tuple[str, ...]:
    """Findings in words; empty when all is well.

    Args:
        supply: The supply, open.
        settings: Its table of the rig file.
        limits: The limits that follow from both.

    Raises:
        InstrumentError: The supply does not answer.
    """
    found = []
    said = supply.identity().model
    title = supply.model.title
    if supply.model.commands.model is not None and title.lower() not in said.lower():
        found.append(f"the supply calls itself {said!r}, but the rig file says {title}")
    flags = supply.flags()
    if not flags.remote:
        found.append("the supply is in local mode: set it to remote at its own panel")
    low_V = supply.monitors().others.get("low_voltage_supply")
    if low_V is not None and abs(low_V - LOW_VOLTAGE_V) > LOW_VOLTAGE_TOLERANCE * LOW_VOLTAGE_V:
        found.append(f"the low-voltage supply gives {low_V:.1f} V instead of {LOW_VOLTAGE_V:g} V")
    for wanted, allowed, unit in (
        (settings.maximum_voltage_kV, limits.maximum_voltage_kV, "kV"),
        (settings.maximum_current_uA, limits.maximum_current_uA, "uA"),
        (settings.maximum_power_W, limits.maximum_power_W, "W"),
    ):
        if wanted > allowed:
            found.append(f"the rig file allows {wanted:g} {unit}, the supply only {allowed:g} {unit}")
    return tuple(found)
