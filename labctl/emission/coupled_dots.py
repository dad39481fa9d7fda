"""Light of coupled dots that share one excitation: decay, spectrum and rates.

Master equation of Katznelson et al. (arXiv:2412.21101, supplement S8). With at most one excitation the
Lindblad equation reduces to the non-Hermitian H_eff = H - i hbar (Gamma + gamma_nr) / 2, and

    I(t)  = Tr[Gamma rho(t)],   rho(t) = exp(-i H_eff t / hbar) rho(0) exp(+i H_eff^dagger t / hbar)
    S(w)  = (1 / pi) Re int_0^T dt int_0^inf ds exp(i w s) Tr[Gamma exp(-i H_eff s / hbar) rho(t)]

so that the area of S is the number of photons emitted within the window T. Two regimes:

* :func:`exact_modes` diagonalises H_eff: every ratio of coupling to decay, closed form in time and energy.
* :func:`secular_modes` diagonalises H alone and lets each mode radiate by itself at Gamma_k = c_k Gamma c_k.
  It holds when the modes lie further apart than their widths, which real dots do by a factor of 1e5
  (hbar Gamma is a micro-eV, H tens of meV), and it is about ten times faster.

Taken literally - T infinite, no loss - every mode, however dark, emits all of its excitation in the end, so
S is the plain density of states and shows no red-shift. The shift needs a loss rate or a finite window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

HBAR_eV_s = 6.582119569e-16

FloatArray = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# Decay slower than this share of N Gamma_0 is rounding: such a mode is dark and never emits.
_DARK = 1e-12
_ROUNDING = 8 * float(np.finfo(float).eps)
# Eigenvectors this close to parallel mean two modes about to merge (an exceptional point) ...
_ILL_CONDITIONED = 1e7
# ... and the dots are then moved apart by this share of hbar Gamma_0. Light depends smoothly on the dots'
# energies even there, so the answer changes by about as little, while the eigenvectors become usable.
_NUDGE = 1e-8


@dataclass(frozen=True)
class ExactModes:
    """Eigenmodes of H_eff for a stack of R systems of N dots.

    ``eigenvalue_per_s`` (R, N) is complex: angular frequency above ``offset_per_s`` (R,), minus i times half
    the mode's total decay rate. ``weight_per_s`` (R, N, N) holds the light of each pair of modes:
    I(t) = sum_jk weight_jk exp(-i (lambda_j - lambda_k*) t).
    """

    offset_per_s: FloatArray
    eigenvalue_per_s: ComplexArray
    weight_per_s: ComplexArray

    def decay_per_s(self, time_s: npt.ArrayLike) -> FloatArray:
        """Photons per second at ``time_s`` (T,) after the excitation, for each system: (R, T)."""
        times = np.atleast_1d(np.asarray(time_s, dtype=float))
        phases = np.exp(-1j * self.eigenvalue_per_s[:, :, None] * times)
        light = np.einsum("rjt,rjt->rt", phases.conj(), self.weight_per_s.swapaxes(1, 2) @ phases)
        return np.asarray(light.real, dtype=float)

    def photons(self, window_s: float = math.inf) -> FloatArray:
        """Photons emitted by each system up to ``window_s``, at most 1: (R,)."""
        return np.asarray(np.sum(self._collected(window_s), axis=(1, 2)).real, dtype=float)

    def spectrum_per_eV(
        self, energy_eV: npt.ArrayLike, *, window_s: float = math.inf, linewidth_eV: float = 0.0
    ) -> FloatArray:
        """Photons per eV at ``energy_eV`` (E,) of each system, area = :meth:`photons`: (R, E).

        ``linewidth_eV`` (half width at half maximum) convolves with a Lorentzian, exactly: the homogeneous
        width of a dot or a spectrometer's. With a finite window the formula may dip below zero, because it
        cuts the first time of the correlation function but not the second; without one it cannot.
        """
        energies = np.atleast_1d(np.asarray(energy_eV, dtype=float))
        collected = np.sum(self._collected(window_s), axis=2)
        # A dark mode carries no light; its pole on the real axis would divide by zero.
        poles = np.where(self._dark(), -1j * np.max(np.abs(self.eigenvalue_per_s)), self.eigenvalue_per_s)
        collected = np.where(self._dark(), 0.0, collected)
        pole_eV = HBAR_eV_s * (poles + self.offset_per_s[:, None]) - 1j * linewidth_eV
        spectra = np.empty((len(pole_eV), energies.size))
        # One system at a time: the full (R, N, E) table of complex numbers would not fit the cache.
        for row, (pole, weight) in enumerate(zip(pole_eV, collected, strict=True)):
            spectra[row] = np.sum((1j * weight[:, None]) / (energies - pole[:, None]), axis=0).real
        return spectra / np.pi

    def _dark(self) -> npt.NDArray[np.bool_]:
        """Modes that do not decay at all, and so never emit: (R, N)."""
        rate = -2 * self.eigenvalue_per_s.imag
        # An eigenvalue is known to within rounding of the largest one: at real energies that is more.
        rounding = _ROUNDING * np.max(np.abs(self.eigenvalue_per_s), axis=1, keepdims=True)
        least = np.maximum(_DARK * np.max(rate, axis=1, keepdims=True), rounding)
        return np.asarray(rate <= least, dtype=bool)

    def _collected(self, window_s: float) -> ComplexArray:
        """Light of each pair of modes, integrated from 0 to ``window_s``: (R, N, N)."""
        conjugate = self.eigenvalue_per_s.conj()
        exponent = 1j * (self.eigenvalue_per_s[:, :, None] - conjugate[:, None, :])
        dark = self._dark()[:, :, None] | self._dark()[:, None, :]
        usable = np.where(dark, 1.0, exponent)
        if math.isinf(window_s):
            return np.where(dark, 0.0, self.weight_per_s / usable)
        integral: ComplexArray = self.weight_per_s * (-np.expm1(-usable * window_s)) / usable
        return np.where(dark, 0.0, integral)


@dataclass(frozen=True)
class SecularModes:
    """Eigenmodes of H that radiate independently, for a stack of R systems of N dots; all arrays (R, N).

    ``population`` is the share of the excitation that starts in the mode.
    """

    energy_eV: FloatArray
    radiative_rate_per_s: FloatArray
    population: FloatArray
    loss_rate_per_s: float

    @property
    def total_rate_per_s(self) -> FloatArray:
        """Radiative and loss rate of every mode."""
        return self.radiative_rate_per_s + self.loss_rate_per_s

    def decay_per_s(self, time_s: npt.ArrayLike) -> FloatArray:
        """Photons per second at ``time_s`` (T,) after the excitation, for each system: (R, T)."""
        times = np.atleast_1d(np.asarray(time_s, dtype=float))
        light = self.population * self.radiative_rate_per_s
        decays = np.exp(-self.total_rate_per_s[:, :, None] * times)
        return np.asarray((light[:, None, :] @ decays)[:, 0, :], dtype=float)

    def photons_per_mode(self, window_s: float = math.inf) -> FloatArray:
        """Photons that each mode emits up to ``window_s``: its population times its yield."""
        total = self.total_rate_per_s
        bright = total > 0
        yields = np.divide(self.radiative_rate_per_s, total, out=np.zeros_like(total), where=bright)
        if math.isinf(window_s):
            return np.asarray(self.population * yields, dtype=float)
        return np.asarray(self.population * yields * -np.expm1(-total * window_s), dtype=float)

    def photons(self, window_s: float = math.inf) -> FloatArray:
        """Photons emitted by each system up to ``window_s``, at most 1: (R,)."""
        return np.asarray(np.sum(self.photons_per_mode(window_s), axis=1), dtype=float)

    def mean_spectrum_per_eV(
        self, energy_eV: npt.ArrayLike, *, sd_eV: float, window_s: float = math.inf
    ) -> FloatArray:
        """Photons per eV at ``energy_eV`` (E,), averaged over the systems: (E,).

        ``sd_eV`` is the Gaussian width of one mode: homogeneous width and spectrometer together. The natural
        width (micro-eV) is far below both and left out.
        """
        if not sd_eV > 0:
            raise ValueError(f"sd_eV must be positive, not {sd_eV}: a mode's natural width is not resolved")
        energies = np.atleast_1d(np.asarray(energy_eV, dtype=float))
        lines_eV, light = self.energy_eV.ravel(), self.photons_per_mode(window_s).ravel()
        # Lines are first shared out linearly between the points of a grid finer than the width: a thousand
        # systems then cost no more than a handful. Shifts stay exact, the width grows by less than 0.3 %.
        step = sd_eV / 16
        first = float(np.min(lines_eV))
        place = (lines_eV - first) / step
        left = np.floor(place).astype(np.int64)
        n_bins = int(left.max()) + 2
        shared = np.bincount(left, light * (left + 1 - place), n_bins)
        shared += np.bincount(left + 1, light * (place - left), n_bins)
        used = np.flatnonzero(shared)
        distance = (energies[:, None] - (first + step * used)) / sd_eV
        kernel = np.exp(-0.5 * distance**2) / (sd_eV * math.sqrt(2 * math.pi))
        return np.asarray(kernel @ shared[used] / len(self.energy_eV), dtype=float)


def decay_matrix_per_s(n_dots: int, radiative_rate_per_s: float, collectivity: float = 1.0) -> FloatArray:
    """Gamma_nm = Gamma_0 [(1 - c) delta_nm + c]: (n_dots, n_dots); c = 1 is the paper's S8."""
    gamma = np.full((n_dots, n_dots), radiative_rate_per_s * collectivity)
    np.fill_diagonal(gamma, radiative_rate_per_s)
    return gamma


