"""The time tagger as a box: inputs with thresholds, a clock, a buffer and a link of limited speed.

It asks the world what the light did since it last looked, lets ``PhotonSource`` make the counters' pulses,
and turns them into tags: threshold and edge, its own jitter, dead time, input delay, and overflow where the
link to the computer is too slow. ``simulators.swabian_api`` dresses it in the vendor's names.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from simulators.detectors import JITTER_CLIP_SIGMA
from simulators.light import fibre_photons, xray_rate_Hz
from simulators.photon_source import DARK, Light, PhotonSource
from simulators.randomness import random_stream
from simulators.swabian_link import Batch, Link
from simulators.swabian_models import MODELS, TaggerOptions
from simulators.world import Conditions, WorldView

KEPT_HISTORY_S = 3600.0
POOR_LINK_TAGS_PER_S = 5_000.0
POOR_LINK_BUFFER_TAGS = 10_000


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


class Listener(Protocol):
    """A measurement that is fed with the events of the box (private names: the vendor's have none for it)."""

    _channels: tuple[int, ...]

    def _feed(self, batch: Batch) -> None:
        """Take the next events."""

    def _end(self) -> None:
        """No more will come."""


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

    ``attached`` is whether its cable is plugged in; tests pull it.

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
        self.attached = True
        self.link = Link()
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
            self._clear_pending()

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
            batch = self._carried(self._tags(times_ps, detectors, begin_ps, now_ps))
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
            self._clear_pending()

    def _clear_pending(self) -> None:
        self._pending_ps = np.empty(0, dtype=np.int64)
        self._pending_channels = np.empty(0, dtype=np.int32)
        self.link.clear()

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

    def _carried(self, batch: Batch) -> Batch:
        """What the link to the computer makes of the tags."""
        poor = self.world.faults.active("tagger.rate_limit")
        return self.link.carry(
            batch,
            POOR_LINK_TAGS_PER_S if poor else self.model.transfer_tags_per_s,
            min(self.buffer_tags, POOR_LINK_BUFFER_TAGS) if poor else self.buffer_tags,
            self.world.faults.active("tagger.overflow"),
        )
