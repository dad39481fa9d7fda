"""Tags on disk come back as they went in, and a damaged place is never read as if it were whole."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.time_tagger.base import Gap, TagChunk
from labctl.errors import InputError
from labctl.photons.tag_file import Damage, TagWriter, read_tags, tag_info
from labctl.photons.tag_layout import FRAME

REPOSITORY = Path(__file__).resolve().parents[3]


def chunk(stamps: list[int], begin: int, end: int, gaps: tuple[Gap, ...] = ()) -> TagChunk:
    values = np.array(stamps, np.int64)
    return TagChunk(values, (values % 3 - 1).astype(np.int32), begin, end, gaps)


def write(folder: Path, chunks: list[TagChunk], **options: float) -> None:
    with TagWriter(
        folder, channels={"spad A": -1, "spad B": 1}, attributes={"rig": "made"}, **options
    ) as writer:
        for part in chunks:
            writer.write(part)


def random_chunks(n: int, size: int, rate_step_ps: int, seed: int = 1) -> Iterator[TagChunk]:
    generator = np.random.Generator(np.random.PCG64(seed))
    begin = 0
    for _ in range(n):
        stamps = begin + np.cumsum(generator.integers(0, 2 * rate_step_ps, size)).astype(np.int64)
        end = int(stamps[-1]) + 1
        yield TagChunk(stamps, generator.choice(np.array([-18, 1, 2], np.int32), size), begin, end)
        begin = end


def joined(chunks: list[TagChunk]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([c.timestamps_ps for c in chunks]), np.concatenate([c.channels for c in chunks])


def assert_same(folder: Path, written: list[TagChunk]) -> list[TagChunk]:
    back = list(read_tags(folder))
    for ours, theirs in zip(joined(back), joined(written), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for part in back:
        if len(part.timestamps_ps):
            assert part.begin_ps <= part.timestamps_ps[0] <= part.timestamps_ps[-1] < part.end_ps
    return back


def test_tags_channels_and_attributes_come_back(tmp_path: Path) -> None:
    written = list(random_chunks(9, 131_072, 500_000))
    write(tmp_path / "tags", written)
    back = assert_same(tmp_path / "tags", written)
    assert (back[0].begin_ps, back[-1].end_ps) == (0, written[-1].end_ps)
    for part, following in itertools.pairwise(back):
        assert part.end_ps == following.begin_ps
    info = tag_info(tmp_path / "tags")
    assert info.channels == {"spad A": -1, "spad B": 1}
    assert info.attributes == {"rig": "made"}


def test_a_megacount_stream_takes_less_than_four_bytes_per_tag(tmp_path: Path) -> None:
    written = list(random_chunks(4, 262_144, 500_000))
    write(tmp_path, written)
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert size < 4 * 4 * 262_144


def test_rare_tags_hours_apart_and_at_the_end_of_the_range_come_back(tmp_path: Path) -> None:
    stamps = [-(2**62), -5, 0, 2**32 - 1, 2**32, 2**33 + 7, 2**45, 2**45, 2**63 - 2]
    write(tmp_path, [chunk(stamps, -(2**62), 2**63 - 1)])
    assert_same(tmp_path, [chunk(stamps, -(2**62), 2**63 - 1)])


def test_a_full_segment_is_closed_and_a_new_one_begun(tmp_path: Path) -> None:
    written = [chunk(list(range(k * 10**12, k * 10**12 + 5)), k * 10**12, (k + 1) * 10**12) for k in range(6)]
    write(tmp_path, written, segment_s=2.0, flush_s=0.0)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"tags-0000{n}.h5" for n in (1, 2, 3)]
    assert_same(tmp_path, written)


def test_a_segment_that_cannot_get_its_name_is_reported_and_kept(tmp_path: Path) -> None:
    first, second = random_chunks(2, 1000, 10**9)
    writer = TagWriter(tmp_path, channels={}, attributes={}, segment_s=1e-6, flush_s=0.0)
    writer.write(first)
    (tmp_path / "tags-00001.h5").mkdir()
    writer.write(second)
    with pytest.raises(OSError, match="tags-00001"):
        writer.close()
    assert sum(len(part.timestamps_ps) for part in read_tags(tmp_path / "tags-00001.h5.open")) == 1000


def test_duplicate_stamps_across_a_frame_stay_in_one_chunk(tmp_path: Path) -> None:
    stamps = np.sort(np.concatenate([np.arange(FRAME - 3), np.full(9, FRAME), [FRAME + 1]])).astype(np.int64)
    written = [TagChunk(stamps, np.ones(len(stamps), np.int32), 0, FRAME + 2)]
    write(tmp_path, written)
    back = assert_same(tmp_path, written)
    assert int(back[1].timestamps_ps[0]) == FRAME


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 990), max_size=6), st.lists(st.integers(0, 1000), max_size=4), st.booleans())
def test_gaps_come_back_where_they_were(
    tmp_path_factory: pytest.TempPathFactory, stamps: list[int], edges: list[int], each: bool
) -> None:
    folder = tmp_path_factory.mktemp("gaps")
    edges = sorted(edges)
    gaps = tuple(Gap(a, b, {1: 3, -1: 4}) for a, b in zip(edges[::2], edges[1::2], strict=False))
    parts = [
        chunk(sorted(stamps), 0, 1000, tuple(dict.fromkeys((g.begin_ps, g.end_ps) for g in gaps)) and gaps)
    ]
    parts.append(chunk([1500], 1000, 2000))
    write(folder, parts, flush_s=0.0 if each else 5.0)
    back = list(read_tags(folder))
    seen = {(g.begin_ps, g.end_ps) for part in back for g in part.gaps}
    assert seen == {(g.begin_ps, g.end_ps) for g in gaps}
    for part in back:
        for gap in part.gaps:
            assert gap.missed == {1: 3, -1: 4}


def test_a_hole_between_stretches_stays_a_hole(tmp_path: Path) -> None:
    write(tmp_path, [chunk([5], 0, 10), chunk([25], 20, 30)])
    assert [(c.begin_ps, c.end_ps) for c in read_tags(tmp_path)] == [(0, 10), (20, 30)]


def test_tags_are_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path, [chunk([5], 0, 10)])
    with pytest.raises(FileExistsError, match="never overwritten"):
        TagWriter(tmp_path, channels={}, attributes={})


def test_a_stretch_or_channel_that_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    with TagWriter(tmp_path, channels={}, attributes={}) as writer:
        writer.write(chunk([5], 0, 10))
        with pytest.raises(ValueError, match="before the last one ended"):
            writer.write(chunk([9], 9, 20))
        with pytest.raises(ValueError, match="between -128 and 127"):
            writer.write(TagChunk(np.array([11]), np.array([300], np.int32), 10, 20))


def test_every_flipped_byte_of_the_data_is_noticed_or_harmless(tmp_path: Path) -> None:
    """A byte flipped anywhere either changes nothing that is read, or is reported."""
    written = list(random_chunks(2, 5000, 500_000))
    write(tmp_path / "tags", written)
    path = tmp_path / "tags" / "tags-00001.h5"
    good = path.read_bytes()
    generator = np.random.Generator(np.random.PCG64(3))
    noticed = 0
    for place in generator.integers(0, len(good), 120):
        bad = bytearray(good)
        bad[place] ^= 1 << int(generator.integers(0, 8))
        path.write_bytes(bytes(bad))
        try:
            back = joined(list(read_tags(path)))
        except InputError:
            noticed += 1
            continue
        for ours, theirs in zip(back, joined(written), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert noticed > 60


@pytest.mark.parametrize("threads", [1, 3])
def test_a_damaged_frame_is_left_out_and_reported_when_asked(threads: int, tmp_path: Path) -> None:
    written = list(random_chunks(3, FRAME, 500_000))
    write(tmp_path, written)
    path = tmp_path / "tags-00001.h5"
    with h5py.File(path, "r") as file:
        place = file["step_ps"].id.get_chunk_info(1)
    data = bytearray(path.read_bytes())
    data[place.byte_offset + place.size // 2] ^= 0x10
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="frame 1 of 3 is damaged"):
        list(read_tags(tmp_path, threads=threads))
    damage = Damage()
    back = list(read_tags(tmp_path, damage=damage, threads=threads))
    assert (damage.frames_lost, damage.tags_lost) == (1, FRAME)
    np.testing.assert_array_equal(
        joined(back)[0], np.concatenate([written[0].timestamps_ps, written[2].timestamps_ps])
    )
    assert back[0].end_ps <= written[1].begin_ps + 10**6
    assert back[1].begin_ps > written[1].timestamps_ps[-1]


@pytest.mark.parametrize("keep", [0, 100, 5000, 20_000])
def test_a_truncated_segment_is_refused(tmp_path: Path, keep: int) -> None:
    write(tmp_path, list(random_chunks(2, 20_000, 500_000)))
    path = tmp_path / "tags-00001.h5"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="tags-00001"):
        list(read_tags(path))


def test_wherever_a_segment_is_cut_what_is_read_is_true_and_what_is_lost_is_said(tmp_path: Path) -> None:
    written = list(random_chunks(70, 300, 10**9))
    write(tmp_path / "tags", written, flush_s=0.0)
    path = tmp_path / "tags" / "tags-00001.h5"
    content = path.read_bytes()
    frames = {part.begin_ps: part for part in written}
    counted = 0
    for keep in np.linspace(60, len(content) - 1, 25).astype(int):
        path.write_bytes(content[:keep])
        damage = Damage()
        back = list(read_tags(path, damage=damage))
        for part in back:
            np.testing.assert_array_equal(part.timestamps_ps, frames[part.begin_ps].timestamps_ps)
            np.testing.assert_array_equal(part.channels, frames[part.begin_ps].channels)
        assert f"truncated, {keep} of {len(content)} bytes are left" in damage.notes[0]
        if not damage.segments_lost:
            left = 300 * (len(back) + damage.frames_uncounted) + damage.tags_lost
            assert left == 300 * len(written)
            counted += 1
    assert counted > 20


def test_what_holds_no_tags_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_tags(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no tag segments"):
        read_tags(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not a tag segment"):
        list(read_tags(tmp_path / "other.h5"))


WRITE_FOREVER = """
import sys, time
import numpy as np
from drivers.time_tagger.base import TagChunk
from labctl.photons.tag_file import TagWriter
folder, seed = sys.argv[1], int(sys.argv[2])
generator = np.random.Generator(np.random.PCG64(seed))
writer = TagWriter(folder, channels={"A": 1, "B": 2}, attributes={}, segment_s=0.3, flush_s=0.05)
begin = 0
while True:
    n = int(generator.integers(1, 60_000))
    stamps = begin + np.cumsum(generator.integers(0, 200_000, n)).astype(np.int64)
    end = int(stamps[-1]) + 1
    before = time.monotonic()
    writer.write(TagChunk(stamps, generator.choice(np.array([1, 2], np.int32), n), begin, end))
    begin = end
    sys.stdout.write(f"{begin} {before} {time.monotonic()}\\n")
    sys.stdout.flush()
    time.sleep(0.01)
