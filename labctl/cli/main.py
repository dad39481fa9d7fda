"""The command line: finds the command, runs it, turns its end into words and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TextIO, cast

from labctl import __version__
from labctl.cli.output import Output, open_missing_streams
from labctl.errors import InputError

COMMANDS = ("sweep", "run", "runs", "fit", "correlate", "tags", "edinburgh", "check", "devices", "emission")

DONE, FAILED, WRONG_INPUT, STOPPED = 0, 1, 2, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        if "expected one argument" in message:
            message += " (a value that begins with - wants an =, as in --channels=-1,-2)"
        raise InputError(f"{message}\n{self.format_usage().strip()}")


class _VersionAsked(Exception):
    """No error: ``--version`` ends the parsing."""


class _Version(argparse.Action):
    """argparse's own prints plain text, whatever ``--json`` asks for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, *_: object) -> None:
        raise _VersionAsked


def build_parser() -> tuple[_Parser, dict[str, ModuleType]]:
    """The parser, and the module behind each command."""
    common = _Parser(add_help=False)
    common.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print one JSON object on standard output, and nothing else there",
    )
    parser = _Parser(
        prog="labctl", description="Runs the X-ray scintillation rig and its data.", parents=[common]
    )
    parser.add_argument("--version", action=_Version, help="print the version")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser, dest="command")
    modules = {}
    for name in COMMANDS:
        module = import_module(f"labctl.cli.{name}")
        sub = commands.add_parser(module.NAME, help=module.HELP, description=module.HELP, parents=[common])
        module.add_arguments(sub)
        modules[module.NAME] = module
    return parser, modules


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns:
        0 done, 1 failed (rig left safe), 2 wrong input, 130 stopped by the user (rig left safe).
    """
    out = Output(as_json="--json" in arguments)
    # Libraries print where they should not; with --json standard output belongs to the one object.
    words = cast("TextIO", out.stderr if out.as_json else out.stdout)
    try:
        with contextlib.redirect_stdout(words):
            code = _guarded(arguments, out)
    finally:
        # argparse ends the program itself after --help.
        out.stdout.flush()
        out.stderr.flush()
    if out.lost:
        out.complain(out.lost)
        return code or FAILED
    return code


def _guarded(arguments: Sequence[str], out: Output) -> int:
    try:
        return _run(arguments, out)
    except InputError as error:
        return _fail(out, WRONG_INPUT, str(error))
    except KeyboardInterrupt:
        return _fail(out, STOPPED, "stopped with Ctrl-C")
    except OSError as error:
        return _fail(out, FAILED, str(error))
    except Exception as error:
        return _fail(out, FAILED, _defect(error))


def _run(arguments: Sequence[str], out: Output) -> int:
    parser, modules = build_parser()
    try:
        parsed = parser.parse_args(arguments)
    except _VersionAsked:
        if not out.as_json:
            out.say(f"labctl {__version__}")
        out.result({"version": __version__})
        return DONE
    return int(modules[parsed.command].run(parsed, out))


def _defect(error: Exception) -> str:
    """Words for an error that nobody foresaw; its traceback goes into a file."""
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix="labctl-defect-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    return (
        f"this is a defect of labctl ({type(error).__name__}: {error}).\n"
        f"Please report it with {file.name}. What was measured is kept."
    )


def _fail(out: Output, code: int, message: str) -> int:
    if out.as_json:
        out.result({"error": message, "exit_code": code})
    else:
        out.complain(message)
    return code


def entry() -> None:
    """The installed command ``labctl``."""
    open_missing_streams()
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = STOPPED
    sys.exit(code)
