"""Peaks of an emission spectrum, fitted in energy after the Jacobian, with the camera's noise.

Model per eV: N [ (1 - sum w_i) L(E; E_0) + sum_i w_i L(E; E_0 - shift_i) ] + background, the same background
on each pixel (stray light, dark drift). Peak 0 is the uncoupled light, the highest in energy. The variance is
floor + (per unit) x model, renewed from the model until it stands: variances from the data would favour
pixels that fluctuated low.

Number of peaks: one more where BIC = chi2 + k ln(n) falls by more than 10 ("very strong" on the usual
scale): the search over all energies finds the largest fluctuation, for which BIC alone makes no allowance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.constraints import Constraint, constrained
from labctl.fitting.estimates import (
    Estimates,
    Goodness,
    bound_warnings,
    chi2_goodness,
    covariance_or_refuse,
    require_converged,
)
from labctl.fitting.lines import LineShape
from labctl.fitting.refusal import FitRefused
from labctl.fitting.solver import MAX_STEPS, GaussianData, Parameter, Solution, solve
from labctl.fitting.spectrum_hits import without_hits
from labctl.fitting.spectrum_model import line_list, parameter_names, spectrum_model, suffix
from labctl.fitting.spectrum_result import SpectrumFit, ranges_left_out, widening
from labctl.fitting.spectrum_start import first_guesses, one_more_peak
from labctl.spectra.frames import SpectrumData
from labctl.spectra.reduction import EnergySpectrum, Spectrum, reduce_frames, to_energy

Array = NDArray[np.float64]

_OUTLIER_SIGMA = 6.0
_BIC_STEP = 10.0
_NARROWEST_EV = 0.004


@dataclass(frozen=True)
class SpectrumOptions:
    """How to fit a spectrum.

    Args:
        n_peaks: Fit just this number of peaks; None chooses by BIC.
        max_peaks: Most peaks to try when choosing.
        line_shape: Shape of every peak.
        constraints: Parameters held, bounded or known beforehand; those of other fits are passed over.
    """

    n_peaks: int | None = None
    max_peaks: int = 2
    line_shape: LineShape = "gaussian"
    constraints: tuple[Constraint, ...] = ()

    @property
    def most(self) -> int:
        """Most peaks that are fitted."""
        return self.n_peaks or self.max_peaks


def fit_spectrum(data: SpectrumData | Spectrum, options: SpectrumOptions | None = None) -> SpectrumFit:
    """Fit the peaks of one spectrum in energy.

    Args:
        data: Frames, or a spectrum already reduced.
        options: How; by default one or two Gaussian peaks.

    Raises:
        FitRefused: too few pixels, no light, nothing but a flat level, no convergence.
        SpectrumRefused: frames that are no measurement.
        InputError: a constraint that no parameter can obey.
    """
    how = options or SpectrumOptions()
    spectrum = reduce_frames(data) if isinstance(data, SpectrumData) else data
    notes = list(spectrum.notes)
    measured = whole = to_energy(spectrum)
    _require_light(measured, how)
    fits = _fit_each(measured, how)
    best = fits[how.n_peaks] if how.n_peaks else min(fits.values(), key=lambda fit: _bic(fit, measured))
    measured, dropped = _without_outliers(measured, best)
    if dropped:
        notes.append(f"{dropped} pixels far above the fit left out as cosmic rays")
        fits = _fit_each(measured, how)
    if spectrum.n_frames == 1:
        clean = without_hits(
            measured,
            fits,
            how.line_shape,
            _narrowest_eV(measured),
            lambda less: _fit_each(less, how),
            lambda less, fit: widening(_goodness(less, fit)) == 1.0,
        )
        measured, fits = clean.measured, clean.fits
        notes += clean.notes
    _require_peak(fits[1], measured)
    chosen = how.n_peaks or _choose(fits, measured)
    gain = _bic(fits[1], measured) - _bic(fits[2], measured) if 2 in fits else 0.0
    hidden, error = _hidden_fraction(fits[2]) if chosen == 1 and 2 in fits else (0.0, 0.0)
    fit = _result(measured, fits[chosen], chosen, how.line_shape, (gain, hidden), tuple(notes))
    gone = ranges_left_out(whole.energy_eV, measured.energy_eV)
    return replace(fit, corrected=spectrum.corrected, hidden_error=error, left_out_eV=gone)


def _require_light(measured: EnergySpectrum, how: SpectrumOptions) -> None:
    needed = 2 * len(parameter_names(how.most, how.line_shape))
    if measured.energy_eV.size < needed:
        raise FitRefused(
            f"spectrum has {measured.energy_eV.size} usable pixels, a fit with {how.most} peaks "
            f"needs {needed}"
        )
    if not np.any(measured.counts_per_eV > 3.0 * measured.error):
        raise FitRefused(
            "spectrum holds no light above the camera's noise: open the shutter or expose longer"
        )


def _require_peak(one: Solution, measured: EnergySpectrum) -> None:
    """Refuse a spectrum that a constant background explains as well as a peak."""
    precision = 1.0 / one.variance
    shape = one.jacobian[:, 1]
    level = float(np.sum(precision * shape * measured.counts_per_eV) / np.sum(precision * shape**2))
    flat = float(np.sum(precision * (measured.counts_per_eV - level * shape) ** 2))
    if flat - one.deviance < 25.0:
        raise FitRefused(
            f"spectrum is flat: a peak improves chi-squared by only {flat - one.deviance:.1f} of 25; "
            "expose longer or check the light path"
        )


def spectrum_parameters(
    measured: EnergySpectrum, guess: Array, n_peaks: int, how: SpectrumOptions
) -> list[Parameter]:
    """Parameters in the order of ``parameter_names`` with the usual bounds and the asked-for constraints."""
    energy = measured.energy_eV
    low, high = float(energy[0]), float(energy[-1])
    narrowest = _narrowest_eV(measured)
    widest = 0.5 * (high - low)
    bounds = {
        "counts": (0.0, math.inf),
        "background_per_pixel": (-math.inf, math.inf),
        "energy_eV": (low, high),
        "width_eV": (narrowest, widest),
        "fraction": (0.0, 1.0),
        "shift_eV": (narrowest, high - low),
        "coupled_width_eV": (narrowest, widest),
        "skew": (-0.9, 0.9),
        "coupled_skew": (-0.9, 0.9),
    }
    parameters = []
    for name, start in zip(parameter_names(n_peaks, how.line_shape), guess, strict=True):
        stem = name.rstrip("0123456789").rstrip("_") if name[-1].isdigit() else name
        lower, upper = bounds[stem]
        parameters.append(Parameter(name, min(max(float(start), lower), upper), lower, upper))
    return constrained(parameters, how.constraints)


def _narrowest_eV(measured: EnergySpectrum) -> float:
    """Least standard deviation of a line: nothing at 80 K or above is narrower; a noise spike is."""
    return max(2.0 * float(np.median(measured.pixel_eV)), _NARROWEST_EV)


def _goodness(measured: EnergySpectrum, solution: Solution) -> Goodness:
    free = int(solution.free.sum())
    return chi2_goodness(measured.counts_per_eV, solution.model, solution.variance, free)


def _fit_each(measured: EnergySpectrum, how: SpectrumOptions) -> dict[int, Solution]:
    """Fits with 1 to ``how.most`` peaks; each guides the next."""
    line_shape = how.line_shape
    skewed = line_shape == "asymmetric"
    fits = {1: _fit_peaks(measured, 1, how, first_guesses(measured, 1, skewed=skewed))}
    for count in range(2, how.most + 1):
        before = fits[count - 1].values
        if count == 2:
            guesses = first_guesses(measured, 2, single=before[2:4], skewed=skewed)
        else:
            lines = line_list(before, line_shape)
            guesses = one_more_peak(measured, lines, float(before[1]), skewed=skewed)
        fits[count] = _fit_peaks(measured, count, how, guesses)
    return fits


def _fit_peaks(
    measured: EnergySpectrum, n_peaks: int, how: SpectrumOptions, guesses: list[Array]
) -> Solution:
    """Best of several first guesses, variance renewed from the model."""
    background_shape = measured.background_per_eV

    def model(theta: Array) -> tuple[Array, Array]:
        return spectrum_model(measured.energy_eV, background_shape, theta, n_peaks, how.line_shape)

    def refine(parameters: list[Parameter], expected: Array | None, max_steps: int) -> Solution:
        variance = measured.error**2
        if expected is not None:
            variance = measured.variance(expected)
        data = GaussianData(measured.counts_per_eV, variance)
        return solve(model, data, parameters, max_steps=max_steps)

    if not guesses:
        raise FitRefused(f"no first guess for {n_peaks} peaks was found in the spectrum")
    tried = [refine(spectrum_parameters(measured, guess, n_peaks, how), None, 12) for guess in guesses]
    solution = min(tried, key=_penalised)
    for turn in range(6):
        previous = solution.values
        parameters = [
            p if p.fixed else p.at(float(v)) for p, v in zip(solution.parameters, previous, strict=True)
        ]
        solution = refine(parameters, solution.model, MAX_STEPS)
        if turn and np.allclose(solution.values, previous, rtol=1e-6, atol=1e-12):
            break
    return solution


def _penalised(solution: Solution) -> float:
    """-2 ln L with the variance's own term, so that fits with different variances compare."""
    return solution.deviance + solution.penalty + float(np.sum(np.log(solution.variance)))


