"""Ctrl-C sets the flag always and breaks off only what may be broken off."""

from __future__ import annotations

import signal

import pytest

from labctl.cli.interrupt import Interrupt
from labctl.rig.stop import StopFlag


def test_unshielded_it_raises_and_says_why() -> None:
    stop = StopFlag()
    with Interrupt(stop), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert stop.requested
    assert stop.reason == "Ctrl-C"


def test_shielded_it_only_sets_the_flag_however_often_it_comes() -> None:
    stop = StopFlag()
    with Interrupt(stop) as interrupt, interrupt.shielded():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert stop.requested
    assert stop.reason == "Ctrl-C"


def test_the_handlers_from_before_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupt(StopFlag()):
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) is before
