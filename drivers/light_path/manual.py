"""A fibre that a person plugs over: the software asks, waits, and records what was confirmed."""

from __future__ import annotations

import threading
from typing import Any, Literal

from pydantic import Field

from drivers.base import Identity, Settings
from drivers.errors import InstrumentConnectionError, InstrumentTimeoutError
from drivers.light_path.base import LightPath, LightPathStatus, Port
from drivers.operator import Operator

_PLACES = {"spectrometer": "the spectrometer's entrance", "counters": "the photon counters' splitter"}


class ManualSettings(Settings):
    """A fibre moved by hand, in the rig file.

    Attributes:
        driver: ``"manual"``.
        port: Where the fibre is at the start, if known.
        timeout_s: How long a person may take.
    """

    driver: Literal["manual"] = "manual"
    port: Port | None = None
    timeout_s: float = Field(default=600.0, gt=0, le=86_400)


class ManualPath(LightPath):
    """Asks the person at the rig to move the fibre.

    Args:
        name: The instrument's name in the rig file.
        settings: Its table.
        rig: As every light path takes; ``vendor`` is the person (``drivers.operator.Operator``).
    """

    asks_operator = True
    Settings = ManualSettings
    settings: ManualSettings

    def __init__(self, name: str, settings: ManualSettings, **rig: Any) -> None:
        super().__init__(name, settings, **rig)
        self._operator: Operator | None = self.vendor
        self._port = settings.port
        self._known_at_s = self.clock.now()

    def open(self) -> None:
        """Nothing is asked yet.

        Raises:
            InstrumentConnectionError: There is nobody to ask.
        """
        if self._operator is None:
            raise InstrumentConnectionError(
                self.name,
                "the fibre is moved by hand, but there is nobody to ask",
                advice="Start the run where an operator can answer, or use another light_path driver",
            )

    def close(self) -> None:
        """The fibre stays where it is."""

    def identify(self) -> Identity:
        """A person."""
        return Identity(make="", model="fibre moved by hand")

    def status(self) -> LightPathStatus:
        """What was confirmed last, and when; ``port`` is None before the first confirmation."""
        state = "unknown" if self._port is None else "confirmed"
        return LightPathStatus(True, state, (), self._known_at_s, self._port, "entered")

    def select(self, port: Port, *, cancel: threading.Event | None = None) -> None:
        """Ask for the fibre at ``port`` and wait until it is confirmed, or ``cancel`` is set.

        Nothing is asked if the fibre is known to be there.

        Raises:
            InstrumentTimeoutError: Nobody confirmed within ``timeout_s``; a plan may go on with the pass that
                needs no move.
            LimitError: No such port.
        """
        self.check_port(port)
        if self._operator is None:
            raise InstrumentConnectionError(self.name, "there is nobody to ask")
        if port == self._port:
            return
        answer = self._operator.ask(
            f"Plug the fibre into {_PLACES[port]}, then confirm.",
            self.settings.timeout_s,
            about=f"{self.name}.port",
            wanted=port,
            cancel=cancel,
        )
        if answer == "confirmed":
            self._port, self._known_at_s = port, self.clock.now()
            return
        if cancel is not None and cancel.is_set():
            return
        where = "at an unknown place" if self._port is None else f"at the {self._port}"
        raise InstrumentTimeoutError(
            self.name,
            f"nobody confirmed within {self.settings.timeout_s:g} s that the fibre is at the {port}",
            done=f"It is taken to be {where} still",
            advice=f"Plug the fibre into {_PLACES[port]} and start this part again",
        )