def _bic(solution: Solution, measured: EnergySpectrum) -> float:
    if not solution.converged:
        return math.inf
    return _penalised(solution) + int(solution.free.sum()) * math.log(measured.energy_eV.size)


def _hidden_fraction(two: Solution) -> tuple[float, float]:
    """What the smaller of two peaks that were not significant could hold, 0.2 at most; error in it."""
    share = float(two.values[two.names.index("fraction")])
    try:
        error = math.sqrt(float(two.covariance()[two.names.index("fraction"), two.names.index("fraction")]))
    except np.linalg.LinAlgError:
        error = 0.0
    limit = min(min(share, 1.0 - share) + error, 0.2)
    return limit, min(error, limit)


def _choose(fits: dict[int, Solution], measured: EnergySpectrum) -> int:
    """Number of peaks by the criterion of the module's docstring."""
    chosen = min(fits)
    for count in sorted(fits):
        if _bic(fits[chosen], measured) - _bic(fits[count], measured) > _BIC_STEP:
            chosen = count
    return chosen


def _without_outliers(measured: EnergySpectrum, solution: Solution) -> tuple[EnergySpectrum, int]:
    """Leave out narrow spikes far above the fit: what one frame's cosmic-ray search could not tell."""
    pull = (measured.counts_per_eV - solution.model) / np.sqrt(solution.variance)
    spike = pull > _OUTLIER_SIGMA * math.sqrt(max(1.0, float(np.median(pull**2)) / 0.455))
    # Many pixels in a row above the fit are a wrong model, not a cosmic ray.
    if not spike.any() or spike.mean() > 0.02:
        return measured, 0
    return measured.kept(~spike), int(spike.sum())


