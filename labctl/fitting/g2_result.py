"""Lifetimes of one histogram as they were found: values, curve, residuals, and their way to disk and back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from labctl.emission.components import mixture_density_per_s, naive_pair_shares, pair_shares
from labctl.fitting.blinding import Blinding
from labctl.fitting.estimates import Estimates, Goodness, poisson_residuals, software
from labctl.fitting.histogram import Histogram
from labctl.fitting.pair_model import Form, PairModel
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks

Array = NDArray[np.float64]

NOTHING_HIDDEN = Value(0.0, 0.0)


@dataclass(frozen=True, eq=False)
class G2Fit:
    """Lifetimes of one histogram.

    Args:
        n_lifetimes: 1 or 2.
        form: ``"exact"``, or ``"naive"`` double exponential.
        estimates: Parameters as in ``pair_model.ONE_LIFETIME`` or ``TWO_LIFETIMES``.
        goodness: Pearson's chi-squared of bins joined to 20 pairs.
        bic_gain: Gain of two lifetimes over one after the penalty; above 0 speaks for two.
        mu: Detected photons per burst, mean of the two detectors (too low where part of the light is
            background that was not told).
        mu_model: The same where the model describes the dead time, 0 where it does not.
        fano: Fano factor of the peak, (1 + mu)^2; 1 where dead time leaves one photon per burst.
        bin_s: Bin width, over which curves are not averaged.
        at_bound: Parameters that ended on a bound; their errors are one-sided.
        warnings: What limits the result.
        blinding: The dead time that the model describes; None without.
        hidden_shift_s: With one lifetime: how much longer the uncoupled light lives if a weak coupled
            component is hidden in it, mean and spread over what may be.
        software: Name and version that fitted.
    """

    n_lifetimes: int
    form: Form
    estimates: Estimates
    goodness: Goodness
    bic_gain: float
    mu: Value
    mu_model: float
    fano: float
    bin_s: float
    at_bound: tuple[str, ...]
    warnings: tuple[str, ...]
    blinding: Blinding | None = None
    hidden_shift_s: Value = NOTHING_HIDDEN
    software: str = field(default_factory=software)

    @property
    def tau_fast_s(self) -> Value | None:
        """Lifetime of the coupled light; None with one lifetime."""
        return self.estimates.value("lifetime_fast_s") if self.n_lifetimes == 2 else None

    @property
    def tau_slow_s(self) -> Value:
        """Lifetime of the uncoupled light; with one lifetime that one, with what may be hidden in it."""
        fitted = self.estimates.value("lifetime_slow_s" if self.n_lifetimes == 2 else "lifetime_s")
        shift = self.hidden_shift_s
        return Value(fitted.value + shift.value, math.hypot(fitted.error, shift.error), fitted.dof)

    def curve(self, lag_ps: Array) -> Array:
        """The fitted g2 at lags in ps, normalised by the count rates, through the timing response."""
        lag = np.asarray(lag_ps, dtype=np.float64) * 1e-12 - self.estimates["delay_s"]
        if self.n_lifetimes == 1:
            weights, lifetimes = np.array([1.0]), np.array([self.estimates["lifetime_s"]])
        else:
            fraction = self.estimates["fraction"]
            weights = np.array([fraction, 1.0 - fraction])
            lifetimes = np.array([self.estimates["lifetime_fast_s"], self.estimates["lifetime_slow_s"]])
        level, contrast = self.estimates["level"], self.estimates["contrast_s"]
        sigma = self.estimates["response_sigma_s"]
        if self.blinding is not None:
            return self.blinding.curve(lag, (level, contrast, sigma), weights, lifetimes)
        shares = (pair_shares if self.form == "exact" else naive_pair_shares)(weights, lifetimes)
        return level + contrast * mixture_density_per_s(shares, lifetimes, lag, sigma)

    def residuals(self, pairs: PairBlocks) -> tuple[Array, Array]:
        """What the fit leaves over.

        Args:
            pairs: The histogram that was fitted.

        Returns:
            Lags in ps (k,), bins with few pairs joined, and signed roots of the deviance, counted less
            fitted, in standard deviations (k,).
        """
        return pair_pulls(pairs, self.estimates.values, self.n_lifetimes, self.form, self.blinding)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "software": self.software,
            "n_lifetimes": self.n_lifetimes,
            "form": self.form,
            "estimates": self.estimates.to_dict(),
            "goodness": self.goodness.to_dict(),
            "bic_gain": self.bic_gain,
            "mu": self.mu.to_dict(),
            "mu_model": self.mu_model,
            "fano": self.fano,
            "bin_s": self.bin_s,
            "at_bound": list(self.at_bound),
            "warnings": list(self.warnings),
            "blinding": None if self.blinding is None else self.blinding.to_dict(),
            "hidden_shift_s": self.hidden_shift_s.to_dict(),
        }

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> G2Fit:
        """Back from :meth:`to_dict`."""
        return G2Fit(
            n_lifetimes=int(fields["n_lifetimes"]),
            form=fields["form"],
            estimates=Estimates.from_dict(fields["estimates"]),
            goodness=Goodness.from_dict(fields["goodness"]),
            bic_gain=float(fields["bic_gain"]),
            mu=cast(Value, Value.from_dict(fields["mu"])),
            mu_model=float(fields["mu_model"]),
            fano=float(fields["fano"]),
            bin_s=float(fields["bin_s"]),
            at_bound=tuple(fields["at_bound"]),
            warnings=tuple(fields["warnings"]),
            # Runs of earlier versions have neither.
            blinding=Blinding.from_dict(fields["blinding"]) if fields.get("blinding") else None,
            hidden_shift_s=Value.from_dict(fields.get("hidden_shift_s")) or NOTHING_HIDDEN,
            software=str(fields["software"]),
        )


def pair_pulls(
    pairs: PairBlocks, theta: NDArray[np.float64], n_lifetimes: int, form: Form, blinding: Blinding | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lags in ps, bins with few pairs joined, and what ``theta`` leaves over, in standard deviations."""
    histogram = Histogram(pairs)
    model = PairModel(histogram.edges_s, histogram.accidentals, n_lifetimes, form, blinding)
    return poisson_residuals(pairs.lag_ps, histogram.counts, model(theta)[0])
