"""Numbers in a result that have no error bar, each with the reason.

A measured number is written as ``value`` with ``error``, or stands in ``estimates`` with its covariance. What
else is a number in a written fit is a setting, a test statistic or an error itself: a reader of the file
finds its name under ``without_error`` with the reason, and so those measured numbers that were held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

HELD = "held at this value"
NOTHING_HIDDEN = "no light can be hidden in this fit"
REASONS = {
    "n_peaks": "chosen or asked for",
    "n_lifetimes": "chosen or asked for",
    "bic_gain": "a test statistic: it scatters by a few units",
    "chi2": "a test statistic: it scatters by the root of 2 dof",
    "dof": "a count",
    "p_value": "a probability",
    "hidden_fraction": "a limit, with its error inside",
    "hidden_error": "an error itself",
    "fano": "follows from mu, which has its error",
    "mu_model": "mu as the model used it, which has its error",
    "bin_s": "a setting",
    "dead_time_s": "entered",
    "signal_share": "from the counted background; its error is far below the contrast's",
    "rates_per_s": "counted: relative error is one over the root of the tags",
    "background_Hz": "counted with the beam off, before the fit",
    "left_out_eV": "positions of pixels",
    "temperatures_K": "measured; its scatter stands with the point",
    "range_K": "measured; its scatter stands with the points",
}
"""Why a number of this name has no error bar."""

_OF_A_VALUE = frozenset({"value", "error", "dof", "below", "above"})
_OF_ESTIMATES = frozenset({"values", "covariance", "dof"})


def marked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A written fit with ``without_error``: names of its numbers that have none, each with the reason.

    Args:
        fields: A fit for JSON.
    """
    plain = {name: thing for name, thing in fields.items() if name != "without_error"}
    return {**plain, "without_error": dict(sorted(_reasons(plain, "")))}


def _reasons(thing: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(thing, Mapping):
        yield from _of_mapping(thing, name)
    elif isinstance(thing, list | tuple):
        for item in thing:
            yield from _reasons(item, name)
    elif isinstance(thing, int | float) and not isinstance(thing, bool):
        yield name, REASONS.get(name, "no error was written")


def _of_mapping(thing: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    if {"value", "error"} <= thing.keys():
        if thing["error"] == 0.0:
            yield name, NOTHING_HIDDEN if name == "hidden_shift_s" else HELD
        inner = {key: part for key, part in thing.items() if key not in _OF_A_VALUE}
    elif {"values", "covariance"} <= thing.keys():
        for i, parameter in enumerate(thing["names"]):
            if thing["covariance"][i][i] == 0.0:
                yield parameter, HELD
        inner = {key: part for key, part in thing.items() if key not in _OF_ESTIMATES}
    else:
        inner = dict(thing)
    for key, part in inner.items():
        yield from _reasons(part, key)
