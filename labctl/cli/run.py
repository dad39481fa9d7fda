"""``labctl run SEQUENCE``: run a sequence file on a rig, real or simulated, and fit what it sees."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.numbers import finite_from_0, whole_from_0
from labctl.cli.output import Output
from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.config import RigConfig
    from labctl.engine.night import Outcome
    from labctl.engine.sequence_file import Sequence
    from labctl.rig.rig import Rig
    from labctl.rig.simulation import Simulation
    from labctl.store.run_directory import RunDirectory

NAME = "run"
HELP = "run a sequence file on the rig, or on the simulated rig"

# What a person does when a step to the safe state could not be confirmed.
BY_HAND = {
    "beam off": "Switch the tube off at its panel.",
    "stage held": "It may go on heating or cooling: stop it at its controller.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("sequence", type=Path, metavar="SEQUENCE.toml", help="what to do")
    parser.add_argument(
        "--rig",
        type=Path,
        metavar="RIG.toml",
        help="the rig file (default with --simulate: the simulated rig's)",
    )
    parser.add_argument(
        "--simulate", action="store_true", help="run on simulated instruments in simulated time"
    )
    add_common_arguments(parser)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that ``run`` and ``sweep`` share."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="where runs are kept (default: the rig file's)"
    )
    parser.add_argument(
        "--seed", type=whole_from_0, metavar="N", help="seed of the simulated noise (default: the rig file's)"
    )
    parser.add_argument(
        "--speed",
        type=finite_from_0,
        metavar="X",
        help="simulated seconds per second, at most; 0 for as fast as it computes (default: the rig file's)",
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the command."""
    if not args.simulate and args.rig is None:
        raise InputError("name the rig file with --rig RIG.toml, or add --simulate to run without hardware")
    if not args.simulate and (args.seed is not None or args.speed is not None):
        raise InputError("--seed and --speed go with --simulate")
    return execute(args.sequence, args.rig, args, out, simulate=args.simulate)


def execute(
    sequence_path: Path, rig_path: Path | None, args: argparse.Namespace, out: Output, *, simulate: bool
) -> int:
    """Read both files, open the rig, run, leave it safe; returns the exit code."""
    import simulators
    from drivers.clock import SystemClock
    from labctl.cli.interrupt import Interrupt
    from labctl.cli.operator_prompt import person_at_terminal
    from labctl.config import load_rig
    from labctl.engine.sequence_file import load_sequence
    from labctl.rig.simulation import open_hardware
    from labctl.rig.stop import StopFlag

    sequence = load_sequence(sequence_path)
    config = load_rig(rig_path or Path(simulators.__file__).with_name("rig.toml"))
    stop = StopFlag()
    # Opening is not broken off in the middle either: every call in it has a deadline, and an exception out of
    # nowhere inside a vendor library's callback would be lost there.
    with Interrupt(stop) as interrupt, interrupt.shielded(), ExitStack() as stack:
        simulation: Simulation | None = None
        if simulate:
            simulation = _simulation(config, sequence, args)
            rig = stack.enter_context(simulation)
        else:
            clock = SystemClock()
            rig = open_hardware(config, clock=clock, operator=person_at_terminal(clock, out))
        if not stop.requested:
            stack.enter_context(rig)
            sequence.check(rig)
        if stop.requested:
            raise KeyboardInterrupt
        return _night(sequence, config, rig, simulation, args, out, stop)


def _simulation(config: RigConfig, sequence: Sequence, args: argparse.Namespace) -> Simulation:
    from labctl.emission.population import find_sample
    from labctl.emission.sample import SampleError
    from labctl.rig.simulation import Simulation

    sample = sequence.parameters.sample.name
    try:
        find_sample(sample)
    except SampleError as problem:
        what = f"no simulated sample {sample!r}: {problem}"
        raise InputError(sequence.source.complaint(["sample", "name"], what)) from None
    speed = config.general.simulated_speed if args.speed is None else args.speed
    return Simulation(config, sample=sample, seed=args.seed, speed=speed)


