"""``labctl emission``: what the light of a sample is, and what each instrument would see of it."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.numbers import finite, whole
from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.emission.components import Emission
    from labctl.emission.sample import Sample

NAME = "emission"
HELP = "show a sample's light at one temperature: components, spectrum, decay, g2"

#: Where the papers measured; the laws of a sample are stretched beyond.
KNOWN_K = (80.0, 300.0)
#: Collection spots of the paper.
KNOWN_UM = (13.0, 50.0)
#: As far as a sample's data file goes.
MOST_HYSTERESIS_K = 100.0
#: Raman spectra are taken to be measured at room temperature.
RAMAN_K = 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--sample", help="A, B, 03 to 10 or a full name (default A)")
    parser.add_argument("--temperature", type=float, default=80.0, metavar="K", help="in K (default 80)")
    parser.add_argument("--excitation", choices=("xray", "uv"), help="default: the sample's own")
    parser.add_argument(
        "--spot-um", "--spot", type=float, default=50.0, metavar="UM", help="collection spot (default 50)"
    )
    parser.add_argument("--cycle", type=whole, metavar="N", help="cooling cycle, from 1 (default 1)")
    parser.add_argument("--warming", action="store_true", help="the stage comes from colder")
    parser.add_argument(
        "--hysteresis-K",
        type=finite,
        metavar="K",
        help="with --warming: how far the coupled light lags (default: as the sample's data file says)",
    )
    parser.add_argument("--population", action="store_true", help="all ten X-ray samples instead of one")
    parser.add_argument(
        "--xrays-per-s", type=float, default=2e6, help="absorbed X-rays per s, for the contrast (default 2e6)"
    )
    parser.add_argument(
        "--bursts",
        choices=("poisson", "cascade"),
        default="poisson",
        help="photons per X-ray: Poisson, or as the X-ray cascade spreads them (default poisson)",
    )
    parser.add_argument(
        "--response-ps", type=float, default=57.0, help="start-stop timing response, rms (default 57)"
    )
    parser.add_argument("--raman", metavar="FILE", help="Raman table: also say what such a lattice would do")
    parser.add_argument(
        "--huang-rhys", type=finite, metavar="S", help="strength of the Raman table (default 1)"
    )
    parser.add_argument("--out", metavar="FILE", help="figure (default: emission_SAMPLE_TEMPERATUREK.png)")


def run(args: argparse.Namespace, out: Output) -> int:
    """Print the components and draw the three observables."""
    from labctl.emission.sample import SampleError

    _check(args)
    try:
        return _population(args, out) if args.population else _one(args, out)
    except SampleError as problem:
        raise InputError(str(problem)) from None


def _check(args: argparse.Namespace) -> None:
    # Beyond, the contrast's figure has no axis that a float can carry.
    for option, value, low, high, unit in (
        ("--xrays-per-s", args.xrays_per_s, 1e-3, 1e15, "per s"),
        ("--spot-um", args.spot_um, 1e-3, 1e6, "um"),
        ("--response-ps", args.response_ps, 0.0, 1e6, "ps"),
    ):
        if not low <= value <= high:
            raise InputError(f"{option} {value:g}: it must be from {low:g} to {high:g} {unit}")
    if args.cycle is not None and args.cycle < 1:
        raise InputError(f"--cycle {args.cycle}: cooling cycles are counted from 1")
    if args.hysteresis_K is not None and not 0.0 <= args.hysteresis_K <= MOST_HYSTERESIS_K:
        raise InputError(
            f"--hysteresis-K {args.hysteresis_K:g}: it must be from 0 to {MOST_HYSTERESIS_K:g} K"
        )
    if args.hysteresis_K is not None and not args.warming:
        raise InputError("--hysteresis-K says how light on warming differs: give --warming, too")
    if args.huang_rhys is not None and args.raman is None:
        raise InputError("--huang-rhys is the strength of a Raman table: give --raman, too")
    if args.population and args.excitation == "uv":
        raise InputError("--population: the ten samples are known under X-rays only")
    for option, value in (("--sample", args.sample), ("--raman", args.raman)):
        if args.population and value is not None:
            raise InputError(f"--population shows all ten samples: leave out {option} {value}")


def _one(args: argparse.Namespace, out: Output) -> int:
    from labctl.cli.emission_figure import draw_light

    sample = _sample("A" if args.sample is None else args.sample, args.excitation, args.cycle)
    if sample.excitation != "xray" and args.bursts == "cascade":
        raise InputError(f"--bursts cascade: {sample.name} is excited by {sample.excitation}, not by X-rays")
    emission = sample.emission(args.temperature, spot_um=args.spot_um, lag_K=_lag_K(sample, args))
    lattice = None if args.raman is None else _lattice(args)
    figure = _figure_path(args.out, sample.name, args.temperature)
    title = f"{sample.title}, {_where(args)}, spot {args.spot_um:g} µm"
    sigma_s = args.response_ps * 1e-12
    with _written(figure):
        draw_light(figure, title, emission, contrast_s=_contrast(sample, args), sigma_s=sigma_s)
    _report(sample, emission, args, out)
    if lattice is not None:
        _report_lattice(lattice, args, out)
    out.say(f"figure: {figure}")
    out.result(_fields(sample, emission, args, figure) | ({"lattice": lattice} if lattice else {}))
    return 0


def _sample(given: str, excitation: str | None, cycle: int | None) -> Sample:
    """``A`` means ``xray-A``; with ``--excitation uv`` the paper's sample under the lamp."""
    from labctl.emission.population import find_sample

    if cycle is not None and "@" in given:
        raise InputError(f"--sample {given} --cycle {cycle}: the cycle is given twice")
    if excitation == "uv":
        if given.partition("@")[0] not in ("uv", "A", "B"):
            raise InputError(f"--sample {given}: only the paper's ultraviolet sample (uv) is known under uv")
        given = "uv" + given[len(given.partition("@")[0]) :]
    name = given if given.startswith(("uv", "xray-")) else f"xray-{given}"
    sample = find_sample(name).in_cycle(cycle) if cycle is not None else find_sample(name)
    if excitation is not None and sample.excitation != excitation:
        raise InputError(f"--sample {given} is known under {sample.excitation}, not under {excitation}")
    return sample


