"""A Thorlabs MFF flip mount that moves a mirror or lens into the light, through pylablib.

The mount speaks Thorlabs' APT protocol over USB; it shows up as a serial port, or is addressed by its
8-digit serial number where the FTDI driver (``pyft232``) is installed.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, TypeVar

from pydantic import Field

from drivers.base import Identity, Settings
from drivers.errors import (
    FaultError,
    InstrumentConnectionError,
    InstrumentError,
    InstrumentTimeoutError,
    MissingDriverError,
    ProtocolError,
)
from drivers.light_path.base import LightPath, LightPathStatus, Port
from drivers.retry_pause import RetryPause
from drivers.traffic import TrafficLog

Result = TypeVar("Result")

POLL_S = 0.1

# MGMSG_MOT_REQ_STATUSBITS and MGMSG_MOT_GET_STATUSBITS of Thorlabs' APT protocol document.
REQUEST_STATUS = 0x0429
CHANNEL = 1
_AT_1, _AT_2 = 0x01, 0x02
_MOVING = 0x2F0


def status_bits(data: bytes) -> int:
    """Status bits from the data of the mount's reply: channel (16 bits), bits (32 bits).

    pylablib's own reading takes the last four bytes of whatever came, and a status with both limit switches
    closed for position 1.

    Raises:
        ValueError: Not six bytes, or another channel's.
    """
    if len(data) != 6 or int.from_bytes(data[:2], "little") != CHANNEL:
        raise ValueError(f"the reply is no status: {data.hex(' ') or 'no data'}")
    return int.from_bytes(data[2:], "little")


def position_of(bits: int) -> int | None:
    """Position 1 or 2 from the mount's status bits, None while it moves.

    Raises:
        ValueError: Both limit switches are closed, or none and it does not move.
    """
    switches = bits & (_AT_1 | _AT_2)
    if switches == _AT_1 | _AT_2:
        raise ValueError(f"both limit switches are closed (status {bits:#010x})")
    if switches:
        return 1 if switches == _AT_1 else 2
    if bits & _MOVING:
        return None
    raise ValueError(f"neither at a switch nor moving (status {bits:#010x})")


class FlipMountSettings(Settings):
    """A flip mount in the rig file.

    Attributes:
        driver: ``"thorlabs-flip-mount"``.
        address: The 8-digit serial number (``"37001234"``), a serial port (``"COM5"``, ``"/dev/ttyUSB0"``) or
            a URL for one (``"socket://host:port"``).
        spectrometer_position: Position (1 or 2, as on the mount's buttons) for the spectrometer; the other
            one is for the counters.
        move_timeout_s: Longest time for a move.
    """

    driver: Literal["thorlabs-flip-mount"] = "thorlabs-flip-mount"
    address: str = Field(min_length=1)
    spectrometer_position: Literal[1, 2] = 1
    move_timeout_s: float = Field(default=5.0, gt=0, le=60)


class FlipMountPath(LightPath):
    """Sends the light with a flip mount.

    Args:
        name: The instrument's name in the rig file.
        settings: Its table.
        rig: As every light path takes; ``vendor`` is ``pylablib.devices.Thorlabs``, None: the installed one.
    """

    Settings = FlipMountSettings
    settings: FlipMountSettings

    def __init__(self, name: str, settings: FlipMountSettings, **rig: Any) -> None:
        super().__init__(name, settings, **rig)
        self.traffic = TrafficLog()
        self._lock = threading.RLock()
        self._wanted = False
        self._mount: Any | None = None
        self._pause = RetryPause(name, self.clock)

    def open(self) -> None:
        """Connect. The mount stays as it stands.

        Raises:
            InstrumentConnectionError: Nobody answers there.
            MissingDriverError: pylablib, or pyft232 for a serial number, is not installed.
        """
        with self._lock:
            if self._mount is None:
                self._mount = self._connect()
            self._wanted = True

    def close(self) -> None:
        """Leave the mount where it is and release it."""
        with self._lock:
            self._wanted = False
            self._drop()

    def identify(self) -> Identity:
        """Model, serial number and firmware as the mount tells them."""
        found = self._ask("identify it", lambda mount: mount.get_device_info())
        return Identity("Thorlabs", str(found.model_no), str(found.serial_no), str(found.fw_ver))

    def status(self) -> LightPathStatus:
        """Where the mount stands; ``port`` is None while it moves."""
        position = self._position()
        port = None if position is None else self._port_at(position)
        state = "moving" if position is None else f"position {position}"
        return LightPathStatus(True, state, (), self.clock.now(), port, "measured")

    def select(self, port: Port, *, cancel: threading.Event | None = None) -> None:
        """Flip to ``port``; returns when the mount's switch says that it is there, or ``cancel`` is set.

        Raises:
            InstrumentTimeoutError: Not there within ``move_timeout_s``.
            LimitError: No such port.
        """
        self.check_port(port)
        at_spectrometer = port == "spectrometer"
        own = self.settings.spectrometer_position
        target = own if at_spectrometer else 3 - own
        if self._position() == target:
            return
        # Sent once only: the mount goes to a named place, but a doubled command restarts its move.
        self._ask(f"flip to {port}", lambda mount: mount.move_to_state(target - 1))
        end_s = self.clock.now() + self.settings.move_timeout_s
        while self._position() != target:
            if self.clock.now() >= end_s:
                raise InstrumentTimeoutError(
                    self.name,
                    f"position {target} was not reached within {self.settings.move_timeout_s:g} s",
                    advice="Look whether something blocks it, then try again",
                )
            if cancel is not None and self.clock.wait(cancel, POLL_S):
                return
            if cancel is None:
                self.clock.sleep(POLL_S)

    def _position(self) -> int | None:
        reply = self._ask("read its position", lambda mount: mount.query(REQUEST_STATUS, CHANNEL))
        try:
            return position_of(status_bits(getattr(reply, "data", b"")))
        except ValueError as error:
            raise ProtocolError(
                self.name, f"cannot read its position: {error}", advice="Look whether it stands half-way"
            ) from None

    def _port_at(self, position: int) -> Port:
        return "spectrometer" if position == self.settings.spectrometer_position else "counters"

    # -- line ----------------------------------------------------------------------------------------------

    def _ask(self, what: str, call: Callable[[Any], Result]) -> Result:
        with self._lock:
            if not self._wanted:
                raise InstrumentConnectionError(self.name, "it is not open")
            if self._mount is None:
                # The line was lost: a new one changes nothing at the mount.
                self._pause.check()
                try:
                    self._mount = self._connect()
                except InstrumentError:
                    self._pause.failed()
                    raise
                self._pause.succeeded()
            self.traffic.record(self.clock.epoch_s(), "sent", b"", what)
            try:
                with self._translated(what):
                    result = call(self._mount)
            except InstrumentError as error:
                self.traffic.record(self.clock.epoch_s(), "received", b"", str(error))
                self._drop()
                raise
            self.traffic.record(self.clock.epoch_s(), "received", b"", repr(result))
            return result

    def _connect(self) -> Any:
        address = self.settings.address
        package = self.vendor
        with self._translated(f"connect to {address}"):
            if package is None:
                from pylablib.devices import Thorlabs

                package = Thorlabs
            by_number = address.isdigit() and len(address) == 8
            backend = ("ft232", address) if by_number else ("serial", {"port": address})
            return package.MFF(backend)

    def _drop(self) -> None:
        mount, self._mount = self._mount, None
        if mount is None:
            return
        # pyserial forgets the socket of a socket:// URL when that was reset.
        forgotten = getattr(getattr(mount.instr, "instr", None), "_socket", None)
        with suppress(Exception):
            mount.close()
        if forgotten is not None:
            with suppress(OSError):
                forgotten.close()

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        advice = "Check power and USB cable, and close Thorlabs Kinesis"
        try:
            yield
        except InstrumentError:
            raise
        except (ImportError, ValueError) as error:
            raise MissingDriverError(
                self.name,
                f"cannot {what}: {error}",
                advice="Install pylablib, and pyft232 to address the mount by its serial number",
            ) from error
        except OSError as error:
            raise InstrumentConnectionError(self.name, f"cannot {what}: {error}", advice=advice) from error
        except Exception as error:
            words = f"cannot {what}: {error or type(error).__name__}"
            if "less data" in words or "timeout" in words.lower():
                raise InstrumentTimeoutError(self.name, words, advice=advice) from error
            if "unexpected command" in words or isinstance(error, struct.error):
                raise ProtocolError(self.name, words, advice=advice) from error
            if type(error).__name__ in ("ThorlabsBackendError", "DeviceSerialError", "DeviceFT232Error"):
                raise InstrumentConnectionError(self.name, words, advice=advice) from error
            raise FaultError(self.name, words, advice=advice) from error
