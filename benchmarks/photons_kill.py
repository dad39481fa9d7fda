"""Kill a process that writes tags, again and again, and check every tag that is left.

    python benchmarks/photons_kill.py [--times 20]

The writer makes tags from a seed, so that the file can be compared tag by tag with what was written; it
reports what it handed over and when. Everything older than a second at the kill must be on disk.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from drivers.time_tagger.base import TagChunk
from labctl.photons.tag_check import check_tags
from labctl.photons.tag_file import TagWriter, read_tags

ROOT = Path(__file__).resolve().parents[1]


def stream(seed: int) -> Iterator[TagChunk]:
    """Chunks of 1 to 131 k tags, at 10 Mcps, without end."""
    generator = np.random.Generator(np.random.PCG64(seed))
    begin = 0
    while True:
        n = int(generator.integers(1, 131_072))
        stamps = begin + np.cumsum(generator.integers(0, 200_000, n)).astype(np.int64)
        channels = generator.choice(np.array([1, 2], np.int32), n)
        end = int(stamps[-1]) + 1
        yield TagChunk(stamps, channels, begin, end)
        begin = end


def write_forever(folder: Path, seed: int) -> None:
    with TagWriter(folder, channels={"A": 1, "B": 2}, attributes={}, segment_s=2.0) as writer:
        for chunk in stream(seed):
            writer.write(chunk)
            sys.stdout.write(f"{chunk.end_ps} {time.monotonic()}\n")
            sys.stdout.flush()


def kill_once(folder: Path, seed: int, after_s: float) -> tuple[int, float, int]:
    """Give (tags on disk, seconds of wall time lost, segments); raises if a tag is wrong."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.photons_kill", "--write", str(folder), "--seed", str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    until = time.monotonic() + after_s
    while time.monotonic() < until:
        lines.append(process.stdout.readline())
    process.kill()
    killed = time.monotonic()
    lines += process.stdout.read().splitlines()
    process.wait()
    back = list(read_tags(folder))
    compare(back, seed)
    report = check_tags(folder)
    assert report.whole, report.damage
    end = back[-1].end_ps
    lost = [float(line.split()[1]) for line in lines if len(line.split()) == 2 and int(line.split()[0]) > end]
    return report.tags, max(killed - min(lost), 0.0) if lost else 0.0, report.segments


def compare(back: list[TagChunk], seed: int) -> None:
    stamps = np.concatenate([chunk.timestamps_ps for chunk in back])
    channels = np.concatenate([chunk.channels for chunk in back])
    at = 0
    for chunk in stream(seed):
        n = min(len(chunk.timestamps_ps), len(stamps) - at)
        if not (
            np.array_equal(stamps[at : at + n], chunk.timestamps_ps[:n])
            and np.array_equal(channels[at : at + n], chunk.channels[:n])
        ):
            raise AssertionError(f"tags differ after tag {at}")
        at += n
        if at == len(stamps):
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write is not None:
        write_forever(args.write, args.seed)
    generator = np.random.Generator(np.random.PCG64(1))
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in itertools.count(1):
            if number > args.times:
                break
            tags, lost_s, segments = kill_once(
                Path(folder) / str(number), number, generator.uniform(0.3, 3.0)
            )
            worst = max(worst, lost_s)
            print(
                f"{number}: {tags} tags in {segments} segments, all as written; {lost_s:.2f} s lost",
                flush=True,
            )
    print(f"killed {args.times} times: every stored tag right, at most {worst:.2f} s lost")


if __name__ == "__main__":
    main()
