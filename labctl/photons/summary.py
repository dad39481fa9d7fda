"""What a correlation found, as lines for people and as fields for programs."""

from __future__ import annotations

import math
from typing import Any

from labctl.fitting.value import Value
from labctl.photons.background import Rate, SignalShare, signal_share
from labctl.photons.correlator import Pair
from labctl.photons.diagnosis import measure_dead_time
from labctl.photons.features import Feature
from labctl.photons.g2 import PairBlocks
from labctl.photons.statistics import MIN_BLOCKS, burst_brightness, rate_record

FEW_PAIRS = 10
"""Fewer pairs in a dip than this: the upper end of the interval says more than the standard error."""


def summarise(
    pair: Pair,
    blocks: PairBlocks,
    feature: Feature | None,
    background: tuple[Rate, Rate] | None = None,
) -> tuple[list[str], dict[str, Any], SignalShare | None]:
    """Say what one pair of channels shows.

    Args:
        pair: Channels.
        blocks: Histogram.
        feature: What stands out.
        background: Rates of counts that are not signal, of the start and the stop channel.

    Returns:
        Lines for people, fields for programs, and the share of signal (``None`` without background).

    Raises:
        ValueError: A background is not below the count rate.
    """
    seconds = float(blocks.duration_ps.sum()) / 1e12
    starts, stops, pairs = (int(x.sum()) for x in (blocks.start_tags, blocks.stop_tags, blocks.total()))
    rates = rate_record(blocks)
    far = blocks.far_level_if_any()
    window = f"+-{blocks.window_ps / 1000:g} ns, {blocks.bin_ps} ps bins, {blocks.n_blocks} time blocks"
    lines = [
        _channel_line("start: ", pair.start_channel, starts, seconds, rates.start_excess),
        _channel_line("stop:  ", pair.stop_channel, stops, seconds, rates.stop_excess),
        f"pairs: {pairs} within {window}",
    ]
    if far is not None:
        lines.append(f"far level: {far:.4g} times what the total count rates give (1: no slow fluctuations)")
    fields: dict[str, Any] = {
        "start_channel": pair.start_channel,
        "stop_channel": pair.stop_channel,
        "stop_delay_ps": pair.stop_delay_ps,
        "duration_s": seconds,
        "start_tags": starts,
        "stop_tags": stops,
        "start_rate_Hz": starts / seconds,
        "stop_rate_Hz": stops / seconds,
        "start_drift": rates.start_excess,
        "stop_drift": rates.stop_excess,
        "pairs": pairs,
        "window_ps": blocks.window_ps,
        "bin_ps": blocks.bin_ps,
        "time_blocks": blocks.n_blocks,
        "far_level": far,
        "feature": None,
        "background": None,
        "photons_per_burst": None,
    }
    share = None
    if background is not None:
        share = signal_share(blocks, *background)
        lines.append(_share_line(background, share))
        fields["background"] = _share_fields(background, share, far)
    if pair.same_channel:
        lines += _dead_time_lines(blocks, fields)
        return lines, fields, share
    if feature is None:
        lines.append("too few pairs to look for a dip or a peak")
        return lines, fields, share
    lines += _feature_lines(feature, share)
    fields["feature"] = _feature_fields(feature, share)
    if feature.kind == "peak" and feature.period_ps is None:
        more, fields["photons_per_burst"] = _brightness(blocks, feature, share)
        lines += more
    return lines, fields, share


def _share_line(background: tuple[Rate, Rate], share: SignalShare) -> str:
    parts = [
        f"{name} {_number(rate.Hz, rate.error_Hz)} per s ({_number(100 * part, 100 * error)} % signal)"
        for name, rate, part, error in zip(
            ("start", "stop"),
            background,
            (share.start, share.stop),
            (share.start_error, share.stop_error),
            strict=True,
        )
    ]
    return (
        f"background: {', '.join(parts)}; {_number(100 * share.both, 100 * share.both_error)} % of the "
        "accidental pairs are signal with signal"
    )


def _number(value: float, error: float) -> str:
    """With its error, where it has one: a background may be given without."""
    return str(Value(value, error)) if error > 0.0 else f"{value:.6g}"


def _share_fields(
    background: tuple[Rate, Rate], share: SignalShare, far: float | None
) -> dict[str, float | None]:
    start, stop = background
    return {
        "start_Hz": start.Hz,
        "start_error_Hz": start.error_Hz,
        "stop_Hz": stop.Hz,
        "stop_error_Hz": stop.error_Hz,
        "start_signal_share": share.start,
        "start_signal_share_error": share.start_error,
        "stop_signal_share": share.stop,
        "stop_signal_share_error": share.stop_error,
        "signal_pair_share": share.both,
        "signal_pair_share_error": share.both_error,
        "far_level_signal": None if far is None else 1 + (far - 1) / share.both,
    }


def _channel_line(name: str, channel: int, tags: int, seconds: float, excess: float) -> str:
    drift = f", drifts by {100 * excess:.2g} % between blocks" if excess > 0.005 else ""
    return f"{name}channel {channel}, {tags} tags, {tags / seconds:.6g} per s{drift}"


