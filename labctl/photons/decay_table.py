"""Decay curves as the tables that ``labctl tags decay`` writes, and a measured response in a curve's bins."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.errors import InputError
from labctl.photons.decay import DecayCurve

_COLUMNS = ["curve", "delay_ns", "counts"]
_NOISE_SIGMA = 3.0
_SMOOTH_BINS = 5


def is_decay_table(path: Path) -> bool:
    """Whether a file begins like a table of ``labctl tags decay``."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(21) == b"curve,delay_ns,counts"


def read_decay_table(path: Path) -> dict[str, DecayCurve]:
    """Read the curves of such a table.

    Raises:
        InputError: A line that is no row of it (with its number), or uneven steps.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for line, row in enumerate(rows, start=2):
            try:
                curves.setdefault(row[0], []).append((float(row[1]) * 1000, float(row[2])))
            except (ValueError, IndexError):
                raise InputError(f"{path}:{line}: '{','.join(row)}' is not curve,delay_ns,counts") from None
    found = {}
    for label, points in curves.items():
        delay, counts = np.array(points).T
        step = (delay[-1] - delay[0]) / max(len(delay) - 1, 1)
        if step <= 0 or np.abs(np.diff(delay) - step).max() > 0.02 * step:
            raise InputError(f"{path}: the delays of {label} do not rise in even steps")
        whole = np.rint(counts)
        if (np.abs(whole - counts) > 1e-6).any() or (whole < 0).any():
            raise InputError(f"{path}: {label} holds counts that are not whole and positive")
        found[label] = DecayCurve(
            float(delay[0] - step / 2), step, whole.astype(np.int64), 0, int(whole.sum()), 0, False
        )
    if not found:
        raise InputError(f"{path}: no curve in it")
    return found


def response_in_bins(response: DecayCurve, curve: DecayCurve, first: int, last: int) -> NDArray[np.float64]:
    """A measured response, free of its background, in as many bins as a part of a curve has.

    The level of the median bin is taken off, and what lies outside the pulse is set to 0, so that neither
    dark counts nor their noise are folded into the decay. Its place does not matter: the fit finds the start.

    Args:
        response: The pulse as measured.
        curve: The decay; its bins must be as wide.
        first, last: Range of the curve's bins.

    Returns:
        Counts, shape (last - first,).

    Raises:
        InputError: Other bins, or no pulse in the response.
    """
    if abs(response.bin_ps - curve.bin_ps) > 1e-3 * curve.bin_ps:
        raise InputError(
            f"the response has bins of {response.bin_ps:g} ps, the decay of {curve.bin_ps:g} ps: "
            "measure both alike"
        )
    counts = response.counts.astype(np.float64)
    level = float(np.median(counts))
    excess = counts - level
    smooth = np.convolve(excess, np.full(_SMOOTH_BINS, 1 / _SMOOTH_BINS), mode="same")
    noise = _NOISE_SIGMA * np.sqrt(max(level, 0.2) / _SMOOTH_BINS)
    top = int(np.argmax(smooth))
    if smooth[top] <= 2 * noise:
        raise InputError("the response holds no pulse that stands out of its background")
    low = high = top
    while low > 0 and smooth[low - 1] > noise:
        low -= 1
    while high < len(counts) - 1 and smooth[high + 1] > noise:
        high += 1
    pulse = np.maximum(excess[low : high + 1], 0.0)
    if len(pulse) > last - first:
        raise InputError(f"the response is {len(pulse)} bins long, the part of the decay {last - first}")
    # The pulse begins in the first bin: the start of the decay is then when the light begins.
    shape = np.zeros(last - first)
    shape[: len(pulse)] = pulse
    return shape
