"""Every test leaves nothing running behind; ports of one's own; waiting for what a thread or process does."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

# Threads that libraries keep for the life of the process.
KEPT_BY_LIBRARIES = ("pydev", "execnet", "ThreadPoolExecutor-numba", "tqdm", "asyncio_")
# A guard against hanging: what is waited for takes milliseconds, on a machine that does nothing else.
GUARD_S = 60.0


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread running."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + GUARD_S
    while time.monotonic() < deadline:
        left = [
            thread
            for thread in threading.enumerate()
            if thread not in before and thread.is_alive() and not thread.name.startswith(KEPT_BY_LIBRARIES)
        ]
        if not left:
            return
        time.sleep(0.02)
    pytest.fail(f"threads left behind: {[thread.name for thread in left]}")


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait until a condition holds, however long this machine takes."""

    def wait(condition: Callable[[], object], what: str = "") -> None:
        deadline = time.monotonic() + GUARD_S
        while not condition():
            assert time.monotonic() < deadline, what or "what was waited for did not come"
            time.sleep(0.002)

    return wait


@pytest.fixture
def reserve_port() -> Iterator[Callable[[], int]]:
    """Ports of 127.0.0.1 that the system gives to nobody else, whether a server listens there or not."""
    held = []

    def reserve() -> int:
        holding = socket.socket()
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holding.bind(("127.0.0.1", 0))
        port: int = holding.getsockname()[1]
        if sys.platform == "linux":
            held.append(holding)
        else:
            # Elsewhere a socket that only holds a port keeps the server from it, too.
            holding.close()
        return port

    yield reserve
    for holding in held:
        holding.close()
