"""The fit of the growing histogram, fed with the documents of a run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from labctl.emission.components import Emission, pair_share_in_bins, spectrum_per_nm
from labctl.emission.sample import load_sample
from labctl.engine.live import LiveFollower, LiveStanding
from labctl.errors import InputError
from labctl.fitting.live import LiveG2Fit

SIGMA_S = 60e-12
WINDOW_ps, BIN_ps, N_BINS = 16_000, 50, 640
WAVELENGTH_nm = np.linspace(440.0, 640.0, 256)
COUNTERS: dict[str, Any] = {
    "counters": {"data": {"counters_window_ps": WINDOW_ps, "counters_bin_ps": BIN_ps}}
}
STREAMS = ("dark", "spectrum", "g2")


@pytest.fixture
def follower() -> Iterator[LiveFollower]:
    live = LiveFollower(response_sigma_s=SIGMA_S)
    configuration = {
        "spectrometer": {
            "data": {
                "spectrometer_wavelength_nm": WAVELENGTH_nm.tolist(),
                "spectrometer_gain_electrons_per_count": 1.0,
                "spectrometer_read_noise_electrons": 4.0,
                "spectrometer_saturation_counts": 65535,
            }
        },
        **COUNTERS,
    }
    for stream in STREAMS:
        live("descriptor", {"uid": stream, "name": stream, "configuration": configuration})
    yield live
    live.close()
    assert live.failure is None
    assert not any(thread.name == "live fit" for thread in threading.enumerate())


class Night:
    """Documents of one point, with Poisson noise on the closed forms."""

    def __init__(self, live: LiveFollower, light: Emission, *, point: int = 0) -> None:
        self.live, self.point = live, point
        self.rng = np.random.default_rng(17)
        edges_s = (-WINDOW_ps + BIN_ps * np.arange(N_BINS + 1) - 0.5) * 1e-12
        peak = 2e-9 * pair_share_in_bins(light, edges_s, sigma_s=SIGMA_S) / (BIN_ps * 1e-12)
        self.expected = 30.0 * (1.0 + peak)
        self.spectrum = 4000.0 * spectrum_per_nm(light, WAVELENGTH_nm)
        self.spectrum /= spectrum_per_nm(light, WAVELENGTH_nm).max()

    def send(self, stream: str, **data: Any) -> None:
        self.live("event", {"descriptor": stream, "data": {"point_value": self.point, **data}})

    def spectra(self) -> None:
        for stream, light in (("dark", 0.0 * self.spectrum), ("spectrum", self.spectrum)):
            for _ in range(4):
                counts = self.rng.poisson(light) + self.rng.normal(300.0, 4.0, light.size).round()
                self.send(stream, spectrometer_counts=counts, spectrometer_exposure_s=5.0)

    def frame(self) -> None:
        tags = round((30.0 / BIN_ps * 60e12) ** 0.5)
        self.send(
            "g2",
            counters_pairs=self.rng.poisson(self.expected),
            counters_start_tags=tags,
            counters_stop_tags=tags,
            counters_duration_ps=60 * 10**12,
        )


def wait_for_frames(live: LiveFollower, frames: int) -> LiveStanding:
    arrived = threading.Event()

    def look(standing: LiveStanding) -> None:
        if standing.frames >= frames:
            arrived.set()

    live.listeners.append(look)
    if live.newest is None or live.newest.frames < frames:
        assert arrived.wait(120.0), live.failure
    assert live.newest is not None
    return live.newest


def test_lifetimes_with_errors_appear_while_the_histogram_grows(follower: LiveFollower) -> None:
    night = Night(follower, load_sample("xray-B").emission(100.0))
    coupled, uncoupled = load_sample("xray-B").emission(100.0).components
    night.spectra()
    for _ in range(10):
        night.frame()
    standing = wait_for_frames(follower, 10)
    assert (standing.point, standing.single) == (0, False)
    assert standing.fit is not None
    assert standing.fit.tau_fast_s.agrees_with(coupled.lifetime_s, sigmas=3.5)
    assert standing.fit.tau_slow_s.agrees_with(uncoupled.lifetime_s, sigmas=3.5)
    assert standing.fit.tau_slow_s.error < 0.1 * uncoupled.lifetime_s
    assert standing.pairs == pytest.approx(10 * night.expected.sum(), rel=0.01)
    assert standing.rates_per_s[0] == pytest.approx((30.0 / BIN_ps * 60e12) ** 0.5 / 60.0, rel=1e-3)


def test_a_spectrum_with_one_peak_asks_for_one_lifetime(follower: LiveFollower) -> None:
    light = load_sample("xray-B").emission(300.0)
    night = Night(follower, light)
    night.spectra()
    for _ in range(10):
        night.frame()
    standing = wait_for_frames(follower, 10)
    assert standing.single and standing.fit is not None
    assert standing.fit.tau_slow_s.agrees_with(light.component("uncoupled").lifetime_s, sigmas=3.5)


def test_what_says_nothing_is_not_given_as_a_result(follower: LiveFollower) -> None:
    night = Night(follower, load_sample("xray-B").emission(100.0))
    night.expected = np.full(N_BINS, 30.0)
    night.frame()
    assert wait_for_frames(follower, 1).fit is None


def test_frames_are_taken_while_a_fit_hangs_and_the_newest_is_fitted_next(
    follower: LiveFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, free = threading.Event(), threading.Event()
    seen: list[int] = []
    # What was there to compile is compiled once the first, empty answer has come.
    idle = Night(follower, load_sample("xray-B").emission(100.0), point=7)
    idle.frame()
    wait_for_frames(follower, 1)
    follower.newest = None

    def slow(self: LiveG2Fit, pairs: Any) -> None:
        seen.append(pairs.n_blocks)
        begun.set()
        assert free.wait(120.0)

    monkeypatch.setattr(LiveG2Fit, "update", slow)
    night = Night(follower, load_sample("xray-B").emission(100.0))
    night.frame()
    assert begun.wait(120.0)
    for _ in range(5):
        night.frame()
    free.set()
    wait_for_frames(follower, 6)
    assert seen == [1, 6]


def test_a_defect_in_the_fit_is_kept_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: LiveG2Fit, pairs: Any) -> None:
        raise ZeroDivisionError

    live = LiveFollower(response_sigma_s=SIGMA_S)
    live("descriptor", {"uid": "g2", "name": "g2", "configuration": COUNTERS})
    night = Night(live, load_sample("xray-B").emission(100.0))
    night.frame()
    wait_for_frames(live, 1)
    monkeypatch.setattr(LiveG2Fit, "update", broken)
    night.frame()
    live._thread.join(120.0)
    night.frame()
    live.close()
    assert isinstance(live.failure, ZeroDivisionError)


def test_a_new_point_begins_a_new_histogram(follower: LiveFollower) -> None:
    light = load_sample("xray-B").emission(100.0)
    Night(follower, light).frame()
    wait_for_frames(follower, 1)
    follower.newest = None
    Night(follower, light, point=1).frame()
    standing = wait_for_frames(follower, 1)
    assert (standing.point, standing.frames) == (1, 1)


def test_a_response_that_no_fit_takes_ends_the_live_fits_and_not_the_run() -> None:
    live = LiveFollower(response_sigma_s=0.0)
    live.close()
    assert isinstance(live.failure, InputError)
