"""``labctl check RIG.toml``: is every instrument of the rig there and well? Switches nothing."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.rig.check import InstrumentReport
    from labctl.rig.rig import Rig

NAME = "check"
HELP = "connect to each instrument of a rig file and say what is there, its state, and what is missing"

SHOWN_MESSAGES = 12
_QUIET = ("connected", "read_at_s", "faults", "state", "warnings")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("rig", type=Path, nargs="?", metavar="RIG.toml", help="the rig file")
    parser.add_argument("--traffic", action="store_true", help="show the last messages of each line")
    parser.add_argument(
        "--save-traffic", type=Path, metavar="DIR", help="write all messages kept, a file for each instrument"
    )
    parser.add_argument(
        "--simulate", action="store_true", help="check the simulated rig (default file: the simulated rig's)"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the command: 0 if all is well, 1 if something is missing or wrong."""
    import simulators
    from drivers.clock import SystemClock
    from labctl.config import load_rig
    from labctl.rig.check import check_rig, left_as_found
    from labctl.rig.simulation import Simulation, open_hardware

    if args.rig is None and not args.simulate:
        raise InputError("name the rig file: labctl check RIG.toml, or add --simulate")
    config = left_as_found(load_rig(args.rig or Path(simulators.__file__).with_name("rig.toml")))
    reports: list[InstrumentReport] = []
    with ExitStack() as stack:
        if args.simulate:
            sample = str((config.simulation or {}).get("sample", "xray-A"))
            rig = stack.enter_context(Simulation(config, sample=sample, seed=None, speed=0.0))
        else:
            rig = open_hardware(config, clock=SystemClock())
        stack.callback(rig.close)
        for report in check_rig(rig):
            reports.append(report)
            _say(report, out)
        if args.traffic:
            _show_traffic(rig, out)
        if args.save_traffic is not None:
            for path in rig.save_traffic(args.save_traffic):
                out.say(f"Traffic: {path}")
    ill = [report.kind for report in reports if not report.well]
    out.say("All instruments are there and well." if not ill else f"Not well: {', '.join(ill)}.")
    out.result({"well": not ill, "instruments": [report.as_fields() for report in reports]})
    return 1 if ill else 0


def _show_traffic(rig: Rig, out: Output) -> None:
    for kind, log in rig.traffic().items():
        out.say(f"Last messages of {kind}:")
        for entry in log.entries(last=SHOWN_MESSAGES):
            out.say(f"  {entry}")


def _say(report: InstrumentReport, out: Output) -> None:
    from labctl.rig.check import in_words

    mark = "ok" if report.well else "NOT WELL"
    out.say(f"{report.kind} ({report.driver}): {mark}")
    if report.identity is not None:
        who = report.identity
        parts = [who.make, who.model, f"no. {who.serial_number}" if who.serial_number else "", who.firmware]
        out.say("  " + ", ".join(part for part in parts if part))
        out.say(f"  state: {report.status.get('state', 'unknown')}")
    for name, value in report.status.items():
        if name not in _QUIET and value is not None:
            out.say(f"  {name}: {in_words(value)}")
    for name, value in report.limits.items():
        out.say(f"  limit {name}: {in_words(value)}")
    for finding in report.findings:
        out.say(f"  ! {finding}")
    if report.hint:
        out.say(f"  > {report.hint}")
