"""The files that a command writes: refused before anything is computed where they cannot be written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from labctl.errors import InputError

FIGURES = (".png", ".pdf", ".svg")


def figure_path(out: Path | None, source: Path, ending: str) -> Path:
    """Where a figure goes: as asked, or ``<name>_<ending>.png`` in the present folder.

    Raises:
        InputError: The name has no ending of a figure.
    """
    if out is None:
        return Path(f"{source.stem or source.name}_{ending}.png")
    if out.suffix.lower() not in FIGURES:
        raise InputError(f"--out {out}: a figure ends in .png, .pdf or .svg")
    return out


def table_path(out: Path | None, source: Path, ending: str) -> Path:
    """Where a table goes: as asked, or ``<name>_<ending>.csv`` in the present folder.

    Raises:
        InputError: The name has the ending of a figure.
    """
    if out is None:
        return Path(f"{source.stem or source.name}_{ending}.csv")
    if out.suffix.lower() in FIGURES:
        raise InputError(
            f"--out {out}: this is for the table; say {out.with_suffix('.csv')}, the figure goes beside it"
        )
    return out


def require_writable(paths: Sequence[Path], sources: Iterable[Path]) -> None:
    """Refuse names that no file can have or that would destroy what is read.

    Args:
        paths: What will be written; what is there already will be replaced.
        sources: What is read.

    Raises:
        InputError: A folder that does not exist or has no leave to write, a folder in the file's place, a
            source in its place, or a name that the system does not take.
    """
    read = [place.stat() for place in sources if place.exists()]
    for path in paths:
        if not path.parent.is_dir():
            raise InputError(f"{path}: the folder {path.parent} does not exist")
        there = _status(path)
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise InputError(f"{path}: a folder of this name is in the way")
        if there is not None and any(os.path.samestat(there, source) for source in read):
            raise InputError(
                f"{path} is what is read, and would be overwritten; choose another name with --out"
            )
        if not os.access(path.parent if there is None else path, os.W_OK):
            raise InputError(f"{path}: there is no leave to write it")


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: no file can have this name: {error.strerror}") from error
