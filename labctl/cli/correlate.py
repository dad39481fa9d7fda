"""``labctl correlate``: g2 from raw time tags, with any window, bin, channels and range of time."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.photons.correlator import Pair
    from labctl.photons.reanalysis import Correlated
    from labctl.photons.sources import TagSource

NAME = "correlate"
HELP = "correlate raw time tags again: pairs, count rates, g2, figure and table"
_MOST_BINS = 20_000_000


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
    parser.add_argument("--bin-ps", type=int, default=16, metavar="PS", help="bin width (default 16)")
    parser.add_argument(
        "--range-ns", type=float, default=160.0, metavar="NS", help="delays from -NS to NS (default 160)"
    )
    parser.add_argument(
        "--delay-ps", type=int, default=0, metavar="PS", help="added to the stop's time stamps (default 0)"
    )
    parser.add_argument("--block-s", type=float, metavar="S", help="time block (default: 64 to 128 blocks)")
    parser.add_argument("--from-s", type=float, default=0.0, metavar="S", help="skip the beginning")
    parser.add_argument("--to-s", type=float, metavar="S", help="stop there")
    parser.add_argument("--log", action="store_true", help="log-spaced lags from 1 ps to --longest-s instead")
    parser.add_argument("--longest-s", type=float, default=1.0, metavar="S", help="with --log (default 1)")
    parser.add_argument("--point", type=int, action="append", metavar="N", help="of a run; may be repeated")
    parser.add_argument("--data", type=Path, default=Path("runs"), metavar="DIR", help="where runs are kept")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all cores")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="figure; the table goes beside it (default: in this folder)"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Correlate, report, draw and write the table."""
    sources = [source for text in args.sources for source in _sources(text, args)]
    pairs = _pairs(args, sources[0])
    figure = _figure_path(args.out, sources[0].path)
    if args.log:
        return _run_log(args, sources, pairs, figure, out)
    from labctl.photons.reanalysis import add_records

    request = _request(args, pairs)
    with _progress(sources, out) as step:
        from labctl.photons.reanalysis import correlate

        records = [correlate(source.read(), request, step(source)) for source in sources]
    total = add_records(records)
    _refuse_silence(total, pairs, sources)
    return _report(total, pairs, sources, figure, out)


def _request(args: argparse.Namespace, pairs: tuple[Pair, ...]) -> Any:
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
        workers=max(args.threads, 1),
    )


def window_ps(range_ns: float, bin_ps: int) -> int:
    """Half range in ps.

    Raises:
        InputError: Not positive, or not filled by whole bins.
    """
    if not 0 < range_ns <= 1e12 or not 1 <= bin_ps <= 10**15:
        raise InputError(f"--bin-ps {bin_ps} and --range-ns {range_ns}: both must be positive")
    window = round(range_ns * 1000)
    if window < 1 or 2 * window % bin_ps:
        fitting = max(bin_ps * round(window / bin_ps), bin_ps)
        raise InputError(
            f"--range-ns {range_ns:g}: +-{window} ps is no whole number of {bin_ps} ps bins; "
            f"try --range-ns {fitting / 1000:g}"
        )
    if 2 * window // bin_ps > _MOST_BINS:
        raise InputError(f"{2 * window // bin_ps} bins are too many; take wider bins or a shorter range")
    return window


def _sources(text: str, args: argparse.Namespace) -> list[TagSource]:
    """Give what a RUN|FILE argument names: one source, or the chosen points of a run."""
    from labctl.photons.sources import open_source

    path = Path(text)
    looks_like_file = path.suffix.lower() in (".ptu", ".ttbin", ".h5", ".hdf5", ".csv") or path.is_file()
    if looks_like_file or (path.is_dir() and any(path.glob("tags-*.h5*"))):
        return [open_source(path)]
    from labctl.store.lookup import find_run

    found = find_run(text, args.data)
    points = sorted((found.path / "tags").glob("point_*"))
    if not points:
        raise InputError(f"{found.path.name} has no raw time tags (no folder {found.path / 'tags'})")
    numbers = {int(point.name.removeprefix("point_")): point for point in points}
    if args.point is None and len(points) > 1:
        raise InputError(
            f"{found.path.name} has tags of points {', '.join(map(str, numbers))}: choose with --point N "
            "(several are added)"
        )
    chosen = args.point or list(numbers)
    for number in chosen:
        if number not in numbers:
            raise InputError(f"{found.path.name} has no tags of point {number}; it has {list(numbers)}")
    return [open_source(numbers[number]) for number in chosen]


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
    pairs = []
    for given in args.channels:
        numbers = [_channel(part.strip(), given, known) for part in given.split(",")]
        if len(numbers) != 2:
            raise InputError(f"--channels {given}: give two channels, e.g. 0,1")
        pair = Pair(numbers[0], numbers[1], args.delay_ps if numbers[0] != numbers[1] else 0)
        if pair in pairs:
            raise InputError(f"--channels {given} is given twice")
        pairs.append(pair)
    return tuple(pairs)


