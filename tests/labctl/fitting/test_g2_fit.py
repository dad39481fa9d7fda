import json
import math
from dataclasses import replace

import numpy as np
import pytest

from labctl.emission import components as c
from labctl.emission.response import two_sided_cumulative_gradient
from labctl.fitting import profile
from labctl.fitting.blinding import Blinding
from labctl.fitting.g2_fit import G2Options, fit_g2
from labctl.fitting.g2_result import G2Fit
from labctl.fitting.pair_kernel import bin_means
from labctl.fitting.pair_model import (
    PairModel,
    naive_two_component_shares,
    two_component_shares,
)
from labctl.fitting.refusal import FitRefused
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks

SIGMA = 57e-12
SPECTRUM_SAYS = Value(0.56, 0.005)
NO_DEAD_TIME = G2Options(SIGMA, fraction=SPECTRUM_SAYS, dead_time_s=0.0)


def pulls(fits, truth):
    return np.array(
        [
            [
                (fit.tau_fast_s.value - truth[0]) / fit.tau_fast_s.error,
                (fit.tau_slow_s.value - truth[1]) / fit.tau_slow_s.error,
            ]
            for fit in fits
        ]
    )


def test_lifetimes_and_their_errors_hold_for_drawn_bursts(bursts):
    rng = np.random.default_rng(1)
    two = replace(NO_DEAD_TIME, n_lifetimes=2)
    fits = [fit_g2(bursts(rng, duration_s=0.5, n_blocks=25), two) for _ in range(60)]
    found = pulls(fits, (0.24e-9, 0.74e-9))
    inside = np.mean(np.abs(found) < 1.0, axis=0)
    # 60 records: 68 % +- 6 %, bounds at 3 of these; the mean pull at 3.5 of its errors.
    assert np.all(inside > 0.50) and np.all(inside < 0.86)
    assert np.all(np.abs(found.mean(axis=0)) < 0.45)
    assert np.mean([fit.goodness.p_value > 0.01 for fit in fits]) > 0.9


def test_a_weak_fast_component_leaves_the_slow_lifetime_well_known(bursts):
    # A twentieth of the light: the other nineteen decide the slow lifetime.
    options = G2Options(SIGMA, fraction=Value(0.05, 0.0007), n_lifetimes=2, dead_time_s=0.0)
    for seed in range(3):
        record = bursts(
            np.random.default_rng(seed),
            (0.05, 0.95),
            (0.4e-9, 2.32e-9),
            xrays_per_s=1e6,
            mu=0.03,
            duration_s=3.0,
            window_ps=40_960,
        )
        slow = fit_g2(record, options).tau_slow_s
        assert slow.error < 0.12e-9
        assert slow.agrees_with(2.32e-9, sigmas=4.0)


def test_a_profile_that_finds_no_end_widens_the_fast_lifetime_only(bursts, monkeypatch):
    options = G2Options(SIGMA, fraction=Value(0.05, 0.0007), n_lifetimes=2, dead_time_s=0.0)
    record = bursts(
        np.random.default_rng(0), (0.05, 0.95), (0.4e-9, 2.32e-9), xrays_per_s=1e6, mu=0.03, window_ps=40_960
    )
    monkeypatch.setattr(profile, "profile_interval", lambda *_, **__: profile.Interval(None, None, 1e-9))
    fit = fit_g2(record, options)
    assert fit.tau_fast_s.error >= 0.99 * fit.tau_fast_s.value
    assert fit.tau_slow_s.error < 0.1 * fit.tau_slow_s.value


def test_naive_form_is_biased_and_the_exact_one_is_not(bursts):
    # The reference: 0.24/0.74 ns with a share of 0.56 come out as 0.184/0.632 ns in the naive form.
    record = bursts(np.random.default_rng(2), mu=0.1, duration_s=4.0)
    pinned = replace(NO_DEAD_TIME, pin="fixed", n_lifetimes=2)
    exact = fit_g2(record, pinned)
    naive = fit_g2(record, replace(pinned, form="naive"))
    assert exact.tau_fast_s.agrees_with(0.24e-9, sigmas=3.5)
    assert exact.tau_slow_s.agrees_with(0.74e-9, sigmas=3.5)
    assert naive.tau_fast_s.value == pytest.approx(0.184e-9, rel=0.06)
    assert naive.tau_slow_s.value == pytest.approx(0.632e-9, rel=0.03)
    assert not naive.tau_fast_s.agrees_with(0.24e-9, sigmas=5.0)


