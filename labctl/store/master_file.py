"""The master NeXus file of a run: one file to open, every point linked, the trend as its first plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl import __version__
from labctl.store import durable, strict_json
from labctl.store.nexus import Node, create
from labctl.store.point_file import FIT_UNITS, write_fit_process

if TYPE_CHECKING:
    from labctl.store.point import PointData
    from labctl.store.run_directory import RunDirectory

MASTER_FILE = "run.nxs"


def write_master_file(run: RunDirectory) -> Path:
    """Write ``run.nxs``: entry ``run`` with request, trends and newest fits; points as external links.

    The links are relative: the run directory may be moved as a whole.

    Raises:
        OSError: The file cannot be written.
    """
    path = run.path / MASTER_FILE
    points, fits = run.read_points(), run.read_fits()
    with durable.written_aside(path) as scratch, create(scratch) as root:
        root.attributes(default="run", creator="labctl", creator_version=__version__)
        entry = root.group("run", "NXentry")
        entry.text("title", run.title)
        entry.text("experiment_identifier", run.path.name)
        request = entry.group("request", "NXnote")
        request.text("type", "application/json")
        request.text("description", "what was asked, and with what software and computer")
        request.text("data", strict_json.dumps(run.request))
        _write_trends(entry, points, fits)
        for index, fit in fits.items():
            write_fit_process(entry.group(f"fit_{index:03d}", "NXprocess"), fit)
        for point in points:
            name = f"point_{point.index:03d}"
            root.external(name, f"points/{name}.nxs", f"/{name}")
    return path


def _write_trends(entry: Node, points: list[PointData], fits: Mapping[int, Mapping[str, Any]]) -> None:
    temperatures_K = np.array([point.temperature_K for point in points])
    written = []
    for name, unit in FIT_UNITS.items():
        pairs = [_value_and_error(fits.get(point.index, {}).get(name)) for point in points]
        values, errors = np.array(pairs, dtype=float).reshape(-1, 2).T
        if not np.isfinite(values).any():
            continue
        trend = entry.group(name, "NXdata")
        trend.attributes(signal=name, axes=np.array(["temperature"], dtype=object), temperature_indices=0)
        trend.array(name, values, unit, "derived")
        trend.array(f"{name}_errors", errors, unit, "derived")
        field = trend.array("temperature", temperatures_K, "K", "measured")
        field.attrs["long_name"] = "Temperature (K)"
        written.append(name)
    if written:
        entry.attributes(default="tau_slow_s" if "tau_slow_s" in written else written[0])


def _value_and_error(entry: Any) -> tuple[float, float]:
    if not isinstance(entry, Mapping) or entry.get("value") is None:
        return (np.nan, np.nan)
    error = entry.get("error")
    return (float(entry["value"]), float(error) if error is not None else np.nan)
