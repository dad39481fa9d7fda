"""Expected start-stop pairs per bin and their derivatives.

    pairs_k = accidentals_k x [level D_k + C <A>_k],

<A>_k the mean of A(tau - delay) through the Gaussian response over bin k, exact as a difference of the
cumulative. Accidentals come from the counted tags. Light that is not correlated dilutes C; level takes up
slow drifts. D is 1, and less where counters are blind after a burst: then A and D depend on the bursts'
brightness and through it on C (``blinding``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.blinding import Blinding, Mixture
from labctl.fitting.decay_sum import mixture_means
from labctl.fitting.pair_kernel import bin_means

Array = NDArray[np.float64]
Form = Literal["exact", "naive"]

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


@dataclass(frozen=True)
class PairParts:
    """Expected pairs by origin, and how they depend on the counted rates.

    Args:
        accidental: Pairs of different bursts (n,).
        peak: Pairs of one burst (n,).
        skew: Change of the model with the log of the start's rate at a fixed geometric mean of the brightness
            (n,); that with the stop's has the opposite sign. 0 without dead time.
    """

    accidental: Array
    peak: Array
    skew: Array


@dataclass(frozen=True, eq=False)
class PairModel:
    """Expected pairs of one histogram.

    Args:
        edges_s: Bin edges (n + 1,), of equal width.
        accidentals: Pairs that uncorrelated light of these rates would give (n,).
        n_lifetimes: 1 or 2.
        form: Exact pair density or the naive double exponential.
        blinding: Counters whose dead time is longer than the burst; None where it is not (exact form only).
    """

    edges_s: Array
    accidentals: Array
    n_lifetimes: int
    form: Form = "exact"
    blinding: Blinding | None = None
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", ONE_LIFETIME if self.n_lifetimes == 1 else TWO_LIFETIMES)

    def __call__(self, theta: Array) -> tuple[Array, Array]:
        """Expected pairs (n,) and Jacobian (n, p), parameters in the order of ``names``."""
        level, contrast = float(theta[0]), float(theta[1])
        jacobian = np.empty((self.accidentals.size, theta.size))
        if self.blinding is None:
            density, by_shape = self._density(theta[2:])
            jacobian[:, 0] = self.accidentals
            jacobian[:, 1] = self.accidentals * density
            jacobian[:, 2:] = (contrast * self.accidentals)[:, None] * by_shape
            return self.accidentals * (level + contrast * density), jacobian
        density, by_contrast, by_shape = self._first_photon_density(contrast, theta[2:])
        far, far_by_contrast, far_by_density = self._far(contrast, float(theta[-2]), density)
        jacobian[:, 0] = far
        jacobian[:, 1] = level * far_by_contrast + density + contrast * by_contrast
        jacobian[:, 2:] = contrast * by_shape
        if far_by_density is not None:
            jacobian[:, 1:] += (
                level * far_by_density[:, None] * self._below(np.column_stack([by_contrast, by_shape]))
            )
        return self.accidentals * (level * far + contrast * density), self.accidentals[:, None] * jacobian

    def parts(self, theta: Array) -> PairParts:
        """Where the pairs of a parameter vector come from."""
        level = float(theta[0])
        model = self(theta)[0]
        if self.blinding is None:
            accidental = level * self.accidentals
            return PairParts(accidental, model - accidental, np.zeros_like(model))
        contrast, blinding = float(theta[1]), self.blinding
        density = self._first_photon_density(contrast, theta[2:])[0]
        accidental = level * self.accidentals * self._far(contrast, float(theta[-2]), density)[0]
        # At a fixed product of the rates (and fixed accidentals) only their ratio moves the brightness.
        start, stop = blinding.rates_per_s
        up, down = (
            replace(self, blinding=replace(blinding, rates_per_s=(start * step, stop / step)))(theta)[0]
            for step in (1.0005, 1.0 / 1.0005)
        )
        return PairParts(accidental, model - accidental, 0.5 * (up - down) / (2.0 * np.log(1.0005)))

    def _density(self, shape: Array) -> tuple[Array, Array]:
        """Mean of A(tau) over each bin, per second (n,), and its derivatives by the shape (n, p - 2)."""
        delay, sigma = float(shape[-2]), float(shape[-1])
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

    def _below(self, density: Array) -> Array:
        """Integral up to the middle of each bin, down the first axis."""
        width = float(self.edges_s[1] - self.edges_s[0])
        return np.asarray(width * (np.cumsum(density, axis=0) - 0.5 * density))

    def _far(self, contrast: float, delay: float, density: Array) -> tuple[Array, Array, Array | None]:
        """D per bin, its derivative by contrast, and by the integral of A (None for equal counters)."""
        assert self.blinding is not None
        lag = 0.5 * (self.edges_s[1:] + self.edges_s[:-1]) - delay
        below = self._below(density)
        far = self.blinding.awake_share(lag, below, contrast)
        start, stop = self.blinding.coincident(contrast)
        by_contrast = (far - 1.0) / contrast if contrast > 0.0 and max(start, stop) < 1.0 else 0.0 * far
        if start == stop:
            return far, by_contrast, None
        return far, by_contrast, np.where(np.abs(lag) < self.blinding.dead_time_s, start - stop, 0.0)

    def _first_photon_density(self, contrast: float, shape: Array) -> tuple[Array, Array, Array]:
        """A(tau) of first photons (n,), a mixture of many exponentials; derivatives by contrast and shape.

        Shares and lifetimes of the mixture are cheap functions of the parameters, differentiated by central
        differences (good to 1e-9); the exponentials themselves are differentiated exactly.
        """
        assert self.blinding is not None
        photons = self.blinding.photons(contrast)
        here = self._mixture(contrast, shape, photons)
        by_share, by_lifetime = [], []
        for index in range(-1, shape.size - 2):
            ends = []
            at = contrast if index < 0 else float(shape[index])
            step = 1e-5 * max(abs(at), 1e-2 if self.n_lifetimes == 2 and index == 0 else 1e-15)
            for sign in (1.0, -1.0):
                moved = shape.copy()
                if index >= 0:
                    moved[index] += sign * step
                ends.append(self._mixture(contrast + sign * step * (index < 0), moved, photons))
            by_share.append((ends[0].shares - ends[1].shares) / (2.0 * step))
            by_lifetime.append((ends[0].lifetimes_s - ends[1].lifetimes_s) / (2.0 * step))
        rows = np.empty((shape.size + 2, self.accidentals.size))
        mixture_means(
            self.edges_s,
            here.shares,
            here.lifetimes_s,
            np.array(by_share),
            np.array(by_lifetime),
            float(shape[-2]),
            float(shape[-1]),
            rows,
        )
        return rows[-1], rows[0], rows[1:-1].T

    def _mixture(self, contrast: float, shape: Array, photons: int) -> Mixture:
        """Shares of the pairs and lifetimes of all exponentials in A(tau) of first photons."""
        assert self.blinding is not None
        if self.n_lifetimes == 1:
            weights, lifetimes = np.array([1.0]), shape[:1]
        else:
            weights, lifetimes = np.array([shape[0], 1.0 - shape[0]]), shape[1:3]
        return self.blinding.mixture(contrast, weights, lifetimes, photons)
