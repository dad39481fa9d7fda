"""A number with its standard error: the only form in which a fit gives numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Value:
    """A number and its 1-sigma error in the same unit.

    Raises:
        ValueError: value or error not finite, or error negative.
    """

    value: float
    error: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and math.isfinite(self.error) and self.error >= 0.0):
            raise ValueError(f"{self.value} with error {self.error} is not a result")

    def __str__(self) -> str:
        """Error in units of the last digit, like 0.236(6); two digits where it begins with 1."""
        if self.error == 0.0:
            return f"{self.value:.6g} (held)"
        exponent = math.floor(math.log10(self.error))
        # 0.096 rounds to 0.10: look at the rounded error to choose its digits.
        leading = round(self.error / 10.0**exponent, 1)
        digits = 1 if 2.0 <= leading < 9.5 else 2
        if leading >= 9.5:
            exponent += 1
        decimals = max(digits - 1 - exponent, 0)
        if decimals > 8 or exponent >= 4:
            return self._scientific()
        last = round(self.error * 10.0**decimals)
        return f"{self.value:.{decimals}f}({last})"

    def _scientific(self) -> str:
        exponent = math.floor(math.log10(max(abs(self.value), self.error)))
        scaled = Value(self.value / 10.0**exponent, self.error / 10.0**exponent)
        if scaled.error < 1e-7:
            return f"{self.value:.6g} +- {self.error:.1g}"
        return f"{scaled}e{exponent}"

    def scaled(self, factor: float) -> Value:
        """The same in another unit, as in ``lifetime.scaled(1e9)`` for ns."""
        return Value(self.value * factor, self.error * abs(factor))

    def agrees_with(self, truth: float, *, sigmas: float = 3.0) -> bool:
        """Whether a true value lies within so many errors."""
        return abs(self.value - truth) <= sigmas * self.error

    def to_dict(self) -> dict[str, float]:
        """For JSON."""
        return {"value": self.value, "error": self.error}

    @staticmethod
    def from_dict(fields: dict[str, Any] | None) -> Value | None:
        """Back from :meth:`to_dict`; None stays None."""
        return None if fields is None else Value(float(fields["value"]), float(fields["error"]))
