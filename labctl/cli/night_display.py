"""What the terminal shows while a run goes on: a bar that stays, a line for each point."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from drivers.clock import Clock
from drivers.cryostage.base import CryostageStatus
from labctl.cli.output import Output
from labctl.cli.table import live_words, point_line, results_table
from labctl.engine.live import LiveStanding
from labctl.engine.schedule import Progress as Schedule
from labctl.engine.schedule import Standing
from labctl.fitting.point import PointFit
from labctl.store.point import PointData
from labctl.store.table import note_lines, result_row

EARLY = 0.1


class _Bar(Progress):
    """The bar, with a line of its own below it."""

    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Bar and line."""
        yield from super().get_renderables()
        if self.below:
            yield Text(self.below, no_wrap=True, overflow="ellipsis")


def _hms(seconds: float) -> str:
    return str(timedelta(seconds=max(0, round(seconds))))


class NightDisplay:
    """Progress bar with the present step, stage temperature and time left.

    Args:
        out: Where to print.
        clock: The experiment's clock.
        simulated: The clock is a simulated one, so its time left differs from the wall's.
    """

    def __init__(self, out: Output, clock: Clock, *, simulated: bool) -> None:
        self.rows: list[dict[str, Any]] = []
        self.fits: list[tuple[float, PointFit]] = []
        self._out = out
        self._clock = clock
        self._simulated = simulated
        self._began_wall_s = time.monotonic()
        self._began_s = clock.now()
        self._temperature = ""
        self._live: LiveStanding | None = None
        self._lock = threading.Lock()
        self._schedule: Schedule | None = None
        self._bar = _Bar(
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.description}"),
            console=out.console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("", total=1.0)

    @property
    def wall_s(self) -> float:
        """Wall time since the run began, in s."""
        return time.monotonic() - self._began_wall_s

    @property
    def experiment_s(self) -> float:
        """Experiment time since the run began, in s."""
        return self._clock.now() - self._began_s

    @contextmanager
    def following(self, schedule: Schedule) -> Iterator[None]:
        """Show the bar within."""
        self._schedule = schedule
        with self._bar:
            yield

    def temperature(self, status: CryostageStatus) -> None:
        """Take a reading of the stage."""
        self._temperature = f"stage {status.temperature.value:6.2f} K"

    def live(self, standing: LiveStanding) -> None:
        """Take a fit of the histogram that is growing now."""
        self._live = standing

    def point(self, point: PointData, fit: PointFit | None) -> None:
        """Take a finished point: print its line."""
        row = result_row(point, fit)
        with self._lock:
            self.rows.append(row)
            if fit is not None:
                self.fits.append((point.temperature_K, fit))
        self._bar.console.print(point_line(row), markup=False, soft_wrap=True)
        for line in note_lines([row]):
            self._bar.console.print(f"          note, {line}", markup=False, soft_wrap=True)

    def refresh(self) -> None:
        """Draw the bar as things stand."""
        if self._schedule is None:
            return
        standing = self._schedule.standing()
        left = f"{_hms(standing.left_s)} left"
        # How fast simulated time runs is not known before the first photons have been simulated.
        if self._simulated and standing.done_s > EARLY * self._schedule.total_s:
            wall_left_s = standing.left_s * self.wall_s / self.experiment_s
            left = f"{_hms(standing.left_s)} left in the simulation, {_hms(wall_left_s)} here"
        words = f"{standing.step.label}   {self._temperature}   {left}"
        point = "" if standing.step.point is None else f"{standing.step.point + 1}/{self._schedule.points}  "
        self._bar.update(
            self._task,
            completed=standing.done_s,
            total=self._schedule.total_s,
            description=f"{point}{words}",
        )
        self._bar.below = self._growing(standing)
        self._bar.refresh()

    def _growing(self, standing: Standing) -> str:
        """The present histogram; empty where none is growing."""
        live = self._live
        if live is None or standing.step.label != "g2" or live.point != standing.step.point:
            return ""
        return live_words(live)

    def table(self) -> Table:
        """All points so far."""
        return results_table(self.rows)
