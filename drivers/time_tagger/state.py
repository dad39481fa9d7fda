"""What a tagger tells about itself: limits, settings of its inputs, rates; and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.base import Reading
from drivers.time_tagger.connection import Connection
from drivers.time_tagger.models import Model, model_named

NEAR_LIMIT = 0.9


@dataclass(frozen=True)
class TaggerLimits:
    """What the tagger can do; ranges are measured (it tells them), the transfer rate is nominal.

    Attributes:
        trigger_level_V: Smallest and largest threshold.
        dead_time_ps: Smallest and largest dead time.
        transfer_tags_per_s: What its link to the computer carries; infinite if the model is not known.
    """

    trigger_level_V: tuple[float, float]
    dead_time_ps: tuple[int, int]
    transfer_tags_per_s: float


def limits_of(connection: Connection, number: int, model: Model | None) -> TaggerLimits:
    """Ask for the limits of a channel.

    Raises:
        InstrumentConnectionError: The tagger is gone.
    """
    tagger = connection.tagger()
    level_V, dead_time_ps = connection.call(
        "read the limits", lambda: (tagger.getTriggerLevelRange(abs(number)), tagger.getDeadtimeRange(number))
    )
    return TaggerLimits(
        (float(level_V[0]), float(level_V[1])),
        (int(dead_time_ps[0]), int(dead_time_ps[1])),
        model.transfer_tags_per_s if model else float("inf"),
    )


def readings_of(connection: Connection, channels: Mapping[str, int], now_s: float) -> dict[str, Reading]:
    """Ask for threshold, delay and dead time of each counter: ``"<counter>.trigger_level"`` and so on.

    Raises:
        InstrumentConnectionError: The tagger is gone.
    """
    tagger = connection.tagger()
    result: dict[str, Reading] = {}
    for name, number in channels.items():
        values = connection.call(f"read the settings of {name!r}", partial(_settings_of, tagger, number))
        for key, value in values.items():
            unit = "V" if key == "trigger_level" else "ps"
            result[f"{name}.{key}"] = Reading(float(value), unit, "measured", now_s)
    return result


def _settings_of(tagger: Any, number: int) -> dict[str, float]:
    return {
        "trigger_level": tagger.getTriggerLevel(abs(number)),
        "delay": tagger.getInputDelay(number),
        "dead_time": tagger.getDeadtime(number),
    }


def overflows_and_rates(tagger: Any, rates: Any) -> tuple[int, NDArray[np.float64]]:
    """Overflow counter and mean rates of a ``Countrate``, which begins again."""
    overflows, rates_Hz = int(tagger.getOverflows()), np.asarray(rates.getData(), dtype=np.float64)
    rates.clear()
    return overflows, rates_Hz


def faults_of(
    model: str, overflows: int, total_Hz: float, silent_s: Mapping[str, float], *, longest_s: float
) -> tuple[str, ...]:
    """What is wrong, in words.

    Args:
        model: As the tagger calls itself.
        overflows: Since connecting.
        total_Hz: Sum of all rates.
        silent_s: Counter -> time without any pulse.
        longest_s: Longest such time of a living counter; 0: any.
    """
    faults = []
    if overflows:
        faults.append(f"{overflows} overflows since connecting: tags were lost")
    faults += [
        f"counter {name!r}: no pulse for {time_s:.3g} s, not even dark counts"
        for name, time_s in silent_s.items()
        if 0 < longest_s <= time_s
    ]
    known = model_named(model)
    if known and total_Hz > NEAR_LIMIT * known.transfer_tags_per_s:
        faults.append(
            f"{total_Hz:.3g} counts/s, the {model} transfers {known.transfer_tags_per_s:.3g} tags/s"
        )
    return tuple(faults)