def test_with_free_amplitudes_both_forms_fit_but_only_one_gives_the_fraction(bursts):
    record = bursts(np.random.default_rng(3), mu=0.1, duration_s=8.0)
    free = G2Options(SIGMA, dead_time_s=0.0, n_lifetimes=2)
    exact, naive = fit_g2(record, free), fit_g2(record, replace(free, form="naive"))
    assert exact.goodness.chi2 == pytest.approx(naive.goodness.chi2, abs=3.0)
    assert exact.estimates.value("fraction").agrees_with(0.56, sigmas=3.5)
    # Amplitudes 0.68/0.32 where the photons are 0.56/0.44.
    assert naive.estimates["fraction"] == pytest.approx(0.70, abs=0.05)


def test_bright_bursts_widen_the_errors(bursts):
    # mu = 0.5: the area of the peak has a Fano factor of (1 + mu)^2, its error is 1.5 times the counting one.
    rng = np.random.default_rng(4)
    fits = [
        fit_g2(bursts(rng, mu=0.5, duration_s=0.06, n_blocks=30), replace(NO_DEAD_TIME, n_lifetimes=2))
        for _ in range(40)
    ]
    # Brightness from pairs per root of both counts: a scatter of 40 is known to 11 %.
    scatter = np.std([fit.mu.value for fit in fits], ddof=1)
    assert np.mean([fit.mu.error for fit in fits]) == pytest.approx(scatter, rel=0.35)
    assert np.mean([fit.fano for fit in fits]) == pytest.approx(1.5**2, rel=0.02)
    found = pulls(fits, (0.24e-9, 0.74e-9))
    assert np.all(np.mean(np.abs(found) < 2.0, axis=0) > 0.85)


def test_dead_time_is_described_and_without_that_lifetimes_come_out_short(bursts):
    record = bursts(np.random.default_rng(5), mu=0.4, duration_s=0.6, dead=True)
    right = fit_g2(record, G2Options(SIGMA, fraction=SPECTRUM_SAYS))
    assert right.tau_fast_s.agrees_with(0.24e-9, sigmas=3.5)
    assert right.tau_slow_s.agrees_with(0.74e-9, sigmas=3.5)
    assert right.mu.agrees_with(0.4, sigmas=3.5)
    assert right.mu_model == pytest.approx(right.mu.value, rel=1e-2)
    wrong = fit_g2(record, replace(NO_DEAD_TIME, dead_time_s=1e-12, n_lifetimes=2))
    assert wrong.tau_fast_s.value < 0.95 * 0.24e-9
    assert any("dead time shortens" in warning for warning in wrong.warnings)


def test_blind_counters_of_unequal_brightness_with_background(bursts):
    # 0.4 and 1.2 photons per burst on the two counters, and stray light of a third of the counts.
    record = bursts(
        np.random.default_rng(18),
        mu=(0.4, 1.2),
        xrays_per_s=5e5,
        duration_s=0.6,
        n_blocks=25,
        dead=True,
        background_per_s=8e4,
        window_ps=32_768,
    )
    told = fit_g2(record, G2Options(SIGMA, fraction=SPECTRUM_SAYS, background_Hz=(8e4, 8e4)))
    assert told.mu.agrees_with(0.8, sigmas=3.5) and told.mu.error < 0.01
    assert told.tau_fast_s.agrees_with(0.24e-9, sigmas=3.5)
    assert told.tau_slow_s.agrees_with(0.74e-9, sigmas=3.5)
    # The far level is what the dead time leaves, not what a slow drift would make of it.
    assert told.estimates.value("level").agrees_with(1.0, sigmas=3.5)
    assert told.estimates.value("level").error < 0.03
    lag_ps = np.array([-20_000.0, 20_000.0])
    far = np.abs(record.lag_ps[:, None] - lag_ps) < 9000.0
    counted = (record.total() @ far) / (record.expected() @ far)
    np.testing.assert_allclose(
        told.curve(lag_ps), counted, atol=4.0 / math.sqrt((record.total() @ far).min())
    )
    untold = fit_g2(record, G2Options(SIGMA, fraction=SPECTRUM_SAYS))
    assert untold.mu.value < 0.75
    with pytest.raises(FitRefused, match="background"):
        fit_g2(record, G2Options(SIGMA, fraction=SPECTRUM_SAYS, background_Hz=(0.0, 1e7)))


