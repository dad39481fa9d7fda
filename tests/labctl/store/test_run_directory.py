"""Run directories: numbers given out once, nothing overwritten, readable after any end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import pytest

from labctl.store.document_log import read_documents
from labctl.store.run_directory import RunDirectory, run_directories
from labctl.store.run_state import read_state

REQUEST: dict[str, Any] = {
    "title": "Temperature sweep",
    "sequence": {"name": "temperature_sweep", "text": "# T in K\n", "values": {"start_K": 300.0}},
    "rig": {"name": "simulated", "text": "", "values": {}},
    "sample": {"name": "xray-B"},
    "seed": 7,
    "simulated": True,
    "planned_points": 8,
}
LATEST_S = 200.0


def python(script: str, *words: str) -> subprocess.Popen[str]:
    """Start a Python of our own that runs ``script``."""
    here = str(Path(__file__).resolve().parents[3])
    paths = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-c", script, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


def test_a_run_gets_number_day_and_title(tmp_path: Path) -> None:
    noon_s = 1_795_176_000.0  # 2026-11-20 12:00 UTC
    with RunDirectory.create(
        tmp_path / "runs", "temperature sweep xray-B", REQUEST, created_epoch_s=noon_s
    ) as run:
        day = time.strftime("%Y-%m-%d", time.localtime(noon_s))
        assert run.path == tmp_path / "runs" / f"0001_{day}_temperature_sweep_xray-B"
        assert run.number == 1


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("CsPbBr₃, spot 28 µm / Kapton", "CsPbBr3_spot_28_m_Kapton"),
        ("../../etc/passwd", "etc_passwd"),
        ("con: a*b?", "con_a_b"),
        ("", ""),
    ],
)
def test_any_title_makes_a_folder_name_that_every_system_takes(tmp_path: Path, title: str, slug: str) -> None:
    with RunDirectory.create(tmp_path, title, {}) as run:
        assert run.path.parent == tmp_path
        assert re.sub(r"^0001_\d{4}-\d\d-\d\d_?", "", run.path.name) == slug


def test_numbers_go_on_after_the_highest_also_past_other_folders(tmp_path: Path) -> None:
    for name in ("0041_2026-01-01_old", "notes", "17_not_ours", "12345_2026-01-01_many"):
        (tmp_path / name).mkdir()

    with RunDirectory.create(tmp_path, "a", {}) as first, RunDirectory.create(tmp_path, "b", {}) as second:
        assert (first.number, second.number) == (12346, 12347)


def test_two_processes_never_get_the_same_number(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from labctl.store import provenance, run_directory\n"
        "provenance.packages = dict; provenance.code_state = lambda: None\n"
        "while time.time() < float(sys.argv[3]): pass\n"
        "root, title = Path(sys.argv[1]), sys.argv[2]\n"
        "for n in range(12): run_directory.RunDirectory.create(root, title + str(n), {}).close()"
    )
    start_s = str(time.time() + 1.5)
    workers = [python(script, str(tmp_path), title, start_s) for title in ("left", "right", "third")]
    for worker in workers:
        assert worker.communicate(timeout=LATEST_S)[1] == ""

    numbers = [RunDirectory.open(path).number for path in run_directories(tmp_path)]

    assert numbers == list(range(1, 37))
    assert len(list(tmp_path.iterdir())) == 36


def test_the_request_is_kept_word_for_word_with_what_made_it(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path, "sweep", REQUEST) as run:
        kept = json.loads((run.path / "request.json").read_text(encoding="utf-8"))

    assert {key: kept[key] for key in REQUEST} == REQUEST
    assert kept["software"]["packages"]["numpy"] == __import__("numpy").__version__
    assert kept["computer"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert kept["computer"]["system"] in {"Linux", "Windows", "Darwin"}
    assert kept["number"] == 1
    assert (run.sample, run.sequence, run.planned_points) == ("xray-B", "temperature_sweep", 8)


def test_the_code_state_names_commit_and_changed_files(tmp_path: Path) -> None:
    from labctl.store.provenance import code_state

    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e", *words], check=True
        )

    git("init", "-q", "-b", "trunk")
    (tmp_path / "a.py").write_text("1", encoding="utf-8")
    git("add", "a.py")
    git("commit", "-q", "-m", "first")
    (tmp_path / "a.py").write_text("2", encoding="utf-8")

    state = code_state(tmp_path)

    assert state is not None
    assert re.fullmatch(r"[0-9a-f]{40}", state["commit"])
    assert (state["branch"], state["changed_files"]) == ("trunk", ["a.py"])


def test_a_copy_of_the_code_without_git_has_no_code_state(tmp_path: Path) -> None:
    from labctl.store.provenance import code_state

    assert code_state(tmp_path) is None


@pytest.mark.parametrize(("name", "message"), [("done", ""), ("stopped", "Ctrl-C"), ("failed", "stage lost")])
def test_a_run_says_how_it_ended(run: RunDirectory, name: Any, message: str) -> None:
    assert run.state.name == "running"

    run.finish(name, message)

    assert (run.state.name, run.state.message) == (name, message)


def test_a_run_given_up_without_a_word_reads_as_interrupted(run: RunDirectory) -> None:
    run.close()

    assert run.state.name == "interrupted"


def test_another_process_sees_a_run_going_on(run: RunDirectory) -> None:
    script = (
        "import sys; from pathlib import Path; from labctl.store.run_state import read_state\n"
        "print(read_state(Path(sys.argv[1])).name)"
    )

    said, errors = python(script, str(run.path)).communicate(timeout=LATEST_S)

    assert (said.strip(), errors) == ("running", "")
    run.finish("done")


def test_a_state_file_that_cannot_be_read_reads_as_interrupted(run: RunDirectory) -> None:
    run.close()
    (run.path / "state.json").write_bytes(b'{"state": "do')

    assert run.state.name == "interrupted"


KILLED = """
import sys, itertools
from pathlib import Path
import numpy as np
from labctl.store.point import PointData
from labctl.store.run_directory import RunDirectory
from labctl.spectra.frames import SpectrumData

