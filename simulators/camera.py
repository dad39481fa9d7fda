"""What a cooled CCD does with light: photo-electrons, dark current, noise, counts; and its cooler.

A read-out is: charge of the binned pixels (Poisson: light, dark current, cosmic rays), limited by the full
well; read noise (Gaussian, once per read-out, not per binned pixel); bias; division by the gain; the
converter's 16 bits. Numbers are those of a back-illuminated 1024 x 255 spectroscopy CCD as far as data sheets
give them, else chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

ROOM_C = 20.0
FULL_WELL_ELECTRONS = 500_000.0
REGISTER_WELL_ELECTRONS = 1_000_000.0
COSMIC_ELECTRONS = 2500.0


@dataclass(frozen=True)
class Sensor:
    """The chip and its electronics.

    Args:
        columns: Pixels along the dispersion.
        rows: Pixels along the slit.
        pixel_um: Pixel pitch.
        gains_electrons_per_count: Conversion gain at each pre-amplifier setting.
        preamp_gains: The settings' nominal gains.
        readout_MHz: Horizontal read-out speeds.
        read_noise_electrons: RMS read noise at each of them.
        bias_counts: Mean counts without charge.
        dark_electrons_per_s: Dark current of one pixel at -60 degC; it doubles every 6 K.
        cosmic_per_s: Cosmic-ray hits on the whole sensor (1.4 per cm2 and minute).
        spot_row: Row in which the fibre's image lies.
        spot_sigma_rows: Its vertical width.
        bits: Resolution of the converter.
    """

    columns: int = 1024
    rows: int = 255
    pixel_um: float = 26.0
    gains_electrons_per_count: tuple[float, ...] = (2.8, 1.4, 0.7)
    preamp_gains: tuple[float, ...] = (1.0, 2.0, 4.0)
    readout_MHz: tuple[float, ...] = (0.05, 1.0, 3.0)
    read_noise_electrons: tuple[float, ...] = (4.0, 8.0, 16.0)
    bias_counts: float = 500.0
    dark_electrons_per_s: float = 0.003
    cosmic_per_s: float = 0.04
    spot_row: float = 127.0
    spot_sigma_rows: float = 2.0
    bits: int = 16

    @property
    def saturation_counts(self) -> int:
        """Largest count of the converter."""
        return (1 << self.bits) - 1


@dataclass(frozen=True)
class Readout:
    """Which pixels are read together, and how.

    Args:
        top, bottom: First row and the row after the last.
        row_bin: Rows added on the chip; ``bottom - top`` for full vertical binning or a track.
        left, right: First column and the column after the last.
        column_bin: Columns added on the chip.
        preamp: Index of the pre-amplifier setting.
        speed: Index of the read-out speed.
    """

    top: int
    bottom: int
    row_bin: int
    left: int
    right: int
    column_bin: int = 1
    preamp: int = 0
    speed: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image that comes out."""
        return (self.bottom - self.top) // self.row_bin, (self.right - self.left) // self.column_bin


def dark_electrons_per_s(sensor: Sensor, temperature_C: float) -> float:
    """Dark current of one pixel: doubles every 6 K."""
    return sensor.dark_electrons_per_s * math.exp(math.log(2.0) * (temperature_C + 60.0) / 6.0)


def row_shares(sensor: Sensor) -> FloatArray:
    """Share of a column's light in each row: a Gaussian image of the fibre, shape (rows,)."""
    edges = (np.arange(sensor.rows + 1) - sensor.spot_row - 0.5) / (sensor.spot_sigma_rows * math.sqrt(2.0))
    total = np.array([math.erf(edge) for edge in edges])
    return np.diff(total) / 2.0


def read_out(
    sensor: Sensor,
    readout: Readout,
    light_electrons: FloatArray,
    *,
    exposure_s: float,
    temperature_C: float,
    cosmic_hits: int,
    stream: np.random.Generator,
) -> IntArray:
    """One frame.

    Args:
        sensor: The chip.
        readout: Which pixels are read together.
        light_electrons: Expected photo-electrons per column, shape (columns,).
        exposure_s: Time over which dark current gathers.
        temperature_C: Sensor temperature.
        cosmic_hits: Cosmic rays that hit the sensor in this exposure.
        stream: Its random numbers.

    Returns:
        Counts, shape ``readout.shape``.
    """
    n_rows, n_columns = readout.shape
    shares = row_shares(sensor)[readout.top : readout.top + n_rows * readout.row_bin]
    per_row = shares.reshape(n_rows, readout.row_bin).sum(axis=1)
    light = light_electrons[readout.left : readout.left + n_columns * readout.column_bin]
    per_column = light.reshape(n_columns, readout.column_bin).sum(axis=1)
    binned = readout.row_bin * readout.column_bin
    dark = dark_electrons_per_s(sensor, temperature_C) * exposure_s * binned
    charge = stream.poisson(per_row[:, None] * per_column[None, :] + dark).astype(np.float64)
    _add_cosmic_rays(charge, sensor, readout, cosmic_hits, stream)
    well = FULL_WELL_ELECTRONS if binned == 1 else REGISTER_WELL_ELECTRONS
    charge = np.minimum(charge, well)
    noise = sensor.read_noise_electrons[readout.speed] * stream.standard_normal(charge.shape)
    counts = np.floor(
        (charge + noise) / sensor.gains_electrons_per_count[readout.preamp] + sensor.bias_counts + 0.5
    )
    return np.asarray(np.clip(counts, 0, sensor.saturation_counts), dtype=np.int64)