def test_a_drifting_lamp_does_not_look_like_scatter(bursts):
    # Bursts of equal brightness, five times as many in one half as in the other.
    rng = np.random.default_rng(19)
    halves = [
        bursts(rng, mu=0.3, xrays_per_s=rate, duration_s=0.3, n_blocks=20, dead=True) for rate in (2e5, 1e6)
    ]
    record = PairBlocks.concatenate(*halves)
    fit = fit_g2(record, G2Options(SIGMA, fraction=SPECTRUM_SAYS))
    assert fit.mu.agrees_with(0.3, sigmas=3.5)
    # 7e4 bursts on each counter, of which the share p = 0.26 fires the other: p (1 - p)/N, and the dead time.
    share, number = -math.expm1(-0.3), float(record.start_tags.sum())
    counting = math.sqrt(share * (1.0 - share) * (1.0 - 0.5 * share) / number) / (1.0 - share)
    assert fit.mu.error == pytest.approx(counting, rel=0.35)


def test_uncorrelated_light_dilutes_the_contrast_only(bursts):
    record = bursts(np.random.default_rng(6), background_per_s=3e5, duration_s=3.0)
    fit = fit_g2(record, NO_DEAD_TIME)
    assert fit.tau_fast_s.agrees_with(0.24e-9, sigmas=3.5)
    # Burst light is 150 of 450 kcps: C = (1/3)^2 / Phi.
    assert fit.estimates.value("contrast_s").agrees_with(c.contrast_s(3e6, signal_share=1 / 3), sigmas=3.5)
    assert fit.estimates.value("level").agrees_with(1.0, sigmas=3.5)


@pytest.mark.parametrize("pin", ["prior", "fixed", "free"])
def test_the_share_is_prior_held_or_free(bursts, pin):
    record = bursts(np.random.default_rng(7), duration_s=4.0)
    fit = fit_g2(record, replace(NO_DEAD_TIME, pin=pin, n_lifetimes=2))
    share = fit.estimates.value("fraction")
    assert {"prior": share.error <= 0.00501, "fixed": share.error == 0.0, "free": share.error > 0.01}[pin]
    assert fit.tau_fast_s.agrees_with(0.24e-9, sigmas=3.5)


def test_one_lifetime_suffices_where_there_is_one(bursts):
    rng = np.random.default_rng(8)
    options = G2Options(SIGMA, dead_time_s=0.0)
    fits = [
        fit_g2(bursts(rng, (1.0,), (3.35e-9,), window_ps=32_000, duration_s=0.6), options) for _ in range(12)
    ]
    assert sum(fit.n_lifetimes == 1 for fit in fits) >= 11
    found = [(fit.tau_slow_s.value - 3.35e-9) / fit.tau_slow_s.error for fit in fits if fit.n_lifetimes == 1]
    assert np.std(found) == pytest.approx(1.0, abs=0.5)
    assert fits[0].tau_fast_s is None


def test_a_component_below_the_spectrums_sight_is_averaged_over(bursts):
    rng = np.random.default_rng(17)
    plain = G2Options(SIGMA, dead_time_s=0.0, n_lifetimes=1)
    misses, errors = [], []
    for _ in range(12):
        record = bursts(rng, (0.06, 0.94), (0.47e-9, 2.9e-9), window_ps=24_000, bin_ps=48, duration_s=1.0)
        for options in (plain, replace(plain, hidden=Value(0.05, 0.015))):
            fit = fit_g2(record, options)
            misses.append((fit.tau_slow_s.value - 2.9e-9) / fit.tau_slow_s.error)
            errors.append(fit.tau_slow_s.error)
    # One lifetime comes out short by twice its counting error; with what may be hidden it does not.
    assert np.mean(misses[0::2]) < -1.3
    assert abs(np.mean(misses[1::2])) < 3.5 / math.sqrt(12)
    assert np.mean(np.abs(misses[1::2]) < 2.5) > 0.8
    assert np.all(np.array(errors[1::2]) >= np.array(errors[0::2]))


def test_two_lifetimes_are_found_without_a_spectrum(bursts):
    fit = fit_g2(bursts(np.random.default_rng(9), duration_s=3.0), G2Options(SIGMA, dead_time_s=0.0))
    assert fit.n_lifetimes == 2 and fit.bic_gain > 0.0
    assert fit.tau_slow_s.agrees_with(0.74e-9, sigmas=3.5)


def test_delay_between_the_counters_is_found_or_given(bursts):
    record = bursts(np.random.default_rng(10), delay_s=-7.77e-9)
    assert fit_g2(record, NO_DEAD_TIME).estimates.value("delay_s").agrees_with(-7.77e-9, sigmas=3.5)
    held = fit_g2(record, replace(NO_DEAD_TIME, delay_s=-7.77e-9))
    assert held.estimates.value("delay_s") == Value(-7.77e-9, 0.0)


