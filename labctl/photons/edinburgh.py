"""Text exports of Edinburgh Instruments' software (F980, Fluoracle): decays and spectra.

A file is a header of ``key,value,`` lines, an empty line, and rows ``x,counts,``. Commas or tabs; a further
delimiter may end each line; keys differ in capitals between kinds of scans; several curves stand in columns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labctl.errors import InputError
from labctl.photons.decay import DecayCurve
from labctl.spectra.reduction import Spectrum

_TIME_UNITS_PS = {"s": 1e12, "ms": 1e9, "us": 1e6, "µs": 1e6, "μs": 1e6, "ns": 1e3, "ps": 1.0}


@dataclass(frozen=True)
class EdinburghScan:
    """One curve of an export.

    Attributes:
        label: Name of the curve.
        kind: The file's word for it, e.g. ``"Time Scan"`` or ``"Emission Scan"``.
        x: Abscissa as in the file, shape (n,).
        x_quantity, x_unit: E.g. ``"Time"``, ``"ns"``; unit empty where the file gives none.
        counts: Shape (n,).
        header: The other header entries of this curve, keys in lower case.
        path: The file.
        lines: Line of each point in the file, from 1, shape (n,).
    """

    label: str
    kind: str
    x: NDArray[np.float64]
    x_quantity: str
    x_unit: str
    counts: NDArray[np.float64]
    header: dict[str, str]
    path: Path
    lines: NDArray[np.int64]

    @property
    def place(self) -> str:
        """File and curve, for messages."""
        return f"{self.path}: {self.label or 'curve'}"

    def decay(self) -> DecayCurve:
        """The curve as a decay.

        Raises:
            InputError: Not a time scan, an unknown unit, uneven steps, or counts that are not whole.
        """
        unit = _TIME_UNITS_PS.get(self.x_unit.lower())
        if self.x_quantity.lower() != "time" or unit is None:
            raise InputError(f"{self.place}: {self.kind} over {self.x_quantity} is not a decay")
        step = (self.x[-1] - self.x[0]) / (len(self.x) - 1) if len(self.x) > 1 else 0.0
        # The abscissa is printed with seven digits or so.
        if step <= 0 or np.abs(np.diff(self.x) - step).max() > 1e-6 * np.abs(self.x).max() + 1e-3 * step:
            raise InputError(f"{self.place}: its time steps are not equal")
        whole = np.rint(self.counts)
        wrong = ~np.isclose(whole, self.counts, rtol=1e-6, atol=1e-6) | (whole < 0)
        if wrong.any():
            first = int(wrong.argmax())
            only = wrong.sum() == 1 and first == len(wrong) - 1 and whole[first] >= 0
            hint = "; it is the last row: the file may be cut off" if only else ""
            raise InputError(
                f"{self.path}:{self.lines[first]}: {self.counts[first]:g}: "
                f"corrected or negative counts are not photon counts{hint}"
            )
        return DecayCurve(
            float(self.x[0]) * unit, step * unit, whole.astype(np.int64), 0, int(whole.sum()), 0, False
        )


def as_spectrum(scan: EdinburghScan) -> Spectrum:
    """An emission scan as a spectrum for the fits.

    Counts of a photon counter have the variance of their number. Counts that a correction or an average has
    scaled are no whole numbers: their variance per count follows from the scatter between neighbouring points
    (second differences of a smooth curve have 6 times the variance of one point).

    Raises:
        InputError: Not a scan over wavelength, fewer than 10 points, or positions that are equal or negative.
    """
    name, place = scan.label or "curve", scan.place
    if scan.x_quantity.lower() != "wavelength" or scan.x_unit.lower() != "nm":
        raise InputError(f"{place}: {scan.kind} over {scan.x_quantity} is not a spectrum")
    if len(scan.x) < 10:
        raise InputError(f"{place}: {len(scan.x)} points are too few for a fit")
    order = np.argsort(scan.x)
    wavelength, counts = scan.x[order], scan.counts[order]
    if (np.diff(wavelength) <= 0).any() or wavelength[0] <= 0:
        raise InputError(f"{place}: its wavelengths are not all different and positive")
    notes: tuple[str, ...] = ()
    per_count = 1.0
    if np.abs(counts - np.rint(counts)).max() > 1e-6:
        bend = counts[2:] - 2 * counts[1:-1] + counts[:-2]
        # The median of a squared Gaussian is 0.4549 of its mean.
        mean = (counts[2:] + counts[1:-1] + counts[:-2]) / 3
        per_count = float(np.median(bend**2 / np.maximum(mean, 1e-9 * counts.max()))) / (6 * 0.4549)
        per_count = max(per_count, 1e-12)
        notes = (
            f"{name}: corrected counts; their noise was taken from the scatter between neighbouring points "
            f"({per_count:.3g} per count)",
        )
    # An empty point has the variance of one photon, however the counts were scaled.
    floor = np.full(len(counts), per_count**2)
    return Spectrum(
        wavelength_nm=wavelength,
        counts=counts,
        floor_variance=floor,
        variance_per_count=np.full(len(counts), per_count),
        valid=np.ones(len(counts), dtype=np.bool_),
        exposure_s=_seconds(scan.header.get("dwell time", "")),
        n_frames=1,
        n_cosmic=0,
        n_saturated=0,
        response=np.ones(len(counts)),
        notes=notes,
    )


def _seconds(text: str) -> float:
    number = _number(text.strip().removesuffix("s").strip())
    return number if number is not None and number > 0 else 1.0


def read_edinburgh(path: str | Path) -> list[EdinburghScan]:
    """Read all curves of a text export.

    Raises:
        InputError: Missing, empty, not such an export, a row that is no number, or positions that neither
            rise nor fall throughout; with its line. A file that ends within a row or before the 'Stop' of
            its header.
    """
    path = Path(path)
    text = _text(path)
    lines = text.splitlines()
    delimiter = "\t" if any("\t" in line for line in lines[:40]) else ","
    rows = [_cells(line, delimiter) for line in lines]
    first = _first_number(rows)
    header = _header(rows[:first])
    if first == len(rows) or "type" not in header:
        raise InputError(f"{path}: not a text export of Edinburgh software (no 'Type' line, or no data)")
    columns = max(len(row) for row in rows[first:])
    if columns < 2:
        raise InputError(f"{path}:{first + 1}: expected a position and counts on each line")
    if not text.endswith(("\n", "\r")):
        _require_whole_row(path, lines, first, delimiter)
    table, line_of = _table(path, rows, first, columns)
    quantity, unit = _axis(_value(header, "xaxis", 0))
    scans = []
    for column in range(columns - 1):
        present = np.isfinite(table[:, column + 1])
        if not present.any():
            continue
        fields = {key: _value(header, key, column) for key in header}
        scan = EdinburghScan(
            fields.get("labels", ""),
            fields.get("type", ""),
            table[present, 0],
            quantity,
            unit,
            table[present, column + 1],
            fields,
            path,
            line_of[present],
        )
        _require_one_direction(scan)
        # A curve that ends before others of its file was not cut.
        if present[-1]:
            _require_whole_scan(scan)
        scans.append(scan)
    return scans


def _text(path: Path) -> str:
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name the exported text file in it")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    raw = path.read_bytes()
    if not raw.strip():
        raise InputError(f"{path}: the file is empty")
    if b"\0" in raw[:1000] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: a binary file; export it as text (ASCII) from the instrument's software")
    wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _cells(line: str, delimiter: str) -> list[str]:
    cells = [cell.strip().strip('"') for cell in line.split(delimiter)]
    if cells and cells[-1] == "":
        cells.pop()
    return cells


def _first_number(rows: list[list[str]]) -> int:
    """Line of the first data row: numbers from there, after the header's empty line."""
    for index, row in enumerate(rows):
        if len(row) >= 2 and _number(row[0]) is not None and any(_number(c) is not None for c in row[1:]):
            return index
    return len(rows)


