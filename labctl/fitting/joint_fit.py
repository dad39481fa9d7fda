"""Spectrum and g2 of one temperature in one likelihood: the coupled fraction is one parameter of both.

The camera's pixels are Gaussian with the variance of the camera model, the pairs are Poisson counts.
Against the prior of ``fit_point`` this also lets the g2 correct the peaks through the fraction; the two
agree where the spectrum's fraction is well known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.blinding import Blinding
from labctl.fitting.constraints import Constraint
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
from labctl.fitting.g2_result import pair_pulls
from labctl.fitting.histogram import MIN_BLOCKS
from labctl.fitting.joint_model import WHAT, JointProblem
from labctl.fitting.lines import LineShape
from labctl.fitting.pair_model import TWO_LIFETIMES, Form
from labctl.fitting.profile import lopsided_covariance
from labctl.fitting.solver import Solution
from labctl.fitting.spectrum_model import parameter_names
from labctl.fitting.spectrum_result import spectrum_pulls
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData

Array = NDArray[np.float64]
Ranges = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class JointFit:
    """Spectrum and g2 of one point, fitted together.

    Args:
        estimates: The spectrum's parameters, then the g2's (without ``fraction``, which is the spectrum's).
        spectrum_goodness, g2_goodness: Of each part.
        mu: Detected photons per X-ray burst and detector.
        mu_model: The same where the model describes the dead time, 0 where it does not.
        line_shape: Shape of both peaks.
        form: Exact pair density, or the naive one.
        blinding: The dead time that the model describes; None without.
        left_out_eV: Ranges of the spectrum that were left out (cosmic-ray hits of several pixels).
        at_bound: Parameters that ended on a bound; their errors are one-sided.
        warnings: What limits the result.
        software: Name and version that fitted.
    """

    estimates: Estimates
    spectrum_goodness: Goodness
    g2_goodness: Goodness
    mu: Value
    mu_model: float
    line_shape: LineShape
    form: Form
    blinding: Blinding | None
    left_out_eV: Ranges
    at_bound: tuple[str, ...]
    warnings: tuple[str, ...]
    software: str = field(default_factory=software)

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

    def spectrum_residuals(self, spectrum: SpectrumData) -> tuple[Array, Array]:
        """What the joint fit leaves over of the spectrum.

        Args:
            spectrum: The frames that were fitted.

        Returns:
            Energies in eV of the pixels (n,), rising, and measured less fitted in standard deviations of the
            camera's noise (n,).

        Raises:
            SpectrumRefused: frames that are no measurement.
        """
        theta = self._values(parameter_names(2, self.line_shape))
        return spectrum_pulls(spectrum, theta, 2, self.line_shape, self.left_out_eV)

    def g2_residuals(self, pairs: PairBlocks) -> tuple[Array, Array]:
        """What the joint fit leaves over of the pairs.

        Args:
            pairs: The histogram that was fitted.

        Returns:
            Lags in ps (k,), bins with few pairs joined, and signed roots of the deviance, counted less
            fitted, in standard deviations (k,).
        """
        return pair_pulls(pairs, self._values(TWO_LIFETIMES), 2, self.form, self.blinding)

    def _values(self, names: tuple[str, ...]) -> Array:
        return np.array([self.estimates[name] for name in names])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "software": self.software,
            "estimates": self.estimates.to_dict(),
            "spectrum_goodness": self.spectrum_goodness.to_dict(),
            "g2_goodness": self.g2_goodness.to_dict(),
            "mu": self.mu.to_dict(),
            "mu_model": self.mu_model,
            "line_shape": self.line_shape,
            "form": self.form,
            "blinding": None if self.blinding is None else self.blinding.to_dict(),
            "left_out_eV": [list(ends) for ends in self.left_out_eV],
            "at_bound": list(self.at_bound),
            "warnings": list(self.warnings),
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> JointFit:
        """Back from :meth:`to_dict`."""
        return JointFit(
            estimates=Estimates.from_dict(fields["estimates"]),
            spectrum_goodness=Goodness.from_dict(fields["spectrum_goodness"]),
            g2_goodness=Goodness.from_dict(fields["g2_goodness"]),
            mu=cast(Value, Value.from_dict(fields["mu"])),
            mu_model=float(fields["mu_model"]),
            line_shape=fields["line_shape"],
            form=fields["form"],
            blinding=None if fields["blinding"] is None else Blinding.from_dict(fields["blinding"]),
            left_out_eV=tuple((float(low), float(high)) for low, high in fields["left_out_eV"]),
            at_bound=tuple(fields["at_bound"]),
            warnings=tuple(fields["warnings"]),
            software=str(fields["software"]),
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
        InputError: a constraint that no parameter can obey.
    """
    problem = JointProblem(spectrum, pairs, options, line_shape, constraints)
    return _result(problem, problem.solve())


def _result(problem: JointProblem, solution: Solution) -> JointFit:
    """Errors of all parameters, goodness of both parts."""
    require_converged(solution, WHAT)
    covariance, dof, by_scatter = problem.covariance(solution)
    warnings = list(bound_warnings(solution))
    if not by_scatter:
        warnings.append(f"fewer than {MIN_BLOCKS} time blocks: errors are those of Poisson bursts")
    covariance = lopsided_covariance(problem.model, problem.statistic, solution, covariance)
    estimates = Estimates(solution.names, solution.values, covariance, dof)
    pixels, pairs = problem.statistic.split(solution.model)
    measured = problem.pixels.measured
    variance = solution.variance[: pixels.size] / problem.pixels.widening
    mu = _mu(problem, estimates.value("contrast_s"))
    n_light = int(solution.free[: problem.n_spectrum].sum())
    return JointFit(
        estimates=estimates,
        spectrum_goodness=chi2_goodness(measured.counts_per_eV, pixels, variance, n_light),
        g2_goodness=poisson_goodness(problem.histogram.counts, pairs, int(solution.free.sum()) - n_light),
        mu=mu,
        mu_model=0.0 if problem.start.blinding is None else mu.value,
        line_shape=problem.light.line_shape,
        form=problem.start.form,
        blinding=problem.start.blinding,
        left_out_eV=problem.light.left_out_eV,
        at_bound=solution.at_bound,
        warnings=(*problem.light.warnings, *warnings, *estimates.degenerate_pairs()),
    )


def _mu(problem: JointProblem, contrast: Value) -> Value:
    """Photons per burst that the joint contrast means; without dead time they go with it."""
    start, blinding = problem.start, problem.start.blinding
    if blinding is None:
        per_contrast = start.mu.value / start.estimates["contrast_s"]
        return contrast.scaled(per_contrast)
    best, more = (0.5 * sum(blinding.mu(contrast.value * step)) for step in (1.0, 1.0001))
    slope = (more - best) / (1e-4 * contrast.value) if contrast.value > 0.0 else 0.0
    return Value(best, slope * contrast.error, contrast.dof)
