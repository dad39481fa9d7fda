"""Tags as Photon-HDF5, the exchange format of single-molecule spectroscopy (photon-hdf5.org)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import TagChunk
from labctl import __version__
from labctl.errors import InputError

_ROWS = 1 << 16
_URL = "http://photon-hdf5.org/"


def _titles() -> dict[str, str]:
    """Descriptions that the format prescribes word by word (version 0.5), by path."""
    text = files("labctl.photons").joinpath("photon_hdf5_titles.json").read_text(encoding="utf-8")
    titles: dict[str, str] = json.loads(text)
    return titles


def write_photon_hdf5(
    path: Path,
    chunks: Iterable[TagChunk],
    *,
    channels: Mapping[str, int],
    description: str,
    source_name: str = "",
) -> int:
    """Write a Photon-HDF5 file (version 0.5, continuous excitation, a beam splitter's detectors).

    Stamps stay in ps since the tagger's zero. Detector k of the file is the k-th channel; its hardware
    number stands in ``/setup/detectors/id_hardware``. Gaps of the record stand in ``/user/labctl/gaps_ps``.

    Args:
        path: The file; must not exist.
        chunks: The record.
        channels: Name of each detector -> channel number; only these are written, at least one.
        description: Comment in the file.
        source_name: Name of the file that the tags come from.

    Returns:
        Number of tags written.

    Raises:
        InputError: No channels, or more than 255.
    """
    import h5py

    if not 1 <= len(channels) <= 255:
        raise InputError("Photon-HDF5 needs the channels to write, from 1 to 255 of them")
    numbers = np.array(list(channels.values()), np.int64)
    with h5py.File(path, "x") as file:
        stamps = file.create_dataset(
            "photon_data/timestamps", (0,), "<i8", maxshape=(None,), chunks=(_ROWS,), compression="gzip",
            compression_opts=4, shuffle=True,
        )  # fmt: skip
        detectors = file.create_dataset(
            "photon_data/detectors", (0,), "u1", maxshape=(None,), chunks=(_ROWS,), compression="gzip",
            compression_opts=4,
        )  # fmt: skip
        counts, live_ps, gaps = _append(chunks, numbers, stamps, detectors)
        _describe(file, path, counts, numbers, list(channels), live_ps * 1e-12, description, source_name)
        file.create_dataset("user/labctl/gaps_ps", data=np.array(gaps, np.int64).reshape(-1, 2))
        titles = _titles()
        nodes: list[str] = []
        file.visit(nodes.append)
        for name in nodes:
            file[name].attrs["TITLE"] = np.bytes_(titles.get(f"/{name}", ""))
    return int(counts.sum())


def _append(
    chunks: Iterable[TagChunk], numbers: NDArray[np.int64], stamps: Any, detectors: Any
) -> tuple[NDArray[np.int64], int, list[tuple[int, int]]]:
    counts = np.zeros(len(numbers), np.int64)
    live_ps, gaps, end_ps, at = 0, [], None, 0
    for chunk in chunks:
        index = np.full(len(chunk.channels), 255, np.uint8)
        for k, number in enumerate(numbers):
            index[chunk.channels == number] = k
        used = index != 255
        counts += np.bincount(index[used], minlength=len(numbers))
        for dataset, values in ((stamps, chunk.timestamps_ps[used]), (detectors, index[used])):
            dataset.resize((at + len(values),))
            dataset[at:] = values
        at += int(used.sum())
        if end_ps is not None and chunk.begin_ps != end_ps:
            gaps.append((end_ps, chunk.begin_ps))
        gaps += [(gap.begin_ps, gap.end_ps) for gap in chunk.gaps]
        live_ps += chunk.end_ps - chunk.begin_ps - sum(gap.end_ps - gap.begin_ps for gap in chunk.gaps)
        end_ps = chunk.end_ps
    return counts, live_ps, gaps


def _describe(
    file: Any,
    path: Path,
    counts: NDArray[np.int64],
    numbers: NDArray[np.int64],
    names: list[str],
    seconds: float,
    description: str,
    source_name: str,
) -> None:
    n = len(numbers)
    text = {
        "description": description,
        "format_name": "Photon-HDF5",
        "format_version": "0.5",
        "photon_data/measurement_specs/measurement_type": "generic",
        "identity/format_name": "Photon-HDF5",
        "identity/format_version": "0.5",
        "identity/format_url": _URL,
        "identity/software": "labctl",
        "identity/software_version": __version__,
        "identity/creation_time": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "identity/filename": path.name,
        "identity/filename_full": str(path.resolve()),
        "provenance/filename": source_name,
    }
    for name, value in text.items():
        file[name] = np.bytes_(value.encode("utf-8") or b" ")
        # PyTables, through which phconvert reads, gives text back as text only with these marks of its own.
        for key, mark in (("CLASS", "ARRAY"), ("VERSION", "2.4"), ("FLAVOR", "python")):
            file[name].attrs[key] = np.bytes_(mark)
    numeric: dict[str, Any] = {
        "acquisition_duration": seconds,
        "photon_data/timestamps_specs/timestamps_unit": 1e-12,
        "setup/num_pixels": n,
        "setup/num_spots": 1,
        "setup/num_spectral_ch": 1,
        "setup/num_polarization_ch": 1,
        # Two detectors stand behind a beam splitter; of more, the format cannot say which see the same.
        "setup/num_split_ch": 2 if n == 2 else 1,
        "setup/modulated_excitation": np.uint8(0),
        "setup/lifetime": np.uint8(0),
        "setup/excitation_alternated": np.zeros(1, np.uint8),
        "setup/excitation_cw": np.ones(1, np.uint8),
        "setup/detectors/id": np.arange(n, dtype=np.uint8),
        "setup/detectors/id_hardware": numbers,
        "setup/detectors/counts": counts,
        "setup/detectors/label": np.array([name.encode("utf-8") for name in names]),
    }
    for name, value in numeric.items():
        file[name] = value
    specs = file.require_group("photon_data/measurement_specs/detectors_specs")
    if n == 2:
        for k in range(2):
            specs[f"split_ch{k + 1}"] = np.array([k], np.uint8)
    root = {
        "format_name": "Photon-HDF5",
        "format_version": "0.5",
        "format_url": _URL,
        "TITLE": _titles()["/"],
    }
    for name, value in root.items():
        file.attrs[name] = np.bytes_(value)
