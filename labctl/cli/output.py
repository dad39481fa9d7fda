"""What a command prints: lines for people, or one JSON object for programs."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console


class Output:
    """Where a command's words go.

    With ``--json`` standard output carries exactly one JSON object; everything meant for people goes
    to standard error.

    Args:
        as_json: The command was called with ``--json``.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._stdout = sys.stdout
        self.console = Console(file=sys.stderr if as_json else sys.stdout, highlight=False)

    def say(self, text: str) -> None:
        """Print one line for the person (``[`` and ``]`` are printed as they are)."""
        self.console.print(text, markup=False, soft_wrap=True)

    def result(self, fields: dict[str, Any]) -> None:
        """Give the command's result; printed only with ``--json``, as one object on one line."""
        if self.as_json:
            self._stdout.write(json.dumps(fields, allow_nan=False) + "\n")
            self._stdout.flush()
