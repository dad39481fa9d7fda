"""What stands out in a pair histogram: the missing pulse, the dip or the bunching peak, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labctl.photons.background import SignalShare
from labctl.photons.g2 import PairBlocks
from labctl.photons.pulse_train import FEWEST_PERIODS, PulseTrain, pulse_period
from labctl.photons.statistics import pair_ratio_error

_NEIGHBOURS = 6
_SIGNIFICANT_SIGMA = 5.0
_LEAST_EXPOSURE = 0.1


@dataclass(frozen=True)
class Comb:
    """Peaks of pulsed light, one per pulse.

    Attributes:
        period_ps: Pulse period.
        period_error_ps: Its standard error from counting.
        delay_ps: Centre of each whole period in the window, shape (n,).
        area: Pairs in each period, shape (n,).
        expected: Pairs that uncorrelated light of the same count rates gives there, shape (n,).
        chosen: Index of the feature's period.
        near: Indices of the neighbouring periods that the feature is compared with, shape (m,).
    """

    period_ps: float
    period_error_ps: float
    delay_ps: NDArray[np.float64]
    area: NDArray[np.float64]
    expected: NDArray[np.float64]
    chosen: int
    near: NDArray[np.intp]


@dataclass(frozen=True)
class Feature:
    """The strongest departure from uncorrelated light.

    Attributes:
        kind: ``"dip"``, ``"peak"``, or ``"none"`` where nothing rises above the counting noise.
        delay_ps: Where it is centred.
        delay_error_ps: Standard error (pulsed light), or half of the range counted.
        half_width_ps: Half of the range of delays counted; half of the period for pulsed light.
        pairs: Pairs within ``half_width_ps`` of ``delay_ps``.
        expected: Pairs there for uncorrelated light of the same count rates.
        level: Pairs there by the neighbouring periods (pulsed) or by the far level (continuous);
            0 where there is no such level.
        level_expected: Pairs of uncorrelated light where ``level`` was counted, for as wide a range.
        level_error: Standard error of ``level`` from counting.
        pairs_error: Standard error of ``pairs``: counting, or the scatter between blocks (continuous light).
        comb: The pulses, or ``None`` for continuous excitation.
    """

    kind: Literal["dip", "peak", "none"]
    delay_ps: float
    delay_error_ps: float
    half_width_ps: float
    pairs: int
    expected: float
    level: float
    level_expected: float
    level_error: float
    pairs_error: float
    comb: Comb | None

    @property
    def period_ps(self) -> float | None:
        """Pulse period, or ``None`` for continuous excitation."""
        return None if self.comb is None else self.comb.period_ps

    @property
    def neighbours(self) -> tuple[int, ...]:
        """Pairs in each of the neighbouring periods (pulsed light), by delay."""
        return () if self.comb is None else tuple(int(n) for n in self.comb.area[self.comb.near])

    def g2_far(self, share: SignalShare | None = None) -> tuple[float, float]:
        """Pairs relative to the neighbouring periods or the far level, and the standard error.

        Args:
            share: With it, of the signal alone: background takes part in (1 - rho) of the accidental
                pairs, which are taken off both.
        """
        lost, lost_error = (0.0, 0.0) if share is None else (1 - share.both, share.both_error)
        level = self.level - lost * self.level_expected
        if level <= 0:
            return math.nan, math.nan
        ratio = (self.pairs - lost * self.expected) / level
        by_pairs = self.pairs_error / level
        by_level = ratio * self.level_error / level
        by_background = (self.expected - ratio * self.level_expected) / level * lost_error
        return ratio, math.sqrt(by_pairs**2 + by_level**2 + by_background**2)

    def g2_total(self, share: SignalShare | None = None) -> tuple[float, float]:
        """Pairs relative to uncorrelated light of the same count rates, and the standard error.

        Args:
            share: With it, of the signal alone.
        """
        if self.expected <= 0:
            return math.nan, math.nan
        ratio, error = self.pairs / self.expected, self.pairs_error / self.expected
        if share is None:
            return ratio, error
        excess = (ratio - 1) / share.both
        return 1 + excess, math.hypot(error / share.both, excess * share.both_error / share.both)

    def far_below(self, share: SignalShare | None = None) -> float:
        """Upper end of the 95 % interval of `g2_far` from the Poisson number of pairs (for few pairs)."""
        from scipy.special import gammaincinv

        lost = 0.0 if share is None else 1 - share.both
        level = self.level - lost * self.level_expected
        most = float(gammaincinv(self.pairs + 1, 0.95)) - lost * self.expected
        return max(most, 0.0) / level if level > 0 else math.nan


def find_feature(blocks: PairBlocks) -> Feature | None:
    """Find the dip or peak of a histogram; ``None`` where there are too few pairs to say anything.

    Pulsed light is recognised by a line in the Fourier transform of the histogram; the feature is then
    the period with the fewest (or most) pairs, each period counted whole. Lags that less than a tenth of
    the record can show (near its length, and beyond) take no part.
    """
    seen = _Visible.of(blocks)
    if len(seen.lag_ps) == 0 or seen.counts.sum() < 20:
        return None
    train = pulse_period(seen.counts, seen.lag_ps, blocks.bin_ps, seen.expected)
    feature = None if train is None else _missing_pulse(seen, train)
    return feature or _strongest_window(blocks, seen)


@dataclass(frozen=True)
class _Visible:
    """The part of a histogram that the record is long enough to show. Arrays have shape (m,).

    Attributes:
        first: Index of its first bin in the histogram.
        bin_ps: Bin width.
        lag_ps, counts, expected: Of its bins.
        exposure: Share of the record that can show a pair at this lag, 1 - |tau| / T for one piece.
        tags_per_ps: Count rate of both channels together.
    """

    first: int
    bin_ps: int
    lag_ps: NDArray[np.float64]
    counts: NDArray[np.float64]
    expected: NDArray[np.float64]
    exposure: NDArray[np.float64]
    tags_per_ps: float

    @staticmethod
    def of(blocks: PairBlocks) -> _Visible:
        expected = blocks.expected()
        whole = float((blocks.pair_rate() * blocks.duration_ps).sum()) * blocks.bin_ps
        exposure = expected / whole if whole > 0 else np.zeros_like(expected)
        bins = np.flatnonzero(exposure >= _LEAST_EXPOSURE)
        # The exposure falls to both sides of one lag, so that these bins lie side by side.
        part = slice(int(bins[0]), int(bins[-1]) + 1) if len(bins) else slice(0, 0)
        return _Visible(
            part.start,
            blocks.bin_ps,
            blocks.lag_ps[part],
            blocks.total().astype(np.float64)[part],
            expected[part],
            exposure[part],
            float(blocks.start_tags.sum() + blocks.stop_tags.sum())
            / max(float(blocks.duration_ps.sum()), 1.0),
        )

    def beyond_counting(self, width_ps: float) -> NDArray[np.float64]:
        """Variance of the pairs within a range of lags around each bin over that of counting, shape (m,).

        With given numbers of tags a start in the middle of the record always sees N_stop w / T stops on the
        average, one near its end sees none: the pairs share their tags, and this adds
        (N_start + N_stop) w / T * |tau| / T to the 1 of counting (the projections of a two-sample
        U-statistic, Hoeffding, Ann. Math. Stat. 19, 293 (1948)). Nothing where lags are short.
        """
        return 1.0 + self.tags_per_ps * width_ps * (1.0 - self.exposure)

    def far_level(self, beyond_ps: float) -> tuple[float, float]:
        """Mean g2 at lags from ``beyond_ps`` and its relative variance; (0, 0) where no pairs are."""
        far = np.abs(self.lag_ps) >= beyond_ps
        pairs = float(self.counts[far].sum())
        if pairs <= 0:
            return 0.0, 0.0
        beyond = float(self.beyond_counting(int(far.sum()) * self.bin_ps)[far].mean())
        return pairs / float(self.expected[far].sum()), beyond / pairs


def _missing_pulse(seen: _Visible, train: PulseTrain) -> Feature | None:
    """The period that differs; ``None`` where fewer than 6 whole periods can be seen."""
    lag, period_ps, pulse_ps = seen.lag_ps, train.period_ps, train.pulse_ps
    low_ps, high_ps = float(lag[0]) - (seen.bin_ps - 1) / 2, float(lag[-1]) + (seen.bin_ps + 1) / 2
    first = int(np.ceil((low_ps - pulse_ps) / period_ps + 0.5))
    last = int(np.floor((high_ps - pulse_ps) / period_ps - 0.5))
    number = np.rint((lag - pulse_ps) / period_ps).astype(np.int64)
    inside = (number >= first) & (number <= last)
    n = last - first + 1
    if n < FEWEST_PERIODS:
        return None

    def per_period(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(number[inside] - first, values[inside], n).astype(np.float64)

    area, normal = per_period(seen.counts), per_period(seen.expected)
    exposure = per_period(seen.exposure) / per_period(np.ones_like(lag))
    # As if every period had been seen for the whole record.
    whole = area / exposure
    chosen, kind = int(np.argmin(whole)), "dip"
    rest = np.delete(whole, chosen)
    spread = np.sqrt(seen.beyond_counting(period_ps).max() / exposure.min())
    if rest.mean() - whole[chosen] < _SIGNIFICANT_SIGMA * spread * np.sqrt(rest.mean()):
        chosen, kind = int(np.argmax(whole)), "peak"
        rest = np.delete(whole, chosen)
        if whole[chosen] - rest.mean() < _SIGNIFICANT_SIGMA * spread * np.sqrt(max(float(rest.mean()), 1.0)):
            kind = "none"
    distance = np.abs(np.arange(len(area)) - chosen)
    near = np.sort(np.argsort(distance, kind="stable")[1 : _NEIGHBOURS + 1])
    pulses = np.arange(first, last + 1, dtype=np.float64)
    level, pairs = float(whole[near].mean() * exposure[chosen]), float(area[chosen])
    return Feature(
        kind,  # type: ignore[arg-type]
        pulse_ps + (chosen + first) * period_ps,
        math.hypot(train.pulse_error_ps, (chosen + first) * train.period_error_ps),
        period_ps / 2,
        int(pairs),
        float(normal[chosen]),
        level,
        float((normal[near] / exposure[near]).mean() * exposure[chosen]),
        math.sqrt(max(level, 1.0) / len(near)),
        math.sqrt(max(pairs, 1.0)),
        Comb(period_ps, train.period_error_ps, pulse_ps + pulses * period_ps, area, normal, chosen, near),
    )


def _best_window(
    seen: _Visible,
    sum_counts: NDArray[np.float64],
    sum_level: NDArray[np.float64],
    far_variance: float,
    *,
    least: float,
) -> tuple[float, int, int]:
    """Give (significance, first bin, number of bins) of the most significant window.

    Args:
        seen: Histogram.
        sum_counts, sum_level: Running sums of the pairs found and wanted, from 0 (n + 1,).
        far_variance: Relative variance of the level.
        least: Only windows that expect so many pairs. With 0 the Poisson deviance judges, and of the
            windows at least 0.7 times as significant as the best one the narrowest is taken.
    """
    n = len(sum_counts) - 1
    found_windows = [(0.0, 0, 1)]
    width = 1
    while width <= max(n // 8, 1):
        found = sum_counts[width:] - sum_counts[:-width]
        wanted = sum_level[width:] - sum_level[:-width]
        if least:
            # Few expected pairs make large ratios by chance.
            away = (found - wanted) / np.sqrt(np.maximum(wanted, least))
            sigma = np.where(wanted >= least, away, 0.0)
        else:
            sigma = _significance(found, wanted)
        beyond = seen.beyond_counting(width * seen.bin_ps)
        # The larger of the two ends; between them it changes little.
        sigma = sigma / np.sqrt(np.maximum(beyond[: len(sigma)], beyond[width - 1 :]) + wanted * far_variance)
        at = int(np.argmax(np.abs(sigma)))
        found_windows.append((float(sigma[at]), at, width))
        width *= 2
    best = max(found_windows, key=lambda window: abs(window[0]))
    if least or abs(best[0]) < _SIGNIFICANT_SIGMA:
        return best
    enough = [w for w in found_windows if abs(w[0]) >= max(0.7 * abs(best[0]), _SIGNIFICANT_SIGMA)]
    return min(enough, key=lambda window: window[2])


def _significance(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed root of the Poisson deviance, in standard deviations; holds for few expected pairs too."""
    usable = wanted > 0
    safe = np.where(usable, wanted, 1.0)
    ratio = np.where(found > 0, found / safe, 1.0)
    deviance = 2 * (found * np.log(ratio) - (found - safe))
    return np.where(usable, np.sign(found - safe) * np.sqrt(np.maximum(deviance, 0.0)), 0.0)


