"""What the photon commands share: which records and channels a person means, and progress on a terminal."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.numbers import whole_from_0
from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.photons.sources import TagSource
    from labctl.store.run_directory import RunDirectory

_MOST_BINS = 20_000_000
TEMPERATURE_TOLERANCE_K = 1.0
BEAM_TOLERANCE = 0.02
"""Records may be added where the tube's voltage and current differ by less than this, relatively."""


@dataclass(frozen=True)
class Record:
    """A source of tags, and the settings it was taken with as far as they are known.

    Attributes:
        source: The tags.
        settings: Name -> value; numbers are compared with a tolerance, anything else must be equal.
    """

    source: TagSource
    settings: dict[str, Any] = field(default_factory=dict)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """``--point`` and ``--data``, for commands that take runs."""
    parser.add_argument(
        "--point", type=whole_from_0, action="append", metavar="N", help="of a run; may be repeated"
    )
    parser.add_argument("--data", type=Path, default=Path("runs"), metavar="DIR", help="where runs are kept")


def find_records(text: str, args: argparse.Namespace) -> list[Record]:
    """Give what a RUN|FILE argument names: one record, or the chosen points of a run.

    Raises:
        InputError: No such run, file or point, or a run without raw tags.
    """
    from labctl.photons.sources import open_source

    path = Path(text)
    looks_like_file = path.suffix.lower() in (".ptu", ".ttbin", ".h5", ".hdf5", ".csv") or path.is_file()
    if looks_like_file or (path.is_dir() and any(path.glob("tags-*.h5*"))):
        return [_record_of(open_source(path))]
    from labctl.store.lookup import find_run
    from labctl.store.run_directory import is_run_directory

    if path.is_dir() and not is_run_directory(Path(os.path.realpath(path))):
        raise InputError(
            f"{path}: a folder without tag segments (tags-00001.h5 ...), and not a run directory either"
        )
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
    records = []
    for number in args.point or list(numbers):
        if number not in numbers:
            raise InputError(f"{found.path.name} has no tags of point {number}; it has {list(numbers)}")
        record = _record_of(open_source(numbers[number]))
        records.append(Record(record.source, {**record.settings, **_settings_of_point(found, number)}))
    return records


def _record_of(source: TagSource) -> Record:
    settings: dict[str, Any] = {
        name: source.attributes[key]
        for name, key in (("sample", "sample"), ("length of a tick (ps)", "tick_ps"))
        if key in source.attributes
    }
    settings |= {f"channel of {name}": number for name, number in source.channels.items()}
    return Record(source, settings)


def _settings_of_point(run: RunDirectory, number: int) -> dict[str, Any]:
    """Temperature, beam and detectors of a point that was written to the end; else what the request says."""
    settings: dict[str, Any] = {}
    try:
        settings["sample"] = run.sample
        rig = run.request.get("rig", {}).get("values", {})
    except (InputError, KeyError, TypeError):
        rig = {}
    channels = rig.get("time_tagger", {}).get("channels", {}) if isinstance(rig, dict) else {}
    for name, entry in channels.items():
        for key in ("delay_ps", "dead_time_ps", "trigger_level_V"):
            if isinstance(entry, dict) and key in entry:
                settings[f"{key} of {name}"] = entry[key]
    if number in run.point_indexes():
        point = run.read_point(number)
        settings["temperature (K)"] = point.temperature_K
        settings["tube voltage (kV)"] = point.voltage_kV
        settings["tube current (uA)"] = point.current_uA
        settings |= {
            name: reading["value"]
            for name, reading in point.readings.items()
            if reading.get("source") == "entered" and isinstance(reading.get("value"), str)
        }
    return settings


def require_same_settings(records: Sequence[Record]) -> None:
    """Refuse to add records that were taken with different settings.

    Raises:
        InputError: Names the setting, both values and both records; ``--add-anyway`` overrides it.
    """
    first = records[0]
    paths = [Path(os.path.realpath(record.source.path)) for record in records]
    for path in paths:
        if paths.count(path) > 1:
            raise InputError(f"{path} is given twice: adding a record to itself adds nothing new")
    for other in records[1:]:
        for name, mine in first.settings.items():
            if name in other.settings and not _agree(name, mine, other.settings[name]):
                raise InputError(
                    f"cannot add: {name} is {_shown(mine)} in {first.source.path} and "
                    f"{_shown(other.settings[name])} in {other.source.path}; correlate them one by one, or "
                    "say --add-anyway"
                )


def _agree(name: str, mine: Any, other: Any) -> bool:
    if name.startswith("temperature"):
        return abs(float(mine) - float(other)) <= TEMPERATURE_TOLERANCE_K
    if name.startswith("tube"):
        return abs(float(mine) - float(other)) <= BEAM_TOLERANCE * max(abs(float(mine)), abs(float(other)))
    return bool(mine == other)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def channel_number(part: str, given: str, known: dict[str, int]) -> int:
    """Give the number of a channel named or numbered by the user.

    Raises:
        InputError: Neither a detector of the file nor a number.
    """
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


def two_channels(given: str | None, source: TagSource) -> tuple[int, int]:
    """Two different channels of a record: those given, or the two that the file names.

    Raises:
        InputError: Not exactly two.
    """
    known = source.channels
    if given is None:
        if len(known) == 2:
            first, second = known.values()
            return first, second
        named = ", ".join(f"{name} = {number}" for name, number in known.items())
        raise InputError(
            f"--channels A,B is needed: {source.path} "
            + (f"names {named}" if named else "does not name its detectors")
        )
    numbers = [channel_number(part.strip(), given, known) for part in given.split(",")]
    if len(numbers) != 2 or numbers[0] == numbers[1]:
        raise InputError(f"--channels {given}: give two different channels, e.g. 1,2")
    return numbers[0], numbers[1]


def require_tags(source: TagSource, wanted: Sequence[int], seen: dict[int, int]) -> None:
    """Refuse a record in which a wanted channel never fires.

    Raises:
        InputError: Names the channel, and the channels that there are.
    """
    for channel in wanted:
        if not seen.get(channel):
            there = ", ".join(f"{number}: {tags} tags" for number, tags in sorted(seen.items()) if tags)
            raise InputError(
                f"{source.path}: channel {channel} never fires in this record (channels: {there or 'none'})"
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


@contextmanager
def reading_progress(
    sources: Sequence[TagSource], out: Output
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