run = RunDirectory.create(Path(sys.argv[1]), "killed", {"planned_points": 1000})
log = run.document_log()
rng = np.random.default_rng(5)
for index in itertools.count():
    frames = rng.integers(0, 60000, (8, 1024))
    spectrum = SpectrumData(np.linspace(400.0, 700.0, 1024), frames, frames[:2], 1.0, 1.0, 4.0, 65535)
    run.write_point(PointData(index, 80.0, 80.0 + index, 0.01, 40.0, 300.0, 1e9, 1e9, spectrum, None))
    log.append("event", {"index": index, "counts": frames})
    print(index, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 4, 9])
def test_what_was_measured_stays_readable_after_kill_9(tmp_path: Path, lines: int) -> None:
    worker = python(KILLED, str(tmp_path))
    assert worker.stdout is not None
    told = [worker.stdout.readline() for _ in range(lines)]
    worker.kill()  # SIGKILL; on Windows TerminateProcess
    rest, errors = worker.communicate(timeout=LATEST_S)
    assert errors == ""
    done = max(int(line) for line in [*told, *rest.splitlines()] if line.strip())

    run = RunDirectory.open(run_directories(tmp_path)[0])
    problems: list[str] = []
    points = run.read_points(problems)

    assert run.state.name == "interrupted"
    assert problems == []
    assert len(points) >= done + 1
    assert [point.temperature_K for point in points] == [80.0 + index for index in range(len(points))]
    documents = [doc for name, doc in run.documents().documents if name == "event"]
    assert [doc["index"] for doc in documents[: done + 1]] == list(range(done + 1))
    assert all(len(doc["counts"]) == 8 for doc in documents)


def test_a_torn_last_line_costs_only_itself(run: RunDirectory) -> None:
    with run.document_log() as log:
        log.append("start", {"uid": "a"})
        log.append("event", {"seq_num": 1})
    path = run.path / "documents.jsonl"
    path.write_bytes(path.read_bytes()[:-9])

    assert [name for name, _ in run.documents().documents] == ["start"]
    assert run.documents().torn_lines == 1

    run.close()
    with RunDirectory.open(run.path).document_log() as log:
        log.append("event", {"seq_num": 2})
    read = read_documents(path)
    assert [doc for _, doc in read.documents] == [{"uid": "a"}, {"seq_num": 2}]
    assert read.torn_lines == 1


def test_a_run_without_a_log_has_no_documents(run: RunDirectory) -> None:
    assert run.documents().documents == ()


