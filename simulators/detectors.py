"""Single-photon counters: what a SPAD makes of the photons that reach it.

A photon that starts an avalanche gives one output pulse. While the avalanche is quenched the counter is
blind (non-extending dead time: what comes in it is lost and does not prolong it). Avalanches also start by
themselves (dark counts), from carriers trapped in an earlier avalanche (after-pulses), and from the
light that an avalanche in the *other* counter emits (breakdown-flash cross-talk).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
IndexArray = NDArray[np.uint8]

JITTER_CLIP_SIGMA = 6.0


@dataclass(frozen=True)
class Detector:
    """One counter of the Hanbury-Brown-Twiss pair. Defaults: an MPD PDM as far as it is known.

    Args:
        efficiency: Share of the photons at its fibre that start an avalanche (0.46 at 520 nm).
        jitter_ps_rms: Timing jitter of the output pulse; 50 ps full width at half maximum.
        dead_time_ps: Time after an avalanche in which nothing is seen.
        dark_Hz: Rate of avalanches without light, before dead time.
        afterpulse_probability: Mean number of after-pulses that one avalanche starts.
        afterpulse_tail_ps: Time constant of their exponential tail, which begins where the dead time ends.
        crosstalk_probability: Probability that one avalanche starts one in each other counter.
        crosstalk_delay_ps: Mean time of flight of that flash.
        crosstalk_width_ps: Its standard deviation.
        transit_ps: Fixed delay from photon to pulse: electronics and cable. At least six times the jitter,
            so that no pulse precedes its photon.

    Raises:
        ValueError: A value that no counter can have.
    """

    efficiency: float = 0.46
    jitter_ps_rms: float = 50.0 / 2.3548200450309493
    dead_time_ps: float = 77_000.0
    dark_Hz: float = 25.0
    afterpulse_probability: float = 0.01
    afterpulse_tail_ps: float = 30_000.0
    crosstalk_probability: float = 0.0
    crosstalk_delay_ps: float = 5_000.0
    crosstalk_width_ps: float = 300.0
    transit_ps: float = 5_000.0

    def __post_init__(self) -> None:
        for field in ("efficiency", "afterpulse_probability", "crosstalk_probability"):
            if not 0.0 <= getattr(self, field) <= 1.0:
                raise ValueError(f"detector: {field} is {getattr(self, field)}, it must be from 0 to 1")
        for field in ("jitter_ps_rms", "dead_time_ps", "dark_Hz", "afterpulse_tail_ps", "crosstalk_width_ps"):
            if not 0.0 <= getattr(self, field) < float("inf"):
                raise ValueError(f"detector: {field} is {getattr(self, field)}, it must not be negative")
        if self.afterpulse_probability > 0.9:
            raise ValueError("detector: afterpulse_probability above 0.9 would never end")
        if self.transit_ps < JITTER_CLIP_SIGMA * self.jitter_ps_rms:
            raise ValueError(
                f"detector: transit_ps is {self.transit_ps}, it must be at least "
                f"{JITTER_CLIP_SIGMA:g} times jitter_ps_rms"
            )
        if self.crosstalk_delay_ps < JITTER_CLIP_SIGMA * self.crosstalk_width_ps:
            raise ValueError("detector: crosstalk_delay_ps must be at least 6 times crosstalk_width_ps")

    def parameters(self) -> list[float]:
        """Its numbers in the order that the compiled loop reads them, in ps."""
        return [
            self.dead_time_ps,
            self.jitter_ps_rms,
            self.transit_ps,
            self.afterpulse_probability,
            self.afterpulse_tail_ps,
            self.crosstalk_probability,
            self.crosstalk_delay_ps,
            self.crosstalk_width_ps,
        ]


@njit(cache=True, nogil=True)
def sort_by_time(times_ps, detectors, n):  # type: ignore[no-untyped-def]
    """Insertion sort of the first ``n`` events in place: they are nearly in order, so it is linear."""
    for i in range(1, n):
        time_ps = times_ps[i]
        j = i - 1
        if times_ps[j] <= time_ps:
            continue
        detector = detectors[i]
        while j >= 0 and times_ps[j] > time_ps:
            times_ps[j + 1] = times_ps[j]
            detectors[j + 1] = detectors[j]
            j -= 1
        times_ps[j + 1] = time_ps
        detectors[j + 1] = detector


@njit(cache=True, nogil=True)
def longer(times_ps, detectors):  # type: ignore[no-untyped-def]
    """Copies of both arrays with room for twice as many events."""
    n = times_ps.size
    more_times = np.empty(2 * n + 1024, dtype=times_ps.dtype)
    more_detectors = np.empty(2 * n + 1024, dtype=detectors.dtype)
    more_times[:n] = times_ps
    more_detectors[:n] = detectors
    return more_times, more_detectors


@njit(cache=True, nogil=True)
def _insert(times_ps, detectors, n, time_ps, detector):  # type: ignore[no-untyped-def]
    """Put one event into a list that is in order; return the (perhaps longer) arrays and their new count."""
    if n == times_ps.size:
        times_ps, detectors = longer(times_ps, detectors)
    j = n - 1
    while j >= 0 and times_ps[j] > time_ps:
        times_ps[j + 1] = times_ps[j]
        detectors[j + 1] = detectors[j]
        j -= 1
    times_ps[j + 1] = time_ps
    detectors[j + 1] = detector
    return times_ps, detectors, n + 1


@njit(cache=True, nogil=True)
def _drop_first(times_ps, detectors, left):  # type: ignore[no-untyped-def]
    """Take the first event out of a list of which ``left`` stay."""
    for j in range(left):
        times_ps[j] = times_ps[j + 1]
        detectors[j] = detectors[j + 1]


@njit(cache=True, nogil=True)
def _choose(stream, rates, total):  # type: ignore[no-untyped-def]
    """Which of several Poisson processes an event of their sum belongs to."""
    share = stream.random() * total
    index = 0
    while index < rates.size - 1 and share >= rates[index]:
        share -= rates[index]
        index += 1
    return np.uint8(index)


@njit(cache=True, nogil=True)
def _clipped_normal(stream):  # type: ignore[no-untyped-def]
    """Standard normal number, clipped so that no pulse precedes its cause."""
    return min(max(stream.standard_normal(), -JITTER_CLIP_SIGMA), JITTER_CLIP_SIGMA)


@njit(cache=True, nogil=True)
def _start_others(  # type: ignore[no-untyped-def]
    stream, time_ps, detector, own, n_detectors, waiting_ps, waiting_detectors, n_waiting
):
    """After-pulse and cross-talk that an avalanche at ``time_ps`` starts, put among the waiting events."""
    if stream.random() < own[3]:
        later_ps = time_ps + own[0] + own[4] * stream.standard_exponential()
        waiting_ps, waiting_detectors, n_waiting = _insert(
            waiting_ps, waiting_detectors, n_waiting, later_ps, detector
        )
    if own[5] > 0.0:
        for other in range(n_detectors):
            if other != detector and stream.random() < own[5]:
                flash_ps = time_ps + own[6] + own[7] * _clipped_normal(stream)
                waiting_ps, waiting_detectors, n_waiting = _insert(
                    waiting_ps, waiting_detectors, n_waiting, flash_ps, np.uint8(other)
                )
    return waiting_ps, waiting_detectors, n_waiting


@njit(cache=True, nogil=True)
def detect(  # type: ignore[no-untyped-def]
    background_stream,
    detector_stream,
    length_ps,
    photons_ps,
    photon_detectors,
    n_photons,
    background_per_ps,
    background_gap,
    parameters,
    blind_until_ps,
    waiting_ps,
    waiting_detectors,
    n_waiting,
    pulses_ps,
    pulse_detectors,
    n_pulses,
):
    """Follow the counters through one block of ``length_ps``, event by event in order of time.

    Sources of events: photons (in order), background (dark counts and uncorrelated light; a Poisson process
    with the given rate per ps and counter, its next event ``background_gap`` mean intervals away), and
    ``waiting`` events (after-pulses and cross-talk started earlier, in order). Times are float64 ps
    from the start of the block. ``blind_until_ps`` is updated in place and moved to the next block's start.

    Returns:
        waiting_ps, waiting_detectors, n_waiting, pulses_ps, pulse_detectors, n_pulses, background_gap:
        the state after the block; pulses not in order, some of them later than the block.
    """
    n_detectors = parameters.shape[0]
    total_per_ps = background_per_ps.sum()
    background_ps = background_gap / total_per_ps if total_per_ps > 0.0 else np.inf
    i = 0
    while True:
        photon_ps = photons_ps[i] if i < n_photons else np.inf
        late_ps = waiting_ps[0] if n_waiting > 0 else np.inf
        time_ps = min(photon_ps, background_ps, late_ps)
        if time_ps >= length_ps:
            break
        if time_ps == photon_ps:
            detector = photon_detectors[i]
            i += 1
        elif time_ps == background_ps:
            detector = _choose(background_stream, background_per_ps, total_per_ps)
            background_ps += background_stream.standard_exponential() / total_per_ps
        else:
            detector = waiting_detectors[0]
            n_waiting -= 1
            _drop_first(waiting_ps, waiting_detectors, n_waiting)
        if time_ps < blind_until_ps[detector]:
            continue
        own = parameters[detector]
        blind_until_ps[detector] = time_ps + own[0]
        if n_pulses == pulses_ps.size:
            pulses_ps, pulse_detectors = longer(pulses_ps, pulse_detectors)
        pulses_ps[n_pulses] = time_ps + own[2] + own[1] * _clipped_normal(detector_stream)
        pulse_detectors[n_pulses] = detector
        n_pulses += 1
        if own[3] > 0.0 or own[5] > 0.0:
            waiting_ps, waiting_detectors, n_waiting = _start_others(
                detector_stream, time_ps, detector, own, n_detectors, waiting_ps, waiting_detectors, n_waiting
            )
    for detector_index in range(n_detectors):
        blind_until_ps[detector_index] = max(blind_until_ps[detector_index] - length_ps, 0.0)
    for j in range(n_waiting):
        waiting_ps[j] -= length_ps
    if total_per_ps > 0.0:
        background_gap = (background_ps - length_ps) * total_per_ps
    return waiting_ps, waiting_detectors, n_waiting, pulses_ps, pulse_detectors, n_pulses, background_gap
