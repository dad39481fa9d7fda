"""What went over an instrument's line: when, which way, which bytes, what they mean."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

Direction = Literal["sent", "received", "note"]

CAPACITY = 20_000


@dataclass(frozen=True)
class TrafficEntry:
    """One message, or a note about the line itself.

    Attributes:
        epoch_s: When, in s since 1970-01-01 UTC.
        direction: ``"sent"``, ``"received"``, or ``"note"`` (connected, lost, ...).
        data: The bytes; empty for a note.
        meaning: What they say, in words.
    """

    epoch_s: float
    direction: Direction
    data: bytes
    meaning: str

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.epoch_s, UTC).isoformat(timespec="milliseconds")
        arrow = {"sent": "->", "received": "<-", "note": "--"}[self.direction]
        return "  ".join(part for part in (when, arrow, self.data.hex(" "), self.meaning) if part)


class TrafficLog:
    """The last messages of one line. Thread-safe; forgets the oldest.

    Args:
        capacity: How many messages are kept.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._entries: deque[TrafficEntry] = deque(maxlen=capacity)
        self._lock = threading.Lock()

    def record(self, epoch_s: float, direction: Direction, data: bytes, meaning: str = "") -> None:
        """Add one message."""
        with self._lock:
            self._entries.append(TrafficEntry(epoch_s, direction, bytes(data), meaning))

    def entries(self, last: int | None = None) -> tuple[TrafficEntry, ...]:
        """The messages kept, oldest first; only the ``last`` ones if a number is given."""
        with self._lock:
            kept = tuple(self._entries)
        return kept if last is None else kept[len(kept) - min(last, len(kept)) :]

    def save(self, path: Path) -> None:
        """Write the messages kept to a text file, one line each. Raises ``OSError``."""
        write_traffic(path, self.entries())


def write_traffic(path: Path, entries: Iterable[TrafficEntry]) -> None:
    """Write messages to a tab-separated text file: time (ISO 8601, UTC), direction, bytes in hex, meaning."""
    lines = ["time\tdirection\tbytes\tmeaning\n"]
    for entry in entries:
        when = datetime.fromtimestamp(entry.epoch_s, UTC).isoformat(timespec="microseconds")
        meaning = entry.meaning.replace("\t", " ").replace("\n", " ")
        lines.append(f"{when}\t{entry.direction}\t{entry.data.hex(' ')}\t{meaning}\n")
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