def _header(rows: list[list[str]]) -> dict[str, list[str]]:
    header: dict[str, list[str]] = {}
    for row in rows:
        if row and row[0]:
            header[row[0].lower()] = row[1:]
    return header


def _value(header: dict[str, list[str]], key: str, column: int) -> str:
    values = header.get(key, [])
    if not values:
        return ""
    return values[column] if column < len(values) else values[0] if len(values) == 1 else ""


def _require_whole_row(path: Path, lines: list[str], first: int, delimiter: str) -> None:
    """Refuse a last row without what ends all others; a number cut short can look like another number."""
    *others, last = lines[first:]
    closed = bool(others) and all(line.rstrip(" ").endswith(delimiter) for line in others if line.strip())
    if not last.strip():
        return
    if (closed and not last.rstrip(" ").endswith(delimiter)) or len(_cells(last, delimiter)) == 1:
        raise InputError(
            f"{path}:{len(lines)}: the file ends within the row '{last.strip()}', it looks cut off; "
            "export it again"
        )


def _require_one_direction(scan: EdinburghScan) -> None:
    """Refuse a position that jumps back: a digit is wrong, or rows are in disorder."""
    steps = np.diff(scan.x)
    direction = float(np.sign(np.median(np.sign(steps)))) if len(steps) else 0.0
    back = np.flatnonzero(steps * direction < 0)
    if len(back):
        at = int(back[0]) + 1
        way = "rise" if direction > 0 else "fall"
        raise InputError(
            f"{scan.path}:{scan.lines[at]}: {scan.x[at]:g} {scan.x_unit} comes after {scan.x[at - 1]:g} "
            f"{scan.x_unit}, but the positions {way}: one of the two is wrong; mend it or export again"
        )


