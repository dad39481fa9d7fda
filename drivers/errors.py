"""Errors that an instrument can cause, each with a domain base and a builtin base.

Every error says which instrument, what happened, what the software did about it, and what the
person at the rig can do. ``except InstrumentError`` catches them all; ``except TimeoutError``
catches the time-outs of this package and of everybody else.
"""

from __future__ import annotations


class InstrumentError(Exception):
    """Something went wrong with one instrument.

    Args:
        instrument: Name of the instrument in the rig file, e.g. ``"cryostage"``.
        what: What happened, with the value or bytes concerned.
        done: What the software did about it (empty if nothing was done).
        advice: What the person can do.
    """

    def __init__(self, instrument: str, what: str, *, done: str = "", advice: str = "") -> None:
        self.instrument = instrument
        self.what = what
        self.done = done
        self.advice = advice
        super().__init__(instrument, what, done, advice)

    def __reduce__(self) -> tuple[object, ...]:
        """So that an error can be copied, and travel between processes."""
        return _again, (type(self), self.instrument, self.what, self.done, self.advice)

    def __str__(self) -> str:
        parts = [f"{self.instrument}: {self.what}"]
        parts += [part[0].upper() + part[1:] for part in (self.done, self.advice) if part]
        return ". ".join(part.rstrip(". ") for part in parts) + "."


def _again(
    kind: type[InstrumentError], instrument: str, what: str, done: str, advice: str
) -> InstrumentError:
    return kind(instrument, what, done=done, advice=advice)


class InstrumentTimeoutError(InstrumentError, TimeoutError):
    """The instrument did not answer, or did not get there, before the deadline."""


class InstrumentConnectionError(InstrumentError, ConnectionError):
    """The line to the instrument could not be opened, or was lost."""


class ProtocolError(InstrumentError, ValueError):
    """The instrument answered with something its protocol does not allow."""


class LimitError(InstrumentError, ValueError):
    """A value outside what the instrument, or the rig file, allows was asked for."""


class InterlockError(InstrumentError, PermissionError):
    """A safety interlock forbids what was asked for."""


class FaultError(InstrumentError, RuntimeError):
    """The instrument reports a fault of its own."""


class InstrumentCancelledError(InstrumentError):
    """What was under way was broken off on request; the instrument was left safe."""


class MissingDriverError(InstrumentError, ImportError):
    """A vendor's library or module that the driver needs is not installed."""
