"""Compilation of the loops over tags: cached on disk, and free of the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., object])

# Casts of the compiled loops: there they fix the machine type of a number, which Python's int has not.
i64: Any = np.int64
u64: Any = np.uint64
u32: Any = np.uint32
u8: Any = np.uint8


def compiled(function: F) -> F:
    """Compile a loop on its first call; later processes load it from the cache."""
    machine_code: F = njit(cache=True, nogil=True)(function)
    return machine_code


def compiled_numeric(function: F) -> F:
    """The same for arithmetic on arrays, as numpy and BLAS do it.

    A division by zero gives inf or nan: to look for it at each division, as Python does, costs time and keeps
    the processor from taking several numbers at once. Sums are taken in any order for the same reason.
    """
    machine_code: F = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})(
        function
    )
    return machine_code
