"""Spectrum and g2 of one point behind one parameter vector, with the coupled fraction in common."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.burst_scatter import burst_covariance, pair_scatter
from labctl.fitting.constraints import Constraint, constrained
from labctl.fitting.g2_fit import G2Options, fit_g2
from labctl.fitting.g2_result import G2Fit
from labctl.fitting.histogram import Histogram
from labctl.fitting.lines import LineShape
from labctl.fitting.mixed import MixedData
from labctl.fitting.pair_model import TWO_LIFETIMES, PairModel
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import Model, Parameter, PoissonCounts, Solution, solve
from labctl.fitting.spectrum_fit import SpectrumOptions, fit_spectrum
from labctl.fitting.spectrum_result import SpectrumFit
from labctl.fitting.sweep_pixels import pixels
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData

Array = NDArray[np.float64]

WHAT = "spectrum and g2 together"


class JointProblem:
    """Both models; the spectrum's parameters first, then the g2's own (without its ``fraction``).

    Args:
        spectrum: Frames.
        pairs: Histogram in time blocks.
        options: As for ``fit_g2``; its ``fraction``, ``pin`` and ``constraints`` are not used.
        line_shape: Shape of both peaks.
        constraints: Parameters of either model that are held, bounded or known beforehand.

    Attributes:
        light, start: The two fits apart, where the joint one starts.
        histogram, pixels: The data.
        parameters: Of the joint fit.
        model, statistic: As the solver takes them.

    Raises:
        FitRefused: the data of either instrument cannot be fitted.
        SpectrumRefused: frames that are no measurement.
        InputError: a constraint that no parameter can obey.
    """

    def __init__(
        self,
        spectrum: SpectrumData,
        pairs: PairBlocks,
        options: G2Options,
        line_shape: LineShape,
        constraints: tuple[Constraint, ...],
    ) -> None:
        how = SpectrumOptions(n_peaks=2, line_shape=line_shape, constraints=constraints)
        self.light = fit_spectrum(spectrum, how)
        share = self.light.coupled_fraction
        if share is None:
            raise FitRefused("spectrum shows no second peak: there is no fraction to share")
        own = replace(options, constraints=tuple(c for c in constraints if c.name != "fraction"))
        self.start = fit_g2(pairs, _with_fraction(own, share))
        self.histogram = Histogram(pairs)
        self.names = (
            *self.light.estimates.names,
            *(name for name in TWO_LIFETIMES if name != "fraction"),
        )
        self.n_spectrum = len(self.light.estimates.names)
        self.pair_model = PairModel(
            self.histogram.edges_s, self.histogram.accidentals, 2, self.start.form, self.start.blinding
        )
        self.pixels = pixels(spectrum, self.light)
        self.statistic = MixedData((self.pixels.statistic(None), PoissonCounts(self.histogram.counts)))
        self._pair_index = np.array([self.names.index(name) for name in TWO_LIFETIMES])
        usual = _parameters(self.names, self.n_spectrum, self.histogram, self.light, self.start, options)
        self.parameters = constrained(usual, constraints)

    @property
    def model(self) -> Model:
        """Expected pixels and pairs with their Jacobian."""

        def both(theta: Array) -> tuple[Array, Array]:
            light, by_light = self.pixels.model(theta[: self.n_spectrum])
            pairs, by_pairs = self.pair_model(theta[self._pair_index])
            jacobian = np.zeros((light.size + pairs.size, theta.size))
            jacobian[: light.size, : self.n_spectrum] = by_light
            jacobian[light.size :, self._pair_index] = by_pairs
            return np.concatenate([light, pairs]), jacobian

        return both

    def solve(self) -> Solution:
        """The joint fit from the two fits apart, converged or not."""
        return solve(self.model, self.statistic, self.parameters)

    def covariance(self, solution: Solution) -> tuple[Array, Array, bool]:
        """Covariance and its degrees of freedom (p,), and whether there were blocks enough to scatter.

        Raises:
            FitRefused: the data do not determine the parameters.
        """
        n = self.pixels.measured.energy_eV.size
        light, by_pairs = solution.jacobian[:n], solution.jacobian[n:]
        theta = solution.values[self._pair_index]
        scatter = pair_scatter(self.histogram, self.pair_model, theta, by_pairs, self.start.mu.value)
        known = (light / solution.variance[:n, None]).T @ light
        return *burst_covariance(solution, WHAT, [scatter], known), scatter.measured is not None


def _with_fraction(options: G2Options, share: Value) -> G2Options:
    return replace(options, fraction=share, pin="prior", n_lifetimes=2)


def _parameters(
    names: tuple[str, ...],
    n_spectrum: int,
    histogram: Histogram,
    light: SpectrumFit,
    start: G2Fit,
    options: G2Options,
) -> list[Parameter]:
    """Bounds and starts from the separate fits."""
    window = 0.5 * float(histogram.edges_s[-1] - histogram.edges_s[0])
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
    fixed["level"] = not options.level_free or histogram.few_accidentals(
        start.blinding, start.estimates["contrast_s"]
    )
    result = []
    for i, name in enumerate(names):
        source = light.estimates if i < n_spectrum else start.estimates
        low, high = bounds.get(name, (-math.inf, math.inf))
        value = min(max(source[name], low), high)
        prior = options.response_prior if name == "response_sigma_s" else None
        result.append(Parameter(name, value, low, high, fixed=fixed.get(name, False), prior=prior))
    return result
