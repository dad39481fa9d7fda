"""What a simulated sample really is, in the words of the results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.emission.components import Emission

TrueCurve = list[tuple[float, Mapping[str, Any]]]
CURVE_POINTS = 111
SAME_RELATIVE = 1e-9


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


def true_curve(sample: str, recorded: Sequence[tuple[float, Mapping[str, Any]]]) -> TrueCurve:
    """True values on a fine grid of temperatures, for drawing.

    The recorded values are what counts. The sample's file may have changed since; only when it still
    gives every recorded value is it used to fill in between them.

    Args:
        sample: Name of the simulated sample.
        recorded: Temperature in K and true values of each point.

    Returns:
        Temperature in K and true values, coldest first; where the sample's file cannot be used (a later
        version of it, or a hysteresis), the recorded points in the order of the measurement: down and up.
    """
    from labctl.emission.population import find_sample
    from labctl.emission.sample import SampleError

    known = sorted(recorded, key=lambda item: item[0])
    if len(known) < 2:
        return known
    try:
        light = find_sample(sample)
        if not all(_same(true_values(light.emission(kelvin)), values) for kelvin, values in known):
            return list(recorded)
        low, high = known[0][0], known[-1][0]
        grid = [low + (high - low) * step / (CURVE_POINTS - 1) for step in range(CURVE_POINTS)]
        return [(kelvin, true_values(light.emission(kelvin))) for kelvin in grid]
    except (SampleError, KeyError):
        return list(recorded)


def _same(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    return all(
        value is theirs.get(name)
        if value is None or theirs.get(name) is None
        else math.isclose(value, theirs[name], rel_tol=SAME_RELATIVE)
        for name, value in ours.items()
    )
