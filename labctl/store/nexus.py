"""The few NeXus habits that every file here keeps: class, unit and source at each thing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

COMPRESS_FROM_BYTES = 4096


class Node:
    """One group of a NeXus file being written.

    Args:
        group: The HDF5 group.
    """

    def __init__(self, group: Any) -> None:
        self._group = group

    def attributes(self, **values: Any) -> None:
        """Set attributes of the group."""
        for name, value in values.items():
            self._group.attrs[name] = value

    def group(self, name: str, nexus_class: str) -> Node:
        """Make a subgroup of a NeXus class."""
        child = self._group.create_group(name)
        child.attrs["NX_class"] = nexus_class
        return Node(child)

    def text(self, name: str, text: str) -> Any:
        """Write a text; gives the HDF5 dataset."""
        return self._group.create_dataset(name, data=text)

    def number(self, name: str, value: float | np.number[Any], unit: str, source: str) -> Any:
        """Write one number with its unit and source; integers stay integers."""
        kind = np.int64 if isinstance(value, int | np.integer) else np.float64
        return self._mark(self._group.create_dataset(name, data=kind(value)), unit, source)

    def array(self, name: str, values: NDArray[Any], unit: str, source: str) -> Any:
        """Write an array with its unit and source, in its own type.

        Larger ones are compressed with deflate, which every HDF5 reader has built in.
        """
        options: dict[str, Any] = {}
        if values.nbytes >= COMPRESS_FROM_BYTES:
            options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        return self._mark(self._group.create_dataset(name, data=values, **options), unit, source)

    def link(self, name: str, other: Node, target: str) -> None:
        """Give ``target`` of another group a second name here (one copy on the disk)."""
        dataset = other._group[target]
        dataset.attrs["target"] = dataset.name
        self._group[name] = dataset

    def external(self, name: str, file: str, path: str) -> None:
        """Link to ``path`` in another file; ``file`` is relative to this one, with ``/``."""
        import h5py

        self._group[name] = h5py.ExternalLink(file, path)

    @staticmethod
    def _mark(dataset: Any, unit: str, source: str) -> Any:
        dataset.attrs["units"] = unit
        dataset.attrs["source"] = source
        return dataset


@contextmanager
def create(path: Path) -> Iterator[Node]:
    """Make a NeXus file; give its root. The file is closed when the block ends."""
    import h5py

    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        file.attrs["NX_class"] = "NXroot"
        yield Node(file)


def nexus_name(name: str) -> str:
    """The nearest name that NeXus allows: letters, digits, ``_`` and inner dots."""
    plain = re.sub(r"[^A-Za-z0-9_.]", "_", name).strip(".")
    return plain or "_"
