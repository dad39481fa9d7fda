"""Finds the vendor's Python module, and tells it from the unrelated package of the same name.

``Swabian-TimeTagger`` on the package index gives ``Swabian.TimeTagger``; the vendor's Windows installer gives
a plain ``TimeTagger``. The package index also has a ``TimeTagger`` that is a program for recording
working hours.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from drivers.errors import InstrumentConnectionError, MissingDriverError

MODULES = ("Swabian.TimeTagger", "TimeTagger")
NEEDED = ("createTimeTagger", "freeTimeTagger", "scanTimeTagger", "TimeTagStream", "Countrate")
HINT = (
    "Install it with 'pip install Swabian-TimeTagger' (Linux with glibc 2.28 or newer, or Windows), "
    "or with the vendor's installer from swabianinstruments.com"
)


def load_vendor(instrument: str, find: Callable[[str], ModuleType] = import_module) -> ModuleType:
    """The vendor's module.

    Args:
        instrument: Name of the instrument, for messages.
        find: Imports a module by name.

    Raises:
        MissingDriverError: It is not installed, does not load, or another package has taken its name.
    """
    found: list[str] = []
    for name in MODULES:
        try:
            module = find(name)
        except ModuleNotFoundError:
            continue
        except (ImportError, OSError) as error:
            found.append(f"module {name!r} does not load: {error}")
            continue
        missing = [needed for needed in NEEDED if not hasattr(module, needed)]
        if not missing:
            return module
        found.append(_describe(name, module, missing))
    if not found:
        raise MissingDriverError(instrument, "the time tagger's Python module is not installed", advice=HINT)
    raise MissingDriverError(
        instrument, "; ".join(found), advice=f"Remove what has taken its name, if so. {HINT}"
    )


def attached_taggers(vendor: Any) -> tuple[tuple[str, str], ...]:
    """Serial number and model of each tagger that is attached and not in use; nothing is connected.

    Args:
        vendor: The vendor's module.

    Raises:
        InstrumentConnectionError: The vendor's module cannot look.
    """
    try:
        found = tuple(vendor.scanTimeTagger(True))
    except (RuntimeError, OSError, TypeError) as error:
        raise InstrumentConnectionError("time tagger", f"cannot look for taggers: {error}") from error
    serials = [str(entry).partition(",") for entry in found]
    return tuple((serial.strip(), model.strip()) for serial, _, model in serials)


def _describe(name: str, module: ModuleType, missing: list[str]) -> str:
    place = getattr(module, "__file__", None) or "no file"
    if name == "TimeTagger" and "createTimeTagger" in missing:
        return (
            f"the installed 'TimeTagger' ({place}) is the unrelated program for recording working hours, "
            "not the vendor's module ('pip uninstall TimeTagger' removes it)"
        )
    return f"module {name!r} ({place}) lacks {', '.join(missing)}"
