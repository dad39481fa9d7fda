"""Compilation of the loops over tags: cached on disk, and free of the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile a loop on its first call; later processes load it from the cache."""
    machine_code: F = njit(cache=True, nogil=True)(function)
    return machine_code
