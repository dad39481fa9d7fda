"""One lifetime fitted where a weak second component may be hidden: how far it moves the lifetime.

A few percent of coupled light that the spectrum does not show shorten the lifetime of a single exponential by
up to two counting errors, and the g2 alone does not tell either. So the lifetime is averaged over what may be
hidden: share and lifetime of a coupled component are held on a grid, the rest is fitted, and each fit counts
with its likelihood times what is known beforehand: the share by the spectrum's value and error, significant
or not, the coupled lifetime anywhere (in its logarithm) from 0.1 to 0.55 of the other, which holds all that
were ever measured (0.15 to 0.54).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.solver import Model, Parameter, Solution, Statistic, solve
from labctl.fitting.value import Value

Array = NDArray[np.float64]

COUPLED_PER_UNCOUPLED = (0.10, 0.55)
"""Range of the coupled lifetime in units of the other."""


def hidden_shift(
    model: Model,
    statistic: Statistic,
    parameters: Sequence[Parameter],
    one: Solution,
    share: Value,
) -> Value:
    """Mean and spread, over what may be hidden, of the uncoupled lifetime less the single one, in s.

    Args:
        model, statistic: Of two lifetimes.
        parameters: As in ``pair_model.TWO_LIFETIMES``.
        one: The converged fit of one lifetime, ``pair_model.ONE_LIFETIME``.
        share: The spectrum's coupled share of the light.
    """
    single = float(one.values[2])
    shares, share_weights = _hermite(share)
    ratios, ratio_weights = _legendre(*(math.log(ratio) for ratio in COUPLED_PER_UNCOUPLED))
    found: list[tuple[float, float, float]] = []
    start = dict(zip(one.names, one.values, strict=True)) | {"lifetime_slow_s": single}
    for fraction, share_weight in zip(shares, share_weights, strict=True):
        for ratio, ratio_weight in zip(ratios, ratio_weights, strict=True):
            held = {"fraction": fraction, "lifetime_fast_s": single * math.exp(ratio)}
            trial = [
                replace(p, start=held[p.name], fixed=True, prior=None)
                if p.name in held
                else (p if p.fixed else p.at(float(start[p.name])))
                for p in parameters
            ]
            fit = solve(model, statistic, trial)
            if fit.converged:
                shift = float(fit.values[fit.names.index("lifetime_slow_s")]) - single
                found.append((shift, fit.deviance + fit.penalty, share_weight * ratio_weight))
    if not found:
        return Value(0.0, single)
    shifts, deviance, weight = np.array(found).T
    weight = weight * np.exp(-0.5 * (deviance - deviance.min()))
    weight /= weight.sum()
    mean = float(weight @ shifts)
    return Value(mean, math.sqrt(float(weight @ (shifts - mean) ** 2)))


def _hermite(share: Value) -> tuple[Array, Array]:
    """Three nodes and weights of Gauss and Hermite, cut off at 0."""
    nodes = share.value + share.error * math.sqrt(3.0) * np.array([-1.0, 0.0, 1.0])
    return np.clip(nodes, 0.0, 1.0), np.array([1.0, 4.0, 1.0]) / 6.0


def _legendre(low: float, high: float) -> tuple[Array, Array]:
    """Three nodes and weights of Gauss and Legendre."""
    reach = math.sqrt(0.6)
    return (
        0.5 * (low + high) + 0.5 * (high - low) * np.array([-reach, 0.0, reach]),
        np.array([5.0, 8.0, 5.0]) / 18.0,
    )
