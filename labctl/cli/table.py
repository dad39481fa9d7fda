"""Results on the terminal: a line per point while it happens, a table at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from labctl.engine.live import LiveStanding

Row = Mapping[str, Any]


class _Column(NamedTuple):
    name: str
    title: str
    unit: str
    per_unit: float


COLUMNS = (
    _Column("red_shift_eV", "red-shift", "meV", 1e3),
    _Column("coupled_fraction", "coupled", "%", 1e2),
    _Column("tau_fast_s", "tau_fast", "ns", 1e9),
    _Column("tau_slow_s", "tau_slow", "ns", 1e9),
)
FAR_SIGMAS = 3.0


def results_table(rows: Sequence[Row], *, title: str | None = None) -> Table:
    """The results of all points, each number with its error and, below it, the true value if known.

    Args:
        rows: Rows from ``labctl.store.table.result_row``, in the order to show. A row may carry
            ``stored``, a word on how it compares with the stored fit.
        title: Heading.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 0, 0, 1))
    table.caption, table.caption_justify = _caption(rows), "left"
    table.add_column("T\n(K)", justify="right", no_wrap=True)
    for column in COLUMNS:
        table.add_column(f"{column.title}\n({column.unit})", justify="right", no_wrap=True)
    with_stored = any(row.get("stored") for row in rows)
    if with_stored:
        table.add_column("stored\nfit", no_wrap=True)
    for row in rows:
        cells = [Text(_kelvin(row)), *(_cell(row[column.name], column) for column in COLUMNS)]
        if with_stored:
            cells.append(Text(str(row.get("stored") or "")))
        table.add_row(*cells)
    return table


def point_line(row: Row) -> str:
    """One line with the results of one point, e.g. as soon as it is measured."""
    words = [f"{_kelvin(row):>7} K"]
    if not row.get("fitted", True):
        words.append("measured, not fitted")
    else:
        words += [f"{column.title} {_measured(row[column.name], column)}" for column in COLUMNS]
    line = "   ".join(words)
    if any(row[column.name]["true"] is not None for column in COLUMNS):
        line += "   true: " + ", ".join(_true_with_unit(row[column.name], column) for column in COLUMNS)
    return line


def stored_line(row: Row) -> str:
    """The stored results of a point, to stand below :func:`point_line`."""
    words = [f"{column.title} {_measured(row[column.name], column)}" for column in COLUMNS]
    return " " * 10 + "stored: " + "   ".join(words)


def live_words(live: LiveStanding) -> str:
    """What can be said of the histogram that is growing now."""
    counts = f"{live.pairs} pairs in {live.frames} frames, "
    counts += " + ".join(f"{rate * 1e-3:.1f}" for rate in live.rates_per_s) + " kcps"
    fit = live.fit
    if fit is None:
        return f"live: no lifetimes yet; {counts}"
    lifetimes = [f"tau_slow {fit.tau_slow_s.scaled(1e9)}"]
    fast = fit.tau_fast_s
    if not live.single and "lifetime_fast_s" not in fit.at_bound and fast.error < fast.value:
        lifetimes.insert(0, f"tau_fast {fast.scaled(1e9)}")
    return f"live: {', '.join(lifetimes)} ns, mu {fit.mu:.3g}; {counts}"


def _kelvin(row: Row) -> str:
    temperature_K = row.get("temperature_K")
    return "?" if temperature_K is None else f"{temperature_K:.2f}"


def _measured(result: Mapping[str, Any], column: _Column) -> str:
    text = _value(result, column)
    return text if text == "-" else f"{text} {column.unit}"


def _value(result: Mapping[str, Any], column: _Column) -> str:
    from labctl.fitting.value import Value

    value = None if result["value"] is None else Value.from_dict(dict(result))
    return "-" if value is None else str(value.scaled(column.per_unit))


def _true(result: Mapping[str, Any], column: _Column) -> str:
    """The true value with as many decimals as the measured one has."""
    if result["true"] is None:
        return "-"
    true = result["true"] * column.per_unit
    if result["value"] is None:
        return f"{true:.3g}"
    # 0.236(6), or 1.24 +0.20 -0.11.
    number = _value(result, column).partition("(")[0].partition(" +")[0]
    digits = number.partition(".")[2]
    return f"{true:.{len(digits)}f}" if digits.isdigit() or (number and not digits) else f"{true:.6g}"


def _true_with_unit(result: Mapping[str, Any], column: _Column) -> str:
    text = _true(result, column)
    return text if text == "-" else f"{text} {column.unit}"


def _cell(result: Mapping[str, Any], column: _Column) -> Text:
    from rich.text import Text

    text = Text(_value(result, column))
    if result["true"] is not None:
        text.append(f"\n{_true(result, column)}", style="dim")
        sigmas = result["sigmas"]
        if sigmas is not None:
            far = abs(sigmas) > FAR_SIGMAS
            text.append(f" {sigmas:+.1f} sd{'*' if far else ''}", style="yellow" if far else "dim")
    return text


def _caption(rows: Sequence[Row]) -> str | None:
    results = [row[column.name] for row in rows for column in COLUMNS]
    if all(result["true"] is None for result in results):
        return None
    words = "Below each: the simulated sample's true value, and the distance from it in standard errors"
    far = any(result["sigmas"] is not None and abs(result["sigmas"]) > FAR_SIGMAS for result in results)
    return words + (f" (* more than {FAR_SIGMAS:g})." if far else ".")
