"""Which run a person means: a path, a number, or the beginning of a name."""

from __future__ import annotations

import os
from pathlib import Path

from labctl.errors import InputError
from labctl.store.run_directory import RunDirectory, is_run_directory, run_directories

SHOWN = 5


def find_run(text: str, data: Path) -> RunDirectory:
    """Find a run.

    Args:
        text: Path of a run directory; or its number (``12``, ``0012``), ``last``, or the beginning or
            a part of its name that only one run has.
        data: The folder of all runs, for anything but a path.

    Raises:
        InputError: No run or several runs fit; the message lists them.
    """
    path = Path(text)
    # Unlike Path.resolve, this takes links that lead in a circle (they name no run).
    real = Path(os.path.realpath(path))
    if is_run_directory(real):
        return RunDirectory.open(real)
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path}: a link that leads nowhere")
    if path.is_dir() and (path.is_absolute() or len(path.parts) > 1):
        raise InputError(f"{path} is not a run directory (it has no request.json)")
    runs = run_directories(data)
    if not runs:
        raise InputError(f"no runs in {data}; name another folder with --data DIR")
    if text == "last":
        return RunDirectory.open(runs[-1])
    fitting = _by_number(text, runs) or [run for run in runs if run.name.startswith(text)]
    fitting = fitting or [run for run in runs if text and text in run.name]
    if not fitting:
        raise InputError(
            f"no run {text!r} in {data}; there are {len(runs)}, the newest is {runs[-1].name} "
            "(`labctl runs` lists them)"
        )
    if len(fitting) > 1:
        names = ", ".join(run.name for run in fitting[-SHOWN:])
        more = f" and {len(fitting) - SHOWN} more" if len(fitting) > SHOWN else ""
        raise InputError(
            f"{text!r} could be {len(fitting)} runs in {data}: {names}{more}; say more of the name"
        )
    return RunDirectory.open(fitting[0])


def _by_number(text: str, runs: list[Path]) -> list[Path]:
    if not text.isascii() or not text.isdigit():
        return []
    return [run for run in runs if RunDirectory(run).number == int(text)]
