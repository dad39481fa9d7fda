"""``labctl runs``: list the runs on the disk, newest first."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.cli.numbers import whole_from_1
from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from labctl.store.catalogue import RunEntry

NAME = "runs"
HELP = "list the runs on the disk, newest first"
_STYLES = {"running": "bold", "failed": "red", "interrupted": "yellow", "stopped": "yellow"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "--data", type=Path, default=Path("runs"), metavar="DIR", help="where runs are kept (default: runs)"
    )
    parser.add_argument("--last", type=whole_from_1, metavar="N", help="list only the newest N")
    parser.add_argument(
        "--rebuild", action="store_true", help="make the catalogue anew from the run directories"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the command."""
    from labctl.store.catalogue import list_runs, rebuild

    data: Path = args.data
    if data.exists() and not data.is_dir():
        raise InputError(f"--data {data}: this is a file, not the folder of runs")
    entries = rebuild(data) if args.rebuild and data.is_dir() else list_runs(data)
    shown = entries if args.last is None else entries[: args.last]
    if not entries:
        where = "is empty" if data.is_dir() else "does not exist"
        out.say(f"No runs yet: {data} {where}. `labctl sweep` makes the first one.")
    else:
        out.console.print(runs_table(shown))
        for entry in shown:
            if entry.state in {"stopped", "failed"} and entry.message:
                out.say(f"{entry.number:04d} {entry.state}: {entry.message}")
        if len(shown) < len(entries):
            out.say(f"{len(entries) - len(shown)} older runs in {data} are not shown.")
    out.result(
        {
            "data": str(data),
            "total": len(entries),
            "runs": [{**asdict(entry), "path": str(data / entry.folder)} for entry in shown],
        }
    )
    return 0


def runs_table(entries: list[RunEntry]) -> Table:
    """The table of runs for the terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for title in ("run", "date", "sequence", "sample", "rig"):
        table.add_column(title, no_wrap=title in {"run", "date", "rig"})
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("state")
    table.add_column("size", justify="right", no_wrap=True)
    for entry in entries:
        planned = "" if entry.points_planned is None else f"/{entry.points_planned}"
        table.add_row(
            f"{entry.number:04d}",
            _date(entry.created_epoch_s),
            Text((entry.sequence or entry.title).replace("_", " ")),
            Text(entry.sample),
            {True: "simulated", False: "real", None: "?"}[entry.simulated],
            f"{entry.points_done}{planned}",
            Text(entry.state, style=_STYLES.get(entry.state, "")),
            _size(entry.size_bytes),
        )
    return table


def _date(epoch_s: float | None) -> str:
    from datetime import UTC, datetime

    if epoch_s is None:
        return "?"
    return datetime.fromtimestamp(epoch_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _size(size_bytes: int) -> str:
    size, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}" if size < 1000 else f"{size:.0f} {unit}"
