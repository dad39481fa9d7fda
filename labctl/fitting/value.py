"""A number with its standard error: the only form in which a fit gives numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from labctl.fitting.student import ONE_SIGMA, reach

_LOPSIDED = 0.15


@dataclass(frozen=True)
class Value:
    """A number and its error in the same unit.

    The error is half the width of the interval that holds the truth in 68.3 % of all measurements. Where it
    was measured on few pieces of a record it is wider than a standard deviation by Student's t.

    Args:
        value: The number.
        error: Half width of the 68.3 % interval.
        dof: How well the error is known, as degrees of freedom of Student's t; infinite where it is.
        below, above: Its ends' distances from the value where the interval is lopsided, else None; ``error``
            is then their mean.

    Raises:
        ValueError: value or error not finite, or error negative.
    """

    value: float
    error: float
    dof: float = math.inf
    below: float | None = None
    above: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and math.isfinite(self.error) and self.error >= 0.0):
            raise ValueError(f"{self.value} with error {self.error} is not a result")
        if (self.below is None) != (self.above is None):
            raise ValueError(f"{self.value} has one end of a lopsided interval without the other")

    @staticmethod
    def between(value: float, low: float, high: float) -> Value:
        """A number with the ends of its 68.3 % interval.

        Raises:
            ValueError: the value does not lie between the ends, or one of the three is not finite.
        """
        if not low <= value <= high:
            raise ValueError(f"{value} does not lie in its interval from {low} to {high}")
        return Value(value, 0.5 * (high - low), below=value - low, above=high - value)

    def interval(self, share: float = ONE_SIGMA) -> tuple[float, float]:
        """Ends of the interval that holds the truth in this share of all measurements.

        A lopsided interval is stretched on both sides alike, as the error would be.
        """
        factor = float(reach(self.dof, share) / reach(self.dof))
        below = self.error if self.below is None else self.below
        above = self.error if self.above is None else self.above
        return self.value - factor * below, self.value + factor * above

    @property
    def lopsided(self) -> bool:
        """Whether the two sides differ by more than 15 % of their mean: both are then written down."""
        if self.below is None or self.above is None:
            return False
        return abs(self.above - self.below) > _LOPSIDED * self.error

    def __str__(self) -> str:
        """Error in units of the last digit, like 0.236(6); two digits where it begins with 1.

        Lopsided ones as 1.24 +0.20 -0.11.
        """
        if self.error == 0.0:
            return f"{self.value:.6g} (held)"
        if self.lopsided:
            return self._both_sides()
        decimals = _decimals(self.error)
        if decimals > 8 or self.error >= 9.5e3:
            return self._scientific()
        last = round(self.error * 10.0**decimals)
        return f"{self.value:.{decimals}f}({last})"

    def _both_sides(self) -> str:
        assert self.below is not None and self.above is not None
        size = max(abs(self.value), self.error)
        exponent = math.floor(math.log10(size)) if not 1e-3 <= size < 1e5 else 0
        one = self.scaled(10.0**-exponent)
        assert one.below is not None and one.above is not None
        decimals = max(_decimals(max(min(one.below, one.above), 1e-3 * one.error)), 0)
        text = f"{one.value:.{decimals}f} +{one.above:.{decimals}f} -{one.below:.{decimals}f}"
        return f"({text})e{exponent}" if exponent else text

    def _scientific(self) -> str:
        exponent = math.floor(math.log10(max(abs(self.value), self.error)))
        scaled = Value(self.value / 10.0**exponent, self.error / 10.0**exponent)
        if scaled.error < 1e-7:
            return f"{self.value:.6g} +- {self.error:.1g}"
        return f"{scaled}e{exponent}"

    def scaled(self, factor: float) -> Value:
        """The same in another unit, as in ``lifetime.scaled(1e9)`` for ns; below 0 the sides swap."""
        ends = (self.below, self.above) if factor >= 0.0 else (self.above, self.below)
        below, above = (None if end is None else end * abs(factor) for end in ends)
        return replace(
            self, value=self.value * factor, error=self.error * abs(factor), below=below, above=above
        )

    def agrees_with(self, truth: float, *, sigmas: float = 3.0) -> bool:
        """Whether a true value lies within so many errors."""
        return abs(self.value - truth) <= sigmas * self.error

    def to_dict(self) -> dict[str, float]:
        """For JSON; degrees of freedom and both sides only where there is something to tell."""
        fields = {"value": self.value, "error": self.error}
        if math.isfinite(self.dof):
            fields["dof"] = self.dof
        if self.below is not None and self.above is not None:
            fields |= {"below": self.below, "above": self.above}
        return fields

    @staticmethod
    def from_dict(fields: dict[str, Any] | None) -> Value | None:
        """Back from :meth:`to_dict`; None stays None."""
        if fields is None:
            return None
        more = {name: float(fields[name]) for name in ("dof", "below", "above") if name in fields}
        return Value(float(fields["value"]), float(fields["error"]), **more)


def _decimals(error: float) -> int:
    """Decimals with which an error is written: two digits where it begins with 1, else one."""
    exponent = math.floor(math.log10(error))
    # 0.096 rounds to 0.10: look at the rounded error to choose its digits.
    leading = round(error / 10.0**exponent, 1)
    digits = 1 if 2.0 <= leading < 9.5 else 2
    if leading >= 9.5:
        exponent += 1
    return max(digits - 1 - exponent, 0)
