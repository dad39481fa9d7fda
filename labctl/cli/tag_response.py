"""``labctl tags response``: delay and timing response of two counters, from a short pulse that both see."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.numbers import finite, finite_from_0, whole_from_1
from labctl.cli.out_files import figure_path, require_writable
from labctl.cli.output import Output
from labctl.cli.tag_sources import Record, find_records, require_tags, two_channels, window_ps
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.fitting.response_fit import ResponseFit
    from labctl.fitting.value import Value
    from labctl.photons.g2 import PairBlocks

_REACH_SIGMA = 30.0
_TAIL_WARNING = 0.02
_LIGHT = 0.3


def add_response_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the action."""
    from labctl.cli.tag_sources import add_run_arguments

    parser.add_argument("source", metavar="RUN|FILE", help="tags of a pulsed laser (ps) seen by both")
    parser.add_argument("--channels", metavar="START,STOP", help="channel numbers or detector names")
    parser.add_argument("--bin-ps", type=whole_from_1, default=4, metavar="PS", help="bin width (default 4)")
    parser.add_argument(
        "--range-ns", type=finite, default=100.0, metavar="NS", help="delays from -NS to NS (default 100)"
    )
    parser.add_argument(
        "--around-ns", type=finite, metavar="NS", help="about the delay of the peak (default 0)"
    )
    parser.add_argument(
        "--pulse-fwhm-ps",
        type=finite_from_0,
        default=0.0,
        metavar="PS",
        help="length of the pulse, taken out",
    )
    add_run_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="figure; the table goes beside it")


def response(args: argparse.Namespace, out: Output) -> int:
    """Measure, fit, draw, and say what to enter into the rig file."""
    from labctl.photons.correlator import Pair
    from labctl.photons.reanalysis import Request, correlate

    (record, *more) = find_records(args.source, args)
    if more:
        raise InputError("one record is wanted: choose it with --point N")
    source = record.source
    start, stop = two_channels(args.channels, source)
    window = window_ps(args.range_ns, args.bin_ps)
    figure = figure_path(args.out, source.path, "response")
    table = figure.with_suffix(".csv")
    require_writable([figure, table], [source.path])
    counted = correlate(source.read(), Request((Pair(start, stop),), window, args.bin_ps))
    require_tags(source, (start, stop), counted.tags_by_channel)
    (blocks,) = counted.blocks
    fit, period_ps = _fit(blocks, args, source.path)
    delay, measured = (fit.estimates.value(name).scaled(1e12) for name in ("delay_s", "sigma_s"))
    sigma = _without_pulse(measured, args.pulse_fwhm_ps)
    _say(out, record, fit, delay, measured, sigma, period_ps, (start, stop), args.pulse_fwhm_ps)
    lines = _rig_lines(record, stop, delay.value, None if _is_light(fit) else sigma.value)
    out.say("for the rig file:")
    for line in lines:
        out.say(f"    {line}")
    _draw(figure, fit, f"{source.path.name}: timing response of {start} and {stop}")
    _write(table, fit)
    out.say(f"figure: {figure}")
    out.say(f"table: {table}")
    out.result(
        {
            "source": str(source.path),
            "start_channel": start,
            "stop_channel": stop,
            "delay_ps": delay.to_dict(),
            "sigma_ps": measured.to_dict(),
            "response_sigma_ps": sigma.to_dict(),
            "fwhm_ps": sigma.scaled(2.3548200450309493).to_dict(),
            "rms_with_tails_ps": fit.rms_s() * 1e12,
            "tails": {
                "later_share": fit.estimates.value("later_tail").to_dict(),
                "earlier_share": fit.estimates.value("earlier_tail").to_dict(),
                "lifetime_ps": fit.estimates.value("tail_s").scaled(1e12).to_dict(),
            }
            if fit.has_tails
            else None,
            "goodness": fit.goodness.to_dict(),
            "warnings": list(fit.warnings),
            "rig_file": lines,
            "figure": str(figure),
            "table": str(table),
        }
    )
    return 0


