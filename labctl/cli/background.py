"""``--background`` and ``--background-from``: the counts that are not signal, entered or measured."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.photons.background import Rate
    from labctl.photons.correlator import Pair
    from labctl.photons.sources import TagSource

_NUMBER = r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_RATE = re.compile(rf"\s*(?:(?P<channel>[^=]+)=)?(?P<rate>{_NUMBER})(?:(?:\+-|±)(?P<error>{_NUMBER}))?\s*")


def add_background_arguments(parser: argparse.ArgumentParser) -> None:
    """Add both options."""
    parser.add_argument(
        "--background",
        metavar="RATES",
        help="dark and stray counts per second of start and stop, e.g. 25,31 or 25+-1,31+-1, or by channel: "
        "A=25+-1,B=31; gives g2 of the signal alone as well",
    )
    parser.add_argument(
        "--background-from",
        metavar="RUN|FILE",
        help="record with the beam off (dark and stray light), from which these rates are measured",
    )


def background_rates(
    args: argparse.Namespace, source: TagSource, pairs: tuple[Pair, ...]
) -> dict[int, Rate] | None:
    """Background of every channel that is correlated; ``None`` where none was given.

    Raises:
        InputError: Rates that are no rates, not one per channel, or a dark record that lacks a channel.
    """
    if args.background is None and args.background_from is None:
        return None
    if args.background is not None and args.background_from is not None:
        raise InputError("--background and --background-from: give one of them")
    channels = {channel for pair in pairs for channel in (pair.start_channel, pair.stop_channel)}
    if args.background_from is not None:
        return _measured(args, channels)
    return _entered(args.background, source.channels, pairs, channels)


def _measured(args: argparse.Namespace, channels: set[int]) -> dict[int, Rate]:
    from labctl.cli.tag_sources import find_records
    from labctl.photons.background import measure_background

    # Points are of the run that is correlated, not of the dark one.
    dark = argparse.Namespace(point=None, data=args.data)
    (record, *more) = find_records(args.background_from, dark)
    if more:
        raise InputError(f"--background-from {args.background_from}: one record is wanted")
    return measure_background(record.source.read(), channels, f"--background-from {args.background_from}")


def _entered(
    text: str, known: dict[str, int], pairs: tuple[Pair, ...], channels: set[int]
) -> dict[int, Rate]:
    from labctl.photons.background import Rate

    parts = [_RATE.fullmatch(part) for part in text.split(",")]
    if not all(parts):
        raise InputError(
            f"--background {text}: give counts per second, e.g. 25,31 or 25+-1,31+-1 or A=25,B=31"
        )
    found = [part for part in parts if part is not None]
    rates = [Rate(float(part["rate"]), float(part["error"] or 0.0)) for part in found]
    names = [part["channel"] for part in found]
    if any(names) != all(names):
        raise InputError(f"--background {text}: name all channels or none")
    if not all(names):
        order = [pairs[0].start_channel, pairs[0].stop_channel]
        if len(channels) == 1:
            order = order[:1]
        if len(pairs) > 1 and len(channels) > 2:
            raise InputError(f"--background {text}: with several pairs name the channels, e.g. A=25,B=31")
        if len(rates) != len(order):
            raise InputError(f"--background {text}: {len(order)} rates are wanted, {len(rates)} are given")
        return dict(zip(order, rates, strict=True))
    from labctl.cli.tag_sources import channel_number

    numbers = [channel_number(name.strip(), text, known) for name in names]
    by_channel = dict(zip(numbers, rates, strict=True))
    missing = channels - set(by_channel)
    if missing:
        raise InputError(
            f"--background {text}: no rate is given for channel {', '.join(map(str, sorted(missing)))}"
        )
    return by_channel