def test_response_can_be_fitted_with_a_prior(bursts):
    record = bursts(np.random.default_rng(11), sigma_s=90e-12, duration_s=4.0)
    fit = fit_g2(record, replace(NO_DEAD_TIME, response_prior=Value(70e-12, 30e-12)))
    assert fit.estimates.value("response_sigma_s").agrees_with(90e-12, sigmas=3.5)


def test_bin_width_does_not_move_the_lifetimes(bursts):
    # Bins as wide as the response: integrated, not sampled at the centre.
    rng = np.random.default_rng(12)
    fit = fit_g2(bursts(rng, bin_ps=250, mu=0.1, duration_s=4.0), NO_DEAD_TIME)
    assert fit.tau_fast_s.agrees_with(0.24e-9, sigmas=3.5) and fit.tau_fast_s.error < 0.01e-9


UNEQUAL = Blinding((1e6, 1.8e6), 4e-9, (0.9, 0.95))


@pytest.mark.parametrize(
    ("n", "form", "blinding"),
    [
        (1, "exact", None),
        (2, "exact", None),
        (1, "naive", None),
        (2, "naive", None),
        (1, "exact", UNEQUAL),
        (2, "exact", UNEQUAL),
        (2, "exact", Blinding((2e6, 2e6), 77e-9)),
    ],
)
def test_jacobian_agrees_with_finite_differences(n, form, blinding):
    edges = np.linspace(-5e-9, 5e-9, 301)
    model = PairModel(edges, np.full(300, 40.0), n, form, blinding)
    theta = np.array(
        [1.1, 3e-7, 0.5e-9, 0.3e-9, 6e-11] if n == 1 else [1.1, 3e-7, 0.4, 0.3e-9, 1e-9, 0.3e-9, 6e-11]
    )
    jacobian = model(theta)[1]
    for index in range(theta.size):
        step = 1e-5 * theta[index]
        up, down = theta.copy(), theta.copy()
        up[index] += step
        down[index] -= step
        numeric = (model(up)[0] - model(down)[0]) / (2 * step)
        np.testing.assert_allclose(jacobian[:, index], numeric, atol=1e-6 * np.max(np.abs(numeric)))


def test_model_is_the_emission_model_in_bins():
    edges = np.linspace(-4e-9, 4e-9, 101)
    emission = c.Emission(
        (c.Component("a", 2.1, 0.1, 0.3, 0.24e-9), c.Component("b", 2.4, 0.1, 0.7, 0.74e-9))
    )
    model = PairModel(edges, np.ones(100), 2)
    theta = np.array([1.0, 2e-7, 0.3, 0.24e-9, 0.74e-9, 0.0, SIGMA])
    share = c.pair_share_in_bins(emission, edges, sigma_s=SIGMA)
    np.testing.assert_allclose(model(theta)[0], 1.0 + 2e-7 * share / np.diff(edges), rtol=1e-10)


def test_compiled_kernel_is_the_numpy_one():
    edges = np.linspace(-30e-9, 30e-9, 1201)
    for lifetime in (5e-12, 0.24e-9, 3.35e-9):
        out = np.empty((4, 1200))
        bin_means(edges, 1.3e-9, lifetime, SIGMA, out)
        numpy_form = two_sided_cumulative_gradient(edges - 1.3e-9, lifetime, SIGMA)
        for row, sign in enumerate((1, -1, 1, 1)):
            expected = sign * np.diff(numpy_form[row]) / np.diff(edges)
            np.testing.assert_allclose(out[row], expected, atol=1e-11 * np.max(np.abs(expected)))


def test_two_component_shares_are_those_of_the_model():
    w, tau = np.array([0.56, 0.44]), np.array([0.24, 0.74])
    assert two_component_shares(0.56, *tau)[0] == pytest.approx(c.pair_shares(w, tau)[0])
    assert naive_two_component_shares(0.56, *tau)[0] == pytest.approx(c.naive_pair_shares(w, tau)[0])


def test_written_and_read_again(bursts):
    fit = fit_g2(bursts(np.random.default_rng(13)), G2Options(SIGMA, fraction=SPECTRUM_SAYS))
    again = G2Fit.from_dict(json.loads(json.dumps(fit.to_dict(), allow_nan=False)))
    lag = np.linspace(-5e3, 5e3, 41)
    np.testing.assert_array_equal(again.curve(lag), fit.curve(lag))
    assert again.to_dict() == fit.to_dict()
    # A fit read from an old run keeps the version that made it.
    earlier = {**fit.to_dict(), "software": "labctl 0.0.7"}
    assert G2Fit.from_dict(earlier).to_dict()["software"] == "labctl 0.0.7"


