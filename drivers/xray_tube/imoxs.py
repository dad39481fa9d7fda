"""The iMOXS (IfG, now Helmut Fischer): its protocol is not public, and nothing is guessed here.

No manual, driver or program with its commands was found in public. Bytes that are only guessed do not
belong on a line that switches X-rays. How to add it once the vendor has given the interface description:

1. a codec of pure functions (bytes <-> values), with the byte tables of the description as its tests;
2. a class that implements ``drivers.xray_tube.base.XrayTube``; ``drivers.transport.Transport`` carries the
   messages, ``drivers.xray_tube.limits`` checks the limits, and ``spellman.py`` shows the order of things:
   voltage before current up, current before voltage down, off verified, nothing switched on by itself;
3. an entry point ``imoxs`` in the group ``labctl.drivers.xray_tube`` of your package: it takes the place of
   this module without a change here.

Until then ``driver = "manual"`` lets a person set the tube at its own panel.
"""

from __future__ import annotations

import threading
from typing import Any, Literal, NoReturn

from drivers.base import Identity
from drivers.clock import Clock
from drivers.errors import MissingDriverError
from drivers.xray_tube.base import TubeLimits, TubeStatus, XrayTube
from drivers.xray_tube.dose import DoseMeter
from drivers.xray_tube.limits import check_beam
from drivers.xray_tube.settings import TubeSettings


class ImoxsSettings(TubeSettings):
    """Table of an iMOXS in the rig file.

    Attributes:
        driver: ``"imoxs"``.
        address: Where it would be reached.
    """

    driver: Literal["imoxs"] = "imoxs"
    address: str = ""


class ImoxsTube(XrayTube):
    """Says that the iMOXS cannot be driven yet, and what to do instead.

    Args:
        name: The instrument's name in the rig file.
        settings: Its table of the rig file.
        clock: The clock of the experiment.
        vendor: Not used.
    """

    Settings = ImoxsSettings

    def __init__(self, name: str, settings: ImoxsSettings, *, clock: Clock, vendor: Any = None) -> None:
        super().__init__(name, settings, clock=clock)
        self.settings = settings
        self.dose = DoseMeter()

    @property
    def limits(self) -> TubeLimits:
        """Limits from the rig file."""
        settings = self.settings
        return TubeLimits(settings.maximum_voltage_kV, settings.maximum_current_uA, settings.maximum_power_W)

    def open(self) -> None:
        """Raise ``MissingDriverError``."""
        self._refuse()

    def close(self) -> None:
        """Nothing: it was never open."""

    def identify(self) -> Identity:
        """Raise ``MissingDriverError``."""
        self._refuse()

    def status(self) -> TubeStatus:
        """Raise ``MissingDriverError``."""
        self._refuse()

    def check(self, voltage_kV: float, current_uA: float) -> None:
        """Raise ``LimitError`` if the tube may not run at this voltage and current."""
        check_beam(self.name, voltage_kV, current_uA, self.limits, self.settings.current_table)

    def beam_on(self, voltage_kV: float, current_uA: float, *, cancel: threading.Event | None = None) -> None:
        """Raise ``MissingDriverError``; nothing is switched."""
        self._refuse()

    def beam_off(self) -> None:
        """Raise ``MissingDriverError``; nothing is switched."""
        self._refuse()

    def clear_faults(self) -> None:
        """Raise ``MissingDriverError``."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise MissingDriverError(
            self.name,
            "the iMOXS cannot be driven: its protocol is not public",
            done="nothing was sent",
            advice='use driver = "manual", or ask the vendor for the interface description and add a'
            " driver as drivers/xray_tube/imoxs.py explains",
        )
