"""Who made a record: versions of the software, state of the code, the computer."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

GIT_TIMEOUT_S = 5.0


def packages() -> dict[str, str]:
    """Version of every installed package, by name."""
    found = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # a half-removed package has none
            found[name] = distribution.version
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def computer() -> dict[str, Any]:
    """Operating system, processor and Python of this computer."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "host": platform.node(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
    }


def code_state(folder: Path | None = None) -> dict[str, Any] | None:
    """Commit of the code that runs and the files that differ from it; None where there is no git.

    Args:
        folder: Inside the repository; the default is where this program's code lies.
    """
    folder = folder or Path(__file__).resolve().parent
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return None
    return {
        "commit": commit.strip(),
        "branch": (_git(folder, "rev-parse", "--abbrev-ref", "HEAD") or "").strip(),
        "changed_files": [line[3:] for line in changes.splitlines()],
    }


def _git(folder: Path, *words: str) -> str | None:
    # Never waits for a lock or a password, never writes to the repository.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", errors="replace") if done.returncode == 0 else None
