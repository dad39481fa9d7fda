"""The lifetime fit as one compiled function, for histograms that are still growing.

The same model, likelihood and convergence rule as ``g2_fit``: Levenberg-Marquardt steps on the Poisson
deviance with the expected information, a Gaussian prior per parameter, bounds by projection. Nothing of the
size of the histogram is allocated per step and the interpreter's lock is not held, so acquisition goes on
meanwhile.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.live_blinding import expected_blinded
from labctl.fitting.pair_kernel import bin_means
from labctl.photons.compiled import compiled

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

N_PARAMETERS = 7
"""level, contrast_s, fraction, lifetime_fast_s, lifetime_slow_s, delay_s, response_sigma_s."""


@compiled
def expected_pairs(
    theta: Array,
    edges: Array,
    accidentals: Array,
    rates: Array,
    dead_time: float,
    parts: Array,
    jacobian: Array,
) -> None:
    """Model and Jacobian of two lifetimes.

    Args:
        theta: Parameters (7,).
        edges: Bin edges in s (n + 1,).
        accidentals: Pairs without bunching (n,).
        rates: Counts per second of start and stop (2,).
        dead_time: Of the counters, longer than the bursts; 0 for none.
        parts: Scratch (2, 4, n).
        jacobian: Filled (8, n): derivatives by the parameters, then the model.
    """
    if dead_time > 0.0:
        expected_blinded(theta, edges, accidentals, rates, dead_time, jacobian)
        return
    level, contrast, w = theta[0], theta[1], theta[2]
    fast, slow, delay, sigma = theta[3], theta[4], theta[5], theta[6]
    bin_means(edges, delay, fast, sigma, parts[0])
    bin_means(edges, delay, slow, sigma, parts[1])
    total = fast + slow
    q = 2.0 * fast / total
    mixed = w * (1.0 - w)
    share = w * w + mixed * q
    by_w = 2.0 * w + (1.0 - 2.0 * w) * q
    by_fast = mixed * 2.0 * slow / (total * total)
    by_slow = -mixed * 2.0 * fast / (total * total)
    rest = 1.0 - share
    for k in range(accidentals.size):
        a = accidentals[k]
        apart = parts[0, 0, k] - parts[1, 0, k]
        density = share * parts[0, 0, k] + rest * parts[1, 0, k]
        scale = a * contrast
        jacobian[0, k] = a
        jacobian[1, k] = a * density
        jacobian[2, k] = scale * apart * by_w
        jacobian[3, k] = scale * (apart * by_fast + share * parts[0, 2, k])
        jacobian[4, k] = scale * (apart * by_slow + rest * parts[1, 2, k])
        jacobian[5, k] = scale * (share * parts[0, 1, k] + rest * parts[1, 1, k])
        jacobian[6, k] = scale * (share * parts[0, 3, k] + rest * parts[1, 3, k])
        jacobian[7, k] = a * (level + contrast * density)


@compiled
def deviance(counts: Array, model: Array) -> float:
    """Poisson deviance; infinite for a model that is nowhere above 0."""
    total = 0.0
    for k in range(counts.size):
        m = model[k]
        if not m > 0.0:
            return math.inf
        n = counts[k]
        total += m - n
        if n > 0.0:
            total += n * math.log(n / m)
    return 2.0 * total


@compiled
def score_and_information(counts: Array, jacobian: Array, score: Array, information: Array) -> None:
    """Score (7,) and expected information (7, 7) of the counts."""
    n_parameters = score.size
    score[:] = 0.0
    information[:] = 0.0
    row = np.empty(n_parameters)
    for k in range(counts.size):
        weight = 1.0 / jacobian[n_parameters, k]
        pull = counts[k] * weight - 1.0
        for i in range(n_parameters):
            row[i] = jacobian[i, k]
            score[i] += row[i] * pull
        for i in range(n_parameters):
            scaled = row[i] * weight
            for j in range(i + 1):
                information[i, j] += scaled * row[j]
    for i in range(n_parameters):
        for j in range(i):
            information[j, i] = information[i, j]


@compiled
def solve_positive(matrix: Array, right: Array, out: Array) -> bool:
    """Solve a positive definite system by Cholesky's method; False where it is not positive definite."""
    n = right.size
    lower = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i == j:
                if total <= 1e-14:
                    return False
                lower[i, i] = math.sqrt(total)
            else:
                lower[i, j] = total / lower[j, j]
    for i in range(n):
        total = right[i]
        for k in range(i):
            total -= lower[i, k] * out[k]
        out[i] = total / lower[i, i]
    for i in range(n - 1, -1, -1):
        total = out[i]
        for k in range(i + 1, n):
            total -= lower[k, i] * out[k]
        out[i] = total / lower[i, i]
    return True


