"""The numbers of a point as one row: each result with its error, its true value, its distance from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labctl.store import strict_json

if TYPE_CHECKING:
    from labctl.fitting.point import PointFit
    from labctl.store.point import PointData

RESULTS = ("red_shift_eV", "coupled_fraction", "tau_fast_s", "tau_slow_s")
SAME_WITHIN_SIGMAS = 1e-6


def result_row(point: PointData, fit: PointFit | Mapping[str, Any] | None) -> dict[str, Any]:
    """One row of the table of results, JSON-able.

    Args:
        point: The raw data of the point.
        fit: Its fit, as an object or as a dict; None when there is none.

    Returns:
        ``point``, ``set_point_K``, ``temperature_K``, ``temperature_sd_K``, ``warnings``, and for each
        of :data:`RESULTS` a dict ``value``, ``error``, ``true``, ``sigmas`` (value minus true in units
        of the error), each None when there is no such number; and ``dof``, ``below``, ``above`` where the
        fit has them, so that ``labctl.fitting.value.Value.from_dict`` reads the whole number back.
    """
    fields = _fields(fit)
    truth = point.truth or {}
    row: dict[str, Any] = {
        "point": point.index,
        "set_point_K": point.set_point_K,
        "temperature_K": point.temperature_K,
        "temperature_sd_K": point.temperature_sd_K,
        "warnings": [*_lost_record(point), *(fields.get("warnings") or [])],
        "fitted": fit is not None,
    }
    for name in RESULTS:
        row[name] = _result(fields.get(name), truth.get(name))
    plain: dict[str, Any] = strict_json.jsonable(row)
    return plain


def _lost_record(point: PointData) -> list[str]:
    """Says how much of the g2 record has holes (overflows of the tagger), where that is worth a word."""
    reading = point.readings.get("counters_lost_ps")
    if reading is None or point.pairs is None or not reading["value"] > 0:
        return []
    frames = max(1, len(point.pairs.duration_ps))
    lost_ps = float(reading["value"]) * frames
    share = lost_ps / (lost_ps + float(point.pairs.duration_ps.sum()))
    return [f"g2: {share:.1%} of the record was lost to overflows of the time tagger and is left out"]


def compare(new: PointFit | Mapping[str, Any] | None, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """How a new fit compares with the stored one.

    Returns:
        ``same`` (None when there is no stored fit), ``largest_sigmas``: the largest difference of a
        result in units of its stored error (None when a result is in one but not in the other), and
        ``which``: the name of that result.
    """
    if stored is None:
        return {"same": None, "largest_sigmas": None, "which": None}
    largest, which = 0.0, None
    fields = _fields(new)
    for name in RESULTS:
        ours, theirs = fields.get(name), stored.get(name)
        if (ours is None) != (theirs is None):
            return {"same": False, "largest_sigmas": None, "which": name}
        if ours is None or theirs is None:
            continue
        sigmas = _difference_sigmas(ours, theirs)
        if sigmas > largest:
            largest, which = sigmas, name
    return {
        "same": largest <= SAME_WITHIN_SIGMAS,
        "largest_sigmas": largest if math.isfinite(largest) else None,
        "which": which,
    }


def note_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each warning of these points once, with the temperatures that it holds for."""
    where: dict[str, list[str]] = {}
    for row in rows:
        kelvin = "?" if row["temperature_K"] is None else f"{row['temperature_K']:.0f}"
        for warning in row["warnings"]:
            where.setdefault(warning, []).append(kelvin)
    return [
        f"{'all points' if len(kelvins) == len(rows) > 1 else ', '.join(kelvins) + ' K'}: {warning}"
        for warning, kelvins in where.items()
    ]


def _difference_sigmas(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float:
    """Larger of the differences in value and in error, in units of the stored error."""
    difference = max(
        abs(float(ours["value"]) - float(theirs["value"])), abs(float(ours["error"]) - float(theirs["error"]))
    )
    if difference == 0.0:
        return 0.0
    error = float(theirs["error"])
    return difference / error if error > 0 else math.inf


def _fields(fit: PointFit | Mapping[str, Any] | None) -> Mapping[str, Any]:
    if fit is None:
        return {}
    if isinstance(fit, Mapping):
        return fit
    fields: Mapping[str, Any] = fit.to_dict()
    return fields


def _result(entry: Any, true: Any) -> dict[str, float | None]:
    value = error = sigmas = None
    more: dict[str, float | None] = {}
    if isinstance(entry, Mapping) and entry.get("value") is not None:
        value, error = float(entry["value"]), float(entry["error"])
        more = {name: float(entry[name]) for name in ("dof", "below", "above") if name in entry}
    known = float(true) if true is not None else None
    if value is not None and error and known is not None:
        sigmas = (value - known) / error
    return {"value": value, "error": error, **more, "true": known, "sigmas": sigmas}
