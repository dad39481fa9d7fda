import sys
import threading
import time

import numpy as np
import pytest

from labctl.fitting.g2_fit import G2Options, fit_g2
from labctl.fitting.live import LiveG2Fit
from labctl.fitting.live_kernel import fit_growing
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks

SIGMA = 57e-12
SHARE = Value(0.56, 0.005)


@pytest.fixture
def record(bursts):
    return bursts(np.random.default_rng(1), duration_s=4.0, n_blocks=40)


def test_it_ends_where_the_stored_fit_ends(record):
    live = LiveG2Fit(SIGMA, fraction=SHARE, dead_time_s=0.0).update(record)
    assert not live.dead_time_corrected
    stored = fit_g2(record, G2Options(SIGMA, fraction=SHARE, dead_time_s=0.0, n_lifetimes=2))
    np.testing.assert_allclose(live.estimates.values, stored.estimates.values, rtol=1e-5)
    assert live.mu == pytest.approx(stored.mu.value, rel=1e-5)
    # Errors: counting times 1 + mu against the scatter between blocks.
    assert live.tau_slow_s.error == pytest.approx(stored.tau_slow_s.error, rel=0.4)


@pytest.mark.parametrize("mu", [0.05, (0.6, 1.1)])
def test_blind_counters_are_described_as_in_the_stored_fit(bursts, mu):
    pairs = bursts(np.random.default_rng(2), mu=mu, xrays_per_s=4e5, duration_s=1.0, n_blocks=25, dead=True)
    live = LiveG2Fit(SIGMA, fraction=SHARE).update(pairs)
    stored = fit_g2(pairs, G2Options(SIGMA, fraction=SHARE, n_lifetimes=2))
    assert live.dead_time_corrected
    np.testing.assert_allclose(live.estimates.values, stored.estimates.values, rtol=1e-5)
    assert live.mu == pytest.approx(stored.mu.value, rel=1e-5)
    assert live.tau_slow_s.agrees_with(0.74e-9, sigmas=3.5)


def test_it_follows_a_growing_histogram_with_few_steps(record):
    fit = LiveG2Fit(SIGMA, fraction=SHARE)
    results = [fit.update(record.select(range(n))) for n in range(4, 41, 4)]
    assert all(result is not None for result in results)
    assert max(result.steps for result in results[2:]) < 10
    errors = [result.tau_slow_s.error for result in results]
    assert errors[-1] < 0.5 * errors[0]
    assert results[-1].tau_fast_s.agrees_with(0.24e-9, sigmas=3.5)


def test_seven_free_parameters(record):
    result = LiveG2Fit(SIGMA, free_response=True).update(record)
    assert result.estimates.value("response_sigma_s").agrees_with(SIGMA, sigmas=3.5)
    assert result.estimates.value("fraction").agrees_with(0.56, sigmas=3.5)


def test_no_number_from_nothing_or_from_a_fit_that_did_not_converge(record, monkeypatch):
    empty = record.select([])
    fit = LiveG2Fit(SIGMA, fraction=SHARE)
    assert fit.update(empty) is None
    monkeypatch.setattr("labctl.fitting.live.MAX_STEPS", 1)
    assert fit.update(record) is None
    monkeypatch.setattr("labctl.fitting.live.MAX_STEPS", 60)
    assert fit.update(record) is not None


def test_a_flat_histogram_gives_no_lifetimes():
    rng = np.random.default_rng(2)
    n = 25
    tags = np.full(n, 40_000, dtype=np.int64)
    flat = rng.poisson(40_000**2 * 32e-12 / 1.0, (n, 1000)).astype(np.uint64)
    pairs = PairBlocks(16_000, 32, flat, tags, tags, np.full(n, 10**12, dtype=np.int64))
    assert LiveG2Fit(SIGMA).update(pairs) is None
    assert LiveG2Fit(SIGMA, fraction=SHARE).update(pairs) is None


@pytest.mark.parametrize("dead_time_s", [0.0, 77e-9])
def test_the_fit_lets_other_threads_run(dead_time_s):
    """Nobody is forced to give up the interpreter's lock: a thread waiting for it gets it from the fit."""
    n = 4000
    edges = np.linspace(-32e-9, 32e-9, n + 1)
    begun, ran = threading.Event(), threading.Event()

    def acquisition():
        begun.wait()
        ran.set()

    first = np.array([1.0, 3e-7, 0.5, 0.3e-9, 0.8e-9, 0.0, SIGMA])
    fixed = np.array([False, False, True, False, False, True, True])
    limits = np.full(7, 1e-15), np.array([9.0, 1e-5, 1.0, 3e-8, 3e-8, 1e-9, 1e-9])
    accidentals = np.full(n, 50.0)
    counts = accidentals.copy()
    counts[n // 2 - 30 : n // 2 + 30] = 9e3
    data = (np.zeros(7), np.zeros(7), counts, edges, accidentals, np.full(2, 1e5), dead_time_s)

    def fit():
        # numpy gives the lock up for long arrays: only short ones are made here.
        fit_growing(first.copy(), fixed, *limits, *data, np.empty((7, 7)), 60)

    fit()  # compiled beforehand
    thread = threading.Thread(target=acquisition)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e6)
    try:
        thread.start()
        begun.set()
        give_up_s = time.monotonic() + 60.0
        while not ran.is_set() and time.monotonic() < give_up_s:
            fit()
        got_its_turn = ran.is_set()
    finally:
        sys.setswitchinterval(usual)
        thread.join()
    assert got_its_turn
