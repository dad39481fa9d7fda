"""``labctl runs``: the list, kind words for an empty folder, JSON."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from labctl.cli import runs
from labctl.cli.output import Output
from labctl.errors import InputError
from labctl.store.run_directory import RunDirectory

REQUEST = {
    "sequence": {"name": "temperature_sweep"},
    "sample": {"name": "xray-B"},
    "planned_points": 8,
    "simulated": True,
}


def call(*words: str, as_json: bool = False, width: int = 80) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    runs.add_arguments(parser)
    out = Output(as_json=as_json)
    said = io.StringIO()
    out.console = Console(file=said, width=width, highlight=False)
    return runs.run(parser.parse_args(words), out), said.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for title, state, message in (("a", "done", ""), ("b", "failed", "stage lost"), ("c", None, "")):
        with RunDirectory.create(tmp_path, title, REQUEST) as made:
            if state:
                made.finish(state, message)  # type: ignore[arg-type]
    return tmp_path


def test_runs_are_listed_newest_first(data: Path) -> None:
    code, said = call("--data", str(data), width=120)

    lines = [line.split() for line in said.splitlines() if "xray-B" in line]
    assert code == 0
    assert [line[0] for line in lines] == ["0003", "0002", "0001"]
    assert lines[2][3:9] == ["temperature", "sweep", "xray-B", "simulated", "0/8", "done"]
    assert "interrupted" in lines[0]
    assert "failed: stage lost" in said


def test_the_list_fits_into_80_columns(data: Path) -> None:
    said = call("--data", str(data))[1]

    assert max(len(line) for line in said.splitlines()) <= 80
    assert "xray-B" in said


@pytest.mark.parametrize(("folder", "word"), [("", "is empty"), ("none", "does not exist")])
def test_no_runs_is_said_kindly(tmp_path: Path, folder: str, word: str) -> None:
    code, said = call("--data", str(tmp_path / folder))

    assert code == 0
    assert "No runs yet" in said
    assert word in said
    assert "labctl sweep" in said


def test_json_is_one_object_on_standard_output(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = call("--data", str(data), "--last", "2", as_json=True)

    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == 0
    assert [entry["number"] for entry in found["runs"]] == [3, 2]
    assert found["total"] == 3
    assert Path(found["runs"][0]["path"]).is_dir()
    assert "1 older runs" in said


def test_the_catalogue_can_be_made_anew(data: Path) -> None:
    call("--data", str(data))
    (data / "catalogue.sqlite").write_bytes(b"\0" * 5000)

    assert call("--data", str(data), "--rebuild")[1].count("xray-B") == 3


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("", encoding="utf-8")

    with pytest.raises(InputError, match="this is a file"):
        call("--data", str(tmp_path / "x"))


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (31_400_000, "31.4 MB"), (10**15, "1000 TB")],
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert runs._size(size) == text
