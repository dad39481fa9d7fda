"""What the paper's red-shifts and lifetimes say about the number of coupled dots and their loss.

    python docs/figures/emission_coupled.py

Draws docs/figures/emission-coupled-maps.png and prints the rows of the table "Measured as the paper measures"
in docs/emission.md. The model's light is treated like a measurement: coupled light (the paper's share of it)
and light of uncoupled dots are added, two Gaussians are fitted to the spectrum and two exponentials to the
decay. Noiseless, so the fits say what the method sees, not how well. Takes about a minute.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit

from labctl import colours
from labctl.emission.coupled_dots import FloatArray, SecularModes, secular_modes
from labctl.emission.disorder import UV, UV_PAIRS, X_RAY, DotEnsemble, hamiltonians_eV
from labctl.emission.disorder_average import MODE_SD_eV

FOLDER = Path(__file__).parent
DRAWS = 4000
SEED = 1
ENERGY_EV = np.linspace(1.2, 3.4, 881)
LENGTHS = (2, 3, 4, 5, 6, 8, 10, 14, 20)
LOSSES = np.geomspace(0.05, 3.0, 13)
#: Decays are fitted down to this part of their start: about what a measured one spans.
RANGE = 1e-3


@dataclass(frozen=True)
class Seen:
    """What spectrometer and counters report; energies in eV, lifetimes over that of a lone dot."""

    peak_eV: float
    mean_eV: float
    separation_eV: float
    fast: float
    slow: float


def gauss(energy_eV: FloatArray, centre_eV: float, sd_eV: float) -> FloatArray:
    """Gaussian line of area 1."""
    return np.exp(-0.5 * ((energy_eV - centre_eV) / sd_eV) ** 2) / (abs(sd_eV) * np.sqrt(2 * np.pi))


def draw_modes(ensemble: DotEnsemble) -> SecularModes:
    """Modes without loss; the loss is put in afterwards, since it changes neither energy nor brightness."""
    return secular_modes(
        hamiltonians_eV(ensemble, DRAWS, np.random.default_rng(SEED)),
        radiative_rate_per_s=ensemble.radiative_rate_per_s,
        collectivity=ensemble.collectivity,
    )


def seen(
    ensemble: DotEnsemble,
    modes: SecularModes,
    loss: float,
    share: float,
    *,
    mode_sd_eV: float = MODE_SD_eV,
    window: float = np.inf,
) -> Seen:
    """Measure the mixture: ``share`` of the photons from coupled dots, the others from lone ones.

    ``loss`` in Gamma_0; ``window`` in lifetimes of a lone dot: only light within it is seen.
    """
    rate = ensemble.radiative_rate_per_s
    lone_s = 1 / (rate * (1 + loss))
    window_s = window * lone_s
    lossy = replace(modes, loss_rate_per_s=loss * rate)
    light = lossy.photons_per_mode(window_s)
    photons = float(light.sum() / len(light))
    spectrum = lossy.mean_spectrum_per_eV(ENERGY_EV, sd_eV=mode_sd_eV, window_s=window_s) / photons
    mean = ensemble.energy_eV - float(np.sum(light * lossy.energy_eV) / light.sum())
    peak = ensemble.energy_eV - float(ENERGY_EV[np.argmax(spectrum)])
    lone_sd = float(np.hypot(ensemble.energy_sd_eV, mode_sd_eV))
    mixture = share * spectrum + (1 - share) * gauss(ENERGY_EV, ensemble.energy_eV, lone_sd)
    time_s = np.linspace(0, min(8 * lone_s, window_s), 600)
    decay = share * lossy.decay_per_s(time_s).mean(axis=0) / photons
    decay += (1 - share) * np.exp(-time_s / lone_s) / lone_s / -np.expm1(-window)
    fast, slow = two_lifetimes(time_s / lone_s, decay * lone_s)
    separation = two_peaks(mixture, share, ensemble.energy_eV, max(peak, 0.05), lone_sd)
    return Seen(peak, mean, separation, fast, slow)


def two_peaks(mixture: FloatArray, share: float, lone_eV: float, guess_eV: float, lone_sd: float) -> float:
    """Distance of two Gaussians, all six parameters free; NaN where the fit finds none (or one)."""

    def lines(energy: FloatArray, a: float, c: float, s: float, b: float, d: float, u: float) -> FloatArray:
        return a * gauss(energy, c, s) + b * gauss(energy, d, u)

    start = (share, lone_eV - guess_eV, 0.1, 1 - share, lone_eV, lone_sd)
    try:
        with warnings.catch_warnings():
            # An exact fit has no residuals to estimate errors from; they are not used.
            warnings.simplefilter("ignore", OptimizeWarning)
            found = curve_fit(lines, ENERGY_EV, mixture, p0=start, maxfev=20_000)[0]
    except RuntimeError:
        return float("nan")
    if min(found[0], found[3]) < 0.03:
        return float("nan")
    return float(abs(found[4] - found[1]))


def two_lifetimes(time: FloatArray, decay: FloatArray) -> tuple[float, float]:
    """Lifetimes of a double exponential, weighted like counts."""
    used = decay > RANGE * decay[0]

    def sum_of_two(time: FloatArray, a: float, fast: float, b: float, slow: float) -> FloatArray:
        return a * np.exp(-time / fast) + b * np.exp(-time / slow)

    start = (0.7 * decay[0], 0.4, 0.3 * decay[0], 1.2)
    found = curve_fit(
        sum_of_two, time[used], decay[used], p0=start, sigma=np.sqrt(decay[used]), bounds=(0, np.inf)
    )[0]
    fast, slow = sorted((float(found[1]), float(found[3])))
    return fast, slow


def say_row(name: str, ensemble: DotEnsemble, share: float, **options: float) -> None:
    """One row of the table."""
    loss = ensemble.loss_rate_per_s / ensemble.radiative_rate_per_s
    got = seen(ensemble, draw_modes(ensemble), loss, share, **options)
    sys.stdout.write(
        f"{name:44s} peak {got.peak_eV * 1e3:4.0f}  mean {got.mean_eV * 1e3:4.0f}  two Gaussians "
        f"{got.separation_eV * 1e3:4.0f} meV, fast {got.fast:.2f} slow {got.slow:.2f} of a lone dot, "
        f"ratio {got.fast / got.slow:.2f}\n"
    )


def rows() -> None:
    """The table: the paper's sets, what changes them, and what fits."""
    say_row("UV, paper's set", UV, 0.51)
    for sites in (2, 3):
        say_row(f"UV, chain of {sites}, 100 meV", UV.with_shape(sites), 0.51)
    for spread in (0.02, 0.03, 0.06):
        say_row(f"UV, pairs, {spread * 1e3:.0f} meV, loss 0.7", replace(UV_PAIRS, energy_sd_eV=spread), 0.51)
    rate = UV.radiative_rate_per_s
    for loss in (0.3, 1.0):
        say_row(f"UV, pairs, 30 meV, loss {loss}", replace(UV_PAIRS, loss_rate_per_s=loss * rate), 0.51)
    say_row("X-rays, paper's set, share of A", X_RAY, 0.77)
    say_row("X-rays, paper's set, share of B", X_RAY, 0.56)
    rate = X_RAY.radiative_rate_per_s
    for loss in (0.2, 1.0):
        say_row(f"X-rays, loss {loss}, share of A", replace(X_RAY, loss_rate_per_s=loss * rate), 0.77)
    for shape in ((2,), (5,), (20,), (2, 2), (3, 3), (2, 2, 2)):
        say_row(f"X-rays, {shape}, share of A", X_RAY.with_shape(*shape), 0.77)
    say_row("X-rays, 50 meV, share of A", replace(X_RAY, energy_sd_eV=0.05), 0.77)
    for name, ensemble, share in (("UV", UV, 0.51), ("X-rays", X_RAY, 0.77)):
        for width in (0.005, 0.05):
            say_row(f"{name}, modes {width * 1e3:.0f} meV wide", ensemble, share, mode_sd_eV=width)
        for part in (0.8, 0.5):
            say_row(f"{name}, collectivity {part}", replace(ensemble, collectivity=part), share)
        rate = ensemble.radiative_rate_per_s
        half = replace(ensemble, collectivity=0.55, loss_rate_per_s=0.3 * rate)
        say_row(f"{name}, collectivity 0.55, loss 0.3", half, share)
        for window in (1.0, 3.0):
            lossless = replace(ensemble, loss_rate_per_s=0.0)
            say_row(f"{name}, no loss, first {window:g} lifetimes", lossless, share, window=window)


