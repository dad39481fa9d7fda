"""Spectrum and g2 of one temperature in one likelihood: the coupled fraction is one parameter of both.

The camera's pixels are Gaussian with the variance of the camera model, the pairs are Poisson counts.
Against the prior of ``fit_point`` this also lets the g2 correct the peaks through the fraction; the two
agree where the spectrum's fraction is well known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.constraints import Constraint, constrained
from labctl.fitting.estimates import (
    Estimates,
    Goodness,
    bound_warnings,
    burst_covariance,
    chi2_goodness,
    covariance_or_refuse,
    poisson_goodness,
    require_converged,
    software,
)
from labctl.fitting.g2_fit import G2Options, fit_g2
from labctl.fitting.g2_result import G2Fit
from labctl.fitting.histogram import MIN_BLOCKS, Histogram
from labctl.fitting.lines import LineShape
from labctl.fitting.mixed import MixedData
from labctl.fitting.pair_model import TWO_LIFETIMES, PairModel
from labctl.fitting.profile import lopsided_covariance
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import Model, Parameter, PoissonCounts, Solution, solve
from labctl.fitting.spectrum_fit import SpectrumOptions, fit_spectrum
from labctl.fitting.spectrum_result import SpectrumFit
from labctl.fitting.sweep_pixels import pixels
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointFit:
    """Spectrum and g2 of one point, fitted together.

    Args:
        estimates: The spectrum's parameters, then the g2's (without ``fraction``, which is the spectrum's).
        spectrum_goodness, g2_goodness: Of each part.
        mu_model: Photons per burst of the dead-time correction.
        at_bound: Parameters that ended on a bound; their errors are one-sided.
        warnings: What limits the result.
    """

    estimates: Estimates
    spectrum_goodness: Goodness
    g2_goodness: Goodness
    mu_model: float
    at_bound: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def coupled_fraction(self) -> Value:
        """Coupled share of the light."""
        return self.estimates.value("fraction")

    @property
    def red_shift_eV(self) -> Value:
        """Distance of the coupled peak below the uncoupled one."""
        return self.estimates.value("shift_eV")

    @property
    def tau_fast_s(self) -> Value | None:
        """Lifetime of the coupled light; None where it is known no better than to itself."""
        fast = self.estimates.value("lifetime_fast_s")
        return None if "lifetime_fast_s" in self.at_bound or fast.error >= fast.value else fast

    @property
    def tau_slow_s(self) -> Value:
        """Lifetime of the uncoupled light."""
        return self.estimates.value("lifetime_slow_s")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "software": software(),
            "estimates": self.estimates.to_dict(),
            "spectrum_goodness": self.spectrum_goodness.to_dict(),
            "g2_goodness": self.g2_goodness.to_dict(),
            "mu_model": self.mu_model,
            "at_bound": list(self.at_bound),
            "warnings": list(self.warnings),
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> JointFit:
        """Back from :meth:`to_dict`."""
        return JointFit(
            Estimates.from_dict(fields["estimates"]),
            Goodness.from_dict(fields["spectrum_goodness"]),
            Goodness.from_dict(fields["g2_goodness"]),
            float(fields["mu_model"]),
            tuple(fields["at_bound"]),
            tuple(fields["warnings"]),
        )


def fit_joint(
    spectrum: SpectrumData,
    pairs: PairBlocks,
    options: G2Options,
    *,
    line_shape: LineShape = "gaussian",
    constraints: tuple[Constraint, ...] = (),
) -> JointFit:
    """Fit both instruments' data of one temperature with one coupled fraction.

    Args:
        spectrum: Frames.
        pairs: Histogram in time blocks.
        options: As for ``fit_g2``; its ``fraction``, ``pin`` and ``constraints`` are not used.
        line_shape: Shape of both peaks.
        constraints: Parameters of either model that are held, bounded or known beforehand.

    Raises:
        FitRefused: the data of either instrument cannot be fitted, or the joint fit does not converge.
        SpectrumRefused: frames that are no measurement.
    """
    how = SpectrumOptions(n_peaks=2, line_shape=line_shape, constraints=constraints)
    light = fit_spectrum(spectrum, how)
    share = light.coupled_fraction
    if share is None:
        raise FitRefused("spectrum shows no second peak: there is no fraction to share")
    own = replace(options, constraints=tuple(c for c in constraints if c.name != "fraction"))
    start = fit_g2(pairs, _with_fraction(own, share))
    problem = _Joint(spectrum, light, pairs, start)
    parameters = constrained(problem.parameters(light, start, options), constraints)
    solution = solve(problem.model, problem.statistic, parameters)
    return problem.result(solution, light)


def _with_fraction(options: G2Options, share: Value) -> G2Options:
    return replace(options, fraction=share, pin="prior", n_lifetimes=2)


class _Joint:
    """Both models behind one parameter vector: spectrum's parameters first, then the g2's own."""

    def __init__(self, spectrum: SpectrumData, light: SpectrumFit, pairs: PairBlocks, start: G2Fit) -> None:
        self.histogram = Histogram(pairs)
        self.names = (*light.estimates.names, *(name for name in TWO_LIFETIMES if name != "fraction"))
        self.n_spectrum = len(light.estimates.names)
        self.shared = light.estimates.names.index("fraction")
        self.line_shape = light.line_shape
        self.mu, self.fano, self.blinding = start.mu_model, start.fano, start.blinding
        self.pair_model = PairModel(
            self.histogram.edges_s, self.histogram.accidentals, 2, start.form, start.blinding
        )
        self.pixels = pixels(spectrum, light)
        self.statistic = MixedData((self.pixels.statistic(None), PoissonCounts(self.histogram.counts)))
        self.pair_index = np.array(
            [
                self.shared if name == "fraction" else self.names.index(name, self.n_spectrum)
                for name in TWO_LIFETIMES
            ]
        )

    @property
    def model(self) -> Model:
        """Expected pixels and pairs with their Jacobian."""

        def both(theta: Array) -> tuple[Array, Array]:
            light, by_light = self.pixels.model(theta[: self.n_spectrum])
            pairs, by_pairs = self.pair_model(theta[self.pair_index])
            jacobian = np.zeros((light.size + pairs.size, theta.size))
            jacobian[: light.size, : self.n_spectrum] = by_light
            jacobian[light.size :, self.pair_index] = by_pairs
            return np.concatenate([light, pairs]), jacobian

        return both

    def parameters(self, light: SpectrumFit, start: G2Fit, options: G2Options) -> list[Parameter]:
        """Bounds and starts from the separate fits."""
        window = 0.5 * float(self.histogram.edges_s[-1] - self.histogram.edges_s[0])
        bounds = {
            "counts": (0.0, math.inf),
            "width_eV": (1e-3, 1.0),
            "coupled_width_eV": (1e-3, 1.0),
            "shift_eV": (1e-3, 2.0),
            "fraction": (0.0, 1.0),
            "skew": (-0.95, 0.95),
            "coupled_skew": (-0.95, 0.95),
            "level": (0.0, math.inf),
            "contrast_s": (0.0, math.inf),
            "lifetime_fast_s": (0.2 * options.response_sigma_s, window),
            "lifetime_slow_s": (0.2 * options.response_sigma_s, window),
            "response_sigma_s": (0.0, math.inf),
        }
        fixed = {"response_sigma_s": options.response_prior is None, "delay_s": options.delay_s is not None}
        fixed["level"] = not options.level_free or self.histogram.few_accidentals(
            self.blinding, start.estimates["contrast_s"]
        )
        result = []
        for i, name in enumerate(self.names):
            source = light.estimates if i < self.n_spectrum else start.estimates
            low, high = bounds.get(name, (-math.inf, math.inf))
            value = min(max(source[name], low), high)
            prior = options.response_prior if name == "response_sigma_s" else None
            result.append(Parameter(name, value, low, high, fixed=fixed.get(name, False), prior=prior))
        return result

    def result(self, solution: Solution, light: SpectrumFit) -> JointFit:
        """Covariance with the pairs' scatter between blocks, goodness of both parts."""
        what = "spectrum and g2 together"
        require_converged(solution, what)
        n_pixels = self.pixels.measured.energy_eV.size
        warnings = list(bound_warnings(solution))
        weighted = solution.jacobian[:n_pixels] / solution.variance[:n_pixels, None]
        parts = self.pair_model.parts(solution.values[self.pair_index])
        by_pairs = solution.jacobian[n_pixels:]
        scatter = self.histogram.scatter(parts, by_pairs)
        pixel_score = weighted.T @ solution.jacobian[:n_pixels]
        counted = None if self.blinding is None else pixel_score + self.histogram.counted(parts, by_pairs)
        if scatter is None:
            warnings.append(f"fewer than {MIN_BLOCKS} time blocks: errors from counting only")
            covariance = covariance_or_refuse(solution, what, counted)
        else:
            covariance = burst_covariance(
                solution,
                what,
                pixel_score + scatter,
                n_blocks=self.histogram.blocks.n_blocks,
                fano=self.fano,
                counted=counted,
            )
        covariance = lopsided_covariance(self.model, self.statistic, solution, covariance)
        pixels, pairs = self.statistic.split(solution.model)
        estimates = Estimates(solution.names, solution.values, covariance)
        return JointFit(
            estimates=estimates,
            spectrum_goodness=chi2_goodness(
                self.pixels.measured.counts_per_eV, pixels, solution.variance[:n_pixels], self.n_spectrum
            ),
            g2_goodness=poisson_goodness(
                self.histogram.counts, pairs, int(solution.free.sum()) - self.n_spectrum
            ),
            mu_model=self.mu,
            at_bound=solution.at_bound,
            warnings=(*light.warnings, *warnings, *estimates.degenerate_pairs()),
        )
