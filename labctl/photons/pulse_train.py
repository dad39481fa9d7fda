"""The comb that pulsed light makes of a pair histogram: its period and where the pulses lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_PERIODS = 6
"""Fewer peaks than these in a histogram are no comb."""

_LINE_ABOVE_CONTINUUM = 30.0


@dataclass(frozen=True)
class PulseTrain:
    """Period of a comb of peaks, and the delay of the pulse nearest to 0, with standard errors."""

    period_ps: float
    period_error_ps: float
    pulse_ps: float
    pulse_error_ps: float


def pulse_period(
    counts: NDArray[np.float64],
    lag_ps: NDArray[np.float64],
    bin_ps: int,
    expected: NDArray[np.float64] | None = None,
) -> PulseTrain | None:
    """Find the period and phase of a comb of at least 6 peaks; ``None`` if there is none.

    The frequency f maximises |C(f)|^2, C = sum w n exp(2 pi i f t) with a soft-edged weight w; its error is
    that of an M-estimator, the scatter of the slope over the curvature.

    Args:
        counts: Pairs per bin, shape (n,).
        lag_ps: Centres of the bins, shape (n,).
        bin_ps: Bin width.
        expected: Pairs of uncorrelated light, shape (n,); their slope is no comb; default flat.
    """
    flat = np.ones_like(counts) if expected is None else expected
    excess = counts - flat * (counts.sum() / flat.sum())
    power = np.abs(np.fft.rfft(excess)) ** 2
    lowest = FEWEST_PERIODS
    if len(power) < 4 * lowest:
        return None
    at = lowest + int(np.argmax(power[lowest:]))
    around = np.concatenate([power[max(at - 12, 1) : max(at - 3, 1)], power[at + 4 : at + 13]])
    continuum = max(float(np.median(around)) if len(around) else 0.0, float(counts.sum()))
    # Where lags near the record's length are seen, pairs share tags and single lines scatter more.
    if power[at] * flat.min() < _LINE_ABOVE_CONTINUUM * continuum * flat.max():
        return None
    for divisor in (4, 3, 2):
        # The strongest line may be a harmonic of the repetition rate.
        lower = round(at / divisor)
        if lower >= lowest and power[lower - 1 : lower + 2].max() > 0.1 * power[at]:
            at = lower - 1 + int(np.argmax(power[lower - 1 : lower + 2]))
            break
    span_ps = bin_ps * len(counts)
    # A soft edge keeps the mean and the ends of the range from pulling the line aside.
    soft = excess * np.hanning(len(counts))
    frequency = at / span_ps
    step = 0.5 / span_ps
    for _ in range(12):
        trial = frequency + step * np.linspace(-1, 1, 9)
        frequency = float(trial[np.argmax([abs(_component(soft, lag_ps, f)) for f in trial])])
        step /= 3
    return _train(soft, np.hanning(len(counts)) ** 2 * counts, lag_ps, frequency)


def _train(
    soft: NDArray[np.float64], variance: NDArray[np.float64], lag_ps: NDArray[np.float64], frequency: float
) -> PulseTrain:
    turn = np.exp(2j * np.pi * frequency * lag_ps)
    angle = 2 * np.pi * lag_ps
    value, slope, curve = (complex(np.sum(soft * (1j * angle) ** order * turn)) for order in (0, 1, 2))
    by_count = 2 * np.real(np.conj(turn) * slope + np.conj(value) * 1j * angle * turn)
    bend = 2 * float(np.real(abs(slope) ** 2 + np.conj(value) * curve))
    frequency_error = math.sqrt(float((variance * by_count**2).sum())) / abs(bend)
    phase_error = math.sqrt(float((variance * np.imag(turn / value) ** 2).sum()))
    period = 1.0 / frequency
    return PulseTrain(
        period,
        frequency_error * period**2,
        float(np.angle(value)) / (2 * np.pi) * period,
        phase_error / (2 * np.pi) * period,
    )


def _component(counts: NDArray[np.float64], lag_ps: NDArray[np.float64], frequency: float) -> complex:
    return complex(np.sum(counts * np.exp(2j * np.pi * frequency * lag_ps)))
