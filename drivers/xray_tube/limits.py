"""What a tube may be asked for: voltage, power, and a current that depends on the voltage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivers.errors import LimitError
from drivers.xray_tube.base import TubeLimits


def largest_current_uA(voltage_kV: float, limits: TubeLimits, table: Sequence[Sequence[float]]) -> float:
    """Largest current at a voltage.

    Args:
        voltage_kV: Tube voltage.
        limits: Limits of the tube.
        table: Pairs of voltage (kV, rising) and largest current (uA), interpolated between; zero below
            the first voltage, constant above the last. Empty: no such limit.

    Returns:
        The smallest of the current limit, the power limit over the voltage, and the table's value.
    """
    if voltage_kV <= 0:
        return 0.0
    largest = min(limits.maximum_current_uA, limits.maximum_power_W / voltage_kV * 1e3)
    if table:
        voltages, currents = zip(*table, strict=True)
        largest = min(largest, float(np.interp(voltage_kV, voltages, currents, left=0.0)))
    return largest


def check_beam(
    name: str,
    voltage_kV: float,
    current_uA: float,
    limits: TubeLimits,
    table: Sequence[Sequence[float]] = (),
) -> None:
    """Raise ``LimitError`` if the tube may not run at this voltage and current.

    Args:
        name: The tube's name, for the message.
        voltage_kV: Wanted voltage, above 0.
        current_uA: Wanted current, 0 or more.
        limits: Limits of the tube.
        table: As for ``largest_current_uA``.
    """
    if not 0 < voltage_kV <= limits.maximum_voltage_kV:
        raise LimitError(
            name,
            f"voltage {voltage_kV:g} kV is outside 0 (excluded) to {limits.maximum_voltage_kV:g} kV",
            done="nothing was sent",
        )
    largest = largest_current_uA(voltage_kV, limits, table)
    if not 0 <= current_uA <= largest * (1 + 1e-9):
        power_W = voltage_kV * current_uA * 1e-3
        raise LimitError(
            name,
            f"current {current_uA:g} uA ({power_W:.4g} W) is outside 0 to {largest:.4g} uA,"
            f" the most allowed at {voltage_kV:g} kV",
            done="nothing was sent",
        )
