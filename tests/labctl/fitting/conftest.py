"""Independent Monte Carlo of both instruments: bursts photon by photon, camera electron by electron."""

import numpy as np
import pytest

from labctl.emission.components import spectrum_shares
from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData

DEAD_TIME_S = 77e-9


def _tags(rng, bursts, length_s, mu, weights, lifetimes, background_per_s, dead):
    """Arrival times in s of one detector."""
    n = rng.poisson(mu * bursts.size)
    delay = rng.exponential(rng.choice(lifetimes, n, p=weights))
    stray = rng.random(rng.poisson(background_per_s * length_s)) * length_s
    times = np.concatenate([bursts[rng.integers(0, bursts.size, n)] + delay, stray])
    return _awake(np.sort(times)) if dead else times


def _awake(times):
    """Photons that a counter sees: each count makes it blind for the dead time, what is lost does not."""
    following = np.searchsorted(times, times + DEAD_TIME_S).tolist()
    seen, at = [], 0
    while at < len(following):
        seen.append(at)
        at = following[at]
    return times[seen]


def _pairs(start, stop, window_ps, bin_ps):
    low, high = np.searchsorted(stop, start - window_ps), np.searchsorted(stop, start + window_ps)
    n = high - low
    index = np.repeat(low - np.cumsum(n) + n, n) + np.arange(n.sum())
    return np.bincount(
        (stop[index] - np.repeat(start, n) + window_ps) // bin_ps, minlength=2 * window_ps // bin_ps
    )


@pytest.fixture
def bursts():
    """Histogram of pairs of simulated X-ray bursts in time blocks; mu of both counters or of each."""

    def make(
        rng,
        weights=(0.56, 0.44),
        lifetimes=(0.24e-9, 0.74e-9),
        *,
        xrays_per_s=3e6,
        mu=0.05,
        duration_s=2.0,
        n_blocks=40,
        background_per_s=0.0,
        sigma_s=57e-12,
        delay_s=1.3e-9,
        window_ps=20_000,
        bin_ps=32,
        dead=False,
    ):
        length_s = duration_s / n_blocks
        pairs, tags = [], []
        for _ in range(n_blocks):
            times = rng.random(rng.poisson(xrays_per_s * length_s)) * length_s
            both = []
            for cable, brightness in zip((0.0, delay_s), np.broadcast_to(mu, 2), strict=True):
                t = _tags(rng, times, length_s, brightness, weights, lifetimes, background_per_s, dead)
                t = t + rng.normal(cable, sigma_s / np.sqrt(2.0), t.size)
                both.append(np.sort(np.round(t * 1e12).astype(np.int64)))
            pairs.append(_pairs(*both, window_ps, bin_ps))
            tags.append([both[0].size, both[1].size])
        starts, stops = np.array(tags, dtype=np.int64).T
        length = np.full(n_blocks, round(length_s * 1e12), dtype=np.int64)
        return PairBlocks(window_ps, bin_ps, np.array(pairs, dtype=np.uint64), starts, stops, length)

    return make


@pytest.fixture
def camera():
    """Frames of a spectrum of an emission."""

    def make(rng, emission, *, electrons=3e4, n_frames=5, n_dark=3, n_pixels=1024, cosmic=True, stray=0.0):
        wavelength = np.linspace(440.0, 680.0, n_pixels)
        half = 0.5 * (wavelength[1] - wavelength[0])
        edges = np.append(wavelength - half, wavelength[-1] + half)
        light = rng.poisson(electrons * spectrum_shares(emission, edges) + stray, (n_frames, n_pixels)) * 1.0
        if cosmic:
            light[np.arange(n_frames), rng.integers(0, n_pixels, n_frames)] += 2000.0

        def counts(frames):
            return np.round((frames + rng.normal(0, 6.0, frames.shape)) / 2.0 + 300).astype(np.int64)

        dark = counts(np.zeros((n_dark, n_pixels)))
        return SpectrumData(wavelength, counts(light), dark, 10.0, 2.0, 6.0, 65535)

    return make
