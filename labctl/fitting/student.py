"""Student's t for errors that were measured on few pieces of a record.

A variance from the scatter of M blocks scatters itself. Value over error then follows Student's t, not the
normal law: 68.3 % of the results lie within t(0.683, dof) errors. dof counts how well the variance is known:
the relative scatter of a variance is sqrt(2/dof).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

ONE_SIGMA = math.erf(math.sqrt(0.5))
"""Share of a normal law within one standard deviation, 68.27 %: what a printed error stands for."""


def reach(dof: ArrayLike, share: float = ONE_SIGMA) -> Array:
    """Half width of the interval that holds a share of Student's t, in standard errors.

    Args:
        dof: Degrees of freedom, any shape, above 0; infinite for a known variance.
        share: Share of the results inside, 0 to 1.
    """
    from scipy.special import ndtri, stdtrit

    upper = 0.5 + 0.5 * share
    # From 1e6 degrees of freedom on the two agree to 1e-6.
    return np.asarray(np.where(np.less(dof, 1e6), stdtrit(np.minimum(dof, 1e6), upper), ndtri(upper)))


def scatter_of_blocks(weights: ArrayLike) -> tuple[float, float]:
    """What the sum of squared residuals of blocks must be multiplied by, and its degrees of freedom.

    Blocks of weights w (their shares of the record, sum 1) whose variance goes as w leave residuals of
    covariance K = diag(w) - w w^T in units of the whole record's variance, because the fit has taken their
    sum to 0. The sum of squares is on average tr K = 1 - sum w^2 of that variance, and near a chi-squared of
    (tr K)^2/tr(K^2) degrees of freedom: factor M/(M - 1) and M - 1 degrees for M equal blocks. This is the
    rule of Satterthwaite (Biometrics Bull. 2 (1946) 110) for a sandwich covariance (Bell and McCaffrey,
    Survey Methodology 28 (2002) 169); their CR2 factor is the same 1/tr K for equal blocks.

    Args:
        weights: Not negative, any scale, shape (M,).

    Raises:
        ValueError: fewer than two blocks with weight.
    """
    w = np.asarray(weights, dtype=np.float64)
    w = w / w.sum()
    squares = float(np.sum(w**2))
    if not squares < 1.0:
        raise ValueError("the scatter of one block is not known: at least two with counts are needed")
    trace = 1.0 - squares
    return 1.0 / trace, trace**2 / (squares - 2.0 * float(np.sum(w**3)) + squares**2)


def satterthwaite(variance: Array, parts: Iterable[tuple[Array, float]]) -> Array:
    """Degrees of freedom of a sum of independent variances.

    Args:
        variance: The sum, with parts that are known exactly, any shape.
        parts: Those that were measured, each with its degrees of freedom.
    """
    noise = np.zeros_like(variance)
    for part, dof in parts:
        noise = noise + part**2 / dof
    return np.where(noise > 0.0, variance**2 / np.where(noise > 0.0, noise, 1.0), np.inf)
