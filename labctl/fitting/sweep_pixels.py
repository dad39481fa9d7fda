"""Pixels of one spectrum as data of a fit that holds more than this spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.lines import LineShape
from labctl.fitting.solver import GaussianData
from labctl.fitting.spectrum_model import parameter_names, spectrum_model
from labctl.fitting.spectrum_result import SpectrumFit, outside, widening
from labctl.spectra.frames import SpectrumData
from labctl.spectra.reduction import EnergySpectrum, reduce_frames, to_energy

Array = NDArray[np.float64]

SPIKE_SIGMA = 6.0


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels per energy without spikes, with a model of two peaks.

    Args:
        measured: The pixels that are kept.
        line_shape: Shape of both peaks.
        variance: Under the spectrum's own fit (n,).
        widening: Factor on all variances where peaks do not describe the spectrum within the camera's noise.
    """

    measured: EnergySpectrum
    line_shape: LineShape
    variance: Array
    widening: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters of ``model``."""
        return parameter_names(2, self.line_shape)

    def model(self, theta: Array) -> tuple[Array, Array]:
        """Expected counts per eV (n,) and Jacobian (n, p)."""
        measured = self.measured
        return spectrum_model(measured.energy_eV, measured.background_per_eV, theta, 2, self.line_shape)

    def statistic(self, expected: Array | None) -> GaussianData:
        """The data with variances under ``expected`` (n,), or under the spectrum's own fit."""
        variance = self.variance if expected is None else self.measured.variance(expected)
        return GaussianData(self.measured.counts_per_eV, self.widening * variance)


def pixels(spectrum: SpectrumData, light: SpectrumFit) -> Pixels:
    """Pixels of frames without those that its own fit left out or that stand far above it.

    Raises:
        SpectrumRefused: frames that are no measurement.
    """
    measured = to_energy(reduce_frames(spectrum))
    measured = measured.kept(outside(measured.energy_eV, light.left_out_eV))
    model = light.with_background(measured)
    variance = measured.variance(model)
    keep = measured.counts_per_eV - model < SPIKE_SIGMA * np.sqrt(variance)
    return Pixels(measured.kept(keep), light.line_shape, variance[keep], widening(light.goodness))
