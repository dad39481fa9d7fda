"""Opening what holds tags, ttbin through a stand-in of the vendor's module, and every kind of bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.time_tagger.base import Gap, TagChunk
from labctl.errors import InputError
from labctl.photons.correlator import Pair, PairCorrelator
from labctl.photons.reanalysis import Request, correlate
from labctl.photons.sources import open_source
from labctl.photons.tag_check import salvage_tags
from labctl.photons.tag_file import TagWriter
from labctl.photons.ttbin import read_ttbin


class Buffer:
    def __init__(self, stamps: list[int], channels: list[int], types: list[int] | None = None) -> None:
        self._stamps, self._channels = np.array(stamps, np.int64), np.array(channels, np.int32)
        self._types = np.array(types or [0] * len(stamps), np.uint8)
        self.size = len(stamps)

    def getTimestamps(self) -> Any:
        return self._stamps

    def getChannels(self) -> Any:
        return self._channels

    def getEventTypes(self) -> Any:
        return self._types

    def getMissedEvents(self) -> Any:
        return np.zeros(self.size, np.uint16)


class Vendor:
    """The part of the vendor's module that reads files, with its habit of not raising."""

    def __init__(self, buffers: list[Buffer], channels: tuple[int, ...] = (1, 2)) -> None:
        self.buffers, self.channels = list(buffers), channels

    def FileReader(self, path: str) -> Vendor:
        return self

    def getChannelList(self) -> tuple[int, ...]:
        return self.channels

    def hasData(self) -> bool:
        return bool(self.buffers)

    def getData(self, n: int) -> Buffer:
        return self.buffers.pop(0)


@pytest.fixture
def ttbin(tmp_path: Path) -> Path:
    path = tmp_path / "record.ttbin"
    path.write_bytes(b"anything")
    return path


def test_a_vendor_file_becomes_chunks_with_its_overflows_as_gaps(ttbin: Path) -> None:
    vendor = Vendor([Buffer([10, 20, 30, 50, 60], [1, 2, 0, 0, 1], [0, 0, 2, 3, 0]), Buffer([70], [2])])
    chunks = list(read_ttbin(ttbin, vendor))
    stamps = np.concatenate([c.timestamps_ps for c in chunks])
    assert stamps.tolist() == [10, 20, 60, 70]
    assert [(g.begin_ps, g.end_ps) for c in chunks for g in c.gaps] == [(30, 50)]


def test_an_empty_read_of_a_bad_file_is_an_error(ttbin: Path) -> None:
    with pytest.raises(InputError, match="no channels"):
        list(read_ttbin(ttbin, Vendor([], ())))
    with pytest.raises(InputError, match="no time tags"):
        list(read_ttbin(ttbin, Vendor([Buffer([], [])])))
    with pytest.raises(InputError, match="backwards"):
        list(read_ttbin(ttbin, Vendor([Buffer([10, 5], [1, 2])])))
    with pytest.raises(InputError, match="no such file"):
        read_ttbin(ttbin.with_name("absent.ttbin"), Vendor([]))


def test_the_installed_vendor_module_refuses_a_file_that_is_none(ttbin: Path) -> None:
    pytest.importorskip("Swabian.TimeTagger", reason="the vendor's module is not installed")
    with pytest.raises(InputError, match="ttbin"):
        list(open_source(ttbin).read())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.h5", b"", "empty"),
        ("cut.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "not a readable HDF5 file"),
        ("text.ptu", b"hello world, no tags", "not a PTU file"),
        ("notes.txt", b"hello world, no tags", "not a file of time tags"),
    ],
)
def test_files_that_hold_no_tags_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_source(tmp_path / name)


def counted(chunks: list[TagChunk], window: int = 100) -> Any:
    return correlate(chunks, Request((Pair(1, 2),), window, 1)).blocks[0]


def chunk(
    stamps: list[int], channels: list[int], begin: int, end: int, gaps: tuple[Gap, ...] = ()
) -> TagChunk:
    return TagChunk(np.array(stamps, np.int64), np.array(channels, np.int32), begin, end, gaps)


def test_bad_records_give_a_clear_error_or_a_correct_marked_result() -> None:
    with pytest.raises(InputError, match="backwards"):
        counted([chunk([50, 10], [1, 2], 0, 100)])
    with pytest.raises(InputError, match="before the last one ended"):
        counted([chunk([50], [1], 0, 100), chunk([60], [2], 50, 200)])
    # Duplicate stamps are pairs at delay 0, in whichever order they stand.
    assert counted([chunk([50, 50, 60, 60], [1, 2, 2, 1], 0, 100)]).total()[100] == 2
    # An overflow in the middle: nothing across, its time is not live.
    holed = counted([chunk([40, 50, 60], [1, 1, 2], 0, 100, (Gap(45, 55),))])
    assert (int(holed.total().sum()), int(holed.duration_ps.sum())) == (0, 90)
    assert int(holed.start_tags.sum()) == 1
    # A channel that never fires: nothing expected, g2 is not a number, not zero.
    assert np.isnan(counted([chunk([50], [1], 0, 100)]).g2()).all()
    # Negative channels (falling edges) are channels like others.
    correlator = PairCorrelator(-1, -2, window_ps=100, bin_ps=1)
    correlator.push(chunk([50, 60], [-1, -2], 0, 100))
    assert correlator.blocks().total()[110] == 1
    # Stamps near 2^63.
    late = counted([chunk([2**63 - 90, 2**63 - 60], [1, 2], 2**63 - 100, 2**63 - 1)])
    assert late.total()[130] == 1
    # A window longer than the record: lags that could not be seen have no g2.
    short = counted([chunk([5, 9], [1, 2], 0, 20)])
    assert np.isnan(short.g2()[0])
    assert np.isfinite(short.g2()[104])


def test_a_record_without_any_tag_is_live_but_empty(tmp_path: Path) -> None:
    with TagWriter(tmp_path, channels={"A": 1, "B": 2}, attributes={}) as writer:
        writer.write(chunk([], [], 0, 10**12))
    blocks = counted(list(open_source(tmp_path).read()))
    assert (int(blocks.duration_ps.sum()), int(blocks.total().sum())) == (10**12, 0)


@pytest.mark.parametrize("lost", [1, 2])
def test_a_record_that_lacks_a_segment_is_refused_until_it_is_salvaged(tmp_path: Path, lost: int) -> None:
    folder, rest = tmp_path / "tags", tmp_path / "rest"
    with TagWriter(folder, channels={"A": 1, "B": 2}, attributes={}, segment_s=1.0, flush_s=0.0) as writer:
        for k in range(3):
            begin = k * 10**12
            writer.write(chunk([begin + 10, begin + 20], [1, 2], begin, begin + 10**12))
    assert counted(list(open_source(folder).read())).total().sum() == 3
    (folder / f"tags-{lost:05d}.h5").unlink()
    with pytest.raises(InputError, match=rf"missing \(tags-{lost:05d}\.h5\).*labctl tags salvage"):
        open_source(folder)
    salvage_tags(folder, rest)
    blocks = counted(list(open_source(rest).read()))
    assert (int(blocks.total().sum()), int(blocks.duration_ps.sum())) == (2, 2 * 10**12)
