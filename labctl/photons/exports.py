"""Tags as plain tables for other programs: CSV and Parquet, streamed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import numpy as np

from drivers.time_tagger.base import TagChunk
from labctl.errors import InputError


def write_csv(path: Path, chunks: Iterable[TagChunk]) -> int:
    """Write one line per tag, ``time_ps,channel``; give the number of tags."""
    tags = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("time_ps,channel\n")
        for chunk in chunks:
            np.savetxt(
                file, np.column_stack([chunk.timestamps_ps, chunk.channels.astype(np.int64)]), "%d", ","
            )
            tags += len(chunk.timestamps_ps)
    return tags


def write_parquet(path: Path, chunks: Iterable[TagChunk]) -> int:
    """Write a Parquet table, columns ``time_ps`` (int64) and ``channel`` (int32); give the number of tags.

    Raises:
        InputError: pyarrow is not installed.
    """
    try:
        pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise InputError("writing Parquet needs the package pyarrow (pip install pyarrow)") from error
    schema = pa.schema([("time_ps", pa.int64()), ("channel", pa.int32())])
    tags = 0
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=["channel"],
        column_encoding={"time_ps": "DELTA_BINARY_PACKED"},
    ) as writer:
        for chunk in chunks:
            columns = [pa.array(chunk.timestamps_ps), pa.array(chunk.channels, pa.int32())]
            writer.write_table(pa.table(columns, schema=schema))
            tags += len(chunk.timestamps_ps)
    return tags
