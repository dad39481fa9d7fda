"""The pictures of ``labctl emission``: one sample's spectrum, decay and g2, or the ten samples together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from labctl import colours
from labctl.emission import components as model
from labctl.emission.components import Component, Emission
from labctl.emission.sample import Sample

Array = NDArray[np.float64]

_COLOURS = {"coupled": colours.COUPLED, "uncoupled": colours.UNCOUPLED}
_eV_nm = 1239.841984


def draw_light(
    path: Path, title: str, emission: Emission, *, contrast_s: float | None, sigma_s: float
) -> None:
    """Spectrum, decay and g2 of one light, each with the part of each component.

    Args:
        path: Where to write; the ending says the format.
        title: Head line.
        emission: The light.
        contrast_s: C of g2 = 1 + C A; None draws the pair density A instead.
        sigma_s: Start-stop timing response, rms; the decay is drawn through it as well.
    """
    figure = _figure(title)
    spectrum, decay, correlation = figure.subplots(1, 3)
    _spectrum(spectrum, emission)
    _decay(decay, emission, sigma_s)
    _pairs(correlation, emission, contrast_s, sigma_s)
    figure.savefig(path, dpi=150)


def draw_population(
    path: Path,
    title: str,
    samples: Sequence[Sample],
    lights: Sequence[Emission],
    lags_K: Sequence[float],
    *,
    temperature_K: float,
    spot_um: float,
) -> None:
    """Spectra and lifetimes of several samples' lights at one temperature, coupled shares at all.

    ``lags_K`` says for each sample how far its coupled light lags (0 on cooling).
    """
    figure = _figure(title)
    spectrum, lifetimes, share = figure.subplots(1, 3)
    energy = np.linspace(1.8, 2.75, 600)
    kelvin = np.linspace(80.0, 300.0, 120)
    for number, (sample, emission, lag_K) in enumerate(zip(samples, lights, lags_K, strict=True)):
        curve = model.spectrum_per_eV(emission, energy)
        spectrum.plot(energy, curve / curve.max() - 0.35 * number, color=colours.INK, lw=0.9)
        spectrum.text(1.81, -0.35 * number + 0.04, sample.name.removeprefix("xray-"), fontsize=7)
        shares = [100 * sample.coupled_fraction(float(k), spot_um=spot_um, lag_K=lag_K) for k in kelvin]
        share.plot(kelvin, shares, color=colours.COUPLED, lw=0.9)
        parts = {part.name: part.lifetime_s * 1e9 for part in emission.components}
        for name, lifetime in parts.items():
            lifetimes.plot(lifetime, number, "o", color=_COLOURS[name])
    for name in ("coupled", "uncoupled"):
        found = [
            part.lifetime_s * 1e9 for emission in lights for part in emission.components if part.name == name
        ]
        if not found:
            continue
        mean, spread = float(np.mean(found)), float(np.std(found, ddof=1)) if len(found) > 1 else 0.0
        lifetimes.axvspan(mean - spread, mean + spread, color=_COLOURS[name], alpha=0.2, lw=0)
        lifetimes.axvline(mean, color=_COLOURS[name], lw=1, label=f"{name} {mean:.2f} ± {spread:.2f} ns")
    lifetimes.set_yticks(range(len(samples)), [sample.name.removeprefix("xray-") for sample in samples])
    lifetimes.invert_yaxis()
    lifetimes.set(xlabel="Lifetime (ns)", ylabel="Sample", xlim=(0, None))
    lifetimes.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    spectrum.set(xlabel="Photon energy (eV)", ylabel="Spectrum, peak 1, one below the other", yticks=[])
    share.axvline(temperature_K, color=colours.FAINT, lw=0.8, ls=":")
    share.set(xlabel="Temperature (K)", ylabel="Coupled share of the photons (%)", ylim=(0, None))
    figure.savefig(path, dpi=150)


def _figure(title: str) -> Figure:
    figure = Figure(figsize=(12.5, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    return figure


def _spectrum(axes: Axes, emission: Emission) -> None:
    widest = max(part.width_eV for part in emission.components)
    low = min(part.energy_eV for part in emission.components) - 4 * widest
    high = max(part.energy_eV for part in emission.components) + 4 * widest
    energy = np.linspace(low, high, 1200)
    total = model.spectrum_per_eV(emission, energy)
    for part in emission.components:
        line = part.weight * model.line_per_eV(part, energy)
        axes.fill_between(energy, line, color=_COLOURS[part.name], alpha=0.35, lw=0)
        axes.annotate(
            _label(part),
            (part.energy_eV, float(np.interp(part.energy_eV, energy, total))),
            (0, 6),
            textcoords="offset points",
            # The coupled line is the redder one: to its right the sum may rise.
            ha="right" if part.name == "coupled" else "center",
            va="bottom",
            fontsize=8,
        )
    axes.plot(energy, total, color=colours.INK, lw=1)
    axes.set(xlim=(low, high), ylim=(0, 1.35 * float(total.max())))
    axes.set(xlabel="Photon energy (eV)", ylabel="Spectrum (1/eV)")
    wavelength = axes.secondary_xaxis("top", functions=(_reciprocal, _reciprocal))
    wavelength.set_xlabel("Wavelength (nm)", fontsize=8)
    wavelength.tick_params(labelsize=8)


def _label(part: Component) -> str:
    return f"{part.name}\n{part.energy_eV:.3f} eV, {100 * part.weight:.1f} %\n{part.lifetime_s * 1e9:.2f} ns"


def _reciprocal(value: ArrayLike) -> Array:
    # The axis asks beyond its limits too; nothing there may divide by zero.
    return np.asarray(_eV_nm / np.maximum(np.asarray(value, dtype=float), 1e-3))


def _decay(axes: Axes, emission: Emission, sigma_s: float) -> None:
    slowest = max(part.lifetime_s for part in emission.components)
    time = np.linspace(-0.5 * slowest, 6.0 * slowest, 1200)
    curve = model.decay_per_s(emission, time, sigma_s=sigma_s) * 1e-9
    for part in emission.components:
        alone = Emission((Component("one", part.energy_eV, part.width_eV, 1.0, part.lifetime_s),))
        own = part.weight * model.decay_per_s(alone, time, sigma_s=sigma_s) * 1e-9
        axes.semilogy(time * 1e9, _positive(own), color=_COLOURS[part.name], lw=1.2, label=part.name)
    axes.semilogy(time * 1e9, _positive(curve), color=colours.INK, lw=1, label="all light")
    axes.set(xlabel="Time after a short pulse (ns)", ylabel="Decay (1/ns)")
    axes.set_ylim(1e-4 * curve.max(), 2.0 * curve.max())
    axes.legend(frameon=False, fontsize=8)


def _pairs(axes: Axes, emission: Emission, contrast_s: float | None, sigma_s: float) -> None:
    slowest = max(part.lifetime_s for part in emission.components)
    lag = np.linspace(-6.0 * slowest, 6.0 * slowest, 2401)
    axes.set_xlabel("Delay (ns)")
    if contrast_s is None:
        density = model.pair_density_per_s(emission, lag, sigma_s=sigma_s) * 1e-9
        axes.plot(lag * 1e9, density, color=colours.INK, lw=1)
        axes.set(ylabel="Pair density A (1/ns)", ylim=(0, None))
        return
    exact = model.g2(emission, lag, contrast_s=contrast_s, sigma_s=sigma_s)
    naive = model.naive_g2(emission, lag, contrast_s=contrast_s, sigma_s=sigma_s)
    axes.plot(lag * 1e9, exact, color=colours.INK, lw=1, label="exact")
    axes.plot(lag * 1e9, naive, "--", color=colours.MARK, lw=1, label="naive double exponential")
    axes.axhline(1.0, color=colours.FAINT, lw=0.6)
    axes.set(ylabel="$g^{(2)}$", ylim=(0, 1.25 * float(max(exact.max(), naive.max()))))
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def _positive(values: Array) -> Array:
    return np.where(values > 0.0, values, np.nan)
