"""How pairs of bright bursts scatter, against bursts drawn photon by photon; errors from few blocks."""

import math

import numpy as np
import pytest

from labctl.fitting.burst_scatter import PairScatter, burst_covariance, expected_score_covariance
from labctl.fitting.histogram import Histogram
from labctl.fitting.pair_model import PairModel
from labctl.fitting.solver import Parameter, PoissonCounts, solve
from labctl.fitting.student import ONE_SIGMA
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks

LIFETIMES_S, SHARE, SIGMA_S, DELAY_S = (0.24e-9, 0.74e-9), 0.56, 57e-12, 0.4e-9


def test_the_scatter_of_a_score_is_that_of_drawn_bursts():
    """Uneven counters, a delay between them, and scores even and odd in the lag."""
    mu, n_bursts = (0.5, 1.1), 40_000
    rng = np.random.default_rng(3)
    photons = [rng.poisson(m, n_bursts) for m in mu]
    times = [
        rng.exponential(rng.choice(LIFETIMES_S, n.sum(), p=(SHARE, 1 - SHARE)))
        + rng.normal(0.0, SIGMA_S / math.sqrt(2.0), n.sum())
        for n in photons
    ]
    of_burst = [np.repeat(np.arange(n_bursts), n) for n in photons]
    # All pairs of a burst: each start with each of the burst's stops.
    partners = photons[1][of_burst[0]]
    start = np.repeat(np.arange(of_burst[0].size), partners)
    first_stop = np.cumsum(photons[1]) - photons[1]
    stop = first_stop[of_burst[0][start]] + np.arange(start.size) - (np.cumsum(partners) - partners)[start]
    lag = times[1][stop] - times[0][start] + DELAY_S

    def scores(tau):
        x = (tau - DELAY_S) / 1e-9
        even = np.exp(-np.abs(x) / 0.3), np.minimum(np.abs(x), 3.0)
        return np.stack([np.ones_like(x), *even, np.tanh(x)], 1)

    score = scores(lag)
    per_burst = np.stack(
        [np.bincount(of_burst[0][start], weights=column, minlength=n_bursts) for column in score.T], 1
    )
    # What is expected of a burst goes as the root of both counters' tags.
    relative = 0.5 * (photons[0] / mu[0] + photons[1] / mu[1])
    per_burst -= np.outer(relative, per_burst.mean(axis=0))
    drawn = per_burst.T @ per_burst

    bin_ps, window_ps = 16, 12_800
    n_bins = 2 * window_ps // bin_ps
    tags = np.array([int(n.sum()) for n in photons])[:, None]
    empty = np.zeros((1, n_bins), np.uint64)
    histogram = Histogram(PairBlocks(window_ps, bin_ps, empty, tags[0], tags[1], np.array([10**12])))
    model = PairModel(histogram.edges_s, histogram.accidentals, 2)
    theta = np.array([0.0, 1.0, SHARE, *LIFETIMES_S, DELAY_S, SIGMA_S])
    theta[1] = n_bursts * mu[0] * mu[1] / float(model(theta)[0].sum())
    pairs = np.maximum(model(theta)[0], 1e-30)
    middle = 0.5 * (histogram.edges_s[1:] + histogram.edges_s[:-1])
    expected = expected_score_covariance(histogram, model, theta, scores(middle) * pairs[:, None], 0.8)
    size = np.sqrt(np.outer(np.diag(drawn), np.diag(drawn)))
    # 40 000 bursts, of which a quarter make pairs, know a variance to about 2 %.
    np.testing.assert_allclose(expected / size, drawn / size, atol=0.04)
    # Pairs of one burst are far from independent here: counting alone would claim half the variance.
    assert np.all(np.diag(drawn)[1:3] > 1.4 * np.array([np.sum(score[:, k] ** 2) for k in (1, 2)]))


