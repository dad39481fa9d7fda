"""Growing pauses between the tries to open a lost line."""

from __future__ import annotations

from drivers.clock import Clock
from drivers.errors import InstrumentConnectionError


class RetryPause:
    """How long to leave a dead line alone: the pause doubles with each failure. Not thread-safe.

    Args:
        instrument: Name of the instrument, for messages.
        clock: The clock of the experiment.
        first_s: Pause after the first failure.
        longest_s: Longest pause.
    """

    def __init__(
        self, instrument: str, clock: Clock, *, first_s: float = 1.0, longest_s: float = 60.0
    ) -> None:
        self._instrument = instrument
        self._clock = clock
        self._first_s = first_s
        self._longest_s = longest_s
        self._pause_s = first_s
        self._next_try_s = float("-inf")

    def check(self) -> None:
        """Raise ``InstrumentConnectionError`` while it is too early for another try."""
        left_s = self._next_try_s - self._clock.now()
        if left_s > 0:
            raise InstrumentConnectionError(
                self._instrument, "the connection is lost", done=f"It is tried again in {left_s:.0f} s"
            )

    def failed(self) -> None:
        """A try failed: the next one waits longer."""
        self._next_try_s = self._clock.now() + self._pause_s
        self._pause_s = min(2.0 * self._pause_s, self._longest_s)

    def succeeded(self) -> None:
        """The line is open again."""
        self._next_try_s = float("-inf")
        self._pause_s = self._first_s
