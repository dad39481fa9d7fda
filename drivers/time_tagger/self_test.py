"""What the tagger's own test signal says about the tagger: rates and jitter, judged. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from drivers.time_tagger.base import TagChunk

RATE_TOLERANCE = 0.05
JITTER_FACTOR = 2.0


@dataclass(frozen=True)
class SelfTest:
    """Result of a record of the test signal.

    Attributes:
        passed: Nothing was found.
        rates_Hz: Rate by counter.
        jitter_ps_rms: Jitter of one tag from the time between two inputs that see the same signal (divided by
            sqrt 2); None where there is one input only.
        findings: What is wrong, in words; empty if passed.
    """

    passed: bool
    rates_Hz: dict[str, float]
    jitter_ps_rms: float | None
    findings: tuple[str, ...]


def judge(
    chunks: Sequence[TagChunk],
    channels: Mapping[str, int],
    *,
    expected_Hz: float | None,
    jitter_ps_rms: float,
) -> SelfTest:
    """Judge a record of the test signal.

    Args:
        chunks: The record.
        channels: Counter -> channel number.
        expected_Hz: Frequency of the signal; None if not known.
        jitter_ps_rms: Jitter that the model should have; twice that is a finding.
    """
    length_s = sum(chunk.end_ps - chunk.begin_ps for chunk in chunks) * 1e-12
    stamps = {
        name: np.concatenate([chunk.timestamps_ps[chunk.channels == number] for chunk in chunks])
        for name, number in channels.items()
    }
    rates_Hz = {name: entry.size / length_s for name, entry in stamps.items()}
    findings = [f"{name!r}: no test signal" for name, rate in rates_Hz.items() if rate == 0]
    if expected_Hz is not None:
        findings += [
            f"{name!r}: {rate:.6g} pulses/s of the test signal, {expected_Hz:.6g} expected"
            for name, rate in rates_Hz.items()
            if rate and abs(rate / expected_Hz - 1) > RATE_TOLERANCE
        ]
    if any(chunk.gaps for chunk in chunks):
        findings.append("tags were lost during the test")
    jitter = _pair_jitter_ps(stamps, channels)
    if jitter is not None and jitter > JITTER_FACTOR * jitter_ps_rms:
        findings.append(f"jitter of one tag {jitter:.3g} ps rms, {jitter_ps_rms:.3g} ps expected")
    return SelfTest(not findings, rates_Hz, jitter, tuple(findings))


def _pair_jitter_ps(stamps: Mapping[str, np.ndarray], channels: Mapping[str, int]) -> float | None:
    """Scatter of the time between the nearest pulses of two inputs on the same edge, over sqrt 2."""
    names = [name for name, entry in stamps.items() if entry.size > 100]
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            if channels[first] * channels[second] > 0:
                return _scatter_ps(stamps[first], stamps[second]) / float(np.sqrt(2.0))
    return None


def _scatter_ps(first: np.ndarray, second: np.ndarray) -> float:
    after = np.clip(np.searchsorted(second, first), 1, second.size - 1)
    nearest = np.where(first - second[after - 1] < second[after] - first, after - 1, after)
    difference = (second[nearest] - first).astype(np.float64)
    # Pulses at the ends may have lost their partner: the middle of the distribution tells the jitter.
    low, high = np.quantile(difference, [0.15865525, 0.84134475])
    return float(high - low) / 2
