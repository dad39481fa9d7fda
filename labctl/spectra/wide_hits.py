"""Cosmic-ray hits of several pixels in a single frame, where no other frame tells them from light.

A fit of broad peaks leaves over what is narrower than a line. Searched is a box of 2 to 12 pixels on what the
fit leaves, in standard deviations, against a parabola through the pixels beside it: so a wrong line shape,
smooth over a line's width, does not pass for a hit. With a box b and the parabolas P over a window, the best
height has the significance

    z = k r / sqrt(k k),   k = b - P (P^T P)^-1 P^T b,

normal with standard deviation 1 for a clean frame; the skewness g of few photo-electrons is taken off by
Cornish and Fisher's z - g (z^2 - 1)/6. The limit of 5.5 is passed by a clean frame of 1000 pixels in fewer
than one of 10^4 (six widths, 2500 independent boxes); measured in ``benchmarks/cosmic_hits.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDTHS = (2, 3, 4, 6, 8, 12)
HIT_SIGMA = 5.5


@dataclass(frozen=True)
class WideHit:
    """A run of pixels above what is around it.

    Args:
        first, last: Its pixels.
        sigma: Significance of its height.
    """

    first: int
    last: int
    sigma: float


def widest_excess(pull: Array, skewness: Array) -> WideHit | None:
    """The most significant run of 2 to 12 pixels above what is around it; None below 5.5 sigma.

    Args:
        pull: Measured less expected of neighbouring pixels in standard deviations (n,).
        skewness: Of each of them, third cumulant over the cube of the standard deviation (n,).
    """
    # Pixels that scatter more than the camera says (its own pattern under bright light) are not hits.
    pull = pull / np.sqrt(max(1.0, float(np.median(pull**2)) / 0.455))
    best: WideHit | None = None
    for width in WIDTHS:
        kernel = _kernel(width)
        if kernel.size > pull.size:
            break
        norm = float(np.sqrt(kernel @ kernel))
        z = np.correlate(pull, kernel, mode="valid") / norm
        skew = np.correlate(skewness, kernel**3, mode="valid") / norm**3
        z = z - skew * (z**2 - 1.0) / 6.0
        at = int(np.argmax(z))
        if z[at] > HIT_SIGMA and (best is None or z[at] > best.sigma):
            first = at + (kernel.size - width) // 2
            best = WideHit(first, first + width - 1, float(z[at]))
    return best


def _kernel(width: int) -> Array:
    """Box of ``width`` pixels less its parabola over it and twice its width (4 at least) on either side."""
    beside = max(2 * width, 4)
    x = np.linspace(-1.0, 1.0, width + 2 * beside)
    box = np.zeros(x.size)
    box[beside : beside + width] = 1.0
    basis = np.linalg.qr(np.stack([np.ones_like(x), x, x**2], axis=1))[0]
    return np.asarray(box - basis @ (basis.T @ box))
