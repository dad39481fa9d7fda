"""JSON that every reader accepts: numpy becomes lists, not-a-number becomes null."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from labctl.store import durable


def jsonable(thing: Any) -> Any:
    """Turn ``thing`` into dicts, lists, strings, numbers, booleans and None.

    NaN and infinities become None (strict JSON has no word for them). Things with no counterpart
    become their ``repr``: a record with an odd field is worth more than no record.
    """
    if isinstance(thing, np.generic | np.ndarray):
        return _jsonable_numpy(thing)
    if thing is None or isinstance(thing, str | bool | int | float):
        return _jsonable_plain(thing)
    if isinstance(thing, Mapping):
        return {str(key): jsonable(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [jsonable(item) for item in thing]
    if isinstance(thing, set | frozenset):
        return sorted((jsonable(item) for item in thing), key=repr)
    return _jsonable_object(thing)


def dumps(thing: Any, *, indent: int | None = None) -> str:
    """One strict JSON text of ``thing`` (see :func:`jsonable`); without ``indent`` on one line."""
    return json.dumps(jsonable(thing), allow_nan=False, ensure_ascii=False, indent=indent)


def write(path: Path, thing: Any) -> None:
    """Write ``thing`` as an indented JSON file in one step.

    Raises:
        OSError: The file cannot be written.
    """
    durable.write_text(path, dumps(thing, indent=2) + "\n")


def loads(text: str) -> Any:
    """The thing that a JSON text says.

    Raises:
        ValueError: It is not JSON.
    """
    return json.loads(text)


def read(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not JSON in UTF-8.
    """
    return json.loads(path.read_text(encoding="utf-8"))


def _jsonable_plain(thing: str | float | None) -> str | float | None:
    if isinstance(thing, float):
        return float(thing) if math.isfinite(thing) else None
    if isinstance(thing, Enum):  # one that is also a string or an integer
        return _jsonable_plain(thing.value)
    return thing


def _jsonable_numpy(thing: np.generic | np.ndarray[Any, Any]) -> Any:
    plain = thing.tolist()
    if isinstance(plain, np.generic):  # longdouble stays numpy
        return jsonable(float(thing))
    whole = thing.dtype.kind in "biuU" or (thing.dtype.kind == "f" and bool(np.isfinite(thing).all()))
    return plain if whole else jsonable(plain)


def _jsonable_object(thing: Any) -> Any:
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return {field.name: jsonable(getattr(thing, field.name)) for field in dataclasses.fields(thing)}
    if hasattr(thing, "model_dump"):  # pydantic
        return jsonable(thing.model_dump())
    if isinstance(thing, datetime.date | datetime.time):
        return thing.isoformat()
    if isinstance(thing, PurePath):
        return thing.as_posix()
    return repr(thing)
