"""``labctl tags``: check, salvage, convert and diagnose records of raw time tags."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.numbers import finite, whole_from_1
from labctl.cli.output import Output
from labctl.cli.tag_decay import add_decay_arguments, decay_curve
from labctl.cli.tag_response import add_response_arguments
from labctl.cli.tag_response import response as measure
from labctl.cli.tag_sources import require_tags, two_channels, window_ps
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.photons.sources import TagSource
    from labctl.photons.tag_check import CheckReport

NAME = "tags"
HELP = "check, salvage, convert and diagnose records of raw time tags"
DAMAGED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    check = actions.add_parser(
        "check", help="read everything and verify every checksum (exit code 1: damaged)"
    )
    check.add_argument("source", type=Path, metavar="FILE", help="folder of segments, or one segment")
    salvage = actions.add_parser("salvage", help="write what can be read into a new folder")
    salvage.add_argument("source", type=Path, metavar="FILE", help="folder of segments, or one segment")
    salvage.add_argument("target", type=Path, metavar="FOLDER", help="new folder")
    bring = actions.add_parser("import", help="make tag segments of a PTU or ttbin file")
    bring.add_argument("source", type=Path, metavar="FILE", help="PTU or ttbin file")
    bring.add_argument("target", type=Path, metavar="FOLDER", help="new folder")
    export = actions.add_parser("export", help="write tags for other programs")
    export.add_argument("source", type=Path, metavar="FILE", help="any record of tags")
    export.add_argument(
        "target", type=Path, metavar="TARGET", help="ends in .csv, .parquet, or .photon.h5 (Photon-HDF5)"
    )
    export.add_argument("--description", default="", help="comment in a Photon-HDF5 file")
    diagnose = actions.add_parser(
        "diagnose", help="dead time, after-pulses, cross-talk from a steady-light run"
    )
    diagnose.add_argument("source", type=Path, metavar="FILE", help="any record of tags, light uncorrelated")
    diagnose.add_argument("--channels", metavar="A,B", help="channel numbers or detector names")
    diagnose.add_argument(
        "--bin-ps", type=whole_from_1, default=100, metavar="PS", help="bin width (default 100)"
    )
    diagnose.add_argument("--range-ns", type=finite, default=500.0, metavar="NS", help="default 500")
    response = actions.add_parser(
        "response", help="delay and timing response of two counters, from a short pulse"
    )
    add_response_arguments(response)
    decay = actions.add_parser("decay", help="histogram of photons after a pulse channel, and its lifetimes")
    add_decay_arguments(decay)
    for action in (check, salvage, bring, export, diagnose, response, decay):
        # So that --json may stand last, as with every other command.
        action.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print one JSON object, nothing else",
        )


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the command."""
    actions: dict[str, Callable[[argparse.Namespace, Output], int]] = {
        "check": _check,
        "salvage": _salvage,
        "import": _import,
        "export": _export,
        "diagnose": _diagnose,
        "response": measure,
        "decay": decay_curve,
    }
    return actions[args.action](args, out)


def _check(args: argparse.Namespace, out: Output) -> int:
    from labctl.photons.tag_check import check_tags

    _require_segments(args.source)
    report = check_tags(args.source)
    out.say(
        f"{args.source}: {report.segments} segments, {report.tags} tags, "
        f"{report.seconds:.6g} s of live record, {report.gaps} gaps (overflows)"
    )
    for name in report.unfinished:
        out.say(f"{name}: never closed (its writer was stopped, or still writes); readable as far as it goes")
    if report.pauses:
        lengths_s = [(end - begin) * 1e-12 for begin, end in report.pauses]
        out.say(
            f"{len(lengths_s)} pause{'s' if len(lengths_s) > 1 else ''} between frames, "
            f"{sum(lengths_s):.3g} s in all (longest {max(lengths_s):.3g} s)"
        )
    for begin, end in report.holes:
        out.say(f"hole of {(end - begin) * 1e-12:.6g} s at {begin * 1e-12:.6f} s")
    for line in report.damage:
        out.say(line)
    if report.whole:
        out.say("whole")
    elif report.tags:
        out.say(f"damaged, lost: {report.loss()}; 'labctl tags salvage' saves the rest")
    else:
        out.say("damaged: nothing in it can be read")
    out.result(
        {
            "source": str(args.source),
            "whole": report.whole,
            "segments": report.segments,
            "unfinished": list(report.unfinished),
            "tags": report.tags,
            "live_s": report.seconds,
            "gaps": report.gaps,
            "pauses_ps": [list(pause) for pause in report.pauses],
            "holes_ps": [list(hole) for hole in report.holes],
            "damage": list(report.damage),
            **_lost(report),
        }
    )
    return 0 if report.whole else DAMAGED


