"""Points with made-up light, and a run to put them in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData
from labctl.store.point import PointData
from labctl.store.run_directory import RunDirectory

PointMaker = Callable[..., PointData]


def _spectrum(rng: np.random.Generator, temperature_K: float) -> SpectrumData:
    wavelength_nm = np.linspace(450.0, 650.0, 256)
    bright = 900.0 * np.exp(-(((wavelength_nm - 506.0) / 9.0) ** 2))
    cold = (300.0 - temperature_K) / 220.0
    bright += 500.0 * cold * np.exp(-(((wavelength_nm - 535.0) / 14.0) ** 2))
    return SpectrumData(
        wavelength_nm=wavelength_nm,
        frames=rng.poisson(bright + 300.0, (6, 256)).astype(np.int64),
        dark=rng.poisson(300.0, (3, 256)).astype(np.int64),
        exposure_s=0.1 + 0.2,
        gain_electrons_per_count=1.1,
        read_noise_electrons=4.2,
        saturation_counts=65535,
    )


def _pairs(rng: np.random.Generator) -> PairBlocks:
    window_ps, bin_ps, n_blocks = 20_000, 100, 5
    lag_ps = -window_ps + bin_ps * np.arange(400) + (bin_ps - 1) / 2
    expected = 40.0 * (1.0 + 3.0 * np.exp(-np.abs(lag_ps) / 700.0))
    duration_ps = np.full(n_blocks, 5 * 10**12, dtype=np.int64)
    tags = np.full(n_blocks, round((40.0 / bin_ps * 5e12) ** 0.5), dtype=np.int64)
    return PairBlocks(
        window_ps=window_ps,
        bin_ps=bin_ps,
        pairs=rng.poisson(expected, (n_blocks, 400)).astype(np.uint64),
        start_tags=tags,
        stop_tags=tags + 17,
        duration_ps=duration_ps,
    )


def _background() -> PairBlocks:
    """Beam off: 25 and 30 counts per s for 2 s, no pair."""
    tags = np.array([20, 30], dtype=np.int64)
    duration_ps = np.full(2, 10**12, dtype=np.int64)
    return PairBlocks(20_000, 100, np.zeros((2, 400), np.uint64), tags, tags + 5, duration_ps)


@pytest.fixture
def make_point() -> PointMaker:
    def make(index: int = 3, temperature_K: float = 120.0123456789, **changes: object) -> PointData:
        rng = np.random.default_rng(1000 + index)
        fields: dict[str, object] = {
            "index": index,
            "set_point_K": 120.0,
            "temperature_K": temperature_K,
            "temperature_sd_K": 0.0123,
            "voltage_kV": 39.98,
            "current_uA": 299.7,
            "began_epoch_s": 1_763_640_000.125,
            "ended_epoch_s": 1_763_640_180.5,
            "spectrum": _spectrum(rng, temperature_K),
            "pairs": _pairs(rng),
            "readings": {
                "collection spot": {"value": 50, "unit": "um", "source": "entered"},
                "cryostage_temperature_K": {
                    "value": 120.01,
                    "unit": "K",
                    "source": "measured",
                    "read_at_s": 7.5,
                },
                "substrate": {"value": "Kapton, 50 nm Au", "unit": "", "source": "entered"},
            },
            "truth": {
                "red_shift_eV": 0.12,
                "coupled_fraction": 0.5,
                "tau_fast_s": 0.24e-9,
                "tau_slow_s": 1.1e-9,
                "sample": "xray-B",
            },
            "response_sigma_s": 57.0e-12,
            "background": _background(),
        }
        return PointData(**{**fields, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def fit() -> dict[str, object]:
    return {
        "red_shift_eV": {"value": 0.1215, "error": 0.0021},
        "coupled_fraction": {"value": 0.497, "error": 0.006},
        "tau_fast_s": {"value": 0.236e-9, "error": 0.006e-9},
        "tau_slow_s": {"value": 1.08e-9, "error": 0.03e-9},
        "mu": None,
        "spectrum": None,
        "g2": None,
        "warnings": [],
    }


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDirectory]:
    request = {"sample": "xray-B", "simulated": True, "seed": 1}
    with RunDirectory.create(tmp_path, "temperature_sweep_xray-B", request) as made:
        yield made
