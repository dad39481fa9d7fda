"""The report of a run: one figure and one page of text, made anew from the disk at any time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.store import durable
from labctl.store.figure import draw_figure
from labctl.store.panel import FigurePoint
from labctl.store.table import RESULTS, note_lines, result_row
from labctl.store.truth import true_curve

if TYPE_CHECKING:
    from labctl.fitting.point import PointFit
    from labctl.store.run_directory import RunDirectory

FIGURE_FILE = "figure.png"
REPORT_FILE = "report.md"
DOTS_PER_INCH = 150
_HEADINGS = {
    "red_shift_eV": ("red-shift (meV)", 1e3),
    "coupled_fraction": ("coupled (%)", 1e2),
    "tau_fast_s": ("tau_fast (ns)", 1e9),
    "tau_slow_s": ("tau_slow (ns)", 1e9),
}
_GOODNESS = {"spectrum": "chi2 spectrum", "g2": "chi2 g2"}


def write_figure(run: RunDirectory) -> Path:
    """Draw the run's points and newest fits into ``figure.png``.

    Spectra against temperature, g2 at the highest and the lowest temperature, lifetimes, coupled
    fraction and red-shift against temperature. Parts that were not measured say so.

    Raises:
        ValueError: The run has no point that can be read.
        OSError: The file cannot be written.
    """
    points = figure_points(run)
    if not points:
        raise ValueError(f"{run.path} has no point that can be read: nothing to draw")
    in_time = sorted(points, key=lambda point: point.data.index)
    recorded = [(point.temperature_K, point.data.truth) for point in in_time if point.data.truth is not None]
    figure = draw_figure(points, truth=true_curve(run.sample, recorded), title=_title(run))
    path = run.path / FIGURE_FILE
    with durable.written_aside(path) as scratch:
        figure.savefig(scratch, format="png", dpi=DOTS_PER_INCH)
    return path


def write_report(run: RunDirectory) -> Path:
    """Write ``report.md``: what was asked, how it ended, the table of results, the figure.

    Raises:
        OSError: The file cannot be written.
    """
    path = run.path / REPORT_FILE
    durable.write_text(path, "\n".join(_report_lines(run)) + "\n")
    return path


def figure_points(run: RunDirectory) -> list[FigurePoint]:
    """Points with their newest fits and results, warmest first."""
    fits = run.read_fits()
    found = []
    for point in run.read_points():
        fields = fits.get(point.index)
        found.append(FigurePoint(point, restored(fields), result_row(point, fields)))
    return sorted(found, key=lambda item: -item.temperature_K)


def restored(fields: Mapping[str, Any] | None) -> PointFit | None:
    """The fit with its curves; None where another version wrote it in another form."""
    from labctl.fitting.point import PointFit

    if fields is None:
        return None
    try:
        return PointFit.from_dict(dict(fields))
    except (KeyError, TypeError, ValueError):
        return None


def _title(run: RunDirectory) -> str:
    words = [f"Run {run.number:04d}", run.title]
    if run.sample and run.sample not in run.title:
        words.append(f"sample {run.sample}")
    if run.request.get("simulated"):
        words.append("simulated")
    if (state := run.state.name) not in {"running", "done"}:
        words.append(state)
    return ", ".join(words)


def _report_lines(run: RunDirectory) -> list[str]:
    state = run.state
    points, fits = run.read_points(), run.read_fits()
    rows = [result_row(point, fits.get(point.index)) for point in points]
    planned = "" if run.planned_points is None else f" of {run.planned_points}"
    lines = [
        f"# {_title(run)}",
        "",
        f"* directory: `{run.path.name}`",
        f"* made: {run.request.get('created', 'unknown')}",
        f"* state: {state.name}{': ' + state.message if state.message else ''}",
        f"* points: {len(rows)}{planned}",
        f"* report written: {datetime.now(UTC).isoformat(timespec='seconds')}",
        "",
    ]
    known = any(row[name]["true"] is not None for row in rows for name in RESULTS)
    lines += ["Errors are half widths of 68.3 % intervals, in units of the last digit."]
    if known:
        lines += ["The sample is simulated: the true value stands in brackets."]
    headings = ["T (K)", *(heading for heading, _ in _HEADINGS.values()), *_GOODNESS.values()]
    lines += ["", f"| {' | '.join(headings)} |", f"|{' ---: |' * len(headings)}"]
    for row in rows:
        cells = [f"{row['temperature_K']:.2f}" if row["temperature_K"] is not None else "?"]
        cells += [_cell(row[name], factor) for name, (_, factor) in _HEADINGS.items()]
        cells += [_goodness((fits.get(row["point"]) or {}).get(name)) for name in _GOODNESS]
        lines.append(f"| {' | '.join(cells)} |")
    notes = note_lines(rows)
    lines += ["", *(f"* {note}" for note in notes)] if notes else []
    if (run.path / FIGURE_FILE).exists():
        lines += ["", f"![spectra, g2 and trends]({FIGURE_FILE})"]
    return lines


def _goodness(fit: Any) -> str:
    """Chi-squared and degrees of freedom of one of a point's fits."""
    found = fit.get("goodness") if isinstance(fit, Mapping) else None
    return "-" if not found else f"{found['chi2']:.0f}/{found['dof']}"


def _cell(result: Mapping[str, Any], factor: float) -> str:
    from labctl.fitting.value import Value

    value = None if result["value"] is None else Value.from_dict(dict(result))
    text = "-" if value is None else str(value.scaled(factor))
    if result["true"] is not None:
        text += f" [{result['true'] * factor:.3g}]"
    return text
