"""An X-ray tube that a person sets at its own panel: the software asks, records and times it."""

from __future__ import annotations

import threading
from typing import Literal

from pydantic import Field

from drivers.base import Identity, Reading
from drivers.clock import Clock
from drivers.errors import (
    InstrumentCancelledError,
    InstrumentConnectionError,
    InstrumentTimeoutError,
)
from drivers.operator import Operator
from drivers.xray_tube.base import TubeLimits, TubeStatus, XrayTube
from drivers.xray_tube.dose import DoseMeter
from drivers.xray_tube.limits import check_beam
from drivers.xray_tube.settings import TubeSettings

Beam = Literal["off", "on", "unknown"]


class ManualTubeSettings(TubeSettings):
    """Table of a tube without a driver in the rig file.

    Attributes:
        driver: ``"manual"``.
        title: What the person knows the tube as.
        timeout_s: How long a person may take to switch on.
        off_timeout_s: How long a person may take to switch off before the alarm is raised.
    """

    driver: Literal["manual"] = "manual"
    title: str = "X-ray tube"
    timeout_s: float = Field(default=900.0, gt=0, le=86_400)
    off_timeout_s: float = Field(default=300.0, gt=0, le=86_400)


class ManualTube(XrayTube):
    """Asks the person at the rig to set the tube, and believes what is confirmed.

    Voltages and currents are marked as entered. Whether the interlock is closed is not known to the
    software; it is the tube's own circuit that protects, and ``interlock_closed`` is always true here.

    Args:
        name: The instrument's name in the rig file.
        settings: Its table of the rig file.
        clock: The clock of the experiment.
        vendor: The person: something with ``drivers.operator.Operator``'s ``ask``.
    """

    asks_operator = True
    Settings = ManualTubeSettings

    def __init__(
        self, name: str, settings: ManualTubeSettings, *, clock: Clock, vendor: Operator | None = None
    ) -> None:
        super().__init__(name, settings, clock=clock)
        self.settings = settings
        self.dose = DoseMeter()
        self._operator = vendor
        self._asking = threading.RLock()
        self._beam: Beam = "unknown"
        self._asked_on = False
        self._entered = (0.0, 0.0)
        self._wanted = (0.0, 0.0)
        self._known_at_s = clock.now()

    @property
    def limits(self) -> TubeLimits:
        """Limits from the rig file."""
        settings = self.settings
        return TubeLimits(settings.maximum_voltage_kV, settings.maximum_current_uA, settings.maximum_power_W)

    def open(self) -> None:
        """Nothing is asked yet.

        Raises:
            InstrumentConnectionError: There is nobody to ask.
        """
        self._person()

    def close(self) -> None:
        """Have the beam switched off if it was asked for, unless the rig file says "leave".

        Raises:
            InstrumentTimeoutError: Nobody confirmed that the beam is off.
        """
        if self._asked_on and self.settings.on_close == "off":
            self._asked_on = False
            self.beam_off()

    def identify(self) -> Identity:
        """What the rig file calls the tube."""
        return Identity(make="", model=f"{self.settings.title}, set by hand")

    def check(self, voltage_kV: float, current_uA: float) -> None:
        """Raise ``LimitError`` if the tube may not run at this voltage and current; asks nothing."""
        check_beam(self.name, voltage_kV, current_uA, self.limits, self.settings.current_table)

    def status(self) -> TubeStatus:
        """What was confirmed last, and when. A beam that may be on counts as on."""
        voltage_kV, current_uA = self._entered
        beam_on = self._beam != "off" and (self._beam == "on" or self._asked_on)
        now_s = self.clock.now()
        self.dose.update(now_s, beam_on=beam_on, voltage_kV=voltage_kV, current_uA=current_uA)
        return TubeStatus(
            connected=True,
            state=self._beam,
            faults=(),
            read_at_s=now_s,
            beam_on=beam_on,
            interlock_closed=True,
            voltage=Reading(voltage_kV, "kV", "entered", self._known_at_s),
            current=Reading(current_uA, "uA", "entered", self._known_at_s),
            voltage_set=Reading(self._wanted[0], "kV", "commanded", self._known_at_s),
            current_set=Reading(self._wanted[1], "uA", "commanded", self._known_at_s),
        )

    def beam_on(self, voltage_kV: float, current_uA: float, *, cancel: threading.Event | None = None) -> None:
        """Ask for the beam and wait until it is confirmed.

        Raises:
            LimitError: Outside ``limits``; nothing was asked.
            InstrumentTimeoutError: Nobody confirmed in time. The beam counts as on until somebody
                confirms that it is off.
            InstrumentCancelledError: ``cancel`` was set, and it was confirmed that the beam is off.
        """
        self.check(voltage_kV, current_uA)
        with self._asking:
            self.status()
            self._wanted = (voltage_kV, current_uA)
            self._asked_on = True
            self._believe("unknown", voltage_kV, current_uA)
            answer = self._person().ask(
                f"{self.settings.title}: close the interlock. At its own panel bring the voltage to"
                f" {voltage_kV:g} kV first, then the current to {current_uA:g} uA, with X-rays on."
                " Confirm when the panel shows these values.",
                self.settings.timeout_s,
                about=f"{self.name}.beam",
                wanted=f"{voltage_kV:g} kV, {current_uA:g} uA",
                cancel=cancel,
            )
            if answer == "confirmed":
                self._believe("on", voltage_kV, current_uA)
                self.status()
                return
            if cancel is not None and cancel.is_set():
                self.beam_off()
                raise InstrumentCancelledError(
                    self.name, "switching on was broken off on request", done="the beam is off"
                )
        raise InstrumentTimeoutError(
            self.name,
            f"nobody confirmed within {self.settings.timeout_s:g} s that the beam is on",
            done="the beam is taken to be on",
            advice="switch it off at its panel, confirm that, and start this part again",
        )

    def beam_off(self) -> None:
        """Ask for the beam to be switched off and wait until it is confirmed; nothing if it is known.

        Raises:
            InstrumentTimeoutError: Nobody confirmed that the beam is off.
        """
        with self._asking:
            if self._beam == "off":
                return
            self.status()
            answer = self._person().ask(
                f"{self.settings.title}: bring the current to zero first, then the voltage, X-rays off."
                " Confirm when the panel shows that X-rays are off.",
                self.settings.off_timeout_s,
                about=f"{self.name}.beam",
                wanted="off",
            )
            if answer == "confirmed":
                self.status()
                self._asked_on = False
                self._wanted = (0.0, 0.0)
                self._believe("off", 0.0, 0.0)
                self.status()
                return
        raise InstrumentTimeoutError(
            self.name,
            f"nobody confirmed within {self.settings.off_timeout_s:g} s that the beam is off",
            done="the software cannot switch this tube off",
            advice="take the beam for ON: open the interlock or press the emergency stop",
        )

    def clear_faults(self) -> None:
        """Nothing: faults are cleared at the tube's own panel."""

    def _believe(self, beam: Beam, voltage_kV: float, current_uA: float) -> None:
        self._beam = beam
        self._entered = (voltage_kV, current_uA)
        self._known_at_s = self.clock.now()

    def _person(self) -> Operator:
        if self._operator is None:
            raise InstrumentConnectionError(
                self.name,
                f"{self.settings.title} is set by hand, but there is nobody to ask",
                advice="start the run where an operator can answer, or use another xray_tube driver",
            )
        return self._operator
