"""Whether a run is going on, ended, or was cut short by a dead process.

The owner of a run holds a lock on ``running.lock`` for as long as its process lives. The operating
system gives the lock back when the process ends, however it ends; so a run whose file still says
"running" but whose lock is free was interrupted. No heartbeat, no process numbers.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast, get_args

from labctl.store import strict_json

StateName = Literal["running", "done", "stopped", "failed", "interrupted"]
STATE_FILE = "state.json"
LOCK_FILE = "running.lock"
LOCK_PATIENCE_S = 2.0


@dataclass(frozen=True)
class RunState:
    """State of a run.

    Attributes:
        name: ``"running"``; ``"done"``, ``"stopped"`` (by the user), ``"failed"``; or
            ``"interrupted"`` when the process died without a word.
        message: Why, for people; may be empty.
        since_epoch_s: When it was written, seconds since 1970-01-01 UTC (0 when unknown).
    """

    name: StateName
    message: str = ""
    since_epoch_s: float = 0.0


class RunLock:
    """The owner's lock on a run, released by the operating system when the process ends.

    Args:
        folder: The run directory.

    Raises:
        BlockingIOError: Another process owns the run.
    """

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] | None = (folder / LOCK_FILE).open("ab")
        deadline_s = time.monotonic() + LOCK_PATIENCE_S
        # A reader that looks holds the lock for an instant.
        while not _try_lock(self._file, shared=False):
            if time.monotonic() > deadline_s:
                self._file.close()
                raise BlockingIOError(f"{folder} is being written by another process")
            time.sleep(0.01)

    def release(self) -> None:
        """Give the run free. May be called twice."""
        if self._file is not None:
            _unlock(self._file)
            self._file.close()
            self._file = None


def write_state(folder: Path, name: StateName, message: str = "") -> None:
    """Write the state file in one step.

    Raises:
        OSError: It cannot be written.
    """
    fields = {"state": name, "message": message, "since_epoch_s": time.time(), "process": os.getpid()}
    strict_json.write(folder / STATE_FILE, fields)


def read_state(folder: Path) -> RunState:
    """The state of a run, from its file and from whether its owner lives."""
    try:
        fields = strict_json.read(folder / STATE_FILE)
        name, message, since_s = fields["state"], str(fields["message"]), float(fields["since_epoch_s"])
    except (OSError, ValueError, KeyError, TypeError):
        name, message, since_s = "running", "", 0.0
    if name not in get_args(StateName):
        return RunState("interrupted", f"unknown state {name!r} in {STATE_FILE}", since_s)
    if name == "running" and not is_owned(folder):
        return RunState("interrupted", "the process that ran it ended without a word", since_s)
    return RunState(cast(StateName, name), message, since_s)


def is_owned(folder: Path) -> bool:
    """Whether a living process owns the run."""
    path = folder / LOCK_FILE
    try:
        # Windows locks through a handle that may write; elsewhere a reader needs no such right.
        with path.open("r+b" if os.name == "nt" else "rb") as file:
            if not _try_lock(file, shared=True):
                return True
            _unlock(file)
    except OSError:
        return False
    return False


# Twins: shared and exclusive locks of whole files on POSIX; on Windows the first byte, exclusive only.
if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes], *, shared: bool) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[bytes], *, shared: bool) -> bool:
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
