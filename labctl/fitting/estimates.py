"""What every fit gives: estimates with covariance, goodness of fit, and how they are written down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import labctl
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import Solution
from labctl.fitting.value import Value

Array = NDArray[np.float64]

DEGENERATE = 0.98
"""Two parameters correlated more than this are reported as not told apart."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """Best parameters with their covariance.

    Args:
        names: With units.
        values: Shape (p,).
        covariance: Shape (p, p); zero for fixed parameters. The roots of its diagonal are half widths of
            68.3 % intervals: where errors were measured on few time blocks it is wider by Student's t.
        dof: Degrees of freedom of each error (p,); None where all are known.
    """

    names: tuple[str, ...]
    values: Array
    covariance: Array
    dof: Array | None = None

    def value(self, name: str) -> Value:
        """One parameter with its error, half the width of its 68.3 % interval.

        Raises:
            KeyError: no such parameter.
        """
        if name not in self.names:
            raise KeyError(name)
        index = self.names.index(name)
        variance = float(self.covariance[index, index])
        dof = math.inf if self.dof is None else float(self.dof[index])
        return Value(float(self.values[index]), math.sqrt(max(variance, 0.0)), dof)

    def combined(self, value: float, names: Sequence[str], gradient: Array) -> Value:
        """A number that follows from parameters, with its error and degrees of freedom.

        The errors come from the same time blocks, so they are too large or too small together: the relative
        scatters sqrt(2/dof) are averaged, weighted by the parts that the parameters have in the variance.
        This is the parameter's own for one parameter, all parameters' for equal ones, and Satterthwaite's for
        one measured beside others that are known.

        Args:
            value: The number.
            names: Parameters that it depends on (k).
            gradient: Its derivatives by them (k,).

        Raises:
            ValueError: no such parameter.
        """
        part = [self.names.index(name) for name in names]
        covariance = self.covariance[np.ix_(part, part)]
        error = math.sqrt(max(float(gradient @ covariance @ gradient), 0.0))
        shares = gradient**2 * np.diag(covariance)
        if self.dof is None or not shares.sum() > 0.0:
            return Value(value, error)
        scatter = float(shares @ (1.0 / np.sqrt(self.dof[part]))) / float(shares.sum())
        return Value(value, error, scatter**-2 if scatter > 0.0 else math.inf)

    def __getitem__(self, name: str) -> float:
        """The bare number, for model curves."""
        return float(self.values[self.names.index(name)])

    def __contains__(self, name: object) -> bool:
        return name in self.names

    @property
    def correlation(self) -> Array:
        """Correlation matrix (p, p); zero rows for fixed parameters."""
        error = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        outer = np.outer(error, error)
        return np.where(outer > 0.0, self.covariance / np.where(outer > 0.0, outer, 1.0), 0.0)

    def degenerate_pairs(self) -> tuple[str, ...]:
        """Warnings for pairs of parameters that the data do not tell apart."""
        correlation = self.correlation
        found = []
        for i in range(len(self.names)):
            for j in range(i):
                if abs(correlation[i, j]) > DEGENERATE:
                    found.append(
                        f"{self.names[j]} and {self.names[i]} are not told apart by these data "
                        f"(correlation {correlation[i, j]:+.3f})"
                    )
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        fields: dict[str, Any] = {
            "names": list(self.names),
            "values": self.values.tolist(),
            "covariance": self.covariance.tolist(),
        }
        if self.dof is not None:
            fields["dof"] = [float(dof) if math.isfinite(dof) else None for dof in self.dof]
        return fields

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> Estimates:
        """Back from :meth:`to_dict`; fits of earlier versions have no degrees of freedom."""
        dof = fields.get("dof")
        return Estimates(
            tuple(fields["names"]),
            np.array(fields["values"], dtype=np.float64),
            np.array(fields["covariance"], dtype=np.float64),
            None if dof is None else np.array([math.inf if one is None else one for one in dof]),
        )


@dataclass(frozen=True)
class Goodness:
    """Goodness of fit: chi-squared over bins (grouped where counts are few), degrees of freedom, p value."""

    chi2: float
    dof: int
    p_value: float

    def to_dict(self) -> dict[str, float]:
        """For JSON."""
        return {"chi2": self.chi2, "dof": self.dof, "p_value": self.p_value}

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> Goodness:
        """Back from :meth:`to_dict`."""
        return Goodness(float(fields["chi2"]), int(fields["dof"]), float(fields["p_value"]))


def chi2_goodness(data: Array, model: Array, variance: Array, n_parameters: int) -> Goodness:
    """Pearson's chi-squared of data against a model with known variance."""
    from scipy.special import gammaincc

    chi2 = float(np.sum((data - model) ** 2 / variance))
    dof = max(data.size - n_parameters, 0)
    # As many parameters as data fit any data: that says nothing against the model.
    return Goodness(chi2, dof, float(gammaincc(dof / 2.0, chi2 / 2.0)) if dof else 1.0)


