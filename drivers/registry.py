"""Finds the driver class for ``driver = "..."`` in a rig file.

Third parties add drivers through the entry-point group ``labctl.drivers.<kind>`` (for example
``labctl.drivers.cryostage``); the entry point's name is the word written in the rig file.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from drivers.base import Instrument

BUILT_IN: dict[str, dict[str, str]] = {
    "xray_tube": {
        "imoxs": "drivers.xray_tube.imoxs:ImoxsTube",
        "manual": "drivers.xray_tube.manual:ManualTube",
        "spellman": "drivers.xray_tube.spellman:SpellmanTube",
    },
    "cryostage": {
        "linkam-sdk": "drivers.cryostage.linkam_sdk:LinkamSdk",
        "linkam-t95": "drivers.cryostage.linkam_t95:LinkamT95",
    },
    "spectrometer": {"andor": "drivers.spectrometer.andor:AndorSpectrometer"},
    "time_tagger": {"swabian": "drivers.time_tagger.swabian:SwabianTimeTagger"},
    "light_path": {
        "fixed": "drivers.light_path.fixed:FixedPath",
        "kymera-flipper": "drivers.light_path.kymera_flipper:KymeraFlipper",
        "manual": "drivers.light_path.manual:ManualPath",
        "thorlabs-flip-mount": "drivers.light_path.thorlabs_flip_mount:FlipMountPath",
    },
}

KINDS = tuple(BUILT_IN)


def driver_names(kind: str) -> tuple[str, ...]:
    """Names that ``driver = "..."`` may take for this kind of instrument, sorted."""
    extra = {point.name for point in entry_points(group=f"labctl.drivers.{kind}")}
    return tuple(sorted(extra | set(BUILT_IN[kind])))


def load_driver(kind: str, driver: str) -> type[Instrument]:
    """The driver class of this name.

    Args:
        kind: One of ``KINDS``.
        driver: The word in the rig file.

    Raises:
        KeyError: No driver of this kind has this name.
        TypeError: An entry point names something that is not a driver.
    """
    for point in entry_points(group=f"labctl.drivers.{kind}"):
        if point.name == driver:
            found = point.load()
            break
    else:
        module_name, class_name = BUILT_IN[kind][driver].split(":")
        found = getattr(import_module(module_name), class_name)
    if not (isinstance(found, type) and issubclass(found, Instrument)):
        raise TypeError(f"driver {driver!r} of kind {kind!r} is not a drivers.base.Instrument: {found!r}")
    return found
