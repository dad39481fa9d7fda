"""Is everything there and well? Each instrument asked in turn; what fails does not stop the others."""

from __future__ import annotations

import errno
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from drivers.base import Identity, Instrument, Reading
from drivers.errors import InstrumentError
from drivers.xray_tube.base import TubeStatus
from labctl.config import RigConfig
from labctl.rig.rig import OPENING_ORDER, Rig

NEARLY_OFF_kV, NEARLY_OFF_uA = 1.0, 10.0


@dataclass(frozen=True)
class InstrumentReport:
    """What one instrument said.

    Attributes:
        kind: Which instrument of the rig.
        driver: Its driver.
        identity: Who answered; None if nobody did.
        status: The fields of its status.
        limits: Its limits, where it has some.
        findings: What is wrong, in words; empty if all is well.
        hint: How to get what is missing, where that is known.
    """

    kind: str
    driver: str
    identity: Identity | None
    status: dict[str, Any]
    limits: dict[str, Any]
    findings: tuple[str, ...]
    hint: str = ""

    @property
    def well(self) -> bool:
        """It answered, and nothing was found wrong."""
        return self.identity is not None and not self.findings

    def as_fields(self) -> dict[str, Any]:
        """Plain values for a program."""
        return {
            "instrument": self.kind,
            "driver": self.driver,
            "well": self.well,
            "identity": plain(self.identity) if self.identity is not None else None,
            "status": plain(self.status),
            "limits": plain(self.limits),
            "findings": list(self.findings),
            "hint": self.hint,
        }


def left_as_found(config: RigConfig) -> RigConfig:
    """The same rig, but no instrument is touched when it is closed: a check must not stop a cold stage."""
    kept = {}
    for kind, instrument in config.instruments.items():
        settings = instrument.settings
        if "on_close" in type(settings).model_fields:
            settings = settings.model_copy(update={"on_close": "leave"})
        kept[kind] = replace(instrument, settings=settings)
    return replace(config, instruments=kept)


def check_rig(rig: Rig) -> Iterator[InstrumentReport]:
    """Open each instrument and examine it; the caller closes the rig.

    Args:
        rig: Not opened yet.
    """
    errors = rig.open_each()
    for kind in OPENING_ORDER:
        driver = rig.config.instruments[kind].driver
        if kind in errors:
            yield _failed(kind, driver, errors[kind])
        else:
            yield examine(kind, driver, rig.instruments[kind])


def examine(kind: str, driver: str, instrument: Instrument) -> InstrumentReport:
    """Identity, state, limits and self-test of one open instrument."""
    try:
        identity = instrument.identify()
        status = instrument.status()
        found = [*status.faults, *_self_test(instrument)]
        if isinstance(status, TubeStatus):
            found += _tube_findings(status)
        limits = getattr(instrument, "limits", None)
    except InstrumentError as error:
        return _failed(kind, driver, error)
    said = {field.name: getattr(status, field.name) for field in fields(status)}
    told = (
        {field.name: getattr(limits, field.name) for field in fields(limits)} if is_dataclass(limits) else {}
    )
    return InstrumentReport(kind, driver, identity, said, told, tuple(dict.fromkeys(found)))


def plain(value: Any) -> Any:
    """A value as JSON has it; what is no number becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    return value if isinstance(value, str | int | bool) or value is None else str(value)


def in_words(value: Any) -> str:
    """A value of a status or of limits for a person."""
    if isinstance(value, Reading):
        return f"{value.value:.6g} {value.unit} ({value.source})"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {in_words(entry)}" for key, entry in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(in_words(entry) for entry in value) or "none"
    return "not known" if value is None else str(value)


def _self_test(instrument: Instrument) -> Iterable[str]:
    """Findings of the driver's self-test: some give them alone, some within a report."""
    test = getattr(instrument, "self_test", None)
    if test is None:
        return ()
    result = test()
    return tuple(getattr(result, "findings", result))


def _tube_findings(status: TubeStatus) -> list[str]:
    found = []
    if not status.interlock_closed:
        found.append("the interlock is open: no beam until it is closed")
    if not status.beam_on and (status.voltage.value > NEARLY_OFF_kV or status.current.value > NEARLY_OFF_uA):
        found.append(
            f"the beam is said to be off, but the monitors read {status.voltage.value:.3g} kV"
            f" and {status.current.value:.3g} uA"
        )
    return found


def _failed(kind: str, driver: str, error: Exception) -> InstrumentReport:
    return InstrumentReport(kind, driver, None, {}, {}, (str(error),), _hint(error))


def _hint(error: BaseException | None) -> str:
    """How to mend what stands behind an error; empty where the error itself says it."""
    while error is not None:
        text = str(error)
        number = getattr(error, "errno", None)
        if number in (errno.EACCES, errno.EPERM) or "Permission denied" in text or "Access is denied" in text:
            if sys.platform == "win32":
                return "Another program holds the port: close it (LINK, SOLIS, a terminal)"
            return "Add yourself to the port's group (sudo usermod -aG dialout $USER) and log in again"
        if (
            number == errno.ENOENT
            or "No such file or directory: '/dev" in text
            or "FileNotFoundError" in text
        ):
            return "See 'labctl devices' for the ports that there are"
        error = error.__cause__
    return ""
