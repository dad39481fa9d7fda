"""The ``[simulation]`` table of a rig file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from labctl.emission.population import find_sample
from labctl.toml_source import TomlSource
from simulators.faults import Fault, check_name, random_faults

PortNumber = Annotated[int, Field(ge=0, le=65535)]
HORIZON_S = 24 * 3600.0


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class FaultSettings(_Table):
    """One fault of the schedule: ``faults = [{ name = "tube.arc", at_s = 600, duration_s = 10 }]``."""

    name: str
    at_s: float = Field(default=0.0, ge=0)
    duration_s: float | None = Field(default=None, gt=0)
    count: int | None = Field(default=None, ge=1)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return check_name(name)


class RandomFaultSettings(_Table):
    """Faults that come at random times, the same ones for the same seed."""

    names: list[str]
    per_hour: float = Field(gt=0, le=3600)
    duration_s: float = Field(default=30.0, gt=0)

    @field_validator("names")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        return [check_name(name) for name in names]


class SimulationSettings(_Table):
    """What the simulated rig is made of.

    Attributes:
        seed: Seed of all noise.
        sample: Name of the sample under the beam.
        excitation: What excites it.
        photon_statistics: Law of the number of photons per X-ray (``simulators.photon_source``).
        control_port: TCP port of the world's control; 0 takes a free one.
        linkam_port: TCP port of the cryostage's controller.
        spellman_port: TCP port of the X-ray supply.
        spellman_model: Command table of the X-ray supply.
        spellman_checksum: The supply speaks as on a serial line.
        flip_mount_port: TCP port of a flip mount in the light; not given: there is none.
        gauge_port: TCP port of a vacuum gauge on the stage; None: there is none.
        start_K: Temperature of the stage at the beginning.
        hysteresis_K: How far the coupled light lags on warming; not given: as the sample's data file says.
        faults: Schedule of faults.
        random_faults: Faults at random.
    """

    seed: int = Field(default=1, ge=0, lt=2**63)
    sample: str = "xray-A"
    excitation: Literal["xray", "uv"] = "xray"
    photon_statistics: Literal["poisson", "geometric", "cascade"] = "poisson"
    control_port: PortNumber = 0
    linkam_port: PortNumber = 0
    spellman_port: PortNumber = 0
    spellman_model: Literal["ux50p50", "mnx50p50", "xrv"] = "ux50p50"
    spellman_checksum: bool = False
    flip_mount_port: PortNumber | None = None
    gauge_port: PortNumber | None = None
    start_K: float = Field(default=300.0, ge=77.36, le=623.15)
    hysteresis_K: float | None = Field(default=None, ge=0, le=100)
    faults: list[FaultSettings] = []
    random_faults: RandomFaultSettings | None = None

    def sample_hysteresis_K(self) -> float:
        """The hysteresis that counts.

        Raises:
            SampleError: There is no such sample.
        """
        if self.hysteresis_K is not None:
            return self.hysteresis_K
        return find_sample(self.sample).cycles.hysteresis_K

    def fault_plan(self) -> list[Fault]:
        """Scheduled and random faults together."""
        plan = [
            Fault(f.name, f.at_s, float("inf") if f.duration_s is None else f.duration_s, f.count)
            for f in self.faults
        ]
        if self.random_faults is not None:
            chance = self.random_faults
            plan += random_faults(self.seed, chance.names, chance.per_hour, chance.duration_s, HORIZON_S)
        return plan


def load_simulation(path: Path, changes: Mapping[str, Any] | None = None) -> SimulationSettings:
    """Read the ``[simulation]`` table of a rig file; a file without one gives the defaults.

    Args:
        path: The rig file.
        changes: Values that count instead of the file's.

    Raises:
        InputError: The file cannot be read, or something in the table is wrong: file, line, key, what was
            expected.
    """
    source = TomlSource.read(path)
    table = {**source.data.get("simulation", {}), **(changes or {})}
    return source.validate(SimulationSettings, table, ["simulation"])
