"""One-frame spectra: how often a clean frame is said to hold a cosmic ray, and which hits are found.

    python -m benchmarks.cosmic_hits [--clean 1500] [--hits 60]

Frames are drawn electron by electron as in ``benchmarks.fits_coverage``. Hits lie within 15 pixels of the
uncoupled peak's centre: so many pixels with the charge even on them, a tenth spilling to either side, as
charge in units of the noise of these pixels. Printed for each: left out, named in a warning, and the pull of
the coupled fraction (mean, standard deviation).
"""

from __future__ import annotations

import argparse

import numpy as np

from labctl.emission.components import spectrum_shares
from labctl.emission.sample import load_sample
from labctl.fitting.spectrum_fit import fit_spectrum
from labctl.spectra.frames import SpectrumData

WAVELENGTH_NM = np.linspace(440.0, 680.0, 1024)
READ_NOISE = 6.0


def one_frame(rng, mean, hit=None):
    """A frame of these mean electrons, with ``hit`` as first pixel, pixels, electrons."""
    light = rng.poisson(mean).astype(float)
    if hit is not None:
        first, pixels, charge = hit
        extra = np.zeros(mean.size)
        extra[first : first + pixels] = charge / pixels
        light += rng.poisson(np.convolve(extra, [0.1, 0.8, 0.1], "same"))

    def counts(frames):
        return np.round((frames + rng.normal(0.0, READ_NOISE, frames.shape)) / 2.0 + 300).astype(np.int64)

    dark = counts(np.zeros((3, mean.size)))
    return SpectrumData(WAVELENGTH_NM, counts(light[None, :]), dark, 10.0, 2.0, READ_NOISE, 65535)


def electrons_per_pixel(emission, electrons):
    half = 0.5 * (WAVELENGTH_NM[1] - WAVELENGTH_NM[0])
    return electrons * spectrum_shares(emission, np.append(WAVELENGTH_NM - half, WAVELENGTH_NM[-1] + half))


def said(fit):
    """Whether pixels were left out as a cosmic ray, and whether one may be there."""
    return (
        any("cosmic ray" in warning and "left out" in warning for warning in fit.warnings),
        any("or a narrow line" in warning for warning in fit.warnings),
    )


def clean(sample, temperature_K, electrons, frames):
    mean = electrons_per_pixel(load_sample(sample).emission(temperature_K), electrons)
    found = []
    for seed in range(frames):
        rng = np.random.default_rng([seed, int(electrons), int(temperature_K), 7])
        found.append(said(fit_spectrum(one_frame(rng, mean))))
    out, named = np.sum(found, axis=0)
    print(
        f"clean {sample} {temperature_K:g} K, {electrons:g} electrons: {frames} frames, "
        f"{out} left out, {named} named",
        flush=True,
    )


def hits(sample, temperature_K, electrons, frames, pixels, sigmas):
    emission = load_sample(sample).emission(temperature_K)
    mean = electrons_per_pixel(emission, electrons)
    true = emission.component("coupled").weight if len(emission.components) > 1 else None
    peak = int(np.argmin(np.abs(WAVELENGTH_NM - 1239.842 / emission.component("uncoupled").energy_eV)))
    found, pulls = [], []
    for seed in range(frames):
        rng = np.random.default_rng([seed, pixels, int(sigmas), 8])
        first = peak + int(rng.integers(-15, 15)) - pixels // 2
        noise = np.sqrt(np.sum(mean[first : first + pixels] + READ_NOISE**2 * 4.0 / 3.0))
        fit = fit_spectrum(one_frame(rng, mean, (first, pixels, sigmas * noise)))
        found.append(said(fit))
        share = fit.coupled_fraction
        if true is not None and share is not None:
            pulls.append((share.value - true) / share.error)
    out, named = np.mean(found, axis=0)
    either = np.mean(np.any(found, axis=1))
    fraction = f"pull {np.mean(pulls):+.2f}, sd {np.std(pulls):.2f}" if pulls else "no fraction"
    print(
        f"{sample} {temperature_K:g} K, {pixels} pixels, {sigmas:g} sigma: left out {out:.2f}, named "
        f"{named:.2f}, either {either:.2f}; {fraction}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clean", type=int, default=1500)
    parser.add_argument("--hits", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.clean:
        clean("xray-A", 80.0, 1e5, arguments.clean)
        clean("xray-B", 300.0, 1e4, arguments.clean)
        clean("xray-B", 140.0, 3e3, arguments.clean)
        clean("xray-A", 100.0, 3e6, arguments.clean)
    if arguments.hits:
        for sample, temperature_K, electrons in (("xray-A", 80.0, 1e5), ("xray-B", 300.0, 3e4)):
            for pixels in (2, 4, 6, 8, 10):
                for sigmas in (6.0, 10.0, 20.0, 40.0):
                    hits(sample, temperature_K, electrons, arguments.hits, pixels, sigmas)


if __name__ == "__main__":
    main()
