"""A g2 histogram as a text table that any program reads, with what is needed to understand it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labctl.photons.background import SignalShare, signal_g2
from labctl.photons.g2 import PairBlocks
from labctl.photons.log_lags import LogG2
from labctl.store.durable import write_text


def write_g2_table(
    path: Path, blocks: PairBlocks, header: Mapping[str, Any], share: SignalShare | None = None
) -> None:
    """Write one line per bin: delay, pairs, expected pairs, g2 in both normalisations, error.

    Args:
        path: CSV file; lines that begin with # come first.
        blocks: The histogram.
        header: What else to say in the first lines.
        share: Share of signal; adds g2 of the signal alone and its error.
    """
    # Without pairs at long delays there is no far level to divide by.
    far = blocks.far_level_if_any() or float("nan")
    notes = {
        **header,
        "bin_ps": blocks.bin_ps,
        "far_level": f"{far:.6g} (mean g2 beyond half the range; g2_far = g2 / far_level)",
        "delay_ns": "centre of the whole-ps delays in the bin; stop minus start",
        "expected": "pairs of uncorrelated light with the same count rates",
        "g2_error": "from counting, independent from bin to bin",
    }
    g2, error = blocks.g2(), blocks.g2_error()
    names = ["delay_ns", "pairs", "expected", "g2", "g2_error", "g2_far"]
    columns = [blocks.lag_ps / 1000, blocks.total(), blocks.expected(), g2, error, g2 / far]
    formats = ["{:.4f}", "{}", "{:.8g}", "{:.8g}", "{:.4g}", "{:.8g}"]
    if share is not None:
        notes["signal_pair_share"] = f"{share.both:.6g} +- {share.both_error:.2g}"
        notes["g2_signal"] = "1 + (g2 - 1) / signal_pair_share; error from counting as above"
        notes["g2_signal_common_error"] = "from the background rates; moves all bins together"
        names += ["g2_signal", "g2_signal_error", "g2_signal_common_error"]
        columns += signal_g2(g2, error, share)
        formats += ["{:.8g}", "{:.4g}", "{:.4g}"]
    line = ",".join(formats)
    lines = [*_comments(notes), ",".join(names)]
    lines += [line.format(*row) for row in zip(*columns, strict=True)]
    write_text(path, "\n".join(lines) + "\n")


def write_log_table(path: Path, sides: tuple[LogG2, LogG2], header: Mapping[str, Any]) -> None:
    """Write log-spaced lags, one line per lag and sign.

    Args:
        path: CSV file.
        sides: Lags >= 0 and lags < 0.
        header: What else to say in the first lines.
    """
    notes = {
        **header,
        "exact": "1: pairs counted one by one in [low, high); 0: products of coarse bins, triangular weight",
    }
    lines = [*_comments(notes), "lag_s,low_s,high_s,sign,pairs,expected,g2,g2_error,exact"]
    for side, sign in zip(sides, (1, -1), strict=True):
        seconds = np.stack([side.lag_ps, side.lag_low_ps, side.lag_high_ps]) * 1e-12
        columns = zip(
            *seconds, side.pairs, side.expected, side.g2, side.g2_error, side.exact.astype(int), strict=True
        )
        lines += [
            f"{t:.9g},{low:.9g},{high:.9g},{sign},{n},{e:.8g},{g:.8g},{s:.4g},{x}"
            for t, low, high, n, e, g, s, x in columns
        ]
    write_text(path, "\n".join(lines) + "\n")


def _comments(notes: Mapping[str, Any]) -> list[str]:
    return [f"# {key}: {value}" for key, value in notes.items()]