def _result(
    measured: EnergySpectrum,
    solution: Solution,
    n_peaks: int,
    line_shape: LineShape,
    gain_and_hidden: tuple[float, float],
    notes: tuple[str, ...],
) -> SpectrumFit:
    gain, hidden = gain_and_hidden
    what = f"spectrum with {n_peaks} peaks"
    require_converged(solution, what)
    covariance = covariance_or_refuse(solution, what)
    goodness = _goodness(measured, solution)
    warnings = [*notes, *bound_warnings(solution)]
    wider = widening(goodness)
    if wider > 1.0:
        covariance = covariance * wider
        warnings.append(
            f"peaks do not describe the spectrum within the camera's noise (chi2 {goodness.chi2:.0f} for "
            f"{goodness.dof}): errors were widened by {math.sqrt(wider):.2f}"
        )
    estimates = Estimates(solution.names, solution.values, covariance)
    warnings += _edge_warnings(estimates, measured, n_peaks)
    fit = SpectrumFit(
        n_peaks=n_peaks,
        line_shape=line_shape,
        estimates=estimates,
        goodness=goodness,
        bic_gain=gain if math.isfinite(gain) else 0.0,
        hidden_fraction=hidden,
        corrected=False,
        warnings=(*warnings, *estimates.degenerate_pairs()),
    )
    return _ordered(fit)


def _edge_warnings(estimates: Estimates, measured: EnergySpectrum, n_peaks: int) -> list[str]:
    low, high = float(measured.energy_eV[0]), float(measured.energy_eV[-1])
    found = []
    for i in range(n_peaks):
        centre = estimates["energy_eV"] - (estimates[f"shift_eV{suffix(i)}"] if i else 0.0)
        width = estimates[f"coupled_width_eV{suffix(i)}" if i else "width_eV"]
        if centre - 2.0 * width < low or centre + 2.0 * width > high:
            found.append(f"peak at {centre:.3f} eV reaches over the edge of the spectrum: move the grating")
    return found


def _ordered(fit: SpectrumFit) -> SpectrumFit:
    """Mark a fit whose weight lies where one of its peaks is not significant."""
    fraction = fit.coupled_fraction
    if fraction is not None and min(fraction.value, 1.0 - fraction.value) < 2.0 * fraction.error:
        least = min(fraction.value, 1.0 - fraction.value)
        note = f"one of the peaks holds {least:.3f} of the light, which is not significant"
        return replace(fit, warnings=(*fit.warnings, note))
    return fit
