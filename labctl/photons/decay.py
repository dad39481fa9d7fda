"""Decay curves: delays of photons after the pulse that made them, from the same tags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.base import TagChunk
from labctl.photons.compiled import compiled, i64, u64
from labctl.photons.pieces import Pieces, check_chunk


@dataclass(frozen=True)
class DecayCurve:
    """Photons by their delay after the last pulse.

    Attributes:
        first_ps: Lower edge of the first bin.
        bin_ps: Bin width; bin k holds delays ``[first_ps + k * bin_ps, first_ps + (k + 1) * bin_ps)``.
        counts: Shape (n,).
        pulses: Pulses that could have had photons.
        photons: Photons of the channel, in and outside the range.
        live_ps: Live time of the record.
        first_only: Only the first photon after each pulse was counted (start-stop).
        shortest_period_ps: Shortest distance of two pulses; 0 if not known.
    """

    first_ps: float
    bin_ps: float
    counts: NDArray[np.int64]
    pulses: int
    photons: int
    live_ps: int
    first_only: bool
    shortest_period_ps: int = 0

    @property
    def period_ps(self) -> float | None:
        """Distance of the pulses, where they are regular to 2 % (pulses may be missing)."""
        if self.pulses < 2 or not self.shortest_period_ps:
            return None
        mean = self.live_ps / self.pulses
        return mean if self.shortest_period_ps > 0.98 * mean else None

    @property
    def delay_ps(self) -> NDArray[np.float64]:
        """Centres of the bins, shape (n,)."""
        # Delays of tags are whole ps; a curve read from a file has bins of any width.
        inner = self.bin_ps - 1 if float(self.bin_ps).is_integer() and self.pulses else self.bin_ps
        first = self.first_ps + inner / 2
        return first + self.bin_ps * np.arange(len(self.counts), dtype=np.float64)

    def photons_per_pulse(self) -> float:
        """Mean number of counted photons per pulse; above 0.05 a start-stop curve is distorted by pile-up."""
        return float(self.counts.sum()) / self.pulses if self.pulses else 0.0


class DecayHistogram:
    """Counts photons by their delay after the last pulse, chunk by chunk.

    Args:
        pulse_channel: Channel of the pulse's trigger.
        photon_channel: Channel of the detector.
        range_ps: Delays from 0 to this are counted.
        bin_ps: Bin width.
        photon_delay_ps: Added to the photons' stamps; a photon is given to the last pulse after that.
        first_only: Count only the first photon after each pulse (start-stop, as a TCSPC card does); the
            default counts all (multichannel scaling).

    Raises:
        ValueError: The bins do not fill the range, or the channels are the same.
    """

    def __init__(
        self,
        pulse_channel: int,
        photon_channel: int,
        *,
        range_ps: int,
        bin_ps: int,
        photon_delay_ps: int = 0,
        first_only: bool = False,
    ) -> None:
        if pulse_channel == photon_channel:
            raise ValueError("pulse and photons need different channels")
        if range_ps <= 0 or bin_ps <= 0 or range_ps % bin_ps:
            raise ValueError(f"bins of {bin_ps} ps do not fill a range of {range_ps} ps")
        self._pulse, self._photon = pulse_channel, photon_channel
        self._bin_ps = bin_ps
        self._delay = photon_delay_ps
        self._first_only = first_only
        self._counts = np.zeros(range_ps // bin_ps, np.int64)
        # Last pulse, whether there is one, whether its first photon came, pulses, photons, shortest period.
        self._state = np.zeros(6, np.int64)
        self._pieces = Pieces(range_ps)
        self._waiting: tuple[NDArray[np.int64], NDArray[np.int32]] = (
            np.empty(0, np.int64),
            np.empty(0, np.int32),
        )

    def push(self, chunk: TagChunk) -> None:
        """Take the next stretch of the record.

        Raises:
            ValueError: As `Correlator.push`.
        """
        stamps = np.ascontiguousarray(chunk.timestamps_ps, np.int64)
        channels = np.ascontiguousarray(chunk.channels, np.int32)
        check_chunk(chunk, stamps, channels)
        for begin_ps, end_ps, joins in self._pieces.cut(chunk):
            low, high = np.searchsorted(stamps, (begin_ps, end_ps)) if chunk.gaps else (0, len(stamps))
            if not joins:
                self._flush(None)
                self._state[1] = 0
            self._take(stamps[low:high], channels[low:high], end_ps)

    def curve(self) -> DecayCurve:
        """Give the curve so far."""
        self._flush(None)
        return DecayCurve(
            0.0,
            float(self._bin_ps),
            self._counts.copy(),
            int(self._state[3]),
            int(self._state[4]),
            self._pieces.present().duration_ps,
            self._first_only,
            int(self._state[5]),
        )

    def _take(self, stamps: NDArray[np.int64], channels: NDArray[np.int32], end_ps: int) -> None:
        if self._delay == 0:
            self._count(stamps, channels)
            return
        # With a delay photons and pulses change places: sort, and hold back what later tags may precede.
        wanted = (channels == self._pulse) | (channels == self._photon)
        stamps, channels = stamps[wanted], channels[wanted]
        moved = stamps + np.where(channels == self._photon, np.int64(self._delay), np.int64(0))
        stamps = np.concatenate([self._waiting[0], moved])
        channels = np.concatenate([self._waiting[1], channels])
        # At equal times the pulse goes first: its photon has delay 0.
        order = np.lexsort((channels != self._pulse, stamps))
        self._waiting = stamps[order], channels[order]
        self._flush(end_ps + min(self._delay, 0))

    def _flush(self, before_ps: int | None) -> None:
        stamps, channels = self._waiting
        cut = len(stamps) if before_ps is None else int(np.searchsorted(stamps, before_ps))
        self._count(np.ascontiguousarray(stamps[:cut]), np.ascontiguousarray(channels[:cut]))
        self._waiting = stamps[cut:], channels[cut:]

    def _count(self, stamps: NDArray[np.int64], channels: NDArray[np.int32]) -> None:
        _count_delays(
            stamps,
            channels,
            self._pulse,
            self._photon,
            self._bin_ps,
            self._first_only,
            self._state,
            self._counts,
        )


@compiled
def _count_delays(
    stamps: NDArray[np.int64],
    channels: NDArray[np.int32],
    pulse: int,
    photon: int,
    bin_ps: int,
    first_only: bool,
    state: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    last, known, used = state[0], state[1], state[2]
    pulses = i64(0)
    photons = i64(0)
    shortest = state[5]
    n = u64(len(counts))
    for i in range(u64(len(stamps))):
        channel = channels[i]
        if channel == pulse:
            if known == 1 and (shortest == 0 or stamps[i] - last < shortest):
                shortest = stamps[i] - last
            last = stamps[i]
            known = 1
            used = 0
            pulses += 1
        elif channel == photon:
            photons += 1
            if known == 1 and not (first_only and used == 1):
                slot = u64((stamps[i] - last) // bin_ps)
                used = 1
                if slot < n:
                    counts[slot] += 1
    state[0], state[1], state[2] = last, known, used
    state[3] += pulses
    state[4] += photons
    state[5] = shortest
