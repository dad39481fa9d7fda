"""How a sample differs from one cooling cycle to the next.

The first paper found the coupled light reversible over cooling cycles weeks apart and gives no numbers for
it. So the first cycle has the values of the sample's data file, every later one scatters a little around
them, and nothing is lost; a loss per cycle and a hysteresis between cooling and warming can be put in.

The hysteresis is a backlash (play operator; chosen, no source gives a form): the midpoint of the coupled
share lags behind the cooling branch by 0 to ``hysteresis_K``. On warming the lag grows degree by degree up to
the whole, on cooling it shrinks to 0: wherever the stage turns, the light stays at first what it was. The
state is the lag alone; neither time nor rate matters.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

#: Departures are cut here, so that no cycle is an outlier.
_MOST_DEVIATIONS = 3.0


@dataclass(frozen=True)
class CoolingCycles:
    """Standard deviations from cycle to cycle, and what does not come back.

    Args:
        fraction_scatter: Of the coupled share, relative.
        shift_scatter_eV: Of the red-shift.
        lifetime_scatter: Of the coupled lifetime, relative.
        midpoint_scatter_K: Of the temperature at which the coupled share is half way.
        irreversible_share: Part of the coupled share that each cycle destroys.
        hysteresis_K: How much higher the midpoint lies on warming than on cooling.
    """

    fraction_scatter: float
    shift_scatter_eV: float
    lifetime_scatter: float
    midpoint_scatter_K: float
    irreversible_share: float
    hysteresis_K: float


@dataclass(frozen=True)
class Departure:
    """What one cycle does to the values of the first: two factors and two additions."""

    fraction_factor: float
    shift_eV: float
    lifetime_factor: float
    midpoint_K: float


def lag_after(lag_K: float, step_K: float, hysteresis_K: float) -> float:
    """The midpoint's lag, from 0 to ``hysteresis_K``, after the temperature has moved.

    Args:
        lag_K: Lag before; 0 for a sample that was only cooled so far.
        step_K: Change of temperature, all in one direction; above 0: warming.
        hysteresis_K: Lag of a sample that was warmed from far below.
    """
    return min(max(lag_K + step_K, 0.0), hysteresis_K)


def departure(cycles: CoolingCycles, sample: str, cycle: int) -> Departure:
    """The departure of one cycle; the same sample and cycle always give the same.

    Args:
        cycles: Spreads and losses.
        sample: Name of the sample: two samples scatter independently.
        cycle: Number of the cooling, from 1.

    Raises:
        ValueError: if the cycle is not at least 1.
    """
    if cycle < 1:
        raise ValueError(f"cooling cycle {cycle}: cycles are counted from 1")
    kept = (1.0 - cycles.irreversible_share) ** (cycle - 1)
    if cycle == 1:
        return Departure(1.0, 0.0, 1.0, 0.0)
    rng = np.random.default_rng([zlib.crc32(sample.encode()), cycle])
    share, shift, lifetime, midpoint = np.clip(rng.normal(size=4), -_MOST_DEVIATIONS, _MOST_DEVIATIONS)
    return Departure(
        fraction_factor=float(kept * (1.0 + cycles.fraction_scatter * share)),
        shift_eV=float(cycles.shift_scatter_eV * shift),
        lifetime_factor=float(1.0 + cycles.lifetime_scatter * lifetime),
        midpoint_K=float(cycles.midpoint_scatter_K * midpoint),
    )
