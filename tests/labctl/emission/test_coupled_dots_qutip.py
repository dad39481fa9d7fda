"""Coupled dots against QuTiP's master-equation solver: the Lindblad equation, integrated in time."""

from __future__ import annotations

import numpy as np
import numpy.testing as npt
import pytest

from labctl.emission.coupled_dots import HBAR_eV_s, exact_modes

qutip = pytest.importorskip("qutip", reason="QuTiP, the independent solver, is not installed")

TIGHT = {"atol": 1e-13, "rtol": 1e-11, "nsteps": 1_000_000}
LOSS = 0.5
END = 50.0


class System:
    """Random dots, energies of tens of Gamma_0 = 1, as QuTiP sees them: a ground state, N excited ones."""

    def __init__(self, seed: int, n_dots: int) -> None:
        rng = np.random.default_rng(seed)
        matrix = rng.normal(0, 20, (n_dots, n_dots))
        self.matrix = (matrix + matrix.T) / 2
        full = np.zeros((n_dots + 1, n_dots + 1))
        full[1:, 1:] = self.matrix
        self.hamiltonian = qutip.Qobj(full)
        ground = qutip.basis(n_dots + 1, 0)
        lower = [ground * qutip.basis(n_dots + 1, k + 1).dag() for k in range(n_dots)]
        self.collective = sum(lower[1:], lower[0])
        self.jumps = [self.collective] + [np.sqrt(LOSS) * jump for jump in lower]
        self.start = sum((jump.dag() * jump for jump in lower[1:]), lower[0].dag() * lower[0]) / n_dots

    def evolve(self, state, times, **kwargs):
        return qutip.mesolve(self.hamiltonian, state, times, self.jumps, options=TIGHT, **kwargs)

    def ours(self):
        return exact_modes(self.matrix * HBAR_eV_s, radiative_rate_per_s=1.0, loss_rate_per_s=LOSS)


def panels(end: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on ``count`` equal panels of [0, end]."""
    nodes, weights = np.polynomial.legendre.leggauss(10)
    width = end / count
    starts = width * np.arange(count)[:, None]
    return (starts + width * (nodes + 1) / 2).ravel(), np.tile(weights * width / 2, count)


@pytest.mark.parametrize(("seed", "n_dots"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (8, 4)])
def test_the_decay_agrees_with_mesolve(seed, n_dots):
    system = System(seed, n_dots)
    times = np.linspace(0, 6, 301)
    light = system.collective.dag() * system.collective
    theirs = system.evolve(system.start, times, e_ops=[light]).expect[0]
    npt.assert_allclose(system.ours().decay_per_s(times)[0], theirs, atol=1e-6)


@pytest.mark.parametrize(("seed", "n_dots"), [(11, 2), (12, 3), (13, 4)])
def test_the_spectrum_agrees_with_the_two_time_correlation_of_mesolve(seed, n_dots):
    system = System(seed, n_dots)
    # Both time integrals by quadrature: first the state over the emission time, ...
    times, weights = panels(END, 700)
    states = system.evolve(system.start, np.concatenate([[0.0], times])).states[1:]
    integrated = sum((w * s for w, s in zip(weights[1:], states[1:], strict=True)), weights[0] * states[0])
    # ... then, by the regression theorem, <c+(t) c(t+s)> summed over t.
    correlation = system.evolve(
        integrated * system.collective.dag(), np.concatenate([[0.0], times]), e_ops=[system.collective]
    ).expect[0][1:]
    frequencies = np.concatenate([np.linspace(-80, 80, 81), np.linalg.eigvalsh(system.matrix)])
    theirs = (np.exp(1j * np.outer(frequencies, times)) @ (weights * correlation)).real / np.pi
    ours = system.ours().spectrum_per_eV(frequencies * HBAR_eV_s)[0] * HBAR_eV_s
    npt.assert_allclose(ours, theirs, atol=1e-6)
