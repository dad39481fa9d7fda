"""Photons made one by one against closed forms, other laws and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulators.detectors import Detector
from simulators.photon_source import DARK, Light, PhotonSource, Pulses

IDEAL = Detector(
    efficiency=1.0,
    jitter_ps_rms=0.0,
    dead_time_ps=0.0,
    dark_Hz=0.0,
    afterpulse_probability=0.0,
    transit_ps=0.0,
)
S = 1_000_000_000_000
WEIGHTS = (0.56, 0.44)
LIFETIMES_S = (0.24e-9, 0.74e-9)


def ideal(**changes: float) -> Detector:
    return Detector(
        **{
            "efficiency": 1.0,
            "jitter_ps_rms": 0.0,
            "dead_time_ps": 0.0,
            "dark_Hz": 0.0,
            "afterpulse_probability": 0.0,
            "transit_ps": 0.0,
        }
        | changes
    )


def times(pulses: Pulses, detector: int) -> np.ndarray:
    return pulses.times_ps[pulses.detectors == detector]


def pair_histogram(start_ps: np.ndarray, stop_ps: np.ndarray, window_ps: int, bin_ps: int) -> np.ndarray:
    """Every pair with t_stop - t_start in [-window, window), by brute force."""
    first = np.searchsorted(stop_ps, start_ps - window_ps)
    last = np.searchsorted(stop_ps, start_ps + window_ps)
    counts = last - first
    start = np.repeat(start_ps, counts)
    index = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    lag = stop_ps[index] - start
    return np.bincount((lag + window_ps) // bin_ps, minlength=2 * window_ps // bin_ps)


def integral_of_A(
    tau_s: np.ndarray, weights: tuple[float, ...], lifetimes_s: tuple[float, ...]
) -> np.ndarray:
    """Integral of A from 0 to tau, A(tau) = sum_j w_j exp(-|tau|/tau_j) sum_i w_i / (tau_i + tau_j)."""
    total = np.zeros_like(tau_s)
    for w_j, tau_j in zip(weights, lifetimes_s, strict=True):
        factor = sum(w_i / (tau_i + tau_j) for w_i, tau_i in zip(weights, lifetimes_s, strict=True))
        total += w_j * factor * tau_j * (1 - np.exp(-np.abs(tau_s) / tau_j)) * np.sign(tau_s)
    return total


def chi2_per_bin(counts: np.ndarray, expected: np.ndarray) -> float:
    return float(np.mean((counts - expected) ** 2 / expected))


@pytest.mark.parametrize(("statistics", "bunching"), [("poisson", 1.0), ("geometric", 2.0)])
def test_pairs_follow_the_closed_form_of_g2(statistics, bunching):
    phi_Hz, mu, duration_s = 1e6, 0.1, 10
    source = PhotonSource([IDEAL, IDEAL], statistics=statistics, seed=11)
    pulses = source.pulses(Light(phi_Hz, 2 * mu, WEIGHTS, LIFETIMES_S), duration_s * S)
    start, stop = times(pulses, 0), times(pulses, 1)
    window, bin_ps = 20_000, 50
    counts = pair_histogram(start, stop, window, bin_ps)
    # lags are differences of floored times: the mean over the bin is the closed form's, edges half a ps off
    edges_s = (np.arange(-window, window + 1, bin_ps) - 0.5) * 1e-12
    contrast_s = bunching / phi_Hz
    area_s = np.diff(edges_s + contrast_s * integral_of_A(edges_s, WEIGHTS, LIFETIMES_S))
    expected = start.size * stop.size / duration_s * area_s
    dof = counts.size
    assert chi2_per_bin(counts, expected) == pytest.approx(1.0, abs=5 * math.sqrt(2 / dof))
    # the naive double exponential with the photon shares as amplitudes must be refuted by the same data
    naive_s = np.zeros_like(edges_s)
    for w, tau in zip(WEIGHTS, LIFETIMES_S, strict=True):
        naive_s += w * (1 - np.exp(-np.abs(edges_s) / tau)) * np.sign(edges_s) / 2
    naive = start.size * stop.size / duration_s * np.diff(edges_s + contrast_s * naive_s)
    assert chi2_per_bin(counts, naive) > 2.0


def test_rate_of_each_counter_follows_splitter_and_efficiency():
    source = PhotonSource([ideal(efficiency=0.5), ideal(efficiency=0.25)], splitting=(0.7, 0.2), seed=3)
    light = Light(2e6, 0.1, (1.0,), (1e-9,))
    assert source.mean_counts_per_burst(light) == pytest.approx([0.035, 0.005])
    pulses = source.pulses(light, 10 * S)
    for detector, mu in ((0, 0.035), (1, 0.005)):
        expected = 2e7 * mu
        # compound Poisson: variance of the count is Phi T <n^2> = Phi T (mu + mu^2)
        assert times(pulses, detector).size == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 + mu)))


@pytest.mark.parametrize(
    ("statistics", "mean"),
    [(law, mean) for law in ("poisson", "geometric") for mean in (0.03, 1.7, 45.0)] + [("cascade", 45.0)],
)
def test_thinned_bursts_have_the_law_of_all_bursts_made_one_by_one(statistics, mean):
    phi_Hz, duration_s = 2e5, 1.0
    emitted, kept = 100 * mean, 0.01
    counter = ideal(efficiency=kept)
    source = PhotonSource([counter], splitting=(1.0,), statistics=statistics, seed=5)
    pulses = source.pulses(Light(phi_Hz, emitted, (1.0,), (0.0,)), int(duration_s * S))
    # without lifetime and jitter the photons of one X-ray share a time stamp
    sizes = np.unique(pulses.times_ps, return_counts=True)[1]
    generator = np.random.default_rng(6)
    bursts = generator.poisson(phi_Hz * duration_s)
    # a burst's mean varies from X-ray to X-ray: not at all, exponentially, by 1 / 0.0071 photons' worth
    spread = {"poisson": np.inf, "geometric": 1.0, "cascade": 1 / 0.0071}[statistics]
    means = emitted if spread == np.inf else generator.gamma(spread, emitted / spread, bursts)
    photons = generator.poisson(means, bursts)
    brute = generator.binomial(photons, kept)
    brute = brute[brute > 0]
    # a shared picosecond merges two bursts once in 5e6
    assert sizes.size == pytest.approx(brute.size, abs=6 * math.sqrt(2 * brute.size))
    edges = np.unique(np.quantile(np.concatenate([sizes, brute]), np.linspace(0, 1, 12)).astype(int))
    edges = np.append(edges, edges[-1] + 1)
    mine, theirs = np.histogram(sizes, edges)[0], np.histogram(brute, edges)[0]
    used = mine + theirs > 20
    pull = (mine - theirs)[used] / np.sqrt((mine + theirs)[used])
    assert np.abs(pull).max() < 4.5


def test_pulsed_light_decays_as_its_components():
    period_ps = 50_000
    light = Light(photons_per_burst=0.05, weights=WEIGHTS, lifetimes_s=LIFETIMES_S, pulse_period_ps=period_ps)
    source = PhotonSource([IDEAL], splitting=(1.0,), seed=8)
    pulses = source.pulses(light, S // 2)
    expected_photons = 0.05 * 0.5e12 / period_ps
    assert pulses.times_ps.size == pytest.approx(expected_photons, abs=6 * math.sqrt(expected_photons))
    edges_ps = np.arange(0, 6001, 100)
    counts = np.histogram(pulses.times_ps % period_ps, edges_ps)[0]
    surviving = sum(w * np.exp(-edges_ps * 1e-12 / tau) for w, tau in zip(WEIGHTS, LIFETIMES_S, strict=True))
    expected = pulses.times_ps.size * -np.diff(surviving)
    assert chi2_per_bin(counts, expected) == pytest.approx(1.0, abs=5 * math.sqrt(2 / counts.size))


def test_laser_pulses_keep_their_phase_over_ragged_calls():
    light = Light(photons_per_burst=0.3, weights=(1.0,), lifetimes_s=(0.0,), pulse_period_ps=12_345)
    source = PhotonSource([IDEAL], splitting=(1.0,), seed=2)
    pieces = [source.pulses(light, step).times_ps for step in (7, 12_345, 1_000_003, 999_999_999, 3)]
    stamps = np.concatenate(pieces)
    assert stamps.size > 10_000
    assert not np.any(stamps % 12_345)


def test_dead_time_saturates_as_the_formula_says():
    for rate_Hz in (1e5, 1e6, 1e7):
        source = PhotonSource([ideal(dead_time_ps=77_000.0)], splitting=(1.0,), seed=4)
        n = source.pulses(Light(continuous_Hz=rate_Hz), S // 5).times_ps.size
        expected = 0.2 * rate_Hz / (1 + rate_Hz * 77e-9)
        # variance of a renewal process with dead time is below Poisson
        assert n == pytest.approx(expected, abs=5 * math.sqrt(expected))
    source = PhotonSource([ideal(dead_time_ps=77_000.0)], splitting=(1.0,), seed=4)
    stamps = source.pulses(Light(continuous_Hz=1e7), S // 10).times_ps
    assert np.diff(stamps).min() >= 76_999


def test_dead_time_leaves_the_first_photon_of_a_burst():
    """Pairs of first photons: density h(t) = mu f(t) exp(-mu F(t)) / (1 - exp(-mu)) on either counter."""
    mu, phi_Hz, duration_s = 0.8, 1e5, 20
    counter = ideal(dead_time_ps=77_000.0)
    source = PhotonSource([counter, counter], seed=16)
    pulses = source.pulses(Light(phi_Hz, 2 * mu, WEIGHTS, LIFETIMES_S), duration_s * S)
    start, stop = times(pulses, 0), times(pulses, 1)
    fires = 1 - math.exp(-mu)
    # a burst is missed while the counter is blind from another one: non-extending dead time
    live = 1 / (1 + phi_Hz * fires * 77e-9)
    assert start.size == pytest.approx(duration_s * phi_Hz * fires * live, abs=5 * math.sqrt(start.size))
    window, bin_ps = 6000, 100
    counts = pair_histogram(start, stop, window, bin_ps)
    step_s = 1e-12
    t = (np.arange(12_000) + 0.5) * step_s
    survives = sum(w * np.exp(-t / tau) for w, tau in zip(WEIGHTS, LIFETIMES_S, strict=True))
    f = sum(w / tau * np.exp(-t / tau) for w, tau in zip(WEIGHTS, LIFETIMES_S, strict=True))
    first = mu * f * np.exp(-mu * (1 - survives)) / fires
    n_fft = 4 * t.size
    overlap = np.fft.irfft(np.abs(np.fft.rfft(first, n_fft)) ** 2, n_fft)[: window + 1] * step_s
    one_side = np.array([overlap[k : k + bin_ps].sum() * step_s for k in range(0, window, bin_ps)])
    shape = np.concatenate([one_side[::-1], one_side])
    # both counters must be awake: to first order, no burst that fired either of them within the dead time
    both_live = 1 / (1 + phi_Hz * (1 - math.exp(-2 * mu)) * 77e-9)
    expected = duration_s * phi_Hz * fires**2 * both_live * shape
    expected += start.size * stop.size / duration_s * bin_ps * 1e-12
    assert counts.sum() == pytest.approx(expected.sum(), rel=0.01)
    scaled = expected * counts.sum() / expected.sum()
    assert chi2_per_bin(counts, scaled) == pytest.approx(1.0, abs=5 * math.sqrt(2 / counts.size))
    # without the dead time in the model the same counts do not fit
    edges_s = np.arange(-window, window + 1, bin_ps) * 1e-12
    all_photons = np.diff(integral_of_A(edges_s, WEIGHTS, LIFETIMES_S))
    assert chi2_per_bin(counts, all_photons * counts.sum() / all_photons.sum()) > 5


def test_area_of_the_peak_scatters_more_than_poisson_when_bursts_are_bright():
    """Fano factor of the number of pairs of one burst: (1 + mu)^2 for Poisson bursts."""
    mu, phi_Hz = 1.0, 1e4
    source = PhotonSource([IDEAL, IDEAL], seed=17)
    light = Light(phi_Hz, 2 * mu, (1.0,), (1e-9,))
    areas = []
    for _ in range(1000):
        pulses = source.pulses(light, S // 20)
        areas.append(pair_histogram(times(pulses, 0), times(pulses, 1), 30_000, 60_000).sum())
    fano = np.var(areas) / np.mean(areas)
    assert np.mean(areas) == pytest.approx(phi_Hz * 0.05 * mu**2, rel=0.02)
    assert fano == pytest.approx((1 + mu) ** 2, rel=6 * math.sqrt(2 / 1000))


def test_dark_counter_gives_its_dark_rate_and_nothing_else():
    source = PhotonSource([ideal(dark_Hz=25.0), ideal(dark_Hz=400.0)], seed=9)
    pulses = source.pulses(DARK, 400 * S)
    assert times(pulses, 0).size == pytest.approx(10_000, abs=500)
    assert times(pulses, 1).size == pytest.approx(160_000, abs=2000)


def test_afterpulses_come_as_often_and_as_late_as_said():
    probability, tail_ps, dead_ps = 0.05, 30_000.0, 77_000.0
    counter = ideal(
        dead_time_ps=dead_ps, afterpulse_probability=probability, afterpulse_tail_ps=tail_ps, dark_Hz=100.0
    )
    source = PhotonSource([counter], splitting=(1.0,), seed=10)
    stamps = source.pulses(DARK, 2000 * S).times_ps
    # each pulse starts P others, those start P again: factor 1 / (1 - P)
    assert stamps.size == pytest.approx(200_000 / (1 - probability), rel=0.01)
    gaps = np.diff(stamps)
    after = gaps[gaps < dead_ps + 20 * tail_ps] - dead_ps
    assert after.size / stamps.size == pytest.approx(
        probability, abs=5 * math.sqrt(probability / stamps.size)
    )
    assert after.mean() == pytest.approx(tail_ps, rel=0.05)


def test_jitter_of_two_counters_adds_in_quadrature():
    counter = ideal(jitter_ps_rms=21.2, transit_ps=500.0)
    source = PhotonSource([counter, counter], seed=12)
    pulses = source.pulses(Light(1e5, 0.2, (1.0,), (0.0,)), 20 * S)
    counts = pair_histogram(times(pulses, 0), times(pulses, 1), 200, 1)
    lag = np.arange(-200, 200)
    n = counts.sum()
    sigma = math.sqrt(np.sum(counts * lag**2) / n)
    assert n > 15_000
    # 1/6 ps^2: both stamps are rounded to whole ps; a few accidental pairs do not show
    assert sigma == pytest.approx(math.sqrt(2 * 21.2**2 + 1 / 6), rel=4 / math.sqrt(2 * n))


def test_crosstalk_shows_at_its_delay_on_both_sides():
    counter = ideal(crosstalk_probability=0.01, crosstalk_delay_ps=5000.0, crosstalk_width_ps=300.0)
    source = PhotonSource([counter, counter], seed=13)
    pulses = source.pulses(Light(continuous_Hz=2e5), 10 * S)
    a, b = times(pulses, 0), times(pulses, 1)
    counts = pair_histogram(a, b, 20_000, 1000).astype(float)
    accidental = a.size * b.size * 1e-9 / 10
    later, earlier = counts[23:27].sum() - 4 * accidental, counts[13:17].sum() - 4 * accidental
    # flashes themselves flash: P + P^2 + ... of the primary events, ratio to all events is P
    assert later == pytest.approx(0.01 * a.size, abs=6 * math.sqrt(0.01 * a.size))
    assert earlier == pytest.approx(0.01 * b.size, abs=6 * math.sqrt(0.01 * b.size))


def test_one_long_call_equals_many_short_ones():
    light = Light(4e6, 0.5, WEIGHTS, (0.3e-9, 40e-9), continuous_Hz=1e5)
    counter = Detector(afterpulse_probability=0.03, crosstalk_probability=0.01)
    whole = PhotonSource([counter, counter], seed=14).pulses(light, S // 20)
    source = PhotonSource([counter, counter], seed=14)
    cuts = np.append(np.sort(np.random.default_rng(1).integers(1, S // 20, 3000)), S // 20)
    pieces = [source.pulses(light, int(step)) for step in np.diff(cuts, prepend=0)]
    stamps = np.concatenate([piece.times_ps for piece in pieces])
    assert stamps.size == whole.times_ps.size > 20_000
    # the same events; float rounding may move one across a whole picosecond
    assert np.abs(stamps - whole.times_ps).max() <= 1
    assert np.mean(stamps != whole.times_ps) < 0.01
    assert np.all(np.diff(stamps) >= 0)


def test_every_pulse_lies_in_the_time_asked_for():
    source = PhotonSource([Detector(), Detector()], seed=15, begin_ps=7)
    light = Light(1e6, 0.2, (1.0,), (3e-9,))
    begin_ps = 7
    for step in (10_000_000, 1, 33_333_333_333):
        stamps = source.pulses(light, step).times_ps
        assert np.all((stamps >= begin_ps) & (stamps < begin_ps + step))
        begin_ps += step
        assert source.now_ps == begin_ps


def test_seed_decides_the_noise_and_nothing_else():
    light = Light(1e6, 0.1, WEIGHTS, LIFETIMES_S)

    def stamps(seed: int) -> np.ndarray:
        return PhotonSource([Detector(), Detector()], seed=seed).pulses(light, S).times_ps

    assert np.array_equal(stamps(1), stamps(1))
    assert not np.array_equal(stamps(1)[:100], stamps(2)[:100])
    assert stamps(1).size == pytest.approx(stamps(2).size, rel=0.05)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bursts_Hz": -1.0}, "bursts_Hz"),
        ({"continuous_Hz": math.nan}, "continuous_Hz"),
        (
            {"bursts_Hz": 1.0, "photons_per_burst": 1.0, "weights": (0.5,), "lifetimes_s": (1e-9,)},
            "add up to 1",
        ),
        (
            {"bursts_Hz": 1.0, "photons_per_burst": 1.0, "weights": (1.0,), "lifetimes_s": (-1e-9,)},
            "lifetimes",
        ),
        ({"weights": (1.0,)}, "differ in length"),
    ],
)
def test_impossible_light_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Light(**wrong)
