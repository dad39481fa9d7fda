import numpy as np
import pytest

from labctl.fitting.g2_fit import G2Options, fit_g2
from labctl.fitting.live import LiveG2Fit
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks

SIGMA = 57e-12
SHARE = Value(0.56, 0.005)


@pytest.fixture
def record(bursts):
    return bursts(np.random.default_rng(1), duration_s=4.0, n_blocks=40)


def test_it_ends_where_the_stored_fit_ends(record):
    live = LiveG2Fit(SIGMA, fraction=SHARE).update(record)
    stored = fit_g2(record, G2Options(SIGMA, fraction=SHARE, dead_time_s=0.0, n_lifetimes=2))
    np.testing.assert_allclose(live.estimates.values, stored.estimates.values, rtol=1e-5)
    assert live.mu == pytest.approx(stored.mu.value, rel=1e-5)
    # Errors: counting times 1 + mu against the scatter between blocks.
    assert live.tau_slow_s.error == pytest.approx(stored.tau_slow_s.error, rel=0.4)


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
