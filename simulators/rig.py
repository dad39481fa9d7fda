"""The simulated rig as its client sees it: a process of its own that ends with its parent."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self

from simulators.link import SimulatedClock, WorldLink

READY_S = 60.0
END_S = 5.0


class SimulatedRigError(RuntimeError):
    """The simulated rig did not start; the message says why."""


class SimulatedRig:
    """Starts ``python -m simulators`` and holds its addresses, link and clock until ``close``.

    The process holds the tube and the stage: it outlives an error in this one, but not its end, even a
    kill: its standard input closes then.

    Args:
        rig: Rig file.
        speed: Virtual seconds per second at most; None: as fast as it computes. The clock is stepped.
        changes: Values for ``seed``, ``sample``, ``excitation`` instead of the rig file's.
        ready_s: Wall-clock deadline of the start.

    Raises:
        SimulatedRigError: It did not start, for example because a port is taken.
    """

    def __init__(
        self,
        rig: Path,
        *,
        speed: float | None = None,
        changes: Mapping[str, str | int] | None = None,
        ready_s: float = READY_S,
    ) -> None:
        self._process = _start(rig, changes or {})
        try:
            self.addresses = _ready(self._process, ready_s)
            host, port = self.addresses["control"].rsplit(":", 1)
            self.link = WorldLink(host, int(port))
        except BaseException:
            _end(self._process)
            raise
        self.clock = SimulatedClock(self.link, speed)

    @property
    def process_id(self) -> int:
        """Id of the process that plays the instruments."""
        return self._process.pid

    def close(self) -> None:
        """End the process and wait for it. May be called twice."""
        self.link.close()
        _end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _start(rig: Path, changes: Mapping[str, str | int]) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "simulators",
        str(rig.resolve()),
        "--stepped",
        "--ready-json",
        "--parent",
        *(f"--{key}={value}" for key, value in changes.items()),
    ]
    root = Path(__file__).resolve().parents[1]
    # A session (group) of its own: Ctrl-C at the terminal must reach this process only, so that the
    # instruments still answer while the rig is made safe.
    return subprocess.Popen(
        command,
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=sys.platform != "win32",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def _ready(process: subprocess.Popen[str], deadline_s: float) -> dict[str, str]:
    lines: list[str] = []
    reader = threading.Thread(target=_first_line, args=(process.stdout, lines), name="simulated rig start")
    reader.start()
    reader.join(deadline_s)
    if reader.is_alive():
        process.kill()  # ends the reader's wait, too
        reader.join()
        raise SimulatedRigError(f"the simulated rig did not start within {deadline_s:g} s")
    if not lines or not lines[0]:
        process.wait(END_S)
        words = process.stderr.read().strip() if process.stderr is not None else ""
        raise SimulatedRigError(words.splitlines()[-1] if words else "the simulated rig ended at its start")
    addresses: dict[str, str] = json.loads(lines[0])
    return addresses


def _first_line(stream: IO[str] | None, lines: list[str]) -> None:
    if stream is not None:
        lines.append(stream.readline())


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END_S)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
