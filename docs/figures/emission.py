"""Draw the figures of docs/emission.md and print the numbers that stand in its tables.

    python docs/figures/emission.py

The PNG files are written beside this script. Takes a minute or two.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from labctl import colours
from labctl.cli.emission_figure import draw_population
from labctl.emission.cascade import burst_statistics, dot_statistics, simulate_cascade
from labctl.emission.components import (
    decay_per_s,
    naive_pair_density_per_s,
    pair_density_per_s,
    spectrum_per_eV,
)
from labctl.emission.disorder import UV, UV_STRONG, X_RAY, DotEnsemble
from labctl.emission.disorder_average import DotEmission, average_emission
from labctl.emission.dot_material import load_material
from labctl.emission.lattice import (
    biexciton_binding_eV,
    biexciton_rate_ratio,
    composition_diagram,
    crossover_temperature_K,
    diameter_diagram,
    disorder_eV,
    law_rate_ratio,
    rate_exponent_K,
    rate_ratio,
)
from labctl.emission.population import population
from labctl.emission.sample import load_sample

FOLDER = Path(__file__).parent
REALISATIONS = 20_000
SEED = 1
#: One colour per excitation and per material in every picture (Okabe and Ito's set).
XRAY_COLOUR, UV_COLOUR = colours.MARK, colours.DATA
MATERIAL_COLOURS = {
    "CsPbBr3": colours.DATA,
    "CsPbI3": colours.MARK,
    "CsPbCl3": colours.SIGNAL,
    "FAPbBr3": "#CC79A7",
    "CdSe": colours.FAINT,
}
TRACK_COLOURS = (colours.DATA, colours.MARK, colours.SIGNAL)
APART = replace(UV, coupling_eV=0.0)


def light(ensemble: DotEnsemble, **options: float) -> DotEmission:
    """Average with the seed and the number of draws of all figures."""
    return average_emission(ensemble, realisations=REALISATIONS, rng=np.random.default_rng(SEED), **options)


def say(text: str) -> None:
    """One line of numbers for the tables."""
    sys.stdout.write(text + "\n")


def save(figure: plt.Figure, name: str) -> None:
    """Write one picture and forget it."""
    figure.tight_layout()
    figure.savefig(FOLDER / f"emission-{name}.png", dpi=110)
    plt.close(figure)


def describe(name: str, ensemble: DotEnsemble, emission: DotEmission) -> None:
    """One row of the table of coupled dots."""
    gamma = ensemble.radiative_rate_per_s
    say(
        f"{name:34s} peak {emission.red_shift_eV * 1e3:4.0f} mean {emission.mean_shift_eV * 1e3:4.0f} "
        f"fwhm {emission.fwhm_eV * 1e3:4.0f} meV, 1/e {emission.one_over_e_s * gamma:.3f} / Gamma_0 "
        f"= {emission.one_over_e_s * 1e9:.2f} ns, first rate {emission.initial_rate_per_s / gamma:.2f}, "
        f"mean rate {emission.mean_rate_per_s / gamma:.2f} Gamma_0, photons {emission.photons:.2f}"
    )


def coupled_dots() -> None:
    """Spectrum and decay: uncoupled, UV, X-rays (first paper, S8)."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
    cases = (
        ("uncoupled", APART, colours.UNCOUPLED, "-"),
        ("UV, J = 50 meV", UV, UV_COLOUR, "-"),
        ("UV, J = 100 meV", UV_STRONG, UV_COLOUR, "--"),
        ("X-rays, J = 150 ± 100 meV", X_RAY, XRAY_COLOUR, "-"),
    )
    for name, ensemble, colour, dash in cases:
        emission = light(ensemble)
        describe(name, ensemble, emission)
        style = {"color": colour, "ls": dash, "label": name}
        left.plot(emission.energy_eV, emission.spectrum_per_eV / emission.photons, **style)
        gamma = ensemble.radiative_rate_per_s
        right.semilogy(emission.time_s * gamma, emission.decay_per_s / gamma, **style)
    left.set(xlim=(1.75, 3.05), xlabel="energy (eV)", ylabel="S (1/eV), area 1", title="ten dots, chain")
    left.axvline(2.45, color=colours.FAINT, lw=0.8)
    right.set(xlim=(0, 4), ylim=(3e-3, 1.2), xlabel="time (1/Γ₀)", ylabel="I (Γ₀)", title="decay")
    left.set_ylim(0, 5.4)
    left.legend(fontsize=8)
    save(figure, "coupled-dots")


