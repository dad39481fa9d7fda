"""Expected start-stop pairs per bin and their derivatives.

    pairs_k = accidentals_k x [level + C <A>_k],

<A>_k the mean of A(tau - delay) through the Gaussian response over bin k, exact as a difference of the
cumulative. Accidentals come from the counted tags. Light that is not correlated dilutes C; level takes up
slow drifts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labctl.emission.components import pair_shares
from labctl.emission.response import first_photon
from labctl.fitting.pair_kernel import bin_means, mixture_means

Array = NDArray[np.float64]
Form = Literal["exact", "naive"]

_RAREST = 1e-6

ONE_LIFETIME = ("level", "contrast_s", "lifetime_s", "delay_s", "response_sigma_s")
TWO_LIFETIMES = (
    "level",
    "contrast_s",
    "fraction",
    "lifetime_fast_s",
    "lifetime_slow_s",
    "delay_s",
    "response_sigma_s",
)


def two_component_shares(fraction: float, fast_s: float, slow_s: float) -> tuple[float, Array]:
    """Share of the pairs that decays with the fast lifetime, exact, and its derivatives.

    a = w^2 + w (1 - w) q with q = 2 tau_fast / (tau_fast + tau_slow); the slow share is 1 - a.

    Returns:
        The share, and its derivatives with respect to fraction, fast and slow lifetime (3,).
    """
    total = fast_s + slow_s
    q = 2.0 * fast_s / total
    mixed = fraction * (1.0 - fraction)
    gradient = np.array(
        [
            2.0 * fraction + (1.0 - 2.0 * fraction) * q,
            mixed * 2.0 * slow_s / total**2,
            -mixed * 2.0 * fast_s / total**2,
        ]
    )
    return fraction**2 + mixed * q, gradient


def naive_two_component_shares(fraction: float, fast_s: float, slow_s: float) -> tuple[float, Array]:
    """The same for the naive double exponential w exp(-t/tau_fast) + (1-w) exp(-t/tau_slow)."""
    area = fraction * fast_s + (1.0 - fraction) * slow_s
    share = fraction * fast_s / area
    gradient = np.array(
        [
            fast_s * slow_s / area**2,
            fraction * (1.0 - fraction) * slow_s / area**2,
            -fraction * (1.0 - fraction) * fast_s / area**2,
        ]
    )
    return share, gradient


@dataclass(frozen=True, eq=False)
class PairModel:
    """Expected pairs of one histogram.

    Args:
        edges_s: Bin edges (n + 1,).
        accidentals: Pairs that uncorrelated light of these rates would give (n,).
        n_lifetimes: 1 or 2.
        form: Exact pair density or the naive double exponential.
        mu: Detected photons per burst and detector; above 0 the first-photon density of a detector whose
            dead time is longer than the burst replaces the decay (exact form only).
    """

    edges_s: Array
    accidentals: Array
    n_lifetimes: int
    form: Form = "exact"
    mu: float = 0.0
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", ONE_LIFETIME if self.n_lifetimes == 1 else TWO_LIFETIMES)

    def __call__(self, theta: Array) -> tuple[Array, Array]:
        """Expected pairs (n,) and Jacobian (n, p), parameters in the order of ``names``."""
        level, contrast = float(theta[0]), float(theta[1])
        density, by_shape = self.density(theta[2:])
        jacobian = np.empty((self.accidentals.size, theta.size))
        jacobian[:, 0] = self.accidentals
        jacobian[:, 1] = self.accidentals * density
        jacobian[:, 2:] = (contrast * self.accidentals)[:, None] * by_shape
        return self.accidentals * (level + contrast * density), jacobian

    def density(self, shape: Array) -> tuple[Array, Array]:
        """Mean of A(tau) over each bin, per second (n,), and its derivatives by the shape (n, p - 2)."""
        delay, sigma = float(shape[-2]), float(shape[-1])
        if self.mu > 0.0:
            return self._first_photon_density(shape)
        lifetimes = [float(t) for t in (shape[:1] if self.n_lifetimes == 1 else shape[1:3])]
        parts = [self._kernel(delay, lifetime, sigma) for lifetime in lifetimes]
        if self.n_lifetimes == 1:
            value, by_delay, by_lifetime, by_sigma = parts[0]
            return value, np.stack([by_lifetime, by_delay, by_sigma], axis=1)
        shares = two_component_shares if self.form == "exact" else naive_two_component_shares
        fast_share, gradient = shares(float(shape[0]), *lifetimes)
        slow_share = 1.0 - fast_share
        fast, slow = parts
        apart = fast[0] - slow[0]
        columns = [
            apart * gradient[0],
            apart * gradient[1] + fast_share * fast[2],
            apart * gradient[2] + slow_share * slow[2],
            fast_share * fast[1] + slow_share * slow[1],
            fast_share * fast[3] + slow_share * slow[3],
        ]
        return fast_share * fast[0] + slow_share * slow[0], np.stack(columns, axis=1)

    def _kernel(self, delay_s: float, lifetime_s: float, sigma_s: float) -> Array:
        """Mean over bins of one two-sided exponential; derivatives by delay, lifetime, sigma: (4, n)."""
        out = np.empty((4, self.accidentals.size))
        bin_means(self.edges_s, delay_s, lifetime_s, sigma_s, out)
        return out

    def _first_photon_density(self, shape: Array) -> tuple[Array, Array]:
        """A(tau) of first photons, a mixture of many exponentials; derivatives by the decay's parameters.

        Shares and lifetimes of the mixture are cheap functions of the parameters, differentiated by central
        differences (good to 1e-9); the exponentials themselves are differentiated exactly.
        """
        shares, lifetimes = self._mixture(shape)
        n_decay = shape.size - 2
        by_share = np.empty((n_decay, shares.size))
        by_lifetime = np.empty((n_decay, shares.size))
        for index in range(n_decay):
            step = 1e-5 * max(abs(float(shape[index])), 1e-2 if self.n_lifetimes == 2 and index == 0 else 0.0)
            up, down = shape.copy(), shape.copy()
            up[index] += step
            down[index] -= step
            share_up, lifetime_up = self._mixture(up)
            share_down, lifetime_down = self._mixture(down)
            by_share[index] = (share_up - share_down) / (2.0 * step)
            by_lifetime[index] = (lifetime_up - lifetime_down) / (2.0 * step)
        value = np.empty(self.accidentals.size)
        gradient = np.empty((shape.size, value.size))
        mixture_means(
            self.edges_s,
            shares,
            lifetimes,
            by_share,
            by_lifetime,
            float(shape[-2]),
            float(shape[-1]),
            value,
            gradient,
        )
        return value, gradient.T

    def _mixture(self, shape: Array) -> tuple[Array, Array]:
        """Shares of the pairs and lifetimes of all exponentials in A(tau) of first photons."""
        if self.n_lifetimes == 1:
            weights, lifetimes = first_photon([1.0], [float(shape[0])], self.mu, precision=_RAREST)
        else:
            fraction = float(shape[0])
            weights, lifetimes = first_photon(
                [fraction, 1.0 - fraction], shape[1:3], self.mu, precision=_RAREST
            )
        return pair_shares(weights, lifetimes), lifetimes
