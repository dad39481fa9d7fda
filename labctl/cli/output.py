"""What a command prints: lines for people, or one JSON object for programs."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any, TextIO, cast

from rich.console import Console


class KeptGoing:
    """A text stream whose failure ends nothing: a run does not stop because nobody reads its words.

    Write errors (the reader of a pipe has gone, the disk is full) are kept in ``error``; what is printed
    after the first is dropped. Everything else is the stream's own.

    Args:
        stream: Standard output or standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write, or drop what can no longer be written."""
        if self.error is None:
            try:
                self._put(text)
            except OSError as error:
                self._lose(error)
        return len(text)

    def _put(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self._stream.write(text.encode(encoding, "replace").decode(encoding))

    def flush(self) -> None:
        """Flush, or note that it cannot be done."""
        if self.error is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.error = error
        if self._stream in (sys.__stdout__, sys.__stderr__):
            # What its buffer still holds would fail again, at the latest when the interpreter ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Output:
    """Where a command's words go.

    With ``--json`` standard output carries exactly one JSON object; everything meant for people goes
    to standard error.

    Args:
        as_json: The command was called with ``--json``.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.stdout = KeptGoing(sys.stdout)
        self.stderr = KeptGoing(sys.stderr)
        words = self.stderr if as_json else self.stdout
        self.console = Console(file=cast("TextIO", words), highlight=False)

    @property
    def lost(self) -> str:
        """Why standard output is not whole; empty where it is, or where its reader wanted no more."""
        error = self.stdout.error
        if error is None or isinstance(error, BrokenPipeError):
            return ""
        return f"standard output could not be written: {error.strerror or error}"

    def say(self, text: str) -> None:
        """Print one line for the person (``[`` and ``]`` are printed as they are)."""
        self.console.print(text, markup=False, soft_wrap=True)

    def complain(self, text: str) -> None:
        """Print an error, on standard error."""
        for line in text.splitlines():
            self.stderr.write(f"labctl: {line}\n")
        self.stderr.flush()

    def result(self, fields: dict[str, Any]) -> None:
        """Give the command's result; printed only with ``--json``, as one object on one line."""
        if self.as_json:
            self.stdout.write(json.dumps(fields, allow_nan=False) + "\n")
            self.stdout.flush()


def open_missing_streams() -> None:
    """Put nowhere in the place of standard streams that the caller has closed.

    The next files opened would else take their numbers, and receive what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given out first; those below are open.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            stream = io.open(os.devnull, mode, encoding="utf-8")  # noqa: UP020, SIM115
            setattr(sys, name, stream)
