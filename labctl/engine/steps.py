"""The steps that plans are made of: bluesky's messages under the names that a physicist would use."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from bluesky.preprocessors import finalize_wrapper
from bluesky.utils import FailedStatus, Msg

Plan = Generator[Msg, Any, Any]


def begin_run(**metadata: Any) -> Plan:
    """Open the run; ``metadata`` goes into its start document."""
    yield Msg("open_run", **metadata)


def end_run() -> Plan:
    """Close the run."""
    yield Msg("close_run")


def configure(device: Any, **settings: Any) -> Plan:
    """Give a device its settings, before the run is begun.

    Not within a run: bluesky 1.15 looks the device up in the cache of the stream read last, and fails with a
    KeyError when that stream does not hold it. What changes within a run is a value (``tell``).
    """
    yield Msg("configure", device, settings)


def move(device: Any, value: Any) -> Plan:
    """Move a device and wait until it is there. A pause goes back to the step before."""
    yield Msg("checkpoint")
    yield Msg("set", device, value, group="move")
    yield Msg("wait", None, group="move")


def try_to_move(device: Any, value: Any) -> Plan:
    """Move a device; gives False, and lets the plan go on, where it did not get there in time."""
    try:
        yield from move(device, value)
    except FailedStatus as failure:
        if isinstance(failure.__cause__, TimeoutError):
            return False
        raise
    return True


def tell(device: Any, value: Any) -> Plan:
    """Set a value that needs no waiting and no checkpoint."""
    yield Msg("set", device, value, group="tell")
    yield Msg("wait", None, group="tell")


def hold(device: Any) -> Plan:
    """Ask a device to hold where it is (its ``stop``)."""
    yield Msg("stop", device)


def frame(stream: str, trigger: Sequence[Any], also_read: Sequence[Any] = ()) -> Plan:
    """One frame: trigger ``trigger`` in turn, then one event with them and ``also_read`` in it.

    Devices are triggered one after the other, so a stage or tube reading belongs to its frame.
    """
    yield Msg("checkpoint")
    for device in trigger:
        yield Msg("trigger", device, group="frame")
        yield Msg("wait", None, group="frame")
    yield Msg("create", None, name=stream)
    for device in (*trigger, *also_read):
        yield Msg("read", device)
    yield Msg("save")


def always_finally(plan: Plan, cleanup: Callable[[], Plan]) -> Plan:
    """Run ``plan``; whatever ends it, run ``cleanup()`` as well."""
    return (yield from finalize_wrapper(plan, cleanup))
