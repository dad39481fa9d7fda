"""Do the fits' error bars hold? Simulated points, fitted, compared with what went in.

    python -m benchmarks.fits_coverage [--points 300] [--sample xray-A] [--temperature 80]

Bursts are drawn photon by photon (``tests/labctl/fitting/conftest.py`` does the same), camera frames
electron by electron. Printed per number: mean pull, its standard deviation, share inside 1 and 2 errors (68
and 95 % asked).
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks.photons_coverage import alive
from labctl.emission.components import spectrum_shares
from labctl.emission.sample import load_sample
from labctl.fitting.g2_fit import G2Options
from labctl.fitting.joint_fit import fit_joint
from labctl.fitting.point import fit_point
from labctl.fitting.refusal import FitRefused
from labctl.fitting.sweep_fit import fit_sweep
from labctl.fitting.sweep_start import SweepPoint
from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData

SIGMA_S = 57e-12
NUMBERS = ("red_shift_eV", "coupled_fraction", "tau_fast_s", "tau_slow_s")


def burst_record(rng, emission, *, xrays_per_s, mu, duration_s, n_blocks, dead, window_ps=32_768, bin_ps=32):
    """Histogram of pairs of Poisson bursts on two detectors."""
    length_s = duration_s / n_blocks
    pairs = np.zeros((n_blocks, 2 * window_ps // bin_ps), dtype=np.uint64)
    tags = np.zeros((n_blocks, 2), dtype=np.int64)
    for block in range(n_blocks):
        bursts = rng.random(rng.poisson(xrays_per_s * length_s)) * length_s
        both = []
        for cable in (0.0, 1.3e-9):
            n = rng.poisson(mu * bursts.size)
            burst = rng.integers(0, bursts.size, n)
            delay = rng.exponential(rng.choice(emission.lifetimes_s, n, p=emission.weights))
            t_ps = np.sort(bursts[burst] + delay) * 1e12
            if dead:
                t_ps = alive(t_ps)
            t_ps = t_ps + rng.normal(cable, SIGMA_S / np.sqrt(2.0), t_ps.size) * 1e12
            both.append(np.sort(np.round(t_ps).astype(np.int64)))
        start, stop = both
        low, high = np.searchsorted(stop, start - window_ps), np.searchsorted(stop, start + window_ps)
        n = high - low
        index = np.repeat(low - np.cumsum(n) + n, n) + np.arange(n.sum())
        lag = stop[index] - np.repeat(start, n) + window_ps
        pairs[block] = np.bincount(lag // bin_ps, minlength=pairs.shape[1])
        tags[block] = start.size, stop.size
    length_ps = np.full(n_blocks, round(length_s * 1e12), dtype=np.int64)
    return PairBlocks(window_ps, bin_ps, pairs, tags[:, 0], tags[:, 1], length_ps)


def camera_frames(rng, emission, *, electrons, n_frames=5, n_pixels=1024):
    """Frames of a camera with 6 electrons of read noise and a cosmic ray in each."""
    wavelength = np.linspace(440.0, 680.0, n_pixels)
    half = 0.5 * (wavelength[1] - wavelength[0])
    edges = np.append(wavelength - half, wavelength[-1] + half)
    light = rng.poisson(electrons * spectrum_shares(emission, edges), (n_frames, n_pixels)) * 1.0
    light[np.arange(n_frames), rng.integers(0, n_pixels, n_frames)] += 2000.0

    def counts(frames):
        return np.round((frames + rng.normal(0, 6.0, frames.shape)) / 2.0 + 300).astype(np.int64)

    return SpectrumData(wavelength, counts(light), counts(np.zeros((3, n_pixels))), 10.0, 2.0, 6.0, 65535)


def study(kind, points, sample, temperature_K, *, electrons, mu, duration_s, n_blocks, dead):
    """Pulls of all numbers over many points; a number that was not given counts as missing."""
    emission = load_sample(sample).emission(temperature_K)
    uncoupled = emission.component("uncoupled")
    truth = (np.nan, np.nan, np.nan, uncoupled.lifetime_s)
    if len(emission.components) > 1:
        coupled = emission.component("coupled")
        shift = uncoupled.energy_eV - coupled.energy_eV
        truth = (shift, coupled.weight, coupled.lifetime_s, uncoupled.lifetime_s)
    pulls, refused, seconds = [], 0, []
    for seed in range(points):
        rng = np.random.default_rng([seed, int(temperature_K), 5])
        spectrum = camera_frames(rng, emission, electrons=electrons)
        pairs = burst_record(
            rng, emission, xrays_per_s=3e6, mu=mu, duration_s=duration_s, n_blocks=n_blocks, dead=dead
        )
        began = time.perf_counter()
        dead_time_s = 77e-9 if dead else 0.0
        try:
            if kind == "joint":
                fit = fit_joint(spectrum, pairs, G2Options(SIGMA_S, dead_time_s=dead_time_s))
            else:
                fit = fit_point(spectrum, pairs, response_sigma_s=SIGMA_S, dead_time_s=dead_time_s)
        except FitRefused:
            refused += 1
            continue
        seconds.append(time.perf_counter() - began)
        row = []
        for name, true in zip(NUMBERS, truth, strict=True):
            value = getattr(fit, name)
            row.append(np.nan if value is None else (value.value - true) / value.error)
        pulls.append(row)
    report(kind, sample, temperature_K, mu, np.array(pulls), refused, np.median(seconds))


def sweep_study(sweeps, sample_name):
    """Pulls of the laws of whole sweeps, spectra and pairs of five temperatures in one likelihood."""
    sample = load_sample(sample_name)
    temperatures = (300.0, 200.0, 150.0, 110.0, 80.0)
    cold, middle = sample.emission(80.0), sample.emission(150.0)
    pulls, seconds = [], []
    for seed in range(sweeps):
        rng = np.random.default_rng([seed, 6])
        points = []
        for temperature_K in temperatures:
            emission = sample.emission(temperature_K)
            pairs = burst_record(
                rng, emission, xrays_per_s=3e6, mu=0.05, duration_s=1.0, n_blocks=25, dead=True
            )
            frames = camera_frames(rng, emission, electrons=1e4)
            points.append(SweepPoint(temperature_K, pairs, spectrum=frames))
        began = time.perf_counter()
        fit = fit_sweep(points, G2Options(SIGMA_S), shared="all")
        seconds.append(time.perf_counter() - began)
        shift = cold.component("uncoupled").energy_eV - cold.component("coupled").energy_eV
        numbers = {
            "A_X slow": (fit.estimates.value("rate_constant_slow_K"), sample.rate_constant_K),
            "tau_slow 80 K": (fit.lifetime_s("slow", 80.0), cold.component("uncoupled").lifetime_s),
            "tau_fast 80 K": (fit.lifetime_s("fast", 80.0), cold.component("coupled").lifetime_s),
            "tau_fast 150 K": (fit.lifetime_s("fast", 150.0), middle.component("coupled").lifetime_s),
            "fraction 80 K": (fit.coupled_fraction(80.0), cold.component("coupled").weight),
            "fraction 150 K": (fit.coupled_fraction(150.0), middle.component("coupled").weight),
            "red-shift 80 K": (fit.red_shift_eV(80.0), shift),
        }
        pulls.append([(value.value - true) / value.error for value, true in numbers.values()])
    report(
        f"sweep of {len(temperatures)}",
        sample_name,
        80.0,
        0.05,
        np.array(pulls),
        0,
        np.median(seconds),
        numbers,
    )


def report(kind, sample, temperature_K, mu, pulls, refused, seconds, names=NUMBERS):
    print(
        f"\n{kind}: {sample} at {temperature_K:g} K, mu = {mu}, {len(pulls)} points, {refused} refused, "
        f"{seconds * 1e3:.0f} ms a fit (median)"
    )
    print("number             given   mean pull    sd     inside 1   inside 2   beyond 3")
    for name, column in zip(names, pulls.T, strict=True):
        known = column[np.isfinite(column)]
        if known.size == 0:
            continue
        size = np.abs(known)
        print(
            f"{name:18s} {known.size:5d}   {known.mean():+6.2f}({1 / np.sqrt(max(known.size, 1)):.2f})  "
            f"{known.std():5.2f}   {np.mean(size < 1):7.3f}   {np.mean(size < 2):8.3f}   "
            f"{np.mean(size > 3):8.3f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=300)
    parser.add_argument("--sample", default="xray-A")
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--sweeps", type=int, default=60, help="whole sweeps in one fit each")
    arguments = parser.parse_args()
    usual = {"electrons": 1e4, "mu": 0.05, "duration_s": 1.0, "n_blocks": 25, "dead": True}
    if arguments.temperature is not None:
        for kind in ("joint", "point"):
            study(kind, arguments.points, arguments.sample, arguments.temperature, **usual)
        return
    if arguments.sweeps:
        sweep_study(arguments.sweeps, arguments.sample)
    if not arguments.points:
        return
    study("joint", arguments.points, "xray-A", 80.0, **usual)
    study("point", arguments.points, "xray-A", 80.0, **usual)
    study("point", arguments.points, "xray-B", 140.0, **usual)
    study("point", arguments.points, "xray-A", 240.0, **usual)
    bright = usual | {"mu": 0.5, "duration_s": 0.1, "dead": False}
    study("point", arguments.points, "xray-B", 80.0, **bright)


if __name__ == "__main__":
    main()
