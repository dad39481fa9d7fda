"""What a simulated sample really is, in the words of the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.emission.components import Emission


def true_values(emission: Emission) -> dict[str, float | None]:
    """The numbers that a fit of this light should find.

    Args:
        emission: One component (uncoupled) or two (``coupled`` and ``uncoupled``, by name).

    Returns:
        ``red_shift_eV``, ``coupled_fraction``, ``tau_fast_s``, ``tau_slow_s``; without coupled light
        the fraction is 0 and the red-shift and fast lifetime are None.
    """
    by_name = {component.name: component for component in emission.components}
    uncoupled = by_name["uncoupled"]
    coupled = by_name.get("coupled")
    if coupled is None:
        return {
            "red_shift_eV": None,
            "coupled_fraction": 0.0,
            "tau_fast_s": None,
            "tau_slow_s": uncoupled.lifetime_s,
        }
    return {
        "red_shift_eV": uncoupled.energy_eV - coupled.energy_eV,
        "coupled_fraction": coupled.weight,
        "tau_fast_s": coupled.lifetime_s,
        "tau_slow_s": uncoupled.lifetime_s,
    }
