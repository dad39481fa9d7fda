"""Finds pylablib and Andor's libraries, and turns their errors into the project's.

pylablib 1.4.5 wraps the vendor's C libraries; its import takes a second, so it stands in a function.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from drivers.errors import (
    FaultError,
    InstrumentConnectionError,
    InstrumentError,
    LimitError,
    MissingDriverError,
)
from drivers.spectrometer.andor_linux import folder_for_pylablib

HINT = (
    "Install Andor SOLIS or the Andor SDK2 (Windows: both libraries; Linux: libandor and libatspectrograph), "
    "or name its folder as library_folder"
)

CABLE = "Check power and USB cable, close SOLIS, then connect again"

# Codes of both libraries by who must act; texts are the vendor's names in words.
_CONNECTION = {
    20201: "communication error",
    20275: "not initialised",
    20075: "not initialised",
    20013: "the camera does not acknowledge",
    20089: "USB error",
    20090: "input/output control error",
    20093: "USB interrupt error",
    20102: "USB interrupt time-out",
    20990: "no camera found",
    20003: "the driver is not installed",
    20008: "the driver could not start",
}
_LIMIT = {
    **dict.fromkeys((20066, 20067, 20068, 20069, 20076, 20077), "a value is out of range"),
    **dict.fromkeys((20266, 20267, 20268, 20269, 20270), "a value is out of range"),
    20095: "this trigger mode is not possible",
    20099: "this binning is not possible",
}
_ACQUISITION = {
    20017: "acquisition error",
    20018: "the computer could not read the data in time",
    20019: "the camera's buffer ran over",
    20022: "the kinetic cycle time was not met",
    20023: "the accumulation cycle time was not met",
    20025: "data transfer failed",
}
BROKEN_OFF = frozenset(_ACQUISITION)


class AcquisitionError(FaultError):
    """The camera broke off an acquisition; taking it again may well succeed."""


def load_pylablib(instrument: str, folder: str = "") -> ModuleType:
    """The package ``pylablib.devices.Andor``, told where the vendor's libraries are.

    Args:
        instrument: Name of the instrument, for messages.
        folder: Folder of the libraries; empty: the places where the vendor installs them.

    Raises:
        MissingDriverError: pylablib is not installed.
    """
    try:
        import pylablib

        with _uncompiled():
            from pylablib.devices import Andor
    except ImportError as error:
        raise MissingDriverError(
            instrument, f"pylablib does not load: {error}", advice="Install it with 'pip install pylablib'"
        ) from error
    if sys.platform != "win32":
        pylablib.par["devices/only_windows_dlls"] = False
    folder = folder_for_pylablib(folder)
    if folder:
        pylablib.par["devices/dlls/andor_shamrock"] = folder
        pylablib.par["devices/dlls/andor_sdk2"] = folder
    package: ModuleType = Andor
    return package


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Let numba's decorators do nothing meanwhile.

    pylablib's module for sCMOS cameras, which comes along unasked, compiles a decoder at its import: two
    seconds for something that is never called here.
    """
    import numba

    before = numba.config.DISABLE_JIT
    numba.config.DISABLE_JIT = True
    try:
        yield
    finally:
        numba.config.DISABLE_JIT = before


@contextmanager
def speaking(instrument: str, what: str, *, advice: str = "") -> Iterator[None]:
    """Turn errors of pylablib and the vendor's libraries into ``InstrumentError`` and its kin.

    Args:
        instrument: Name of the instrument, for messages.
        what: What is being done, e.g. ``"set the shutter"``.
        advice: What the person can do.
    """
    try:
        yield
    except InstrumentError:
        raise
    except OSError as error:
        # The loader's complaint comes with several lines about pylablib's own settings.
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        words = f"cannot {what}: {first}"
        if "import library" in first:
            raise MissingDriverError(instrument, words, advice=advice or HINT) from error
        raise InstrumentConnectionError(instrument, words, advice=advice) from error
    except Exception as error:
        raise translated(instrument, what, error, advice) from error


def translated(instrument: str, what: str, error: Exception, advice: str = "") -> InstrumentError:
    """The project's error for an error of pylablib (by the vendor's code where it has one)."""
    kind, words, help_text = _class_of(error)
    return kind(instrument, f"cannot {what}: {words}", advice=advice or help_text)


def _class_of(error: Exception) -> tuple[type[InstrumentError], str, str]:
    """Which of the project's errors this is, in what words, with what advice."""
    code: Any = getattr(error, "code", None)
    for kind, codes, help_text in (
        (InstrumentConnectionError, _CONNECTION, CABLE),
        (LimitError, _LIMIT, ""),
        (AcquisitionError, _ACQUISITION, ""),
    ):
        if code in codes:
            return kind, f"{codes[code]} (code {code})", help_text
    if type(error).__name__ == "AndorNotSupportedError" or code in (20292, 20991, 20992):
        return LimitError, f"this instrument has none ({error})", ""
    if isinstance(error, TypeError) and "'NoneType' object is not callable" in str(error):
        return (
            MissingDriverError,
            "the vendor's library lacks a function that this needs",
            "Install Andor SDK2 2.103 or newer, with the library that has the Shamrock functions",
        )
    if "is not available" in str(error):
        return InstrumentConnectionError, str(error), CABLE
    return FaultError, str(error), ""
