"""The ten X-ray samples of the first paper as a population: A, B and eight more that give the table's
spreads.

The paper lists means and standard deviations over ten samples: coupled lifetime 0.23 +- 0.05 ns, uncoupled
0.90 +- 0.13 ns at 80 K, coupled fractions "typically 20 to 60 %", red-shifts "others 80 to 200 meV". A and
B are given one by one. The other eight are not: theirs are normal scores, scaled so that all ten together
have the listed mean and standard deviation. Which sample gets which value is chosen. (A mean red-shift
"about 85 meV" cannot hold together with a range of 80 to 200 meV for nine samples; the range is kept, the
mean of the nine is 112 meV.)
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labctl.emission.sample import Sample, SampleError, load_sample, sample_names, split_cycle

Array = NDArray[np.float64]

COUPLED_LIFETIME_NS = (0.23, 0.05)
UNCOUPLED_LIFETIME_NS = (0.90, 0.13)
FRACTION_RANGE = (0.20, 0.60)
SHIFT_RANGE_EV = (0.080, 0.200)
POPULATION_SIZE = 10

_OTHERS = POPULATION_SIZE - 2
# Standard normal quantiles at (i - 1/2)/8: what eight samples look like on average.
_SCORES = np.array([-1.534, -0.887, -0.489, -0.157, 0.157, 0.489, 0.887, 1.534])
# Fixed shuffles keep fraction, shift and lifetimes from rising together.
_FAST_ORDER = np.array([3, 6, 0, 5, 2, 7, 1, 4])
_SLOW_ORDER = np.array([5, 1, 4, 7, 0, 3, 6, 2])
_SHIFT_ORDER = np.array([2, 0, 5, 1, 7, 3, 4, 6])


def population_names() -> tuple[str, ...]:
    """``xray-A``, ``xray-B`` and ``xray-03`` to ``xray-10``."""
    return ("xray-A", "xray-B", *(f"xray-{number:02d}" for number in range(3, POPULATION_SIZE + 1)))


def population() -> tuple[Sample, ...]:
    """The ten samples, always the same."""
    first, second = load_sample("xray-A"), load_sample("xray-B")
    fast = _completed(
        [first.coupled_lifetime_s[0] * 1e9, second.coupled_lifetime_s[0] * 1e9], COUPLED_LIFETIME_NS
    )
    slow = _completed([first.lifetime_s[0] * 1e9, second.lifetime_s[0] * 1e9], UNCOUPLED_LIFETIME_NS)
    fraction = np.linspace(*FRACTION_RANGE, _OTHERS)
    # Most shifts near the low end, one at 200 meV.
    low, high = SHIFT_RANGE_EV
    shift = low + (high - low) * np.linspace(0.0, 1.0, _OTHERS) ** 2.2
    others = [
        _one(
            name,
            second,
            fast_ns=float(fast[_FAST_ORDER[i]]),
            slow_ns=float(slow[_SLOW_ORDER[i]]),
            fraction=float(fraction[i]),
            shift_eV=float(shift[_SHIFT_ORDER[i]]),
        )
        for i, name in enumerate(population_names()[2:])
    ]
    return (first, second, *others)


def find_sample(name: str) -> Sample:
    """A sample by name: the papers' data files or a member of the population, ``@`` its cooling cycle.

    Raises:
        SampleError: no such sample, the message names the known ones; or no such cycle.
    """
    stem, cycle = split_cycle(name)
    for sample in population():
        if sample.name == stem:
            return sample.in_cycle(cycle)
    if stem not in sample_names():
        known = sorted({*population_names(), *sample_names()})
        raise SampleError(f"no sample named {stem!r}: known are {', '.join(known)}")
    return load_sample(name)


def _completed(given: list[float], listed: tuple[float, float]) -> Array:
    """Eight values which together with the two given ones have the listed mean and standard deviation."""
    mean, deviation = listed
    rest_mean = (POPULATION_SIZE * mean - sum(given)) / _OTHERS
    squares = (POPULATION_SIZE - 1) * deviation**2 - sum((value - mean) ** 2 for value in given)
    squares -= _OTHERS * (rest_mean - mean) ** 2
    scale = math.sqrt(squares / float(np.sum(_SCORES**2)))
    return rest_mean + scale * _SCORES


def _one(
    name: str, like: Sample, *, fast_ns: float, slow_ns: float, fraction: float, shift_eV: float
) -> Sample:
    return replace(
        like,
        name=name,
        title=f"CsPbBr3 superlattice {name.removeprefix('xray-')}, X-rays (population)",
        lifetime_s=(slow_ns * 1e-9, like.lifetime_s[1]),
        coupled_lifetime_s=(fast_ns * 1e-9, like.coupled_lifetime_s[1]),
        fraction=(fraction, 0.0),
        shift_eV=(shift_eV, shift_eV * 0.875),
        coupled_width_eV=(0.03 + 0.15 * shift_eV, 0.036 + 0.18 * shift_eV),
    )
