"""``labctl correlate``: g2 from raw time tags."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.photons.features import Feature
    from labctl.photons.g2 import PairBlocks

NAME = "correlate"
HELP = "correlate raw time tags again: pairs, count rates, g2 and a figure"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("source", metavar="FILE", help="PTU file, tag segment, or folder of segments")
    parser.add_argument(
        "--channels", metavar="START,STOP", help="channel numbers (default: the two in the file)"
    )
    parser.add_argument("--bin-ps", type=int, default=16, help="bin width in ps (default 16)")
    parser.add_argument(
        "--range-ns", type=float, default=160.0, help="delays from -RANGE to RANGE (default 160)"
    )
    parser.add_argument("--delay-ps", type=int, default=0, help="added to the stop's time stamps (default 0)")
    parser.add_argument(
        "--out", metavar="FILE", help="figure (default: named after the source, in this folder)"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Correlate, report and draw."""
    from labctl.photons.correlator import PairCorrelator
    from labctl.photons.features import find_feature
    from labctl.photons.figure import save_g2_figure
    from labctl.photons.sources import open_source

    window_ps = _window_ps(args.range_ns, args.bin_ps)
    source = open_source(args.source)
    start, stop = _channels(args.channels, source.channels)
    correlator = PairCorrelator(
        start, stop, window_ps=window_ps, bin_ps=args.bin_ps, stop_delay_ps=args.delay_ps
    )
    for chunk in source.read():
        correlator.push(chunk)
    blocks = correlator.blocks()
    _check(blocks, source.path, start, stop)
    feature = find_feature(blocks)
    figure = _figure_path(args.out, source.path)
    save_g2_figure(figure, blocks, feature, f"{source.path.name}: start {start}, stop {stop}")
    _report(blocks, feature, source.path, (start, stop), figure, out)
    return 0


def _window_ps(range_ns: float, bin_ps: int) -> int:
    window_ps = round(range_ns * 1000)
    if bin_ps < 1 or window_ps < 1:
        raise InputError(f"--bin-ps {bin_ps} and --range-ns {range_ns}: both must be positive")
    if 2 * window_ps % bin_ps:
        fitting = max(bin_ps * round(window_ps / bin_ps), bin_ps)
        raise InputError(
            f"--range-ns {range_ns}: +-{window_ps} ps is no whole number of {bin_ps} ps bins; "
            f"try --range-ns {fitting / 1000:g}"
        )
    if 2 * window_ps // bin_ps > 20_000_000:
        raise InputError(f"{2 * window_ps // bin_ps} bins are too many; take wider bins or a shorter range")
    return window_ps


def _channels(given: str | None, known: dict[str, int]) -> tuple[int, int]:
    if given is None:
        if len(known) == 2:
            start, stop = known.values()
            return start, stop
        named = ", ".join(f"{name} = {number}" for name, number in known.items())
        raise InputError(f"--channels START,STOP is needed{f' (the file has {named})' if named else ''}")
    numbers = []
    for part in given.split(","):
        if part.strip() in known:
            numbers.append(known[part.strip()])
            continue
        try:
            numbers.append(int(part))
        except ValueError:
            raise InputError(f"--channels {given}: '{part}' is no channel number") from None
    if len(numbers) != 2:
        raise InputError(f"--channels {given}: give two channels, e.g. 0,1")
    return numbers[0], numbers[1]


def _check(blocks: PairBlocks, path: Path, start: int, stop: int) -> None:
    for channel, tags in ((start, blocks.start_tags.sum()), (stop, blocks.stop_tags.sum())):
        if tags == 0:
            raise InputError(f"{path}: channel {channel} never fires in this record")


def _figure_path(out: str | None, source: Path) -> Path:
    if out is None:
        return Path(f"{source.stem or source.name}_g2.png")
    path = Path(out)
    if not path.parent.is_dir():
        raise InputError(f"--out {out}: the folder {path.parent} does not exist")
    return path


def _report(
    blocks: PairBlocks,
    feature: Feature | None,
    source: Path,
    channels: tuple[int, int],
    figure: Path,
    out: Output,
) -> None:
    pairs = int(blocks.total().sum())
    duration_s = float(blocks.duration_ps.sum()) / 1e12
    starts, stops = int(blocks.start_tags.sum()), int(blocks.stop_tags.sum())
    out.say(f"{source}: {duration_s:.6g} s of record")
    out.say(f"start: channel {channels[0]}, {starts} tags, {starts / duration_s:.6g} per s")
    out.say(f"stop:  channel {channels[1]}, {stops} tags, {stops / duration_s:.6g} per s")
    out.say(f"pairs: {pairs} within +-{blocks.window_ps / 1000:g} ns, {blocks.bin_ps} ps bins")
    far_level = blocks.far_level() if blocks.expected().sum() > 0 else None
    if far_level is not None:
        out.say(
            f"far level: {far_level:.4g} times what the total count rates give (1 = no slow fluctuations)"
        )
    result: dict[str, Any] = {
        "source": str(source),
        "duration_s": duration_s,
        "start_channel": channels[0],
        "stop_channel": channels[1],
        "start_tags": starts,
        "stop_tags": stops,
        "pairs": pairs,
        "window_ps": blocks.window_ps,
        "bin_ps": blocks.bin_ps,
        "far_level": far_level,
        "figure": str(figure),
        "feature": None,
    }
    if feature is not None:
        _say_feature(feature, out)
        result["feature"] = {
            "kind": feature.kind,
            "delay_ns": feature.delay_ps / 1000,
            "half_width_ns": feature.half_width_ps / 1000,
            "pairs": feature.pairs,
            "g2_far_level": feature.g2_far,
            "g2_far_level_error": feature.g2_far_error,
            "g2_total_rate": feature.g2_total,
            "period_ns": None if feature.period_ps is None else feature.period_ps / 1000,
            "neighbour_pairs": list(feature.neighbours),
        }
    else:
        out.say("too few pairs to look for a dip or a peak")
    out.say(f"figure: {figure}")
    out.result(result)


def _say_feature(feature: Feature, out: Output) -> None:
    if feature.kind == "none":
        out.say("no dip or peak above the counting noise")
        return
    if feature.period_ps is not None:
        out.say(f"pulsed light, period {feature.period_ps / 1000:.4f} ns")
        near = feature.neighbours
        level = f"{min(near)} to {max(near)} in each of {len(near)} neighbouring periods"
    else:
        level = "long delays as level"
    out.say(
        f"{feature.kind}: at {feature.delay_ps / 1000:+.2f} ns, {feature.pairs} pairs within "
        f"+-{feature.half_width_ps / 1000:.3f} ns ({level})"
    )
    out.say(f"g2(0) = {feature.g2_far:.3f} +- {feature.g2_far_error:.3f}, normalised to the far level")
    out.say(f"g2(0) = {feature.g2_total:.3f}, normalised to the total count rates")
