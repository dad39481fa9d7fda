"""``labctl tags decay``: photons by their delay after a pulse, and the lifetimes in them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.numbers import finite, whole, whole_from_1
from labctl.cli.out_files import require_writable, table_path
from labctl.cli.output import Output
from labctl.cli.tag_sources import two_channels
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.fitting.decay_fit import DecayData, DecayFit
    from labctl.photons.decay import DecayCurve

_TEXT = (".csv", ".txt", ".asc", ".dat")
_MOST_LIFETIMES = 4
_TRIED = 3
_PILE_UP = 0.05
_MOST_NS = 1e12
_MOST_BINS = 20_000_000
_MOST_PULSES = 1e18


def add_decay_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the action."""
    parser.add_argument("source", type=Path, metavar="FILE", help="record of tags, or Edinburgh text export")
    parser.add_argument("--channels", metavar="PULSE,PHOTON", help="channel numbers or names (tags only)")
    parser.add_argument(
        "--bin-ps", type=whole_from_1, default=100, metavar="PS", help="bin width (default 100)"
    )
    parser.add_argument("--range-ns", type=finite, default=100.0, metavar="NS", help="default 100")
    parser.add_argument(
        "--delay-ps", type=whole, default=0, metavar="PS", help="added to the photons' stamps"
    )
    parser.add_argument("--first-only", action="store_true", help="only the first photon after each pulse")
    parser.add_argument("--lifetimes", metavar="N|auto", help="fit so many; auto: 1 to 3, chosen by BIC")
    parser.add_argument(
        "--response",
        type=Path,
        metavar="FILE",
        help="measured response: tags with the same channels, an export, or a table of this command",
    )
    parser.add_argument(
        "--response-sigma-ps",
        type=finite,
        metavar="PS",
        help="Gaussian response of this width (default: fitted)",
    )
    parser.add_argument(
        "--pulses",
        type=finite,
        metavar="N",
        help="number of pulses of a start-stop export, so that the fit corrects pile-up",
    )
    parser.add_argument("--fit-from-ns", type=finite, metavar="NS", help="fit from this delay on")
    parser.add_argument("--fit-to-ns", type=finite, metavar="NS", help="fit up to this delay")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="table (default: <name>_decay.csv here); the figure goes beside it",
    )


def decay_curve(args: argparse.Namespace, out: Output) -> int:
    """Count or read, fit if asked, write table and figure."""
    from labctl.cli.decay_figure import save_decay_figure
    from labctl.store.durable import write_text

    if not 0 < args.range_ns <= _MOST_NS:
        raise InputError(f"--range-ns {args.range_ns:g}: must be positive, at most {_MOST_NS:g}")
    if args.range_ns * 1000 / args.bin_ps > _MOST_BINS:
        bins = args.range_ns * 1000 / args.bin_ps
        raise InputError(f"{bins:.0f} bins are too many; take wider bins or a shorter range")
    wanted = _lifetimes(args)
    curves, response = _curves(args, args.source), None
    responses = {label: curve for label, (curve, kind) in curves.items() if "response" in kind.lower()}
    if args.response is not None:
        response = _only(_curves(args, args.response), args.response)
    elif wanted is not None and len(curves) > 1 and len(responses) == 1:
        ((name, response),) = responses.items()
        curves = {label: entry for label, entry in curves.items() if label != name}
        out.say(f"{name}: taken as the instrument's response of the others")
    table = table_path(args.out, args.source, "decay")
    figures = [
        table.with_name(f"{table.stem}{'' if k == 0 else f'_{k + 1}'}.png") for k in range(len(curves))
    ]
    require_writable([table, *figures], [args.source, *([] if args.response is None else [args.response])])
    lines, results = ["curve,delay_ns,counts" + (",fit" if wanted is not None else "")], []
    for figure, (label, (read, _)) in zip(figures, curves.items(), strict=True):
        curve = read if args.pulses is None or read.pulses else _with_pulses(read, args.pulses, label)
        _say_curve(out, label, curve)
        data = fit = None
        if wanted is not None:
            data, first = _data(curve, response, args)
            fit = _fit(data, wanted, args.response_sigma_ps, label)
            _say_fit(out, fit, data)
        save_decay_figure(figure, curve, data, fit, f"{args.source.name}: {label}")
        lines += _rows(label, curve, data, fit, first if data is not None else 0)
        out.say(f"figure: {figure}")
        results.append(
            {
                "label": label,
                "photons": int(curve.counts.sum()),
                "pulses": curve.pulses,
                "photons_per_pulse": curve.photons_per_pulse() or None,
                "fit": None if fit is None else _fields(fit),
                "figure": str(figure),
            }
        )
    write_text(table, "\n".join(lines) + "\n")
    out.say(f"table: {table}")
    out.result({"source": str(args.source), "curves": results, "table": str(table)})
    return 0


