"""One Spellman supply, command by command: kV and uA outside, counts and flags at the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from drivers.base import Identity
from drivers.errors import InterlockError, LimitError, ProtocolError
from drivers.transport import Transport
from drivers.xray_tube import spellman_codec as codec
from drivers.xray_tube.models import Model
from drivers.xray_tube.spellman_codec import Frame, FrameError

T = TypeVar("T")

READS = 3
OVER_RANGE = 1.2
ERROR_TEXTS = {
    "1": "wrong format",
    "2": "unknown command",
    "3": "value out of range",
    "4": "receive overrun",
    "5": "flash memory error",
    "7": "in boot loader",
}


@dataclass(frozen=True)
class Flags:
    """What the status flags say."""

    high_voltage_on: bool
    interlock_closed: bool
    fault: bool
    remote: bool


@dataclass(frozen=True)
class Monitors:
    """What the supply measures: kV, uA, and the rest by name (A, V, degrees C)."""

    voltage_kV: float
    current_uA: float
    others: dict[str, float]


@dataclass(frozen=True)
class Scaling:
    """Values at 4095 counts."""

    voltage_kV: float
    current_uA: float
    monitor_voltage_kV: float
    monitor_current_uA: float


class Supply:
    """Speaks one model's commands over a transport. Holds no state but the scaling.

    Args:
        name: The instrument's name, for messages.
        transport: The line, opened and closed by the owner.
        model: The table of the model.
        with_checksum: Frames carry a checksum (serial lines).
    """

    def __init__(self, name: str, transport: Transport, model: Model, *, with_checksum: bool) -> None:
        self.name = name
        self.model = model
        self.transport = transport
        self._with_checksum = with_checksum
        self._scaling: Scaling | None = None

    @property
    def told_scaling(self) -> Scaling | None:
        """Full scales as far as they are known without asking."""
        return self._scaling

    def scaling(self) -> Scaling:
        """Full scales: of the model's table, or asked from the supply once."""
        if self._scaling is None:
            self._scaling = self._find_scaling()
        return self._scaling

    def flags(self, attempts: int | None = None) -> Flags:
        """Status flags; asked so many times if no reply comes, None: as the rig file says."""
        model = self.model
        values = self._read(
            model.commands.status, lambda frame: codec.flags(frame, len(model.status)), attempts
        )
        flag = dict(zip(model.status, values, strict=True))
        return Flags(
            high_voltage_on=flag["high_voltage_on"],
            interlock_closed=all(flag[name] for name in model.interlocks_closed)
            and not any(flag[name] for name in model.interlocks_open),
            fault=flag["fault"],
            remote=not flag.get(model.remote_needed, False),
        )

    def monitors(self) -> Monitors:
        """Measured voltage, current and the rest."""
        model = self.model
        counts = self._read(model.commands.monitors, lambda frame: codec.integers(frame, len(model.monitors)))
        count = dict(zip(model.monitors, counts, strict=True))
        scaling = self.scaling()
        others = {
            name: codec.from_counts(count[name], full_scale)
            for name, full_scale in model.monitor_full_scale.items()
            if name not in ("voltage", "current")
        }
        return Monitors(
            codec.from_counts(count["voltage"], scaling.monitor_voltage_kV),
            codec.from_counts(count["current"], scaling.monitor_current_uA),
            others,
        )

    def set_points(self) -> tuple[float, float]:
        """Programmed voltage (kV) and current (uA), read back."""
        commands, scaling = self.model.commands, self.scaling()
        (voltage,) = self._read(commands.read_voltage_set, lambda frame: codec.integers(frame, 1))
        (current,) = self._read(commands.read_current_set, lambda frame: codec.integers(frame, 1))
        return (
            codec.from_counts(voltage, scaling.voltage_kV),
            codec.from_counts(current, scaling.current_uA),
        )

    def faults(self) -> tuple[str, ...]:
        """Texts of the faults that the supply reports."""
        texts = self.model.faults
        values = self._read(self.model.commands.faults, lambda frame: codec.flags(frame, len(texts)))
        return tuple(text for text, value in zip(texts, values, strict=True) if value and text)

    def hours(self) -> float:
        """Hours with high voltage on, as the supply counts them."""

        def parse(frame: Frame) -> float:
            try:
                (hours,) = (float(field) for field in frame.fields)
            except ValueError as error:
                raise FrameError(f"{frame.fields} where hours were expected") from error
            if not 0 <= hours < 1e7:
                raise FrameError(f"{hours} hours")
            return hours

        return self._read(self.model.commands.hours, parse)

    def identity(self) -> Identity:
        """Model and firmware, as the supply tells them."""
        commands = self.model.commands
        firmware = " ".join(self._read(commands.firmware, lambda frame: frame.fields))
        title = self.model.title
        if commands.model is not None:
            title = " ".join(self._read(commands.model, lambda frame: frame.fields)) or title
        return Identity("Spellman", title, firmware=firmware)

    def set_voltage(self, voltage_kV: float) -> None:
        """Program the voltage."""
        counts = codec.to_counts(voltage_kV, self.scaling().voltage_kV)
        self._do(self.model.commands.set_voltage, counts)

    def set_current(self, current_uA: float) -> None:
        """Program the current."""
        counts = codec.to_counts(current_uA, self.scaling().current_uA)
        self._do(self.model.commands.set_current, counts)

    def set_filament(self, *, preheat_A: float | None, limit_A: float | None) -> None:
        """Program the filament's preheat current and current limit, where given."""
        full_scale_A = self.model.filament_full_scale_A
        commands = self.model.commands
        for command, value_A in ((commands.filament_preheat, preheat_A), (commands.filament_limit, limit_A)):
            if value_A is not None:
                assert full_scale_A is not None, "the settings refuse filament currents for such a model"
                self._do(command, codec.to_counts(value_A, full_scale_A))

    def switch_on(self) -> None:
        """High voltage on. Sent once, and never on a line that has just been opened again.

        Raises:
            InterlockError: The supply says that the interlock is open.
        """
        self._do(self.model.commands.high_voltage, 1, harmless=False)

    def switch_off(self, attempts: int | None = None) -> None:
        """High voltage off; on a lost line a new connection is tried at once."""
        self._do(self.model.commands.high_voltage, 0, attempts=attempts, urgent=True)

    def clear_faults(self) -> None:
        """Clear latched faults."""
        self._do(self.model.commands.clear_faults)

    def _find_scaling(self) -> Scaling:
        model = self.model
        if model.voltage_full_scale_kV is not None and model.current_full_scale_uA is not None:
            monitor = model.monitor_full_scale
            return Scaling(
                model.voltage_full_scale_kV,
                model.current_full_scale_uA,
                monitor["voltage"],
                monitor["current"],
            )
        assert model.commands.scaling is not None

        def parse(frame: Frame) -> tuple[float, float]:
            try:
                voltage_kV, current_mA, _ = (float(field) for field in frame.fields)
            except ValueError as error:
                raise FrameError(f"{frame.fields} where kV, mA, polarity were expected") from error
            if not (0 < voltage_kV < 1000 and 0 < current_mA < 10_000):
                raise FrameError(f"full scale of {voltage_kV} kV and {current_mA} mA")
            return voltage_kV, current_mA * 1e3

        voltage_kV, current_uA = self._read(model.commands.scaling, parse)
        return Scaling(voltage_kV, current_uA, OVER_RANGE * voltage_kV, OVER_RANGE * current_uA)

    def _exchange(
        self,
        command: int,
        *arguments: int,
        harmless: bool,
        attempts: int | None = None,
        urgent: bool = False,
    ) -> Frame:
        def is_reply(message: bytes) -> bool:
            try:
                return codec.decode(message, with_checksum=self._with_checksum).command == command
            except FrameError:
                return False

        request = codec.encode(command, *arguments, with_checksum=self._with_checksum)
        reply = self.transport.exchange(
            request, harmless=harmless, is_reply=is_reply, attempts=attempts, urgent=urgent
        )
        return codec.decode(reply, with_checksum=self._with_checksum)

    def _read(self, command: int, parse: Callable[[Frame], T], attempts: int | None = None) -> T:
        """Ask for values; a reply that cannot be right (six monitors of seven) is asked for again."""
        for left in range(READS - 1, -1, -1):
            frame = self._exchange(command, harmless=True, attempts=attempts)
            try:
                return parse(frame)
            except FrameError as error:
                if not left:
                    raise ProtocolError(
                        self.name,
                        f"strange reply to command {command:02d} ({error}): {','.join(frame.fields)!r}",
                        advice=f"check that the supply is a {self.model.title}",
                    ) from error
        raise AssertionError("unreachable")

    def _do(
        self,
        command: int,
        *arguments: int,
        harmless: bool = True,
        attempts: int | None = None,
        urgent: bool = False,
    ) -> None:
        frame = self._exchange(command, *arguments, harmless=harmless, attempts=attempts, urgent=urgent)
        if codec.is_done(frame):
            return
        fields, said = frame.fields, ",".join(frame.fields)
        what = f"command {command:02d} {','.join(map(str, arguments))} was refused: {said!r}"
        if command == self.model.commands.high_voltage and fields == ("2",):
            raise InterlockError(
                self.name,
                "the supply refuses high voltage: the interlock is open",
                done="the beam stays off",
                advice="close the safety circuit and try again",
            )
        if fields in (("1",), ("!", "3")):
            raise LimitError(self.name, f"{what} (out of range)", advice="check the model in the rig file")
        reason = (
            ERROR_TEXTS.get(fields[1], "unknown error") if fields[:1] == ("!",) and len(fields) > 1 else ""
        )
        raise ProtocolError(self.name, f"{what} {reason}".rstrip(), advice="check the model in the rig file")


def explain(model: Model, message: bytes, *, with_checksum: bool) -> str:
    """A frame in words for the traffic log, e.g. ``status 0,0,0``.

    Raises:
        FrameError: Not a frame.
    """
    frame = codec.decode(message, with_checksum=with_checksum)
    names = {number: name.replace("_", " ") for name, number in vars(model.commands).items() if number}
    return " ".join([names.get(frame.command, f"command {frame.command}"), ",".join(frame.fields)]).rstrip()
