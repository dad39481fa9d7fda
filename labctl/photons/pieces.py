"""Where a record of tags is whole: live stretches between gaps, and live time per block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import TagChunk
from labctl.photons.pair_loop import in_order


@dataclass(frozen=True)
class Block:
    """Live time of one time block.

    Attributes:
        duration_ps: Live time, gaps taken out.
        edges: Pairs (length_ps, weight): a lag tau loses ``sum(weight * min(length_ps, |tau|))`` of it,
            because the partner would lie before the beginning of its whole piece of record.
    """

    duration_ps: int
    edges: tuple[tuple[int, int], ...]

    def followed_by(self, other: Block) -> Block:
        """Live time of this block and the one after it together."""
        edges = dict(self.edges)
        for length, weight in other.edges:
            edges[length] = edges.get(length, 0) + weight
        kept = tuple(sorted((length, weight) for length, weight in edges.items() if weight))
        return Block(self.duration_ps + other.duration_ps, kept)


class Pieces:
    """Follows a record chunk by chunk and keeps its live time.

    Args:
        limit_ps: Longest lag of interest; pieces longer than this count as that long.
    """

    def __init__(self, limit_ps: int) -> None:
        self._limit_ps = limit_ps
        self._end_ps: int | None = None
        self._piece_begin_ps = 0
        self._whole = False
        self._duration_ps = 0
        self._edges: dict[int, int] = {}

    def continue_from(self, end_ps: int) -> None:
        """Say that the record was whole for longer than any lag before ``end_ps``."""
        self._end_ps, self._piece_begin_ps, self._whole = end_ps, end_ps - self._limit_ps, True

    def cut(self, chunk: TagChunk) -> Iterator[tuple[int, int, bool]]:
        """Give the live stretches (begin_ps, end_ps, joins the one before) of a chunk, and count them.

        Raises:
            ValueError: The chunk begins before the end of the last one.
        """
        if self._end_ps is not None and chunk.begin_ps < self._end_ps:
            raise ValueError(
                f"a stretch begins at {chunk.begin_ps} ps, before the last one ended at {self._end_ps} ps"
            )
        if chunk.begin_ps != self._end_ps:
            self._break()
        at_ps = chunk.begin_ps
        for gap in sorted(chunk.gaps, key=lambda gap: gap.begin_ps):
            upto_ps = min(max(gap.begin_ps, at_ps), chunk.end_ps)
            if upto_ps > at_ps:
                yield self._live(at_ps, upto_ps)
            self._break()
            at_ps = min(max(gap.end_ps, at_ps), chunk.end_ps)
        if chunk.end_ps > at_ps:
            yield self._live(at_ps, chunk.end_ps)
        self._end_ps = chunk.end_ps

    def end_block(self) -> Block:
        """Close the present block; a piece that goes on continues in the next one."""
        block = self.present()
        self._duration_ps = 0
        self._edges = {}
        if self._whole and self._end_ps is not None:
            self._add_edge(self._end_ps - self._piece_begin_ps, -1)
        return block

    def present(self) -> Block:
        """Live time of the open block so far."""
        edges = dict(self._edges)
        if self._whole and self._end_ps is not None:
            length = min(self._end_ps - self._piece_begin_ps, self._limit_ps)
            edges[length] = edges.get(length, 0) + 1
        return Block(self._duration_ps, tuple(sorted((k, w) for k, w in edges.items() if w != 0 and k > 0)))

    def _live(self, begin_ps: int, end_ps: int) -> tuple[int, int, bool]:
        joins = self._whole
        if not joins:
            self._piece_begin_ps = begin_ps
            self._whole = True
        self._end_ps = end_ps
        self._duration_ps += end_ps - begin_ps
        return begin_ps, end_ps, joins

    def _break(self) -> None:
        if self._whole and self._end_ps is not None:
            self._add_edge(self._end_ps - self._piece_begin_ps, 1)
        self._whole = False

    def _add_edge(self, length_ps: int, weight: int) -> None:
        length = min(length_ps, self._limit_ps)
        self._edges[length] = self._edges.get(length, 0) + weight


def check_chunk(chunk: TagChunk, stamps: NDArray[np.int64], channels: NDArray[np.int32]) -> None:
    """Refuse a chunk that breaks its promises.

    Raises:
        ValueError: Lengths differ, stamps run backwards or lie outside ``[begin_ps, end_ps)``.
    """
    if len(stamps) != len(channels):
        raise ValueError(f"{len(stamps)} time stamps but {len(channels)} channels in one chunk")
    if chunk.end_ps < chunk.begin_ps:
        raise ValueError(f"a stretch ends at {chunk.end_ps} ps, before it begins at {chunk.begin_ps} ps")
    if not len(stamps):
        return
    if not in_order(stamps, 0, len(stamps)):
        at = int(np.flatnonzero(stamps[1:] < stamps[:-1])[0])
        raise ValueError(
            f"time stamps run backwards: {int(stamps[at + 1])} ps comes after {int(stamps[at])} ps"
        )
    if int(stamps[0]) < chunk.begin_ps or int(stamps[-1]) >= chunk.end_ps:
        raise ValueError(
            f"time stamps {int(stamps[0])} to {int(stamps[-1])} ps lie outside their stretch "
            f"[{chunk.begin_ps}, {chunk.end_ps}) ps"
        )
