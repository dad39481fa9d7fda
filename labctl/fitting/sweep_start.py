"""One temperature of a sweep by itself: its data, and the fits that the common fit starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from labctl.fitting.g2_fit import G2Options, fit_g2
from labctl.fitting.g2_result import G2Fit
from labctl.fitting.lines import LineShape
from labctl.fitting.refusal import FitRefused
from labctl.fitting.spectrum_fit import SpectrumOptions, fit_spectrum
from labctl.fitting.spectrum_result import SpectrumFit
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData, SpectrumRefused

Shared = Literal["lifetimes", "fraction", "all"]


@dataclass(frozen=True, eq=False)
class SweepPoint:
    """One temperature.

    Args:
        temperature_K: Where.
        pairs: Histogram in time blocks; None only where a spectrum is fitted (``"all"``).
        fraction: Coupled share from the spectrum; None where it shows one peak, taken as no coupled light.
            Not used with ``"all"``.
        spectrum: Frames, for ``"all"``.
        background_Hz: Counts of start and stop without bursts at this point (dark counts, stray light); None
            takes those of the options.
    """

    temperature_K: float
    pairs: PairBlocks | None
    fraction: Value | None = None
    spectrum: SpectrumData | None = None
    background_Hz: tuple[float, float] | None = None

    def own(self, options: G2Options) -> G2Options:
        """The options with this point's background."""
        return options if self.background_Hz is None else replace(options, background_Hz=self.background_Hz)


@dataclass(frozen=True, eq=False)
class Start:
    """A point fitted by itself: what a sweep starts from.

    Args:
        fraction: Coupled share of the light; None where the spectrum shows one peak.
        pairs, light: The fits; None without such data.
    """

    fraction: Value | None
    pairs: G2Fit | None
    light: SpectrumFit | None


def alone(point: SweepPoint, options: G2Options, shared: Shared, line_shape: LineShape) -> Start:
    """Fit one point by itself.

    Raises:
        FitRefused: its g2 or its spectrum cannot be fitted; the message names the temperature.
    """
    light = None
    if shared == "all" and point.spectrum is not None:
        try:
            light = fit_spectrum(point.spectrum, SpectrumOptions(line_shape=line_shape))
        except (FitRefused, SpectrumRefused) as refusal:
            raise FitRefused(f"point at {point.temperature_K:g} K: {refusal}") from None
    share = light.coupled_fraction if light is not None else point.fraction
    pairs = None
    if point.pairs is not None:
        pairs = _pairs_alone(point.temperature_K, point.pairs, share, point.own(options))
    return Start(share, pairs, light)


def _pairs_alone(temperature_K: float, pairs: PairBlocks, share: Value | None, options: G2Options) -> G2Fit:
    """Contrast, level and the photons per burst to start from."""
    two = share is not None and share.value > 2.0 * share.error
    wanted = replace(options, fraction=share, pin="prior", n_lifetimes=2 if two else 1, constraints=())
    try:
        return fit_g2(pairs, wanted)
    except FitRefused as refusal:
        if not two:
            raise FitRefused(f"point at {temperature_K:g} K: {refusal}") from None
    return fit_g2(pairs, replace(wanted, n_lifetimes=1))