def _lifetimes(args: argparse.Namespace) -> int | None:
    """Number to fit, 0 for a choice, ``None`` for no fit."""
    fit_options = (args.response, args.response_sigma_ps, args.fit_from_ns, args.fit_to_ns)
    if args.lifetimes is None:
        if any(option is not None for option in fit_options):
            raise InputError("--response and --fit-... are for a fit: say --lifetimes N or --lifetimes auto")
        return None
    if args.response is not None and args.response_sigma_ps is not None:
        raise InputError("--response and --response-sigma-ps: give one of them")
    if args.response_sigma_ps is not None and not args.response_sigma_ps > 0:
        raise InputError(f"--response-sigma-ps {args.response_sigma_ps:g}: must be positive")
    if args.lifetimes == "auto":
        return 0
    if not args.lifetimes.isdigit() or not 1 <= int(args.lifetimes) <= _MOST_LIFETIMES:
        raise InputError(f"--lifetimes {args.lifetimes}: a number from 1 to {_MOST_LIFETIMES}, or auto")
    return int(args.lifetimes)


def _curves(args: argparse.Namespace, path: Path) -> dict[str, tuple[DecayCurve, str]]:
    """Curves of a file with what kind of scan each is."""
    if path.suffix.lower() not in _TEXT:
        return {path.name: (_decay_of_tags(args, path), "")}
    from labctl.photons.decay_table import is_decay_table, read_decay_table
    from labctl.photons.edinburgh import read_edinburgh

    if is_decay_table(path):
        return {label: (curve, "") for label, curve in read_decay_table(path).items()}
    curves = {}
    for number, scan in enumerate(read_edinburgh(path), start=1):
        label = scan.label or f"curve {number}"
        while label in curves:
            label = f"{label} ({number})"
        curves[label] = scan.decay(), scan.kind
    return curves


def _decay_of_tags(args: argparse.Namespace, path: Path) -> DecayCurve:
    from labctl.photons.decay import DecayHistogram
    from labctl.photons.sources import open_source

    source = open_source(path)
    pulse, photon = two_channels(args.channels, source)
    try:
        histogram = DecayHistogram(
            pulse,
            photon,
            range_ps=round(args.range_ns * 1000),
            bin_ps=args.bin_ps,
            photon_delay_ps=args.delay_ps,
            first_only=args.first_only,
        )
        for chunk in source.read():
            histogram.push(chunk)
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(f"{path}: {error}") from error
    curve = histogram.curve()
    if not curve.pulses or not curve.photons:
        silent = pulse if not curve.pulses else photon
        raise InputError(f"{path}: channel {silent} never fires in this record")
    return curve


def _only(curves: dict[str, tuple[DecayCurve, str]], path: Path) -> DecayCurve:
    if len(curves) == 1:
        return next(iter(curves.values()))[0]
    named = [curve for curve, kind in curves.values() if "response" in kind.lower()]
    if len(named) == 1:
        return named[0]
    raise InputError(f"--response {path}: it holds {len(curves)} curves ({', '.join(curves)}); one is wanted")


def _with_pulses(curve: DecayCurve, pulses: float, label: str) -> DecayCurve:
    if not curve.counts.sum() <= pulses <= _MOST_PULSES:
        raise InputError(
            f"--pulses {pulses:g}: {label} has {int(curve.counts.sum())} counts; a start-stop curve has at "
            "most one per pulse"
        )
    return replace(curve, pulses=round(pulses), first_only=True)


def _data(curve: DecayCurve, response: DecayCurve | None, args: argparse.Namespace) -> tuple[DecayData, int]:
    """What to fit, and the index of its first bin in the curve."""
    import numpy as np

    from labctl.fitting.decay_fit import DecayData
    from labctl.photons.decay_table import response_in_bins

    edges_ps = curve.first_ps + curve.bin_ps * np.arange(len(curve.counts) + 1, dtype=np.float64)
    low = -np.inf if args.fit_from_ns is None else args.fit_from_ns * 1000
    high = np.inf if args.fit_to_ns is None else args.fit_to_ns * 1000
    if curve.shortest_period_ps:
        # Beyond the next pulse photons belong to that one.
        high = min(high, float(curve.shortest_period_ps))
    chosen = np.flatnonzero((edges_ps[:-1] >= low) & (edges_ps[1:] <= high))
    if not len(chosen):
        raise InputError(
            f"--fit-from-ns and --fit-to-ns leave no bin of {edges_ps[0] / 1000:g} to "
            f"{edges_ps[-1] / 1000:g} ns"
        )
    first, last = int(chosen[0]), int(chosen[-1]) + 1
    shape = None
    if response is not None:
        shape = response_in_bins(response, curve, first, last)
    start_stop = curve.first_only and curve.pulses > 0
    period = curve.period_ps
    return (
        DecayData(
            edges_ps[first : last + 1] * 1e-12,
            curve.counts[first:last].astype(np.float64),
            shape,
            float(curve.pulses) if start_stop else None,
            float(curve.counts[:first].sum()),
            None if period is None else period * 1e-12,
        ),
        first,
    )


