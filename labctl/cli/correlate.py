"""``labctl correlate``: g2 from raw time tags, with any window, bin, channels and range of time."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.background import add_background_arguments, background_rates
from labctl.cli.numbers import finite, whole, whole_from_1
from labctl.cli.out_files import figure_path, require_writable
from labctl.cli.output import Output
from labctl.cli.tag_sources import (
    add_run_arguments,
    channel_number,
    find_records,
    reading_progress,
    require_same_settings,
    require_tags,
    window_ps,
)
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.photons.background import Rate
    from labctl.photons.correlator import Pair
    from labctl.photons.reanalysis import Correlated, Request
    from labctl.photons.sources import TagSource

NAME = "correlate"
HELP = "correlate raw time tags again: pairs, count rates, g2, figure and table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "sources",
        metavar="RUN|FILE",
        nargs="+",
        help="run, PTU or ttbin file, tag segment, or folder of segments; several are added",
    )
    parser.add_argument(
        "--channels",
        metavar="START,STOP",
        action="append",
        help="channel numbers or detector names; may be given several times (default: the two in the file)",
    )
    parser.add_argument(
        "--bin-ps", type=whole_from_1, default=16, metavar="PS", help="bin width (default 16)"
    )
    parser.add_argument(
        "--range-ns", type=finite, default=160.0, metavar="NS", help="delays from -NS to NS (default 160)"
    )
    parser.add_argument(
        "--delay-ps", type=whole, default=0, metavar="PS", help="added to the stop's time stamps (default 0)"
    )
    parser.add_argument("--block-s", type=finite, metavar="S", help="time block (default: 64 to 128 blocks)")
    parser.add_argument("--from-s", type=finite, default=0.0, metavar="S", help="skip the beginning")
    parser.add_argument("--to-s", type=finite, metavar="S", help="stop there")
    parser.add_argument("--log", action="store_true", help="log-spaced lags from 1 ps to --longest-s instead")
    parser.add_argument("--longest-s", type=finite, default=1.0, metavar="S", help="with --log (default 1)")
    add_background_arguments(parser)
    add_run_arguments(parser)
    parser.add_argument("--add-anyway", action="store_true", help="add records whose settings differ")
    parser.add_argument(
        "--threads", type=whole_from_1, default=os.cpu_count() or 1, help="default: all cores"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="figure; the table goes beside it (default: in this folder)"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Correlate, report, draw and write the table."""
    records = [record for text in args.sources for record in find_records(text, args)]
    if not args.add_anyway:
        require_same_settings(records)
    sources = [record.source for record in records]
    pairs = _pairs(args, sources[0])
    figure = figure_path(args.out, sources[0].path, "g2")
    figures = [figure, *(for_pair(figure, pair) for pair in pairs[1:])]
    files = [file for place in figures for file in (place, place.with_suffix(".csv"))]
    require_writable(files, [source.path for source in sources])
    background = background_rates(args, sources[0], pairs)
    if args.log:
        from labctl.cli.log_lags import correlate_log_lags

        return correlate_log_lags(args, sources, pairs, figure, out)
    from labctl.cli.long_delay import weigh_delay
    from labctl.photons.reanalysis import add_records, correlate

    request = _request(args, pairs)
    weigh_delay(sources, request, out)
    with reading_progress(sources, out) as step:
        counted = [correlate(source.read(), request, step(source)) for source in sources]
    total = add_records(counted)
    _refuse_silence(total, pairs, sources)
    return _report(total, pairs, sources, figure, background, out)


def _request(args: argparse.Namespace, pairs: tuple[Pair, ...]) -> Request:
    from labctl.photons.reanalysis import Request

    if args.block_s is not None and not args.block_s > 0:
        raise InputError(f"--block-s {args.block_s}: must be positive")
    if args.from_s < 0 or (args.to_s is not None and args.to_s <= args.from_s):
        raise InputError(f"--from-s {args.from_s} --to-s {args.to_s}: must rise from 0")
    return Request(
        pairs,
        window_ps(args.range_ns, args.bin_ps),
        args.bin_ps,
        block_ps=None if args.block_s is None else max(round(args.block_s * 1e12), 1),
        begin_ps=round(args.from_s * 1e12),
        end_ps=None if args.to_s is None else round(args.to_s * 1e12),
        workers=args.threads,
    )