def test_a_point_is_written_once_with_its_fit(
    run: RunDirectory, make_point: Any, fit: dict[str, Any]
) -> None:
    run.write_point(make_point(index=0), fit)

    with pytest.raises(FileExistsError):
        run.write_point(make_point(index=0))

    assert run.point_indexes() == [0]
    assert run.read_fits() == {0: fit}
    record = json.loads((run.path / "fits" / "point_000.json").read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", record["software"]["labctl"])


def test_a_lost_fit_folder_falls_back_on_the_point_file(
    run: RunDirectory, make_point: Any, fit: dict[str, Any]
) -> None:
    run.write_point(make_point(index=0), fit)
    (run.path / "fits" / "point_000.json").unlink()

    assert run.read_fits() == {0: fit}


def test_a_new_fit_sets_the_old_one_aside(run: RunDirectory, fit: dict[str, Any]) -> None:
    second = {**fit, "warnings": ["second"]}
    third = {**fit, "warnings": ["third"]}
    for each in (fit, fit, second, third):
        run.write_fit(2, each)

    kept = {
        path.name: json.loads(path.read_text(encoding="utf-8"))["fit"]["warnings"]
        for path in (run.path / "fits").iterdir()
    }

    assert kept == {
        "point_002.v1.json": [],
        "point_002.v2.json": ["second"],
        "point_002.json": ["third"],
    }
    assert run.read_fits() == {2: third}


def test_results_are_versioned_too(run: RunDirectory) -> None:
    run.write_result({"points": 1})
    run.write_result({"points": 2, "chi2": float("nan")})

    assert run.read_result() == {"points": 2, "chi2": None}
    assert json.loads((run.path / "result.v1.json").read_text(encoding="utf-8")) == {"points": 1}


def test_damaged_points_are_named_and_the_others_read(run: RunDirectory, make_point: Any) -> None:
    for index in range(3):
        run.write_point(make_point(index=index, temperature_K=80.0 + index))
    whole = run.point_path(1).read_bytes()
    run.point_path(1).write_bytes(whole[: len(whole) // 3])
    (run.path / "points" / ".point_003.nxs.99.partial").write_bytes(b"half")
    problems: list[str] = []

    points = run.read_points(problems)

    assert [point.index for point in points] == [0, 2]
    assert len(problems) == 1
    assert "point_001.nxs" in problems[0]
    assert run.read_fits() == {}


def test_a_run_with_nothing_in_it_reads_as_empty(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, "x", {})
    run.close()
    (run.path / "request.json").write_bytes(b"{")

    run = RunDirectory.open(run.path)

    assert (run.request, run.read_points(), run.read_fits(), run.read_result()) == ({}, [], {}, None)
    assert (run.sample, run.planned_points, run.title) == ("", None, run.path.name)


def test_tags_have_a_folder_per_point(run: RunDirectory) -> None:
    assert run.tags_folder(3) == run.path / "tags" / "point_003"
    assert run.tags_folder(3).is_dir()
    assert run.tags_folder(3, background=True) == run.path / "tags" / "background_003"


def test_the_master_file_links_every_point_and_moves_with_the_run(
    tmp_path: Path, run: RunDirectory, make_point: Any, fit: dict[str, Any]
) -> None:
    for index in range(3):
        run.write_point(make_point(index=index, temperature_K=300.0 - 100 * index), fit)
    run.write_master()
    run.finish("done")
    moved = tmp_path / "elsewhere" / run.path.name
    moved.parent.mkdir()
    run.path.rename(moved)

    with h5py.File(moved / "run.nxs") as file:
        assert list(file) == ["point_000", "point_001", "point_002", "run"]
        assert file["point_002/sample/temperature"][()] == 100.0
        assert file["point_001/instrument/counters/data"].shape == (5, 400)
        trend = file["run"][file["run"].attrs["default"]]
        assert trend["temperature"][()].tolist() == [300.0, 200.0, 100.0]
        assert trend[trend.attrs["signal"]][()].tolist() == [1.08e-9] * 3
        assert file["run/fit_001/results/tau_fast_s"][()] == 0.236e-9


def test_nxcheck_finds_no_error_in_the_master_file(
    run: RunDirectory, make_point: Any, fit: dict[str, Any]
) -> None:
    for index in range(2):
        run.write_point(make_point(index=index), fit)
    script = "import sys; from nexusformat.scripts.nxcheck import main; sys.exit(main())"

    done = subprocess.run(
        [sys.executable, "-c", script, "--warning", str(run.write_master())],
        capture_output=True,
        text=True,
        timeout=LATEST_S,
        check=True,
    )

    assert "Total number of errors: 0" in done.stdout + done.stderr
    assert "Total number of warnings: 0" in done.stdout + done.stderr


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a run directory"):
        RunDirectory.open(tmp_path)


def test_the_owner_keeps_others_from_writing(run: RunDirectory) -> None:
    from labctl.store import run_state

    patience_s, run_state.LOCK_PATIENCE_S = run_state.LOCK_PATIENCE_S, 0.05
    try:
        with pytest.raises(BlockingIOError, match="being written by another process"):
            run_state.RunLock(run.path)
    finally:
        run_state.LOCK_PATIENCE_S = patience_s
    assert read_state(run.path).name == "running"
    run.finish("done")