"""


def test_a_killed_writer_leaves_every_tag_older_than_a_second(tmp_path: Path) -> None:
    folder = tmp_path / "tags"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_FOREVER, str(folder), "7"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    written: list[tuple[int, float, float]] = []

    def note(line: str) -> None:
        end_ps, before_s, after_s = line.split()
        written.append((int(end_ps), float(before_s), float(after_s)))

    while not written or written[-1][1] < written[0][2] + 1.5:
        note(process.stdout.readline())
    process.kill()
    for line in process.stdout.read().splitlines():
        note(line)
    process.stdout.close()
    process.wait(60)
    # What was there 0.8 s before the last tags were handed over was safe when they had been.
    safe = [end_ps for end_ps, _, after_s in written if after_s < written[-1][1] - 0.8]
    back = list(read_tags(folder))
    stamps, channels = joined(back)
    assert back[-1].end_ps >= max(safe)
    generator = np.random.Generator(np.random.PCG64(7))
    expected: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    begin = 0
    while begin <= int(stamps[-1]):
        n = int(generator.integers(1, 60_000))
        expected.append(begin + np.cumsum(generator.integers(0, 200_000, n)).astype(np.int64))
        numbers.append(generator.choice(np.array([1, 2], np.int32), n))
        begin = int(expected[-1][-1]) + 1
    np.testing.assert_array_equal(stamps, np.concatenate(expected)[: len(stamps)])
    np.testing.assert_array_equal(channels, np.concatenate(numbers)[: len(stamps)])
