"""``labctl emission``: what the light of a sample is, and what each instrument would see of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.emission.components import Emission
    from labctl.emission.sample import Sample

NAME = "emission"
HELP = "show a sample's light at one temperature: components, spectrum, decay, g2"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--sample", default="A", help="A, B, 03 to 10 or a full name (default A)")
    parser.add_argument("--temperature", type=float, default=80.0, metavar="K", help="in K (default 80)")
    parser.add_argument("--excitation", choices=("xray", "uv"), help="default: the sample's own")
    parser.add_argument("--spot-um", type=float, default=50.0, help="collection spot (default 50)")
    parser.add_argument(
        "--xrays-per-s", type=float, default=2e6, help="absorbed X-rays per s, for the contrast (default 2e6)"
    )
    parser.add_argument(
        "--response-ps", type=float, default=57.0, help="start-stop timing response, rms (default 57)"
    )
    parser.add_argument("--out", metavar="FILE", help="figure (default: emission_SAMPLE_TEMPERATUREK.png)")


def run(args: argparse.Namespace, out: Output) -> int:
    """Print the components and draw the three observables."""
    from labctl.emission.sample import SampleError

    _check(args)
    try:
        sample = _sample(args.sample, args.excitation)
        emission = sample.emission(args.temperature, spot_um=args.spot_um)
    except SampleError as problem:
        raise InputError(str(problem)) from None
    figure = _figure_path(args.out, sample.name, args.temperature)
    _draw(figure, sample, emission, args)
    _report(sample, emission, args, figure, out)
    return 0


def _check(args: argparse.Namespace) -> None:
    for option, value in (("--xrays-per-s", args.xrays_per_s), ("--spot-um", args.spot_um)):
        if not 0.0 < value < 1e15:
            raise InputError(f"{option} {value}: it must be above 0")
    if not 0.0 <= args.response_ps < 1e6:
        raise InputError(f"--response-ps {args.response_ps}: it must be from 0 to 1000000")


def _sample(given: str, excitation: str | None) -> Sample:
    """``A`` means ``xray-A``; with ``--excitation uv`` the paper's sample under the lamp."""
    from labctl.emission.population import find_sample

    if excitation == "uv":
        if given not in ("uv", "A", "B"):
            raise InputError(f"--sample {given}: only the paper's ultraviolet sample (uv) is known under uv")
        return find_sample("uv")
    name = given if given == "uv" or given.startswith("xray-") else f"xray-{given}"
    sample = find_sample(name)
    if excitation is not None and sample.excitation != excitation:
        raise InputError(f"--sample {given} is known under {sample.excitation}, not under {excitation}")
    return sample


def _figure_path(out: str | None, name: str, temperature_K: float) -> Path:
    if out is None:
        return Path(f"emission_{name}_{temperature_K:g}K.png")
    path = Path(out)
    if not path.parent.is_dir():
        raise InputError(f"--out {out}: the folder {path.parent} does not exist")
    return path


def _report(sample: Sample, emission: Emission, args: argparse.Namespace, figure: Path, out: Output) -> None:
    out.say(f"{sample.name}: {sample.title}, {args.temperature:g} K, spot {args.spot_um:g} um")
    out.say("component   centre    sigma     share   lifetime")
    for part in emission.components:
        out.say(
            f"{part.name:10s}  {part.energy_eV:.3f} eV  {part.width_eV * 1e3:5.1f} meV  {part.weight:.3f}  "
            f"{part.lifetime_s * 1e9:.3f} ns"
        )
    out.say(f"light per X-ray: {sample.photons_per_xray * sample.light_yield(args.temperature):.0f} photons")
    out.say(f"A_X of the uncoupled light: {sample.rate_constant_K:.1f} K")
    contrast = _contrast(sample, args)
    if contrast is not None:
        from labctl.emission.components import g2

        peak = float(g2(emission, 0.0, contrast_s=contrast, sigma_s=args.response_ps * 1e-12))
        out.say(f"g2(0) at {args.xrays_per_s:g} X-rays per s through {args.response_ps:g} ps: {peak:.1f}")
    out.say(f"figure: {figure}")
    out.result(_fields(sample, emission, args, figure))


def _fields(sample: Sample, emission: Emission, args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    return {
        "sample": sample.name,
        "excitation": sample.excitation,
        "temperature_K": args.temperature,
        "spot_um": args.spot_um,
        "components": [
            {
                "name": part.name,
                "energy_eV": part.energy_eV,
                "width_eV": part.width_eV,
                "weight": part.weight,
                "lifetime_s": part.lifetime_s,
            }
            for part in emission.components
        ],
        "photons_per_xray": sample.photons_per_xray * sample.light_yield(args.temperature),
        "rate_constant_K": sample.rate_constant_K,
        "contrast_s": _contrast(sample, args),
        "figure": str(figure),
    }


def _contrast(sample: Sample, args: argparse.Namespace) -> float | None:
    """g2 has a contrast only where one quantum makes many photons."""
    from labctl.emission.components import contrast_s

    return contrast_s(args.xrays_per_s) if sample.excitation == "xray" else None


def _draw(path: Path, sample: Sample, emission: Emission, args: argparse.Namespace) -> None:
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from labctl import colours
    from labctl.emission import components as model

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    spectrum, decay, correlation = figure.subplots(1, 3)
    energy = np.linspace(1.8, 2.75, 800)
    spectrum.plot(energy, model.spectrum_per_eV(emission, energy), "k", lw=1)
    for part in emission.components:
        colour = colours.COUPLED if part.name.startswith("coupled") else colours.UNCOUPLED
        line = part.weight * model.line_per_eV(part, energy)
        spectrum.fill_between(energy, line, color=colour, alpha=0.35, lw=0, label=part.name)
    spectrum.set(xlabel="Photon energy (eV)", ylabel="Spectrum (1/eV)")
    spectrum.set_ylim(bottom=0.0)
    spectrum.margins(y=0.25)
    spectrum.legend(frameon=False, loc="upper left")
    slowest = max(part.lifetime_s for part in emission.components)
    sigma = args.response_ps * 1e-12
    time = np.linspace(-0.5 * slowest, 6.0 * slowest, 1200)
    curve = model.decay_per_s(emission, time, sigma_s=sigma) * 1e-9
    decay.semilogy(time * 1e9, np.where(curve > 0.0, curve, np.nan), "k", lw=1)
    decay.set(xlabel="Time (ns)", ylabel="Decay (1/ns)", ylim=(3e-5 * curve.max(), 2.0 * curve.max()))
    lag = np.linspace(-6.0 * slowest, 6.0 * slowest, 2401)
    contrast = _contrast(sample, args)
    if contrast is None:
        correlation.plot(lag * 1e9, model.pair_density_per_s(emission, lag, sigma_s=sigma) * 1e-9, "k", lw=1)
        correlation.set(ylabel="pair density A (1/ns)")
    else:
        exact = model.g2(emission, lag, contrast_s=contrast, sigma_s=sigma)
        naive = model.naive_g2(emission, lag, contrast_s=contrast, sigma_s=sigma)
        correlation.plot(lag * 1e9, exact, "k", lw=1, label="exact")
        correlation.plot(lag * 1e9, naive, "--", color=colours.MARK, lw=1, label="naive")
        correlation.set(ylabel="$g^{(2)}$")
        correlation.legend(frameon=False, loc="upper left")
    correlation.set(xlabel="Delay (ns)")
    figure.suptitle(f"{sample.title}, {args.temperature:g} K")
    figure.savefig(path, dpi=150)