def _channel(part: str, given: str, known: dict[str, int]) -> int:
    if part in known:
        return known[part]
    try:
        number = int(part)
    except ValueError:
        names = f" (detectors in the file: {', '.join(known)})" if known else ""
        raise InputError(f"--channels {given}: '{part}' is no channel{names}") from None
    if not -(2**31) <= number < 2**31:
        raise InputError(f"--channels {given}: {number} is no channel number")
    return number


def _figure_path(out: Path | None, source: Path) -> Path:
    if out is None:
        return Path(f"{source.stem or source.name}_g2.png")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: the folder {out.parent} does not exist")
    if out.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise InputError(f"--out {out}: a figure ends in .png, .pdf or .svg")
    return out


@contextmanager
def _progress(
    sources: list[TagSource], out: Output
) -> Iterator[Callable[[TagSource], Callable[[int], None]]]:
    """Show tags read and time left while the block runs, on a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out.console, transient=True, disable=not out.console.is_terminal) as bar:
        task = bar.add_task("correlating", total=sum(s.n_tags for s in sources) or None, rate="")
        done = {"before": 0}

        def step(source: TagSource) -> Callable[[int], None]:
            before = done["before"]
            done["before"] += source.n_tags

            def tell(tags: int) -> None:
                speed = bar.tasks[0].speed
                rate = f"{(before + tags) / 1e6:.1f} Mtags" + (
                    f", {speed / 1e6:.0f} a second" if speed else ""
                )
                bar.update(task, completed=before + tags, rate=rate)

            return tell

        yield step


def _refuse_silence(total: Correlated, pairs: tuple[Pair, ...], sources: list[TagSource]) -> None:
    if total.blocks and not total.blocks[0].duration_ps.sum():
        raise InputError(f"{sources[0].path}: no live time in this range ({total.gaps} gaps cover all of it)")
    seen = ", ".join(f"{channel}: {tags} tags" for channel, tags in sorted(total.tags_by_channel.items()))
    for pair in pairs:
        for channel in (pair.start_channel, pair.stop_channel):
            if not total.tags_by_channel.get(channel):
                raise InputError(
                    f"{sources[0].path}: channel {channel} never fires in this record "
                    f"(channels: {seen or 'none'})"
                )


def _report(
    total: Correlated, pairs: tuple[Pair, ...], sources: list[TagSource], figure: Path, out: Output
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
    results = []
    for pair, blocks in zip(pairs, total.blocks, strict=True):
        feature = None if pair.same_channel else find_feature(blocks)
        lines, fields = summarise(pair, blocks, feature)
        title = f"{sources[0].path.name}: start {pair.start_channel}, stop {pair.stop_channel}"
        place = figure if pair == pairs[0] else _for_pair(figure, pair)
        save_g2_figure(place, blocks, feature, title)
        table = place.with_suffix(".csv")
        write_g2_table(table, blocks, {"source": names, **{k: fields[k] for k in _IN_TABLE}})
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


def _for_pair(figure: Path, pair: Pair) -> Path:
    return figure.with_name(f"{figure.stem}_{pair.start_channel}_{pair.stop_channel}{figure.suffix}")


def _run_log(
    args: argparse.Namespace, sources: list[TagSource], pairs: tuple[Pair, ...], figure: Path, out: Output
) -> int:
    from labctl.photons.figure import save_log_figure
    from labctl.photons.g2_table import write_log_table
    from labctl.photons.log_record import correlate_log

    if len(pairs) > 1 or len(sources) > 1:
        raise InputError("--log takes one source and one pair of channels")
    if not 1e-9 <= args.longest_s <= 1e5:
        raise InputError(f"--longest-s {args.longest_s}: from 1e-9 to 1e5")
    (source,), (pair,) = sources, pairs
    with _progress(sources, out) as step:
        sides, tags = correlate_log(source.read(), pair, round(args.longest_s * 1e12), step(source))
    _refuse_silence(tags, pairs, sources)
    table = figure.with_suffix(".csv")
    save_log_figure(
        figure, sides, f"{source.path.name}: start {pair.start_channel}, stop {pair.stop_channel}"
    )
    write_log_table(
        table, sides, {"source": source.path, "channels": f"{pair.start_channel},{pair.stop_channel}"}
    )
    out.say(
        f"{source.path}: {tags.tags} tags, {len(sides[0].pairs)} lags of each sign up to {args.longest_s:g} s"
    )
    out.say(f"figure: {figure}")
    out.say(f"table: {table}")
    out.result({"source": str(source.path), "tags": tags.tags, "figure": str(figure), "table": str(table)})
    return 0
