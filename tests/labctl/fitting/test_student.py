"""Small-sample errors against draws and against closed forms of equal blocks."""

import math

import numpy as np
import pytest

from labctl.fitting.estimates import Estimates
from labctl.fitting.student import ONE_SIGMA, reach, satterthwaite, scatter_of_blocks
from labctl.fitting.value import Value


def test_reach_is_the_tabulated_student_t():
    # Tables of Student's t, two-sided 95 %: 2.776 for 4, 2.064 for 24, 1.998 for 63 degrees of freedom.
    np.testing.assert_allclose(reach([4.0, 24.0, 63.0], 0.95), [2.776, 2.064, 1.998], atol=6e-4)
    assert float(reach(math.inf)) == pytest.approx(1.0) and float(reach(2e6, 0.95)) == pytest.approx(1.959964)


@pytest.mark.parametrize("weights", [np.ones(25), np.r_[np.ones(15), np.full(10, 4.0)], [1.0, 2.0, 3.0, 4.0]])
def test_intervals_from_blocks_of_any_length_hold_what_they_say(weights):
    """A mean of normal blocks, drawn: the scatter is unbiased, and t intervals hold 68.3 and 95 %."""
    w = np.asarray(weights) / np.sum(weights)
    rng = np.random.default_rng(len(w))
    n = 40_000
    score = rng.normal(0.0, np.sqrt(w), (n, w.size))
    total = score.sum(axis=1)
    factor, dof = scatter_of_blocks(w)
    variance = factor * np.sum((score - total[:, None] * w) ** 2, axis=1)
    assert variance.mean() == pytest.approx(1.0, abs=4.0 * variance.std() / math.sqrt(n))
    # A chi-squared of dof degrees of freedom scatters by 2/dof.
    assert variance.var() == pytest.approx(2.0 / dof, rel=0.05)
    for share in (ONE_SIGMA, 0.95):
        inside = np.mean(np.abs(total) < reach(dof, share) * np.sqrt(variance))
        # Satterthwaite's chi-squared is an approximation for unequal blocks, good to half a per cent here.
        bias = 0.0 if np.ptp(w) == 0.0 else 0.006
        assert inside == pytest.approx(share, abs=bias + 4.0 * math.sqrt(share * (1.0 - share) / n))


def test_one_block_says_nothing_of_scatter():
    with pytest.raises(ValueError, match="at least two"):
        scatter_of_blocks([3.0, 0.0])


def test_degrees_of_freedom_of_a_sum():
    # Welch's formula for two samples: variances 4 and 1 on 9 and 19 degrees of freedom, 25/(16/9 + 1/19).
    total = np.array([5.0, 7.0])
    found = satterthwaite(total, [(np.array([4.0, 0.0]), 9.0), (np.array([1.0, 0.0]), 19.0)])
    assert found[0] == pytest.approx(25.0 / (16.0 / 9.0 + 1.0 / 19.0)) and math.isinf(found[1])


def test_degrees_of_freedom_of_a_number_that_follows_from_parameters():
    covariance = np.array([[4.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 9.0]])
    names, values = ("a", "b", "known"), np.zeros(3)
    blocks = Estimates(names, values, covariance, np.array([24.0, 24.0, math.inf]))
    # Block means (a, b) of M = 25 blocks: any sum of them is a block mean, Student's t with 24.
    both = blocks.combined(1.0, ("a", "b"), np.array([1.0, 2.0]))
    assert (both.value, both.error, both.dof) == (1.0, pytest.approx(2.0), pytest.approx(24.0))
    # Welch: variances 4 on 24 degrees and 9 known, 13^2/(4^2/24).
    mixed = blocks.combined(0.0, ("known", "a"), np.array([1.0, 1.0]))
    assert mixed.error == pytest.approx(math.sqrt(13.0)) and mixed.dof == pytest.approx(169.0 * 24.0 / 16.0)
    assert math.isinf(blocks.combined(0.0, ("known",), np.array([1.0])).dof)
    # A parameter that was held adds nothing; without degrees of freedom all is known.
    held = Estimates(names, values, np.diag([0.0, 1.0, 0.0]), np.array([5.0, 24.0, 5.0]))
    assert held.combined(0.0, ("a", "b"), np.array([3.0, 1.0])).dof == pytest.approx(24.0)
    assert held.combined(2.0, ("a",), np.array([3.0])) == Value(2.0, 0.0)
    assert math.isinf(Estimates(names, values, covariance).combined(0.0, ("a",), np.array([1.0])).dof)
