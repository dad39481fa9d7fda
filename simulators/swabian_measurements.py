"""Measurements of the simulated time tagger with the vendor's names and signatures.

They start when they are made, and run until ``stop``, the end of ``startFor``, or until the tagger is freed.
Times are int64 ps of the tagger's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from simulators.swabian_box import TaggerBox
from simulators.swabian_link import ERROR, MISSED_EVENTS, TIME_TAG, Batch, joined, of_channels


def box_of(tagger: Any) -> TaggerBox:
    """The box behind a connected tagger.

    Raises:
        ValueError: What the vendor's module raises for no tagger, or one that was freed.
        RuntimeError: The cable is out (chosen: the vendor's docstrings do not say what happens then).
    """
    box = getattr(tagger, "_box", None)
    if not isinstance(box, TaggerBox):
        raise ValueError("a valid Time Tagger must be provided")
    if not box.attached:
        raise RuntimeError("The Time Tagger does not answer: USB transfer error")
    return box


class IteratorBase:
    """What all measurements have in common.

    Args:
        tagger: A connected tagger.
        channels: Channels that it is fed with, negative for falling edges.

    Raises:
        ValueError: No tagger, or a channel that it does not have.
    """

    def __init__(self, tagger: Any, channels: Sequence[int]) -> None:
        self._tagger = tagger
        self._channels = tuple(int(channel) for channel in channels)
        for channel in self._channels:
            if channel == 0 or abs(channel) > self._box.model.inputs:
                raise ValueError(f"Invalid channel {channel}")
        self._running = False
        self._end_ps: int | None = None
        self._captured_ps = 0
        self._reset()
        self.start()

    @property
    def _box(self) -> TaggerBox:
        """The tagger, as long as it is connected and this measurement is not destroyed."""
        return box_of(self._tagger)

    def start(self) -> None:
        """Start or continue."""
        with self._box.lock:
            self._end_ps = None
            if not self._running:
                self._box.attach(self)
                self._running = True
                self._started(self._box.now_ps())

    def startFor(self, capture_duration: int, clear: bool = True) -> None:
        """Start or continue for ``capture_duration`` ps."""
        with self._box.lock:
            self.start()
            if clear:
                self.clear()
            self._end_ps = self._box.now_ps() + int(capture_duration)

    def stop(self) -> None:
        """Stop; what was measured stays."""
        with self._box.lock:
            if self._running:
                self._box.detach(self)
                self._running = False

    def abort(self) -> None:
        """Stop at once and forget what was measured."""
        with self._box.lock:
            self.stop()
            self.clear()

    def clear(self) -> None:
        """Forget what was measured and begin again from now."""
        with self._box.lock:
            self._box.catch_up()
            self._captured_ps = 0
            self._reset()
            self._started(self._box.now_ps())

    def isRunning(self) -> bool:
        """Whether it takes data."""
        with self._box.lock:
            self._box.catch_up()
            return self._running

    def waitUntilFinished(self, timeout: int = -1) -> bool:
        """Let virtual time pass until the end of ``startFor``, at most ``timeout`` ms of it."""
        waited_ms = 0
        while self.isRunning():
            if 0 <= timeout <= waited_ms:
                return False
            self._box.world.advance(1e-3)
            waited_ms += 1
        return True

    def getCaptureDuration(self) -> int:
        """Time measured since it was made or cleared, in ps."""
        with self._box.lock:
            self._box.catch_up()
            return self._captured_ps

    def getConfiguration(self) -> dict[str, Any]:
        """Name and parameters."""
        return {"measurement": type(self).__name__, "parameters": {"channels": list(self._channels)}}

    def _feed(self, batch: Batch) -> None:
        """Take the next events from the box."""
        end_ps = batch.end_ps if self._end_ps is None else min(batch.end_ps, self._end_ps)
        if end_ps < batch.end_ps:
            n = int(np.searchsorted(batch.times_ps, end_ps))
            batch = Batch(
                batch.times_ps[:n],
                batch.channels[:n],
                batch.types[:n],
                batch.missed[:n],
                batch.begin_ps,
                end_ps,
            )
        self._captured_ps += max(0, batch.end_ps - batch.begin_ps)
        self._take(batch)
        if self._end_ps is not None and end_ps >= self._end_ps:
            self._running = False
            self._box.listeners.remove(self)

    def _end(self) -> None:
        """The tagger is freed, or this measurement destroyed."""
        self._running = False

    def _reset(self) -> None:
        """Forget the data."""

    def _started(self, now_ps: int) -> None:
        """Data begin at ``now_ps``."""

    def _take(self, batch: Batch) -> None:
        """Take events that are all in the measured time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        # As with the vendor's, this is the end of the object and not only of the measurement.
        if self._tagger is None:
            return
        try:
            self.stop()
        finally:
            self._end()
            self._tagger = None


class TimeTagStreamBuffer:
    """Events with their types, as ``TimeTagStream.getData`` gives them."""

    _batch: Batch
    tStart: int
    tGetData: int
    size: int
    hasOverflows: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise AttributeError("No constructor defined")

    def getTimestamps(self) -> NDArray[np.int64]:
        """Times in ps, int64 of shape (size,)."""
        return self._batch.times_ps.copy()

    def getChannels(self) -> NDArray[np.int32]:
        """Channel of each event, int32 of shape (size,)."""
        return self._batch.channels.copy()

    def getEventTypes(self) -> NDArray[np.uint8]:
        """Type of each event, uint8 of shape (size,): see ``TagType``."""
        return self._batch.types.copy()

    def getMissedEvents(self) -> NDArray[np.uint16]:
        """Lost events that a mark stands for, uint16 of shape (size,)."""
        return self._batch.missed.copy()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        pass


def buffer_of(batch: Batch, start_ps: int, get_data_ps: int) -> TimeTagStreamBuffer:
    """A buffer with these events; the vendor's class has no constructor."""
    buffer = object.__new__(TimeTagStreamBuffer)
    buffer._batch = batch
    buffer.tStart = start_ps
    buffer.tGetData = get_data_ps
    buffer.size = int(batch.times_ps.size)
    buffer.hasOverflows = bool(np.any((batch.types >= ERROR) & (batch.types <= MISSED_EVENTS)))
    return buffer


class TimeTagStream(IteratorBase):
    """The events themselves, kept in a buffer until ``getData`` fetches them.

    Args:
        tagger: A connected tagger.
        n_max_events: Size of the buffer; what comes when it is full is lost.
        channels: Channels to record.
    """

    def __init__(self, tagger: Any, n_max_events: int, channels: Sequence[int]) -> None:
        self._most = int(n_max_events)
        self._parts: list[Batch] = []
        self._n = self._start_ps = self._last_ps = 0
        super().__init__(tagger, channels)

    def getCounts(self) -> int:
        """Number of events in the buffer."""
        with self._box.lock:
            self._box.catch_up()
            return self._n

    def getData(self) -> TimeTagStreamBuffer:
        """The events since the last call, each once."""
        with self._box.lock:
            self._box.catch_up()
            now_ps = self._box.now_ps() if self._running else self._last_ps
            batch = joined(self._parts, self._start_ps, now_ps)
            self._parts, self._n = [], 0
            return buffer_of(batch, self._start_ps, now_ps)

    def _reset(self) -> None:
        self._parts, self._n = [], 0
        self._start_ps = self._last_ps = self._box.now_ps()

    def _started(self, now_ps: int) -> None:
        if not self._n:
            self._start_ps = self._last_ps = now_ps

    def _take(self, batch: Batch) -> None:
        part = of_channels(batch, self._channels, self._most - self._n)
        self._last_ps = batch.end_ps
        self._n += part.times_ps.size
        if part.times_ps.size:
            self._parts.append(part)


class Countrate(IteratorBase):
    """Mean count rates; right also where tags are lost, because lost ones are counted."""

    def __init__(self, tagger: Any, channels: Sequence[int]) -> None:
        super().__init__(tagger, channels)

    def getData(self) -> NDArray[np.float64]:
        """Mean rates in Hz since it was made or cleared, float64 of shape (n_channels,); NaN at first."""
        with self._box.lock:
            self._box.catch_up()
            with np.errstate(invalid="ignore"):
                return np.asarray(self._counts / np.float64(self._captured_ps * 1e-12))

    def getCountsTotal(self) -> NDArray[np.int64]:
        """Numbers of events, int64 of shape (n_channels,)."""
        with self._box.lock:
            self._box.catch_up()
            return self._counts.copy()

    def _reset(self) -> None:
        self._counts = np.zeros(len(self._channels), dtype=np.int64)

    def _take(self, batch: Batch) -> None:
        self._counts += counts_of(batch, self._channels)


def counts_of(batch: Batch, channels: Sequence[int]) -> NDArray[np.int64]:
    """Events per channel, lost ones included, int64 of shape (n_channels,)."""
    weight = np.where(batch.types == TIME_TAG, 1, np.where(batch.types == MISSED_EVENTS, batch.missed, 0))
    return np.array([int(weight[batch.channels == channel].sum()) for channel in channels], dtype=np.int64)
