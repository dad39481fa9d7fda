"""All temperatures of a sweep in one fit: lifetimes follow their laws, every point keeps its own contrast.

Lifetimes at each temperature are tau_300 exp[-A_X (1/T - 1/300)], one pair of numbers for the coupled and
one for the uncoupled light; delay between the counters and timing response are common. The coupled
fractions are either one per point, with the spectrum's value as prior, or follow the logistic step of
``trends.fraction_law``; then the spectra's values are data beside the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.estimates import (
    Estimates,
    Goodness,
    bound_warnings,
    burst_covariance,
    poisson_goodness,
    require_converged,
    software,
)
from labctl.fitting.g2_fit import G2Fit, G2Options, fit_g2
from labctl.fitting.histogram import MIN_BLOCKS, Histogram
from labctl.fitting.mixed import MixedData
from labctl.fitting.pair_model import PairModel
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import GaussianData, Parameter, PoissonCounts, Solution, Statistic, solve
from labctl.fitting.trends import fraction_law, lifetime_law
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks

Array = NDArray[np.float64]

SHARED = (
    "lifetime_slow_300K_s",
    "rate_constant_slow_K",
    "lifetime_fast_300K_s",
    "rate_constant_fast_K",
    "delay_s",
    "response_sigma_s",
)
FRACTION_LAW = ("fraction_warm", "fraction_rise", "fraction_midpoint_K", "fraction_steepness_K")
_SLOW, _FAST = slice(0, 2), slice(2, 4)
_START_FAST = (0.4e-9, 80.0)


@dataclass(frozen=True, eq=False)
class SweepPoint:
    """One temperature.

    Args:
        temperature_K: Where.
        pairs: Histogram in time blocks.
        fraction: Coupled share from the spectrum; None where it shows one peak, taken as no coupled light.
    """

    temperature_K: float
    pairs: PairBlocks
    fraction: Value | None


@dataclass(frozen=True, eq=False)
class SweepFit:
    """The laws of a sweep.

    Args:
        estimates: ``SHARED``, then ``FRACTION_LAW`` where asked, then ``level``, ``contrast_s`` (and
        ``fraction``)
            of each point with its number, as in ``contrast_s[3]``.
        temperatures_K: Of the points.
        goodness: Of the histogram of each point.
        warnings: What limits the result.
    """

    estimates: Estimates
    temperatures_K: tuple[float, ...]
    goodness: tuple[Goodness, ...]
    warnings: tuple[str, ...]

    def lifetime_s(self, which: str, temperature_K: float) -> Value:
        """Lifetime of the ``"fast"`` or ``"slow"`` component at a temperature with its error."""
        part = _FAST if which == "fast" else _SLOW
        value, gradient = lifetime_law(np.array([temperature_K]), self.estimates.values[part])
        variance = float(gradient[0] @ self.estimates.covariance[part, part] @ gradient[0])
        return Value(float(value[0]), math.sqrt(max(variance, 0.0)))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "software": software(),
            "estimates": self.estimates.to_dict(),
            "temperatures_K": list(self.temperatures_K),
            "goodness": [one.to_dict() for one in self.goodness],
            "warnings": list(self.warnings),
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> SweepFit:
        """Back from :meth:`to_dict`."""
        return SweepFit(
            Estimates.from_dict(fields["estimates"]),
            tuple(float(T) for T in fields["temperatures_K"]),
            tuple(Goodness.from_dict(one) for one in fields["goodness"]),
            tuple(fields["warnings"]),
        )


def fit_sweep(
    points: Sequence[SweepPoint], options: G2Options, *, fraction_follows_law: bool = False
) -> SweepFit:
    """Fit the laws to all points at once.

    Args:
        points: At least two temperatures; for the fraction's law at least four with a spectrum.
        options: As for ``fit_g2``; ``fraction``, ``pin`` and ``n_lifetimes`` are not used.
        fraction_follows_law: Let the coupled fractions follow one logistic step.

    Raises:
        FitRefused: too few points, a point that cannot be fitted by itself, no convergence.
    """
    if len({round(point.temperature_K, 1) for point in points}) < 2:
        raise FitRefused("a sweep needs at least two temperatures")
    with_fraction = sum(point.fraction is not None for point in points)
    if with_fraction == 0:
        raise FitRefused("no point of the sweep has a coupled fraction: fit one lifetime per point instead")
    if fraction_follows_law and with_fraction < 4:
        raise FitRefused(f"{with_fraction} points have a coupled fraction: its law needs 4")
    starts = [_alone(point, options) for point in points]
    problem = _Sweep(points, starts, options, fraction_follows_law)
    solution = solve(problem.model, problem.statistic, problem.parameters())
    return problem.result(solution)


def _alone(point: SweepPoint, options: G2Options) -> G2Fit:
    """A point by itself: contrast, level and the photons per burst to start from."""
    share = point.fraction
    two = share is not None and share.value > 2.0 * share.error
    wanted = replace(options, fraction=share, pin="prior", n_lifetimes=2 if two else 1)
    try:
        return fit_g2(point.pairs, wanted)
    except FitRefused as refusal:
        if not two:
            raise FitRefused(f"point at {point.temperature_K:g} K: {refusal}") from None
    return fit_g2(point.pairs, replace(wanted, n_lifetimes=1))


class _Sweep:
    """All points behind one parameter vector."""

    def __init__(
        self, points: Sequence[SweepPoint], starts: list[G2Fit], options: G2Options, follows_law: bool
    ) -> None:
        self.points, self.starts, self.options, self.follows_law = points, starts, options, follows_law
        self.temperature = np.array([point.temperature_K for point in points])
        self.histograms = [Histogram(point.pairs) for point in points]
        self.pair_models = [
            PairModel(h.edges_s, h.accidentals, 2, options.form, start.mu_model)
            for h, start in zip(self.histograms, starts, strict=True)
        ]
        self.measured = [i for i, point in enumerate(points) if point.fraction is not None]
        self.names = self._names()
        parts: list[Statistic] = [PoissonCounts(h.counts) for h in self.histograms]
        if follows_law:
            known = [point.fraction for point in points if point.fraction is not None]
            parts.append(
                GaussianData(
                    np.array([share.value for share in known]),
                    np.array([max(share.error, 1e-6) ** 2 for share in known]),
                )
            )
        self.statistic = MixedData(tuple(parts))

    def _names(self) -> tuple[str, ...]:
        names = list(SHARED)
        names += FRACTION_LAW if self.follows_law else []
        for i in range(len(self.points)):
            names += [f"level[{i}]", f"contrast_s[{i}]"]
            names += [] if self.follows_law else [f"fraction[{i}]"]
        return tuple(names)

    def index(self, i: int) -> int:
        """Where the own parameters of point i begin."""
        own = 2 if self.follows_law else 3
        return len(SHARED) + (len(FRACTION_LAW) if self.follows_law else 0) + own * i

    def model(self, theta: Array) -> tuple[Array, Array]:
        """Expected pairs of all points (and fractions), and the Jacobian."""
        slow, by_slow = lifetime_law(self.temperature, theta[_SLOW])
        fast, by_fast = lifetime_law(self.temperature, theta[_FAST])
        law = slice(len(SHARED), len(SHARED) + len(FRACTION_LAW))
        shares, by_law = fraction_law(self.temperature, theta[law]) if self.follows_law else (None, None)
        models, rows = [], []
        for i, pair_model in enumerate(self.pair_models):
            at = self.index(i)
            share = float(shares[i]) if shares is not None else float(theta[at + 2])
            local = np.array([theta[at], theta[at + 1], share, fast[i], slow[i], theta[4], theta[5]])
            expected, jacobian = pair_model(local)
            row = np.zeros((expected.size, theta.size))
            row[:, at : at + 2] = jacobian[:, :2]
            if by_law is not None:
                row[:, law] = jacobian[:, 2:3] * by_law[i]
            else:
                row[:, at + 2] = jacobian[:, 2]
            row[:, _FAST] = jacobian[:, 3:4] * by_fast[i]
            row[:, _SLOW] = jacobian[:, 4:5] * by_slow[i]
            row[:, 4:6] = jacobian[:, 5:7]
            models.append(expected)
            rows.append(row)
        if shares is not None and by_law is not None:
            models.append(shares[self.measured])
            row = np.zeros((len(self.measured), theta.size))
            row[:, law] = by_law[self.measured]
            rows.append(row)
        return np.concatenate(models), np.concatenate(rows)

    def parameters(self) -> list[Parameter]:
        """Starts from the points by themselves."""
        sigma, prior = self.options.response_sigma_s, self.options.response_prior
        slow = [start.tau_slow_s.value for start in self.starts]
        inverse = 1.0 / self.temperature - 1.0 / 300.0
        slope, offset = np.polyfit(inverse, np.log(slow), 1)
        given = self.options.delay_s
        delay = (
            given if given is not None else float(np.median([s.estimates["delay_s"] for s in self.starts]))
        )
        result = [
            Parameter(SHARED[0], float(np.exp(offset)), 1e-12, 1e-6),
            Parameter(SHARED[1], float(-slope), -2e3, 2e3),
            Parameter(SHARED[2], _START_FAST[0], 1e-12, 1e-6),
            Parameter(SHARED[3], _START_FAST[1], -2e3, 2e3),
            Parameter(SHARED[4], delay, fixed=given is not None),
            Parameter(SHARED[5], sigma, 0.0, 20.0 * sigma, fixed=prior is None, prior=prior),
        ]
        if self.follows_law:
            shares = [point.fraction.value for point in self.points if point.fraction is not None]
            low, rise = max(min(shares), 0.0), max(max(shares) - min(shares), 0.01)
            result += [
                Parameter(FRACTION_LAW[0], low, -0.2, 1.0),
                Parameter(FRACTION_LAW[1], rise, 0.0, 2.0),
                Parameter(FRACTION_LAW[2], 140.0, 20.0, 400.0),
                Parameter(FRACTION_LAW[3], 15.0, 1.0, 150.0),
            ]
        for i, (point, start) in enumerate(zip(self.points, self.starts, strict=True)):
            result += self._own(i, point, start)
        return result

    def _own(self, i: int, point: SweepPoint, start: G2Fit) -> list[Parameter]:
        held = not self.options.level_free or self.histograms[i].few_accidentals
        own = [
            Parameter(f"level[{i}]", start.estimates["level"], 0.0, math.inf, fixed=held),
            Parameter(f"contrast_s[{i}]", start.estimates["contrast_s"], 0.0, math.inf),
        ]
        if self.follows_law:
            return own
        share = point.fraction
        if share is None:
            return [*own, Parameter(f"fraction[{i}]", 0.0, fixed=True)]
        value = min(max(share.value, 0.0), 1.0)
        known = share if share.error > 0.0 else None
        return [*own, Parameter(f"fraction[{i}]", value, 0.0, 1.0, fixed=known is None, prior=known)]

    def result(self, solution: Solution) -> SweepFit:
        """Covariance with the scatter between time blocks of every point."""
        require_converged(solution, "sweep")
        pieces = self.statistic.split(solution.model)
        ends = np.cumsum([0, *(piece.size for piece in pieces)])
        total = np.zeros_like(solution.information)
        warnings = list(bound_warnings(solution))
        for i, histogram in enumerate(self.histograms):
            jacobian = solution.jacobian[ends[i] : ends[i + 1]]
            scatter = histogram.scatter(pieces[i], jacobian)
            if scatter is None:
                warnings.append(f"point at {self.temperature[i]:g} K has fewer than {MIN_BLOCKS} time blocks")
                scatter = jacobian.T @ (jacobian / pieces[i][:, None]) * self.starts[i].fano
            total += scatter
        if self.follows_law:
            jacobian = solution.jacobian[ends[-2] :]
            total += jacobian.T @ (jacobian / solution.variance[ends[-2] :, None])
        covariance = burst_covariance(
            solution,
            "sweep",
            total,
            n_blocks=min(max(histogram.blocks.n_blocks, MIN_BLOCKS) for histogram in self.histograms),
            fano=max(start.fano for start in self.starts),
        )
        goodness = tuple(
            poisson_goodness(histogram.counts, piece, 3)
            for histogram, piece in zip(self.histograms, pieces, strict=False)
        )
        bad = [f"{T:g} K" for T, one in zip(self.temperature, goodness, strict=True) if one.p_value < 1e-3]
        if bad:
            warnings.append(f"the laws do not describe the histograms at {', '.join(bad)}")
        estimates = Estimates(solution.names, solution.values, covariance)
        return SweepFit(
            estimates,
            tuple(float(T) for T in self.temperature),
            goodness,
            (*warnings, *estimates.degenerate_pairs()),
        )
