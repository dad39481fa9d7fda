"""One seed, many independent streams of random numbers."""

from __future__ import annotations

from zlib import crc32

import numpy as np


def random_stream(seed: int, name: str) -> np.random.Generator:
    """The generator of one named process of the simulated rig.

    Each noise source has a stream of its own, so that asking one instrument more often does not change
    what another one gives.

    Args:
        seed: Seed of the simulated rig, not negative.
        name: Name of the process, e.g. ``"stage.sensor"``.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, crc32(name.encode("utf-8"))])))
