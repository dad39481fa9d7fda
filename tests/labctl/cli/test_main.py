"""Exit codes and words of the command line, whatever happens inside a command."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl import __version__
from labctl.cli import main as main_module
from labctl.cli import runs
from labctl.errors import InputError


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


def _number_options(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Words up to and with each option that takes a number (what its type makes of 1 is one)."""
    own = tuple("any" for action in parser._actions if not action.option_strings and action.nargs is None)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from _number_options(below, (*words, name))
        elif action.option_strings and callable(action.type) and isinstance(action.type("1"), int | float):
            yield (*words, *own, action.option_strings[0])


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e300", "two", "9" * 400])
def test_no_option_takes_what_is_no_finite_number(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser, _ = main_module.build_parser()
    options = list(_number_options(parser, ()))
    assert len(options) > 30
    for *before, option in options:
        words = [*before, f"{option}={number}"]
        try:
            parser.parse_args(words)
        except InputError as error:
            assert option in str(error).splitlines()[0] and number in str(error)
        else:
            # Some commands look at their numbers themselves.
            assert main_module.main(words) == 2, words
            assert option in capsys.readouterr().err or option == "--temperature"


@pytest.mark.parametrize(
    ("words", "least"),
    [
        (("runs", "--last=0"), "whole number from 1"),
        (("sweep", "--seed=-1"), "whole number from 0"),
        (("sweep", "--speed=-0.5"), "number from 0"),
        (("tags", "decay", "any.ptu", "--bin-ps=0"), "whole number from 1"),
        (("tags", "response", "any.ptu", "--pulse-fwhm-ps=-1"), "number from 0"),
        (("correlate", "any.ptu", "--point=-1"), "whole number from 0"),
    ],
)
def test_a_number_too_small_is_told_with_the_least(
    words: tuple[str, ...], least: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main_module.main(words) == 2
    assert f"a {least} is expected" in capsys.readouterr().err


def test_the_version_is_one_object_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main_module.main(["--json", "--version"]) == main_module.main(["--version", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [{"version": __version__}] * 2
    assert main_module.main(["--version"]) == 0
    assert capsys.readouterr().out == f"labctl {__version__}\n"