def _fit(blocks: PairBlocks, args: argparse.Namespace, path: Path) -> tuple[ResponseFit, float | None]:
    """Fit the peak nearest to 0 (or to where asked), within half of the period of a pulse train."""
    import numpy as np

    from labctl.fitting.response_fit import fit_response
    from labctl.photons.diagnosis import measure_response, pulse_peaks

    counts = blocks.total().astype(np.float64)
    peaks_ps = pulse_peaks(blocks)
    period = float(np.median(np.diff(peaks_ps))) if len(peaks_ps) > 1 else None
    within = float(blocks.window_ps) if period is None else period / 2
    # Every peak of a train is as high as the next: the delay is known but for whole periods.
    wanted = 0.0 if args.around_ns is None else args.around_ns * 1000
    try:
        if not len(peaks_ps):
            raise ValueError("no peak stands out of the counting noise")
        around = float(peaks_ps[np.argmin(np.abs(peaks_ps - wanted))])
        found = measure_response(blocks, around, within_ps=within)
    except ValueError as error:
        raise InputError(
            f"{path}: {error}. The light must be pulses much shorter than the response, and the delay within "
            "--range-ns"
        ) from error
    reach = min(max(_REACH_SIGMA * found.sigma_ps, 20 * blocks.bin_ps), within)
    edges = np.arange(blocks.n_bins + 1, dtype=np.float64) * blocks.bin_ps - blocks.window_ps
    first, last = np.searchsorted(edges, (found.delay_ps - reach, found.delay_ps + reach))
    last = min(int(last), blocks.n_bins)
    # The stamps of a bin are whole ps: their mean lies half a ps below the middle of the edges.
    shifted = edges[first : last + 1] - 0.5
    fit = fit_response(shifted * 1e-12, counts[first:last], found.delay_ps * 1e-12, found.sigma_ps * 1e-12)
    return fit, period


def _without_pulse(sigma_ps: Value, pulse_fwhm_ps: float) -> Value:
    """Take out the pulse's length, which both counters sample: sigma^2 - 2 sigma_pulse^2."""
    from labctl.emission.response import FWHM_PER_SIGMA
    from labctl.fitting.value import Value

    left = sigma_ps.value**2 - 2 * (pulse_fwhm_ps / FWHM_PER_SIGMA) ** 2
    if left <= 0:
        raise InputError(
            f"--pulse-fwhm-ps {pulse_fwhm_ps:g}: such a pulse alone is wider than the peak (sigma "
            f"{sigma_ps.value:.3g} ps)"
        )
    return Value(math.sqrt(left), sigma_ps.error * sigma_ps.value / math.sqrt(left))


def _say(
    out: Output,
    record: Record,
    fit: ResponseFit,
    delay: Value,
    measured: Value,
    sigma: Value,
    period_ps: float | None,
    channels: tuple[int, int],
    pulse_fwhm_ps: float,
) -> None:
    pairs = fit.estimates.value("pairs")
    train = f"; pulses every {period_ps / 1000:.4g} ns, the peak nearest to 0 is taken" if period_ps else ""
    out.say(f"{record.source.path}: {pairs.value:.0f} pairs in the peak of channels {channels}{train}")
    out.say(f"delay of the stop: {delay} ps")
    fwhm = sigma.scaled(2.3548200450309493)
    pulse = f", pulse of {pulse_fwhm_ps:g} ps taken out of {measured}" if pulse_fwhm_ps else ""
    out.say(f"response: sigma {sigma} ps, full width at half maximum {fwhm} ps{pulse}")
    if fit.has_tails:
        later, earlier = (fit.estimates.value(name).scaled(100) for name in ("later_tail", "earlier_tail"))
        tail = fit.estimates.value("tail_s").scaled(1e12)
        out.say(
            f"tails of {tail} ps: {later} % of the pairs on the stop's side, {earlier} % on the start's; "
            f"rms with them {fit.rms_s() * 1e12:.4g} ps"
        )
        if _is_light(fit):
            out.say(
                f"{100 * fit.tail.value:.2g} % in tails: light with a lifetime, not a short pulse; its "
                "width is no timing response (the delay holds)"
            )
        elif fit.tail.value > _TAIL_WARNING:
            out.say(
                f"the fits of g2 take a Gaussian response: tails of {100 * fit.tail.value:.2g} % are seen as "
                f"light of {fit.estimates['tail_s'] * 1e9:.2g} ns by them"
            )
    else:
        out.say("no tails: a Gaussian describes the peak as well")
    goodness = fit.goodness
    out.say(f"chi2 {goodness.chi2:.0f} for {goodness.dof} degrees of freedom")
    for warning in fit.warnings:
        out.say(warning)


