"""Table of an Andor spectrograph with camera in the rig file."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator

from drivers.base import Settings


class AndorSettings(Settings):
    """Kymera (or Shamrock) spectrograph and SDK2 camera.

    Gain, noise and saturation belong to ``preamp_gain`` and ``readout_speed``: take them from the camera's
    performance sheet.

    Attributes:
        driver: ``"andor"``.
        spectrograph_index: Number of the spectrograph, from 0.
        camera_index: Number of the camera, from 0.
        library_folder: Folder of the vendor's libraries; empty: where the vendor installs them.
        camera_temperature_C: Temperature that ``cool`` goes to.
        gain_electrons_per_count: Electrons per count.
        read_noise_electrons: RMS read noise of one read-out pixel.
        saturation_counts: Count at which the converter or the pixel saturates.
        readout_speed: Index of the horizontal read-out speed, from 0.
        preamp_gain: Index of the pre-amplifier gain, from 0.
        read_mode: ``"full-vertical-binning"`` adds all rows, ``"single-track"`` those of the track.
        track_centre_row: Middle row of the track, from 0 at the bottom.
        track_rows: Rows in the track.
        mirrored: Wavelength falls with the pixel number; frames are turned round.
        fan: Speed of the camera's fan; a cooled camera wants ``"full"``.
        shutter: ``"spectrograph"``: the spectrograph's shutter is moved by software; ``"camera"``: it follows
            the camera's signal (spectrograph on BNC, or a shutter in the camera).
        cool_timeout_s: Longest time until the sensor is stable.
        warm_up_before_close_C: ``close`` stops cooling and waits until the sensor is warmer than this; None:
            it closes at once.
        warm_up_timeout_s: Longest time for that.
        call_timeout_s: Wall-clock deadline of one call of the vendor's library; a turret takes 20 s.
        acquisition_retries: How often a broken-off acquisition is taken again, after pauses of 1, 4, 16 s.
        response: Pairs of wavelength (nm) and relative response of spectrograph and camera together, from a
            lamp of known spectrum; interpolated between, constant outside. Empty: flat.
    """

    driver: Literal["andor"] = "andor"
    spectrograph_index: int = Field(default=0, ge=0, le=7)
    camera_index: int = Field(default=0, ge=0, le=7)
    library_folder: str = ""
    camera_temperature_C: float = Field(default=-60.0, ge=-120.0, le=25.0)
    gain_electrons_per_count: float = Field(gt=0, le=1000)
    read_noise_electrons: float = Field(gt=0, le=1000)
    saturation_counts: int = Field(gt=0, le=2**31 - 1)
    readout_speed: int = Field(default=0, ge=0, le=15)
    preamp_gain: int = Field(default=0, ge=0, le=15)
    read_mode: Literal["full-vertical-binning", "single-track"] = "full-vertical-binning"
    track_centre_row: int = Field(default=127, ge=0, le=10_000)
    track_rows: int = Field(default=20, ge=1, le=10_000)
    mirrored: bool = False
    fan: Literal["full", "low", "off"] = "full"
    shutter: Literal["spectrograph", "camera"] = "spectrograph"
    cool_timeout_s: float = Field(default=900.0, gt=0, le=7200)
    warm_up_before_close_C: float | None = Field(default=-20.0, ge=-120.0, le=20.0)
    warm_up_timeout_s: float = Field(default=1800.0, gt=0, le=7200)
    call_timeout_s: float = Field(default=120.0, gt=0, le=600)
    acquisition_retries: int = Field(default=3, ge=0, le=10)
    response: list[list[float]] = Field(default_factory=list)

    @field_validator("response")
    @classmethod
    def _rising(cls, table: list[list[float]]) -> list[list[float]]:
        if any(len(pair) != 2 or pair[0] <= 0 or pair[1] <= 0 for pair in table):
            raise ValueError("pairs [nm > 0, response > 0] expected, e.g. [[450, 0.8], [550, 1.0]]")
        if any(low[0] >= high[0] for low, high in pairwise(table)):
            raise ValueError("wavelengths must rise")
        return table