def exact_modes(
    hamiltonian_eV: npt.ArrayLike,
    *,
    radiative_rate_per_s: float,
    loss_rate_per_s: float = 0.0,
    collectivity: float = 1.0,
    initial: npt.ArrayLike | None = None,
) -> ExactModes:
    """Diagonalise H_eff, with every interference between modes.

    Args:
        hamiltonian_eV: (N, N) or a stack (R, N, N), real symmetric.
        radiative_rate_per_s: Gamma_0 of one dot.
        loss_rate_per_s: non-radiative rate of one dot.
        collectivity: see :class:`labctl.emission.disorder.DotEnsemble`.
        initial: density matrix rho(0), (N, N); by default the incoherent mixture 1/N.

    Raises:
        ValueError: if the Hamiltonian is not a stack of finite symmetric matrices, or rho(0) does not fit.
    """
    stack = _hamiltonian_stack(hamiltonian_eV)
    n_systems, n_dots = stack.shape[:2]
    gamma = decay_matrix_per_s(n_dots, radiative_rate_per_s, collectivity)
    generator = stack / HBAR_eV_s - 0.5j * gamma
    diagonal = generator.reshape(n_systems, -1)[:, :: n_dots + 1]
    # Rates are 1e-5 of the couplings and those a tenth of the photon energy: take the latter out first.
    offset = np.sum(diagonal.real, axis=1) / n_dots
    diagonal -= offset[:, None] + 0.5j * loss_rate_per_s
    values, vectors, inverses = _eigen(generator, _NUDGE * radiative_rate_per_s)
    start = _initial_state(initial, n_dots)
    across = inverses.conj().swapaxes(1, 2)
    prepared = inverses @ across / n_dots if start is None else inverses @ start @ across
    overlap = vectors.conj().swapaxes(1, 2) @ gamma @ vectors
    return ExactModes(offset, values, overlap.swapaxes(1, 2) * prepared)


