"""Whether a record on disk is whole, and how to save what is left of one that is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drivers.time_tagger.base import Gap, TagChunk
from labctl.errors import InputError
from labctl.photons.tag_layout import OPEN_SUFFIX
from labctl.photons.tag_reader import Damage, describe_what_is_left, read_tags, tag_segments
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
        pauses: Stretches (begin, end) in ps, between frames, in which nothing was recorded.
        holes: Stretches (begin, end) in ps that are missing because of damage.
        damage: One line for each damaged place.
        tags_counted_lost: Tags in damaged frames, as far as known.
        frames_uncounted: Damaged frames whose number of tags is unknown.
        segments_lost: Names of segments that are missing or give nothing; what they held is unknown.
    """

    segments: int
    unfinished: tuple[str, ...]
    tags: int
    seconds: float
    gaps: int
    pauses: tuple[tuple[int, int], ...]
    holes: tuple[tuple[int, int], ...]
    damage: tuple[str, ...]
    tags_counted_lost: int
    frames_uncounted: int
    segments_lost: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Everything that was written can be read."""
        return not self.damage

    @property
    def tags_lost(self) -> int | None:
        """Number of tags lost, ``None`` where nobody can tell."""
        return None if self.frames_uncounted or self.segments_lost else self.tags_counted_lost

    def loss(self) -> str:
        """What was lost, in words."""
        words = []
        if self.tags_counted_lost or self.tags_lost is not None:
            words.append(f"{self.tags_counted_lost} tags")
        if self.segments_lost:
            count = len(self.segments_lost)
            words.append(
                f"at least {count} segment{'s' if count > 1 else ''}, number of tags unknown "
                f"({', '.join(self.segments_lost)})"
            )
        if self.frames_uncounted:
            count = self.frames_uncounted
            words.append(f"{count} frame{'s' if count > 1 else ''}, number of tags unknown")
        return " and ".join(words)


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
    tags = gaps = live_ps = 0
    pauses: list[tuple[int, int]] = []
    holes: list[tuple[int, int]] = []
    for before, damaged, chunk in _chunks_left(path, damage):
        tags += len(chunk.timestamps_ps)
        gaps += len(chunk.gaps)
        live_ps += chunk.end_ps - chunk.begin_ps - sum(gap.end_ps - gap.begin_ps for gap in chunk.gaps)
        if before is not None:
            (holes if damaged else pauses).append(before)
        if progress is not None:
            progress(tags)
    return CheckReport(
        segments=len(segments),
        unfinished=tuple(segment.name for segment in segments if segment.name.endswith(OPEN_SUFFIX)),
        tags=tags,
        seconds=live_ps * 1e-12,
        gaps=gaps,
        pauses=tuple(pauses),
        holes=tuple(holes),
        damage=tuple(damage.notes),
        tags_counted_lost=damage.tags_lost,
        frames_uncounted=damage.frames_uncounted,
        segments_lost=tuple(damage.segments_lost),
    )


def salvage_tags(path: str | Path, target: str | Path) -> CheckReport:
    """Write what is readable of a record into a new folder, what is damaged left as gaps.

    The new record's attributes say what was lost. The old one is not touched.

    Raises:
        InputError: There is nothing there, nothing of it can be read, or the target holds tags.
    """
    target = Path(target)
    report = check_tags(path)
    if not report.tags:
        raise InputError(f"{path}: no tags can be read: {'; '.join(report.damage) or 'it holds none'}")
    channels, attributes = describe_what_is_left(tag_segments(path))
    notes = {"salvaged_from": str(path), "salvage_notes": list(report.damage)}
    try:
        writer = TagWriter(target, channels=channels, attributes={**attributes, **notes})
    except FileExistsError as error:
        raise InputError(str(error)) from error
    with writer:
        for before, damaged, chunk in _chunks_left(path, Damage()):
            if before is not None and damaged:
                writer.write(_lost(*before, chunk))
            writer.write(chunk)
    return report


def _chunks_left(path: str | Path, damage: Damage) -> Iterator[tuple[tuple[int, int] | None, bool, TagChunk]]:
    """Give each chunk with the stretch missing before it, and whether damage is to blame for that."""
    end_ps: int | None = None
    known = (0, 0)
    for chunk in read_tags(path, damage=damage):
        apart = end_ps is not None and chunk.begin_ps > end_ps
        before = (end_ps, chunk.begin_ps) if apart and end_ps is not None else None
        lost = (damage.frames_lost, len(damage.segments_lost))
        yield before, lost != known, chunk
        known = lost
        end_ps = chunk.end_ps


def _lost(begin_ps: int, end_ps: int, like: TagChunk) -> TagChunk:
    return TagChunk(like.timestamps_ps[:0], like.channels[:0], begin_ps, end_ps, (Gap(begin_ps, end_ps),))
