"""Whether a record on disk is whole, and how to save what is left of one that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drivers.time_tagger.base import Gap, TagChunk
from labctl.errors import InputError
from labctl.photons.tag_layout import OPEN_SUFFIX
from labctl.photons.tag_reader import Damage, read_tags, tag_info, tag_segments
from labctl.photons.tag_writer import TagWriter


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        segments: Number of segment files.
        unfinished: Names of segments that were never closed (the writer was killed, or is still writing).
        tags: Readable tags.
        seconds: Live time that they cover.
        gaps: Interruptions recorded while measuring (overflows).
        holes: Times missing between stretches, in ps.
        damage: One line for each damaged place.
        tags_lost: Tags in damaged frames, as far as known.
    """

    segments: int
    unfinished: tuple[str, ...]
    tags: int
    seconds: float
    gaps: int
    holes: tuple[tuple[int, int], ...]
    damage: tuple[str, ...]
    tags_lost: int

    @property
    def whole(self) -> bool:
        """Everything that was written can be read."""
        return not self.damage


def check_tags(path: str | Path, progress: Callable[[int], None] | None = None) -> CheckReport:
    """Read everything, verify every checksum and sum, and report.

    Args:
        path: Folder of segments or one segment.
        progress: Called with the number of tags read so far.

    Raises:
        InputError: There is nothing there.
    """
    segments = tag_segments(path)
    damage = Damage()
    _note_missing_segments(segments, damage)
    tags = gaps = live_ps = 0
    holes: list[tuple[int, int]] = []
    end_ps: int | None = None
    for chunk in read_tags(path, damage=damage):
        tags += len(chunk.timestamps_ps)
        gaps += len(chunk.gaps)
        live_ps += chunk.end_ps - chunk.begin_ps - sum(gap.end_ps - gap.begin_ps for gap in chunk.gaps)
        if end_ps is not None and chunk.begin_ps != end_ps:
            holes.append((end_ps, chunk.begin_ps))
        end_ps = chunk.end_ps
        if progress is not None:
            progress(tags)
    unfinished = tuple(segment.name for segment in segments if segment.name.endswith(OPEN_SUFFIX))
    return CheckReport(
        len(segments),
        unfinished,
        tags,
        live_ps * 1e-12,
        gaps,
        tuple(holes),
        tuple(damage.notes),
        damage.tags_lost,
    )


def salvage_tags(path: str | Path, target: str | Path) -> CheckReport:
    """Write what is readable of a record into a new folder, damaged frames left as gaps.

    The new record's attributes say what was lost. The old one is not touched.

    Raises:
        InputError: There is nothing there, nothing of it can be read, or the target holds tags.
    """
    target = Path(target)
    report = check_tags(path)
    if not report.tags:
        raise InputError(f"{path}: no tags can be read: {'; '.join(report.damage) or 'it holds none'}")
    channels, attributes = _description(tag_segments(path))
    notes = {"salvaged_from": str(path), "salvage_notes": list(report.damage)}
    try:
        writer = TagWriter(target, channels=channels, attributes={**attributes, **notes})
    except FileExistsError as error:
        raise InputError(str(error)) from error
    with writer:
        end_ps: int | None = None
        for chunk in read_tags(path, damage=Damage()):
            if end_ps is not None and chunk.begin_ps > end_ps:
                writer.write(_lost(end_ps, chunk.begin_ps, chunk))
            writer.write(chunk)
            end_ps = chunk.end_ps
    return report


def _description(segments: tuple[Path, ...]) -> tuple[dict[str, int], dict[str, object]]:
    """Channels and attributes of the first segment whose description can still be read."""
    for segment in segments:
        try:
            info = tag_info(segment)
        except InputError:
            continue
        return info.channels, info.attributes
    return {}, {}


def _lost(begin_ps: int, end_ps: int, like: TagChunk) -> TagChunk:
    return TagChunk(like.timestamps_ps[:0], like.channels[:0], begin_ps, end_ps, (Gap(begin_ps, end_ps),))


def _note_missing_segments(segments: tuple[Path, ...], damage: Damage) -> None:
    numbers = [int(s.name.split("-")[1].split(".")[0]) for s in segments if s.name.startswith("tags-")]
    if len(segments) > 1:
        for number in sorted(set(range(1, max(numbers) + 1)) - set(numbers)):
            damage.notes.append(f"{segments[0].parent}: segment {number} is missing")
