"""The catalogue: nothing in it that the directories do not say."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import InputError
from labctl.store.catalogue import CATALOGUE_FILE, list_runs, read_entry, rebuild
from labctl.store.lookup import find_run
from labctl.store.run_directory import RunDirectory

REQUEST = {
    "sequence": {"name": "temperature_sweep"},
    "sample": {"name": "uv"},
    "planned_points": 9,
    "seed": 4,
}


@pytest.fixture
def three(tmp_path: Path, make_point: Any) -> Path:
    for title, state in (("first", "done"), ("second", "failed"), ("third", None)):
        with RunDirectory.create(tmp_path, title, {**REQUEST, "simulated": True}) as run:
            run.write_point(make_point(index=0))
            if state:
                run.finish(state, "stage lost" if state == "failed" else "")  # type: ignore[arg-type]
    return tmp_path


def test_runs_are_listed_newest_first_with_what_was_asked(three: Path) -> None:
    entries = list_runs(three)

    assert [(entry.number, entry.state, entry.message) for entry in entries] == [
        (3, "interrupted", "the process that ran it ended without a word"),
        (2, "failed", "stage lost"),
        (1, "done", ""),
    ]
    first = entries[-1]
    assert (first.sequence, first.sample, first.simulated, first.seed) == ("temperature_sweep", "uv", True, 4)
    assert (first.points_done, first.points_planned) == (1, 9)
    files = [path for path in (three / first.folder).rglob("*") if path.is_file()]
    assert first.size_bytes == sum(path.stat().st_size for path in files)


def test_an_empty_or_missing_folder_lists_nothing_and_makes_nothing(tmp_path: Path) -> None:
    assert list_runs(tmp_path) == []
    assert list_runs(tmp_path / "none") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["delete", "garbage", "other version", "wrong rows"])
def test_the_catalogue_is_made_anew_from_the_directories(three: Path, damage: str) -> None:
    before = list_runs(three)
    path = three / CATALOGUE_FILE
    if damage == "delete":
        path.unlink()
    elif damage == "garbage":
        path.write_bytes(b"this is no database at all" * 400)
    else:
        database = sqlite3.connect(path)
        database.execute(
            "PRAGMA user_version=99"
            if damage == "other version"
            else "UPDATE runs SET state='gone', number=77"
        )
        database.commit()
        database.close()

    assert rebuild(three) == before
    if damage != "wrong rows":
        assert list_runs(three) == before


def test_the_catalogue_is_write_ahead_logged(three: Path) -> None:
    list_runs(three)
    database = sqlite3.connect(three / CATALOGUE_FILE)
    try:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (3,)
    finally:
        database.close()


def test_changes_and_removals_show_at_the_next_listing(three: Path, make_point: Any) -> None:
    newest, middle, oldest = list_runs(three)
    run = RunDirectory.open(three / oldest.folder)
    run.write_point(make_point(index=1))
    (three / middle.folder / "request.json").unlink()

    again = list_runs(three)

    assert [entry.number for entry in again] == [newest.number, oldest.number]
    assert again[-1].points_done == 2


def test_a_settled_run_is_not_read_again(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list_runs(three)
    read: list[str] = []

    def noted(folder: Path) -> Any:
        read.append(folder.name)
        return read_entry(folder)

    monkeypatch.setattr("labctl.store.catalogue.read_entry", noted)
    list_runs(three)

    assert [name[:4] for name in read] == ["0003"]


def test_a_running_run_is_listed_as_running_and_then_as_ended(three: Path) -> None:
    with RunDirectory.create(three, "fourth", REQUEST) as run:
        assert list_runs(three)[0].state == "running"
        run.finish("stopped", "Ctrl-C")
    assert list_runs(three)[0].state == "stopped"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_can_still_be_listed(three: Path) -> None:
    three.chmod(0o500)
    try:
        assert len(list_runs(three)) == 3
    finally:
        three.chmod(0o700)


def test_a_catalogue_that_cannot_be_opened_is_done_without(three: Path) -> None:
    (three / CATALOGUE_FILE).mkdir()

    assert len(list_runs(three)) == 3


@pytest.mark.parametrize(
    ("asked", "number"), [("2", 2), ("0002", 2), ("0003_", 3), ("second", 2), ("last", 3), ("_first", 1)]
)
def test_a_run_is_found_by_number_or_part_of_its_name(three: Path, asked: str, number: int) -> None:
    assert find_run(asked, three).number == number


def test_a_run_is_found_by_its_path_wherever_it_is(three: Path) -> None:
    entry = list_runs(three)[0]

    assert find_run(str(three / entry.folder), Path("nowhere")).number == 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("9", r"no run '9' in .*; there are 3, the newest is 0003_"),
        ("000", r"'000' could be 3 runs in .*0001_.*0002_.*0003_.*say more"),
        ("", "could be 3 runs"),
    ],
)
def test_a_run_that_is_not_there_or_not_the_only_one_is_refused(three: Path, asked: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        find_run(asked, three)


def test_no_runs_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no runs in .*; name another folder with --data"):
        find_run("1", tmp_path)
    with pytest.raises(InputError, match="is not a run directory"):
        find_run(str(tmp_path), tmp_path)


def test_entries_are_plain_values(three: Path) -> None:
    assert all(
        value is None or isinstance(value, str | int | float)
        for entry in list_runs(three)
        for value in dataclasses.asdict(entry).values()
    )


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_that_leads_in_a_circle_is_named(tmp_path: Path) -> None:
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    with pytest.raises(InputError, match="circle: a link that leads nowhere"):
        find_run(str(circle), tmp_path)
    with pytest.raises(InputError, match="no runs in"):
        find_run(str(circle / "0001_x"), circle)
