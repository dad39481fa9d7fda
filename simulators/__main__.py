"""``python -m simulators RIG.toml``: the simulated rig by hand, for our drivers and for other programs."""

from __future__ import annotations

import argparse
import json
import os
import signal
import stat
import sys
import threading
from pathlib import Path

EXIT_WRONG_INPUT = 2
STANDARD_INPUT = 0
CHANGEABLE = ("seed", "sample", "excitation")


def main(words: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = sys.argv[1:] if words is None else words
    if words[:1] == ["fault"]:
        from simulators.fault_command import main as fault_main

        return fault_main(words[1:])
    arguments = _parser().parse_args(words)
    from simulators.listener import PortInUseError
    from simulators.server import serve
    from simulators.settings import load_simulation

    ended = threading.Event()
    if arguments.parent:
        # Ctrl-C at the parent's terminal is the parent's to handle: it must still reach the instruments.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGINT, lambda *_: ended.set())
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        changes = {key: getattr(arguments, key) for key in CHANGEABLE if getattr(arguments, key) is not None}
        settings = load_simulation(arguments.rig, changes)
        servers = serve(settings, speed=None if arguments.stepped else arguments.speed)
    except PortInUseError as error:
        return _complain(f"{error}; choose another port in [simulation], or 0 for a free one")
    except ValueError as error:
        return _complain(str(error))
    with servers:
        _announce(servers.addresses, as_json=arguments.ready_json)
        if arguments.parent or _has_reader(STANDARD_INPUT):
            threading.Thread(target=_watch_input, args=(ended,), name="input watch", daemon=True).start()
        while not ended.wait(0.5):  # a bare wait would hold back signals on Windows
            pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulators",
        description="Run the simulated rig of a rig file until Ctrl-C or the end of standard input.",
        epilog='Faults, live: "python -m simulators fault --help".',
    )
    parser.add_argument("rig", type=Path, help="rig file (TOML); its table [simulation] is used")
    clock = parser.add_mutually_exclusive_group()
    clock.add_argument("--stepped", action="store_true", help="time moves only when a client moves it")
    clock.add_argument("--speed", type=_speed, default=1.0, help="virtual seconds per second (default 1)")
    parser.add_argument("--seed", type=int, help="seed of all noise, instead of the rig file's")
    parser.add_argument("--sample", help="sample in the stage, instead of the rig file's")
    parser.add_argument("--excitation", choices=("xray", "uv"), help="what excites it")
    parser.add_argument("--ready-json", action="store_true", help="print the addresses as one JSON line only")
    parser.add_argument("--parent", action="store_true", help="end when standard input ends; ignore Ctrl-C")
    return parser


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed <= 1e5:
        raise argparse.ArgumentTypeError("a number above 0 and up to 100000 is expected")
    return speed


def _announce(addresses: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(addresses) + "\n")
    else:
        sys.stdout.writelines(f"{name:10s} {address}\n" for name, address in addresses.items())
        sys.stdout.write("Ctrl-C ends the simulated rig.\n")
    sys.stdout.flush()


def _complain(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return EXIT_WRONG_INPUT


def _has_reader(descriptor: int) -> bool:
    """Whether somebody holds the other end of standard input: a terminal or a pipe, not a file or nothing."""
    try:
        return os.isatty(descriptor) or stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _watch_input(ended: threading.Event) -> None:
    # os.read and not sys.stdin: a thread inside the latter's lock makes the interpreter's end fail.
    try:
        while os.read(STANDARD_INPUT, 4096):
            pass
    except OSError:
        pass
    ended.set()


if __name__ == "__main__":
    raise SystemExit(main())
