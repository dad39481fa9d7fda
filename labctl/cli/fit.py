"""``labctl fit RUN``: fit a run again from disk and compare with what was stored."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.fitting.point import PointFit
    from labctl.store.point import PointData
    from labctl.store.run_directory import RunDirectory

NAME = "fit"
HELP = "fit a run again from the raw data on disk"
_WORDS = {
    "red_shift_eV": "red-shift",
    "coupled_fraction": "coupled fraction",
    "tau_fast_s": "tau_fast",
    "tau_slow_s": "tau_slow",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "run", metavar="RUN", help="path of a run, its number, the beginning of its name, or: last"
    )
    parser.add_argument(
        "--data", type=Path, default=Path("runs"), metavar="DIR", help="where runs are kept (default: runs)"
    )
    parser.add_argument(
        "--save", action="store_true", help="keep the new fits in the run (older ones stay, under a version)"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the command."""
    from labctl.cli.table import results_table
    from labctl.cli.trend_lines import trends
    from labctl.store.lookup import find_run

    found = find_run(args.run, args.data)
    state = found.state
    if args.save and state.name == "running":
        raise InputError(f"{found.path.name} is still being measured; fit it without --save, or save later")
    problems: list[str] = []
    points = found.read_points(problems)
    if not points:
        raise InputError("\n".join([f"{found.path} has no point that can be read", *problems]))
    out.say(f"{found.path.name}: {found.title}, {_count(len(points))}, {state.name}")
    fits: list[tuple[float, PointFit]] = []
    rows = [_fit_and_say(found, point, out, fits, save=args.save) for point in points]
    out.console.print(results_table(rows))
    laws, trend_fields = trends(fits)
    for line in laws:
        out.say(line)
    _say_warnings(rows, out)
    for problem in problems:
        out.say(f"Not read: {problem}")
    saved = [row["saved"] for row in rows if row.get("saved")]
    out.say(_verdict(rows))
    if args.save:
        out.say(f"Saved {len(saved)} new fits in {found.path / 'fits'}." if saved else "Nothing new to save.")
    same = [row["comparison"]["same"] for row in rows]
    out.result(
        {
            "run": str(found.path),
            "state": state.name,
            "points": rows,
            "trends": trend_fields,
            "all_same": None if any(answer is None for answer in same) else all(same),
            "saved": saved,
            "problems": problems,
        }
    )
    return 1 if problems else 0


def _fit_and_say(
    found: RunDirectory,
    point: PointData,
    out: Output,
    fits: list[tuple[float, PointFit]],
    *,
    save: bool,
) -> dict[str, Any]:
    from labctl.cli.table import point_line
    from labctl.store.table import compare, result_row

    fit, refusal = _fit(point)
    if fit is not None:
        fits.append((point.temperature_K, fit))
    row = result_row(point, fit)
    if refusal:
        row["warnings"].append(refusal)
    row["comparison"] = compare(fit, found.read_fit(point.index))
    row["stored"], difference = _compared(row["comparison"])
    row["saved"] = None
    if save and fit is not None and row["comparison"]["same"] is not True:
        row["saved"] = str(found.write_fit(point.index, fit.to_dict()))
    out.say(point_line(row))
    if difference:
        out.say(f"          {difference}")
    return row


def _say_warnings(rows: list[dict[str, Any]], out: Output) -> None:
    """Each warning once, with the temperatures that it holds for."""
    where: dict[str, list[str]] = {}
    for row in rows:
        kelvin = "?" if row["temperature_K"] is None else f"{row['temperature_K']:.0f}"
        for warning in row["warnings"]:
            where.setdefault(warning, []).append(kelvin)
    for warning, kelvins in where.items():
        place = "all points" if len(kelvins) == len(rows) > 1 else f"{', '.join(kelvins)} K"
        out.say(f"{place}: {warning}")


def _fit(point: PointData) -> tuple[PointFit | None, str]:
    """The fit, or why there is none."""
    from labctl.fitting.point import fit_point

    try:
        return fit_point(point.spectrum, point.pairs, response_sigma_s=point.response_sigma_s), ""
    except InputError as refused:
        return None, f"not fitted: {refused}"


def _compared(comparison: dict[str, Any]) -> tuple[str, str]:
    """One word for the table, and what differs, if something does."""
    if comparison["same"] is None:
        return "none", ""
    if comparison["same"]:
        return "same", ""
    name = _WORDS.get(comparison["which"], "a result")
    if comparison["largest_sigmas"] is None:
        return "differs", f"differs from the stored fit: {name} is in only one of the two"
    return (
        "differs",
        f"differs from the stored fit: {name} by {comparison['largest_sigmas']:.2g} of its errors",
    )


def _verdict(rows: list[dict[str, Any]]) -> str:
    answers = [row["comparison"]["same"] for row in rows]
    same, none = answers.count(True), answers.count(None)
    if same == len(rows):
        return f"Same as stored: all {_count(len(rows))}."
    words = [f"same as stored: {same}", f"different: {answers.count(False)}", f"without a stored fit: {none}"]
    return f"Of {_count(len(rows))}: {', '.join(words)}."


def _count(number: int) -> str:
    return "1 point" if number == 1 else f"{number} points"