def literal_formula() -> None:
    """Where S8 taken literally gives no shift, and the two ways out."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
    endless = replace(X_RAY, loss_rate_per_s=0.0)
    gamma = X_RAY.radiative_rate_per_s
    for name, ensemble, window, colour, dash in (
        ("no loss, endless: density of states", endless, np.inf, colours.INK, "--"),
        ("no loss, first 0.3/Γ₀", endless, 0.3 / gamma, colours.SIGNAL, "-"),
        ("loss 0.5 Γ₀, endless", X_RAY, np.inf, XRAY_COLOUR, "-"),
    ):
        emission = light(ensemble, window_s=window)
        describe(name, ensemble, emission)
        curve = emission.spectrum_per_eV / emission.photons
        left.plot(emission.energy_eV, curve, color=colour, ls=dash, label=name)
    left.set(xlim=(1.75, 3.15), xlabel="energy (eV)", ylabel="S (1/eV), area 1", title="X-ray parameters")
    left.legend(fontsize=8)
    losses = np.geomspace(0.01, 10, 16)
    for name, ensemble, colour in (("UV, 50 meV", UV, UV_COLOUR), ("X-rays", X_RAY, XRAY_COLOUR)):
        shifts = [
            light(replace(ensemble, loss_rate_per_s=x * ensemble.radiative_rate_per_s)).mean_shift_eV
            for x in losses
        ]
        right.semilogx(losses, np.array(shifts) * 1e3, "o-", color=colour, ms=3, label=name)
    right.set(xlabel="loss rate (Γ₀)", ylabel="mean red-shift (meV)", title="no loss, no shift")
    right.legend(fontsize=8)
    save(figure, "literal-formula")


def shapes() -> None:
    """Numbers for chains, squares and cubes."""
    for name, ensemble in (("UV", UV), ("X-rays", X_RAY)):
        for shape in ((2,), (5,), (10,), (20,), (3, 3), (2, 2, 2), (3, 3, 3)):
            arranged = ensemble.with_shape(*shape)
            describe(f"{name} {shape}", arranged, light(arranged))


def samples() -> None:
    """Spectrum, decay and pair density of the papers' samples."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
    energy = np.linspace(1.9, 2.7, 500)
    time_s, lag_s = np.linspace(0, 6e-9, 400), np.linspace(-4e-9, 4e-9, 801)
    for name, kelvin, colour, dash in (
        ("xray-A", 80.0, XRAY_COLOUR, "-"),
        ("xray-A", 300.0, XRAY_COLOUR, "--"),
        ("uv", 80.0, UV_COLOUR, "-"),
        ("uv", 300.0, UV_COLOUR, "--"),
    ):
        emission = load_sample(name).emission(kelvin)
        style = {"color": colour, "ls": dash, "label": f"{name}, {kelvin:g} K"}
        axes[0].plot(energy, spectrum_per_eV(emission, energy), **style)
        axes[1].semilogy(time_s * 1e9, decay_per_s(emission, time_s) * 1e-9, **style)
        if name != "uv":
            axes[2].plot(lag_s * 1e9, pair_density_per_s(emission, lag_s) * 1e-9, **style)
    cold = load_sample("xray-A").emission(80.0)
    naive = naive_pair_density_per_s(cold, lag_s) * 1e-9
    axes[2].plot(lag_s * 1e9, naive, ":", color=colours.INK, label="naive form, 80 K")
    axes[0].set(xlabel="energy (eV)", ylabel="S (1/eV)", title="spectrum")
    axes[1].set(xlabel="time (ns)", ylabel="f (1/ns)", ylim=(1e-3, 4), title="decay")
    axes[2].set(xlabel="lag (ns)", ylabel="A = ($g^{(2)}$ − 1) / C (1/ns)", title="pairs of one burst")
    axes[0].legend(fontsize=7)
    axes[2].legend(fontsize=7)
    save(figure, "samples")


