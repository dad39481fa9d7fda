"""What every panel of the report's figure shares: its point, its colours, its legend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.colours import FAINT, INK

if TYPE_CHECKING:
    from labctl.fitting.point import PointFit
    from labctl.store.point import PointData

LABEL_SIZE, TICK_SIZE, TITLE_SIZE = 10.5, 9.5, 11.0
DASHED = (0, (4, 2))
TRUE_LINE = "true"


@dataclass(frozen=True)
class FigurePoint:
    """One point as the figure needs it.

    Attributes:
        data: The raw data.
        fit: Its fit with curves, if there is one.
        row: Its numbers (``labctl.store.table.result_row``).
    """

    data: PointData
    fit: PointFit | None
    row: Mapping[str, Any]

    @property
    def temperature_K(self) -> float:
        """Where it stands on the temperature axis: as measured, else as asked for."""
        measured = self.data.temperature_K
        return measured if math.isfinite(measured) else self.data.set_point_K


def temperature_colours(temperatures_K: Sequence[float]) -> list[Any]:
    """A colour for each temperature, blue (cold) to red (warm), all dark enough on white."""
    from matplotlib.colors import LinearSegmentedColormap

    scale = LinearSegmentedColormap.from_list("kelvin", ["#0b4f9e", "#6a3d9a", "#b01e63", "#c62f1f"])
    low, high = min(temperatures_K), max(temperatures_K)
    span = high - low
    return [scale((value - low) / span if span > 0 else 0.0) for value in temperatures_K]


def legend_above(ax: Any) -> None:
    """Legend beside the panel's title, where no data can be; a grey dashed line is any true curve."""
    from matplotlib.lines import Line2D

    handles, labels = ax.get_legend_handles_labels()
    if any(line.get_gid() == TRUE_LINE for line in ax.get_lines()):
        handles.append(Line2D([], [], color=FAINT, linestyle=DASHED, linewidth=1.2))
        labels.append("true")
    if handles:
        legend(
            ax,
            handles=handles,
            labels=labels,
            loc="lower right",
            bbox_to_anchor=(1.0, 1.01),
            ncols=len(handles),
            borderaxespad=0.0,
            borderpad=0.2,
            columnspacing=1.0,
            handletextpad=0.4,
        )


def legend(ax: Any, **options: Any) -> None:
    """A legend in the figure's style."""
    ax.legend(fontsize=9, frameon=False, labelcolor=INK, **options)


def say(ax: Any, text: str) -> None:
    """Write in an empty panel why it is empty."""
    ax.set_yticks([])
    ax.grid(visible=False)
    if not ax.get_xlabel():
        ax.set_xticks([])
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=11, color=FAINT)
