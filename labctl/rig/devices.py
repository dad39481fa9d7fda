"""The rig's instruments as the engine moves, triggers and reads them.

Each device talks to its instrument in a thread of its own and gives a status at once; ``read`` gives
the last value and never talks to the instrument. What waits, waits on the experiment's clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from drivers.clock import Clock
from labctl.rig.status import Worker, WorkStatus, finished
from labctl.rig.stop import StopFlag

Documents = OrderedDict[str, dict[str, Any]]


def data_key(
    source: str, unit: str = "", shape: tuple[int, ...] = (), dtype: str = "number"
) -> dict[str, Any]:
    """Entry of a descriptor document; ``source`` says measured, commanded or entered."""
    key: dict[str, Any] = {"source": source, "dtype": "array" if shape else dtype, "shape": list(shape)}
    if unit:
        key["units"] = unit
    return key


class Device:
    """What the engine needs of every device.

    Args:
        name: Name in the documents; the keys of ``read`` begin with it.
        clock: The experiment's clock; time stamps of readings are its epoch time.
        stop: Read by everything that waits.
    """

    parent = None

    def __init__(self, name: str, *, clock: Clock, stop: StopFlag) -> None:
        self.name = name
        self.hints: dict[str, Any] = {}
        self.clock = clock
        self.stop_flag = stop
        self._worker = Worker(name)
        self._values: dict[str, tuple[Any, float]] = {}
        self._keys: dict[str, dict[str, Any]] = {}
        self._configuration: dict[str, tuple[Any, float]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def close(self) -> None:
        """End the device's thread."""
        self._worker.close()

    def _start(self, work: Callable[[], Any]) -> WorkStatus:
        return self._worker.submit(work)

    def _keep(self, key: str, value: Any, described: dict[str, Any]) -> None:
        """Make ``value`` the last value of ``NAME_key``."""
        self._values[f"{self.name}_{key}"] = (value, self.clock.epoch_s())
        self._keys[f"{self.name}_{key}"] = described

    def read(self) -> Documents:
        """The last values with their time stamps."""
        return OrderedDict(
            (key, {"value": value, "timestamp": stamp}) for key, (value, stamp) in self._values.items()
        )

    def describe(self) -> Documents:
        """Unit, shape and source of each value."""
        return OrderedDict(self._keys)

    def configure(self, settings: dict[str, Any]) -> tuple[Documents, Documents]:
        """Take settings for the next actions; returns the configuration before and after."""
        before = self.read_configuration()
        stamp = self.clock.epoch_s()
        for key, value in settings.items():
            self._configuration[key] = (value, stamp)
        return before, self.read_configuration()

    def setting(self, key: str) -> Any:
        """One value given to ``configure``."""
        return self._configuration[key][0]

    def read_configuration(self) -> Documents:
        """The settings in force."""
        return OrderedDict(
            (f"{self.name}_{key}", {"value": value, "timestamp": stamp})
            for key, (value, stamp) in self._configuration.items()
        )

    def describe_configuration(self) -> Documents:
        """Source and type of each setting."""
        return OrderedDict(
            (f"{self.name}_{key}", data_key("commanded", "", np.shape(value), _dtype(value)))
            for key, (value, _) in self._configuration.items()
        )


def _dtype(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, list):
        return "array"
    if isinstance(value, int | float | np.number):
        return "number"
    return "string"


class Soft(Device):
    """A value that only the software has, such as the number of the present point."""

    def __init__(self, name: str, *, clock: Clock, stop: StopFlag) -> None:
        super().__init__(name, clock=clock, stop=stop)
        self.value: Any = None
        self.listeners: list[Callable[[Any], None]] = []

    def set(self, value: Any) -> WorkStatus:
        """Take ``value`` (JSON-able) and tell the listeners."""
        self.value = value
        self._keep("value", value, data_key("commanded", dtype=_dtype(value)))
        for listener in self.listeners:
            listener(value)
        return finished()
