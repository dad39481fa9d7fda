"""Peaks of one spectrum as they were found: values, curves, residuals, and their way to disk and back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.estimates import Estimates, Goodness, software
from labctl.fitting.lines import LineShape
from labctl.fitting.spectrum_model import peaks, spectrum_model, suffix
from labctl.fitting.value import Value
from labctl.spectra.frames import SpectrumData
from labctl.spectra.reduction import EnergySpectrum, Spectrum, reduce_frames, to_energy

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SpectrumFit:
    """Peaks of one spectrum.

    Args:
        n_peaks: Peaks in the model that was chosen.
        line_shape: ``"gaussian"`` or ``"asymmetric"``.
        estimates: Parameters ``counts``, ``background_per_pixel``, ``energy_eV``, ``width_eV`` (and
            ``skew``); per further peak ``fraction``, ``shift_eV``, ``coupled_width_eV`` (and
            ``coupled_skew``), from the second one on with ``_2`` and so on.
        goodness: Chi-squared of the residuals by the camera's noise.
        hidden_fraction: With one peak, the share of the light that a second one could still hold unseen
            (value and error of the rejected second peak together); 0 where two were found.
        bic_gain: BIC of one peak less BIC of two (0 if two were not tried); above 10 decides for two.
        corrected: The spectrometer's response was divided out; else shares are those of the detected light.
        warnings: What limits the result.
        hidden_error: The part of ``hidden_fraction`` that is the error of the rejected peak.
        left_out_eV: Ranges that were left out of the fit (cosmic-ray hits of several pixels).
        software: Name and version that fitted.
    """

    n_peaks: int
    line_shape: LineShape
    estimates: Estimates
    goodness: Goodness
    bic_gain: float
    hidden_fraction: float
    corrected: bool
    warnings: tuple[str, ...]
    hidden_error: float = 0.0
    left_out_eV: tuple[tuple[float, float], ...] = ()
    software: str = field(default_factory=software)

    @property
    def coupled_fraction(self) -> Value | None:
        """Share of the light in the coupled peak (sum of them); None where one peak suffices."""
        return self._combine([1.0] * (self.n_peaks - 1)) if self.n_peaks > 1 else None

    @property
    def red_shift_eV(self) -> Value | None:
        """Distance of the (first) coupled peak below the uncoupled one."""
        return self.estimates.value("shift_eV") if self.n_peaks > 1 else None

    def _combine(self, factors: list[float]) -> Value:
        index = [self.estimates.names.index(f"fraction{suffix(i)}") for i in range(1, self.n_peaks)]
        weights = np.array(factors)
        variance = float(weights @ self.estimates.covariance[np.ix_(index, index)] @ weights)
        return Value(float(weights @ self.estimates.values[index]), math.sqrt(max(variance, 0.0)))

    def components(self, energy_eV: Array) -> dict[str, Array]:
        """Curve of each peak, counts per frame and eV: ``uncoupled``, ``coupled``, ``coupled_2``."""
        energy = np.asarray(energy_eV, dtype=np.float64)
        values = self.estimates.values
        parts = peaks(energy, values, self.n_peaks, self.line_shape)
        names = ["uncoupled"] + [f"coupled{suffix(i)}" for i in range(1, self.n_peaks)]
        return {name: self.estimates["counts"] * part for name, part in zip(names, parts, strict=True)}

    def curve(self, energy_eV: Array) -> Array:
        """Sum of all peaks in counts per frame and eV (without the background)."""
        return np.asarray(sum(self.components(energy_eV).values()))

    def with_background(self, measured: EnergySpectrum) -> Array:
        """Peaks and background in counts per frame and eV for these very pixels (n,)."""
        return self.curve(measured.energy_eV) + (
            self.estimates["background_per_pixel"] * measured.background_per_eV
        )

    def residuals(self, data: SpectrumData | Spectrum) -> tuple[Array, Array]:
        """What the fit leaves over.

        Args:
            data: What was fitted, or another spectrum of the same light.

        Returns:
            Energies in eV of the pixels (n,), rising, and measured less fitted in standard deviations (n,),
            without the ranges that were left out.

        Raises:
            SpectrumRefused: frames that are no measurement.
        """
        return spectrum_pulls(data, self.estimates.values, self.n_peaks, self.line_shape, self.left_out_eV)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "software": self.software,
            "n_peaks": self.n_peaks,
            "line_shape": self.line_shape,
            "estimates": self.estimates.to_dict(),
            "goodness": self.goodness.to_dict(),
            "bic_gain": self.bic_gain,
            "hidden_fraction": self.hidden_fraction,
            "hidden_error": self.hidden_error,
            "corrected": self.corrected,
            "left_out_eV": [list(ends) for ends in self.left_out_eV],
            "warnings": list(self.warnings),
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> SpectrumFit:
        """Back from :meth:`to_dict`."""
        return SpectrumFit(
            n_peaks=int(fields["n_peaks"]),
            line_shape=fields["line_shape"],
            estimates=Estimates.from_dict(fields["estimates"]),
            goodness=Goodness.from_dict(fields["goodness"]),
            bic_gain=float(fields["bic_gain"]),
            hidden_fraction=float(fields.get("hidden_fraction", 0.0)),
            corrected=bool(fields.get("corrected", False)),
            warnings=tuple(fields["warnings"]),
            hidden_error=float(fields.get("hidden_error", 0.0)),
            left_out_eV=tuple((float(low), float(high)) for low, high in fields.get("left_out_eV", ())),
            software=str(fields["software"]),
        )


def widening(goodness: Goodness) -> float:
    """Factor on variances that makes up for a model that does not describe the data (p below 1e-3)."""
    poor = goodness.p_value < 1e-3 and goodness.chi2 > goodness.dof > 0
    return goodness.chi2 / goodness.dof if poor else 1.0


def spectrum_pulls(
    data: SpectrumData | Spectrum,
    theta: Array,
    n_peaks: int,
    line_shape: LineShape,
    left_out_eV: tuple[tuple[float, float], ...],
) -> tuple[Array, Array]:
    """Measured less expected in standard deviations of the camera's noise under the model.

    Args:
        data: Frames, or a spectrum already reduced.
        theta, n_peaks, line_shape: Of ``spectrum_model``.
        left_out_eV: Ranges that are passed over.

    Returns:
        Energies in eV, rising, and pulls, both (n,).

    Raises:
        SpectrumRefused: frames that are no measurement.
    """
    measured = to_energy(reduce_frames(data) if isinstance(data, SpectrumData) else data)
    measured = measured.kept(outside(measured.energy_eV, left_out_eV))
    shape = measured.background_per_eV
    expected = spectrum_model(measured.energy_eV, shape, theta, n_peaks, line_shape)[0]
    return measured.energy_eV, (measured.counts_per_eV - expected) / np.sqrt(measured.variance(expected))


def outside(energy_eV: Array, ranges_eV: tuple[tuple[float, float], ...]) -> NDArray[np.bool_]:
    """Which energies lie in none of the ranges (n,)."""
    keep = np.ones(energy_eV.size, dtype=np.bool_)
    for low, high in ranges_eV:
        keep &= (energy_eV < low) | (energy_eV > high)
    return keep


def ranges_left_out(every_eV: Array, kept_eV: Array) -> tuple[tuple[float, float], ...]:
    """Ranges of neighbouring energies that are in the one and not in the other, both rising."""
    gone = np.flatnonzero(~np.isin(every_eV, kept_eV))
    runs = np.split(gone, np.flatnonzero(np.diff(gone) > 1) + 1) if gone.size else []
    return tuple((float(every_eV[run[0]]), float(every_eV[run[-1]])) for run in runs)
