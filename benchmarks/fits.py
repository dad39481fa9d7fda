"""The same g2 histogram fitted by labctl, scipy, lmfit and iminuit: time and result.

    OMP_NUM_THREADS=1 python benchmarks/fits.py [--repeats 30]

4000 bins, 7 free parameters, Poisson likelihood, one thread, CPU time (the machine may be shared). Peers
(``pip install lmfit``; scipy and iminuit come with labctl) get the same model in numpy and scipy.special,
as a person would write it: each converged to its usual tolerance from the same start, 10 to 20 % off. The
compiled loop starts there too ("cold") and, as in use, from its last result with 2 % more data ("warm").
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from scipy import optimize, special

from labctl.fitting.blinding import Blinding
from labctl.fitting.live import LiveG2Fit
from labctl.fitting.live_kernel import fit_growing
from labctl.fitting.pair_model import PairModel
from labctl.fitting.solver import Parameter, PoissonCounts, solve
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks

NAMES = ("level", "contrast", "w", "fast", "slow", "delay", "sigma")
# Lifetimes in ns, contrast in ns: numbers near 1 for the peers.
TRUTH = np.array([1.0, 333.0, 0.56, 0.24, 0.74, 1.3, 0.057])
START = TRUTH * np.array([1.1, 0.85, 0.9, 1.15, 0.9, 1.01, 1.2])
LOW = np.array([0.01, 1.0, 0.01, 0.02, 0.02, -5.0, 0.005])
HIGH = np.array([10.0, 1e5, 0.99, 20.0, 20.0, 5.0, 1.0])
SCALE = np.array([1.0, 1e-9, 1.0, 1e-9, 1e-9, 1e-9, 1e-9])
BIN_PS, WINDOW_PS = 16, 32_000


def convolved(x, lifetime, sigma):
    """exp(-|x|/T)/2T through a Gaussian with scipy's error functions."""
    result = np.zeros_like(x)
    for side in (x, -x):
        z = (sigma / lifetime - side / sigma) / np.sqrt(2.0)
        with np.errstate(all="ignore"):
            near = np.exp(-0.5 * (side / sigma) ** 2) * special.erfcx(np.maximum(z, 0.0))
            far = np.exp(0.5 * (sigma / lifetime) ** 2 - side / lifetime) * special.erfc(np.minimum(z, 0.0))
        result += np.where(z < 0.0, far, near) / (4.0 * lifetime)
    return result


def plain_model(theta, lag_ns, accidentals):
    level, contrast, w, fast, slow, delay, sigma = theta
    share = w * w + w * (1.0 - w) * 2.0 * fast / (fast + slow)
    x = lag_ns - delay
    density = share * convolved(x, fast, sigma) + (1.0 - share) * convolved(x, slow, sigma)
    return accidentals * (level + contrast * density)


def poisson_residuals(theta, lag_ns, accidentals, counts):
    """Signed roots of the deviance's terms: least squares of these is maximum likelihood."""
    model = np.maximum(plain_model(theta, lag_ns, accidentals), 1e-12)
    term = model - counts + counts * np.log(np.maximum(counts, 1e-300) / model)
    return np.sign(model - counts) * np.sqrt(np.maximum(2.0 * term, 0.0))


def half_deviance(theta, lag_ns, accidentals, counts):
    model = np.maximum(plain_model(theta, lag_ns, accidentals), 1e-12)
    return float(np.sum(model - counts * np.log(model)))


def record(mean_accidentals):
    """A drawn histogram; accidentals per bin set the brightness."""
    rng = np.random.default_rng(7)
    n = 2 * WINDOW_PS // BIN_PS
    n_blocks = 50
    lag_ns = (-WINDOW_PS + BIN_PS * np.arange(n) + (BIN_PS - 1) / 2) * 1e-3
    expected = plain_model(TRUTH, lag_ns, np.full(n, mean_accidentals))
    pairs = rng.poisson(expected / n_blocks, (n_blocks, n)).astype(np.uint64)
    # Tags and length that give just these accidentals: N^2 D / T with N = 1e5 per block.
    tags = np.full(n_blocks, 100_000, dtype=np.int64)
    length = 1e10 * BIN_PS / (mean_accidentals / n_blocks)
    duration = np.full(n_blocks, round(length), np.int64)
    return PairBlocks(WINDOW_PS, BIN_PS, pairs, tags, tags, duration), lag_ns


def blinded_record(mu, xrays_per_s=1e6):
    """A drawn histogram of counters that are blind for 77 ns after each count; 1e6 pairs of bursts."""
    rng = np.random.default_rng(8)
    n, n_blocks = 2 * WINDOW_PS // BIN_PS, 50
    seen = -np.expm1(-mu)
    duration_s = 1e6 / (xrays_per_s * seen**2)
    rate = xrays_per_s * seen
    edges = (-WINDOW_PS + BIN_PS * np.arange(n + 1) - 0.5) * 1e-12
    model = PairModel(
        edges, np.full(n, rate**2 * duration_s * BIN_PS * 1e-12), 2, blinding=Blinding((rate, rate), 77e-9)
    )
    expected = model(np.array([1.0, 1.0 / xrays_per_s, *TRUTH[2:] * SCALE[2:]]))[0]
    pairs = rng.poisson(expected / n_blocks, (n_blocks, n)).astype(np.uint64)
    tags = np.full(n_blocks, round(rate * duration_s / n_blocks), dtype=np.int64)
    length = np.full(n_blocks, round(duration_s / n_blocks * 1e12), np.int64)
    return PairBlocks(WINDOW_PS, BIN_PS, pairs, tags, tags, length)