def poisson_goodness(counts: Array, model: Array, n_parameters: int, *, least: float = 20.0) -> Goodness:
    """Pearson's chi-squared over neighbouring bins joined until each expects ``least`` counts.

    Bins with few counts do not follow chi-squared one by one.
    """
    group = joined_bins(model, least)
    joined_counts: Array = np.bincount(group, weights=counts).astype(np.float64)
    joined_model: Array = np.bincount(group, weights=model).astype(np.float64)
    return chi2_goodness(joined_counts, joined_model, joined_model, n_parameters)


def joined_bins(model: Array, least: float) -> NDArray[np.int64]:
    """Number of the group of each bin (n,), neighbours joined until a group expects ``least`` counts."""
    reached = np.floor(np.cumsum(model) / least)
    reached = np.minimum(reached, max(float(reached[-1]) - 1.0, 0.0))
    return np.asarray(np.unique(reached, return_inverse=True)[1], dtype=np.int64)


def poisson_residuals(x: Array, counts: Array, model: Array, *, least: float = 10.0) -> tuple[Array, Array]:
    """Signed roots of the deviance, near normal with standard deviation 1, bins joined where counts are few.

    Args:
        x: Middles of the bins (n,).
        counts, model: Counted and expected (n,).
        least: Neighbours are joined until they expect so many counts.

    Returns:
        Middles of the joined bins (k,) and residuals in standard deviations (k,).
    """
    group = joined_bins(model, least)
    n, m = (np.bincount(group, weights=bins) for bins in (counts, model))
    deviance = 2.0 * (m - n + n * np.log(np.where(n > 0.0, n, m) / m))
    middle = np.bincount(group, weights=x) / np.bincount(group)
    return middle, np.sign(n - m) * np.sqrt(np.maximum(deviance, 0.0))


def require_converged(solution: Solution, what: str) -> None:
    """Refuse to report a fit that did not converge.

    Raises:
        FitRefused: always, for such a fit.
    """
    if not solution.converged:
        raise FitRefused(
            f"{what}: the fit did not converge after {solution.steps} steps, so it is not reported; "
            "more counts, fewer free parameters or a better first guess would help"
        )


def covariance_or_refuse(solution: Solution, what: str, score_scatter: Array | None = None) -> Array:
    """Covariance of a solution.

    Raises:
        FitRefused: the data do not determine the parameters.
    """
    try:
        covariance = solution.covariance(score_scatter)
    except np.linalg.LinAlgError as problem:
        raise FitRefused(f"{what}: {problem}; fix or pin a parameter, or take more data") from None
    return covariance


def bound_warnings(solution: Solution) -> tuple[str, ...]:
    """Warnings for parameters that ended on a bound."""
    return tuple(
        f"{name} ended at the bound of its range: its error bar is one-sided" for name in solution.at_bound
    )


def software() -> str:
    """Name and version written beside every result."""
    return f"labctl {labctl.__version__}"
