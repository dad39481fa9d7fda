"""C memory seen from Python callbacks: writing results through the caller's pointers."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

# An out-parameter: a ctypes pointer that takes ``pointer[0] = value``.
Out = Any
# A ``char *`` or a data buffer: its address (None for NULL).
Address = int | None


def put_text(address: Address, text: str, size: int = 256) -> None:
    """Write ``text`` with its closing zero to a buffer of ``size`` bytes."""
    if address:
        data = text.encode("ascii", "replace")[: size - 1] + b"\0"
        ctypes.memmove(address, data, len(data))


def get_text(address: Address) -> str:
    """The text that ends with a zero at this address."""
    return ctypes.string_at(address).decode("ascii", "replace") if address else ""


def put_array(address: Address, values: NDArray[Any], dtype: str) -> None:
    """Write ``values`` as consecutive numbers of ``dtype`` (e.g. ``"<i4"``)."""
    data = np.ascontiguousarray(values, dtype=dtype).tobytes()
    if address:
        ctypes.memmove(address, data, len(data))