def secular_modes(
    hamiltonian_eV: npt.ArrayLike,
    *,
    radiative_rate_per_s: float,
    loss_rate_per_s: float = 0.0,
    collectivity: float = 1.0,
    initial: npt.ArrayLike | None = None,
) -> SecularModes:
    """Diagonalise H alone and let its modes radiate independently; arguments as :func:`exact_modes`.

    Where two modes of H coincide the split between them is arbitrary: use :func:`exact_modes` there.
    """
    stack = _hamiltonian_stack(hamiltonian_eV)
    n_dots = stack.shape[1]
    energies, modes = np.linalg.eigh(stack)
    coherent = np.sum(modes, axis=1) ** 2
    rates = radiative_rate_per_s * ((1 - collectivity) + collectivity * coherent)
    rates[rates <= _DARK * n_dots * radiative_rate_per_s] = 0.0
    start = _initial_state(initial, n_dots)
    if start is None:
        population = np.full_like(energies, 1 / n_dots)
    else:
        population = np.einsum("rnk,nm,rmk->rk", modes, start, modes).real
    return SecularModes(energies, rates, population, loss_rate_per_s)


def _hamiltonian_stack(hamiltonian_eV: npt.ArrayLike) -> FloatArray:
    stack = np.asarray(hamiltonian_eV, dtype=float)
    stack = stack[None] if stack.ndim == 2 else stack
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2] or stack.size == 0:
        raise ValueError(f"a Hamiltonian is (N, N) or a stack (R, N, N), not {np.shape(hamiltonian_eV)}")
    if not np.isfinite(stack).all():
        raise ValueError("the Hamiltonian holds a value that is not a number")
    skew = np.abs(stack - stack.swapaxes(1, 2)).max()
    if skew > 0 and skew > 1e-12 * np.abs(stack).max():
        raise ValueError("the Hamiltonian is not symmetric")
    return stack


def _initial_state(initial: npt.ArrayLike | None, n_dots: int) -> ComplexArray | None:
    if initial is None:
        return None
    state = np.asarray(initial, dtype=complex)
    if state.shape != (n_dots, n_dots):
        raise ValueError(f"the initial state of {n_dots} dots is ({n_dots}, {n_dots}), not {state.shape}")
    if abs(np.trace(state) - 1) > 1e-9 or np.max(np.abs(state - state.conj().T)) > 1e-9:
        raise ValueError("the initial state is not a density matrix: it must be Hermitian and have trace 1")
    return state


def _eigen(generator: ComplexArray, nudge_per_s: float) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
    """Eigenvalues, eigenvectors and the inverse of the eigenvectors of a stack of matrices."""
    values, vectors = np.linalg.eig(generator)
    inverses = _inverse(vectors)
    if not np.abs(inverses).max() < _ILL_CONDITIONED:
        poor = np.flatnonzero(~(np.max(np.abs(inverses), axis=(1, 2)) < _ILL_CONDITIONED))
        n_dots = generator.shape[1]
        ladder = nudge_per_s * np.sqrt(np.arange(1.0, n_dots + 1))
        values[poor], vectors[poor] = np.linalg.eig(generator[poor] + np.diag(ladder))
        inverses[poor] = np.linalg.inv(vectors[poor])
    return values, vectors, inverses


def _inverse(vectors: ComplexArray) -> ComplexArray:
    try:
        return np.asarray(np.linalg.inv(vectors), dtype=complex)
    except np.linalg.LinAlgError:
        # One exactly singular matrix refuses the whole stack; mark all for a second look.
        return np.full_like(vectors, np.inf)
