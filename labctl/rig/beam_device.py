"""The X-ray beam in a plan: on or off."""

from __future__ import annotations

from drivers.clock import Clock
from drivers.xray_tube.base import XrayTube
from labctl.rig.devices import Device, data_key
from labctl.rig.status import WorkStatus
from labctl.rig.stop import StopFlag


class BeamDevice(Device):
    """Switches the beam. Settings (``configure``): ``voltage_kV``, ``current_uA``.

    It has no ``stop``: beam-off is an explicit step of the plan, and the rig's duty on any exit.
    """

    def __init__(self, tube: XrayTube, *, clock: Clock, stop: StopFlag) -> None:
        super().__init__("xray_tube", clock=clock, stop=stop)
        self._tube = tube

    def set(self, on: bool) -> WorkStatus:
        """Beam on at the configured voltage and current, or off; done when the monitors agree."""
        return self._start(self._on if on else self._off)

    def trigger(self) -> WorkStatus:
        """Ask the supply for its monitors now."""
        return self._start(self._measure)

    def _on(self) -> None:
        self.stop_flag.check()
        self._tube.beam_on(
            float(self.setting("voltage_kV")), float(self.setting("current_uA")), cancel=self.stop_flag.event
        )
        self.stop_flag.check()
        self._measure()

    def _off(self) -> None:
        self._tube.beam_off()
        self._measure()

    def _measure(self) -> None:
        status = self._tube.status()
        self._keep("voltage_kV", status.voltage.value, data_key(status.voltage.source, "kV"))
        self._keep("current_uA", status.current.value, data_key(status.current.source, "uA"))
        # A tube set by hand is on because somebody said so.
        self._keep("beam_on", status.beam_on, data_key(status.voltage.source, dtype="boolean"))
