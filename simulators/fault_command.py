"""``python -m simulators fault ...``: spoil a running simulated rig, live, from a command line."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from simulators.faults import FAULTS
from simulators.link import LinkError, WorldLink
from simulators.settings import load_simulation

EXIT_WRONG_INPUT = 2
EXIT_FAILED = 1


def main(words: list[str]) -> int:
    """Run the command line; returns the exit code."""
    arguments = _parser().parse_args(words)
    if arguments.action == "names":
        sys.stdout.writelines(f"{name:28s} {text}\n" for name, text in sorted(FAULTS.items()))
        return 0
    try:
        host, port = _control(arguments)
    except ValueError as error:
        return _complain(str(error), EXIT_WRONG_INPUT)
    try:
        link = WorldLink(host, port, timeout_s=5.0)
    except (LinkError, OverflowError) as error:
        return _complain(str(error), EXIT_FAILED)
    try:
        return _act(link, arguments)
    except ValueError as error:
        return _complain(str(error), EXIT_WRONG_INPUT)
    except LinkError as error:
        return _complain(str(error), EXIT_FAILED)
    finally:
        link.close()


def _control(arguments: argparse.Namespace) -> tuple[str, int]:
    """Host and port of the rig's control port, from the option or from the rig file."""
    if arguments.rig is not None:
        port = load_simulation(arguments.rig).control_port
        if port == 0:
            raise ValueError(
                f"{arguments.rig}: control_port in [simulation] is 0 (a free port each time); set one there,"
                " or give the port that the rig printed as --control"
            )
        return "127.0.0.1", port
    host, _, number = arguments.control.rpartition(":")
    if not number.isdigit():
        raise ValueError(f"--control {arguments.control}: host:port is expected")
    return host or "127.0.0.1", int(number)


def _act(link: WorldLink, arguments: argparse.Namespace) -> int:
    if arguments.action == "set":
        link.faults.set(arguments.name, duration_s=arguments.duration_s, count=arguments.count)
    elif arguments.action == "clear":
        link.faults.clear(arguments.name)
    state = link.faults.state()
    if arguments.json:
        sys.stdout.write(json.dumps(state) + "\n")
    else:
        sys.stdout.writelines(_line(entry) for entry in state)
        if not state:
            sys.stdout.write("no faults\n")
    return 0


def _line(entry: dict[str, Any]) -> str:
    if entry["active"]:
        end = "until cleared" if entry["until_s"] is None else f"until {entry['until_s']:.1f} s"
    else:
        end = f"from {entry['at_s']:.1f} s"
    count = "" if entry["count"] is None else f", {entry['count']} answers"
    return f"{entry['name']:28s} {end}{count}\n"


def _complain(text: str, code: int) -> int:
    sys.stderr.write(f"{text}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulators fault", description="Spoil a running simulated rig."
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("names", help="list the faults there are")
    talking = {
        "set": "let a fault begin now",
        "clear": "end one fault, or all",
        "list": "list the faults that hold and that are to come",
    }
    for action, words in talking.items():
        sub = actions.add_parser(action, help=words)
        where = sub.add_mutually_exclusive_group(required=True)
        where.add_argument("--control", metavar="HOST:PORT", help="the rig's control port")
        where.add_argument("--rig", type=Path, metavar="RIG.toml", help="rig file that sets control_port")
        sub.add_argument("--json", action="store_true", help="print one JSON list")
        if action == "set":
            sub.add_argument("name", help="name of the fault (see: names)")
            sub.add_argument("--duration-s", type=float, help="virtual time after which it ends")
            sub.add_argument("--count", type=int, help="number of answers after which it ends")
        elif action == "clear":
            sub.add_argument("name", nargs="?", help="name of the fault; none: all")
    return parser
