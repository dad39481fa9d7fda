"""How a reply on a byte line is lost, delayed, cut, doubled or garbled by the faults of its line."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from simulators.faults import Faults


def any_other(byte: int, noise: np.random.Generator) -> int:
    """Any other byte."""
    return byte ^ int(noise.integers(1, 256))


def spoil(
    reply: bytes,
    faults: Faults,
    line: str,
    noise: np.random.Generator,
    ended: threading.Event,
    late_s: float,
    garble: Callable[[int, np.random.Generator], int] = any_other,
) -> bytes:
    """What the other end receives instead of ``reply``; waits ``late_s`` of wall time for a late one.

    Args:
        reply: The right answer.
        faults: Asked for ``<line>.reply_lost`` and so on.
        line: First part of the faults' names, e.g. ``"cryostage"``.
        noise: Says which bytes get garbled.
        ended: Cuts the wait short.
        late_s: Delay of a late reply.
        garble: What becomes of a byte that is hit (one to three are).
    """
    if not reply or faults.take(f"{line}.reply_lost"):
        return b""
    if faults.take(f"{line}.reply_late"):
        ended.wait(late_s)
    if faults.take(f"{line}.reply_garbled"):
        spoilt = bytearray(reply)
        for place in noise.integers(0, len(reply), size=int(noise.integers(1, 4))):
            spoilt[int(place)] = garble(spoilt[int(place)], noise)
        reply = bytes(spoilt)
    if faults.take(f"{line}.reply_truncated"):
        reply = reply[: len(reply) // 2]
    if faults.take(f"{line}.reply_doubled"):
        reply += reply
    return reply
