"""``labctl edinburgh``: show, convert and fit text exports of Edinburgh Instruments' spectrometers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.out_files import require_writable, table_path
from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.fitting.spectrum_result import SpectrumFit
    from labctl.photons.edinburgh import EdinburghScan
    from labctl.spectra.reduction import Spectrum

NAME = "edinburgh"
HELP = "show, convert and fit text exports of Edinburgh spectrometers (FLS1000, F980, Fluoracle)"
_FAR_APART = 5.0
_SHOWN = ("fixed/offset", "dwell time", "repeats", "temp", "lamp", "detector", "comment")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("source", type=Path, metavar="FILE", help="text (ASCII) export, commas or tabs")
    parser.add_argument(
        "--peaks", metavar="N|auto", help="fit so many peaks to each emission scan, in energy; auto: 1 or 2"
    )
    parser.add_argument(
        "--line-shape", choices=("gaussian", "asymmetric"), default="gaussian", help="of each peak"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="table (default: <name>_table.csv here), with the figure"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """List the curves, write them as one table, draw and fit them."""
    from labctl.photons.edinburgh import read_edinburgh

    wanted = _peaks(args.peaks)
    table = table_path(args.out, args.source, "table")
    figure = table.with_suffix(".png")
    require_writable([table, figure], [args.source])
    scans = read_edinburgh(args.source)
    if not scans:
        raise InputError(f"{args.source}: no curve holds a number")
    if wanted is not None and not any(_is_emission(scan) for scan in scans):
        kinds = ", ".join(sorted({scan.kind for scan in scans}))
        raise InputError(
            f"--peaks: {args.source} holds no emission scan over wavelength ({kinds}); decays are fitted by "
            "`labctl tags decay FILE --lifetimes auto`"
        )
    results = []
    fits: list[tuple[Spectrum, SpectrumFit] | None] = []
    for number, scan in enumerate(scans, start=1):
        fields = _describe(out, number, scan)
        fit = _fit(scan, wanted, args.line_shape, out) if wanted is not None and _is_emission(scan) else None
        fits.append(fit)
        results.append({**fields, "fit": None if fit is None else _fit_fields(fit[1])})
    _draw(figure, scans, fits, args.source.name)
    _write(table, scans)
    out.say(f"figure: {figure}")
    out.say(f"table: {table}")
    out.result({"source": str(args.source), "curves": results, "figure": str(figure), "table": str(table)})
    return 0


def _peaks(text: str | None) -> int | None:
    """Number of peaks, 0 for a choice, ``None`` for no fit."""
    if text is None:
        return None
    if text == "auto":
        return 0
    if text not in ("1", "2", "3"):
        raise InputError(f"--peaks {text}: 1, 2, 3 or auto")
    return int(text)


def _is_emission(scan: EdinburghScan) -> bool:
    return scan.x_quantity.lower() == "wavelength" and "emission" in scan.kind.lower()


def _describe(out: Output, number: int, scan: EdinburghScan) -> dict[str, Any]:
    peak = int(scan.counts.argmax())
    unit = f" {scan.x_unit}" if scan.x_unit else ""
    label = scan.label or f"curve {number}"
    out.say(
        f"{label}: {scan.kind}, {len(scan.x)} points from {scan.x[0]:g} to {scan.x[-1]:g}{unit}, "
        f"highest {scan.counts[peak]:g} at {scan.x[peak]:g}{unit}"
    )
    known = {key: scan.header[key] for key in _SHOWN if scan.header.get(key)}
    if known:
        out.say("    " + ", ".join(f"{key} {value}" for key, value in known.items()))
    return {
        "label": label,
        "kind": scan.kind,
        "points": len(scan.x),
        "x_quantity": scan.x_quantity,
        "x_unit": scan.x_unit,
        "first": float(scan.x[0]),
        "last": float(scan.x[-1]),
        "highest": float(scan.counts[peak]),
        "highest_at": float(scan.x[peak]),
        "header": scan.header,
    }


def _fit(
    scan: EdinburghScan, wanted: int, line_shape: Any, out: Output
) -> tuple[Spectrum, SpectrumFit] | None:
    from labctl.emission.response import HC_EV_NM
    from labctl.fitting.refusal import FitRefused
    from labctl.fitting.spectrum_fit import SpectrumOptions, fit_spectrum
    from labctl.photons.edinburgh import as_spectrum

    try:
        spectrum = as_spectrum(scan)
        fit = fit_spectrum(spectrum, SpectrumOptions(n_peaks=wanted or None, line_shape=line_shape))
    except FitRefused as error:
        out.say(f"    not fitted: {error}")
        return None
    for note in spectrum.notes:
        out.say(f"    {note}")
    for number, (energy, width, share) in enumerate(_peak_values(fit), start=1):
        part = f", {share.scaled(100)} % of the light" if fit.n_peaks > 1 else ""
        nm = HC_EV_NM / energy.value
        out.say(
            f"    peak {number}: {energy} eV ({nm:.2f} +- {nm * energy.error / energy.value:.2g} nm), "
            f"sigma {width.scaled(1000)} meV{part}"
        )
    goodness = fit.goodness
    out.say(f"    chi2 {goodness.chi2:.0f} for {goodness.dof} degrees of freedom")
    for warning in fit.warnings:
        if warning not in spectrum.notes:
            out.say(f"    {warning}")
    return spectrum, fit


def _peak_values(fit: SpectrumFit) -> list[tuple[Any, Any, Any]]:
    """Energy, width and share of each peak, the most energetic first."""
    import math

    import numpy as np

    from labctl.fitting.spectrum_model import suffix
    from labctl.fitting.value import Value

    estimates = fit.estimates
    shares = [estimates.value(f"fraction{suffix(i)}") for i in range(1, fit.n_peaks)]
    index = [estimates.names.index(f"fraction{suffix(i)}") for i in range(1, fit.n_peaks)]
    rest_error = math.sqrt(max(float(estimates.covariance[np.ix_(index, index)].sum()), 0.0))
    rest = Value(1.0 - sum(share.value for share in shares), rest_error)
    main = estimates.value("energy_eV")
    peaks = [(main, estimates.value("width_eV"), rest)]
    a = estimates.names.index("energy_eV")
    for i, share in enumerate(shares, start=1):
        b = estimates.names.index(f"shift_eV{suffix(i)}")
        covariance = estimates.covariance
        variance = float(covariance[a, a] + covariance[b, b] - 2 * covariance[a, b])
        energy = Value(main.value - estimates[f"shift_eV{suffix(i)}"], math.sqrt(max(variance, 0.0)))
        peaks.append((energy, estimates.value(f"coupled_width_eV{suffix(i)}"), share))
    return peaks


def _fit_fields(fit: SpectrumFit) -> dict[str, Any]:
    peaks = [
        {"energy_eV": energy.to_dict(), "sigma_eV": width.to_dict(), "share": share.to_dict()}
        for energy, width, share in _peak_values(fit)
    ]
    return {**fit.to_dict(), "peaks": peaks}


def _draw(
    path: Path,
    scans: list[EdinburghScan],
    fits: list[tuple[Spectrum, SpectrumFit] | None],
    title: str,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from labctl.figure_file import plain, save_figure

    axes_of = list(dict.fromkeys((scan.x_quantity, scan.x_unit) for scan in scans))
    figure = Figure(figsize=(8.5, 4.6 * len(axes_of)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(plain(title), fontsize=11)
    panels = figure.subplots(len(axes_of), 1, squeeze=False)[:, 0]
    for panel, axis in zip(panels, axes_of, strict=True):
        quantity, unit = axis
        own = [k for k, scan in enumerate(scans) if (scan.x_quantity, scan.x_unit) == axis]
        highest = [max(float(scans[k].counts.max()), 1e-300) for k in own]
        # Curves of very different height are drawn each relative to its own.
        relative = max(highest) > _FAR_APART * min(highest) and quantity.lower() != "time"
        for place, k in enumerate(own):
            _draw_scan(panel, scans[k], fits[k], place, highest[place] if relative else 1.0)
        panel.set_xlabel(plain(f"{quantity.lower()} ({unit})" if unit else quantity.lower()))
        panel.set_ylabel("relative to the highest point" if relative else "counts")
        panel.margins(x=0)
        if quantity.lower() == "time" and any((scans[k].counts > 0).any() for k in own):
            panel.set_yscale("log", nonpositive="clip")
        else:
            lowest = min(float(scans[k].counts.min()) for k in own)
            panel.set_ylim(bottom=0.0 if relative else min(lowest, 0.0))
        panel.legend(frameon=False, fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)

    save_figure(figure, path)


def _draw_scan(
    panel: Any,
    scan: EdinburghScan,
    fit: tuple[Spectrum, SpectrumFit] | None,
    place: int,
    unit: float,
) -> None:
    import numpy as np

    from labctl.colours import COUPLED, DATA, INK, SIGNAL, UNCOUPLED
    from labctl.emission.response import HC_EV_NM
    from labctl.figure_file import plain
    from labctl.spectra.reduction import to_energy

    colours = (DATA, SIGNAL, COUPLED, UNCOUPLED, INK)
    colour = colours[place % len(colours)]
    label = scan.label or scan.kind
    fixed = scan.header.get("fixed/offset", "").strip()
    if fixed and scan.x_quantity.lower() == "wavelength":
        with_what = "excited at" if "emission" in scan.kind.lower() else "seen at"
        label = f"{label} ({with_what} {fixed} nm)"
    label = plain(label)
    if fit is None:
        panel.plot(scan.x, scan.counts / unit, color=colour, lw=1.0, label=label)
        return
    panel.plot(scan.x, scan.counts / unit, ".", color=colour, ms=3, label=label)
    spectrum, found = fit
    measured = to_energy(spectrum)
    nm = HC_EV_NM / measured.energy_eV
    # Per eV -> per point of the scan: times |dE/dlambda| and the step.
    per_point = measured.energy_eV / nm * float(np.median(np.diff(spectrum.wavelength_nm))) / unit
    whole = found.with_background(measured)
    background = whole - found.curve(measured.energy_eV)
    panel.plot(nm, whole * per_point, color=INK, lw=1.1, label="fit")
    if found.n_peaks > 1:
        for name, part in found.components(measured.energy_eV).items():
            shade = UNCOUPLED if name == "uncoupled" else COUPLED
            panel.fill_between(
                nm, (part + background) * per_point, background * per_point, color=shade, alpha=0.3, lw=0
            )


def _write(path: Path, scans: list[EdinburghScan]) -> None:
    from labctl.store.durable import write_text

    lines = ["curve,kind,quantity,unit,x,counts"]
    for number, scan in enumerate(scans, start=1):
        head = ",".join(
            text.replace(",", ";")
            for text in (scan.label or f"curve {number}", scan.kind, scan.x_quantity, scan.x_unit)
        )
        lines += [f"{head},{x:.10g},{n:.10g}" for x, n in zip(scan.x, scan.counts, strict=True)]
    write_text(path, "\n".join(lines) + "\n")
