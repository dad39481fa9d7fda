"""``labctl fit RUN``: fit a run again from disk, in any way, and compare with what was stored."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli import fit_options
from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.cli.fit_options import Asked
    from labctl.fitting.point import PointFit
    from labctl.fitting.profile import Interval
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
    fit_options.add_arguments(parser)


@dataclass(frozen=True)
class _Fitted:
    """A point with its new fit and its row of the table."""

    data: PointData
    fit: PointFit | None
    row: dict[str, Any]


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the command."""
    from labctl.cli.table import results_table
    from labctl.cli.trend_lines import trends
    from labctl.store.lookup import find_run
    from labctl.store.table import note_lines

    asked = fit_options.read(args)
    found = find_run(args.run, args.data)
    state = found.state
    if args.save and state.name == "running":
        raise InputError(f"{found.path.name} is still being measured; fit it without --save, or save later")
    problems: list[str] = []
    points = _points(found, asked, problems)
    out.say(f"{found.path.name}: {found.title}, {_count(len(points))}, {state.name}")
    if words := asked.words():
        out.say(f"Fitted with: {words}.")
    fitted = [_fit_and_say(found, point, asked, out, save=args.save) for point in points]
    rows = [one.row for one in fitted]
    out.console.print(results_table(rows))
    laws, trend_fields = trends([(one.data.temperature_K, one.fit) for one in fitted if one.fit is not None])
    for line in laws:
        out.say(line)
    sweep = _fit_sweep(found, fitted, asked, out, save=args.save) if asked.shared else None
    for line in [*note_lines(rows), *(f"Not read: {problem}" for problem in problems), _verdict(rows)]:
        out.say(line)
    saved = [row["saved"] for row in rows if row.get("saved")]
    if args.save:
        out.say(f"Saved {len(saved)} new fits in {found.path / 'fits'}." if saved else "Nothing new to save.")
    same = [row["comparison"]["same"] for row in rows]
    out.result(
        {
            "run": str(found.path),
            "state": state.name,
            "options": asked.choice.to_dict(),
            "points": rows,
            "trends": trend_fields,
            "sweep": sweep,
            "all_same": None if any(answer is None for answer in same) else all(same),
            "saved": saved,
            "problems": problems,
        }
    )
    return 1 if problems or (sweep and "refused" in sweep) else 0


def _points(found: RunDirectory, asked: Asked, problems: list[str]) -> list[PointData]:
    every = found.read_points(problems)
    if not every:
        why = "no point that can be read" if problems else "no finished point to fit"
        tags = sorted((found.path / "tags").glob("*"))
        rest = f"; look at its raw tags with: labctl tags check {tags[-1]}" if tags else ""
        raise InputError("\n".join([f"{found.path} ({found.state.name}) has {why}{rest}", *problems]))
    points = [point for point in every if asked.keep(point)]
    if not points:
        there = ", ".join(f"{point.index} ({point.temperature_K:.0f} K)" for point in every)
        raise InputError(f"no point of {found.path.name} is among those asked for; there are {there}")
    return points


def _fit_and_say(found: RunDirectory, point: PointData, asked: Asked, out: Output, *, save: bool) -> _Fitted:
    from labctl.cli.interval_lines import interval_lines
    from labctl.cli.table import point_line, stored_line
    from labctl.fitting.choice import residual_fields
    from labctl.store.report import restored
    from labctl.store.table import RESULTS, compare, result_row

    fit = asked.choice.fit(
        point.spectrum,
        point.pairs,
        response_sigma_s=point.response_sigma_s,
        background_Hz=point.background_Hz,
    )
    row, stored, options = result_row(point, fit), found.read_fit(point.index), asked.choice.to_dict()
    intervals = _intervals(point, fit, asked, row["warnings"])
    row["intervals"] = {name: interval.to_dict() for name, interval in intervals.items()}
    row["comparison"] = compare(fit, stored)
    row["stored_fit"] = None if stored is None else {name: stored.get(name) for name in RESULTS}
    row["stored_options"] = found.read_fit_options(point.index)
    row["stored"], difference = _compared(row["comparison"])
    row["saved"] = None
    changed = row["comparison"]["same"] is not True or row["stored_options"] != options or intervals
    changed = changed or restored(stored) is None
    if save and changed:
        path = found.write_fit(
            point.index,
            fit.to_dict(),
            options=options,
            intervals=row["intervals"],
            residuals=residual_fields(fit, point.spectrum, point.pairs),
        )
        row["saved"] = str(path)
    out.say(point_line(row))
    for line in interval_lines(intervals):
        out.say(f"          {line}")
    if difference:
        out.say(stored_line(result_row(point, stored)))
        out.say(f"          {difference}")
    if row["stored_options"] != options:
        made = fit_options.option_words(row["stored_options"]) or "the usual options"
        out.say(f"          the stored fit was made with {made}")
    return _Fitted(point, fit, row)


def _intervals(point: PointData, fit: PointFit, asked: Asked, warnings: list[str]) -> dict[str, Interval]:
    if not asked.intervals:
        return {}
    try:
        return asked.choice.intervals(
            point.spectrum,
            point.pairs,
            fit,
            response_sigma_s=point.response_sigma_s,
            background_Hz=point.background_Hz,
        )
    except InputError as refusal:
        warnings.append(f"intervals: {refusal}")
        return {}


def _fit_sweep(
    found: RunDirectory, fitted: list[_Fitted], asked: Asked, out: Output, *, save: bool
) -> dict[str, Any] | None:
    """Fit all temperatures at once; a refusal is said and leaves the points' fits as they are."""
    from labctl.cli.sweep_lines import sweep_lines, sweep_table
    from labctl.fitting.g2_fit import G2Options
    from labctl.fitting.sweep_fit import fit_sweep
    from labctl.fitting.sweep_start import Start, SweepPoint

    assert asked.shared is not None
    choice = asked.choice
    usable = [one for one in fitted if one.fit is not None and (one.fit.g2 or one.fit.spectrum)]
    points = [
        SweepPoint(
            one.data.temperature_K,
            one.data.pairs if one.fit and one.fit.g2 else None,
            one.fit.coupled_fraction if one.fit else None,
            one.data.spectrum if one.fit and one.fit.spectrum else None,
            one.data.background_Hz,
        )
        for one in usable
    ]
    starts = [Start(one.fit.coupled_fraction, one.fit.g2, one.fit.spectrum) for one in usable if one.fit]
    try:
        fit = fit_sweep(
            points,
            G2Options(fitted[0].data.response_sigma_s, form=choice.form, dead_time_s=choice.dead_time_s),
            shared=asked.shared,
            line_shape=choice.line_shape,
            constraints=asked.sweep_constraints,
            starts=starts,
        )
    except InputError as refusal:
        way_out = "; --share lifetimes needs fewer points" if asked.shared != "lifetimes" else ""
        out.say(f"All temperatures in one fit: {refusal}{way_out}")
        return {"refused": str(refusal)}
    for line in sweep_lines(fit):
        out.say(line)
    out.console.print(sweep_table(fit, [one.data for one in usable]))
    fields = fit.to_dict()
    if save:
        options = {
            "shared": asked.shared,
            "constraints": [constraint.to_dict() for constraint in asked.sweep_constraints],
            "points": [one.data.index for one in usable],
            **{name: value for name, value in choice.to_dict().items() if name != "constraints"},
        }
        out.say(f"Saved the common laws in {found.write_sweep_fit(fields, options=options)}.")
    return fields


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
