"""Settings made by hand in a plan: iris, lamp, excitation; asked for, confirmed, kept in the record."""

from __future__ import annotations

from drivers.clock import Clock
from drivers.operator_setting.confirmed import OperatorSetting
from labctl.rig.devices import Device, data_key
from labctl.rig.status import WorkStatus
from labctl.rig.stop import StopFlag


class HandDevice(Device):
    """One setting that a person makes; its value in the documents is marked as entered."""

    def __init__(self, setting: OperatorSetting, *, clock: Clock, stop: StopFlag) -> None:
        super().__init__(setting.name, clock=clock, stop=stop)
        self._setting = setting

    def set(self, value: str | float) -> WorkStatus:
        """Ask for ``value``; done when it is confirmed."""
        return self._start(lambda: self._ask(value))

    def trigger(self) -> WorkStatus:
        """Take what was confirmed last."""
        return self._start(self._take)

    def _ask(self, value: str | float) -> None:
        self.stop_flag.check()
        self._setting.set(value, cancel=self.stop_flag.event)
        self.stop_flag.check()
        self._take()

    def _take(self) -> None:
        status = self._setting.status()
        dtype = "number" if isinstance(status.value, int | float) else "string"
        value = "unknown" if status.value is None else status.value
        self._keep("value", value, data_key("entered", status.unit, dtype=dtype))
