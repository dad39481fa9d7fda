"""The time tagger as a box: inputs with thresholds, a clock, a buffer and a link of limited speed.

It asks the world what the light did since it last looked, lets ``PhotonSource`` make the counters' pulses,
and turns them into tags: threshold and edge, its own jitter, dead time, input delay, and overflow where the
link to the computer is too slow. ``simulators.swabian_api`` dresses it in the vendor's names.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simulators.detectors import JITTER_CLIP_SIGMA, Detector
from simulators.light import fibre_photons, xray_rate_Hz
from simulators.photon_source import DARK, Light, PhotonSource, Statistics
from simulators.randomness import random_stream
from simulators.world import Conditions, WorldView

TIME_TAG, ERROR, OVERFLOW_BEGIN, OVERFLOW_END, MISSED_EVENTS = range(5)
MOST_MISSED_PER_MARK = 65_535
KEPT_HISTORY_S = 3600.0
BLOCK_PS = 20_000_000_000
POOR_LINK_TAGS_PER_S = 5_000.0
POOR_LINK_BUFFER_TAGS = 10_000
TIME_JUMP_PS = -3_000_000_000_000


@dataclass(frozen=True)
class Model:
    """What one model of the vendor can do (from the vendor's docstrings and example scripts).

    Attributes:
        name: As ``getModel`` gives it.
        inputs: Number of physical inputs.
        jitter_ps_rms: Jitter of one tag.
        clock_ps: Period of its clock; the smallest dead time.
        dead_time_ps: Dead time after start-up.
        longest_dead_time_ps: Largest dead time it takes.
        trigger_range_V: Thresholds it can set.
        transfer_tags_per_s: What its link to the computer carries.
        buffer_tags: Size of its own buffer.
        test_signal_Hz: Base frequency of the test signal.
        test_signal_divider: Its divider after start-up.
        hardware_delay_ps: Largest delay it can make by itself, 0: none.
    """

    name: str
    inputs: int
    jitter_ps_rms: float
    clock_ps: int
    dead_time_ps: int
    longest_dead_time_ps: int
    trigger_range_V: tuple[float, float]
    transfer_tags_per_s: float
    buffer_tags: int
    test_signal_Hz: float
    test_signal_divider: int
    hardware_delay_ps: int


MODELS = {
    model.name: model
    for model in (
        Model("Time Tagger 20", 8, 34.0, 6000, 6000, 393_000_000, (0.0, 2.5), 8.5e6, 8 << 20, 62.5e6, 74, 0),
        Model(
            "Time Tagger Ultra",
            18,
            42.0,
            2000,
            2100,
            2_147_000_000,
            (-2.5, 2.5),
            65e6,
            64 << 20,
            403.2e6,
            504,
            2_000_000,
        ),
        Model(
            "Time Tagger X",
            18,
            2.0,
            1333,
            1500,
            716_000_000,
            (-1.0, 1.0),
            80e6,
            64 << 20,
            403.2e6,
            504,
            2_500_000,
        ),
    )
}


@dataclass(frozen=True)
class TaggerOptions:
    """The simulated tagger and what is plugged into it.

    Args:
        model: One of ``MODELS``.
        serial_number: What it says its serial number is.
        detectors: Counters behind the fibre's beam splitter.
        inputs: Physical input of the tagger that each counter is plugged into.
        splitting: Share of the fibre's light that each counter gets: half each, less 10 % loss of the
            splitter and its connectors (chosen). With the light of ``simulators.light`` and counters of 46 %
            this is 0.021 counts per X-ray and counter, 20 000 per second, at 40 kV, 300 uA and 80 K.
        statistics: Law of the photons per X-ray.
        pulse_V: Height of the counters' pulses: positive for TTL, negative for NIM.
        pulse_ps: Their length.
        jitter_ps_rms: Jitter of one tag; None: the model's.
        time_jump_ps: By how much the fault ``tagger.time_jump`` moves the clock.
    """

    model: str = "Time Tagger 20"
    serial_number: str = "SIMULATED1"
    detectors: Sequence[Detector] = (Detector(), Detector())
    inputs: Sequence[int] = (1, 2)
    splitting: Sequence[float] = (0.45, 0.45)
    statistics: Statistics = "poisson"
    pulse_V: float = 2.5
    pulse_ps: int = 20_000
    jitter_ps_rms: float | None = None
    time_jump_ps: int = TIME_JUMP_PS

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"unknown time tagger {self.model!r}; known: {', '.join(MODELS)}")
        if len(self.inputs) != len(self.detectors) or len(set(self.inputs)) != len(self.inputs):
            raise ValueError(f"{len(self.detectors)} detectors on inputs {tuple(self.inputs)}")
        if not all(1 <= number <= MODELS[self.model].inputs for number in self.inputs):
            raise ValueError(f"the {self.model} has inputs 1 to {MODELS[self.model].inputs}")


@dataclass
class Input:
    """State of one physical input and its two edges.

    ``dead_time_ps``, ``delay_ps`` and ``last_ps`` go by the sign of the edge, +1 rising and -1 falling.
    """

    trigger_V: float
    dead_time_ps: dict[int, int]
    test_signal: bool = False
    delay_ps: dict[int, int] = field(default_factory=lambda: {1: 0, -1: 0})
    last_ps: dict[int, int] = field(default_factory=lambda: {1: -(2**62), -1: -(2**62)})


@dataclass(frozen=True)
class Batch:
    """Events of ``[begin_ps, end_ps)`` of the tagger; arrays of shape (n,) as in the vendor's buffer."""

    times_ps: NDArray[np.int64]
    channels: NDArray[np.int32]
    types: NDArray[np.uint8]
    missed: NDArray[np.uint16]
    begin_ps: int
    end_ps: int


class Listener(Protocol):
    """A measurement that is fed with the events of the box (private names: the vendor's have none for it)."""

    _channels: tuple[int, ...]

    def _feed(self, batch: Batch) -> None:
        """Take the next events."""


@njit(cache=True, nogil=True)
def _awake(times_ps, dead_time_ps, last_ps):  # type: ignore[no-untyped-def]
    """Which tags the dead time lets pass (it counts from the last one passed), and the last one passed."""
    keep = np.empty(times_ps.size, dtype=np.bool_)
    for i in range(times_ps.size):
        keep[i] = times_ps[i] - last_ps >= dead_time_ps
        if keep[i]:
            last_ps = times_ps[i]
    return keep, last_ps


class TaggerBox:
    """One time tagger on its shelf; it lives as long as the simulated rig, connected or not.

    Args:
        world: The simulated rig.
        options: The box and what is plugged in.
    """

    def __init__(self, world: WorldView, options: TaggerOptions) -> None:
        self.world = world
        self.options = options
        self.model = MODELS[options.model]
        self.lock = threading.RLock()
        self.listeners: list[Listener] = []
        self.connected = False
        self.overflows = 0
        self._jitter = random_stream(world.seed, "tagger.jitter")
        self._jitter_ps = self.model.jitter_ps_rms if options.jitter_ps_rms is None else options.jitter_ps_rms
        self._latency_ps = int(np.ceil(JITTER_CLIP_SIGMA * self._jitter_ps))
        self.source = PhotonSource(
            options.detectors,
            splitting=options.splitting,
            statistics=options.statistics,
            seed=world.seed,
            begin_ps=self._world_ps(),
        )
        self._horizon_ps = self.source.now_ps
        self._offset_ps = 0
        self._jumped = False
        self.start_up()

    def start_up(self) -> None:
        """The state after power-up: no measurement, thresholds and delays as the vendor ships them."""
        with self.lock:
            low_V, high_V = self.model.trigger_range_V
            level_V = min(max(0.5, low_V), high_V)
            both = {1: self.model.dead_time_ps, -1: self.model.dead_time_ps}
            self.inputs = {number: Input(level_V, dict(both)) for number in range(1, self.model.inputs + 1)}
            self.test_signal_divider = self.model.test_signal_divider
            self.buffer_tags = self.model.buffer_tags
            self.block_events, self.block_latency_ms = 1 << 20, 20
            self.listeners = []
            self._clear_link()

    def now_ps(self) -> int:
        """The tagger's time up to which all events have been given out."""
        with self.lock:
            return self._horizon_ps + self._offset_ps

    def attach(self, listener: Listener) -> None:
        """Feed a measurement with the events from now on."""
        with self.lock:
            self.catch_up()
            if listener not in self.listeners:
                self.listeners.append(listener)

    def detach(self, listener: Listener) -> None:
        """Stop feeding a measurement."""
        with self.lock:
            self.catch_up()
            if listener in self.listeners:
                self.listeners.remove(listener)

    def catch_up(self) -> None:
        """Make the events up to the world's present and give them to the measurements."""
        with self.lock:
            now_ps = self._world_ps()
            self._see_time_jump()
            if not self.listeners or now_ps - self.source.now_ps > KEPT_HISTORY_S * 1e12:
                self._forget_until(now_ps if not self.listeners else now_ps - int(KEPT_HISTORY_S * 1e12))
            if now_ps <= self.source.now_ps:
                return
            begin_ps = self.source.now_ps
            times_ps, detectors = self._pulses(now_ps)
            batch = self._through_link(self._tags(times_ps, detectors, begin_ps, now_ps))
            for listener in list(self.listeners):
                listener._feed(batch)

    def _world_ps(self) -> int:
        return round(self.world.now() * 1e12)

    def _see_time_jump(self) -> None:
        active = self.world.faults.active("tagger.time_jump")
        if active and not self._jumped:
            self._offset_ps += self.options.time_jump_ps
        self._jumped = active

    def _forget_until(self, time_ps: int) -> None:
        if time_ps > self.source.now_ps:
            self.source.skip_to(time_ps)
            self._horizon_ps = max(self._horizon_ps, time_ps)
            self._clear_link()

    def _clear_link(self) -> None:
        self._pending_ps = np.empty(0, dtype=np.int64)
        self._pending_channels = np.empty(0, dtype=np.int32)
        self._backlog_tags = 0.0
        self._overflowing = False

    def _pulses(self, now_ps: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """The counters' pulses from where the source stands to ``now_ps``."""
        pieces = self.world.history(self.source.now_ps * 1e-12, now_ps * 1e-12)
        times: list[NDArray[np.int64]] = []
        detectors: list[NDArray[np.uint8]] = []
        lights = [(self._light(piece), round(piece.end_s * 1e12)) for piece in pieces]
        if not lights:
            lights = [(DARK, now_ps)]
        lights[-1] = (lights[-1][0], now_ps)
        for i, (light, end_ps) in enumerate(lights):
            if i + 1 < len(lights) and lights[i + 1][0] == light:
                continue
            length_ps = min(end_ps, now_ps) - self.source.now_ps
            if length_ps > 0:
                pulses = self.source.pulses(light, length_ps)
                times.append(pulses.times_ps)
                detectors.append(pulses.detectors)
        times_ps, index = np.concatenate(times), np.concatenate(detectors)
        if self.world.faults.active("tagger.counter_dead"):
            alive = index != len(self.options.detectors) - 1
            times_ps, index = times_ps[alive], index[alive]
        return times_ps, index

    def _light(self, piece: Conditions) -> Light:
        if piece.port != "counters":
            return DARK
        emission, photons_Hz = fibre_photons(self.world, piece)
        if photons_Hz <= 0:
            return DARK
        if self.world.excitation == "uv":
            return Light(continuous_Hz=photons_Hz)
        xrays_Hz = xray_rate_Hz(piece.voltage_kV, piece.current_uA)
        return Light(
            bursts_Hz=xrays_Hz,
            photons_per_burst=photons_Hz / xrays_Hz,
            weights=tuple(float(weight) for weight in emission.weights),
            lifetimes_s=tuple(float(lifetime) for lifetime in emission.lifetimes_s),
        )

    def _tags(
        self,
        pulses_ps: NDArray[np.int64],
        detectors: NDArray[np.uint8],
        begin_ps: int,
        now_ps: int,
    ) -> Batch:
        """Time tags of all wanted channels, in order, up to the horizon that the delays allow."""
        wanted = sorted({channel for listener in self.listeners for channel in listener._channels})
        times = [self._pending_ps]
        channels = [self._pending_channels]
        for channel in wanted:
            edges_ps = self._edges(channel, pulses_ps, detectors, begin_ps, now_ps)
            box_input, edge = self.inputs[abs(channel)], 1 if channel > 0 else -1
            jitter = np.clip(
                self._jitter.standard_normal(edges_ps.size), -JITTER_CLIP_SIGMA, JITTER_CLIP_SIGMA
            )
            stamps_ps = edges_ps + np.rint(jitter * self._jitter_ps).astype(np.int64) + self._latency_ps
            keep, last_ps = _awake(stamps_ps, box_input.dead_time_ps[edge], box_input.last_ps[edge])
            box_input.last_ps[edge] = int(last_ps)
            times.append(stamps_ps[keep] + box_input.delay_ps[edge])
            channels.append(np.full(times[-1].size, channel, dtype=np.int32))
        all_ps, all_channels = np.concatenate(times), np.concatenate(channels)
        order = np.argsort(all_ps, kind="stable")
        all_ps, all_channels = all_ps[order], all_channels[order]
        delays = [self.inputs[abs(channel)].delay_ps[1 if channel > 0 else -1] for channel in wanted]
        old_horizon_ps = self._horizon_ps
        self._horizon_ps = max(old_horizon_ps, now_ps + min([0, *delays]))
        first, done = np.searchsorted(all_ps, [old_horizon_ps, self._horizon_ps])
        self._pending_ps, self._pending_channels = all_ps[done:], all_channels[done:]
        return Batch(
            all_ps[first:done] + self._offset_ps,
            all_channels[first:done],
            np.zeros(done - first, dtype=np.uint8),
            np.zeros(done - first, dtype=np.uint16),
            old_horizon_ps + self._offset_ps,
            self._horizon_ps + self._offset_ps,
        )

    def _edges(
        self,
        channel: int,
        pulses_ps: NDArray[np.int64],
        detectors: NDArray[np.uint8],
        begin_ps: int,
        now_ps: int,
    ) -> NDArray[np.int64]:
        """True times at which the signal at an input crosses its threshold in this direction."""
        number = abs(channel)
        box_input = self.inputs[number]
        if box_input.test_signal:
            period_ps = 1e12 * self.test_signal_divider / self.model.test_signal_Hz
            shift_ps = 0.0 if channel > 0 else period_ps / 2
            first = np.ceil((begin_ps - shift_ps) / period_ps)
            last = np.ceil((now_ps - shift_ps) / period_ps)
            edges_ps: NDArray[np.int64] = np.rint(np.arange(first, last) * period_ps + shift_ps).astype(
                np.int64
            )
            return edges_ps
        if number not in self.options.inputs:
            return np.empty(0, dtype=np.int64)
        height_V = self.options.pulse_V
        if not 0 < box_input.trigger_V / height_V < 1:
            return np.empty(0, dtype=np.int64)
        own_ps: NDArray[np.int64] = pulses_ps[detectors == list(self.options.inputs).index(number)]
        leading = (channel > 0) == (height_V > 0)
        return own_ps if leading else own_ps + self.options.pulse_ps

    def _through_link(self, batch: Batch) -> Batch:
        """Replace what the link to the computer cannot carry by overflow marks and counts."""
        poor = self.world.faults.active("tagger.rate_limit")
        limit_Hz = POOR_LINK_TAGS_PER_S if poor else self.model.transfer_tags_per_s
        room = min(self.buffer_tags, POOR_LINK_BUFFER_TAGS) if poor else self.buffer_tags
        forced = self.world.faults.active("tagger.overflow")
        quiet = batch.times_ps.size <= min(room, limit_Hz * BLOCK_PS * 1e-12) and not self._backlog_tags
        if quiet and not forced and not self._overflowing:
            return batch
        edges_ps = np.append(np.arange(batch.begin_ps, batch.end_ps, BLOCK_PS), batch.end_ps)
        cuts = np.searchsorted(batch.times_ps, edges_ps)
        parts: list[Batch] = []
        for i in range(edges_ps.size - 1):
            part = Batch(
                batch.times_ps[cuts[i] : cuts[i + 1]],
                batch.channels[cuts[i] : cuts[i + 1]],
                batch.types[cuts[i] : cuts[i + 1]],
                batch.missed[cuts[i] : cuts[i + 1]],
                int(edges_ps[i]),
                int(edges_ps[i + 1]),
            )
            carried = limit_Hz * (part.end_ps - part.begin_ps) * 1e-12
            arrived = 0 if self._overflowing else part.times_ps.size
            self._backlog_tags = max(0.0, self._backlog_tags + arrived - carried)
            full = forced or self._backlog_tags > room * (0.5 if self._overflowing else 1.0)
            parts.append(self._mark(part, full))
        return joined(parts, batch.begin_ps, batch.end_ps)

    def _mark(self, part: Batch, full: bool) -> Batch:
        """One block of the stream, as it is or as an overflow's marks."""
        began = full and not self._overflowing
        ended = not full and self._overflowing
        self._overflowing = full
        if began:
            self.overflows += 1
        if ended:
            return joined(
                [_mark_at(part.begin_ps, OVERFLOW_END), part],
                part.begin_ps,
                part.end_ps,
            )
        if not full:
            return part
        marks = [_mark_at(part.begin_ps, OVERFLOW_BEGIN)] if began else []
        for channel, count in zip(*np.unique(part.channels, return_counts=True), strict=True):
            for done in range(0, int(count), MOST_MISSED_PER_MARK):
                amount = min(int(count) - done, MOST_MISSED_PER_MARK)
                marks.append(_mark_at(part.end_ps - 1, MISSED_EVENTS, int(channel), amount))
        return joined(marks, part.begin_ps, part.end_ps)


def _mark_at(time_ps: int, kind: int, channel: int = 0, missed: int = 0) -> Batch:
    return Batch(
        np.array([time_ps], dtype=np.int64),
        np.array([channel], dtype=np.int32),
        np.array([kind], dtype=np.uint8),
        np.array([missed], dtype=np.uint16),
        time_ps,
        time_ps + 1,
    )


def joined(parts: Sequence[Batch], begin_ps: int, end_ps: int) -> Batch:
    """Batches in a row as one."""
    return Batch(
        np.concatenate([part.times_ps for part in parts] or [np.empty(0, dtype=np.int64)]),
        np.concatenate([part.channels for part in parts] or [np.empty(0, dtype=np.int32)]),
        np.concatenate([part.types for part in parts] or [np.empty(0, dtype=np.uint8)]),
        np.concatenate([part.missed for part in parts] or [np.empty(0, dtype=np.uint16)]),
        begin_ps,
        end_ps,
    )


def of_channels(batch: Batch, channels: Sequence[int], most: int | None = None) -> Batch:
    """The first ``most`` events of these channels; marks that concern all channels are always among them."""
    mine = np.isin(batch.channels, channels) | np.isin(batch.types, (ERROR, OVERFLOW_BEGIN, OVERFLOW_END))
    index = np.flatnonzero(mine)[:most]
    return Batch(
        batch.times_ps[index],
        batch.channels[index],
        batch.types[index],
        batch.missed[index],
        batch.begin_ps,
        batch.end_ps,
    )
