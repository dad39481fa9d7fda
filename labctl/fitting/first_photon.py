"""Decays of which only the first photon after each pulse was counted (start-stop, TCSPC): no pile-up.

With lambda_k photons expected per pulse in bin k, a pulse that has given no photon before gives one in bin k
with 1 - exp(-lambda_k). P_k = P - (first photons in earlier bins) pulses are left, so

    n_k ~ Binomial(P_k, 1 - exp(-lambda_k)),

bin by bin independent given what came before: the whole likelihood of the histogram at any count rate
(its maximum for free lambda_k is Coates' correction, J. Phys. E 1, 878 (1968)). Background and the light of
earlier pulses hide photons like any others and are part of lambda.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FirstPhotons:
    """First photons per bin as a statistic for the solver.

    Args:
        data: First photons (n,).
        trials: Pulses without a photon before the bin, P_k (n,).
    """

    data: Array
    trials: Array

    def deviance(self, model: Array) -> float:
        """Binomial deviance; infinite for a model that is nowhere above 0 or not below the pulses left."""
        n, left = self.data, self.trials
        used = left > 0.0
        if not np.all(np.isfinite(model)) or np.any(model[used] <= 0.0) or np.any(model[used] >= left[used]):
            return math.inf
        n, left, m = n[used], left[used], model[used]
        seen = n * np.log(np.where(n > 0.0, n / m, 1.0))
        rest = left - n
        unseen = rest * np.log(np.where(rest > 0.0, rest / (left - m), 1.0))
        return float(2.0 * np.sum(seen + unseen))

    def variance(self, model: Array) -> Array:
        """P_k p (1 - p)."""
        left = np.maximum(self.trials, 1.0)
        return np.maximum(model * (1.0 - model / left), 1e-12)


def pulses_left(counts: Array, pulses: float, hidden: float = 0.0) -> Array:
    """Pulses that no photon had stopped before each bin (n,).

    Args:
        counts: First photons (n,).
        pulses: Number of pulses.
        hidden: First photons before the first bin.
    """
    return pulses - hidden - np.concatenate([[0.0], np.cumsum(counts)[:-1]])


def first_photon_model(photons: Array, jacobian: Array, pulses: float, left: Array) -> tuple[Array, Array]:
    """Expected first photons and Jacobian from expected photons.

    Args:
        photons: All photons expected in each bin, of all pulses together (n,).
        jacobian: Their Jacobian (n, p).
        pulses: Number of pulses.
        left: From :func:`pulses_left` (n,).
    """
    rate = photons / pulses
    return left * -np.expm1(-rate), (left * np.exp(-rate) / pulses)[:, None] * jacobian
