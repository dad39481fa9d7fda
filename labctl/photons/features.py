"""What stands out in a pair histogram: the missing pulse, the dip or the bunching peak, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labctl.photons.g2 import PairBlocks

_NEIGHBOURS = 6
_LINE_ABOVE_CONTINUUM = 30.0
_SIGNIFICANT_SIGMA = 5.0


@dataclass(frozen=True)
class Feature:
    """The strongest departure from uncorrelated light.

    Attributes:
        kind: ``"dip"``, ``"peak"``, or ``"none"`` where nothing rises above the counting noise.
        delay_ps: Where it is centred.
        half_width_ps: Half of the range of delays counted; half of the period for pulsed light.
        pairs: Pairs within ``half_width_ps`` of ``delay_ps``.
        g2_far: Their number relative to the neighbouring periods (pulsed) or the far level (continuous).
        g2_far_error: Its standard error from counting.
        g2_total: Their number relative to what the count rates give for uncorrelated light.
        period_ps: Pulse period, or ``None`` for continuous excitation.
        neighbours: Pairs in each of the neighbouring periods (pulsed light), by delay.
    """

    kind: Literal["dip", "peak", "none"]
    delay_ps: float
    half_width_ps: float
    pairs: int
    g2_far: float
    g2_far_error: float
    g2_total: float
    period_ps: float | None
    neighbours: tuple[int, ...]


def find_feature(blocks: PairBlocks) -> Feature | None:
    """Find the dip or peak of a histogram; ``None`` where there are too few pairs to say anything.

    Pulsed light is recognised by a line in the Fourier transform of the histogram; the feature is then
    the period with the fewest (or most) pairs, each period counted whole.
    """
    counts = blocks.total().astype(np.float64)
    expected = blocks.expected()
    if counts.sum() < 20 or expected.sum() <= 0:
        return None
    comb = pulse_period(counts, blocks.lag_ps, blocks.bin_ps)
    if comb is not None:
        return _missing_pulse(blocks, counts, expected, *comb)
    return _strongest_window(blocks, counts, expected)


def pulse_period(
    counts: NDArray[np.float64], lag_ps: NDArray[np.float64], bin_ps: int
) -> tuple[float, float] | None:
    """Give (period_ps, delay of one pulse in ps) of a comb of peaks, or ``None`` if there is none.

    Args:
        counts: Pairs per bin, shape (n,).
        lag_ps: Centres of the bins, shape (n,).
        bin_ps: Bin width.
    """
    power = np.abs(np.fft.rfft(counts - counts.mean())) ** 2
    lowest = 5
    if len(power) < 4 * lowest:
        return None
    at = lowest + int(np.argmax(power[lowest:]))
    around = np.concatenate([power[max(at - 12, 1) : max(at - 3, 1)], power[at + 4 : at + 13]])
    continuum = max(float(np.median(around)) if len(around) else 0.0, float(counts.sum()))
    if power[at] < _LINE_ABOVE_CONTINUUM * continuum:
        return None
    for divisor in (4, 3, 2):
        # The strongest line may be a harmonic of the repetition rate.
        lower = round(at / divisor)
        if lower >= lowest and power[lower - 1 : lower + 2].max() > 0.1 * power[at]:
            at = lower - 1 + int(np.argmax(power[lower - 1 : lower + 2]))
            break
    span_ps = bin_ps * len(counts)
    # A soft edge keeps the mean and the ends of the range from pulling the line aside.
    soft = (counts - counts.mean()) * np.hanning(len(counts))
    frequency = at / span_ps
    step = 0.5 / span_ps
    for _ in range(12):
        trial = frequency + step * np.linspace(-1, 1, 9)
        frequency = float(trial[np.argmax([abs(_component(soft, lag_ps, f)) for f in trial])])
        step /= 3
    phase = float(np.angle(_component(soft, lag_ps, frequency)))
    period = 1.0 / frequency
    return period, phase / (2 * np.pi) * period


def _component(counts: NDArray[np.float64], lag_ps: NDArray[np.float64], frequency: float) -> complex:
    return complex(np.sum(counts * np.exp(2j * np.pi * frequency * lag_ps)))


def _missing_pulse(
    blocks: PairBlocks,
    counts: NDArray[np.float64],
    expected: NDArray[np.float64],
    period_ps: float,
    pulse_ps: float,
) -> Feature:
    lag = blocks.lag_ps
    first = int(np.ceil((-blocks.window_ps - pulse_ps) / period_ps + 0.5))
    last = int(np.floor((blocks.window_ps - pulse_ps) / period_ps - 0.5))
    number = np.rint((lag - pulse_ps) / period_ps).astype(np.int64)
    inside = (number >= first) & (number <= last)
    area = np.bincount(number[inside] - first, counts[inside], minlength=last - first + 1)
    normal = np.bincount(number[inside] - first, expected[inside], minlength=last - first + 1)
    chosen, kind = int(np.argmin(area)), "dip"
    rest = np.delete(area, chosen)
    if rest.mean() - area[chosen] < _SIGNIFICANT_SIGMA * np.sqrt(rest.mean()):
        chosen, kind = int(np.argmax(area)), "peak"
        rest = np.delete(area, chosen)
        if area[chosen] - rest.mean() < _SIGNIFICANT_SIGMA * np.sqrt(max(float(rest.mean()), 1.0)):
            kind = "none"
    distance = np.abs(np.arange(len(area)) - chosen)
    near = np.sort(np.argsort(distance, kind="stable")[1 : _NEIGHBOURS + 1])
    level = float(area[near].mean())
    pairs = float(area[chosen])
    ratio = pairs / level if level else np.nan
    error = ratio * np.sqrt(1 / max(pairs, 1.0) + 1 / max(level * len(near), 1.0))
    return Feature(
        kind,  # type: ignore[arg-type]
        pulse_ps + (chosen + first) * period_ps,
        period_ps / 2,
        int(pairs),
        ratio,
        float(error) if pairs else 1 / max(level, 1.0),
        pairs / float(normal[chosen]) if normal[chosen] else np.nan,
        period_ps,
        tuple(int(a) for a in area[near]),
    )


def _strongest_window(
    blocks: PairBlocks, counts: NDArray[np.float64], expected: NDArray[np.float64]
) -> Feature:
    level = expected * (blocks.far_level_if_any() or 1.0)
    sum_counts = np.concatenate([[0.0], np.cumsum(counts)])
    sum_level = np.concatenate([[0.0], np.cumsum(level)])
    best = (0.0, 0, 1)
    width = 1
    while width <= max(len(counts) // 8, 1):
        found = sum_counts[width:] - sum_counts[:-width]
        wanted = sum_level[width:] - sum_level[:-width]
        # Few expected pairs make large ratios by chance; a window must expect a handful.
        sigma = np.where(wanted >= 5, (found - wanted) / np.sqrt(np.maximum(wanted, 5.0)), 0.0)
        at = int(np.argmax(np.abs(sigma)))
        if abs(sigma[at]) > abs(best[0]):
            best = (float(sigma[at]), at, width)
        width *= 2
    sigma_best, at, width = best
    pairs = sum_counts[at + width] - sum_counts[at]
    wanted = sum_level[at + width] - sum_level[at]
    kind: Literal["dip", "peak", "none"] = "peak" if sigma_best > 0 else "dip"
    if abs(sigma_best) < _SIGNIFICANT_SIGMA:
        kind = "none"
    ratio = pairs / wanted if wanted else np.nan
    return Feature(
        kind,
        float(blocks.lag_ps[at : at + width].mean()),
        width * blocks.bin_ps / 2,
        int(pairs),
        float(ratio),
        float(np.sqrt(max(pairs, 1.0)) / wanted) if wanted else np.nan,
        float(pairs / expected[at : at + width].sum()) if wanted else np.nan,
        None,
        (),
    )
