"""Photons from first principles: X-ray by X-ray, photon by photon, counter by counter.

X-rays arrive as a Poisson process. Each makes a burst with a random number of photons; each photon takes a
component of the emission (its weight is the probability), waits an exponential time, and goes to one of
the counters behind the beam splitter; ``simulators.detectors`` does the rest. g2 is what comes out, it is
never what goes in.

Exact thinning
--------------
A megahertz of X-rays of which each gives 0.02 counts need not be made one by one. Each X-ray
carries an independent mark, the number n of its photons that will start an avalanche if the counter is awake.
By the marking and colouring theorems of Poisson processes (J. F. C. Kingman, Poisson Processes, Oxford 1993,
sections 2.2 and 5.1-5.2) the X-rays with n >= 1 are again a Poisson process, of rate
Phi (1 - P0), independent of those with n = 0, and their n follow the law of n given n >= 1. Each photon is
kept with probability q independently, so n has

* the Poisson law of mean m = q <N> where N is Poisson (P0 = exp(-m)),
* the geometric (thermal) law of mean m where N is geometric (P0 = 1 / (1 + m)),
* the negative binomial law of mean m and shape r where N has that shape (P0 = (1 + m/r)^-r), between the two
  above (r = 1 geometric, r to infinity Poisson): <n(n-1)> / <n>^2 = 1 + 1/r. ``"cascade"`` has the r of the
  X-ray cascade in ``labctl.emission.cascade``,

because these families are closed under independent thinning. Photons that are kept go to counter d with
probability proportional to (share of the splitter) x (efficiency). Nothing is approximated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from labctl.emission.cascade import PAIR_FACTOR
from simulators.detectors import Detector, detect, longer, sort_by_time
from simulators.randomness import random_stream

Statistics = Literal["poisson", "geometric", "cascade"]

#: Shape r of the negative binomial law of each statistics.
SHAPES: dict[str, float] = {"poisson": math.inf, "geometric": 1.0, "cascade": 1.0 / (PAIR_FACTOR - 1.0)}

BLOCK_PS = 1_000_000_000_000
EVENTS_PER_BLOCK = 1_000_000


@dataclass(frozen=True)
class Light:
    """Light that reaches the beam splitter, steady for some time.

    Args:
        bursts_Hz: Rate of the bursts: X-rays that are absorbed (at random times). Not used with
            ``pulse_period_ps``.
        photons_per_burst: Mean number of photons of a burst that reach the beam splitter.
        weights: Share of the photons in each component, adding up to 1.
        lifetimes_s: Lifetime of each component.
        continuous_Hz: Rate of photons with no relation to one another (lamp, continuous laser, stray light;
            a random delay after absorption leaves a Poisson process a Poisson process).
        pulse_period_ps: Bursts come at the multiples of this period (pulsed laser); 0: at random.

    Raises:
        ValueError: A value that no light can have.
    """

    bursts_Hz: float = 0.0
    photons_per_burst: float = 0.0
    weights: tuple[float, ...] = ()
    lifetimes_s: tuple[float, ...] = ()
    continuous_Hz: float = 0.0
    pulse_period_ps: int = 0

    def __post_init__(self) -> None:
        for field in ("bursts_Hz", "photons_per_burst", "continuous_Hz", "pulse_period_ps"):
            value = getattr(self, field)
            if not 0 <= value < math.inf:
                raise ValueError(f"light: {field} is {value}, it must be a number from 0")
        if len(self.weights) != len(self.lifetimes_s):
            raise ValueError("light: weights and lifetimes_s differ in length")
        if self.has_bursts:
            if abs(sum(self.weights) - 1.0) > 1e-9 or min(self.weights) < 0:
                raise ValueError(f"light: weights {self.weights} must not be negative and add up to 1")
            if not all(0 <= lifetime_s < 1.0 for lifetime_s in self.lifetimes_s):
                raise ValueError(f"light: lifetimes {self.lifetimes_s} s must be from 0 to 1 s")

    @property
    def has_bursts(self) -> bool:
        """Whether any photon comes in bursts."""
        return self.photons_per_burst > 0 and (self.pulse_period_ps > 0 or self.bursts_Hz > 0)


DARK = Light()


@dataclass(frozen=True)
class Pulses:
    """Output pulses of the counters.

    Attributes:
        times_ps: int64 of shape (n,), not decreasing, absolute.
        detectors: uint8 of shape (n,), index of the counter.
    """

    times_ps: NDArray[np.int64]
    detectors: NDArray[np.uint8]


@njit(cache=True, nogil=True)
def _kept_photons(stream, mean, shape, constant):  # type: ignore[no-untyped-def]
    """Number of kept photons of a burst that has at least one (zero-truncated law of this mean).

    ``constant`` is ln(1 + 1/mean) for the geometric law (shape 1), else the probability of one photon.
    """
    if shape == 1.0:
        return 1 + int(stream.standard_exponential() / constant)
    poisson = math.isinf(shape)
    if mean > 30.0:
        while True:
            n = stream.poisson(mean if poisson else stream.standard_gamma(shape) * mean / shape)
            if n > 0:
                return n
    level = stream.random()
    probability = constant
    total = constant
    n = 1
    while level > total and probability > 0.0:
        probability *= mean / (n + 1) if poisson else (n + shape) / (n + 1) * mean / (mean + shape)
        n += 1
        total += probability
    return n


@njit(cache=True, nogil=True)
def _constants(mean, shape):  # type: ignore[no-untyped-def]
    """-ln P0, and the constant of :func:`_kept_photons`."""
    if math.isinf(shape):
        return mean, mean / math.expm1(min(mean, 700.0))
    hazard = shape * math.log1p(mean / shape)
    if shape == 1.0:
        return hazard, math.log1p(1.0 / mean)
    return hazard, shape * mean / (mean + shape) / math.expm1(min(hazard, 700.0))


@njit(cache=True, nogil=True)
def _add_bursts(  # type: ignore[no-untyped-def]
    stream,
    length_ps,
    bursts_per_ps,
    first_pulse_ps,
    period_ps,
    mean,
    shape,
    gap,
    cumulative_weights,
    lifetimes_ps,
    cumulative_shares,
    photons_ps,
    detectors,
    n,
):
    """Append the photons of all bursts that begin in ``[0, length_ps)``.

    ``gap`` is the hazard left until the next burst with a kept photon, in mean intervals; it goes down by
    rate x time between random bursts, and by -ln P0 at each laser pulse. A change of rate between blocks is
    exact that way.

    Returns:
        photons_ps, detectors, n, gap
    """
    empty_hazard, constant = _constants(mean, shape)
    rate_per_ps = bursts_per_ps * -math.expm1(-empty_hazard)
    burst_ps = 0.0
    pulse = 0
    n_components = lifetimes_ps.size
    while True:
        if period_ps > 0:
            ahead = int(gap / empty_hazard)
            burst_ps = first_pulse_ps + (pulse + ahead) * period_ps
            if burst_ps >= length_ps:
                passed = max(0, math.ceil((length_ps - first_pulse_ps) / period_ps) - pulse)
                return photons_ps, detectors, n, gap - passed * empty_hazard
            pulse += ahead + 1
        else:
            burst_ps += gap / rate_per_ps
            if burst_ps >= length_ps:
                return photons_ps, detectors, n, (burst_ps - length_ps) * rate_per_ps
        for _ in range(_kept_photons(stream, mean, shape, constant)):
            component = 0
            if n_components > 1:
                choice = stream.random()
                while component < n_components - 1 and choice >= cumulative_weights[component]:
                    component += 1
            delay_ps = lifetimes_ps[component] * stream.standard_exponential()
            detector = 0
            if cumulative_shares.size > 1:
                choice = stream.random()
                while detector < cumulative_shares.size - 1 and choice >= cumulative_shares[detector]:
                    detector += 1
            if n == photons_ps.size:
                photons_ps, detectors = longer(photons_ps, detectors)
            photons_ps[n] = burst_ps + delay_ps
            detectors[n] = detector
            n += 1
        gap = stream.standard_exponential()


class _Events:
    """Times and counters of events that wait for the next block, with room to grow."""

    def __init__(self) -> None:
        self.times_ps = np.empty(1024, dtype=np.float64)
        self.detectors = np.empty(1024, dtype=np.uint8)
        self.n = 0

    def keep_after(self, length_ps: int) -> None:
        """Drop what came before ``length_ps`` (events are in order) and count the rest from there."""
        first = int(np.searchsorted(self.times_ps[: self.n], length_ps))
        rest = self.n - first
        self.times_ps[:rest] = self.times_ps[first : self.n] - length_ps
        self.detectors[:rest] = self.detectors[first : self.n]
        self.n = rest


class PhotonSource:
    """The light of a sample on the counters, continued without a seam from call to call.

    Late photons, dead times, after-pulses and pulses under way carry over from one call to the next.

    Args:
        detectors: The counters behind the beam splitter.
        splitting: Share of the light that each gets, adding up to 1 or less.
        statistics: Law of the number of photons in a burst: ``"poisson"``, ``"geometric"`` (bunched) or
            ``"cascade"`` (as the X-ray cascade spreads it).
        seed: Seed of the simulated rig.
        name: Prefix of the names of its random streams.
        begin_ps: Absolute time at which it begins.

    Raises:
        ValueError: Shares that no splitter can have, or an unknown law.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        *,
        splitting: Sequence[float] = (0.5, 0.5),
        statistics: Statistics = "poisson",
        seed: int,
        name: str = "photons",
        begin_ps: int = 0,
    ) -> None:
        if len(splitting) != len(detectors) or not detectors:
            raise ValueError(f"{len(detectors)} detectors but {len(splitting)} shares of the beam splitter")
        if min(splitting) < 0 or sum(splitting) > 1 + 1e-9:
            raise ValueError(
                f"shares of the beam splitter {tuple(splitting)} must be from 0, together at most 1"
            )
        if statistics not in SHAPES:
            raise ValueError(f"photon statistics {statistics!r}: one of {', '.join(SHAPES)} expected")
        self.detectors = tuple(detectors)
        self.now_ps = begin_ps
        self._shape = SHAPES[statistics]
        self._kept = np.array([s * d.efficiency for s, d in zip(splitting, detectors, strict=True)])
        self._dark_Hz = np.array([detector.dark_Hz for detector in detectors])
        self._parameters = np.array([detector.parameters() for detector in detectors])
        self._burst_stream = random_stream(seed, f"{name}.bursts")
        self._background_stream = random_stream(seed, f"{name}.background")
        self._detector_stream = random_stream(seed, f"{name}.detectors")
        self._burst_gap = float(self._burst_stream.standard_exponential())
        self._background_gap = float(self._background_stream.standard_exponential())
        self._blind_until_ps = np.zeros(len(detectors))
        self._photons = _Events()
        self._waiting = _Events()
        self._pulses = _Events()

    def pulses(self, light: Light, duration_ps: int) -> Pulses:
        """Pulses that leave the counters in the next ``duration_ps``, under ``light``.

        Args:
            light: The light for all of that time.
            duration_ps: Length, from where the last call ended.
        """
        if duration_ps < 0:
            raise ValueError(f"duration {duration_ps} ps is negative")
        times: list[NDArray[np.int64]] = []
        detectors: list[NDArray[np.uint8]] = []
        left_ps = duration_ps
        block_ps = self._block_ps(light)
        while left_ps > 0:
            step_ps = min(block_ps, left_ps)
            block = self._block(light, step_ps)
            times.append(block.times_ps)
            detectors.append(block.detectors)
            left_ps -= step_ps
        if not times:
            return Pulses(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8))
        return Pulses(np.concatenate(times), np.concatenate(detectors))

    def skip_to(self, time_ps: int) -> None:
        """Go on at ``time_ps`` without making what lies between; what was under way is forgotten.

        Raises:
            ValueError: That time has passed.
        """
        if time_ps < self.now_ps:
            raise ValueError(f"cannot go back from {self.now_ps} to {time_ps} ps")
        self.now_ps = time_ps
        self._blind_until_ps[:] = 0.0
        for events in (self._photons, self._waiting, self._pulses):
            events.n = 0

    def mean_counts_per_burst(self, light: Light) -> NDArray[np.float64]:
        """mu: mean number of avalanches per burst and counter, were it never blind; shape (n_detectors,)."""
        return np.asarray(self._kept * light.photons_per_burst)

    def _block_ps(self, light: Light) -> int:
        """Length of a block that bounds the memory, whatever the rate."""
        bursts_Hz = 1e12 / light.pulse_period_ps if light.pulse_period_ps else light.bursts_Hz
        rate_Hz = light.continuous_Hz + bursts_Hz * light.photons_per_burst
        rate_Hz = rate_Hz * float(self._kept.sum()) + float(self._dark_Hz.sum())
        return max(1, min(BLOCK_PS, int(EVENTS_PER_BLOCK * 1e12 / max(rate_Hz, 1.0))))

    def _block(self, light: Light, length_ps: int) -> Pulses:
        kept = float(self._kept.sum())
        photons = self._photons
        if light.has_bursts and kept > 0:
            period_ps = light.pulse_period_ps
            photons.times_ps, photons.detectors, photons.n, self._burst_gap = _add_bursts(
                self._burst_stream,
                float(length_ps),
                light.bursts_Hz * 1e-12,
                float(-self.now_ps % period_ps) if period_ps else 0.0,
                float(period_ps),
                kept * light.photons_per_burst,
                self._shape,
                self._burst_gap,
                np.cumsum(light.weights),
                np.array(light.lifetimes_s) * 1e12,
                np.cumsum(self._kept / kept),
                photons.times_ps,
                photons.detectors,
                photons.n,
            )
            sort_by_time(photons.times_ps, photons.detectors, photons.n)
        waiting, pulses = self._waiting, self._pulses
        (
            waiting.times_ps,
            waiting.detectors,
            waiting.n,
            pulses.times_ps,
            pulses.detectors,
            pulses.n,
            self._background_gap,
        ) = detect(
            self._background_stream,
            self._detector_stream,
            float(length_ps),
            photons.times_ps,
            photons.detectors,
            photons.n,
            (self._dark_Hz + self._kept * light.continuous_Hz) * 1e-12,
            self._background_gap,
            self._parameters,
            self._blind_until_ps,
            waiting.times_ps,
            waiting.detectors,
            waiting.n,
            pulses.times_ps,
            pulses.detectors,
            pulses.n,
        )
        photons.keep_after(length_ps)
        sort_by_time(pulses.times_ps, pulses.detectors, pulses.n)
        return self._finished(length_ps)

    def _finished(self, length_ps: int) -> Pulses:
        pulses = self._pulses
        done = int(np.searchsorted(pulses.times_ps[: pulses.n], length_ps))
        times_ps = np.floor(pulses.times_ps[:done]).astype(np.int64) + self.now_ps
        detectors = pulses.detectors[:done].copy()
        pulses.keep_after(length_ps)
        self.now_ps += length_ps
        return Pulses(times_ps, detectors)