def _require_whole_scan(scan: EdinburghScan) -> None:
    """Refuse rows that reach one end of the header's range but not the other."""
    start, stop, step = (_number(scan.header.get(key, "")) for key in ("start", "stop", "step"))
    if start is None or stop is None or len(scan.x) < 2:
        return
    spacing = float(np.abs(scan.x[-1] - scan.x[0])) / (len(scan.x) - 1)
    if step is not None and abs(abs(step) - spacing) > 0.01 * spacing:
        return  # the header is in other units than the rows
    # The range need not be a multiple of the step; the abscissa has seven digits or so.
    slack = 1.01 * spacing + 1e-6 * max(abs(start), abs(stop))
    low, high = sorted((start, stop))
    short = (float(scan.x.min()) - low > slack, high - float(scan.x.max()) > slack)
    if short in ((True, False), (False, True)):
        raise InputError(
            f"{scan.place}: looks cut off: its header says {start:g} to {stop:g} {scan.x_unit}, its "
            f"{len(scan.x)} rows go from {scan.x[0]:g} to {scan.x[-1]:g} (line {scan.lines[-1]}); export it "
            "again, or set Stop in the header if the scan was ended there"
        )


def _table(
    path: Path, rows: list[list[str]], first: int, columns: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The numbers, and the line of each row."""
    table: list[list[float | None]] = []
    lines = []
    for index in range(first, len(rows)):
        row = rows[index]
        if not any(row):
            continue
        position = _number(row[0])
        counts = [_number(cell) if cell else np.nan for cell in row[1:]]
        if position is None or None in counts:
            raise InputError(f"{path}:{index + 1}: '{','.join(row)}' is not a row of numbers")
        lines.append(index + 1)
        table.append([position, *counts, *[np.nan] * (columns - len(row))])
    return np.array(table, np.float64), np.array(lines, np.int64)


def _axis(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"\s*([^()]*?)\s*(?:\(([^)]*)\))?\s*", text)
    if found is None:
        return text, ""
    quantity, unit = found.group(1), found.group(2) or ""
    return quantity, unit or ("nm" if quantity.lower() == "wavelength" else "")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