def _strongest_window(blocks: PairBlocks, seen: _Visible) -> Feature:
    far_level, far_variance = seen.far_level(blocks.window_ps / 2)
    level = seen.expected * (far_level or 1.0)
    sum_counts = np.concatenate([[0.0], np.cumsum(seen.counts)])
    sum_level = np.concatenate([[0.0], np.cumsum(level)])
    sigma_best, at, width = _best_window(seen, sum_counts, sum_level, far_variance, least=5.0)
    if abs(sigma_best) < _SIGNIFICANT_SIGMA:
        # A dim record: a peak may hold many pairs where fewer than one is expected.
        sigma_best, at, width = _best_window(seen, sum_counts, sum_level, far_variance, least=0.0)
    kind: Literal["dip", "peak", "none"] = "peak" if sigma_best > 0 else "dip"
    if abs(sigma_best) < _SIGNIFICANT_SIGMA:
        kind = "none"
    if kind == "peak":
        at, width = _without_empty_ends(seen.counts, at, width)
    pairs = sum_counts[at + width] - sum_counts[at]
    wanted = sum_level[at + width] - sum_level[at]
    inside = np.zeros(blocks.n_bins, dtype=bool)
    inside[seen.first + at : seen.first + at + width] = True
    accidental = float(seen.expected[at : at + width].sum())
    beyond = math.sqrt(float(seen.beyond_counting(width * blocks.bin_ps)[at : at + width].max()))
    return Feature(
        kind,
        float(blocks.lag_ps[inside].mean()),
        width * blocks.bin_ps / 2,
        width * blocks.bin_ps / 2,
        int(pairs),
        accidental,
        float(wanted) if far_level else 0.0,
        accidental,
        float(wanted) * math.sqrt(far_variance),
        max(pair_ratio_error(blocks, inside, 1.0), beyond * math.sqrt(max(float(pairs), 1.0))),
        None,
    )


def _without_empty_ends(counts: NDArray[np.float64], at: int, width: int) -> tuple[int, int]:
    """Drop empty bins at the ends of a peak with so many pairs that chance does not leave a bin empty."""
    filled = np.flatnonzero(counts[at : at + width])
    if len(filled) == 0 or counts[at : at + width].sum() < 10 * width:
        return at, width
    return at + int(filled[0]), int(filled[-1] - filled[0]) + 1
