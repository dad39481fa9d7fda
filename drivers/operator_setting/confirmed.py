"""One setting that a person makes and confirms: excitation source, iris, lamp.

The value lands in the record with the source ``"entered"`` and the time of its confirmation.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from drivers.base import Identity, Instrument, Reading, Settings, Status
from drivers.clock import Clock
from drivers.errors import InstrumentConnectionError, InstrumentTimeoutError, LimitError
from drivers.operator import Operator

Value = str | float


class OperatorSettingSettings(Settings):
    """A setting made by hand, in the rig file: one of ``choices``, or a number with a unit.

    Attributes:
        driver: ``"operator-confirmed"``.
        title: What it is, as in "Set the *collection iris* to 28 um".
        choices: The words it may take, for example ``["X-ray tube", "KrCl lamp 222 nm"]``.
        unit: Unit of its number; empty with ``choices``.
        minimum: Smallest number.
        maximum: Largest number.
        value: How it stands at the start, if known.
        timeout_s: How long a person may take.
    """

    driver: Literal["operator-confirmed"] = "operator-confirmed"
    title: str = Field(min_length=1)
    choices: list[str] = Field(default_factory=list)
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    value: str | float | None = None
    timeout_s: float = Field(default=600.0, gt=0, le=86_400)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.choices) == bool(self.unit):
            raise ValueError("give either choices (words) or unit (a number)")
        if self.value is not None and (complaint := refusal(self, self.value)):
            raise ValueError(f"value: {complaint}")
        return self


def refusal(settings: OperatorSettingSettings, value: Value) -> str:
    """Why this value is impossible, in words; empty if it is possible."""
    if settings.choices:
        known = ", ".join(repr(choice) for choice in settings.choices)
        return "" if value in settings.choices else f"{value!r} is none of {known}"
    if isinstance(value, str) or math.isnan(value):
        return f"a number in {settings.unit} is expected, not {value!r}"
    low, high = settings.minimum, settings.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        return f"{value:g} {settings.unit} is outside {low} to {high} {settings.unit}"
    return ""


@dataclass(frozen=True)
class OperatorSettingStatus(Status):
    """How the setting stands: ``state`` is confirmed or unknown.

    Attributes:
        value: The word or number confirmed last, None before the first confirmation.
        unit: Unit of the number, empty for words.
    """

    value: Value | None
    unit: str


class OperatorSetting(Instrument):
    """Asks the person at the rig to make a setting, and remembers what was confirmed.

    Args:
        name: The setting's name in the rig file.
        settings: Its table.
        clock: The experiment's clock.
        vendor: The person: something with ``drivers.operator.Operator``'s ``ask``.
    """

    asks_operator = True
    Settings = OperatorSettingSettings

    def __init__(
        self,
        name: str,
        settings: OperatorSettingSettings,
        *,
        clock: Clock,
        vendor: Operator | None = None,
    ) -> None:
        super().__init__(name, settings, clock=clock)
        self.settings = settings
        self._operator = vendor
        self._value: Value | None = settings.value
        self._known_at_s = clock.now()

    def open(self) -> None:
        """Nothing is asked yet.

        Raises:
            InstrumentConnectionError: There is nobody to ask and the rig file does not say how it stands.
        """
        if self._operator is None and self._value is None:
            raise InstrumentConnectionError(
                self.name,
                f"the {self.settings.title} is set by hand, but there is nobody to ask",
                advice="Give its value in the rig file, or start the run where an operator can answer",
            )

    def close(self) -> None:
        """It stays as it is."""

    def identify(self) -> Identity:
        """A person."""
        return Identity(make="", model=f"{self.settings.title}, set by hand")

    def status(self) -> OperatorSettingStatus:
        """What was confirmed last, and when."""
        state = "unknown" if self._value is None else "confirmed"
        return OperatorSettingStatus(True, state, (), self._known_at_s, self._value, self.settings.unit)

    def reading(self) -> Reading | None:
        """The number as a reading with its source, None for words or before the first confirmation."""
        if self._value is None or isinstance(self._value, str):
            return None
        return Reading(float(self._value), self.settings.unit, "entered", self._known_at_s)

    def set(self, value: Value, *, cancel: threading.Event | None = None) -> None:
        """Ask for the setting and wait until it is confirmed; nothing is asked if it stands there.

        Raises:
            LimitError: The rig file does not allow this value; nobody was asked.
            InstrumentTimeoutError: Nobody confirmed within ``timeout_s``; it counts as unknown from then on.
        """
        if complaint := refusal(self.settings, value):
            raise LimitError(self.name, complaint, done="Nobody was asked")
        if value == self._value:
            return
        if self._operator is None:
            raise InstrumentConnectionError(self.name, "there is nobody to ask")
        words = f"{value:g} {self.settings.unit}" if isinstance(value, (int, float)) else value
        answer = self._operator.ask(
            f"Set the {self.settings.title} to {words}, then confirm.",
            self.settings.timeout_s,
            about=self.name,
            wanted=str(value),
            cancel=cancel,
        )
        if answer == "confirmed":
            self._value, self._known_at_s = value, self.clock.now()
            return
        if cancel is not None and cancel.is_set():
            return
        # The person may have begun to turn it.
        self._value, self._known_at_s = None, self.clock.now()
        raise InstrumentTimeoutError(
            self.name,
            f"nobody confirmed the {self.settings.title} at {words} within {self.settings.timeout_s:g} s",
            done="It counts as unknown",
        )
