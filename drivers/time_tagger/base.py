"""What a time tagger does for a measurement. Times in integer picoseconds."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.base import Instrument, Status


@dataclass(frozen=True)
class Gap:
    """An interval in which the record has holes (overflow of a buffer or of the transfer).

    Attributes:
        begin_ps: Start of the interval.
        end_ps: End of the interval.
        missed: Number of events known to be lost in it, by channel number.
    """

    begin_ps: int
    end_ps: int
    missed: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TagChunk:
    """Time tags of one stretch of the record; consecutive chunks join without overlap.

    Attributes:
        timestamps_ps: int64 of shape (n,), not decreasing.
        channels: int32 of shape (n,), the vendor's channel numbers (negative: falling edge).
        begin_ps: Start of the stretch (inclusive).
        end_ps: End of the stretch (exclusive); every tag lies in ``[begin_ps, end_ps)``.
        gaps: Stretches within it where events were lost.
    """

    timestamps_ps: NDArray[np.int64]
    channels: NDArray[np.int32]
    begin_ps: int
    end_ps: int
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True)
class TimeTaggerStatus(Status):
    """State of the tagger.

    Attributes:
        overflows: Overflows counted since the last clear.
        rates_Hz: Count rate by channel number over the last short interval.
    """

    overflows: int
    rates_Hz: dict[int, float]


class TimeTagger(Instrument):
    """A box that stamps detector pulses with picosecond times."""

    @property
    @abstractmethod
    def channels(self) -> dict[str, int]:
        """Name of each detector in the rig file -> vendor's channel number (sign: edge)."""

    @abstractmethod
    def status(self) -> TimeTaggerStatus:
        """Ask the tagger for its overflow counter and count rates."""

    @abstractmethod
    def stream(
        self,
        channels: Sequence[int],
        duration_s: float,
        *,
        cancel: threading.Event | None = None,
    ) -> Iterator[TagChunk]:
        """Record tags for ``duration_s`` of the tagger's own time; yield them as they arrive.

        The stretches of the chunks add up to exactly ``duration_s``. Closing the iterator, or
        setting ``cancel``, stops the record early.

        Raises:
            InstrumentConnectionError: The tagger is gone.
            InstrumentTimeoutError: No data and no time stamp came for the read deadline.
        """
