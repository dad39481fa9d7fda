"""Correlate a stored record again: any window, bin, pairs and time range, on all cores, in little memory.

The record is read in one thread (its source may unpack ahead in others, see `tag_reader.read_tags`) and
handed, slice by slice, to threads that count pairs. A slice brings along the tags just before it, so that
the pairs at its seam are counted, and counted once: the sums are the same whole numbers for any number of
threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import TagChunk
from labctl.errors import InputError
from labctl.photons.blocks import BlockSum, clip, join_in_twos, to_pair_blocks
from labctl.photons.correlator import Correlator, Pair
from labctl.photons.g2 import PairBlocks
from labctl.photons.pieces import Block, Pieces

_SLICE_TAGS = 1 << 21
_FIRST_BLOCK_PS = 10**9
_MOST_BLOCKS = 128
_MOST_BYTES = 400_000_000


@dataclass(frozen=True)
class Request:
    """What to count.

    Attributes:
        pairs: Pairs of channels.
        window_ps: Delays from ``-window_ps`` (inclusive) to ``window_ps`` (exclusive).
        bin_ps: Bin width.
        block_ps: Length of a time block; ``None`` takes 64 to 128 equal blocks.
        begin_ps, end_ps: Range of time since the beginning of the record; ``None`` for its end.
        workers: Threads that count.
    """

    pairs: tuple[Pair, ...]
    window_ps: int
    bin_ps: int
    block_ps: int | None = None
    begin_ps: int = 0
    end_ps: int | None = None
    workers: int = 1


@dataclass
class Correlated:
    """Result of `correlate`.

    Attributes:
        blocks: Histogram of each pair, in the order asked.
        tags: Tags read in the range, of all channels.
        tags_by_channel: The same by channel number.
        gaps: Number of interruptions of the record.
        missed: Events that the tagger reported as lost.
    """

    blocks: list[PairBlocks] = field(default_factory=list)
    tags: int = 0
    tags_by_channel: dict[int, int] = field(default_factory=dict)
    gaps: int = 0
    missed: int = 0


def correlate(
    chunks: Iterable[TagChunk], request: Request, progress: Callable[[int], None] | None = None
) -> Correlated:
    """Count the pairs of one record.

    Args:
        chunks: The record.
        request: What to count.
        progress: Called with the number of tags read so far.

    Raises:
        InputError: Stamps run backwards, the range holds nothing, or the blocks need too much memory.
    """
    run = _Run(request)
    with ThreadPoolExecutor(max(request.workers, 1), "correlate") as pool:
        try:
            for chunk in in_range(chunks, request):
                run.take(chunk, pool)
                if progress is not None:
                    progress(run.result.tags)
            run.finish(pool)
        except ValueError as error:
            raise error if isinstance(error, InputError) else InputError(str(error)) from error
        finally:
            run.cancel()
    return run.result


def in_range(chunks: Iterable[TagChunk], request: Request) -> Iterator[TagChunk]:
    """The part of a record that lies in the range of time asked for."""
    origin: int | None = None
    for chunk in chunks:
        if origin is None:
            origin = chunk.begin_ps
        end = 2**63 if request.end_ps is None else origin + request.end_ps
        part = clip(chunk, origin + request.begin_ps, end)
        if part is not None:
            yield part
        if chunk.end_ps >= end:
            return


@dataclass
class _Slice:
    """Parts of the record for one thread, with the tags that came before the first one."""

    parts: list[tuple[int, TagChunk]] = field(default_factory=list)
    tags: int = 0
    before: tuple[NDArray[np.int64], NDArray[np.int32]] | None = None


@dataclass
class _Counted:
    """What a thread found in a slice: the sums of its blocks by number, and the tags of each channel."""

    sums: list[tuple[int, BlockSum]]
    tags_by_channel: dict[int, int]


class _Run:
    def __init__(self, request: Request) -> None:
        self._request = request
        self._reach = Correlator(request.pairs, window_ps=request.window_ps, bin_ps=request.bin_ps).reach_ps
        self._pieces = Pieces(self._reach + 1)
        self._block_ps = request.block_ps or _FIRST_BLOCK_PS
        self._origin_ps: int | None = None
        self._number = 0
        self._slice = _Slice()
        self._tail: deque[TagChunk] = deque()
        self._waiting: deque[Future[_Counted]] = deque()
        self._blocks: dict[int, BlockSum] = {}
        self.result = Correlated()

    def take(self, chunk: TagChunk, pool: ThreadPoolExecutor) -> None:
        if self._origin_ps is None:
            self._origin_ps = chunk.begin_ps
        self._note(chunk)
        if self._tail and self._tail[-1].end_ps != chunk.begin_ps and not self._slice.parts:
            self._slice.before = None
        at_ps = chunk.begin_ps
        while True:
            number = (at_ps - self._origin_ps) // self._block_ps
            if self._request.block_ps is None and number >= _MOST_BLOCKS:
                self._coarsen()
                continue
            end_ps = min(chunk.end_ps, self._origin_ps + (number + 1) * self._block_ps)
            part = clip(chunk, at_ps, end_ps)
            if part is not None:
                self._add_part(number, part)
            at_ps = end_ps
            if at_ps >= chunk.end_ps:
                break
        self._remember(chunk)
        if self._slice.tags >= _SLICE_TAGS:
            self._send(pool)

    def _add_part(self, number: int, part: TagChunk) -> None:
        if number != self._number:
            self._close_block()
            self._number = number
        self._slice.parts.append((number, part))
        self._slice.tags += len(part.timestamps_ps)
        for _ in self._pieces.cut(part):
            pass

    def finish(self, pool: ThreadPoolExecutor) -> None:
        if self._origin_ps is None:
            raise InputError("no part of the record lies in the range of time asked for")
        self._send(pool)
        self._collect(0)
        self._close_block()
        request = self._request
        for index, pair in enumerate(request.pairs):
            self.result.blocks.append(
                to_pair_blocks(
                    self._blocks,
                    index,
                    window_ps=request.window_ps,
                    bin_ps=request.bin_ps,
                    delay_ps=pair.stop_delay_ps,
                    same_channel=pair.same_channel,
                )
            )

    def cancel(self) -> None:
        for future in self._waiting:
            future.cancel()

    def _note(self, chunk: TagChunk) -> None:
        self.result.tags += len(chunk.timestamps_ps)
        self.result.gaps += len(chunk.gaps)
        self.result.missed += sum(sum(gap.missed.values()) for gap in chunk.gaps)

    def _close_block(self) -> None:
        """Give the live time since the last closing to the present block."""
        live = self._pieces.end_block()
        self._at(self._number).block = self._at(self._number).block.followed_by(live)

    def _at(self, number: int) -> BlockSum:
        if number not in self._blocks:
            n_bins = 2 * self._request.window_ps // self._request.bin_ps
            n_pairs = len(self._request.pairs)
            if (len(self._blocks) + 1) * n_bins * n_pairs * 8 > _MOST_BYTES:
                raise InputError(
                    f"more than {len(self._blocks)} blocks of {n_bins} bins and {n_pairs} pairs do not fit "
                    "into memory: take longer blocks or wider bins"
                )
            zeros = np.zeros(n_pairs, np.int64)
            histograms = [np.zeros(n_bins, np.uint64) for _ in range(n_pairs)]
            self._blocks[number] = BlockSum(histograms, zeros, zeros.copy(), Block(0, ()))
        return self._blocks[number]

    def _remember(self, chunk: TagChunk) -> None:
        """Keep the chunks that tags to come can reach."""
        if self._tail and self._tail[-1].end_ps != chunk.begin_ps:
            self._tail.clear()
        self._tail.append(chunk)
        while len(self._tail) > 1 and self._tail[1].begin_ps <= chunk.end_ps - self._reach:
            self._tail.popleft()

    def _before(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Tags of the last ``reach`` of the present whole piece."""
        end = self._tail[-1].end_ps
        begin = end - self._reach
        for chunk in self._tail:
            for gap in chunk.gaps:
                begin = max(begin, gap.end_ps)
        parts = [clip(chunk, begin, end) for chunk in self._tail]
        kept = [part for part in parts if part is not None]
        if not kept:
            return np.empty(0, np.int64), np.empty(0, np.int32)
        return (
            np.concatenate([part.timestamps_ps for part in kept]),
            np.concatenate([part.channels for part in kept]),
        )

    def _send(self, pool: ThreadPoolExecutor) -> None:
        if not self._slice.parts:
            return
        self._waiting.append(pool.submit(_count, self._request, self._slice))
        # Few slices at a time: memory stays small however fast the reader is.
        self._collect(2 * max(self._request.workers, 1))
        self._slice = _Slice(before=self._before())

    def _collect(self, leave: int) -> None:
        while len(self._waiting) > leave:
            counted = self._waiting.popleft().result()
            for number, part in counted.sums:
                self._at(number).add(part)
            add_tally(self.result.tags_by_channel, counted.tags_by_channel)

    def _coarsen(self) -> None:
        """Make blocks of twice the length."""
        self._collect(0)
        self._slice.parts = [(number // 2, part) for number, part in self._slice.parts]
        self._close_block()
        self._blocks = join_in_twos(self._blocks)
        self._block_ps *= 2
        self._number //= 2


def _count(request: Request, work: _Slice) -> _Counted:
    """Count the pairs whose later tag lies in the slice, block by block."""
    correlator = Correlator(request.pairs, window_ps=request.window_ps, bin_ps=request.bin_ps)
    if work.before is not None:
        correlator.prime(*work.before, work.parts[0][1].begin_ps)
    numbers: list[int] = []
    tags_by_channel: dict[int, int] = {}
    for number, part in work.parts:
        if numbers and number != numbers[-1]:
            correlator.end_block()
        if not numbers or number != numbers[-1]:
            numbers.append(number)
        correlator.push(part)
        add_tally(tags_by_channel, tally(part.channels))
    correlator.end_block()
    sums = []
    for k, number in enumerate(numbers):
        counted = [correlator.counts(pair, k) for pair in range(len(request.pairs))]
        sums.append(
            (
                number,
                BlockSum(
                    [histogram for histogram, _, _ in counted],
                    np.array([starts for _, starts, _ in counted], np.int64),
                    np.array([stops for _, _, stops in counted], np.int64),
                    Block(0, ()),
                ),
            )
        )
    return _Counted(sums, tags_by_channel)


def tally(channels: NDArray[np.int32]) -> dict[int, int]:
    """Channel number -> number of its tags."""
    if not len(channels):
        return {}
    lowest, highest = int(channels.min()), int(channels.max())
    if highest - lowest < 8:
        # Comparing with each channel in turn takes a tenth of the time of sorting or of a table.
        found = {k: int(np.count_nonzero(channels == k)) for k in range(lowest, highest + 1)}
        return {channel: tags for channel, tags in found.items() if tags}
    values, tags = np.unique(channels, return_counts=True)
    return dict(zip(values.tolist(), tags.tolist(), strict=True))


def add_tally(total: dict[int, int], more: dict[int, int]) -> None:
    """Add tags by channel to a total."""
    for channel, tags in more.items():
        total[channel] = total.get(channel, 0) + tags


def add_records(records: Sequence[Correlated]) -> Correlated:
    """Put several records behind each other, pair by pair.

    Raises:
        InputError: Their settings differ.
    """
    total = Correlated()
    for record in records:
        total.tags += record.tags
        total.gaps += record.gaps
        total.missed += record.missed
        add_tally(total.tags_by_channel, record.tags_by_channel)
    try:
        for index in range(len(records[0].blocks)):
            total.blocks.append(PairBlocks.concatenate(*(record.blocks[index] for record in records)))
    except ValueError as error:
        raise InputError(str(error)) from error
    return total