def _add_cosmic_rays(
    charge: FloatArray, sensor: Sensor, readout: Readout, hits: int, stream: np.random.Generator
) -> None:
    """Each hit leaves an exponential charge in one pixel and a third of it in a neighbour."""
    for _ in range(hits):
        row = int(stream.integers(sensor.rows))
        column = int(stream.integers(sensor.columns))
        electrons = float(stream.exponential(COSMIC_ELECTRONS))
        for offset, share in ((0, 1.0), (1, 1.0 / 3.0)):
            y = (row - readout.top) // readout.row_bin
            x = (column + offset - readout.left) // readout.column_bin
            if 0 <= y < charge.shape[0] and 0 <= x < charge.shape[1]:
                charge[y, x] += electrons * share


def readout_time_s(sensor: Sensor, readout: Readout) -> float:
    """Time to shift the rows down and the columns out."""
    n_rows, _ = readout.shape
    shift_s = sensor.rows * 16e-6
    return shift_s + n_rows * (sensor.columns + 16) / (sensor.readout_MHz[readout.speed] * 1e6)


class Cooler:
    """Thermoelectric cooler with its controller: temperature and state as functions of time.

    Not thread-safe. The sensor follows the goal exponentially; it counts as stable after 60 s within 1 K.

    Args:
        now_s: Present time.
    """

    RANGE_C = (-100, -20)
    TIME_CONSTANT_S = 45.0
    WARM_TIME_CONSTANT_S = 150.0
    STABLE_AFTER_S = 60.0
    WITHOUT_FAN_C = -25.0

    def __init__(self, now_s: float = 0.0) -> None:
        self.on = False
        self.set_point_C = 20.0
        self.fan = "full"
        self.disturbed = False
        self._at_s = now_s
        self._temperature_C = ROOM_C
        self._near_since_s: float | None = None
        self._was_stable = False

    def advance(self, now_s: float) -> None:
        """Let time pass until ``now_s``."""
        goal_C = self._goal_C()
        constant_s = self.TIME_CONSTANT_S if self.on else self.WARM_TIME_CONSTANT_S
        dt_s = max(now_s - self._at_s, 0.0)
        distance = self._temperature_C - goal_C
        if dt_s > 0:
            later = distance * math.exp(-dt_s / constant_s)
            if self._reachable() and abs(distance) > 1.0 >= abs(later):
                crossed_s = self._at_s + constant_s * math.log(abs(distance))
                self._near_since_s = crossed_s
            elif abs(later) > 1.0 or not self._reachable():
                self._near_since_s = None
            elif self._near_since_s is None:
                self._near_since_s = self._at_s
            self._temperature_C = goal_C + later
            self._at_s = now_s
        if self.state(now_s) == "stabilised":
            self._was_stable = True

    def _goal_C(self) -> float:
        if not self.on:
            return ROOM_C
        if self.fan == "off":
            return max(self.set_point_C, self.WITHOUT_FAN_C)
        return self.set_point_C

    def _reachable(self) -> bool:
        return self.on and self._goal_C() == self.set_point_C

    def aim(self, set_point_C: float) -> None:
        """New set point."""
        if set_point_C != self.set_point_C:
            self.set_point_C = set_point_C
            self._near_since_s = None
            self._was_stable = False

    def switch(self, on: bool) -> None:
        """Cooler on or off."""
        if on != self.on:
            self.on = on
            self._near_since_s = None
            self._was_stable = False

    def temperature_C(self) -> float:
        """Sensor temperature at the last ``advance``."""
        swing = 1.5 * math.sin(2.0 * math.pi * self._at_s / 37.0) if self.disturbed and self.on else 0.0
        return self._temperature_C + swing

    def state(self, now_s: float) -> str:
        """``off``, ``not_reached``, ``not_stabilised``, ``stabilised`` or ``drift``."""
        if not self.on:
            return "off"
        if self.disturbed:
            return "drift" if self._was_stable else "not_stabilised"
        if self._near_since_s is None:
            return "not_reached"
        return "stabilised" if now_s - self._near_since_s >= self.STABLE_AFTER_S else "not_stabilised"
