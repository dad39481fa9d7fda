"""``labctl sweep``: the temperature sweep on the simulated rig."""

from __future__ import annotations

import argparse
from pathlib import Path

from labctl.cli import run as run_command
from labctl.cli.output import Output

NAME = "sweep"
HELP = "run the temperature sweep on the simulated rig (run sequences/temperature_sweep.toml --simulate)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    run_command.add_common_arguments(parser)


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the command."""
    import sequences

    file = Path(sequences.__file__).with_name("temperature_sweep.toml")
    return run_command.execute(file, None, args, out, simulate=True)
