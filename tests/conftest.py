"""Every test leaves nothing running behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

# Threads that libraries keep for the life of the process.
KEPT_BY_LIBRARIES = ("pydev", "execnet", "ThreadPoolExecutor-numba", "tqdm", "asyncio_")


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread running."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5.0
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
