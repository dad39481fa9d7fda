"""Coupled dots: one system against QuTiP's mesolve, and an average over 1000 draws of disorder.

    python benchmarks/coupled_dots.py

Prints medians. QuTiP runs twice: at its default tolerances, as people use it, and at tolerances that bring it
to the accuracy of the closed form.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import qutip

from labctl.emission.coupled_dots import HBAR_eV_s, exact_modes
from labctl.emission.disorder import X_RAY
from labctl.emission.disorder_average import average_emission, average_exact_decay_per_s

N_DOTS = 4
LOSS = 0.5
# Until the dark modes, which only the loss empties, are below 1 %.
TIMES = np.linspace(0, 10, 201)


def median_s(run: Callable[[], object], repeats: int) -> float:
    run()
    spent = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent)


def qutip_decay(matrix: np.ndarray, options: dict[str, float]) -> np.ndarray:
    n_dots = len(matrix)
    full = np.zeros((n_dots + 1, n_dots + 1))
    full[1:, 1:] = matrix
    ground = qutip.basis(n_dots + 1, 0)
    lower = [ground * qutip.basis(n_dots + 1, k + 1).dag() for k in range(n_dots)]
    collective = sum(lower[1:], lower[0])
    start = sum((jump.dag() * jump for jump in lower[1:]), lower[0].dag() * lower[0]) / n_dots
    jumps = [collective] + [np.sqrt(LOSS) * jump for jump in lower]
    observed = [collective.dag() * collective]
    return qutip.mesolve(qutip.Qobj(full), start, TIMES, jumps, e_ops=observed, options=options).expect[0]


def closed_form(matrix: np.ndarray) -> np.ndarray:
    modes = exact_modes(matrix * HBAR_eV_s, radiative_rate_per_s=1.0, loss_rate_per_s=LOSS)
    return modes.decay_per_s(TIMES)[0]


def one_system() -> None:
    for energy in (20, 100, 100_000):
        rng = np.random.default_rng(energy)
        matrix = rng.normal(0, energy, (N_DOTS, N_DOTS))
        matrix = (matrix + matrix.T) / 2
        ours = median_s(lambda m=matrix: closed_form(m), 501)
        times = f"{TIMES.size} times to {TIMES[-1]:g} / Gamma"
        print(f"N = {N_DOTS}, energies of {energy} Gamma, {times}: {ours * 1e6:.0f} us here")
        if energy > 1000:
            print("    QuTiP would have to follow a hundred thousand oscillations")
            continue
        for name, options in (("default", {}), ("tight", {"atol": 1e-12, "rtol": 1e-10, "nsteps": 10**6})):
            theirs = median_s(lambda m=matrix, o=options: qutip_decay(m, o), 11)
            error = np.max(np.abs(qutip_decay(matrix, options) - closed_form(matrix)))
            spent = f"{theirs * 1e3:7.1f} ms, {theirs / ours:6.0f} times"
            print(f"    QuTiP {name:7s} {spent}; differ by {error:.1e}")


def many_systems() -> None:
    def secular() -> object:
        return average_emission(X_RAY, realisations=1000, rng=np.random.default_rng(1))

    def exact() -> object:
        times = np.linspace(0, 5e-9, 200)
        return average_exact_decay_per_s(X_RAY, times, realisations=1000, rng=np.random.default_rng(1))

    print(
        f"N = 10, 1000 realisations, decay and spectrum, secular limit: {median_s(secular, 15) * 1e3:.0f} ms"
    )
    print(f"N = 10, 1000 realisations, decay at 200 times, exact modes:   {median_s(exact, 15) * 1e3:.0f} ms")


if __name__ == "__main__":
    one_system()
    many_systems()
