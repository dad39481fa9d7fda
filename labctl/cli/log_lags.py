"""``labctl correlate --log``: g2 over log-spaced lags."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.cli.output import Output
from labctl.cli.tag_sources import reading_progress, require_tags
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.photons.correlator import Pair
    from labctl.photons.sources import TagSource


def correlate_log_lags(
    args: argparse.Namespace, sources: list[TagSource], pairs: tuple[Pair, ...], figure: Path, out: Output
) -> int:
    """Correlate every pair over log-spaced lags, add the sources, draw and write the tables."""
    from labctl.cli.correlate import for_pair
    from labctl.photons.g2_table import write_log_table
    from labctl.photons.log_figure import save_log_figure
    from labctl.photons.log_record import correlate_log

    if not 1e-9 <= args.longest_s <= 1e5:
        raise InputError(f"--longest-s {args.longest_s}: from 1e-9 to 1e5")
    if args.background or args.background_from:
        raise InputError("--background is for linear delays: leave out --log")
    if args.from_s or args.to_s is not None or args.block_s is not None:
        raise InputError("--log takes whole records: leave out --from-s, --to-s and --block-s")
    with reading_progress(sources, out) as step:
        added, seen = correlate_log(
            [(source.read, step(source)) for source in sources], pairs, round(args.longest_s * 1e12)
        )
    names = " + ".join(str(source.path) for source in sources)
    for pair in pairs:
        require_tags(sources[0], (pair.start_channel, pair.stop_channel), seen.tags_by_channel)
    out.say(
        f"{names}: {seen.tags} tags, {len(added[0][0].pairs)} lags of each sign up to {args.longest_s:g} s"
    )
    results = []
    for pair, sides in zip(pairs, added, strict=True):
        place = figure if pair == pairs[0] else for_pair(figure, pair)
        table = place.with_suffix(".csv")
        title = f"{sources[0].path.name}: start {pair.start_channel}, stop {pair.stop_channel}"
        save_log_figure(place, sides, title)
        write_log_table(
            table, sides, {"source": names, "channels": f"{pair.start_channel},{pair.stop_channel}"}
        )
        pairs_counted = sum(int(side.pairs[side.exact].sum()) for side in sides)
        out.say(
            f"start {pair.start_channel}, stop {pair.stop_channel}: {pairs_counted} pairs counted one by one"
        )
        out.say(f"figure: {place}")
        out.say(f"table: {table}")
        results.append(
            {
                "start_channel": pair.start_channel,
                "stop_channel": pair.stop_channel,
                "lags": len(sides[0].pairs),
                "pairs_counted": pairs_counted,
                "figure": str(place),
                "table": str(table),
            }
        )
    out.result(
        {
            "source": str(sources[0].path),
            "sources": [str(source.path) for source in sources],
            "tags": seen.tags,
            **results[0],
            "results": results,
        }
    )
    return 0
