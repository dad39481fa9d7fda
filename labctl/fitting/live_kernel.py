"""The lifetime fit as one compiled function, for histograms that are still growing.

The same model, likelihood and convergence rule as ``g2_fit``: Levenberg-Marquardt steps on the Poisson
deviance with the expected information, a Gaussian prior per parameter, bounds by projection. The
interpreter's lock is not held, so acquisition goes on meanwhile.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.live_blinding import expected_pairs
from labctl.photons.compiled import compiled_numeric

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

N_PARAMETERS = 7
"""level, contrast_s, fraction, lifetime_fast_s, lifetime_slow_s, delay_s, response_sigma_s."""


@compiled_numeric
def objective_of(counts: Array, model: Array, theta: Array, prior: Array, precision: Array) -> float:
    """Poisson deviance and the priors' terms; infinite for a model that is not everywhere above 0."""
    total = 0.0
    for k in range(counts.size):
        m = model[k]
        if not m > 0.0:
            return math.inf
        n = counts[k]
        total += m - n
        if n > 0.0:
            total += n * math.log(n / m)
    total *= 2.0
    for i in range(theta.size):
        total += precision[i] * (theta[i] - prior[i]) ** 2
    return total


@compiled_numeric
def score_and_information(
    counts: Array, jacobian: Array, scaled: Array, score: Array, information: Array
) -> None:
    """Score (7,) and expected information (7, 7) of the counts; ``scaled`` (n,) is scratch."""
    model = jacobian[score.size]
    for i in range(score.size):
        own, total = jacobian[i], 0.0
        for k in range(counts.size):
            scaled[k] = own[k] / model[k]
            total += scaled[k] * (counts[k] - model[k])
        score[i] = total
        for j in range(i + 1):
            other, total = jacobian[j], 0.0
            for k in range(counts.size):
                total += scaled[k] * other[k]
            information[i, j] = information[j, i] = total


@compiled_numeric
def damped_step(score: Array, information: Array, moving: Flags, damping: float, step: Array) -> float:
    """Step of the moving parameters into ``step`` (7,) by Cholesky's method.

    Returns:
        Its decrement; -1 where the information of the moving parameters is not positive definite.
    """
    n = score.size
    lower, scale = np.zeros((n, n)), np.zeros(n)
    for i in range(n):
        if moving[i]:
            scale[i] = 1.0 / math.sqrt(information[i, i])
    decrement = 0.0
    for i in range(n):
        # A parameter that is held has a row of its own: of the unit matrix, with nothing on the right.
        step[i] = score[i] * scale[i]
        for j in range(i + 1):
            total = information[i, j] * scale[i] * scale[j]
            if i == j:
                total = total + damping if moving[i] else 1.0
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i > j:
                lower[i, j] = total / lower[j, j]
                step[i] -= lower[i, j] * step[j]
            elif total > 1e-14:
                lower[i, i] = math.sqrt(total)
            else:
                return -1.0
        step[i] /= lower[i, i]
        decrement += step[i] ** 2
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            step[i] -= lower[k, i] * step[k]
        step[i] /= lower[i, i]
    for i in range(n):
        step[i] *= scale[i]
    return decrement


@compiled_numeric
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
        edges: Bin edges in s (n + 1,), of equal width.
        rates, dead_time: As in ``live_blinding.expected_pairs``.
        information: Filled with the information at the end (7, 7).
        max_steps: Trials at most.

    Returns:
        Whether it converged, trials taken, deviance.
    """
    n = theta.size
    jacobian, scaled = np.empty((n + 1, counts.size)), np.empty(counts.size)
    score, step, trial = np.empty(n), np.empty(n), np.empty(n)
    moving = np.empty(n, dtype=np.bool_)
    for i in range(n):
        trial[i] = theta[i]
    # The first trial is the start itself.
    objective, damping = math.inf, 1e-2
    for count in range(max_steps + 1):
        expected_pairs(trial, edges, accidentals, rates, dead_time, jacobian)
        after = objective_of(counts, jacobian[n], trial, prior, precision)
        if after < objective:
            objective, damping = after, max(0.1 * damping, 1e-12)
            score_and_information(counts, jacobian, scaled, score, information)
            for i in range(n):
                theta[i] = trial[i]
                score[i] -= precision[i] * (theta[i] - prior[i])
                information[i, i] += precision[i]
                held = (theta[i] <= low[i] and score[i] < 0.0) or (theta[i] >= high[i] and score[i] > 0.0)
                moving[i] = not (fixed[i] or held)
            if 0.0 <= damped_step(score, information, moving, 0.0, step) < 1e-8:
                return True, count, objective
        elif count > 0:
            damping *= 10.0
        else:
            # Nothing to improve where the first guess cannot be.
            return False, 0, objective
        while damped_step(score, information, moving, damping, step) < 0.0 and damping < 1e12:
            damping = max(damping * 10.0, 1e-6)
        if not damping < 1e12:
            return False, count, objective
        for i in range(n):
            trial[i] = min(max(theta[i] + step[i], low[i]), high[i])
    return False, max_steps, objective