def _night(
    sequence: Sequence,
    config: RigConfig,
    rig: Rig,
    simulation: Simulation | None,
    args: argparse.Namespace,
    out: Output,
    stop: Any,
) -> int:
    from labctl.cli.main import DONE, FAILED, STOPPED
    from labctl.cli.night_display import NightDisplay
    from labctl.engine.night import Night
    from labctl.store.run_directory import RunDirectory

    root = args.data if args.data is not None else Path(config.general.store.directory)
    title = f"{sequence.name} {sequence.parameters.sample.name}"
    run_directory = RunDirectory.create(root, title, _request(sequence, config, simulation))
    display = NightDisplay(out, rig.clock, simulated=simulation is not None)
    night = Night(
        rig,
        sequence,
        run_directory,
        stop=stop,
        on_point=display.point,
        on_temperature=display.temperature,
        truth=None if simulation is None else simulation.truth,
    )
    out.say(
        f"Run {run_directory.path.name}: {sequence.parameters.title}, "
        f"sample {sequence.parameters.sample.name}"
    )
    night.live.listeners.append(display.live)
    with display.following(night.progress):
        night.start()
        while night.running(wait_s=0.2) and not stop.requested:
            display.refresh()
        outcome = night.end()
    # The last messages of each line tell, afterwards, what an instrument really said.
    with suppress(OSError):
        rig.save_traffic(run_directory.path / "traffic")
    _finish(run_directory, outcome, display, out)
    return {"done": DONE, "stopped": STOPPED, "failed": FAILED}[outcome.state] if outcome.safe else FAILED


def _request(sequence: Sequence, config: RigConfig, simulation: Simulation | None) -> dict[str, Any]:
    """What was asked for, as it will be kept with the data."""
    return {
        "sequence": {
            "name": sequence.name,
            "file": str(sequence.source.path),
            "text": sequence.source.text,
            "values": sequence.parameters.model_dump(),
        },
        "rig": {
            "name": config.general.name,
            "file": str(config.source.path),
            "text": config.source.text,
            "values": config.source.data,
        },
        "sample": sequence.parameters.sample.model_dump(),
        "title": sequence.parameters.title,
        "planned_points": sequence.parameters.planned_points,
        "simulated": simulation is not None,
        "seed": None if simulation is None else simulation.seed,
    }


def _finish(run: RunDirectory, outcome: Outcome, display: Any, out: Output) -> None:
    """Figure, table, last words, state of the run directory."""
    from labctl.cli.trend_lines import trends
    from labctl.store.report import write_figure, write_report

    figure = None
    trend_fields: list[dict[str, Any]] = []
    if display.rows:
        run.write_master()
        figure = write_figure(run)
        out.console.print(display.table())
        laws, trend_fields = trends(display.fits)
        for line in laws:
            out.say(line)
    results = {"points": display.rows, "trends": trend_fields}
    run.write_result({"state": outcome.state, "message": outcome.message, **results})
    run.finish(outcome.state, outcome.message)
    if display.rows:
        write_report(run)
    if outcome.state == "stopped":
        out.say(f"Stopped: {outcome.message}.")
    elif outcome.state == "failed":
        out.say(f"Failed: {outcome.message}")
    for step in outcome.safety:
        if step.error:
            by_hand = BY_HAND.get(step.what, "")
            out.say(f"NOT SAFE: {step.what} could not be confirmed: {step.error} {by_hand}")
        elif not outcome.safe:
            out.say(f"Confirmed: {step.what}.")
    if outcome.safe:
        out.say("The beam is off and the stage is held.")
    out.say(f"Data: {run.path}")
    if figure is not None:
        out.say(f"Figure: {figure}")
    out.result(
        {
            "state": outcome.state,
            "message": outcome.message,
            "safe": outcome.safe,
            "run": str(run.path),
            "figure": None if figure is None else str(figure),
            **results,
            "wall_s": round(display.wall_s, 3),
            "experiment_s": round(display.experiment_s, 3),
        }
    )