def _fit(data: DecayData, wanted: int, sigma_ps: float | None, label: str) -> DecayFit:
    from labctl.fitting.decay_fit import fit_decay
    from labctl.fitting.refusal import FitRefused

    span_ps = float(data.edges_s[-1] - data.edges_s[0]) * 1e12
    if sigma_ps is not None and not sigma_ps < span_ps:
        raise InputError(
            f"--response-sigma-ps {sigma_ps:g}: wider than the curve that is fitted ({label}: {span_ps:g} ps)"
        )
    try:
        return fit_decay(
            data,
            n_lifetimes=wanted or None,
            max_lifetimes=_TRIED,
            response_sigma_s=None if sigma_ps is None else sigma_ps * 1e-12,
        )
    except FitRefused as error:
        raise InputError(f"{label}: {error}") from error


def _say_curve(out: Output, label: str, curve: DecayCurve) -> None:
    peak = int(curve.counts.argmax())
    out.say(
        f"{label}: {int(curve.counts.sum())} photons in {len(curve.counts)} bins of {curve.bin_ps:g} ps, "
        f"peak {int(curve.counts.max())} at {curve.delay_ps[peak] / 1000:.4g} ns"
    )
    if not curve.pulses:
        return
    period = f", one every {curve.period_ps / 1000:.6g} ns" if curve.period_ps else ""
    out.say(f"{curve.pulses} pulses{period}, {curve.photons_per_pulse():.3g} photons counted per pulse")
    if curve.photons_per_pulse() > _PILE_UP:
        out.say(
            "more than 5 % of the pulses gave a photon: the curve is distorted by pile-up (a fit takes it "
            "into account)"
            if curve.first_only
            else "more than 5 % of the pulses gave a photon: if the counter is dead as long as the decay, "
            "later photons are missing; with --first-only a fit takes that into account"
        )


def _say_fit(out: Output, fit: DecayFit, data: DecayData) -> None:
    for number in range(1, fit.n_lifetimes + 1):
        weight = fit.weight(number).scaled(100)
        share = f", {weight} % of the photons" if fit.n_lifetimes > 1 else ""
        out.say(f"lifetime {number}: {fit.lifetime_s(number).scaled(1e9)} ns{share}")
    if fit.n_lifetimes > 1:
        out.say(f"mean delay of a photon: {fit.mean_lifetime_s().scaled(1e9)} ns")
    values = [
        f"start {fit.estimates.value('start_s').scaled(1e9)} ns",
        f"photons {fit.estimates.value('counts')}",
        f"background {fit.estimates.value('background')} per bin",
    ]
    if data.response is None:
        sigma = fit.estimates.value("response_sigma_s")
        values.append(f"response sigma {sigma.scaled(1e12)} ps{' (given)' if not sigma.error else ''}")
    out.say(", ".join(values))
    model = "first photons only (no pile-up)" if data.pulses is not None else "all photons"
    earlier = ", light of earlier pulses included" if data.period_s is not None else ""
    goodness = fit.goodness
    out.say(f"likelihood: {model}{earlier}; chi2 {goodness.chi2:.0f} for {goodness.dof} degrees of freedom")
    if len(fit.bic) > 1:
        least = min(fit.bic.values())
        tried = ", ".join(f"{n}: +{value - least:.1f}" for n, value in sorted(fit.bic.items()))
        out.say(f"number of lifetimes by BIC (least wins): {tried}")
    for warning in fit.warnings:
        out.say(warning)


def _fields(fit: DecayFit) -> dict[str, Any]:
    numbers = range(1, fit.n_lifetimes + 1)
    return {
        **fit.to_dict(),
        "lifetimes_ns": [fit.lifetime_s(n).scaled(1e9).to_dict() for n in numbers],
        "weights": [fit.weight(n).to_dict() for n in numbers],
        "mean_lifetime_ns": fit.mean_lifetime_s().scaled(1e9).to_dict(),
    }


def _rows(
    label: str, curve: DecayCurve, data: DecayData | None, fit: DecayFit | None, first: int
) -> list[str]:
    name = label.replace(",", ";")
    delays = curve.delay_ps / 1000
    if data is None or fit is None:
        return [f"{name},{t:.6g},{n}" for t, n in zip(delays, curve.counts, strict=True)]
    from labctl.fitting.decay_fit import expected_counts

    expected = expected_counts(data, fit)[0]
    rows = []
    for k, (t, n) in enumerate(zip(delays, curve.counts, strict=True)):
        inside = 0 <= k - first < len(expected)
        rows.append(f"{name},{t:.6g},{n},{f'{expected[k - first]:.6g}' if inside else ''}")
    return rows