def ten_samples() -> None:
    """The ten X-ray samples, as ``labctl emission --population`` draws them."""
    members = population()
    draw_population(
        FOLDER / "emission-population.png",
        "Ten X-ray samples, 80 K",
        members,
        [sample.emission(80.0) for sample in members],
        [0.0] * len(members),
        temperature_K=80.0,
        spot_um=50.0,
    )


def lattice() -> None:
    """Disorder, rate ratio and exponents over materials (second paper)."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
    kelvin = np.linspace(4, 300, 300)
    sizes = {"CsPbBr3": 8.0, "CsPbI3": 8.0, "CsPbCl3": 8.0, "FAPbBr3": 8.0, "CdSe": 4.0}
    for name, diameter in sizes.items():
        material = load_material(name)
        exponent = float(rate_exponent_K(material, diameter))
        say(
            f"{name:8s} {diameter:g} nm: S {material.phonons.huang_rhys:.2f}, mean mode "
            f"{material.phonons.mean_energy_eV * 1e3:.1f} meV, sigma 10/80/300 K "
            f"{disorder_eV(material, [10, 80, 300]) * 1e3} meV, A_X {exponent:.1f} K, T_c "
            f"{float(crossover_temperature_K(exponent)):.0f} K, R_XX(80, 10 K) "
            f"{biexciton_rate_ratio(exponent, [80, 10])}"
        )
        colour = MATERIAL_COLOURS[name]
        axes[0].plot(kelvin, disorder_eV(material, kelvin) * 1e3, color=colour, label=name)
        ratio, label = rate_ratio(material, kelvin, diameter), f"{name} {diameter:g} nm"
        axes[1].plot(1e3 / kelvin, ratio, color=colour, label=label)
        axes[1].plot(1e3 / kelvin, law_rate_ratio(exponent, kelvin), ":", color=colour)
        nm = np.linspace(3, 20, 100)
        axes[2].plot(nm, rate_exponent_K(material, nm), color=colour)
    axes[2].plot(8, 40.5, "^", color=colours.INK, label="measured, UV")
    axes[2].plot(8, 143, "s", color=colours.INK, label="measured, X-rays")
    axes[0].set(xlabel="temperature (K)", ylabel="σ (meV)", title="lattice disorder")
    axes[1].set(
        xlabel="1000 / T (1/K)",
        ylabel="$R_X$",
        xlim=(3.3, 12.5),
        ylim=(0.95, 2.6),
        title="rate ratio (dots: law)",
    )
    axes[2].set(xlabel="diameter (nm)", ylabel="$A_X$ (K)", title="exponent of the law")
    axes[0].legend(fontsize=7)
    axes[1].legend(fontsize=7)
    # The colours are those of the other two panels.
    axes[2].legend(fontsize=7, loc="upper right")
    axes[2].set_ylim(0, 175)
    save(figure, "lattice")


def phase_diagrams() -> None:
    """Temperature against diameter and composition, and the biexciton."""
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.7))
    kelvin = np.linspace(40, 300, 131)
    bromide, iodide, chloride = (load_material(name) for name in ("CsPbBr3", "CsPbI3", "CsPbCl3"))
    nm = np.linspace(3, 20, 86)
    image = axes[0].pcolormesh(nm, kelvin, diameter_diagram(bromide, kelvin, nm), vmin=1, vmax=3)
    axes[0].plot(
        nm, crossover_temperature_K(rate_exponent_K(bromide, nm)), "w--", label="crossover, $R_X$ = 1.1"
    )
    axes[0].set(xlabel="diameter (nm)", ylabel="temperature (K)", ylim=(40, 300), title="CsPbBr₃: $R_X$")
    # White on white otherwise.
    axes[0].legend(fontsize=8, facecolor="0.3", labelcolor="white", framealpha=1)
    shares = np.linspace(0, 1, 41)
    to_iodide = composition_diagram(bromide, iodide, kelvin, shares, diameter_nm=8.0)
    to_chloride = composition_diagram(bromide, chloride, kelvin, shares, diameter_nm=8.0)
    joined = np.concatenate([to_chloride[:, :0:-1], to_iodide], axis=1)
    axis_share = np.concatenate([-shares[:0:-1], shares])
    image = axes[1].pcolormesh(axis_share, kelvin, joined, vmin=1, vmax=3)
    axes[1].contour(axis_share, kelvin, joined, levels=[1.1], colors="w", linestyles="--")
    axes[1].set(xlabel="Cl  ←  Br  →  I (share)", ylim=(40, 300), title="8 nm CsPb(Cl,Br,I)₃: $R_X$")
    axes[1].set_xticks([-1, -0.5, 0, 0.5, 1], ["1", "0.5", "0", "0.5", "1"])
    axes[1].set_ylabel("temperature (K)")
    figure.colorbar(image, ax=axes[1], extend="max")
    for name, diameter in (("CsPbBr3", 8.0), ("CdSe", 4.0)):
        material, colour = load_material(name), MATERIAL_COLOURS[name]
        exponent = float(rate_exponent_K(material, diameter))
        warm = np.linspace(10, 300, 200)
        axes[2].plot(warm, biexciton_rate_ratio(exponent, warm), colour, label=f"{name}: $R_{{XX}}$")
        binding = biexciton_binding_eV(material, warm)
        axes[2].plot(warm, binding / binding[-1], colour, ls=":", label=f"{name}: binding / at 300 K")
        say(f"{name}: binding 10 K over 300 K {binding[0] / binding[-1]:.3f}")
    axes[2].axhline(2, color=colours.FAINT, lw=0.8)
    axes[2].set(xlabel="temperature (K)", ylim=(0, 2.1), title="biexciton, Dicke limit 2")
    axes[2].legend(fontsize=7)
    save(figure, "phase-diagrams")


def cascade() -> None:
    """One track, and the distributions over many (first paper, S9)."""
    many = simulate_cascade(10_000, np.random.default_rng(SEED))
    dots = dot_statistics(many, np.random.default_rng(SEED))
    say(str(dots))
    for probability in (1.0, 0.3):
        say(f"{probability:g} photons per excitation: {burst_statistics(many, probability)}")
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.7))
    for photon in range(3):
        place = many.excitations.position_nm[many.excitations.photon == photon]
        axes[0].plot(place[:, 0], place[:, 1], ".", ms=2.5, color=TRACK_COLOURS[photon])
    axes[0].set_aspect("equal")
    axes[0].set(xlabel="x (nm)", ylabel="y (nm)", title="excitations of three photons")
    axes[1].hist(many.per_photon(), bins=np.arange(0, 520, 5), color=colours.DATA)
    axes[1].set(
        xlabel="excitations per 8 keV photon", ylabel="photons of 10 000", yscale="log", title="number"
    )
    first = many.excitations.photon < 300
    owner, place = many.excitations.photon[first], many.excitations.position_nm[first]
    # Excitations come in the order of the steps; pairs must be drawn without it.
    order = np.random.default_rng(SEED).permutation(owner.size)
    order = order[np.argsort(owner[order], kind="stable")]
    owner, place = owner[order], place[order].astype(float)
    distances = []
    for step in range(1, 200, 7):
        same = owner[step:] == owner[:-step]
        distances.append(np.linalg.norm(place[step:] - place[:-step], axis=1)[same])
    axes[2].hist(np.concatenate(distances), bins=100, range=(0, 400), density=True, color=colours.DATA)
    axes[2].axvline(dots.pair_distance_nm, color=colours.INK, label=f"mean {dots.pair_distance_nm:.0f} nm")
    axes[2].axvline(50, color=colours.INK, ls=":", label="paper, about 50 nm")
    axes[2].set(
        xlabel="distance between two excitations (nm)", ylabel="density (1/nm)", title="of one photon"
    )
    axes[2].legend(fontsize=8)
    save(figure, "cascade")


if __name__ == "__main__":
    for draw in (
        coupled_dots,
        literal_formula,
        shapes,
        samples,
        ten_samples,
        lattice,
        phase_diagrams,
        cascade,
    ):
        draw()
