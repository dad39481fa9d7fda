"""What every instrument driver gives, whatever its kind: life, identity, status, provenance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

from drivers.clock import Clock

Source = Literal["measured", "commanded", "entered"]


@dataclass(frozen=True)
class Reading:
    """One number with its unit, where it came from and when.

    Attributes:
        value: The number, in ``unit``.
        unit: Unit symbol, e.g. ``"K"``.
        source: ``"measured"`` by the instrument, ``"commanded"`` by the software (no read-back
            exists), or ``"entered"`` by a person.
        read_at_s: Time of the reading on the driver's clock, in s.
    """

    value: float
    unit: str
    source: Source
    read_at_s: float


@dataclass(frozen=True)
class Identity:
    """Who answers on the line. Fields that the instrument does not tell are empty."""

    make: str
    model: str
    serial_number: str = ""
    firmware: str = ""


@dataclass(frozen=True)
class Status:
    """State of an instrument at one time; each kind adds its own fields in a subclass.

    Attributes:
        connected: The line is open and the instrument answered last time.
        state: One word for what it does, e.g. ``"cooling"``; ``"unknown"`` where it said
            something that the driver does not know.
        faults: Texts of the faults it reports, empty when well.
        read_at_s: Time of the reading on the driver's clock, in s.
    """

    connected: bool
    state: str
    faults: tuple[str, ...]
    read_at_s: float

    def age_s(self, now_s: float) -> float:
        """Age of this reading in s at clock time ``now_s``."""
        return now_s - self.read_at_s


class Settings(BaseModel):
    """Base of a driver's table in the rig file: strict types, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Instrument(ABC):
    """One instrument of the rig.

    A driver is made without touching the hardware; ``open`` connects and adopts the state that it
    finds. ``close`` leaves the instrument as the settings say and may be called twice.

    Args:
        name: The instrument's name in the rig file, used in every message.
        settings: The driver's table of the rig file, already validated.
        clock: The clock of the experiment.
    """

    #: The driver takes the person at the rig (``drivers.operator.Operator``) as its ``vendor``.
    asks_operator: ClassVar[bool] = False
    Settings: ClassVar[type[Settings]]

    def __init__(self, name: str, settings: BaseModel, *, clock: Clock) -> None:
        self.name = name
        self.clock = clock

    @abstractmethod
    def open(self) -> None:
        """Connect. Changes nothing at the instrument.

        Raises:
            InstrumentConnectionError: The line cannot be opened or nobody answers.
            MissingDriverError: A vendor library is not installed.
        """

    @abstractmethod
    def close(self) -> None:
        """Leave the instrument as the settings say and release the line. Never raises twice."""

    @abstractmethod
    def identify(self) -> Identity:
        """Who answers on the line."""

    @abstractmethod
    def status(self) -> Status:
        """Ask the instrument for its state now."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