def maps() -> None:
    """Red-shift (top) and lifetime ratio (bottom) over length of the chain and loss."""
    columns = (
        ("UV, J = 50 meV, dots 100 meV apart", UV, 0.51, (50, 60), (0.54,)),
        ("UV, J = 50 meV, dots 30 meV apart", replace(UV, energy_sd_eV=0.03), 0.51, (50, 60), (0.54,)),
        ("X-rays, J = 150 ± 100 meV, dots 100 meV apart", X_RAY, 0.77, (320,), (0.26, 0.32)),
    )
    figure, axes = plt.subplots(2, 3, figsize=(12.5, 7), sharex=True, sharey=True, layout="constrained")
    for column, (title, ensemble, share, shifts, ratios) in enumerate(columns):
        peak = np.empty((len(LENGTHS), len(LOSSES)))
        ratio = np.empty_like(peak)
        for row, sites in enumerate(LENGTHS):
            chain = ensemble.with_shape(sites)
            modes = draw_modes(chain)
            for place, loss in enumerate(LOSSES):
                got = seen(chain, modes, float(loss), share)
                peak[row, place], ratio[row, place] = got.peak_eV * 1e3, got.fast / got.slow
        for axis, values, levels, label in (
            (axes[0, column], peak, shifts, "red-shift of the coupled peak (meV)"),
            (axes[1, column], ratio, ratios, "fast over slow lifetime, as fitted"),
        ):
            shades = axis.contourf(LOSSES, LENGTHS, values, 14, cmap="viridis")
            lines = axis.contour(LOSSES, LENGTHS, values, levels, colors="white", linewidths=2)
            axis.clabel(lines, fmt=lambda level: f"paper {level:g}", fontsize=9)
            figure.colorbar(shades, ax=axis, label=label)
        axes[0, column].set_title(title, fontsize=10)
        axes[1, column].set_xlabel("loss (Γ₀)")
        fit = (0.7, 2) if column == 1 else (0.5, 10)
        for axis in axes[:, column]:
            axis.plot(
                *fit, marker="*" if column else "o", color=colours.MARK, ms=13, mec="white", clip_on=False
            )
    axes[0, 0].set(xscale="log", yscale="log")
    axes[0, 0].set_yticks([2, 3, 5, 10, 20], ["2", "3", "5", "10", "20"])
    axes[0, 0].minorticks_off()
    for axis in axes[:, 0]:
        axis.set_ylabel("dots in the chain")
    figure.savefig(FOLDER / "emission-coupled-maps.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    rows()
    maps()
