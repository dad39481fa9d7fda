"""Standard output that is full, closed or no longer read ends no command."""

from __future__ import annotations

import argparse
import errno
import io
import sys

import pytest

from labctl.cli import main as main_module
from labctl.cli import runs
from labctl.cli.output import Output, open_missing_streams


class _Failing(io.StringIO):
    """Takes ``room`` writes, then fails as the system does."""

    def __init__(self, number: int, room: int = 0) -> None:
        super().__init__()
        self.number, self.room = number, room

    def write(self, text: str) -> int:
        if self.room == 0:
            raise OSError(self.number, "the system's words")
        self.room -= 1
        return super().write(text)


def _talk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let `labctl runs` print and count its steps; they are given back."""
    done: list[str] = []

    def command(args: argparse.Namespace, out: Output) -> int:
        for step in ("first", "second", "third"):
            out.say(step)
            print("a library")  # noqa: T201
            done.append(step)
        out.result({"steps": len(done)})
        return 0

    monkeypatch.setattr(runs, "run", command)
    return done


def test_a_reader_that_leaves_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = _talk(monkeypatch)
    reader = _Failing(errno.EPIPE, room=1)
    monkeypatch.setattr(sys, "stdout", reader)
    assert main_module.main(["runs"]) == 0
    assert done == ["first", "second", "third"]
    assert reader.getvalue() == "first\n"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("words", [["runs"], ["runs", "--json"]])
def test_a_full_disk_is_told_at_the_end(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = _talk(monkeypatch)
    monkeypatch.setattr(sys, "stdout", _Failing(errno.ENOSPC))
    assert main_module.main(words) == 1
    assert len(done) == 3
    assert "labctl: standard output could not be written: the system's words" in capsys.readouterr().err


def test_a_broken_pipe_of_an_instrument_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(args: argparse.Namespace, out: Output) -> int:
        raise BrokenPipeError(errno.EPIPE, "the beam's line broke")

    monkeypatch.setattr(runs, "run", command)
    assert main_module.main(["runs"]) == 1
    assert "the beam's line broke" in capsys.readouterr().err


def test_letters_that_the_terminal_lacks_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    Output(as_json=False).say("80 K ± 1")
    assert raw.getvalue().splitlines() == [b"80 K ? 1"]


def test_streams_that_the_caller_closed_are_opened_on_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    open_missing_streams()
    with sys.stdout, sys.stderr:
        assert main_module.main(["--version"]) == 0
        assert main_module.main(["nonsense", "--json"]) == 2
