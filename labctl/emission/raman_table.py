"""Spectral density from a measured Raman spectrum: a text table of shift and intensity."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from labctl.emission.spectral_density import BOLTZMANN_eV_per_K, INVERSE_CM_eV, SpectralDensity

_SEPARATOR = re.compile(r"[,;\s]+")
_LARGEST_BYTES = 50_000_000
_FEWEST_POINTS = 3


class RamanTableError(ValueError):
    """A Raman table cannot be used; the message names the file, the line and what was expected."""


def read_raman_table(path: str | Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Read Raman shift (1/cm) and intensity from a text file.

    Two columns separated by blanks, tabs, commas or semicolons, decimal points; further columns are ignored.
    Lines that are empty or start with ``#``, and one heading line before the first number, are skipped.

    Args:
        path: the file, UTF-8.

    Returns:
        shift in 1/cm, increasing, and intensity, both (n,).

    Raises:
        RamanTableError: if the file is missing, is no text, holds a line without two numbers, has fewer than
            three points, shifts that do not increase steadily, or a negative or endless intensity.
    """
    file = Path(path)
    rows: list[tuple[float, float]] = []
    heading_seen = False
    for number, line in enumerate(_text(file).splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        row = _row(stripped)
        if row is None and not rows and not heading_seen and re.search(r"[A-Za-z]", stripped):
            heading_seen = True
            continue
        if row is None:
            raise RamanTableError(
                f"{file}, line {number}: expected Raman shift (1/cm) and intensity, found '{stripped[:40]}'"
            )
        _check_row(file, number, row, rows)
        rows.append(row)
    if len(rows) < _FEWEST_POINTS:
        raise RamanTableError(
            f"{file}: a Raman table needs at least {_FEWEST_POINTS} points, found {len(rows)}"
        )
    shift, intensity = np.array(rows).T
    if shift[0] > shift[-1]:
        shift, intensity = shift[::-1].copy(), intensity[::-1].copy()
    return shift, intensity


def density_from_raman(
    shift_per_cm: npt.ArrayLike,
    intensity: npt.ArrayLike,
    *,
    huang_rhys: float,
    temperature_K: float,
    lowest_per_cm: float = 5.0,
) -> SpectralDensity:
    """Turn a Stokes Raman spectrum into a spectral density of known total strength.

    J is taken proportional to I / (n + 1), the intensity freed of its thermal factor (n is the Bose
    occupation at ``temperature_K``), and scaled to ``huang_rhys``: a Raman spectrum gives the shape, not the
    strength. Shifts below ``lowest_per_cm``, where the laser line ends, are left out.

    Raises:
        RamanTableError: if no light is left above ``lowest_per_cm``, or the strength or the temperature
            is not positive and finite.
    """
    for name, value in (("temperature_K", temperature_K), ("Huang-Rhys strength", huang_rhys)):
        if not 0 < value < math.inf:
            raise RamanTableError(f"{name} of a Raman spectrum must be positive and finite, not {value}")
    shift = np.asarray(shift_per_cm, dtype=float)
    used = shift >= max(lowest_per_cm, np.finfo(float).tiny)
    energy = shift[used] * INVERSE_CM_eV
    light = np.asarray(intensity, dtype=float)[used]
    if energy.size < _FEWEST_POINTS or not np.any(light > 0):
        raise RamanTableError(f"the Raman table holds no light above {lowest_per_cm:g} 1/cm")
    # 1 / (n + 1) = 1 - exp(-h w / k T)
    stripped = light * -np.expm1(-energy / (BOLTZMANN_eV_per_K * temperature_K))
    return SpectralDensity(energy, stripped * np.gradient(energy)).scaled_to(huang_rhys)


def load_raman_density(
    path: str | Path, *, huang_rhys: float, temperature_K: float, lowest_per_cm: float = 5.0
) -> SpectralDensity:
    """Read a Raman file and turn it into a spectral density; see the two functions above.

    Raises:
        RamanTableError: as they do, always naming the file.
    """
    shift, intensity = read_raman_table(path)
    try:
        return density_from_raman(
            shift,
            intensity,
            huang_rhys=huang_rhys,
            temperature_K=temperature_K,
            lowest_per_cm=lowest_per_cm,
        )
    except RamanTableError as error:
        raise RamanTableError(f"{Path(path)}: {error}") from None


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise RamanTableError(f"{file}: too large for a Raman table (over {_LARGEST_BYTES // 10**6} MB)")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise RamanTableError(f"{file}: not a text file in UTF-8; export the spectrum as text") from None
    except OSError as error:
        raise RamanTableError(f"{file}: cannot be read ({error.strerror})") from None


def _row(line: str) -> tuple[float, float] | None:
    fields = [field for field in _SEPARATOR.split(line) if field]
    try:
        return float(fields[0]), float(fields[1])
    except (ValueError, IndexError):
        return None


def _check_row(file: Path, number: int, row: tuple[float, float], rows: list[tuple[float, float]]) -> None:
    shift, intensity = row
    if not (math.isfinite(shift) and math.isfinite(intensity)):
        raise RamanTableError(
            f"{file}, line {number}: shift {shift} and intensity {intensity} must be finite"
        )
    if intensity < 0:
        raise RamanTableError(
            f"{file}, line {number}: negative intensity {intensity:g}; subtract a smaller background"
        )
    if rows:
        step = shift - rows[-1][0]
        direction = rows[1][0] - rows[0][0] if len(rows) > 1 else step
        if step * direction <= 0:
            raise RamanTableError(
                f"{file}, line {number}: the shift {shift:g} 1/cm after {rows[-1][0]:g} breaks the order"
            )