def _feature_lines(feature: Feature, share: SignalShare | None) -> list[str]:
    lines = []
    level = "against long delays" if feature.level > 0 else "no pairs at long delays"
    if feature.comb is not None:
        near = feature.neighbours
        period = Value(feature.comb.period_ps / 1000, feature.comb.period_error_ps / 1000)
        lines.append(f"pulsed light, period {period} ns ({len(feature.comb.area)} periods in the window)")
        level = f"{min(near)} to {max(near)} in each of {len(near)} neighbouring periods"
    if feature.kind == "none":
        missing = "no period differs from the others" if feature.comb else "no dip or peak"
        return [*lines, f"{missing} above the counting noise"]
    delay = f"{round(feature.delay_ps / 1000, 2) + 0.0:+.2f}"
    if feature.comb is not None:
        delay = f"{Value(feature.delay_ps / 1000, feature.delay_error_ps / 1000)}"
        delay = delay if feature.delay_ps < 0 else f"+{delay}"
    lines.append(
        f"{feature.kind}: at {delay} ns, {feature.pairs} pairs within "
        f"+-{feature.half_width_ps / 1000:.3f} ns ({level})"
    )
    where = "g2(0)" if feature.comb is not None or feature.kind == "dip" else "g2 there"
    norm = "to the neighbouring periods" if feature.comb is not None else "to the far level"
    norm += " (far level)" if feature.comb is not None else ""
    drawn = " (as drawn)" if feature.comb is None else ""
    for part in (None,) if share is None else (None, share):
        name = where if part is None else f"{where} of the signal alone"
        few = ""
        if feature.kind == "dip" and feature.pairs < FEW_PAIRS:
            few = f", below {feature.far_below(part):.2g} with 95 % confidence"
        if feature.level > 0:
            lines.append(f"{name} = {_plus_minus(feature.g2_far(part))}, normalised {norm}{few}")
        lines.append(
            f"{name} = {_plus_minus(feature.g2_total(part))}, normalised to the total count rates{drawn}"
        )
    return lines


def _plus_minus(number: tuple[float, float]) -> str:
    value, error = number
    if not (math.isfinite(value) and math.isfinite(error)):
        return "not known (nothing to normalise by)"
    digits = min(max(1 - math.floor(math.log10(error)), 0), 6) if error > 0 else 3
    return f"{value:.{digits}f} +- {error:.{digits}f}"


def _feature_fields(feature: Feature, share: SignalShare | None) -> dict[str, Any]:
    far, total = feature.g2_far(), feature.g2_total()
    comb = feature.comb
    fields: dict[str, Any] = {
        "kind": feature.kind,
        "delay_ns": feature.delay_ps / 1000,
        "delay_error_ns": feature.delay_error_ps / 1000,
        "half_width_ns": feature.half_width_ps / 1000,
        "pairs": feature.pairs,
        "g2_far_level": _finite(far[0]),
        "g2_far_level_error": _finite(far[1]),
        "g2_far_level_below": _finite(feature.far_below()) if feature.kind == "dip" else None,
        "g2_total_rate": _finite(total[0]),
        "g2_total_rate_error": _finite(total[1]),
        "period_ns": None if comb is None else comb.period_ps / 1000,
        "period_error_ns": None if comb is None else comb.period_error_ps / 1000,
        "neighbour_pairs": list(feature.neighbours),
        "period_pairs": [] if comb is None else [int(n) for n in comb.area],
        "signal": None,
    }
    if share is not None:
        far, total = feature.g2_far(share), feature.g2_total(share)
        fields["signal"] = {
            "g2_far_level": _finite(far[0]),
            "g2_far_level_error": _finite(far[1]),
            "g2_total_rate": _finite(total[0]),
            "g2_total_rate_error": _finite(total[1]),
        }
    return fields


def _brightness(
    blocks: PairBlocks, feature: Feature, share: SignalShare | None
) -> tuple[list[str], dict[str, Any] | None]:
    """Photons per burst from the area of the peak, far out so that the tail is in."""
    reach = min(20 * feature.half_width_ps, blocks.window_ps / 2)
    try:
        found = burst_brightness(blocks, reach, centre_ps=feature.delay_ps, share=share)
    except ValueError:
        return [], None
    unknown = ""
    if min(found.start, found.stop) <= 0:
        unknown = "the pairs around the peak are no more than uncorrelated light gives"
    elif min(found.start_error, found.stop_error) <= 0:
        unknown = "no scatter between the time blocks to take an error from"
    if unknown:
        return [f"photons per burst: not known ({unknown})"], None
    how = "scatter between blocks" if blocks.n_blocks >= MIN_BLOCKS else "counting"
    of = "background taken out" if share is not None else "times the share of signal"
    lines = [
        f"photons per burst: {Value(found.start, found.start_error)} (start), "
        f"{Value(found.stop, found.stop_error)} (stop), errors from {how}; {of}"
    ]
    if found.warning():
        lines.append(found.warning())
    return lines, {
        "start": found.start,
        "start_error": found.start_error,
        "stop": found.stop,
        "stop_error": found.stop_error,
        "background_taken_out": share is not None,
        "fano": found.fano,
        "area_ps": found.area_ps,
        "area_error_ps": found.area_error_ps,
    }


def _dead_time_lines(blocks: PairBlocks, fields: dict[str, Any]) -> list[str]:
    try:
        found = measure_dead_time(blocks)
    except ValueError as error:
        return [f"auto-correlation: {error}"]
    fields["dead_time_ns"] = found.dead_ps / 1000
    fields["extra_counts_per_count"] = found.after_pulses
    fields["extra_counts_per_count_error"] = found.after_pulses_error
    dead = f"no two counts closer than {found.dead_ps / 1000:g} ns" if found.dead_ps else "no dead time seen"
    extra = f"{found.after_pulses:.3g} +- {found.after_pulses_error:.1g} extra counts per count"
    return [
        f"auto-correlation: {dead}; {extra} up to {found.upto_ps / 1000:g} ns "
        "(after-pulses, if the light is steady)"
    ]


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