def _lost(report: CheckReport) -> dict[str, Any]:
    return {
        "tags_lost": report.tags_lost,
        "tags_counted_lost": report.tags_counted_lost,
        "frames_uncounted": report.frames_uncounted,
        "segments_lost": list(report.segments_lost),
    }


def _require_segments(path: Path) -> None:
    """Other formats have no checksums: reading them to the end is the only check."""
    from labctl.photons.sources import HDF5_MAGIC, PTU_MAGIC
    from labctl.photons.tag_layout import segment_number

    if not path.is_file():
        return
    with path.open("rb") as file:
        magic = file.read(8)
    if path.suffix.lower() in (".ptu", ".ttbin") or magic.startswith(PTU_MAGIC):
        raise InputError(
            f"{path}: only tag segments carry checksums; `labctl tags import {path} FOLDER` reads such a "
            "file, refuses it if it is cut short or runs backwards, and makes segments of it"
        )
    # A damaged segment may begin with anything, but its name stays.
    if magic != HDF5_MAGIC and segment_number(path.name) is None:
        raise InputError(f"{path}: not a tag segment (tags-00001.h5 ...), and not a folder of them")


def _salvage(args: argparse.Namespace, out: Output) -> int:
    from labctl.photons.tag_check import salvage_tags

    _require_segments(args.source)
    report = salvage_tags(args.source, args.target)
    for line in report.damage:
        out.say(line)
    out.say(f"{args.target}: {report.tags} tags saved, lost: {report.loss()}")
    out.result({"target": str(args.target), "tags": report.tags, **_lost(report)})
    return 0


def _import(args: argparse.Namespace, out: Output) -> int:
    from labctl.photons.sources import open_source
    from labctl.photons.tag_file import TagWriter

    source = open_source(args.source)
    if source.kind == "tag segments":
        raise InputError(f"{args.source}: these are tag segments already")
    channels = {f"channel {number}": number for number in _channels_seen(source)}
    try:
        writer = TagWriter(
            args.target,
            channels=channels,
            attributes={"imported_from": str(args.source), "kind": source.kind, **source.attributes},
        )
    except FileExistsError as error:
        raise InputError(str(error)) from error
    with writer:
        for chunk in source.read():
            writer.write(chunk)
    out.say(f"{args.target}: {writer.tags_written} tags of {source.kind}, channels {list(channels.values())}")
    out.result({"target": str(args.target), "tags": writer.tags_written, "channels": list(channels.values())})
    return 0


def _channels_seen(source: TagSource) -> list[int]:
    import numpy as np

    seen: set[int] = set()
    for chunk in source.read():
        seen.update(int(number) for number in np.unique(chunk.channels))
    return sorted(seen)


def _export(args: argparse.Namespace, out: Output) -> int:
    from labctl.photons.sources import open_source

    source = open_source(args.source)
    target: Path = args.target
    if target.exists():
        raise InputError(f"{target} exists; choose another name")
    if not target.parent.is_dir():
        raise InputError(f"{target}: the folder {target.parent} does not exist")
    try:
        tags = _write(args, source, target)
    except BaseException:
        # Half a table would pass for a whole one.
        target.unlink(missing_ok=True)
        raise
    out.say(f"{target}: {tags} tags")
    out.result({"target": str(target), "tags": tags})
    return 0