def _pairs(args: argparse.Namespace, source: TagSource) -> tuple[Pair, ...]:
    from labctl.photons.correlator import Pair

    known = source.channels
    if args.channels is None:
        if len(known) != 2:
            named = ", ".join(f"{name} = {number}" for name, number in known.items())
            raise InputError(
                f"--channels START,STOP is needed{f' ({source.path} has {named})' if named else ''}"
            )
        start, stop = known.values()
        return (Pair(start, stop, args.delay_ps),)
    pairs: list[Pair] = []
    for given in args.channels:
        numbers = [channel_number(part.strip(), given, known) for part in given.split(",")]
        if len(numbers) != 2:
            raise InputError(f"--channels {given}: give two channels, e.g. 0,1")
        pair = Pair(numbers[0], numbers[1], args.delay_ps if numbers[0] != numbers[1] else 0)
        if pair in pairs:
            raise InputError(f"--channels {given} is given twice")
        pairs.append(pair)
    return tuple(pairs)


def _refuse_silence(total: Correlated, pairs: tuple[Pair, ...], sources: list[TagSource]) -> None:
    if total.blocks and not total.blocks[0].duration_ps.sum():
        raise InputError(f"{sources[0].path}: no live time in this range ({total.gaps} gaps cover all of it)")
    for pair in pairs:
        require_tags(sources[0], (pair.start_channel, pair.stop_channel), total.tags_by_channel)


def _report(
    total: Correlated,
    pairs: tuple[Pair, ...],
    sources: list[TagSource],
    figure: Path,
    background: dict[int, Rate] | None,
    out: Output,
) -> int:
    from labctl.photons.features import find_feature
    from labctl.photons.figure import save_g2_figure
    from labctl.photons.g2_table import write_g2_table
    from labctl.photons.summary import summarise

    names = " + ".join(str(source.path) for source in sources)
    seconds = float(total.blocks[0].duration_ps.sum()) / 1e12
    holes = f", {total.gaps} gaps taken out" if total.gaps else ""
    lost = f", {total.missed} events lost" if total.missed else ""
    out.say(f"{names}: {seconds:.6g} s of live record, {total.tags} tags{holes}{lost}")
    results: list[dict[str, Any]] = []
    for pair, blocks in zip(pairs, total.blocks, strict=True):
        feature = None if pair.same_channel else find_feature(blocks)
        rates = (
            None if background is None else (background[pair.start_channel], background[pair.stop_channel])
        )
        try:
            lines, fields, share = summarise(pair, blocks, feature, rates)
        except ValueError as error:
            raise InputError(f"{names}: {error}") from error
        title = f"{sources[0].path.name}: start {pair.start_channel}, stop {pair.stop_channel}"
        place = figure if pair == pairs[0] else for_pair(figure, pair)
        save_g2_figure(place, blocks, feature, title, share)
        table = place.with_suffix(".csv")
        write_g2_table(table, blocks, {"source": names, **{k: fields[k] for k in _IN_TABLE}}, share)
        for line in lines:
            out.say(line)
        out.say(f"figure: {place}")
        out.say(f"table: {table}")
        results.append({**fields, "figure": str(place), "table": str(table)})
    out.result(
        {
            "sources": [str(source.path) for source in sources],
            "tags": total.tags,
            "tags_by_channel": {str(k): v for k, v in sorted(total.tags_by_channel.items())},
            "gaps": total.gaps,
            "missed": total.missed,
            **results[0],
            "results": results,
        }
    )
    return 0


_IN_TABLE = (
    "start_channel",
    "stop_channel",
    "stop_delay_ps",
    "duration_s",
    "start_tags",
    "stop_tags",
    "time_blocks",
)


def for_pair(figure: Path, pair: Pair) -> Path:
    """Name of the figure of a further pair of channels."""
    return figure.with_name(f"{figure.stem}_{pair.start_channel}_{pair.stop_channel}{figure.suffix}")
