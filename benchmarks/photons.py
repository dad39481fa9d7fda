"""Speed of the photon code against other programs, on the same tags in one run.

    python benchmarks/photons_data.py DATA            # 20 M tags per case, arrays and PTU files
    python benchmarks/photons.py DATA --peers PYTHON  # PYTHON: interpreter of the peers, see photons_peers.py

Every figure is Mtag/s, all tags of both channels, one thread unless said; medians over interleaved repeats.
On a machine that others use too, ``--clock cpu`` counts the seconds of the processor that each program used
instead of the wall's (system time included; re-analysis with several threads is always by the wall).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.photons_data import LIFETIMES_PS, make_case
from drivers.time_tagger.base import TagChunk
from labctl.photons.correlator import Pair, PairCorrelator
from labctl.photons.log_lags import LogCorrelator, good_crossover_ps
from labctl.photons.ptu import read_ptu
from labctl.photons.reanalysis import Request, correlate
from labctl.photons.tag_file import TagWriter, read_tags

CHUNK = 131_072
GEOMETRIES = {"+-100 ns / 10 ps": (100_000, 10), "+-1 us / 100 ps": (1_000_000, 100)}
LONGEST_PS = {"a": 10**12, "b": 10**12, "c": 4 * 10**11}


def chunks(stamps: np.ndarray, channels: np.ndarray, length: int, size: int = CHUNK) -> list[TagChunk]:
    """Cut a record as the tagger delivers it."""
    cuts = list(range(0, len(stamps), size))
    edges = [0, *(int(stamps[k]) for k in cuts[1:]), length]
    parts = []
    for k in range(len(cuts)):
        low, high = np.searchsorted(stamps, edges[k]), np.searchsorted(stamps, edges[k + 1])
        parts.append(TagChunk(stamps[low:high], channels[low:high], edges[k], edges[k + 1]))
    return parts


clocks = {"cpu": time.process_time, "wall": time.perf_counter}
clock = clocks["wall"]


def seconds(work: Callable[..., object], *args: object, by: Callable[[], float] | None = None) -> float:
    """Time that a call takes."""
    now = by or clock
    began = now()
    work(*args)
    return now() - began


def correlate_chunks(
    parts: Iterable[TagChunk], window: int, bin_ps: int, start: int = 1, stop: int = 2
) -> int:
    correlator = PairCorrelator(start, stop, window_ps=window, bin_ps=bin_ps)
    for part in parts:
        correlator.push(part)
    return int(correlator.blocks().total().sum())


def correlate_log(parts: list[TagChunk], rate_Hz: float, longest: int) -> None:
    correlator = LogCorrelator(Pair(1, 2), longest_ps=longest, exact_below_ps=good_crossover_ps(rate_Hz))
    for part in parts:
        correlator.push(part)
    correlator.result()


def store(parts: list[TagChunk], folder: Path, window: int, bin_ps: int, fits: int) -> None:
    """Write tags, correlate them, and fit ``fits`` times, as a live measurement does."""
    from labctl.fitting.live import LiveG2Fit
    from labctl.fitting.value import Value

    correlator = PairCorrelator(1, 2, window_ps=window, bin_ps=bin_ps)
    live = LiveG2Fit(30e-12, fraction=Value(0.56, 0.01), delay_s=0.0)
    due = set(np.linspace(len(parts) // 4, len(parts) - 1, fits).astype(int)) if fits else set()
    with TagWriter(folder, channels={"A": 1, "B": 2}, attributes={}) as writer:
        for number, part in enumerate(parts):
            writer.write(part)
            correlator.push(part)
            if number % max(len(parts) // 25, 1) == 0:
                # Time blocks, for the errors from their scatter.
                correlator.end_block()
            if number in due:
                live.update(correlator.blocks())


class Peers:
    """The other programs, in a process with their own interpreter."""

    def __init__(self, interpreter: str | None, folder: Path, clock_name: str) -> None:
        script = Path(__file__).with_name("photons_peers.py")
        self._process = (
            None
            if interpreter is None
            else subprocess.Popen(
                [interpreter, str(script), str(folder), clock_name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )

    def ask(self, peer: str, case: str, window: int, bin_ps: int) -> tuple[float, int]:
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            return float("nan"), 0
        self._process.stdin.write(f"{peer} {case} {window} {bin_ps}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            print(f"  {peer}: {answer['error']}")
            return float("nan"), 0
        return float(answer["seconds"]), int(answer["pairs"])

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()


def fresh(folder: str) -> Path:
    """A new place to write to; deleting the last one is not part of the measurement."""
    place = Path(folder) / "tags"
    shutil.rmtree(place, ignore_errors=True)
    return place


def medians(rows: dict[str, list[float]], tags: int) -> dict[str, float]:
    return {name: tags / statistics.median(values) / 1e6 for name, values in rows.items() if values}


def table(title: str, results: dict[str, dict[str, float]]) -> None:
    """Print a table: one row per program, one column per case, and the ratio of the first row to it."""
    cases = list(results)
    print(f"\n{title}\n")
    print("| | " + " | ".join(f"{c} | ratio" for c in cases) + " |")
    print("|---" * (1 + 2 * len(cases)) + "|")
    first = next(iter(results[cases[0]]))
    for name in results[cases[0]]:
        cells = []
        for case in cases:
            value = results[case].get(name, float("nan"))
            cells.append(f"{value:.3g} | {results[case][first] / value:.1f}")
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", help="interpreter in which the peers are installed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=clocks, default="wall")
    parser.add_argument("--only", default="linear,file,log,live,again,growth")
    args = parser.parse_args()
    wanted = set(args.only.split(","))
    globals()["clock"] = clocks[args.clock]
    peers = Peers(args.peers, args.folder, args.clock)
    records = {}
    for case in "abc":
        data = np.load(args.folder / f"{case}.npz")
        stamps, channels, length = data["stamps"], data["channels"], int(data["length"])
        records[case] = chunks(stamps, channels, length), len(stamps), len(stamps) / 2 / (length * 1e-12)
    correlate_chunks(records["a"][0][:3], 100_000, 10)
    if "linear" in wanted:
        run_linear(records, peers, args.repeats)
    if "file" in wanted:
        run_file(args.folder, records, peers, args.repeats)
    if "log" in wanted:
        run_log(records, peers, max(args.repeats // 2, 1))
    if "live" in wanted:
        run_live(records, args.repeats)
    if "again" in wanted:
        run_again(records, args.repeats)
    if "growth" in wanted:
        run_growth()
    peers.close()


Records = dict[str, tuple[list[TagChunk], int, float]]


def run_linear(records: Records, peers: Peers, repeats: int) -> None:
    for title, (window, bin_ps) in GEOMETRIES.items():
        results = {}
        for case, (parts, tags, _) in records.items():
            rows: dict[str, list[float]] = {
                "labctl, stream of 131 k-tag chunks": [],
                "tttrlib": [],
                "numpy": [],
            }
            found = {}
            for _repeat in range(repeats):
                began = clock()
                found["labctl"] = correlate_chunks(parts, window, bin_ps)
                rows["labctl, stream of 131 k-tag chunks"].append(clock() - began)
                for peer in ("tttrlib", "numpy"):
                    taken, found[peer] = peers.ask(peer, case, window, bin_ps)
                    rows[peer].append(taken)
            print(f"{case} {title}: pairs {found}")
            results[case] = medians(rows, tags)
        table(f"Tags in memory, {title}", results)


def run_file(folder: Path, records: Records, peers: Peers, repeats: int) -> None:
    for title, (window, bin_ps) in GEOMETRIES.items():
        results = {}
        for case, (_, tags, _rate) in records.items():
            rows: dict[str, list[float]] = {"labctl, PTU file": [], "trattoria": [], "eta": []}
            found = {}
            for peer in ("trattoria", "eta"):
                peers.ask(peer, case, window, bin_ps)
            for _repeat in range(repeats):
                began = clock()
                found["labctl"] = correlate_chunks(read_ptu(folder / f"{case}.ptu"), window, bin_ps, 0, 1)
                rows["labctl, PTU file"].append(clock() - began)
                for peer in ("trattoria", "eta"):
                    taken, found[peer] = peers.ask(peer, case, window, bin_ps)
                    rows[peer].append(taken)
            print(f"{case} {title} from a PTU file: pairs {found}")
            results[case] = medians(rows, tags)
        table(f"From a PTU file, {title}", results)


def run_log(records: Records, peers: Peers, repeats: int) -> None:
    results = {}
    for case, (parts, tags, rate) in records.items():
        rows: dict[str, list[float]] = {"labctl, log lags": [], "tttrlib": [], "pycorrelate": []}
        correlate_log(parts[:2], rate, LONGEST_PS[case])
        for _repeat in range(repeats):
            rows["labctl, log lags"].append(seconds(correlate_log, parts, rate, LONGEST_PS[case]))
            for peer in ("tttrlib", "pycorrelate"):
                rows[peer].append(peers.ask(f"{peer}-log", case, LONGEST_PS[case], 0)[0])
        results[case] = medians(rows, tags)
    table("Log-spaced lags from 1 ps, both signs", results)


def run_live(records: Records, repeats: int) -> None:
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case, (parts, tags, _) in records.items():
            rows: dict[str, list[float]] = {
                "store + correlate": [],
                "store + correlate + fits": [],
                "store": [],
            }
            # Ten fits a second of the time that the work takes.
            fits = 0
            store(parts, fresh(folder), 100_000, 50, 1)
            for _repeat in range(repeats):
                taken = seconds(store, parts, fresh(folder), 100_000, 50, 0)
                rows["store + correlate"].append(taken)
                fits = max(round(10 * taken * 1.3), 1)
                rows["store + correlate + fits"].append(
                    seconds(store, parts, fresh(folder), 100_000, 50, fits)
                )
                rows["store"].append(seconds(write_only, parts, fresh(folder)))
            size = sum(f.stat().st_size for f in (Path(folder) / "tags").iterdir())
            print(f"{case}: {size / tags:.2f} bytes per tag, {fits} fits per run")
            results[case] = medians(rows, tags)
    table("Live: tags to disk, +-100 ns / 50 ps histogram (4000 bins), 10 fits a second", results)


def write_only(parts: list[TagChunk], folder: Path) -> None:
    with TagWriter(folder, channels={"A": 1, "B": 2}, attributes={}) as writer:
        for part in parts:
            writer.write(part)


def read_only(folder: Path, threads: int) -> None:
    for _ in read_tags(folder, threads=threads):
        pass


def read_and_correlate(folder: Path, request: Request) -> None:
    correlate(read_tags(folder, threads=request.workers), request)


def run_again(records: Records, repeats: int) -> None:
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case, (parts, tags, _) in records.items():
            write_only(parts, Path(folder) / case)
            rows: dict[str, list[float]] = {}
            for _repeat in range(repeats):
                for workers in (1, 2):
                    taken = seconds(read_only, Path(folder) / case, workers, by=time.perf_counter)
                    rows.setdefault(f"read, {workers} unpacking threads", []).append(taken)
                    for title, (window, bin_ps) in GEOMETRIES.items():
                        request = Request((Pair(1, 2),), window, bin_ps, workers=workers)
                        name = f"read + correlate {title}, {workers} unpacking and {workers} counting threads"
                        rows.setdefault(name, []).append(
                            seconds(read_and_correlate, Path(folder) / case, request, by=time.perf_counter)
                        )
            results[case] = medians(rows, tags)
    table("Re-analysis of stored segments", results)


def growth_records() -> Iterator[tuple[float, list[TagChunk], int]]:
    for rate in (1e4, 1e5, 1e6, 1e7, 3e7):
        stamps, channels, length = make_case(rate, 4_000_000)
        yield rate, chunks(stamps, channels, length), len(stamps)


def run_growth() -> None:
    """Cost per tag against rate and window (10 000 bins each), and against the number of bins."""
    windows = (10_000, 100_000, 1_000_000, 10_000_000)
    print("\nns per tag, by rate per channel (rows) and window with 20 000 bins (columns)\n")
    print(
        "| | "
        + " | ".join(f"+-{w / 1000:g} ns" for w in windows)
        + " |\n"
        + "|---" * (len(windows) + 1)
        + "|"
    )
    for rate, parts, tags in growth_records():
        cells = []
        for window in windows:
            if rate * window * 1e-12 > 40:
                cells.append("-")
                continue
            best = min(seconds(correlate_chunks, parts, window, window // 10_000) for _ in range(3))
            cells.append(f"{best / tags * 1e9:.2f}")
        print(f"| {rate:g} Hz | " + " | ".join(cells) + " |")
        if rate == 1e6:
            print_bins(parts, tags)


def print_bins(parts: list[TagChunk], tags: int) -> None:
    cells = []
    for bin_ps in (10_000, 1000, 100, 10, 1):
        best = min(seconds(correlate_chunks, parts, 1_000_000, bin_ps) for _ in range(3))
        cells.append(f"{2_000_000 // bin_ps} bins {best / tags * 1e9:.2f}")
    print(f"\n1 MHz, +-1 us, by number of bins: {', '.join(cells)} (lifetimes {LIFETIMES_PS} ps)\n")


if __name__ == "__main__":
    main()
