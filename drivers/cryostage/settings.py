"""Tables of a cryostage in the rig file."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from drivers.base import Settings
from drivers.cryostage.pfeiffer_tpg import PfeifferTpgSettings


class StageSettings(Settings):
    """What every stage has.

    Attributes:
        minimum_K: Lowest set point.
        maximum_K: Highest set point.
        maximum_rate_K_per_min: Fastest ramp; the controllers' own limit is 150.
        on_close: Leave the stage holding its temperature, doing what it does, or switched off.
        reconnect_s: How long a request waits for a lost line to come back; the stage goes on meanwhile.
        vacuum_mbar: Pressure in the stage as read from a gauge by a person, if known.
        gauge: A vacuum gauge that the software reads.
    """

    minimum_K: float = Field(default=83.15, ge=77.0, le=1000.0)
    maximum_K: float = Field(default=623.15, ge=77.0, le=1873.15)
    maximum_rate_K_per_min: float = Field(default=30.0, ge=0.01, le=150.0)
    on_close: Literal["hold", "leave", "stop"] = "hold"
    reconnect_s: float = Field(default=15.0, ge=0, le=600)
    vacuum_mbar: float | None = Field(default=None, gt=0, le=1100)
    gauge: PfeifferTpgSettings | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.minimum_K < self.maximum_K:
            raise ValueError(f"minimum_K ({self.minimum_K:g}) must be below maximum_K ({self.maximum_K:g})")
        return self


class LinkamT95Settings(StageSettings):
    """A stage on a T95 over a serial line.

    Attributes:
        address: Serial port (``COM3``, ``/dev/ttyUSB0``) or a URL: ``socket://host:port``, ``tcp://...``.
        pacing_s: Least time between two commands.
        reply_timeout_s: Wall-clock deadline of a reply.
        connect_timeout_s: Wall-clock deadline of opening the line.
        attempts: How often a request is sent before giving up.
        bad_readings: So many status replies in a row without a temperature are an error.
    """

    driver: Literal["linkam-t95"] = "linkam-t95"
    address: str = Field(min_length=1)
    baud_rate: int = Field(default=19200, gt=0)
    pacing_s: float = Field(default=0.05, ge=0, le=5)
    reply_timeout_s: float = Field(default=0.5, gt=0, le=30)
    connect_timeout_s: float = Field(default=3.0, gt=0, le=60)
    attempts: int = Field(default=3, ge=1, le=20)
    bad_readings: int = Field(default=5, ge=1, le=100)


class LinkamSdkSettings(StageSettings):
    """A stage behind Linkam's SDK. Limits narrow the stage's own; the gauge is for want of a vacuum card.

    Attributes:
        library: File of the SDK's library; empty: the usual name, found as the system finds libraries.
        licence: Linkam's ``.lsk`` file.
        log: File that the SDK writes its log to.
        serial_port: Port for RS-232; empty: USB.
        serial_number: Which controller on USB; empty: the only one.
        call_timeout_s: Wall-clock deadline of one call of the SDK.
        attempts: How often a request is sent before giving up.
        first_pause_s: Pause before the first reconnect; doubles each time.
        longest_pause_s: Longest pause between two reconnects.
    """

    driver: Literal["linkam-sdk"] = "linkam-sdk"
    library: str = ""
    licence: str = ""
    log: str = ""
    serial_port: str = ""
    serial_number: str = ""
    call_timeout_s: float = Field(default=10.0, gt=0, le=120)
    attempts: int = Field(default=3, ge=1, le=20)
    first_pause_s: float = Field(default=0.5, ge=0, le=60)
    longest_pause_s: float = Field(default=30.0, ge=0, le=600)
