"""One emission, three observables: spectrum, decay and g2 from the same components.

Light of one sample at one temperature is a sum of components i with centre energy E_i, width, share of the
photons w_i and lifetime tau_i. Then (see docs/fits.md for sources)

* spectrum per energy S(E) = sum_i w_i L_i(E); per wavelength S(E) hc / lambda^2;
* decay after a short pulse f(t) = sum_i (w_i / tau_i) exp(-t / tau_i);
* g2 under continuous X-rays g2(tau) = 1 + C A(tau), where photons of one burst make pairs of density

      A(tau) = int f(t) f(t + |tau|) dt = sum_j w_j exp(-|tau|/tau_j) sum_i w_i / (tau_i + tau_j).

The cross terms i != j are the point: a double exponential whose amplitudes are the photon shares is not
A(tau). It is offered as ``naive_pair_density_per_s`` because papers use it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.emission.error_function import normal_cdf
from labctl.emission.response import (
    HC_EV_NM,
    exponential,
    exponential_density,
    two_sided_cumulative,
    two_sided_density,
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Component:
    """One kind of light.

    Args:
        name: ``"coupled"`` or ``"uncoupled"`` for the samples of the rig; any text.
        energy_eV: Centre of its line.
        width_eV: Standard deviation of its Gaussian line.
        weight: Share of the photons, 0 to 1.
        lifetime_s: Lifetime of its exponential decay.

    Raises:
        ValueError: a value that no light can have.
    """

    name: str
    energy_eV: float
    width_eV: float
    weight: float
    lifetime_s: float

    def __post_init__(self) -> None:
        for field in ("energy_eV", "width_eV", "lifetime_s"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"component {self.name}: {field} is {value}, it must be above 0")
        if not 0.0 <= self.weight <= 1.0:
            raise ValueError(f"component {self.name}: weight is {self.weight}, it must be from 0 to 1")


@dataclass(frozen=True)
class Emission:
    """The light of a sample at one temperature: its components, weights adding up to 1.

    Raises:
        ValueError: no component, or weights that do not add up to 1 within 1e-9.
    """

    components: tuple[Component, ...]

    def __post_init__(self) -> None:
        total = sum(component.weight for component in self.components)
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"weights of the components add up to {total}, not to 1")

    @property
    def weights(self) -> Array:
        """Shares of the photons, shape (n,)."""
        return np.array([component.weight for component in self.components])

    @property
    def lifetimes_s(self) -> Array:
        """Lifetimes, shape (n,)."""
        return np.array([component.lifetime_s for component in self.components])

    def component(self, name: str) -> Component:
        """The component of that name.

        Raises:
            KeyError: there is none.
        """
        for component in self.components:
            if component.name == name:
                return component
        raise KeyError(name)


# -- spectrum ----------------------------------------------------------------------------------------------


def line_per_eV(component: Component, energy_eV: ArrayLike, *, resolution_eV: float = 0.0) -> Array:
    """Gaussian line of unit area (without the weight).

    Args:
        component: Centre and width are used.
        energy_eV: Photon energies, any shape.
        resolution_eV: Standard deviation of the spectrometer's Gaussian response, added in quadrature.
    """
    width = math.hypot(component.width_eV, resolution_eV)
    distance = (np.asarray(energy_eV, dtype=np.float64) - component.energy_eV) / width
    return np.exp(-0.5 * distance * distance) / (width * math.sqrt(2.0 * math.pi))


def spectrum_per_eV(emission: Emission, energy_eV: ArrayLike, *, resolution_eV: float = 0.0) -> Array:
    """Share of the photons per eV, S(E); its integral is 1."""
    energy = np.asarray(energy_eV, dtype=np.float64)
    total = np.zeros_like(energy)
    for component in emission.components:
        total += component.weight * line_per_eV(component, energy, resolution_eV=resolution_eV)
    return total


def spectrum_per_nm(emission: Emission, wavelength_nm: ArrayLike, *, resolution_eV: float = 0.0) -> Array:
    """Share of the photons per nm, S(E) hc/lambda^2: what the pixels of a grating spectrometer see."""
    wavelength = np.asarray(wavelength_nm, dtype=np.float64)
    energy = HC_EV_NM / wavelength
    return spectrum_per_eV(emission, energy, resolution_eV=resolution_eV) * energy / wavelength


def spectrum_shares(emission: Emission, edges_nm: ArrayLike, *, resolution_eV: float = 0.0) -> Array:
    """Share of the photons in each wavelength bin, exact for any bin width.

    Args:
        emission: The light.
        edges_nm: Bin edges, shape (n + 1,), rising or falling.
        resolution_eV: Standard deviation of the spectrometer's response.

    Returns:
        Shape (n,), not negative.
    """
    edges = HC_EV_NM / np.asarray(edges_nm, dtype=np.float64)
    total = np.zeros(edges.size - 1)
    for component in emission.components:
        width = math.hypot(component.width_eV, resolution_eV)
        below = normal_cdf((edges - component.energy_eV) / width)
        total += component.weight * np.abs(np.diff(below))
    return total


# -- decay -------------------------------------------------------------------------------------------------


def decay_per_s(emission: Emission, time_s: ArrayLike, *, sigma_s: float = 0.0) -> Array:
    """Photons per second after a short pulse at time 0, per photon: f(t), of unit area.

    Args:
        emission: The light.
        time_s: Times after the pulse, any shape; at 0 without response the limit from above.
        sigma_s: Standard deviation of the detector's Gaussian response; 0 for none.
    """
    time = np.asarray(time_s, dtype=np.float64)
    total = np.zeros_like(time)
    for component in emission.components:
        part = exponential_density(time, component.lifetime_s, sigma_s)
        if sigma_s == 0.0:
            part = np.where(time == 0.0, 1.0 / component.lifetime_s, part)
        total += component.weight * part
    return total


# -- pairs -------------------------------------------------------------------------------------------------


def pair_shares(weights: ArrayLike, lifetimes_s: ArrayLike) -> Array:
    """Share of all pairs in each exponential of A(tau): a_j = w_j sum_i 2 tau_j w_i / (tau_i + tau_j).

    A(tau) = sum_j a_j exp(-|tau|/tau_j) / (2 tau_j); the shares add up to 1 where the weights do.

    Args:
        weights: w, shape (n,).
        lifetimes_s: tau, shape (n,).
    """
    w, tau = np.asarray(weights, dtype=np.float64), np.asarray(lifetimes_s, dtype=np.float64)
    return np.asarray(w * (2.0 * tau[:, None] * w[None, :] / (tau[:, None] + tau[None, :])).sum(axis=1))


def naive_pair_shares(weights: ArrayLike, lifetimes_s: ArrayLike) -> Array:
    """Area shares of the naive double exponential sum_j w_j exp(-|tau|/tau_j), normalised to 1."""
    area = np.asarray(weights, dtype=np.float64) * np.asarray(lifetimes_s, dtype=np.float64)
    return np.asarray(area / area.sum())


def mixture_density_per_s(
    shares: ArrayLike, lifetimes_s: ArrayLike, lag_s: ArrayLike, sigma_s: float
) -> Array:
    """Sum of two-sided exponentials with given area shares, through a Gaussian response."""
    lag = np.asarray(lag_s, dtype=np.float64)
    total = np.zeros_like(lag)
    for share, lifetime in zip(np.atleast_1d(shares), np.atleast_1d(lifetimes_s), strict=True):
        total += share * two_sided_density(lag, float(lifetime), sigma_s)
    return total


def pair_density_per_s(emission: Emission, lag_s: ArrayLike, *, sigma_s: float = 0.0) -> Array:
    """Density of the delay between two photons of one burst, A(tau), of unit area over all lags.

    Args:
        emission: The light.
        lag_s: Delays tau, any shape; A is symmetric.
        sigma_s: Standard deviation of the start-stop timing response; 0 for none.
    """
    shares = pair_shares(emission.weights, emission.lifetimes_s)
    return mixture_density_per_s(shares, emission.lifetimes_s, lag_s, sigma_s)


def naive_pair_density_per_s(emission: Emission, lag_s: ArrayLike, *, sigma_s: float = 0.0) -> Array:
    """The double exponential with amplitudes equal to the photon shares, scaled to unit area.

    Not what the light does (no cross terms): lifetimes fitted with it come out up to 23 % wrong.
    """
    shares = naive_pair_shares(emission.weights, emission.lifetimes_s)
    return mixture_density_per_s(shares, emission.lifetimes_s, lag_s, sigma_s)


def pair_share_in_bins(emission: Emission, edges_s: ArrayLike, *, sigma_s: float = 0.0) -> Array:
    """Integral of A(tau) over each lag bin, exact for any bin width.

    Args:
        emission: The light.
        edges_s: Rising bin edges, shape (n + 1,).
        sigma_s: Standard deviation of the start-stop timing response.

    Returns:
        Shape (n,).
    """
    edges = np.asarray(edges_s, dtype=np.float64)
    shares = pair_shares(emission.weights, emission.lifetimes_s)
    total = np.zeros(edges.size - 1)
    for share, lifetime in zip(shares, emission.lifetimes_s, strict=True):
        total += share * np.diff(two_sided_cumulative(edges, float(lifetime), sigma_s))
    return total


def contrast_s(xray_rate_per_s: float, *, signal_share: float = 1.0, pair_factor: float = 1.0) -> float:
    """Contrast C of g2 = 1 + C A(tau): <n(n-1)> / (<n>^2 Phi) times the squared share of burst light.

    Args:
        xray_rate_per_s: Phi, absorbed X-rays per second.
        signal_share: Share of all counts that comes from bursts (the rest is dark counts and stray light).
        pair_factor: <n(n-1)>/<n>^2 of the photons per burst; 1 for Poisson.

    Returns:
        Contrast in seconds.
    """
    if not xray_rate_per_s > 0.0:
        raise ValueError(f"X-ray rate is {xray_rate_per_s} per s: it must be above 0")
    return pair_factor * signal_share**2 / xray_rate_per_s


def g2(emission: Emission, lag_s: ArrayLike, *, contrast_s: float, sigma_s: float = 0.0) -> Array:
    """Second-order correlation 1 + C A(tau), exact, through the timing response."""
    return 1.0 + contrast_s * pair_density_per_s(emission, lag_s, sigma_s=sigma_s)


def naive_g2(emission: Emission, lag_s: ArrayLike, *, contrast_s: float, sigma_s: float = 0.0) -> Array:
    """g2 with the naive double exponential in place of A(tau)."""
    return 1.0 + contrast_s * naive_pair_density_per_s(emission, lag_s, sigma_s=sigma_s)


def decay_in_bins(emission: Emission, edges_s: ArrayLike, *, sigma_s: float = 0.0) -> Array:
    """Integral of the decay f(t) over each time bin through the response, exact for any bin width.

    The cumulative of one exponential is Phi(t/s) - E(t).

    Args:
        emission: The light.
        edges_s: Rising bin edges relative to the pulse, shape (n + 1,).
        sigma_s: Standard deviation of the response.

    Returns:
        Shape (n,).
    """
    edges = np.asarray(edges_s, dtype=np.float64)
    step = normal_cdf(edges / sigma_s) if sigma_s > 0.0 else (edges >= 0.0).astype(np.float64)
    total = np.zeros(edges.size - 1)
    for component in emission.components:
        tail = exponential(edges, component.lifetime_s, sigma_s)
        if sigma_s == 0.0:
            tail = np.where(edges == 0.0, 1.0, tail)
        total += component.weight * np.diff(step - tail)
    return total