def _lag_K(sample: Sample, args: argparse.Namespace) -> float:
    """How far the coupled light lags: on warming from far below by the whole hysteresis."""
    if not args.warming:
        return 0.0
    return sample.cycles.hysteresis_K if args.hysteresis_K is None else float(args.hysteresis_K)


def _figure_path(out: str | None, name: str, temperature_K: float) -> Path:
    if out is None:
        return Path(f"emission_{name}_{temperature_K:g}K.png")
    path = Path(out)
    if not path.parent.is_dir():
        raise InputError(f"--out {out}: the folder {path.parent} does not exist")
    if path.suffix not in (".png", ".pdf", ".svg"):
        raise InputError(f"--out {out}: a figure is a .png, .pdf or .svg file")
    return path


@contextmanager
def _written(figure: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise InputError(f"{figure}: cannot be written ({problem.strerror})") from None


def _report(sample: Sample, emission: Emission, args: argparse.Namespace, out: Output) -> None:
    out.say(f"{sample.name}: {sample.title}, {_where(args)}, spot {args.spot_um:g} um")
    out.say("component   centre    red-shift  sigma      share   lifetime")
    for part in emission.components:
        shift = (
            "          "
            if part.name == "uncoupled"
            else f"{(sample.energy_eV - part.energy_eV) * 1e3:6.1f} meV"
        )
        out.say(
            f"{part.name:10s}  {part.energy_eV:.3f} eV  {shift} {part.width_eV * 1e3:5.1f} meV  "
            f"{part.weight:.3f}   {part.lifetime_s * 1e9:.3f} ns"
        )
    if sample.excitation == "xray":
        photons = sample.photons_per_xray * sample.light_yield(args.temperature)
        out.say(f"light per X-ray: {photons:.0f} photons")
    out.say(f"A_X of the uncoupled light: {sample.rate_constant_K:.1f} K")
    contrast = _contrast(sample, args)
    if contrast is not None:
        from labctl.emission.components import g2

        peak = float(g2(emission, 0.0, contrast_s=contrast, sigma_s=args.response_ps * 1e-12))
        out.say(
            f"g2(0) at {args.xrays_per_s:g} X-rays per s through {args.response_ps:g} ps: {peak:.1f} "
            f"(contrast {contrast * 1e9:.4g} ns, {args.bursts} bursts)"
        )
    for note in _notes(args, _lag_K(sample, args)):
        out.say(note)


def _where(args: argparse.Namespace) -> str:
    return f"{args.temperature:g} K" + (" on warming" if args.warming else "")


def _notes(args: argparse.Namespace, lag_K: float) -> list[str]:
    notes = _extrapolated(args)
    if args.warming:
        notes.append(
            f"on warming the coupled light lags by {lag_K:g} K"
            if lag_K > 0.0
            else "on warming as on cooling: the data file has no hysteresis (--hysteresis-K gives one)"
        )
    return notes


def _extrapolated(args: argparse.Namespace) -> list[str]:
    """What of the question lies beyond what was measured."""
    notes = []
    for what, value, (low, high), unit in (
        ("at temperatures", args.temperature, KNOWN_K, "K"),
        ("with collection spots", args.spot_um, KNOWN_UM, "um"),
    ):
        if not low <= value <= high:
            notes.append(f"measured {what} from {low:g} to {high:g} {unit}: {value:g} {unit} is extrapolated")
    return notes


def _fields(sample: Sample, emission: Emission, args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    return {
        "sample": sample.name,
        "excitation": sample.excitation,
        "temperature_K": args.temperature,
        "extrapolated": _extrapolated(args),
        "spot_um": args.spot_um,
        "lag_K": _lag_K(sample, args),
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
    from labctl.emission.cascade import PAIR_FACTOR
    from labctl.emission.components import contrast_s

    if sample.excitation != "xray":
        return None
    return contrast_s(args.xrays_per_s, pair_factor=PAIR_FACTOR if args.bursts == "cascade" else 1.0)


def _lattice(args: argparse.Namespace) -> dict[str, float]:
    """What a lattice with this Raman spectrum does to CsPbBr3 dots of 8 nm."""
    from dataclasses import replace

    from labctl.emission.dot_material import load_material
    from labctl.emission.lattice import disorder_eV, rate_exponent_K
    from labctl.emission.raman_table import RamanTableError, load_raman_density

    huang_rhys = 1.0 if args.huang_rhys is None else args.huang_rhys
    if not 0.0 < huang_rhys <= 100.0:
        raise InputError(f"--huang-rhys {huang_rhys}: it must be above 0 and at most 100")
    try:
        phonons = load_raman_density(args.raman, huang_rhys=huang_rhys, temperature_K=RAMAN_K)
    except RamanTableError as problem:
        raise InputError(f"--raman {problem}") from None
    material = replace(load_material("CsPbBr3"), phonons=phonons)
    return {
        "huang_rhys": float(phonons.huang_rhys),
        "mean_mode_eV": float(phonons.mean_energy_eV),
        "disorder_eV": float(disorder_eV(material, args.temperature)),
        "rate_constant_8nm_K": float(rate_exponent_K(material, 8.0)),
    }


def _report_lattice(lattice: dict[str, float], args: argparse.Namespace, out: Output) -> None:
    out.say(
        f"a lattice as in {args.raman}, S = {lattice['huang_rhys']:g}: mean mode "
        f"{lattice['mean_mode_eV'] * 1e3:.2f} meV, disorder {lattice['disorder_eV'] * 1e3:.1f} meV at "
        f"{args.temperature:g} K; 8 nm CsPbBr3 would have A_X = {lattice['rate_constant_8nm_K']:.1f} K"
    )


def _population(args: argparse.Namespace, out: Output) -> int:
    from labctl.cli.emission_figure import draw_population
    from labctl.emission.population import population

    samples = [sample.in_cycle(args.cycle or 1) for sample in population()]
    lights = [
        sample.emission(args.temperature, spot_um=args.spot_um, lag_K=_lag_K(sample, args))
        for sample in samples
    ]
    figure = _figure_path(args.out, "population", args.temperature)
    title = f"Ten X-ray samples, {_where(args)}, spot {args.spot_um:g} µm"
    lags_K = [_lag_K(sample, args) for sample in samples]
    with _written(figure):
        draw_population(
            figure, title, samples, lights, lags_K, temperature_K=args.temperature, spot_um=args.spot_um
        )
    out.say(f"ten X-ray samples, {_where(args)}, spot {args.spot_um:g} um")
    out.say("sample       share   red-shift   coupled    uncoupled")
    rows = []
    for sample, light in zip(samples, lights, strict=True):
        row = _row(sample, light)
        rows.append(row)
        out.say(
            f"{sample.name:10s}  {row['share']:.3f}   {_cell(row['shift_eV'], 1e3, 'meV', 1)}  "
            f"{_cell(row['coupled_s'], 1e9, 'ns', 3)}  {_cell(row['uncoupled_s'], 1e9, 'ns', 3)}"
        )
    for name, key in (("coupled lifetime", "coupled_s"), ("uncoupled lifetime", "uncoupled_s")):
        values = [1e9 * value for row in rows if (value := row[key]) is not None]
        if len(values) > 1:
            spread = statistics.stdev(values)
            out.say(f"{name}: {statistics.mean(values):.3f} +- {spread:.3f} ns over {len(values)} samples")
    for note in _notes(args, max(lags_K)):
        out.say(note)
    out.say(f"figure: {figure}")
    named = [{"sample": sample.name} | row for sample, row in zip(samples, rows, strict=True)]
    out.result({"temperature_K": args.temperature, "samples": named, "figure": str(figure)})
    return 0


def _row(sample: Sample, light: Emission) -> dict[str, float | None]:
    parts = {part.name: part for part in light.components}
    coupled = parts.get("coupled")
    return {
        "share": 0.0 if coupled is None else coupled.weight,
        "shift_eV": None if coupled is None else sample.energy_eV - coupled.energy_eV,
        "coupled_s": None if coupled is None else coupled.lifetime_s,
        "uncoupled_s": parts["uncoupled"].lifetime_s,
    }


def _cell(value: float | None, scale: float, unit: str, digits: int) -> str:
    return f"{'-':>9s}" if value is None else f"{value * scale:6.{digits}f} {unit}"
