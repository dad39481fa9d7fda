"""Other programs on the same tags. Runs in an interpreter of its own where they are installed (NumPy 1.26):

    python -m venv peers && peers/bin/pip install tttrlib etabackend pycorrelate trattoria numba "numpy<2"

Reads one line per measurement from standard input, ``peer case window_ps bin_ps``, and answers with one JSON
object: seconds for all tags of both channels, and the pairs found.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
FOLDER = Path(sys.argv[1])
clock = time.process_time if sys.argv[2] == "cpu" else time.perf_counter
Result = tuple[float, int]


@cache
def arrays(case: str) -> tuple[Any, Any, int]:
    data = np.load(FOLDER / f"{case}.npz")
    stamps, channels = data["stamps"], data["channels"]
    return stamps[channels == 1], stamps[channels == 2], len(stamps)


def numpy_loop(case: str, window: int, bin_ps: int) -> Result:
    """searchsorted for the neighbours in range, bincount for the histogram, piece by piece."""
    starts, stops, _ = arrays(case)
    began = clock()
    histogram = np.zeros(2 * window // bin_ps, np.int64)
    step = 1 << 18
    for first in range(0, len(starts), step):
        part = starts[first : first + step]
        low, high = np.searchsorted(stops, part - window), np.searchsorted(stops, part + window)
        count = high - low
        source = np.repeat(np.arange(len(part)), count)
        inside = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
        delay = stops[inside] - part[source]
        histogram += np.bincount((delay + window) // bin_ps, minlength=len(histogram))
    return clock() - began, int(histogram.sum())


def tttrlib_linear(case: str, window: int, bin_ps: int) -> Result:
    """Its 'felekyan' method on stamps in units of the bin, once for each sign of the delay."""
    import tttrlib

    starts, stops, _ = arrays(case)
    began = clock()
    first, second = (starts // bin_ps).astype(np.uint64), (stops // bin_ps).astype(np.uint64)
    pairs = 0.0
    for one, two in ((first, second), (second, first)):
        correlator = tttrlib.Correlator()
        correlator.method = "felekyan"
        correlator.n_casc, correlator.n_bins = 1, window // bin_ps
        correlator.set_macrotimes(one, two)
        weights = np.ones(len(one)), np.ones(len(two))
        correlator.set_weights(*weights)
        correlator.run()
        pairs += float(np.sum(correlator.get_corr()))
    return clock() - began, int(pairs)


def tttrlib_log(case: str, longest: int, _: int) -> Result:
    """Lags up to ``longest`` ps, 17 bins per cascade."""
    import tttrlib

    starts, stops, _n = arrays(case)
    began = clock()
    for one, two in ((starts, stops), (stops, starts)):
        correlator = tttrlib.Correlator()
        correlator.method = "felekyan"
        correlator.n_casc, correlator.n_bins = int(np.log2(longest / 17)) + 1, 17
        correlator.set_macrotimes(one.astype(np.uint64), two.astype(np.uint64))
        correlator.set_weights(np.ones(len(one)), np.ones(len(two)))
        correlator.run()
        np.sum(correlator.get_corr())
    return clock() - began, 0


def pycorrelate_log(case: str, longest: int, _: int) -> Result:
    """Six lags per decade and sign, as its documentation suggests."""
    import pycorrelate

    starts, stops, _n = arrays(case)
    decades = int(np.log10(longest))
    bins = np.unique(np.concatenate([[0], np.logspace(0, decades, 6 * decades + 1)]).astype(np.int64))
    pycorrelate.pcorrelate(starts[:1000], stops[:1000], bins)
    began = clock()
    pairs = sum(
        int(np.sum(pycorrelate.pcorrelate(a, b, bins))) for a, b in ((starts, stops), (stops, starts))
    )
    return clock() - began, pairs


def trattoria_file(case: str, window: int, bin_ps: int) -> Result:
    import trattoria

    began = clock()
    file = trattoria.PTUFile(str(FOLDER / f"{case}.ptu"))
    result = file.g2(trattoria.G2Parameters(1, 2, window * 1e-12, bin_ps * 1e-12, None))
    return clock() - began, int(np.sum(result.g2))


@cache
def _eta(window: int, bin_ps: int) -> Any:
    import etabackend
    from etabackend import eta

    recipe = Path(etabackend.__file__).parent / "static" / "recipes" / "Correlation-hydraharp.eta"
    kernel = eta.ETA()
    kernel.load_recipe(json.loads(recipe.read_text(encoding="utf-8")), compile=False)
    kernel.recipe.set_parameter("bins", str(window // bin_ps))
    kernel.recipe.set_parameter("binsize", str(bin_ps))
    kernel.load_recipe()
    return kernel


def eta_file(case: str, window: int, bin_ps: int) -> Result:
    kernel = _eta(window, bin_ps)
    began = clock()
    clips = kernel.clips(FOLDER / f"{case}.ptu")
    result = kernel.run({"timetagger1": clips}, group="T2")
    return clock() - began, int(np.sum(result["h3"]) + np.sum(result["h4"]))


PEERS: dict[str, Callable[[str, int, int], Result]] = {
    "numpy": numpy_loop,
    "tttrlib": tttrlib_linear,
    "tttrlib-log": tttrlib_log,
    "pycorrelate-log": pycorrelate_log,
    "trattoria": trattoria_file,
    "eta": eta_file,
}


def main() -> None:
    """Answer requests until standard input ends; only the answers go to standard output."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        peer, case, window, bin_ps = line.split()
        try:
            seconds, pairs = PEERS[peer](case, int(window), int(bin_ps))
            answer: dict[str, Any] = {"seconds": seconds, "pairs": pairs}
        except Exception as error:  # a peer's failure is a result of the comparison
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
