"""Line shapes of unit area in energy with their derivatives."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LineShape = Literal["gaussian", "asymmetric"]

_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)


def line(
    energy_eV: Array, centre_eV: float, width_eV: float, skew: float = 0.0
) -> tuple[Array, Array, Array, Array]:
    """Two-piece Gaussian: standard deviation width (1 + skew) below the centre, width (1 - skew) above.

    Both sides meet at the centre in value and slope, the area is 1 for any skew in (-1, 1); skew 0 is the
    Gaussian, skew > 0 has the tail towards low energy that phonons and traps give.

    Args:
        energy_eV: Where (n,).
        centre_eV: Position of the maximum.
        width_eV: Mean of the standard deviations of the two sides.
        skew: Asymmetry.

    Returns:
        The line per eV and its derivatives with respect to centre, width and skew, each (n,).
    """
    distance = energy_eV - centre_eV
    side = np.where(distance < 0.0, 1.0 + skew, 1.0 - skew)
    u = distance / (width_eV * side)
    value = np.exp(-0.5 * u * u) / (width_eV * _ROOT_TWO_PI)
    by_centre = value * u / (width_eV * side)
    by_width = value * (u * u - 1.0) / width_eV
    by_skew = value * u * u / side * np.where(distance < 0.0, 1.0, -1.0)
    return value, by_centre, by_width, by_skew