@compiled
def damped_step(score: Array, information: Array, moving: Flags, damping: float, step: Array) -> float:
    """Step of the moving parameters into ``step`` (7,); returns its decrement, -1 where there is none."""
    index = np.flatnonzero(moving)
    n = index.size
    step[:] = 0.0
    if n == 0:
        return 0.0
    matrix, right, out, scale = np.empty((n, n)), np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        diagonal = information[index[i], index[i]]
        if not diagonal > 0.0:
            return -1.0
        scale[i] = 1.0 / math.sqrt(diagonal)
        right[i] = score[index[i]] * scale[i]
    for i in range(n):
        for j in range(n):
            matrix[i, j] = information[index[i], index[j]] * scale[i] * scale[j]
        matrix[i, i] += damping
    if not solve_positive(matrix, right, out):
        return -1.0
    decrement = 0.0
    for i in range(n):
        decrement += out[i] * right[i]
        step[index[i]] = out[i] * scale[i]
    return decrement


@compiled
def fit_growing(
    theta: Array,
    fixed: Flags,
    low: Array,
    high: Array,
    prior: Array,
    precision: Array,
    counts: Array,
    edges: Array,
    accidentals: Array,
    rates: Array,
    dead_time: float,
    information: Array,
    max_steps: int,
) -> tuple[bool, int, float]:
    """Fit from ``theta``, which is moved to the best parameters.

    Args:
        theta: Start and result (7,).
        fixed, low, high: Which parameters are held, and bounds (7,).
        prior, precision: Mean and inverse variance of what is known beforehand (7,).
        counts, accidentals: Histogram and its expectation without bunching (n,).
        edges: Bin edges in s (n + 1,).
        rates, dead_time: As in :func:`expected_pairs`.
        information: Filled with the information at the end (7, 7).
        max_steps: Trials at most.

    Returns:
        Whether it converged, trials taken, deviance.
    """
    n_parameters = theta.size
    parts = np.empty((2, 4, counts.size))
    jacobian = np.empty((n_parameters + 1, counts.size))
    score, step, trial = np.empty(n_parameters), np.empty(n_parameters), np.empty(n_parameters)
    moving = np.empty(n_parameters, dtype=np.bool_)
    expected_pairs(theta, edges, accidentals, rates, dead_time, parts, jacobian)
    objective = deviance(counts, jacobian[n_parameters])
    # Nothing to improve where the first guess cannot be.
    trials = max_steps if objective < math.inf else 0
    for i in range(n_parameters):
        objective += precision[i] * (theta[i] - prior[i]) ** 2
    damping, fresh = 1e-3, True
    for count in range(trials):
        if fresh:
            score_and_information(counts, jacobian, score, information)
            for i in range(n_parameters):
                score[i] -= precision[i] * (theta[i] - prior[i])
                information[i, i] += precision[i]
                held = (theta[i] <= low[i] and score[i] < 0.0) or (theta[i] >= high[i] and score[i] > 0.0)
                moving[i] = not (fixed[i] or held)
            decrement = damped_step(score, information, moving, 0.0, step)
            if 0.0 <= decrement < 1e-8:
                return True, count, objective
        if damped_step(score, information, moving, damping, step) < 0.0:
            damping = max(damping * 10.0, 1e-6)
            fresh = False
            if damping > 1e12:
                return False, count, objective
            continue
        for i in range(n_parameters):
            trial[i] = min(max(theta[i] + step[i], low[i]), high[i])
        expected_pairs(trial, edges, accidentals, rates, dead_time, parts, jacobian)
        after = deviance(counts, jacobian[n_parameters])
        for i in range(n_parameters):
            after += precision[i] * (trial[i] - prior[i]) ** 2
        if after < objective:
            theta[:] = trial
            objective = after
            damping = max(damping * 0.1, 1e-12)
            fresh = True
        else:
            damping *= 10.0
            fresh = False
            if damping > 1e12:
                return False, count, objective
    return False, max_steps, objective
