"""TOML files with strict typed models, and errors that name file, line and key."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from labctl.errors import InputError

Model = TypeVar("Model", bound=BaseModel)
KeyPath = tuple[str | int, ...]

_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line (from 1) on which each table and key of a TOML text begins.

    Tables of an array carry their index: ``("steps", 0, "stop_K")``. Values inside a one-line table or
    array have no line of their own; look the nearest parent up with ``line_of``.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = tuple(_parts(header.group(2)))
            if header.group(1) == "[[":
                index = counts.get(table, 0)
                counts[table] = index + 1
                table = (*table, index)
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            path: KeyPath = table
            for part in _parts(key.group(1)):
                path = (*path, part)
                lines.setdefault(path, number)
    return lines


@dataclass(frozen=True)
class TomlSource:
    """One parsed TOML file that can still say where each key stands.

    Attributes:
        path: The file.
        text: Its content as read.
        data: Its values.
    """

    path: Path
    text: str
    data: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> TomlSource:
        """Read and parse ``path``.

        Raises:
            InputError: Missing, not readable, not UTF-8, not TOML, or with a number that is nan or inf: a
                limit that nothing exceeds would be none.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not a UTF-8 text file (byte {error.start})") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
            line = place.group(1) if place else str(len(text.splitlines()))
            what = str(error).split(" (at ")[0]
            raise InputError(f"{path}:{line}: not valid TOML: {what}") from None
        source = cls(path, text, data)
        endless = [
            source.complaint(key, f"a finite number is expected (found {value})")
            for key, value in _numbers(data)
            if not math.isfinite(value)
        ]
        if endless:
            raise InputError("\n".join(endless))
        return source

    def line_of(self, path: Sequence[str | int]) -> int:
        """Line of a key, or of its nearest parent that has one."""
        lines = key_lines(self.text)
        for length in range(len(path), 0, -1):
            if tuple(path[:length]) in lines:
                return lines[tuple(path[:length])]
        return 1

    def complaint(self, path: Sequence[str | int], what: str) -> str:
        """``file:line: key: what``."""
        key = ".".join(str(part) for part in path)
        return f"{self.path}:{self.line_of(path)}: {key + ': ' if key else ''}{what}"

    def validate(self, model: type[Model], table: Any, prefix: Sequence[str | int] = ()) -> Model:
        """Turn one table of this file into its model.

        Args:
            model: A strict pydantic model.
            table: The value found in the file.
            prefix: Where in the file it stands.

        Raises:
            InputError: One line for each mistake.
        """
        try:
            return model.model_validate(table)
        except ValidationError as error:
            known = _field_names(model)
            complaints = []
            for item in error.errors():
                location = [part for part in item["loc"] if part not in _UNION_NOISE]
                complaints.append(self.complaint([*prefix, *location], _explain(dict(item), known)))
            raise InputError("\n".join(complaints)) from None


def _numbers(value: Any, at: KeyPath = ()) -> Iterator[tuple[KeyPath, float]]:
    """Every float of a TOML value, with where it stands."""
    if isinstance(value, float):
        yield at, value
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _numbers(inner, (*at, key))


_UNION_NOISE = {"float", "int", "str", "constrained-float"}


def _field_names(model: type[BaseModel]) -> list[str]:
    """Keys that may stand in the model's table and in the tables within it."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        names.append(name)
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                names += _field_names(inner)
    return names


def _explain(item: dict[str, Any], known: list[str]) -> str:
    if item["type"] == "extra_forbidden":
        wrong = str(item["loc"][-1])
        close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
        same_stem = [
            name for name in known if name.rsplit("_", 1)[0] == wrong.rsplit("_", 1)[0] and "_" in name
        ]
        if same_stem:
            return f"unknown key; did you mean {same_stem[0]} (mind the unit)?"
        return f"unknown key; did you mean {close[0]}?" if close else "unknown key"
    if item["type"] == "missing":
        return "this key is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{message} (found {_shown(item['input'])})"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
