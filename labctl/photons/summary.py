"""What a correlation found, as lines for people and as fields for programs."""

from __future__ import annotations

import math
from typing import Any

from labctl.photons.correlator import Pair
from labctl.photons.diagnosis import measure_dead_time
from labctl.photons.features import Feature
from labctl.photons.g2 import PairBlocks
from labctl.photons.statistics import MIN_BLOCKS, burst_brightness, rate_record


def summarise(pair: Pair, blocks: PairBlocks, feature: Feature | None) -> tuple[list[str], dict[str, Any]]:
    """Give (lines, fields) for one pair of channels."""
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
        "photons_per_burst": None,
    }
    if pair.same_channel:
        lines += _dead_time_lines(blocks, fields)
        return lines, fields
    if feature is None:
        lines.append("too few pairs to look for a dip or a peak")
        return lines, fields
    lines += _feature_lines(feature)
    fields["feature"] = _feature_fields(feature)
    if feature.kind == "peak" and feature.period_ps is None:
        more, fields["photons_per_burst"] = _brightness(blocks, feature)
        lines += more
    return lines, fields


def _channel_line(name: str, channel: int, tags: int, seconds: float, excess: float) -> str:
    drift = f", drifts by {100 * excess:.2g} % between blocks" if excess > 0.005 else ""
    return f"{name}channel {channel}, {tags} tags, {tags / seconds:.6g} per s{drift}"


def _feature_lines(feature: Feature) -> list[str]:
    if feature.kind == "none":
        return ["no dip or peak above the counting noise"]
    lines = []
    level = "against long delays"
    if feature.period_ps is not None:
        near = feature.neighbours
        lines.append(f"pulsed light, period {feature.period_ps / 1000:.4f} ns")
        level = f"{min(near)} to {max(near)} in each of {len(near)} neighbouring periods"
    lines.append(
        f"{feature.kind}: at {feature.delay_ps / 1000:+.2f} ns, {feature.pairs} pairs within "
        f"+-{feature.half_width_ps / 1000:.3f} ns ({level})"
    )
    far = f"{feature.g2_far:.3f} +- {feature.g2_far_error:.3f}"
    lines.append(f"g2(0) = {far}, normalised to the far level")
    lines.append(f"g2(0) = {feature.g2_total:.3f}, normalised to the total count rates (as drawn)")
    return lines


def _feature_fields(feature: Feature) -> dict[str, Any]:
    return {
        "kind": feature.kind,
        "delay_ns": feature.delay_ps / 1000,
        "half_width_ns": feature.half_width_ps / 1000,
        "pairs": feature.pairs,
        "g2_far_level": _finite(feature.g2_far),
        "g2_far_level_error": _finite(feature.g2_far_error),
        "g2_total_rate": _finite(feature.g2_total),
        "period_ns": None if feature.period_ps is None else feature.period_ps / 1000,
        "neighbour_pairs": list(feature.neighbours),
    }


def _brightness(blocks: PairBlocks, feature: Feature) -> tuple[list[str], dict[str, Any] | None]:
    """Photons per burst from the area of the peak, far out so that the tail is in."""
    reach = min(20 * feature.half_width_ps, blocks.window_ps / 2)
    try:
        found = burst_brightness(blocks, reach, centre_ps=feature.delay_ps)
    except ValueError:
        return [], None
    how = "scatter between blocks" if blocks.n_blocks >= MIN_BLOCKS else "counting"
    lines = [
        f"photons per burst: {found.start:.3g} +- {found.start_error:.2g} (start), {found.stop:.3g} +- "
        f"{found.stop_error:.2g} (stop), errors from {how}; times the share of signal"
    ]
    if found.warning():
        lines.append(found.warning())
    return lines, {
        "start": found.start,
        "start_error": found.start_error,
        "stop": found.stop,
        "stop_error": found.stop_error,
        "fano": found.fano,
        "area_ps": found.area_ps,
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
