"""Covariance of a fit that holds pairs of bright bursts: counting and the scatter between time blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.blinding import Blinding
from labctl.fitting.estimates import burst_covariance, covariance_or_refuse
from labctl.fitting.histogram import Histogram
from labctl.fitting.pair_model import PairParts
from labctl.fitting.solver import Solution

Array = NDArray[np.float64]


def pair_covariance(
    solution: Solution,
    what: str,
    histogram: Histogram,
    parts: PairParts,
    by_pairs: Array,
    *,
    blinding: Blinding | None,
    fano: float,
    beside: Array | None = None,
) -> tuple[Array, bool]:
    """Covariance of all parameters, and whether there were blocks enough for their scatter.

    Args:
        solution: The converged fit.
        what: Its name, for the refusal.
        histogram: The pairs.
        parts: What the fit expects of them.
        by_pairs: Derivatives of the expected pairs (n, p).
        blinding: Dead time that the model describes; None without.
        fano: Variance of the pairs in the peak relative to counting.
        beside: Covariance of the score of other, independent data in the same fit (p, p).

    Raises:
        FitRefused: the data do not determine the parameters.
    """
    other = np.zeros_like(solution.information) if beside is None else beside
    scatter = histogram.scatter(parts, by_pairs)
    counted = None if blinding is None else other + histogram.counted(parts, by_pairs)
    if scatter is None:
        if counted is None:
            model = parts.accidental + parts.peak
            counted = other + fano * (by_pairs.T @ (by_pairs / model[:, None]))
        return covariance_or_refuse(solution, what, counted), False
    covariance = burst_covariance(
        solution,
        what,
        other + scatter,
        n_blocks=histogram.blocks.n_blocks,
        fano=fano,
        counted=counted,
    )
    return covariance, True
