"""Sequence files: which of the known sequences, with which parameters."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import BaseModel

import sequences
from labctl.engine.schedule import PlannedStep
from labctl.engine.steps import Plan
from labctl.errors import InputError
from labctl.rig.rig import Rig
from labctl.toml_source import KeyPath, TomlSource


class SequenceModule(Protocol):
    """What a module of the ``sequences`` package gives."""

    Parameters: type[BaseModel]

    def schedule(self, parameters: Any, start_K: float) -> list[PlannedStep]:
        """The steps with the time that each should take."""

    def problems(self, parameters: Any, rig: Rig) -> list[tuple[KeyPath, str]]:
        """What the rig cannot do of it."""

    def plan(self, parameters: Any, devices: Mapping[str, Any]) -> Plan:
        """The plan."""


@dataclass(frozen=True)
class Sequence:
    """A sequence file that was read and understood."""

    name: str
    source: TomlSource
    parameters: Any
    module: SequenceModule

    def check(self, rig: Rig) -> None:
        """Make sure, before anything moves, that this rig can do all of it.

        Raises:
            InputError: One line for each value that the rig cannot do.
        """
        found = self.module.problems(self.parameters, rig)
        if found:
            raise InputError("\n".join(self.source.complaint(path, what) for path, what in found))


def sequence_names() -> list[str]:
    """Sequences that a file may ask for: the modules of the ``sequences`` package."""
    return sorted(module.name for module in pkgutil.iter_modules(sequences.__path__))


def load_sequence(path: Path) -> Sequence:
    """Read a sequence file.

    Raises:
        InputError: The file cannot be read, or one line for each mistake in it.
    """
    source = TomlSource.read(path)
    name = source.data.get("sequence")
    if name not in sequence_names():
        known = ", ".join(f'"{known}"' for known in sequence_names())
        what = "this key is missing" if name is None else f"no such sequence {name!r}"
        raise InputError(source.complaint(["sequence"], f"{what}; it may be {known}"))
    module = cast(SequenceModule, import_module(f"sequences.{name}"))
    return Sequence(name, source, source.validate(module.Parameters, source.data), module)