def test_curve_passes_through_the_data(bursts):
    record = bursts(np.random.default_rng(14), mu=0.1, duration_s=4.0)
    fit = fit_g2(record, G2Options(SIGMA, fraction=SPECTRUM_SAYS, dead_time_s=0.0))
    near = np.abs(record.lag_ps - 1300) < 3000
    pull = (record.g2() - fit.curve(record.lag_ps))[near] / record.g2_error()[near]
    assert np.sqrt(np.mean(pull**2)) < 1.3


def test_residuals_scatter_by_one_and_show_what_the_model_lacks(bursts):
    record = bursts(np.random.default_rng(14), mu=0.1, duration_s=2.0)
    fit = fit_g2(record, G2Options(SIGMA, fraction=SPECTRUM_SAYS, dead_time_s=0.0))
    lag_ps, residual = fit.residuals(record)
    assert lag_ps.size == residual.size < record.n_bins and np.all(np.diff(lag_ps) > 0.0)
    # Independent unit normals: mean square 1 within 4 of sqrt(2/n).
    assert np.mean(residual**2) == pytest.approx(1.0, abs=4.0 * math.sqrt(2.0 / residual.size))
    # Cross-talk adds pairs at one delay: there and nowhere else the residuals stand out, by extra/sqrt(all).
    bin_index = int(np.argmin(np.abs(record.lag_ps - 8000.0)))
    before = int(record.total()[bin_index])
    more = record.pairs.copy()
    more[:, bin_index] += np.uint64(10)
    lag_ps, residual = fit.residuals(replace(record, pairs=more))
    assert lag_ps[np.argmax(residual)] == pytest.approx(record.lag_ps[bin_index], abs=1500.0)
    assert residual.max() > 0.5 * 400.0 / math.sqrt(before + 400.0)


def test_few_blocks_are_marked(bursts):
    fit = fit_g2(bursts(np.random.default_rng(15), n_blocks=5), NO_DEAD_TIME)
    assert any("time blocks are too few" in warning for warning in fit.warnings)


def test_a_short_window_is_marked(bursts):
    fit = fit_g2(
        bursts(np.random.default_rng(16), (1.0,), (3.35e-9,), window_ps=8000),
        G2Options(SIGMA, n_lifetimes=1, dead_time_s=0.0),
    )
    assert any("window reaches" in warning for warning in fit.warnings)


def blocks(pairs, starts=10**6, n=25):
    counts = np.tile(np.asarray(pairs, dtype=np.uint64), (n, 1))
    one = np.full(n, starts // n, dtype=np.int64)
    return PairBlocks(10 * counts.shape[1], 20, counts, one, one, np.full(n, 10**11, dtype=np.int64))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (blocks(np.zeros(1000)), "0 pairs"),
        (blocks(np.zeros(1000), starts=0), "0 starts"),
        (blocks(np.ones(8)), "8 bins"),
        (blocks(np.full(1000, 8)), "no bunching"),
        (blocks(np.r_[np.zeros(500), 1, np.zeros(499)], starts=50), "25 pairs"),
    ],
)
def test_histograms_without_a_peak_are_refused(pairs, message):
    with pytest.raises(FitRefused, match=message):
        fit_g2(pairs, NO_DEAD_TIME)


@pytest.mark.parametrize("spoilt", [math.nan, math.inf, -3.0])
def test_pairs_that_are_no_counts_are_refused(spoilt):
    good = blocks(np.full(1000, 8))
    counts = good.pairs.astype(np.float64)
    counts[3, 500] = spoilt
    with pytest.raises(FitRefused, match="no counts"):
        fit_g2(replace(good, pairs=counts), NO_DEAD_TIME)


@pytest.mark.parametrize("sigma_s", [math.nan, 0.0, -57e-12, 1e-15, 57.0, 5e-9])
def test_a_response_that_no_pair_of_counters_has_is_refused(sigma_s):
    with pytest.raises(FitRefused, match="timing response"):
        fit_g2(blocks(np.full(1000, 8)), G2Options(sigma_s))


@pytest.mark.parametrize("dead_s", [math.nan, -1e-9, math.inf, 77.0, 3e-5])
def test_a_dead_time_that_the_counts_rule_out_is_refused(dead_s):
    """1e6 starts in 2.5 s: 4e5 per s."""
    with pytest.raises(FitRefused, match="dead"):
        fit_g2(blocks(np.full(1000, 8)), G2Options(SIGMA, dead_time_s=dead_s))
