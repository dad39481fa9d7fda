"""One directory per run: what was asked, what happened, what was measured, what was made of it.

The layout is described in ``docs/run_directory.md``. Nothing that was measured is ever overwritten.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from labctl import __version__
from labctl.store import durable, provenance, strict_json
from labctl.store.document_log import DocumentLog, Documents, read_documents
from labctl.store.fit_files import read_fit_record, set_aside, write_fit_file
from labctl.store.point import PointData
from labctl.store.point_file import (
    PointContext,
    PointFileError,
    read_point_file,
    read_point_fit,
    write_point_file,
)
from labctl.store.run_state import RunLock, RunState, read_state, write_state

FORMAT = 1
REQUEST_FILE = "request.json"
DOCUMENTS_FILE = "documents.jsonl"
RESULT_FILE = "result.json"
SWEEP_FIT_FILE = "sweep.json"
_NUMBERED = re.compile(r"^(\d{4,})(?:_.*)?$")
_POINT_FILE = re.compile(r"^point_(\d{3,})\.(nxs|json)$")


class RunDirectory:
    """A run on the disk.

    ``create`` makes one and owns it until ``finish`` or ``close``; ``open`` reads one, also while it
    is being written by another process.

    Args:
        path: The run directory.
        lock: The owner's lock; None for a reader.
    """

    def __init__(self, path: Path, lock: RunLock | None = None) -> None:
        self.path = path
        self._lock = lock
        self._log: DocumentLog | None = None
        self._request: dict[str, Any] | None = None

    @classmethod
    def create(
        cls, root: Path, title: str, request: Mapping[str, Any], *, created_epoch_s: float | None = None
    ) -> Self:
        """Make ``root/0001_2026-11-20_<title>`` with the next free number and own it.

        Safe when several processes do so at once: a number is given out only once, and numbers of
        removed runs in between are not used again.

        Args:
            root: The folder of all runs; made when missing.
            title: Words for the folder's name, e.g. ``"temperature_sweep_xray-B"``.
            request: What was asked, JSON-able (keys in ``docs/run_directory.md``).
            created_epoch_s: Time of creation; the computer's clock when None.

        Raises:
            OSError: ``root`` cannot be written.
        """
        created_s = time.time() if created_epoch_s is None else created_epoch_s
        root.mkdir(parents=True, exist_ok=True)
        number, bare = _claim_number(root)
        record = {
            "format": FORMAT,
            "number": number,
            "title": title,
            "created": datetime.fromtimestamp(created_s, UTC).isoformat(timespec="milliseconds"),
            "created_epoch_s": created_s,
            **request,
            "software": {
                "labctl": __version__,
                "code": provenance.code_state(),
                "packages": provenance.packages(),
            },
            "computer": provenance.computer(),
        }
        strict_json.write(bare / REQUEST_FILE, record)
        # From here on the folder has its full name and a request that is whole.
        day = datetime.fromtimestamp(created_s, UTC).astimezone().date().isoformat()
        path = root / "_".join(word for word in (f"{number:04d}", day, _slug(title)) if word)
        durable.rename(bare, path)
        durable.flush_directory(root)
        lock = RunLock(path)
        write_state(path, "running")
        return cls(path, lock)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a run.

        Raises:
            FileNotFoundError: ``path`` is not a run directory.
        """
        if not is_run_directory(path):
            raise FileNotFoundError(
                f"{path} is not a run directory (a folder named 0001_... with runs in it)"
            )
        return cls(path)

    @property
    def number(self) -> int:
        """The run's number."""
        match = _NUMBERED.match(self.path.name)
        return int(match.group(1)) if match else 0

    @property
    def request(self) -> dict[str, Any]:
        """What was asked and by what; empty when it cannot be read."""
        if self._request is None:
            try:
                self._request = dict(strict_json.read(self.path / REQUEST_FILE))
            except (OSError, ValueError, TypeError):
                self._request = {}
        return self._request

    @property
    def title(self) -> str:
        """The run's title, for people."""
        return str(self.request.get("title") or self.path.name)

    @property
    def sample(self) -> str:
        """Name of the sample; empty when the request has none."""
        sample = self.request.get("sample")
        if isinstance(sample, Mapping):
            sample = sample.get("name")
        return str(sample or "")

    @property
    def sequence(self) -> str:
        """Name of the sequence; empty when the request has none."""
        sequence = self.request.get("sequence")
        if isinstance(sequence, Mapping):
            sequence = sequence.get("name")
        return str(sequence or "")

    @property
    def planned_points(self) -> int | None:
        """Number of points that were asked for; None when the request does not say."""
        planned = self.request.get("planned_points")
        return planned if isinstance(planned, int) else None

    @property
    def state(self) -> RunState:
        """The run's state now; a run whose process was killed reads as interrupted."""
        return read_state(self.path)

    @property
    def tags(self) -> Path:
        """Folder of the raw time tags."""
        return self.path / "tags"

    def tags_folder(self, index: int, *, background: bool = False) -> Path:
        """Folder of the raw time tags of one point, or of its record with the beam off; made when missing."""
        folder = self.tags / f"{'background' if background else 'point'}_{index:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def document_log(self) -> DocumentLog:
        """The run's document log, open for appending; the same one at each call, closed with the run."""
        if self._log is None:
            self._log = DocumentLog(self.path / DOCUMENTS_FILE)
        return self._log

    def documents(self) -> Documents:
        """The documents so far; lines torn by a killed process are counted, not raised."""
        return read_documents(self.path / DOCUMENTS_FILE)

    def point_path(self, index: int) -> Path:
        """Where the NeXus file of one point is or will be."""
        return self.path / "points" / f"point_{index:03d}.nxs"

    def fit_path(self, index: int) -> Path:
        """Where the newest fit of one point is or will be."""
        return self.path / "fits" / f"point_{index:03d}.json"

    def write_point(self, point: PointData, fit: Mapping[str, Any] | None = None) -> Path:
        """Write one point's NeXus file, for ever; returns when it is on the disk.

        A fit goes into the file as an NXprocess and into ``fits/`` as the point's first result.

        Raises:
            FileExistsError: The point was written before.
            OSError: The disk is full or gone.
        """
        path = self.point_path(point.index)
        path.parent.mkdir(exist_ok=True)
        write_point_file(path, point, fit, self._context())
        if fit is not None:
            self.write_fit(point.index, fit)
        return path

    def point_indexes(self) -> list[int]:
        """Numbers of the points that are on the disk, in order."""
        return _indexes(self.path / "points", "nxs")

    def read_point(self, index: int) -> PointData:
        """Read one point.

        Raises:
            PointFileError: It is missing or damaged; the message names the file.
        """
        return read_point_file(self.point_path(index))

    def read_points(self, problems: list[str] | None = None) -> list[PointData]:
        """Read every point that can be read, in order.

        Args:
            problems: Gets a line for each file that cannot be read.
        """
        points = []
        for index in self.point_indexes():
            try:
                points.append(self.read_point(index))
            except PointFileError as error:
                if problems is not None:
                    problems.append(str(error))
        return points

    def write_fit(
        self,
        index: int,
        fit: Mapping[str, Any],
        *,
        options: Mapping[str, Any] | None = None,
        intervals: Mapping[str, Any] | None = None,
        residuals: Mapping[str, Any] | None = None,
    ) -> Path:
        """Keep a point's fit as ``fits/point_003.json``; an older one becomes ``point_003.v1.json``.

        A fit equal to the newest one, made with the same options, is not written again.

        Args:
            index: Number of the point.
            fit: The fit.
            options: What was asked of it that differs from the usual fit.
            intervals: Profile-likelihood intervals, where they were asked for.
            residuals: What the fit leaves over.

        Raises:
            OSError: The disk is full or gone.
        """
        beside = {"options": options or {}, "intervals": intervals or {}, "residuals": residuals or {}}
        return write_fit_file(self.fit_path(index), {"point": index}, fit, beside)

    def write_sweep_fit(self, fit: Mapping[str, Any], *, options: Mapping[str, Any] | None = None) -> Path:
        """Keep the fit of all temperatures at once as ``fits/sweep.json``, like a point's."""
        path = self.path / "fits" / SWEEP_FIT_FILE
        return write_fit_file(path, {"sweep": True}, fit, {"options": options or {}})

    def read_sweep_fit(self) -> dict[str, Any] | None:
        """The newest fit of all temperatures at once; None when there is none."""
        record = read_fit_record(self.path / "fits" / SWEEP_FIT_FILE)
        return None if record is None else dict(record["fit"])

    def read_fit(self, index: int) -> dict[str, Any] | None:
        """The newest fit of a point; the one in the point's own file when ``fits/`` has none."""
        record = read_fit_record(self.fit_path(index))
        if record is not None:
            return dict(record["fit"])
        try:
            return read_point_fit(self.point_path(index))
        except PointFileError:
            return None

    def read_fit_options(self, index: int) -> dict[str, Any]:
        """What was asked of the newest fit of a point that differs from the usual fit."""
        record = read_fit_record(self.fit_path(index)) or {}
        return dict(record.get("options") or {})

    def read_fits(self) -> dict[int, dict[str, Any]]:
        """The newest fit of each point that has one, by the point's number."""
        indexes = sorted({*self.point_indexes(), *_indexes(self.path / "fits", "json")})
        found = ((index, self.read_fit(index)) for index in indexes)
        return {index: fit for index, fit in found if fit is not None}

    def write_result(self, result: Mapping[str, Any]) -> Path:
        """Write ``result.json``, what the run came to; an older one is kept as ``result.v1.json``."""
        path = self.path / RESULT_FILE
        if path.exists():
            set_aside(path)
        strict_json.write(path, result)
        return path

    def read_result(self) -> dict[str, Any] | None:
        """What the run came to; None when it has no result (yet)."""
        try:
            return dict(strict_json.read(self.path / RESULT_FILE))
        except (OSError, ValueError, TypeError):
            return None

    def write_master(self) -> Path:
        """Write ``run.nxs``, one NeXus file that links every point; made anew at each call."""
        from labctl.store.master_file import write_master_file

        return write_master_file(self)

    def finish(self, name: Literal["done", "stopped", "failed"], message: str = "") -> None:
        """Write how the run ended and give it free. What was measured before stays as it is."""
        write_state(self.path, name, message)
        self.close()

    def close(self) -> None:
        """Close the log and give the run free; one that did not finish reads as interrupted."""
        if self._log is not None:
            self._log.close()
            self._log = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _context(self) -> PointContext:
        return PointContext(
            run=self.path.name,
            title=self.title,
            sample=self.sample,
            simulated=bool(self.request.get("simulated")),
        )


