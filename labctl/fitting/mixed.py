"""Several kinds of data in one likelihood: counts that are Poisson beside data with known variances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.solver import Statistic

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MixedData:
    """Independent data sets one behind the other; the model gives them in the same order.

    Args:
        parts: Each with its own statistic.
    """

    parts: tuple[Statistic, ...]

    @property
    def data(self) -> Array:
        """All data (n,)."""
        return np.concatenate([part.data for part in self.parts])

    def split(self, model: Array) -> list[Array]:
        """A vector over all data, cut into the parts'."""
        ends = np.cumsum([part.data.size for part in self.parts])[:-1]
        return np.split(model, ends)

    def deviance(self, model: Array) -> float:
        """Sum of the parts' deviances."""
        return sum(part.deviance(piece) for part, piece in zip(self.parts, self.split(model), strict=True))

    def variance(self, model: Array) -> Array:
        """Variances of all data (n,)."""
        pieces = zip(self.parts, self.split(model), strict=True)
        return np.concatenate([part.variance(piece) for part, piece in pieces])
