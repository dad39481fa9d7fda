"""What each model of the simulated Spellman supply answers to each command.

Written from the manuals' tables and not from the driver: ``ux50p50`` and ``mnx50p50`` (HV on/off is command
99, the interlock flag is 1 when *open*), ``xrv`` (HV on/off is 98, flags are 1 when *closed*).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulators.tube import Tube

COUNTS = 4095
Answer = list[str] | None


def counts(value: float, full_scale: float) -> str:
    """A value in counts of a 12-bit converter, as text."""
    return str(min(max(round(value / full_scale * COUNTS), 0), COUNTS))


class Dialect:
    """What one model answers. ``None`` is silence."""

    voltage_full_kV = 50.0
    current_full_uA = 2000.0
    high_voltage = "99"
    unknown: Answer = None

    def __init__(self, tube: Tube) -> None:
        self.tube = tube
        self.commands: dict[str, Callable[..., Answer]] = {
            "10": self.set_voltage,
            "11": self.set_current,
            "14": lambda: [counts(tube.voltage_set_kV, self.voltage_full_kV)],
            "15": lambda: [counts(tube.current_set_uA, self.current_full_uA)],
            "21": lambda: [f"{tube.on_s / 3600.0:.1f}"],
            "22": lambda: [str(int(flag)) for flag in self.status()],
            "30": lambda: ["$"],
            self.high_voltage: self.switch,
        }

    def answer(self, command: str, arguments: list[str]) -> Answer:
        """Fields of the reply to one command."""
        action = self.commands.get(command)
        if action is None:
            return self.unknown
        try:
            return action(*arguments)
        except (TypeError, ValueError):
            return self.wrong()

    def wrong(self) -> Answer:
        """Fields of the reply to a wrong argument."""
        raise NotImplementedError

    def status(self) -> list[bool]:
        """Status flags."""
        raise NotImplementedError

    def refused(self, why: str) -> Answer:
        """Fields of the reply to a refused switch-on."""
        raise NotImplementedError

    def set_voltage(self, argument: str) -> Answer:
        """Program the voltage, in counts."""
        self.tube.program(voltage_kV=self._value(argument) * self.voltage_full_kV / COUNTS)
        return ["$"]

    def set_current(self, argument: str) -> Answer:
        """Program the current, in counts."""
        self.tube.program(current_uA=self._value(argument) * self.current_full_uA / COUNTS)
        return ["$"]

    def set_filament(self, register: str, full_A: float) -> Callable[[str], Answer]:
        """A command that programs a filament current, in counts."""

        def act(argument: str) -> Answer:
            setattr(self.tube, register, self._value(argument) * full_A / COUNTS)
            return ["$"]

        return act

    def switch(self, argument: str) -> Answer:
        """High voltage on or off."""
        if argument == "0":
            self.tube.switch_off()
            return ["$"]
        if argument != "1":
            raise ValueError(argument)
        done = self.tube.switch_on()
        return ["$"] if done == "done" else self.refused(done)

    def clear(self) -> Answer:
        """Clear latched faults."""
        self.tube.clear_trips()
        return ["$"]

    def _value(self, argument: str) -> int:
        if not (argument.isascii() and argument.isdigit() and int(argument) <= COUNTS):
            raise ValueError(argument)
        return int(argument)


class MicroX(Dialect):
    """The uX and MNX series."""

    def __init__(self, tube: Tube) -> None:
        super().__init__(tube)
        self._monitors_asked_on = False
        self.commands |= {
            "12": self.set_filament("filament_preheat_A", 10.0),
            "13": self.set_filament("filament_limit_A", 10.0),
            "16": lambda: [counts(tube.filament_preheat_A, 10.0)],
            "17": lambda: [counts(tube.filament_limit_A, 10.0)],
            "20": self.monitors,
            "23": lambda: ["SIM50P50-1"],
            "24": lambda: ["SIM-HW-A"],
            "26": lambda: ["uX50P50"],
            "32": self.faults,
            "52": self.clear,
        }

    def wrong(self) -> Answer:
        """Older models answer 1 to what is out of range."""
        return ["1"]

    def refused(self, why: str) -> Answer:
        """Older models answer 2 with the interlock open."""
        return ["2"]

    def status(self) -> list[bool]:
        """HV on; interlock open; fault."""
        return [self.tube.hv_on, not self.tube.interlock_closed, bool(self.tube.trips)]

    def monitors(self) -> Answer:
        """Seven values; the first reply after switching on again lacks one, as a public program notes."""
        now = self.tube.monitors()
        values = [
            counts(now.board_C, 300.0),
            counts(24.0, 42.9),
            counts(now.voltage_kV, 50.0),
            counts(now.current_uA, 2400.0),
            counts(now.filament_A, 3.6),
            counts(now.filament_V, 5.5),
            counts(now.board_C, 300.0),
        ]
        first = self.tube.hv_on and not self._monitors_asked_on
        self._monitors_asked_on = self.tube.hv_on
        return values[:-1] if first else values

    def faults(self) -> Answer:
        """HV on, interlock open, interlock fault, over-voltage, configuration, over-power, low supply."""
        trips = self.tube.trips
        found = [
            self.tube.hv_on,
            not self.tube.interlock_closed,
            "interlock" in trips,
            "over_voltage" in trips,
            False,
            bool(trips & {"over_power", "arc"}),
            False,
        ]
        return [str(int(flag)) for flag in found]


class Mnx(MicroX):
    """The MNX series: as uX, but what is wrong is told by command 76 instead of 32."""

    def __init__(self, tube: Tube) -> None:
        super().__init__(tube)
        del self.commands["32"]
        self.commands |= {"26": lambda: ["MNX50P50"], "76": self.inputs}

    def inputs(self) -> Answer:
        """HV on, interlock open, local, over-voltage, over-current, regulation, arc, temperature."""
        trips = self.tube.trips
        found = [
            self.tube.hv_on,
            not self.tube.interlock_closed,
            False,
            "over_voltage" in trips,
            "over_power" in trips,
            False,
            "arc" in trips,
            "over_temperature" in trips,
        ]
        return [str(int(flag)) for flag in found]


class Xrv(Dialect):
    """The XRV series, as a unit for 50 kV and 1 mA."""

    voltage_full_kV = 50.0
    current_full_uA = 1000.0
    high_voltage = "98"
    unknown: Answer = ["!", "2"]  # noqa: RUF012  never changed

    def __init__(self, tube: Tube) -> None:
        super().__init__(tube)
        self._local = False
        self.commands |= {
            "07": lambda rate: ["$"] if rate in "12345" and len(rate) == 1 else self.wrong(),
            "12": self.set_filament("filament_limit_A", 5.0),
            "13": self.set_filament("filament_preheat_A", 5.0),
            "16": lambda: [counts(tube.filament_limit_A, 5.0)],
            "17": lambda: [counts(tube.filament_preheat_A, 5.0)],
            "19": self.monitors,
            "23": lambda: ["SWM9999-999", "1"],
            "27": lambda: ["0", "110", "2000", "2000", "0", "4", "0", "100", "0", "50", "1", "0"],
            "28": lambda: ["50", "1", "0"],
            "31": self.clear,
            "43": lambda: ["SWM9999-998", "1"],
            "60": lambda: [counts(tube.monitors().voltage_kV, 1.2 * self.voltage_full_kV)],
            "65": lambda: ["2601"],
            "68": self.faults,
            "69": self.system,
            "99": self.remote,
        }

    def wrong(self) -> Answer:
        """Newer models answer with an error number; 3 is out of range."""
        return ["!", "3"]

    def refused(self, why: str) -> Answer:
        """The switch command is taken, but nothing goes on; the flags tell why."""
        return ["$"]

    def remote(self, argument: str) -> Answer:
        """99 is local or remote here, not high voltage."""
        if argument not in ("0", "1"):
            raise ValueError(argument)
        self._local = argument == "0"
        return ["$"]

    def status(self) -> list[bool]:
        """17 flags; the interlock flags are 1 when closed."""
        tube = self.tube
        closed = tube.interlock_closed
        small = [False, True, False, False, False, False, not tube.trips, closed]
        return [
            *(tube.hv_on, closed, closed, tube.hv_on, bool(tube.trips), self._local, tube.filament_A > 0.1),
            *(False, tube.hv_on),
            *small,
        ]

    def monitors(self) -> Answer:
        """kV, mA, filament, four set points of the local panel, anode mA; 20 % over-range."""
        now = self.tube.monitors()
        return [
            counts(now.voltage_kV, 1.2 * self.voltage_full_kV),
            counts(now.current_uA, 1.2 * self.current_full_uA),
            counts(now.filament_A, 6.0),
            *("0", "0", "0", "0", "0"),
        ]

    def system(self) -> Answer:
        """Board temperature and internal voltages."""
        now = self.tube.monitors()
        voltage = counts(now.voltage_kV, 1.2 * self.voltage_full_kV)
        return [str(round(now.board_C / 0.05911815)), "0", "0", voltage, *["2500"] * 4, "3509", "2601"]

    def faults(self) -> Answer:
        """27 flags in the order of pymeasure's ``ErrorCode``."""
        places = {"over_temperature": 7, "over_voltage": 2, "over_power": 23, "arc": 12}
        found = {places[trip] for trip in self.tube.trips if trip in places}
        if "arc" in self.tube.trips:
            found.add(4)
        return [str(int(place in found)) for place in range(27)]


DIALECTS: dict[str, Callable[[Any], Dialect]] = {"ux50p50": MicroX, "mnx50p50": Mnx, "xrv": Xrv}