def is_run_directory(path: Path) -> bool:
    """Whether ``path`` is a folder that :meth:`RunDirectory.create` made."""
    return _NUMBERED.match(path.name) is not None and (path / REQUEST_FILE).is_file()


def run_directories(root: Path) -> list[Path]:
    """The run directories in ``root``, oldest first; empty when there are none."""
    if not root.is_dir():
        return []
    runs = [path for path in root.iterdir() if is_run_directory(path)]
    return sorted(runs, key=lambda path: (_number_of(path.name) or 0, path.name))


def _claim_number(root: Path) -> tuple[int, Path]:
    """Make the folder ``root/0007`` of the next free number; it is renamed when it has its request.

    ``mkdir`` of the bare number is the lock. Another process may have had the same number and
    renamed it between our look and our ``mkdir``: so we look again after it.
    """
    number = _highest_number(root) + 1
    while True:
        bare = root / f"{number:04d}"
        try:
            bare.mkdir()
        except FileExistsError:
            number += 1
            continue
        if any(_number_of(path.name) == number and path != bare for path in root.iterdir()):
            bare.rmdir()
            number = max(_highest_number(root), number) + 1
            continue
        return number, bare


def _highest_number(root: Path) -> int:
    return max((_number_of(path.name) or 0 for path in root.iterdir()), default=0)


def _number_of(name: str) -> int | None:
    match = _NUMBERED.match(name)
    return int(match.group(1)) if match else None


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9.-]+", "_", plain).strip("_.")[:60]


def _indexes(folder: Path, suffix: str) -> list[int]:
    if not folder.is_dir():
        return []
    matches = (_POINT_FILE.match(path.name) for path in folder.iterdir())
    return sorted(int(match.group(1)) for match in matches if match and match.group(2) == suffix)
