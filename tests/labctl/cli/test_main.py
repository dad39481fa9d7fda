"""Exit codes and words of the command line, whatever happens inside a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl import __version__
from labctl.cli import main as main_module
from labctl.cli import runs


def test_an_unforeseen_error_is_one_object_with_a_file_to_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(args: object, out: object) -> int:
        raise RuntimeError("never seen before")

    monkeypatch.setattr(runs, "run", broken)
    assert main_module.main(["runs", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert "never seen before" in error
    report = Path(error.split("report it with ")[1].split(". What")[0])
    assert "Traceback" in report.read_text(encoding="utf-8")
    report.unlink()


def test_what_libraries_print_does_not_reach_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def chatty(args: object, out: object) -> int:
        print("words of a library")  # noqa: T201
        return 0

    monkeypatch.setattr(runs, "run", chatty)
    assert main_module.main(["runs", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "words of a library" in captured.err


def test_ctrl_c_in_a_command_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(args: object, out: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "run", interrupted)
    assert main_module.main(["runs"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", main_module.COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main_module.main([command, "--help"])
    assert ended.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_the_version_is_one_object_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main_module.main(["--json", "--version"]) == main_module.main(["--version", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [{"version": __version__}] * 2
    assert main_module.main(["--version"]) == 0
    assert capsys.readouterr().out == f"labctl {__version__}\n"
