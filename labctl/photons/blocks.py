"""Time blocks of a record: cutting the stream at their edges, and keeping their number small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import Gap, TagChunk
from labctl.photons.g2 import PairBlocks
from labctl.photons.pieces import Block


def clip(chunk: TagChunk, begin_ps: int, end_ps: int) -> TagChunk | None:
    """Give the part of a chunk in ``[begin_ps, end_ps)``, or ``None`` if there is none."""
    begin, end = max(chunk.begin_ps, begin_ps), min(chunk.end_ps, end_ps)
    if (begin, end) == (chunk.begin_ps, chunk.end_ps):
        return chunk
    if begin >= end:
        return None
    last = end == chunk.end_ps
    low, high = np.searchsorted(chunk.timestamps_ps, (begin, end))
    gaps = tuple(
        Gap(max(gap.begin_ps, begin), min(gap.end_ps, end), gap.missed)
        for gap in chunk.gaps
        if (gap.begin_ps < end and gap.end_ps > begin)
        or (begin <= gap.begin_ps == gap.end_ps and (gap.end_ps < end or last))
    )
    return TagChunk(chunk.timestamps_ps[low:high], chunk.channels[low:high], begin, end, gaps)


@dataclass
class BlockSum:
    """What one block has gathered so far.

    Attributes:
        histograms: One per pair of channels, uint64 of shape (n_bins,).
        starts, stops: Tags per pair of channels, int64 of shape (n_pairs,).
        block: Live time.
    """

    histograms: list[NDArray[np.uint64]]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    block: Block

    def add(self, other: BlockSum) -> None:
        """Add the block that follows."""
        for mine, its in zip(self.histograms, other.histograms, strict=True):
            np.add(mine, its, out=mine)
        self.starts += other.starts
        self.stops += other.stops
        self.block = self.block.followed_by(other.block)


def join_in_twos(blocks: dict[int, BlockSum]) -> dict[int, BlockSum]:
    """Make blocks of twice the length: 0 and 1 become 0, 2 and 3 become 1, and so on."""
    joined: dict[int, BlockSum] = {}
    for number in sorted(blocks):
        if number // 2 in joined:
            joined[number // 2].add(blocks[number])
        else:
            joined[number // 2] = blocks[number]
    return joined


def to_pair_blocks(
    blocks: dict[int, BlockSum], pair: int, *, window_ps: int, bin_ps: int, delay_ps: int, same_channel: bool
) -> PairBlocks:
    """Give the blocks of one pair of channels in order of time; those without live time are left out."""
    live = [blocks[number] for number in sorted(blocks) if blocks[number].block.duration_ps > 0]
    live = live or [blocks[number] for number in sorted(blocks)][:1]
    edges = [(k, *edge) for k, one in enumerate(live) for edge in one.block.edges]
    return PairBlocks(
        window_ps,
        bin_ps,
        np.stack([one.histograms[pair] for one in live]),
        np.array([one.starts[pair] for one in live], np.int64),
        np.array([one.stops[pair] for one in live], np.int64),
        np.array([one.block.duration_ps for one in live], np.int64),
        delay_ps,
        same_channel,
        np.array(edges, np.int64).reshape(-1, 3),
    )