def _write(args: argparse.Namespace, source: TagSource, target: Path) -> int:
    """Write all tags in the format that the name asks for; give their number."""
    from labctl.photons.exports import write_csv, write_parquet
    from labctl.photons.photon_hdf5 import write_photon_hdf5

    suffix = target.suffix.lower()
    if suffix == ".csv":
        return write_csv(target, source.read())
    if suffix == ".parquet":
        return write_parquet(target, source.read())
    if suffix in (".h5", ".hdf5"):
        return write_photon_hdf5(
            target,
            source.read(),
            channels=source.channels or {f"channel {number}": number for number in _channels_seen(source)},
            description=args.description or f"Time tags of {args.source.name}",
            source_name=args.source.name,
        )
    raise InputError(f"{target}: the name must end in .csv, .parquet, .photon.h5 or .h5")


def _diagnose(args: argparse.Namespace, out: Output) -> int:
    from labctl.photons.correlator import Pair
    from labctl.photons.diagnosis import check_uncorrelated, measure_dead_time
    from labctl.photons.reanalysis import Request, correlate
    from labctl.photons.sources import open_source
    from labctl.photons.statistics import rate_record

    source = open_source(args.source)
    a, b = two_channels(args.channels, source)
    pairs = (Pair(a, b), Pair(a, a), Pair(b, b))
    window = window_ps(args.range_ns, args.bin_ps)
    counted = correlate(source.read(), Request(pairs, window, args.bin_ps))
    require_tags(source, (a, b), counted.tags_by_channel)
    cross, *autos = counted.blocks
    rates = rate_record(cross)
    result: dict[str, Any] = {"source": str(args.source), "detectors": {}, "cross_talk": []}
    try:
        for channel, auto, excess in zip((a, b), autos, (rates.start_excess, rates.stop_excess), strict=True):
            found = measure_dead_time(auto)
            dead = f"dead time {found.dead_ps / 1000:g} ns" if found.dead_ps else "no dead time seen"
            out.say(
                f"channel {channel}: {dead}, after-pulses {100 * found.after_pulses:.2g} +- "
                f"{100 * found.after_pulses_error:.1g} % of the counts, rate drifts by {100 * excess:.2g} %"
            )
            result["detectors"][str(channel)] = {
                "dead_time_ns": found.dead_ps / 1000,
                "after_pulses": found.after_pulses,
                "after_pulses_error": found.after_pulses_error,
                "drift": excess,
            }
        check = check_uncorrelated(cross)
    except ValueError as error:
        raise InputError(f"{args.source}: {error}") from error
    out.say(
        f"g2 outside peaks: {check.level:.5f} +- {check.level_error:.5f} (must be 1 for uncorrelated light)"
    )
    for talk in check.cross_talk:
        out.say(
            f"cross-talk: {talk.per_count:.3g} +- {talk.per_count_error:.1g} pairs per count at "
            f"{talk.delay_ps / 1000:+.2f} ns ({talk.sigma:.0f} sigma)"
        )
        result["cross_talk"].append(
            {
                "delay_ns": talk.delay_ps / 1000,
                "per_count": talk.per_count,
                "per_count_error": talk.per_count_error,
            }
        )
    if not check.cross_talk:
        out.say("no cross-talk above 6 sigma")
    out.say(
        f"bins: widths differ by {100 * check.bin_width_rms:.2g} % rms, chi2 per bin {check.chi2_per_bin:.3f}"
    )
    result |= {
        "level": check.level,
        "level_error": check.level_error,
        "bin_width_rms": check.bin_width_rms,
        "chi2_per_bin": check.chi2_per_bin,
    }
    out.result(result)
    return 0
