"""All temperatures of a sweep in one fit: lifetimes follow their laws, every point keeps its own contrast.

Lifetimes at each temperature are tau_300 exp[-A_X (1/T - 1/300)], one pair of numbers for the coupled and
one for the uncoupled light; delay between the counters and timing response are common. What else is shared:

* ``"lifetimes"``: nothing; each point has its own coupled fraction, with the spectrum's value as prior;
* ``"fraction"``: the fractions follow the logistic step of ``trends.fraction_law``; the spectra's values are
  data beside the pairs;
* ``"all"``: the pixels of all spectra are data as well. Fraction, red-shift and both widths follow laws (a
  step, and straight lines in temperature); a point keeps its brightness, background and uncoupled energy. A
  coupled peak that is lost in one spectrum is then still placed by the others.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.burst_scatter import PairScatter, burst_covariance, pair_scatter
from labctl.fitting.constraints import Constraint, constrained
from labctl.fitting.estimates import (
    Estimates,
    Goodness,
    bound_warnings,
    chi2_goodness,
    poisson_goodness,
    require_converged,
    software,
)
from labctl.fitting.g2_fit import G2Options
from labctl.fitting.histogram import MIN_BLOCKS, Histogram
from labctl.fitting.lines import LineShape
from labctl.fitting.pair_model import PairModel
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import GaussianData, Parameter, PoissonCounts, Solution, solve
from labctl.fitting.sweep_model import Block, SweepModel, SweepParameters
from labctl.fitting.sweep_pixels import Pixels, pixels
from labctl.fitting.sweep_start import Shared, Start, SweepPoint, alone
from labctl.fitting.trends import LAWS, LawName, TrendPoint, fit_trend, fraction_law, lifetime_law, line_law
from labctl.fitting.value import Value
from labctl.fitting.without_error import marked

Array = NDArray[np.float64]

LIFETIME_LAWS = {
    "lifetime_slow_s": ("lifetime_slow_300K_s", "rate_constant_slow_K"),
    "lifetime_fast_s": ("lifetime_fast_300K_s", "rate_constant_fast_K"),
}
FRACTION_LAW = ("fraction_warm", "fraction_rise", "fraction_midpoint_K", "fraction_steepness_K")
LINE_LAWS = {
    "shift_eV": ("shift_190K_eV", "shift_slope_eV_per_K"),
    "coupled_width_eV": ("coupled_width_190K_eV", "coupled_width_slope_eV_per_K"),
    "width_eV": ("width_190K_eV", "width_slope_eV_per_K"),
}
_START_FAST = (0.4e-9, 80.0)
_LEAST_FRACTIONS = 4


@dataclass(frozen=True, eq=False)
class SweepFit:
    """The laws of a sweep.

    Args:
        shared: What the points share.
        estimates: Parameters of the laws, what is common, and each point's own with its number, as in
            ``contrast_s[3]``.
        temperatures_K: Of the points.
        goodness: Of the histogram of each point; None without one.
        spectrum_goodness: Of the spectrum of each point; None where it was not fitted.
        warnings: What limits the result.
        background_Hz: Background of start and stop that was used at each point.
        software: Name and version that fitted.
    """

    shared: Shared
    estimates: Estimates
    temperatures_K: tuple[float, ...]
    goodness: tuple[Goodness | None, ...]
    spectrum_goodness: tuple[Goodness | None, ...]
    warnings: tuple[str, ...]
    background_Hz: tuple[tuple[float, float], ...] = ()
    software: str = field(default_factory=software)

    def lifetime_s(self, which: Literal["fast", "slow"], temperature_K: float) -> Value:
        """Lifetime of the ``"fast"`` or ``"slow"`` component at a temperature with its error."""
        return self._law("lifetime", LIFETIME_LAWS[f"lifetime_{which}_s"], temperature_K)

    def coupled_fraction(self, temperature_K: float) -> Value | None:
        """Coupled share of the light by its law; None where the fractions follow none."""
        if FRACTION_LAW[0] not in self.estimates:
            return None
        return self._law("fraction", FRACTION_LAW, temperature_K)

    def red_shift_eV(self, temperature_K: float) -> Value | None:
        """Red-shift by its law; None where no spectra were fitted."""
        if LINE_LAWS["shift_eV"][0] not in self.estimates:
            return None
        return self._law("line", LINE_LAWS["shift_eV"], temperature_K)

    def _law(self, law: LawName, names: tuple[str, ...], temperature_K: float) -> Value:
        part = [self.estimates.names.index(name) for name in names]
        value, gradient = LAWS[law][1](np.array([temperature_K]), self.estimates.values[part])
        return self.estimates.combined(float(value[0]), names, gradient[0])

    def to_dict(self) -> dict[str, Any]:
        """For JSON; ``without_error`` says why a number in it has no error bar."""
        fields = {
            "software": self.software,
            "shared": self.shared,
            "estimates": self.estimates.to_dict(),
            "temperatures_K": list(self.temperatures_K),
            "goodness": [None if one is None else one.to_dict() for one in self.goodness],
            "spectrum_goodness": [None if one is None else one.to_dict() for one in self.spectrum_goodness],
            "background_Hz": [list(rates) for rates in self.background_Hz],
            "warnings": list(self.warnings),
        }
        return marked(fields)

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> SweepFit:
        """Back from :meth:`to_dict`."""

        def goodness(name: str) -> tuple[Goodness | None, ...]:
            return tuple(None if one is None else Goodness.from_dict(one) for one in fields[name])

        return SweepFit(
            fields["shared"],
            Estimates.from_dict(fields["estimates"]),
            tuple(float(T) for T in fields["temperatures_K"]),
            goodness("goodness"),
            goodness("spectrum_goodness"),
            tuple(fields["warnings"]),
            tuple((float(start), float(stop)) for start, stop in fields.get("background_Hz", ())),
            str(fields["software"]),
        )


def fit_sweep(
    points: Sequence[SweepPoint],
    options: G2Options,
    *,
    shared: Shared = "lifetimes",
    line_shape: LineShape = "gaussian",
    constraints: tuple[Constraint, ...] = (),
    starts: Sequence[Start] | None = None,
) -> SweepFit:
    """Fit the laws to all points at once.

    Args:
        points: At least two temperatures; for the fraction's law at least four with coupled light.
        options: As for ``fit_g2``; ``fraction``, ``pin``, ``n_lifetimes`` and ``constraints`` are not used,
            ``background_Hz`` where a point has none of its own.
        shared: What follows laws beside the lifetimes.
        line_shape: Shape of both peaks with ``"all"``; the skews are common.
        constraints: Parameters of the sweep that are held, bounded or known beforehand.
        starts: Fits of each point by itself where they are known already.

    Raises:
        FitRefused: too few points, a point that cannot be fitted by itself, no convergence.
        InputError: a constraint that no parameter can obey.
    """
    if len({round(point.temperature_K, 1) for point in points}) < 2:
        raise FitRefused("a sweep needs at least two temperatures")
    if sum(point.pairs is not None for point in points) < 2:
        raise FitRefused("a sweep needs at least two points with a g2")
    found = starts or [alone(point, options, shared, line_shape) for point in points]
    sweep = _Sweep(points, found, options, shared, line_shape)
    sweep.parameters.parameters = constrained(sweep.parameters.parameters, constraints)
    solution = sweep.solve()
    return sweep.result(solution)


class _Sweep:
    """All points behind one parameter vector."""

    def __init__(
        self,
        points: Sequence[SweepPoint],
        starts: Sequence[Start],
        options: G2Options,
        shared: Shared,
        line_shape: LineShape,
    ) -> None:
        self.points, self.options, self.shared, self.line_shape = points, options, shared, line_shape
        self.temperature = np.array([point.temperature_K for point in points])
        self.starts = starts
        found = sum(start.fraction is not None for start in self.starts)
        if found == 0:
            raise FitRefused(
                "no point of the sweep has a coupled fraction: fit one lifetime per point instead"
            )
        if shared != "lifetimes" and found < _LEAST_FRACTIONS:
            raise FitRefused(f"{found} points have a coupled fraction: its law needs {_LEAST_FRACTIONS}")
        self.parameters = SweepParameters(self.temperature)
        self._add_lifetimes()
        if shared != "lifetimes":
            self._add_fraction_law()
        self.histograms: dict[int, Histogram] = {}
        self.pixels: dict[int, Pixels] = {}
        self.blocks: list[Block] = []
        if shared == "all":
            self._add_peaks()
        for i in range(len(points)):
            self._add_pairs(i)
            if shared == "all":
                self._add_pixels(i)
        if shared == "fraction":
            self._add_fractions()

    # -- parameters ------------------------------------------------------------------------------------------

    def _add_lifetimes(self) -> None:
        options, fits = self.options, [start.pairs for start in self.starts if start.pairs is not None]
        temperature = np.array(
            [T for T, start in zip(self.temperature, self.starts, strict=True) if start.pairs is not None]
        )
        slow = [fit.tau_slow_s.value for fit in fits]
        slope, offset = np.polyfit(1.0 / temperature - 1.0 / 300.0, np.log(slow), 1)
        starts = {"lifetime_slow_s": (float(np.exp(offset)), float(-slope)), "lifetime_fast_s": _START_FAST}
        for local, (tau, rate) in LIFETIME_LAWS.items():
            law = [
                Parameter(tau, starts[local][0], 1e-12, 1e-6),
                Parameter(rate, starts[local][1], -2e3, 2e3),
            ]
            self.parameters.law(local, lifetime_law, law)
        delay = float(np.median([fit.estimates["delay_s"] for fit in fits]))
        held = options.delay_s is not None
        self.parameters.common("delay_s", Parameter("delay_s", options.delay_s or delay, fixed=held))
        sigma, prior = options.response_sigma_s, options.response_prior
        self.parameters.common(
            "response_sigma_s",
            Parameter("response_sigma_s", sigma, 0.0, 20.0 * sigma, fixed=prior is None, prior=prior),
        )

    def _add_fraction_law(self) -> None:
        shares = [(T, start.fraction) for T, start in zip(self.temperature, self.starts, strict=True)]
        known = [
            TrendPoint(float(T), share) for T, share in shares if share is not None and share.error > 0.0
        ]
        values = [point.value.value for point in known]
        guess = np.array([max(min(values), 0.0), max(max(values) - min(values), 0.01), 140.0, 15.0])
        with contextlib.suppress(FitRefused):
            guess = fit_trend(known, "fraction").estimates.values
        bounds = ((-0.2, 1.0), (0.0, 2.0), (20.0, 400.0), (1.0, 150.0))
        law = [
            Parameter(name, float(value), *bound)
            for name, value, bound in zip(FRACTION_LAW, guess, bounds, strict=True)
        ]
        self.parameters.law("fraction", fraction_law, law)

    def _add_peaks(self) -> None:
        limits = {"shift_eV": (1e-3, 2.0), "coupled_width_eV": (1e-3, 1.0), "width_eV": (1e-3, 1.0)}
        for local, (at, slope) in LINE_LAWS.items():
            known = [
                TrendPoint(float(T), start.light.estimates.value(local))
                for T, start in zip(self.temperature, self.starts, strict=True)
                if start.light is not None and local in start.light.estimates
            ]
            known = [point for point in known if point.value.error > 0.0]
            try:
                value, incline = (float(v) for v in fit_trend(known, "line").estimates.values)
            except FitRefused:
                raise FitRefused(
                    f"{len(known)} spectra show a {local}: its law needs two temperatures"
                ) from None
            law = [Parameter(at, value, *limits[local]), Parameter(slope, incline, -0.01, 0.01)]
            self.parameters.law(local, line_law, law)
        if self.line_shape == "asymmetric":
            for name in ("skew", "coupled_skew"):
                self.parameters.common(name, Parameter(name, 0.0, -0.9, 0.9))

    def _add_pairs(self, i: int) -> None:
        pairs, start = self.points[i].pairs, self.starts[i].pairs
        if pairs is None or start is None:
            return
        histogram = self.histograms[i] = Histogram(pairs)
        blinding = start.blinding
        if blinding is not None:
            # A start may have been fitted without this point's background.
            background_Hz = self.points[i].own(self.options).background_Hz
            share = histogram.signal_share(background_Hz, blinding.dead_time_s)
            blinding = replace(blinding, signal_share=share)
        level, contrast = start.estimates["level"], start.estimates["contrast_s"]
        held = not self.options.level_free or histogram.few_accidentals(blinding, contrast)
        own = self.parameters.own
        own("level", i, Parameter(f"level[{i}]", level, 0.0, math.inf, fixed=held))
        own("contrast_s", i, Parameter(f"contrast_s[{i}]", contrast, 0.0, math.inf))
        if self.shared == "lifetimes":
            coupled = self.starts[i].fraction
            value = 0.0 if coupled is None else min(max(coupled.value, 0.0), 1.0)
            known = coupled if coupled is not None and coupled.error > 0.0 else None
            own("fraction", i, Parameter(f"fraction[{i}]", value, 0.0, 1.0, fixed=known is None, prior=known))
        model = PairModel(histogram.edges_s, histogram.accidentals, 2, self.options.form, blinding)
        self.blocks.append(Block(i, model.names, model, PoissonCounts(histogram.counts)))

    def _add_pixels(self, i: int) -> None:
        spectrum, light = self.points[i].spectrum, self.starts[i].light
        if spectrum is None or light is None:
            return
        found = self.pixels[i] = pixels(spectrum, light)
        energy = light.estimates["energy_eV"]
        bounds = {"counts": (0.0, math.inf), "energy_eV": (energy - 0.3, energy + 0.3)}
        for name in ("counts", "background_per_pixel", "energy_eV"):
            low, high = bounds.get(name, (-math.inf, math.inf))
            self.parameters.own(name, i, Parameter(f"{name}[{i}]", light.estimates[name], low, high))
        self.blocks.append(Block(i, found.names, found.model, found.statistic(None)))

    def _add_fractions(self) -> None:
        """The spectra's fractions as data."""
        for i, start in enumerate(self.starts):
            if start.fraction is not None:
                value, error = np.array([start.fraction.value]), max(start.fraction.error, 1e-6)
                data = GaussianData(value, np.array([error**2]))
                self.blocks.append(Block(i, ("fraction",), lambda local: (local, np.ones((1, 1))), data))

    # -- fit -----------------------------------------------------------------------------------------------

    def solve(self) -> Solution:
        """The pixels' variances are renewed from the laws once."""
        self.model = SweepModel(self.parameters, self.blocks)
        solution = solve(self.model, self.model.statistic, self.parameters.parameters)
        if not self.pixels or not solution.converged:
            return solution
        pieces = self.model.statistic.split(solution.model)
        self.blocks = [
            replace(block, statistic=self.pixels[block.point].statistic(piece))
            if block.point in self.pixels and isinstance(block.statistic, GaussianData)
            else block
            for block, piece in zip(self.blocks, pieces, strict=True)
        ]
        self.model = SweepModel(self.parameters, self.blocks)
        again = [
            p if p.fixed else p.at(float(v))
            for p, v in zip(solution.parameters, solution.values, strict=True)
        ]
        return solve(self.model, self.model.statistic, again)

    def result(self, solution: Solution) -> SweepFit:
        """Covariance with the scatter between time blocks of every point."""
        require_converged(solution, "sweep")
        known = np.zeros_like(solution.information)
        warnings = list(bound_warnings(solution))
        goodness: list[Goodness | None] = [None] * len(self.points)
        spectrum_goodness: list[Goodness | None] = [None] * len(self.points)
        scatters: list[PairScatter] = []
        find = self.parameters.local(solution.values)
        for number, block in enumerate(self.blocks):
            rows, i = self.model.rows(number), block.point
            model, jacobian = solution.model[rows], solution.jacobian[rows]
            variance = solution.variance[rows]
            if not isinstance(block.model, PairModel):
                known += jacobian.T @ (jacobian / variance[:, None])
                if i in self.pixels and self.shared == "all":
                    plain = variance / self.pixels[i].widening
                    spectrum_goodness[i] = chi2_goodness(block.statistic.data, model, plain, 4)
                continue
            histogram, start = self.histograms[i], self.starts[i].pairs
            local = np.array([find(name, i)[0] for name in block.names])
            mu = start.mu.value if start is not None else 0.0
            scatters.append(pair_scatter(histogram, block.model, local, jacobian, mu))
            if scatters[-1].measured is None:
                warnings.append(f"point at {self.temperature[i]:g} K has fewer than {MIN_BLOCKS} time blocks")
            goodness[i] = poisson_goodness(histogram.counts, model, 3)
        covariance, dof = burst_covariance(solution, "sweep", scatters, known)
        warnings += self._misfits("histograms", goodness) + self._misfits("spectra", spectrum_goodness)
        estimates = Estimates(solution.names, solution.values, covariance, dof)
        return SweepFit(
            self.shared,
            estimates,
            tuple(float(T) for T in self.temperature),
            tuple(goodness),
            tuple(spectrum_goodness),
            (*warnings, *estimates.degenerate_pairs()),
            tuple(point.own(self.options).background_Hz for point in self.points),
        )

    def _misfits(self, what: str, goodness: list[Goodness | None]) -> list[str]:
        bad = [
            f"{T:g} K"
            for T, one in zip(self.temperature, goodness, strict=True)
            if one is not None and one.p_value < 1e-3
        ]
        return [f"the laws do not describe the {what} at {', '.join(bad)}"] if bad else []
