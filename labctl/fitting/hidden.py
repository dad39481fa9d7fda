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
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.profile import Interval
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
    shifts, weights = hidden_shifts(model, statistic, parameters, one, share)
    if not shifts.size:
        return Value(0.0, float(one.values[2]))
    mean = float(weights @ shifts)
    return Value(mean, math.sqrt(float(weights @ (shifts - mean) ** 2)))


def hidden_shifts(
    model: Model,
    statistic: Statistic,
    parameters: Sequence[Parameter],
    one: Solution,
    share: Value,
) -> tuple[Array, Array]:
    """The uncoupled lifetime less the single one for each thing that may be hidden, in s, and its weight.

    Args:
        model, statistic, parameters, one, share: As for :func:`hidden_shift`.

    Returns:
        Shifts (k,) and weights with sum 1 (k,); empty where no fit converged.
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
        return np.zeros(0), np.zeros(0)
    shifts, deviance, weight = np.array(found).T
    weight = weight * np.exp(-0.5 * (deviance - deviance.min()))
    return shifts, weight / weight.sum()


def hidden_interval(single: Interval, shifts: Array, weights: Array, *, rise: float = 1.0) -> Interval:
    """Interval of the uncoupled lifetime with equal chances outside, averaged over what may be hidden.

    Each thing that may be hidden moves the likelihood of the single lifetime, a Gaussian with the two widths
    of its profile; the sum of them by their weights is what is known of the uncoupled lifetime.

    Args:
        single: Profile interval of the single lifetime, both for the same ``rise``.
        shifts, weights: Of :func:`hidden_shifts` (k,).
        rise: 1 for 68 %, 3.84 for 95 %.

    Returns:
        The interval about the mean; open where the single one is.
    """
    centre = single.value + (float(weights @ shifts) if shifts.size else 0.0)
    if single.low is None or single.high is None or not shifts.size:
        return Interval(None, None, centre, hidden_light=True)
    steps = math.sqrt(rise)
    below, above = (single.value - single.low) / steps, (single.high - single.value) / steps
    outside = 0.5 * math.erfc(math.sqrt(0.5 * rise))
    reach = 8.0 * (below + above) + float(np.ptp(shifts))

    def below_share(tau: float) -> float:
        return sum(
            float(w) * _split_normal(tau - single.value - float(s), below, above)
            for s, w in zip(shifts, weights, strict=True)
        )

    ends = [_crossing(below_share, p, centre - reach, centre + reach) for p in (outside, 1.0 - outside)]
    return Interval(ends[0], ends[1], centre, hidden_light=True)


def _split_normal(x: float, below: float, above: float) -> float:
    """Cumulative of the Gaussian with one width below 0 and another above."""
    width = below if x < 0.0 else above
    tail = math.erfc(abs(x) / (width * math.sqrt(2.0))) * width / (below + above)
    return tail if x < 0.0 else 1.0 - tail


def _crossing(rising: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Where a rising function reaches a level, by halving."""
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return 0.5 * (low + high)


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
