"""Tables of the rig file for X-ray tubes: limits, ramps, lines."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from drivers.base import Settings
from drivers.xray_tube.models import MODELS
from drivers.xray_tube.warm_up import CURRENT_FRACTION, HOLDS


class TubeSettings(Settings):
    """Limits of the tube in this rig.

    Attributes:
        maximum_voltage_kV: Largest tube voltage.
        maximum_current_uA: Largest tube current.
        maximum_power_W: Largest tube power.
        current_table: Pairs of voltage (kV) and largest current (uA) there, interpolated between; below
            the first voltage no current is allowed. Empty: the model's own table, if it has one.
        on_close: What ``close`` does with a beam that is on.
        state_file: File that remembers when the tube last had which voltage, and its doses; empty: none,
            and then no warm-up either.
        warm_up: After days of rest, ``beam_on`` runs the warm-up programme first, or refuses.
        warm_up_holds: Pairs of days of rest and seconds for which each 5 kV step is then held.
        warm_up_current_fraction: Part of the largest allowed current that flows in a step.
    """

    maximum_voltage_kV: float = Field(default=50.0, gt=0, le=500)
    maximum_current_uA: float = Field(default=600.0, gt=0, le=1e6)
    maximum_power_W: float = Field(default=30.0, gt=0, le=1e5)
    current_table: list[list[float]] = Field(default_factory=list)
    on_close: Literal["off", "leave"] = "off"
    state_file: str = ""
    warm_up: Literal["run", "refuse"] = "run"
    warm_up_holds: list[list[float]] = Field(default_factory=lambda: [list(pair) for pair in HOLDS])
    warm_up_current_fraction: float = Field(default=CURRENT_FRACTION, ge=0, le=1)

    @field_validator("warm_up_holds")
    @classmethod
    def _check_holds(cls, holds: list[list[float]]) -> list[list[float]]:
        if any(len(pair) != 2 or pair[0] < 0 or not 0 <= pair[1] <= 86_400 for pair in holds):
            raise ValueError("warm_up_holds: pairs [days >= 0, seconds] expected, e.g. [[7, 120], [90, 600]]")
        return holds

    @model_validator(mode="after")
    def _check_table(self) -> Self:
        table = self.current_table
        if any(len(pair) != 2 or pair[0] <= 0 or pair[1] < 0 for pair in table):
            raise ValueError("current_table: pairs [kV > 0, uA >= 0] expected, e.g. [[5, 100], [50, 600]]")
        if any(low[0] >= high[0] for low, high in pairwise(table)):
            raise ValueError("current_table: voltages must rise")
        return self


class SpellmanSettings(TubeSettings):
    """Table of a Spellman supply in the rig file.

    Attributes:
        driver: ``"spellman"``.
        address: VISA resource (``TCPIP0::192.168.1.4::50001::SOCKET``, ``ASRL3::INSTR``), serial port or
            pyserial URL, or ``tcp://host:port``.
        model: Which table of commands; see ``models.MODELS``.
        checksum: Frames carry a checksum; None: on serial lines only, as the supplies do.
        baud_rate: Speed of a serial line.
        voltage_ramp_kV_per_s: Slope of the set voltage.
        current_ramp_uA_per_s: Slope of the set current.
        poll_s: Time between two looks at the monitors.
        settle_timeout_s: How long the monitors may take to agree after a ramp's end.
        voltage_tolerance_kV: Monitor and set voltage agree within this.
        current_tolerance_uA: Monitor and set current agree within this.
        maximum_board_temperature_C: Above this the status shows a fault.
        reply_timeout_s: Wall-clock deadline of one reply.
        connect_timeout_s: Wall-clock deadline of connecting.
        attempts: How often a harmless request is sent.
        pacing_s: Least time between two requests.
        filament_preheat_A: Preheat current, sent before each switching on; None: as the supply has it.
        filament_limit_A: Filament current limit, likewise.
    """

    driver: Literal["spellman"] = "spellman"
    address: str = Field(min_length=1)
    model: str = "ux50p50"
    checksum: bool | None = None
    baud_rate: int = Field(default=9600, ge=1200, le=115_200)
    voltage_ramp_kV_per_s: float = Field(default=5.0, gt=0, le=1000)
    current_ramp_uA_per_s: float = Field(default=100.0, gt=0, le=1e6)
    poll_s: float = Field(default=0.25, gt=0, le=10)
    settle_timeout_s: float = Field(default=20.0, gt=0, le=600)
    voltage_tolerance_kV: float = Field(default=0.5, gt=0)
    current_tolerance_uA: float = Field(default=10.0, gt=0)
    maximum_board_temperature_C: float = Field(default=65.0, gt=0)
    reply_timeout_s: float = Field(default=1.0, gt=0, le=60)
    connect_timeout_s: float = Field(default=3.0, gt=0, le=60)
    attempts: int = Field(default=3, ge=1, le=10)
    pacing_s: float = Field(default=0.02, ge=0, le=5)

    filament_preheat_A: float | None = Field(default=None, gt=0, le=10)
    filament_limit_A: float | None = Field(default=None, gt=0, le=10)

    @field_validator("model")
    @classmethod
    def _known_model(cls, model: str) -> str:
        if model not in MODELS:
            raise ValueError(f"unknown supply {model!r}; known: {', '.join(sorted(MODELS))}")
        return model

    @model_validator(mode="after")
    def _filament_scaling_known(self) -> Self:
        wanted = self.filament_preheat_A is not None or self.filament_limit_A is not None
        if wanted and MODELS[self.model].filament_full_scale_A is None:
            raise ValueError(
                f"filament currents cannot be set: their scaling is not known for {self.model!r}"
            )
        if (
            self.filament_preheat_A is not None
            and self.filament_limit_A is not None
            and self.filament_preheat_A > self.filament_limit_A
        ):
            raise ValueError("filament_preheat_A must not be above filament_limit_A")
        return self
