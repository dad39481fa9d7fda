"""Layout of the tag segments: names, row types, version.

A folder holds ``tags-00001.h5``, ``tags-00002.h5`` ... A segment is written as
``tags-00003.h5.open``; when it is full (a minute) it is closed, synced to disk, renamed, and never
touched again. Inside, tags are stored in *frames* of at most 262144 tags, each in one compressed and
checksummed HDF5 chunk of its own that is written once:

``step_ps``
    uint32: time since the tag before (the first tag of a frame: since ``first_ps``, so 0).
``channel``
    int8: the tagger's channel number.
``far_steps``
    Steps beyond 32 bits: (frame, index in the frame, high 32 bits).
``gaps``
    Stretches where the tagger lost events: (begin_ps, end_ps, channel, missed); channel 0 and
    missed 0 where it does not say.
``frames``
    One row per frame: number of tags, begin_ps, end_ps (the stretch), first_ps, last_ps, rows used
    so far in ``far_steps`` and ``gaps``, and a checksum of the row. Frame k begins at k * 262144.

HDF5's single-writer mode orders the writes so that the file can be opened at any time.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
from numpy.typing import NDArray

FORMAT = "labctl-tags"
VERSION = 1
FRAME = 1 << 18
OPEN_SUFFIX = ".open"

FRAME_ROW = np.dtype(
    [
        ("tags", "<u4"),
        ("begin_ps", "<i8"),
        ("end_ps", "<i8"),
        ("first_ps", "<i8"),
        ("last_ps", "<i8"),
        ("far_steps", "<u4"),
        ("gaps", "<u4"),
        ("check", "<u4"),
    ]
)
FAR_ROW = np.dtype([("frame", "<u4"), ("index", "<u4"), ("high", "<u4")])
GAP_ROW = np.dtype([("begin_ps", "<i8"), ("end_ps", "<i8"), ("channel", "<i4"), ("missed", "<i8")])


def segment_name(number: int) -> str:
    """File name of a closed segment."""
    return f"tags-{number:05d}.h5"


def segment_number(name: str) -> int | None:
    """Number in the file name of a segment, closed or not; ``None`` if it has none."""
    found = re.fullmatch(rf"tags-(\d+)\.h5(?:{re.escape(OPEN_SUFFIX)})?", name)
    return int(found[1]) if found else None


def row_check(row: NDArray[np.void]) -> int:
    """Checksum of a row of ``frames`` (CRC-32 of everything before the field ``check``)."""
    return zlib.crc32(row.tobytes()[: FRAME_ROW.itemsize - 4])
