"""All temperatures behind one parameter vector: laws, what is common, what each point has for itself.

Each point's own models (pairs, pixels) take local parameters. A local parameter is one entry of the sweep's
vector, or a law of temperature with a few of them; so the Jacobian of a point is the local one times a small
matrix of derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.mixed import MixedData
from labctl.fitting.solver import Model, Parameter, Statistic
from labctl.fitting.trends import LawModel

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Block:
    """Data of one point that one model describes.

    Args:
        point: Number of the point.
        names: Local parameters in the order in which ``model`` takes them.
        model: Expected data (n,) and Jacobian (n, k).
        statistic: The data and how they scatter.
    """

    point: int
    names: tuple[str, ...]
    model: Model
    statistic: Statistic


@dataclass(eq=False)
class SweepParameters:
    """The sweep's vector as it is put together.

    Args:
        temperature_K: Of the points (n,).
    """

    temperature_K: Array
    parameters: list[Parameter] = field(default_factory=list)
    _laws: dict[str, tuple[slice, LawModel]] = field(default_factory=dict)
    _common: dict[str, int] = field(default_factory=dict)
    _own: dict[tuple[str, int], int] = field(default_factory=dict)

    def law(self, local: str, model: LawModel, parameters: Sequence[Parameter]) -> None:
        """Local parameter ``local`` follows a law with these parameters."""
        begin = len(self.parameters)
        self.parameters += parameters
        self._laws[local] = (slice(begin, len(self.parameters)), model)

    def common(self, local: str, parameter: Parameter) -> None:
        """Local parameter ``local`` is the same at all points."""
        self._common[local] = len(self.parameters)
        self.parameters.append(parameter)

    def own(self, local: str, point: int, parameter: Parameter) -> None:
        """Local parameter ``local`` of one point is its own."""
        self._own[local, point] = len(self.parameters)
        self.parameters.append(parameter)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    def part(self, local: str) -> slice:
        """Where the parameters of a law stand."""
        return self._laws[local][0]

    def local(self, theta: Array) -> Callable[[str, int], tuple[float, NDArray[np.intp], Array]]:
        """Value of a local parameter at a point, the columns it depends on, the derivatives by them."""
        laws = {name: model(self.temperature_K, theta[part]) for name, (part, model) in self._laws.items()}

        def found(name: str, point: int) -> tuple[float, NDArray[np.intp], Array]:
            if name in laws:
                part = self._laws[name][0]
                values, gradient = laws[name]
                return float(values[point]), np.arange(part.start, part.stop), gradient[point]
            index = self._common.get(name)
            column = self._own[name, point] if index is None else index
            return float(theta[column]), np.array([column]), np.ones(1)

        return found


class SweepModel:
    """Expected data of all blocks and their Jacobian.

    Args:
        parameters: The vector.
        blocks: In the order of the data.
    """

    def __init__(self, parameters: SweepParameters, blocks: Sequence[Block]) -> None:
        self.parameters, self.blocks = parameters, tuple(blocks)
        self.statistic = MixedData(tuple(block.statistic for block in blocks))
        sizes = [block.statistic.data.size for block in blocks]
        self.ends = np.cumsum([0, *sizes])

    def __call__(self, theta: Array) -> tuple[Array, Array]:
        """Expected data (n,) and Jacobian (n, p)."""
        find = self.parameters.local(theta)
        expected = np.empty(int(self.ends[-1]))
        jacobian = np.zeros((expected.size, theta.size))
        for block, begin, end in zip(self.blocks, self.ends[:-1], self.ends[1:], strict=True):
            local = [find(name, block.point) for name in block.names]
            value, by_local = block.model(np.array([entry[0] for entry in local]))
            expected[begin:end] = value
            for column, (_, places, derivatives) in zip(by_local.T, local, strict=True):
                jacobian[begin:end, places] += column[:, None] * derivatives
        return expected, jacobian

    def rows(self, number: int) -> slice:
        """Rows of one block."""
        return slice(int(self.ends[number]), int(self.ends[number + 1]))