def straight_line():
    """A fit of two parameters to 40 bins of 10 000 counts, and what one count adds to the score."""
    x = np.linspace(-1.0, 1.0, 40)
    jacobian = np.stack([np.ones(40), x], 1)
    parameters = [Parameter("level", 9000.0), Parameter("slope", 1.0)]
    solution = solve(
        lambda theta: (jacobian @ theta, jacobian), PoissonCounts(np.full(40, 10_000.0)), parameters
    )
    return solution, np.full(40, 1e4), jacobian / 1e4


def test_blocks_and_model_are_weighted_by_what_they_know():
    solution, pairs, score = straight_line()
    counting = solution.information
    # Believed to 10 %: 2/0.1^2 = 200 degrees of freedom against 24 of the blocks.
    covariance, dof = burst_covariance(
        solution, "line", [PairScatter(counting, 1.2 * counting, 24.0, pairs, score)]
    )
    assert np.diag(covariance) * np.diag(counting) == pytest.approx((200.0 + 24.0 * 1.2) / 224.0, rel=0.01)
    assert dof == pytest.approx(224.0, rel=0.01)
    # Blocks that scatter by three times as much are believed alone, with Student's t of 24: 1.02127 errors.
    covariance, dof = burst_covariance(
        solution, "line", [PairScatter(counting, 3.0 * counting, 24.0, pairs, score)]
    )
    assert np.diag(covariance) * np.diag(counting) == pytest.approx(3.0 * 1.02127**2, rel=1e-3)
    assert dof == pytest.approx(24.0, rel=0.01)


def test_without_blocks_the_model_stands_and_other_data_share_the_variance():
    solution, pairs, score = straight_line()
    half = 0.5 * solution.information
    alone, _ = burst_covariance(solution, "line", [PairScatter(2.0 * half, None, math.inf, pairs, score)])
    assert np.diag(alone) * np.diag(solution.information) == pytest.approx(1.0, rel=0.01)
    # Half of the variance is known exactly: the blocks know the sum four times better.
    _, dof = burst_covariance(
        solution, "line", [PairScatter(half, half, 24.0, 1e3 * pairs, 0.1 * score)], known=half
    )
    assert dof == pytest.approx(200.0 + 4.0 * 24.0, rel=0.02)


@pytest.mark.parametrize(("blocks", "excess"), [(25, 1.0), (25, 4.0), (64, 1.2)])
def test_intervals_from_few_blocks_hold_what_they_say(blocks, excess):
    """Scores drawn block by block, the true variance as the model says, a little more, or four times it."""
    solution, pairs, score = straight_line()
    counting = solution.information
    inverse = np.linalg.inv(counting)
    rng = np.random.default_rng(blocks)
    n = 400
    inside = np.zeros((2, 2))
    for _ in range(n):
        drawn = rng.normal(size=(blocks, 2)) @ np.linalg.cholesky(excess * counting / blocks).T
        off = inverse @ drawn.sum(axis=0)
        apart = drawn - drawn.mean(axis=0)
        measured = blocks / (blocks - 1.0) * apart.T @ apart
        covariance, dof = burst_covariance(
            solution, "line", [PairScatter(counting, measured, blocks - 1.0, pairs, score)]
        )
        for k in range(2):
            value = Value(float(off[k]), math.sqrt(covariance[k, k]), float(dof[k]))
            for level, share in enumerate((ONE_SIGMA, 0.95)):
                low, high = value.interval(share)
                inside[level, k] += low <= 0.0 <= high
    for level, share in enumerate((ONE_SIGMA, 0.95)):
        # A fifth more variance than believed cannot be seen with so few blocks: 9 % short errors at worst.
        short = 0.0 if excess != 1.2 else (0.05 if level == 0 else 0.03)
        assert np.all(inside[level] / n < share + 4.0 * math.sqrt(share * (1.0 - share) / n))
        assert np.all(inside[level] / n > share - short - 4.0 * math.sqrt(share * (1.0 - share) / n))
