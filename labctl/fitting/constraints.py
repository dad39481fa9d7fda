"""What a person knows or wants of a fit's parameters: held at a value, kept in bounds, known beforehand."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labctl.errors import InputError
from labctl.fitting.solver import Parameter
from labctl.fitting.value import Value


@dataclass(frozen=True)
class Constraint:
    """One parameter of a fit, by the name that the fit gives it.

    Args:
        name: With its unit, as in ``"lifetime_fast_s"``.
        fixed: Hold it here.
        low, high: Keep it within; None leaves the fit's own bound.
        prior: What is known beforehand, as a Gaussian.

    Raises:
        InputError: nothing is said, more than one thing is said, or bounds in the wrong order.
    """

    name: str
    fixed: float | None = None
    low: float | None = None
    high: float | None = None
    prior: Value | None = None

    def __post_init__(self) -> None:
        bounded = self.low is not None or self.high is not None
        if sum((self.fixed is not None, bounded, self.prior is not None)) != 1:
            raise InputError(f"{self.name}: give a value to hold, or bounds, or what is known beforehand")
        numbers = [number for number in (self.fixed, self.low, self.high) if number is not None]
        if any(math.isnan(number) for number in numbers) or (
            self.fixed is not None and math.isinf(self.fixed)
        ):
            raise InputError(f"{self.name}: {numbers[0]} is no value for a parameter")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise InputError(f"{self.name}: the lower bound {self.low:g} is not below {self.high:g}")
        if self.prior is not None and self.prior.error <= 0.0:
            raise InputError(
                f"{self.name}: what is known beforehand has no error; hold the parameter instead"
            )

    def applied(self, parameter: Parameter) -> Parameter:
        """The parameter under this constraint, its first guess moved inside.

        Raises:
            InputError: the asked-for value lies where the parameter has no meaning.
        """
        if self.fixed is not None:
            if not parameter.low <= self.fixed <= parameter.high:
                raise InputError(
                    f"{self.name} cannot be held at {self.fixed:g}: it lies between {parameter.low:g} and "
                    f"{parameter.high:g}"
                )
            return replace(parameter, start=self.fixed, fixed=True, prior=None)
        if self.prior is not None:
            return replace(parameter, fixed=False, prior=self.prior).at(self.prior.value)
        low = parameter.low if self.low is None else max(self.low, parameter.low)
        high = parameter.high if self.high is None else min(self.high, parameter.high)
        if not low < high:
            raise InputError(
                f"{self.name} cannot lie between {self.low} and {self.high}: it lies between "
                f"{parameter.low:g} and {parameter.high:g}"
            )
        start = min(max(parameter.start, low), high)
        return replace(parameter, start=start, low=low, high=high, fixed=False)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "fixed": self.fixed,
            "low": self.low,
            "high": self.high,
            "prior": None if self.prior is None else self.prior.to_dict(),
        }


def constrained(parameters: Iterable[Parameter], constraints: Sequence[Constraint]) -> list[Parameter]:
    """The parameters with every constraint that names one of them; the others are left as they are.

    Raises:
        InputError: as :meth:`Constraint.applied`.
    """
    result = list(parameters)
    for constraint in constraints:
        result = [constraint.applied(p) if p.name == constraint.name else p for p in result]
    return result


def require_known(constraints: Sequence[Constraint], names: Collection[str]) -> None:
    """Refuse constraints on parameters that a fit does not have.

    Raises:
        InputError: names the first such parameter and those that there are.
    """
    for constraint in constraints:
        if constraint.name not in names:
            raise InputError(f"no parameter {constraint.name!r} in this fit; it may be {', '.join(names)}")
