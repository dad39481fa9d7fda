"""Swabian's .ttbin files, read by the vendor's own module where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drivers.errors import InstrumentError
from drivers.time_tagger.base import TagChunk
from labctl.errors import InputError


def read_ttbin(path: str | Path, vendor: Any = None) -> Iterator[TagChunk]:
    """Give the tags of a .ttbin file (its parts follow by themselves).

    Args:
        path: The header file ``name.ttbin``, or one part.
        vendor: The vendor's module; ``None`` loads the installed one.

    Raises:
        InputError: Missing, not such a file, empty (the vendor's reader gives nothing for a bad file
            instead of an error), times that run backwards, or the vendor's module is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if vendor is None:
        from drivers.time_tagger.vendor import load_vendor

        try:
            vendor = load_vendor(str(path))
        except InstrumentError as error:
            raise InputError(f"reading .ttbin needs the vendor's module: {error}") from error
    return _chunks(path, vendor)


def _chunks(path: Path, vendor: Any) -> Iterator[TagChunk]:
    from drivers.time_tagger.vendor_file import read_vendor_file

    tags = 0
    try:
        for chunk in read_vendor_file(path, vendor):
            tags += len(chunk.timestamps_ps)
            yield chunk
    except (InstrumentError, OSError) as error:
        raise InputError(str(error)) from error
    if not tags:
        raise InputError(
            f"{path}: the vendor's reader found no time tags in it (damaged, or an empty record)"
        )
