"""What limits a lifetime fit, said in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.fitting.estimates import Estimates
from labctl.fitting.histogram import Histogram
from labctl.fitting.value import Value

if TYPE_CHECKING:
    from labctl.fitting.g2_fit import G2Options

MU_WARNING = 0.02
"""Detected photons per burst and detector from which dead time visibly shortens lifetimes."""


def limit_warnings(
    estimates: Estimates, histogram: Histogram, options: G2Options, n: int, mu: Value, mu_model: float
) -> list[str]:
    """Warnings about window, timing response, order of the lifetimes and dead time.

    Args:
        estimates: The fit's parameters.
        histogram: What was fitted.
        options: How.
        n: Number of lifetimes.
        mu: Detected photons per burst and detector.
        mu_model: mu of the dead-time correction; 0 without.
    """
    found = []
    slow = estimates["lifetime_slow_s" if n == 2 else "lifetime_s"]
    fast = estimates["lifetime_fast_s"] if n == 2 else slow
    slow, fast = max(slow, fast), min(slow, fast)
    delay = estimates["delay_s"]
    reach = min(float(histogram.edges_s[-1]) - delay, delay - float(histogram.edges_s[0]))
    if reach < 5.0 * slow:
        found.append(f"window reaches {reach * 1e9:.1f} ns from the peak, less than 5 lifetimes: widen it")
    if fast < 0.3 * estimates["response_sigma_s"]:
        found.append("a lifetime is far below the timing response: its value hangs on the response given")
    if n == 2 and estimates["lifetime_fast_s"] > estimates["lifetime_slow_s"]:
        found.append("the coupled light came out slower than the uncoupled: lifetimes and fraction disagree")
    if mu.value > MU_WARNING and mu_model == 0.0 and options.dead_time_s > 0.0:
        found.append(
            f"{mu.value:.3f} photons per burst and detector: dead time shortens the lifetimes by roughly "
            f"{30 * mu.value:.1f} %; attenuate the light or fit with the dead time"
        )
    if mu_model > 0.3:
        found.append(f"{mu.value:.2f} photons per burst and detector: the dead-time correction is large")
    return found
