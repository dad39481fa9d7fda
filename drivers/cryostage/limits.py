"""Checks of what a cryostage is asked for, before anything is sent."""

from __future__ import annotations

from drivers.cryostage.base import CryostageLimits
from drivers.errors import LimitError

AIR_MBAR = 1100.0


def check_ramp(name: str, set_point_K: float, rate_K_per_min: float, limits: CryostageLimits) -> None:
    """Raise ``LimitError`` unless the stage may ramp there at this rate."""
    if not limits.minimum_K <= set_point_K <= limits.maximum_K:
        raise LimitError(
            name,
            f"{set_point_K:g} K is outside the stage's {limits.minimum_K:g} to {limits.maximum_K:g} K",
            done="nothing was sent",
            advice="choose another set point, or correct minimum_K and maximum_K in the rig file",
        )
    if not 0.01 <= rate_K_per_min <= limits.maximum_rate_K_per_min:
        raise LimitError(
            name,
            f"{rate_K_per_min:g} K/min is not within 0.01 to {limits.maximum_rate_K_per_min:g} K/min",
            done="nothing was sent",
            advice="choose another rate, or correct maximum_rate_K_per_min in the rig file",
        )


def check_pressure(name: str, pressure_mbar: float) -> None:
    """Raise ``LimitError`` unless this can be the pressure in a stage."""
    if not 0 < pressure_mbar <= AIR_MBAR:
        raise LimitError(
            name, f"a pressure of 0 to {AIR_MBAR:g} mbar is expected, not {pressure_mbar:g} mbar"
        )


def check_pump(name: str, percent: float | None) -> None:
    """Raise ``LimitError`` unless this is a pump speed in %, or None for automatic."""
    if percent is not None and not 0 <= percent <= 100:
        raise LimitError(
            name, f"a pump speed of 0 to 100 % is expected, not {percent:g} %", done="nothing was sent"
        )
