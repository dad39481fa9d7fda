"""``labctl devices``: what is attached to this computer, for the rig file's addresses."""

from __future__ import annotations

import argparse

from labctl.cli.output import Output

NAME = "devices"
HELP = "list serial ports, VISA resources, Andor devices and Time Taggers of this computer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command: none."""


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the command; looking always succeeds, finding nothing is an answer."""
    from labctl.rig.discovery import LOOKS, look_for

    result = {}
    for bus, look in LOOKS.items():
        found = look_for(bus, look)
        out.say(f"{bus}: {'none' if not found.devices else ''}".rstrip())
        for line in found.devices:
            out.say(f"  {line}")
        if found.problem:
            out.say(f"  ! {found.problem}")
        result[bus] = {"devices": list(found.devices), "problem": found.problem}
    out.result(result)
    return 0
