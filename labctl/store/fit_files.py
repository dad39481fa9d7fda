"""Fits on the disk: one JSON file for each thing fitted, older ones kept beside it under a version."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl import __version__
from labctl.store import durable, strict_json


def write_fit_file(
    path: Path, what: Mapping[str, Any], fit: Mapping[str, Any], beside: Mapping[str, Any]
) -> Path:
    """Keep a fit as ``path``; an older one becomes ``name.v1.json``, ``name.v2.json``, ...

    A record equal to the newest one is not written again.

    Args:
        path: The file of the newest fit.
        what: What was fitted, as in ``{"point": 3}``.
        fit: The fit.
        beside: What else belongs to it (``options``, ``intervals``); empty things are left out.

    Raises:
        OSError: The disk is full or gone.
    """
    path.parent.mkdir(exist_ok=True)
    plain = strict_json.jsonable({"fit": fit, **{name: thing for name, thing in beside.items() if thing}})
    if path.exists():
        newest = read_fit_record(path) or {}
        dated = {"software", "written_epoch_s", *what}
        if {name: thing for name, thing in newest.items() if name not in dated} == plain:
            return path
        set_aside(path)
    record = {**what, "software": {"labctl": __version__}, "written_epoch_s": time.time(), **plain}
    strict_json.write(path, record)
    return path


def read_fit_record(path: Path) -> dict[str, Any] | None:
    """The record of the newest fit with ``fit`` in it; None where there is none that can be read."""
    try:
        record = dict(strict_json.read(path))
        return {**record, "fit": dict(record["fit"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def set_aside(path: Path) -> Path:
    """Rename ``fit.json`` to the first free ``fit.v1.json``, ``fit.v2.json``, ..."""
    version = 1
    while (aside := path.with_name(f"{path.stem}.v{version}{path.suffix}")).exists():
        version += 1
    durable.rename(path, aside)
    return aside
