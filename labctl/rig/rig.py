"""The instruments of one rig as one object: opened together, made safe together, closed together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from drivers.base import Instrument
from drivers.clock import Clock
from drivers.cryostage.base import Cryostage
from drivers.errors import InstrumentConnectionError, InstrumentError
from drivers.light_path.base import LightPath
from drivers.operator import Operator
from drivers.operator_setting.confirmed import OperatorSetting
from drivers.registry import load_driver
from drivers.spectrometer.base import Spectrometer
from drivers.time_tagger.base import TimeTagger
from drivers.traffic import TrafficLog
from drivers.xray_tube.base import XrayTube
from labctl.config import InstrumentConfig, RigConfig

Kind = TypeVar("Kind", bound=Instrument)

# The tube comes first: it is the one that must be reachable to be made safe. The light path may use the
# spectrograph, so it comes after it.
OPENING_ORDER = ("xray_tube", "cryostage", "spectrometer", "time_tagger", "light_path")


class RigConnectionError(InstrumentConnectionError):
    """Some instruments could not be opened; the message names every one of them at once."""

    def __init__(self, rig: str, errors: Mapping[str, Exception]) -> None:
        self.errors = dict(errors)
        listing = "".join(f"\n  {error}" for error in errors.values())
        super().__init__(
            rig,
            f"{len(errors)} of its instruments could not be opened:{listing}\n",
            done="  Those that were open are closed again",
        )


@dataclass(frozen=True)
class SafetyStep:
    """One step towards the safe state: what was done, and the error if it failed."""

    what: str
    error: str = ""


class Rig:
    """The instruments of a rig file.

    Args:
        config: The rig file.
        clock: The experiment's clock.
        addresses: Addresses to use instead of the rig file's, by kind (the simulated rig's).
        vendors: Vendor modules to use instead of the installed ones, by kind.
        operator: The person whom drivers of parts moved by hand ask; None: nobody is there.
    """

    def __init__(
        self,
        config: RigConfig,
        *,
        clock: Clock,
        addresses: Mapping[str, str] | None = None,
        vendors: Mapping[str, Any] | None = None,
        operator: Operator | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self._addresses = dict(addresses or {})
        self._vendors = dict(vendors or {})
        self._operator = operator
        self._instruments: dict[str, Instrument] = {}
        self._by_hand: dict[str, OperatorSetting] = {}
        self._safety_lock = threading.Lock()

    def open(self) -> None:
        """Open every instrument; nothing is switched or moved.

        Raises:
            RigConnectionError: Names every instrument that could not be opened; the others are closed.
        """
        errors = self.open_each()
        if errors:
            self.close()
            raise RigConnectionError(self.config.general.name, errors)

    def open_each(self) -> dict[str, Exception]:
        """Open what can be opened and leave it open; returns the errors of the others, by kind."""
        errors: dict[str, Exception] = {}
        for kind in OPENING_ORDER:
            try:
                instrument = self._make(self.config.instruments[kind])
                self._instruments[kind] = instrument
                instrument.open()
            except InstrumentError as error:
                self._instruments.pop(kind, None)
                errors[kind] = error
            except KeyError as error:
                # A driver that uses another instrument says so when that one is not open.
                self._instruments.pop(kind, None)
                errors[kind] = InstrumentConnectionError(kind, f"needs {error} to be open")
        for name, settings in self.config.general.by_hand.items():
            setting = OperatorSetting(name, settings, clock=self.clock, vendor=self._operator)
            try:
                setting.open()
            except InstrumentError as error:
                errors[name] = error
            self._by_hand[name] = setting
        return errors

    def _make(self, config: InstrumentConfig) -> Instrument:
        settings = config.settings
        if config.kind in self._addresses and "address" in type(settings).model_fields:
            settings = settings.model_copy(update={"address": self._addresses[config.kind]})
        driver = load_driver(config.kind, config.driver)
        arguments: dict[str, Any] = {"clock": self.clock}
        if driver.asks_operator:
            arguments["vendor"] = self._operator
        elif config.kind in self._vendors:
            arguments["vendor"] = self._vendors[config.kind]
        if config.kind == "light_path":
            arguments["partners"] = dict(self._instruments)
        return driver(config.kind, settings, **arguments)

    def close(self) -> None:
        """Close every instrument, the light path first and the tube last; errors do not stop the others."""
        for kind in reversed(OPENING_ORDER):
            instrument = self._instruments.pop(kind, None)
            if instrument is not None:
                _attempt(kind, instrument.close)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def make_safe(self) -> list[SafetyStep]:
        """Beam off, stage held. Every step is tried whatever became of the others; never raises."""
        with self._safety_lock:
            steps = []
            if "xray_tube" in self._instruments:
                steps.append(_attempt("beam off", self.xray_tube.beam_off))
            if "cryostage" in self._instruments:
                steps.append(_attempt("stage held", self.cryostage.hold))
            return steps

    def traffic(self) -> dict[str, TrafficLog]:
        """What went over each line lately, by kind; instruments without a line are left out."""
        logs = {kind: getattr(instrument, "traffic", None) for kind, instrument in self._instruments.items()}
        return {kind: log for kind, log in logs.items() if isinstance(log, TrafficLog)}

    def save_traffic(self, folder: Path) -> list[Path]:
        """Write each instrument's traffic log to ``folder/KIND.txt``.

        Raises:
            OSError: A file cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for kind, log in self.traffic().items():
            path = folder / f"{kind}.txt"
            log.save(path)
            paths.append(path)
        return paths

    def _get(self, kind: str, base: type[Kind]) -> Kind:
        return cast(Kind, self._instruments[kind])

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The open instruments by kind."""
        return dict(self._instruments)

    @property
    def by_hand(self) -> Mapping[str, OperatorSetting]:
        """Settings that a person makes (iris, lamp, excitation), by their names in the rig file."""
        return dict(self._by_hand)

    @property
    def xray_tube(self) -> XrayTube:
        """The X-ray tube."""
        return self._get("xray_tube", XrayTube)  # type: ignore[type-abstract]

    @property
    def cryostage(self) -> Cryostage:
        """The cryostage."""
        return self._get("cryostage", Cryostage)  # type: ignore[type-abstract]

    @property
    def spectrometer(self) -> Spectrometer:
        """The spectrograph with its camera."""
        return self._get("spectrometer", Spectrometer)  # type: ignore[type-abstract]

    @property
    def time_tagger(self) -> TimeTagger:
        """The time tagger with its two counters."""
        return self._get("time_tagger", TimeTagger)  # type: ignore[type-abstract]

    @property
    def light_path(self) -> LightPath:
        """The fibre's switch."""
        return self._get("light_path", LightPath)  # type: ignore[type-abstract]


def _attempt(what: str, action: Callable[[], None]) -> SafetyStep:
    try:
        action()
    except Exception as error:
        return SafetyStep(what, str(error) or type(error).__name__)
    return SafetyStep(what)