def _is_light(fit: ResponseFit) -> bool:
    return fit.tail.value > _LIGHT


def _rig_lines(record: Record, stop: int, delay_ps: float, sigma_ps: float | None) -> list[str]:
    names = {number: name for name, number in record.source.channels.items()}
    name = names.get(stop, "STOP")
    before = record.settings.get(f"delay_ps of {name}")
    entered = round((before or 0) - delay_ps)
    note = f"was {before}" if before is not None else "if it was 0; else subtract from what it was"
    response = [] if sigma_ps is None else ["[counters]", f"response_sigma_ps = {sigma_ps:.1f}"]
    return [
        *response,
        f"[time_tagger.channels.{name}]",
        f"delay_ps = {entered}  # {note}",
    ]


def _draw(path: Path, fit: ResponseFit, title: str) -> None:
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from labctl.colours import DATA, FAINT, INK, MARK
    from labctl.figure_file import plain, save_figure
    from labctl.fitting.response_fit import response_model

    figure = Figure(figsize=(8.5, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes, rest = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    delay, sigma = fit.estimates["delay_s"], fit.estimates["sigma_s"]
    edges = (fit.edges_s - delay) * 1e12
    curve = fit.curve()
    axes.stairs(fit.counts, edges, color=DATA, lw=0.9, label="pairs")
    centre = 0.5 * (edges[1:] + edges[:-1])
    width = fit.estimates.value("sigma_s").scaled(1e12)
    axes.plot(centre, curve, color=MARK, lw=1.2, label=f"fit, sigma {width} ps")
    if fit.has_tails:
        alone = fit.estimates.values.copy()
        alone[1] *= 1 - alone[4] - alone[5]
        alone[4:6] = 0.0
        axes.plot(
            centre, response_model(fit.edges_s, alone)[0], color=INK, lw=0.9, ls="--", label="Gaussian alone"
        )
    axes.set_yscale("log")
    axes.set_ylim(0.5 * max(float(curve.min()), 0.5), 2 * max(float(fit.counts.max()), 1.0))
    axes.set_ylabel(f"pairs per {edges[1] - edges[0]:g} ps")
    axes.legend(frameon=False, fontsize=9)
    axes.set_title(plain(title), fontsize=11)
    rest.plot(centre, (fit.counts - curve) / np.sqrt(np.maximum(curve, 1.0)), ".", ms=2.5, color=DATA)
    rest.axhline(0.0, color=FAINT, lw=0.8)
    rest.set_ylabel("residual (sigma)")
    rest.set_xlabel(f"delay t(stop) - t(start) less {delay * 1e12:.1f} ps (ps)")
    reach = min(12 * sigma * 1e12 + 6 * (fit.estimates["tail_s"] * 1e12 if fit.has_tails else 0), edges[-1])
    rest.set_xlim(-reach, reach)
    for panel in (axes, rest):
        panel.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _write(path: Path, fit: ResponseFit) -> None:
    from labctl.store.durable import write_text

    centre: Any = 0.5e12 * (fit.edges_s[1:] + fit.edges_s[:-1])
    lines = ["delay_ps,pairs,fit"]
    lines += [f"{t:.3f},{n:.0f},{m:.6g}" for t, n, m in zip(centre, fit.counts, fit.curve(), strict=True)]
    write_text(path, "\n".join(lines) + "\n")
