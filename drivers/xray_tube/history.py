"""What is remembered of a tube between two programmes: when it last had which voltage, and its doses."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import threading
from pathlib import Path
from typing import Any

from drivers.xray_tube.dose import DoseMeter
from drivers.xray_tube.warm_up import STEP_kV, levels_kV

FORMAT = 1
# A monitor reads a little less than the set voltage; so much less still counts as having had it.
NEARLY_kV = 1.0

_log = logging.getLogger(__name__)


class TubeHistory:
    """Last use by voltage and the doses, kept in a small JSON file. Thread-safe.

    Whoever else writes the same file loses nothing: on saving, the later use and the larger dose win. A
    file that cannot be read is put aside under another name, and the tube counts as never used.

    Args:
        path: The file; None: nothing is remembered.
        meter: The doses to keep in it.
    """

    def __init__(self, path: Path | None, meter: DoseMeter) -> None:
        self._path = path
        self._meter = meter
        self._lock = threading.Lock()
        self._last_use_epoch_s: dict[float, float] = {}
        self._dirty = False

    def load(self) -> None:
        """Read the file, if there is one."""
        with self._lock:
            self._merge()

    def note_use(self, voltage_kV: float, epoch_s: float) -> None:
        """The tube has this voltage now."""
        with self._lock:
            for level_kV in levels_kV(STEP_kV * math.floor((voltage_kV + NEARLY_kV) / STEP_kV)):
                self._last_use_epoch_s[level_kV] = max(epoch_s, self._last_use_epoch_s.get(level_kV, 0.0))
                self._dirty = True

    def rest_s(self, voltage_kV: float, epoch_s: float) -> float:
        """Time since the tube last had at least this voltage, to 5 kV downwards, in s; infinite: never."""
        level_kV = max(STEP_kV * math.floor(voltage_kV / STEP_kV + 1e-9), STEP_kV)
        with self._lock:
            uses = [used for level, used in self._last_use_epoch_s.items() if level >= level_kV]
        return max(epoch_s - max(uses), 0.0) if uses else math.inf

    def save(self) -> None:
        """Write the file, if the tube was used. A file that cannot be written is only warned of."""
        with self._lock:
            if self._path is None or not self._dirty:
                return
            self._merge()
            content = {
                "format": FORMAT,
                "last_use_epoch_s": {
                    f"{level:g}": used for level, used in sorted(self._last_use_epoch_s.items())
                },
                "doses": self._meter.to_dict(),
            }
            aside = self._path.with_name(self._path.name + ".new")
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with aside.open("w", encoding="utf-8") as file:
                    json.dump(content, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(self._path)
                self._dirty = False
            except OSError as error:
                _log.warning("history of the X-ray tube cannot be written to %s: %s", self._path, error)

    def _merge(self) -> None:
        if self._path is None:
            return
        try:
            content: Any = json.loads(self._path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']!r} is not {FORMAT}")
            uses = {float(level): float(used) for level, used in content["last_use_epoch_s"].items()}
            self._meter.at_least(content["doses"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            _log.warning(
                "history of the X-ray tube in %s cannot be read (%s): put aside, the tube counts as unused",
                self._path,
                error,
            )
            with contextlib.suppress(OSError):
                self._path.replace(self._path.with_name(self._path.name + ".unreadable"))
            return
        for level, used in uses.items():
            self._last_use_epoch_s[level] = max(used, self._last_use_epoch_s.get(level, 0.0))
