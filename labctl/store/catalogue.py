"""The catalogue of runs: an SQLite file that can be made anew from the directories at any time.

The directories are the record; the catalogue only saves walking through them. A listing looks at each
directory's modification times and reads again what changed. A catalogue that is missing, damaged or of
another version is made anew; where the folder cannot be written, it is kept in memory.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from labctl.store.run_directory import RunDirectory, run_directories

CATALOGUE_FILE = "catalogue.sqlite"
VERSION = 1
TIMEOUT_S = 5.0
_COLUMNS = {
    "folder": "TEXT PRIMARY KEY",
    "number": "INTEGER NOT NULL",
    "created_epoch_s": "REAL",
    "title": "TEXT NOT NULL",
    "sequence": "TEXT NOT NULL",
    "sample": "TEXT NOT NULL",
    "simulated": "INTEGER",
    "seed": "INTEGER",
    "points_done": "INTEGER NOT NULL",
    "points_planned": "INTEGER",
    "state": "TEXT NOT NULL",
    "message": "TEXT NOT NULL",
    "size_bytes": "INTEGER NOT NULL",
    "changed_ns": "INTEGER NOT NULL",
}


@dataclass(frozen=True)
class RunEntry:
    """One run in the catalogue.

    Attributes:
        folder: Name of the run directory.
        number: Its number.
        created_epoch_s: When it was made, seconds since 1970-01-01 UTC; None when unknown.
        title, sequence, sample: As asked; empty when unknown.
        simulated: No instrument was involved; None when unknown.
        seed: Seed of a simulation.
        points_done: Points on the disk.
        points_planned: Points asked for; None when unknown.
        state: ``running``, ``done``, ``stopped``, ``failed`` or ``interrupted``.
        message: Why; may be empty.
        size_bytes: Size of everything in the directory.
        changed_ns: Newest modification time seen; tells whether the entry is still good.
    """

    folder: str
    number: int
    created_epoch_s: float | None
    title: str
    sequence: str
    sample: str
    simulated: bool | None
    seed: int | None
    points_done: int
    points_planned: int | None
    state: str
    message: str
    size_bytes: int
    changed_ns: int


def list_runs(root: Path) -> list[RunEntry]:
    """Every run in ``root``, newest first; brings the catalogue up to date.

    Raises:
        OSError: ``root`` is there but cannot be read.
    """
    folders = run_directories(root)
    if not folders:
        return []
    with _connection(root) as database:
        known = {entry.folder: entry for entry in _read(database)}
        entries = [_current(folder, known.get(folder.name)) for folder in folders]
        changed = [entry for entry in entries if known.get(entry.folder) != entry]
        gone = known.keys() - {entry.folder for entry in entries}
        _write(database, changed, gone)
    return sorted(entries, key=lambda entry: (entry.number, entry.folder), reverse=True)


def rebuild(root: Path) -> list[RunEntry]:
    """Make the catalogue anew from the directories alone; give the runs, newest first.

    Raises:
        OSError: ``root`` cannot be read.
    """
    _remove(root / CATALOGUE_FILE)
    return list_runs(root)


def read_entry(folder: Path) -> RunEntry:
    """What the catalogue says of one run, read from its directory; damaged parts read as unknown."""
    run = RunDirectory.open(folder)
    request = run.request
    state = run.state
    created_s, seed, simulated = (request.get(name) for name in ("created_epoch_s", "seed", "simulated"))
    return RunEntry(
        folder=folder.name,
        number=run.number,
        created_epoch_s=float(created_s) if isinstance(created_s, int | float) else None,
        title=run.title,
        sequence=run.sequence,
        sample=run.sample,
        simulated=simulated if isinstance(simulated, bool) else None,
        seed=seed if isinstance(seed, int) else None,
        points_done=len(run.point_indexes()),
        points_planned=run.planned_points,
        state=state.name,
        message=state.message,
        size_bytes=_size_bytes(folder),
        changed_ns=_changed_ns(folder),
    )


def _current(folder: Path, known: RunEntry | None) -> RunEntry:
    # Whether a running run still runs shows in no modification time.
    settled = known is not None and known.state in {"done", "stopped", "failed"}
    if known is not None and settled and known.changed_ns == _changed_ns(folder):
        return known
    return read_entry(folder)


def _changed_ns(folder: Path) -> int:
    """Newest modification time of the directory, its folders, and its state and request files."""
    watched = [folder, *(folder / name for name in ("points", "fits", "state.json", "request.json"))]
    times = []
    for path in watched:
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime_ns)
    return max(times, default=0)


def _size_bytes(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a scratch file may vanish while we look
            if path.is_file():
                size += path.stat().st_size
    return size


@contextmanager
def _connection(root: Path) -> Iterator[sqlite3.Connection]:
    database = _open(root / CATALOGUE_FILE)
    try:
        yield database
    finally:
        database.close()


def _open(path: Path) -> sqlite3.Connection:
    for _attempt in range(2):
        try:
            return _prepare(sqlite3.connect(path, timeout=TIMEOUT_S))
        except sqlite3.OperationalError:
            break  # the folder cannot be written, or another process holds the file
        except (sqlite3.DatabaseError, _WrongVersion):
            with contextlib.suppress(OSError):
                _remove(path)
    return _prepare(sqlite3.connect(":memory:"))


class _WrongVersion(Exception):
    """The file was written by another version of this program, or by another program."""


def _prepare(database: sqlite3.Connection) -> sqlite3.Connection:
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, VERSION}:
            raise _WrongVersion
        database.execute("PRAGMA journal_mode=WAL")
        columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        with database:
            database.execute(f"CREATE TABLE IF NOT EXISTS runs ({columns})")
            database.execute(f"PRAGMA user_version={VERSION}")
    except BaseException:
        database.close()
        raise
    return database


def _read(database: sqlite3.Connection) -> list[RunEntry]:
    names = ", ".join(_COLUMNS)
    return [_entry(row) for row in database.execute(f"SELECT {names} FROM runs")]


def _entry(row: tuple[Any, ...]) -> RunEntry:
    values = dict(zip(_COLUMNS, row, strict=True))
    if values["simulated"] is not None:
        values["simulated"] = bool(values["simulated"])
    return RunEntry(**values)


def _write(database: sqlite3.Connection, changed: list[RunEntry], gone: set[str]) -> None:
    if not changed and not gone:
        return
    marks = ", ".join("?" for _ in fields(RunEntry))
    # Another listing may be writing the same; either result is right. Losing the race costs a re-read.
    with contextlib.suppress(sqlite3.OperationalError), database:
        database.executemany(f"INSERT OR REPLACE INTO runs VALUES ({marks})", [astuple(e) for e in changed])
        database.executemany("DELETE FROM runs WHERE folder = ?", [(name,) for name in gone])


def _remove(path: Path) -> None:
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        name.unlink(missing_ok=True)