def dead_time(repeats):
    """The live fit with its dead-time correction, whose number of exponentials grows with the brightness."""
    print("\nlive fit with dead time, warm, 1e6 pairs")
    for mu in (0.05, 0.25, 1.0, 2.5):
        pairs = blinded_record(mu)
        live = LiveG2Fit(57e-12, free_response=True)
        in_use = LiveG2Fit(57e-12, fraction=Value(0.56, 0.005))
        for name, fit in (("7 free", live), ("share prior, response held", in_use)):
            fit.update(pairs.select(range(49)))
            remembered = fit._last.copy()

            def warm(pairs=pairs, fit=fit, remembered=remembered):
                fit._last = remembered
                return fit.update(pairs)

            ms, result = timed(warm, repeats)
            print(
                f"mu {mu:4.2f}, {name:30s} {ms:7.2f} ms, {result.steps} steps   {result.mu:.4f}   "
                f"{result.tau_fast_s.scaled(1e9)}   {result.tau_slow_s.scaled(1e9)}"
            )


def timed(function, repeats):
    function()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        result = function()
        times.append(time.process_time() - began)
    return statistics.median(times) * 1e3, result


def contestants(pairs, lag_ns):
    import lmfit
    from iminuit import Minuit

    counts, accidentals = pairs.total().astype(float), pairs.expected()
    edges = np.append(pairs.lag_ps - BIN_PS / 2, pairs.lag_ps[-1] + BIN_PS / 2) * 1e-12
    data = (lag_ns, accidentals, counts)

    def least_squares():
        fit = optimize.least_squares(poisson_residuals, START, bounds=(LOW, HIGH), x_scale=TRUTH, args=data)
        return fit.x

    def lbfgs():
        fit = optimize.minimize(
            lambda u: half_deviance(u * TRUTH, *data),
            START / TRUTH,
            method="L-BFGS-B",
            bounds=list(zip(LOW / TRUTH, HIGH / TRUTH, strict=True)),
        )
        return fit.x * TRUTH

    def with_lmfit():
        parameters = lmfit.Parameters()
        for name, start, low, high in zip(NAMES, START, LOW, HIGH, strict=True):
            parameters.add(name, start, min=low, max=high)
        fit = lmfit.minimize(
            lambda p: poisson_residuals(np.array(list(p.valuesdict().values())), *data), parameters
        )
        return np.array(list(fit.params.valuesdict().values()))

    def with_iminuit():
        minuit = Minuit(lambda u: half_deviance(u * TRUTH, *data), START / TRUTH)
        minuit.errordef = 0.5
        minuit.limits = list(zip(LOW / TRUTH, HIGH / TRUTH, strict=True))
        minuit.migrad()
        return np.array(minuit.values) * TRUTH

    def solver():
        model = PairModel(edges, accidentals, 2)
        parameters = [
            Parameter(name, *row)
            for name, *row in zip(NAMES, START * SCALE, LOW * SCALE, HIGH * SCALE, strict=True)
        ]
        return solve(model, PoissonCounts(counts), parameters).values / SCALE

    def compiled_cold():
        theta = START * SCALE
        none = np.zeros(7)
        ok, _, _ = fit_growing(
            theta,
            np.zeros(7, bool),
            LOW * SCALE,
            HIGH * SCALE,
            none,
            none,
            counts,
            edges,
            accidentals,
            np.zeros(2),
            0.0,
            np.empty((7, 7)),
            60,
        )
        assert ok
        return theta / SCALE

    live, part = LiveG2Fit(57e-12, free_response=True, dead_time_s=0.0), pairs.select(range(49))
    live.update(part)
    remembered = live._last.copy()

    def live_warm():
        live._last = remembered
        return live.update(pairs).estimates.values / SCALE

    def in_use(dead_time_s):
        pinned = LiveG2Fit(57e-12, fraction=Value(0.56, 0.005), dead_time_s=dead_time_s)
        pinned.update(part)
        remembered_pinned = pinned._last.copy()

        def live_pinned():
            pinned._last = remembered_pinned
            return pinned.update(pairs).estimates.values / SCALE

        return live_pinned

    return {
        "labctl live, warm": live_warm,
        "labctl live, warm, share prior, response held": in_use(0.0),
        "labctl compiled loop, cold": compiled_cold,
        "labctl solver (numpy), cold": solver,
        "scipy least_squares": least_squares,
        "scipy L-BFGS-B": lbfgs,
        "lmfit (leastsq)": with_lmfit,
        "iminuit (migrad)": with_iminuit,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    for accidentals in (2.0, 50.0):
        pairs, lag_ns = record(accidentals)
        print(f"\n{pairs.n_bins} bins, {int(pairs.pairs.sum())} pairs, {accidentals:g} accidentals per bin")
        print(f"{'who':45s} {'CPU ms':>7s}   tau_fast  tau_slow  w       deviance - best")
        rows = {}
        for name, function in contestants(pairs, lag_ns).items():
            rows[name] = timed(function, repeats if "labctl" in name else max(repeats // 6, 3))
        counts, expected = pairs.total().astype(float), pairs.expected()
        scores = {
            name: 2 * half_deviance(theta, lag_ns, expected, counts) for name, (_, theta) in rows.items()
        }
        best = min(scores.values())
        for name, (ms, theta) in rows.items():
            print(
                f"{name:45s} {ms:7.2f}   {theta[3]:.4f}    {theta[4]:.4f}   {theta[2]:.3f}   "
                f"{scores[name] - best:8.3f}"
            )
    dead_time(repeats)


if __name__ == "__main__":
    main()
