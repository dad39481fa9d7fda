"""The rig file: which instruments there are, where they are, and what they may do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.base import Settings
from drivers.operator_setting.confirmed import OperatorSettingSettings
from drivers.registry import KINDS, driver_names, load_driver
from labctl.errors import InputError
from labctl.toml_source import TomlSource

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


class Counters(BaseModel):
    """The two photon counters of the Hanbury Brown-Twiss pair.

    Attributes:
        start: Detector (a name of ``time_tagger.channels``) whose photons start the delay.
        stop: Detector whose photons stop it; positive delay means that it fired later.
        detector_jitter_fwhm_ps: Timing jitter of one detector, full width at half maximum.
        tagger_jitter_rms_ps: Timing jitter of one channel of the tagger, RMS.
        response_sigma_ps: Measured standard deviation of the pair's start-stop delay (``labctl tags
            response``); takes the place of the two jitters.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    start: str
    stop: str
    detector_jitter_fwhm_ps: float | None = Field(default=None, ge=0, le=10_000)
    tagger_jitter_rms_ps: float | None = Field(default=None, ge=0, le=10_000)
    response_sigma_ps: float | None = Field(default=None, gt=0, le=10_000)

    @model_validator(mode="after")
    def _response_is_known(self) -> Counters:
        jitters = (self.detector_jitter_fwhm_ps, self.tagger_jitter_rms_ps)
        if self.response_sigma_ps is None and None in jitters:
            raise ValueError(
                "the timing response is missing: give response_sigma_ps (measured with `labctl tags "
                "response`), or detector_jitter_fwhm_ps and tagger_jitter_rms_ps"
            )
        if self.response_sigma_s < 1e-12:
            raise ValueError("the timing response comes out below 1 ps; no pair of counters is that quick")
        return self

    @property
    def response_sigma_s(self) -> float:
        """RMS width of the pair's timing response: as measured, or two detectors and two tagger channels."""
        if self.response_sigma_ps is not None:
            return self.response_sigma_ps * 1e-12
        assert self.detector_jitter_fwhm_ps is not None and self.tagger_jitter_rms_ps is not None
        detector_ps = self.detector_jitter_fwhm_ps / FWHM_PER_SIGMA
        return math.sqrt(2.0 * detector_ps**2 + 2.0 * self.tagger_jitter_rms_ps**2) * 1e-12


class StoreSettings(BaseModel):
    """Where runs are kept."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    directory: str = "runs"


class RigSettings(BaseModel):
    """Keys of the rig file that belong to no instrument.

    Attributes:
        name: The rig's name, kept with the data.
        counters: The pair of photon counters.
        store: Where runs are kept.
        by_hand: Settings that a person makes and confirms, by name: iris, lamp, excitation.
        simulated_speed: In simulation, simulated seconds per second at most; 0 for no limit.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    counters: Counters
    store: StoreSettings = StoreSettings()
    by_hand: dict[str, OperatorSettingSettings] = Field(default_factory=dict)
    simulated_speed: float = Field(default=0.0, ge=0)


@dataclass(frozen=True)
class InstrumentConfig:
    """One instrument's table: the driver's name and its validated settings."""

    kind: str
    driver: str
    settings: Settings


@dataclass(frozen=True)
class RigConfig:
    """A whole rig file.

    Attributes:
        source: The file, for messages about its keys.
        general: Keys that belong to no instrument.
        instruments: By kind (``xray_tube``, ``cryostage``, ...).
        simulation: The ``[simulation]`` table as found, or None.
    """

    source: TomlSource
    general: RigSettings
    instruments: dict[str, InstrumentConfig]
    simulation: dict[str, Any] | None


def _instrument(source: TomlSource, kind: str, table: Any) -> InstrumentConfig:
    if not isinstance(table, dict):
        raise InputError(source.complaint([kind], f"expected a table [{kind}]"))
    driver = table.get("driver")
    names = ", ".join(f'"{name}"' for name in driver_names(kind))
    if driver is None:
        raise InputError(source.complaint([kind], f"the key driver is missing; it may be {names}"))
    if driver not in driver_names(kind):
        raise InputError(source.complaint([kind, "driver"], f"no such driver {driver!r}; it may be {names}"))
    settings = source.validate(load_driver(kind, driver).Settings, table, [kind])
    return InstrumentConfig(kind, driver, settings)


def load_rig(path: Path) -> RigConfig:
    """Read a rig file.

    Raises:
        InputError: The file cannot be read, or one line for each mistake in it.
    """
    source = TomlSource.read(path)
    data = dict(source.data)
    simulation = data.pop("simulation", None)
    complaints: list[str] = []
    instruments: dict[str, InstrumentConfig] = {}
    for kind in KINDS:
        if kind not in data:
            complaints.append(f"{path}: the table [{kind}] is missing")
            continue
        try:
            instruments[kind] = _instrument(source, kind, data.pop(kind))
        except InputError as error:
            complaints.append(str(error))
    general: RigSettings | None = None
    try:
        general = source.validate(RigSettings, data)
    except InputError as error:
        complaints.append(str(error))
    if complaints or general is None:
        raise InputError("\n".join(complaints))
    return RigConfig(source, general, instruments, simulation)
