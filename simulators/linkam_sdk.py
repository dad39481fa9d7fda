"""Linkam's SDK as an object with the library's C functions, in front of the world's stage.

Each function is a ctypes callback with the vendor's prototype, so that the unmodified ctypes code of a
driver calls it as it calls the library. Written from the vendor's headers, not from the driver. One
controller, a T96 with an LNP96 pump and an HFS350EV-PB4 stage, is on USB and on every serial port.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Callable
from typing import Any

from simulators.world import World, WorldView

ZERO_K = 273.15
SERIAL_NUMBER = "SIM0001"
VERSION = "3.0.19 simulated"
LATE_S = 0.3
ROOM_C = 21.0
MBAR = 15
USB_VENDOR, USB_PRODUCT = 0x16DA, 0x0002
LIMITS_C = {0: (-196.0, 350.0), 1: (0.01, 150.0), 2: (-196.0, 350.0), 4: (0.0, 100.0)}

CONNECTED, NO_DEVICE, ALREADY_OPEN, PROPERTIES_WRONG = 1, 1 << 1, 1 << 7, 1 << 8
CONFIG_HEATER, CONFIG_VACUUM, CONFIG_LNP = 1, 1 << 10, 1 << 36
ERRORS = {"sensor_open": 3, "heater_error": 5, "ln2_empty": 12}
AT_SET_POINT_K = 0.1

WORD, TEXT, POINTER = ctypes.c_uint64, ctypes.c_char_p, ctypes.c_void_p
PROTOTYPES: dict[str, Any] = {
    "linkamInitialiseSDK": ctypes.CFUNCTYPE(ctypes.c_bool, TEXT, TEXT, ctypes.c_bool),
    "linkamExitSDK": ctypes.CFUNCTYPE(None),
    # A char pointer that is written to must come as an address: c_char_p gives a copy.
    "linkamGetVersion": ctypes.CFUNCTYPE(ctypes.c_bool, POINTER, WORD),
    "linkamInitialiseUSBCommsInfo": ctypes.CFUNCTYPE(None, POINTER, TEXT),
    "linkamInitialiseSerialCommsInfo": ctypes.CFUNCTYPE(None, POINTER, TEXT),
    "linkamProcessMessageCommon": ctypes.CFUNCTYPE(
        ctypes.c_bool, ctypes.c_uint32, WORD, POINTER, WORD, WORD, WORD
    ),
    "linkamProcessMessage": ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_int32, WORD, POINTER, WORD, WORD, WORD),
}


def as_float(word: int) -> float:
    """The float in the low 32 bits of a word."""
    return float(struct.unpack("<f", struct.pack("<I", word & 0xFFFFFFFF))[0])


def as_word(value: float) -> int:
    """A float as the low 32 bits of a word."""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


class SimulatedSdk:
    """The library. Its C functions are attributes with the vendor's names.

    Args:
        view: The world, or its link. Faults: ``stage.*``; ``cryostage.port_gone``, ``reply_lost`` and
            ``reply_late``. Truncated, doubled and garbled replies are dealt with inside the real library.
        vacuum_card: The controller has one.
        restart_needed: A new set point while heating counts only after "start heating" (SDK 3.0.19 on).
        licensed: The licence is accepted.
        late_s: Wall-clock delay of a late reply.
    """

    linkamInitialiseSDK: Any
    linkamExitSDK: Any
    linkamGetVersion: Any
    linkamInitialiseUSBCommsInfo: Any
    linkamInitialiseSerialCommsInfo: Any
    linkamProcessMessageCommon: Any
    linkamProcessMessage: Any

    def __init__(
        self,
        view: WorldView | World,
        *,
        vacuum_card: bool = True,
        restart_needed: bool = True,
        licensed: bool = True,
        late_s: float = LATE_S,
    ) -> None:
        self._view = view
        self._vacuum_card = vacuum_card
        self._restart_needed = restart_needed
        self._licensed = licensed
        self._late_s = late_s
        self._running = False
        self._handle: int | None = None
        self._last_handle = 0
        self._set_point_K: float = view.stage("state")["limit_K"]
        self.messages: list[tuple[int, int, int]] = []
        self._actions = self._table()
        parts: dict[str, Callable[..., Any]] = {
            "linkamInitialiseSDK": self._initialise,
            "linkamExitSDK": self._exit,
            "linkamGetVersion": self._version,
            "linkamInitialiseUSBCommsInfo": self._usb_info,
            "linkamInitialiseSerialCommsInfo": self._serial_info,
            "linkamProcessMessageCommon": self.process,
            "linkamProcessMessage": self.process,
        }
        for name, function in parts.items():
            setattr(self, name, PROTOTYPES[name](function))

    def process(self, message: int, handle: int, result: int | None, p1: int, p2: int, p3: int) -> bool:
        """One message; writes a 64-bit word to the address ``result``. False: not understood, no answer."""
        try:
            word = self._word(message, handle, p1, p2)
        except (ConnectionError, ValueError, KeyError, struct.error):
            return False
        if word is None:
            return False
        if result:
            ctypes.memmove(result, struct.pack("<Q", word & 0xFFFFFFFFFFFFFFFF), 8)
        return True

    def _word(self, message: int, handle: int, p1: int, p2: int) -> int | None:
        self.messages.append((message, p1, p2))
        if self._running and message == 0x01:
            return self._open(p1, p2)
        if self._running and message in (0x23, 0x24):
            return 1
        if not self._running or handle != self._handle or self._handle is None:
            return None
        if message == 0x02:
            self._handle = None
            return 1
        if self._view.faults.active("cryostage.port_gone") or self._take("cryostage.reply_lost"):
            return None
        if self._take("cryostage.reply_late"):
            time.sleep(self._late_s)
        return self._actions[message](p1, p2)

    def _take(self, name: str) -> bool:
        # The world and its link can use up a counted fault; a bare view only tells whether it holds.
        take = getattr(self._view.faults, "take", self._view.faults.active)
        return bool(take(name))

    def _table(self) -> dict[int, Callable[[int, int], int | None]]:
        def text(words: str) -> Callable[[int, int], int | None]:
            return lambda p1, p2: self._write_text(words, p1, p2)

        return {
            0x03: lambda p1, p2: CONFIG_HEATER | CONFIG_LNP | (CONFIG_VACUUM if self._vacuum_card else 0),
            0x04: lambda p1, p2: self._error(self._view.stage("state")),
            0x05: text("T96-S"),
            0x06: text(SERIAL_NUMBER),
            0x07: lambda p1, p2: self._status(self._view.stage("state")),
            0x08: lambda p1, p2: 1 | 1 << 21 | 1 << 22 | 1 << 26 | 1 << 27,
            0x09: text("STAGE01"),
            0x0A: text("HFS350EV-PB4"),
            0x0B: lambda p1, p2: as_word(LIMITS_C[p1 & 0xFFFFFFFF][1]),
            0x0C: lambda p1, p2: as_word(LIMITS_C[p1 & 0xFFFFFFFF][0]),
            0x0D: lambda p1, p2: as_word(0.01),
            0x10: self._start_heating,
            0x15: self._get_value,
            0x16: self._set_value,
            0x1B: lambda p1, p2: self._do("pump_automatic", bool(p1 & 0xFF)),
            0x1C: self._set_pump,
            0x25: text("FW 2.10"),
            0x26: text("HW 1.3"),
            0x27: text("FW 1.01"),
            0x28: text("HW 1.0"),
            0x29: lambda p1, p2: 100,
        }

    def _do(self, call: str, value: float | bool | None = None) -> int:
        self._view.stage(call, value)
        return 1

    def _open(self, info: int, handle: int) -> int:
        kind = struct.unpack("<I", ctypes.string_at(info, 4))[0]
        if kind not in (1, 2):
            return PROPERTIES_WRONG
        if self._view.faults.active("cryostage.port_gone"):
            return NO_DEVICE
        wanted = ctypes.string_at(info + 8, 17).rstrip(b"\0") if kind == 2 else b""
        if wanted not in (b"", SERIAL_NUMBER.encode()):
            return NO_DEVICE
        if self._handle is not None:
            return ALREADY_OPEN
        self._last_handle += 1
        self._handle = self._last_handle
        ctypes.memmove(handle, struct.pack("<Q", self._handle), 8)
        return CONNECTED

    def _error(self, state: dict[str, Any]) -> int:
        return next((number for name, number in ERRORS.items() if name in state["faults"]), 0)

    def _status(self, state: dict[str, Any]) -> int:
        heating = state["mode"] != "stopped"
        near = state["mode"] == "at_limit" and abs(state["limit_K"] - self._set_point_K) < AT_SET_POINT_K
        pump = state["pump_fraction"] > 0
        flags = {0: self._error(state) != 0, 1: near, 2: heating, 11: pump, 12: state["pump_automatic"]}
        return sum(1 << bit for bit, flag in flags.items() if flag)

    def _start_heating(self, p1: int, p2: int) -> int:
        if not p1 & 0xFF:
            return self._do("stop")
        self._view.stage("limit_K", self._set_point_K)
        return self._do("start")

    def _get_value(self, p1: int, p2: int) -> int | None:
        state = self._view.stage("state")
        sensor_K = state["sensor_K"]
        values = {
            0: 9999.0 if sensor_K is None else sensor_K - ZERO_K,
            1: state["rate_K_per_min"],
            2: self._set_point_K - ZERO_K,
            3: 100.0 * state["heater_fraction"],
            4: 100.0 * state["pump_fraction"],
            10: ROOM_C,
        }
        kind = p1 & 0xFFFFFFFF
        if self._vacuum_card:
            values[12] = state["pressure_mbar"]
            if kind == 26:
                return MBAR
        return as_word(values[kind]) if kind in values else None

    def _set_value(self, p1: int, p2: int) -> int | None:
        kind, value = p1 & 0xFFFFFFFF, as_float(p2)
        if kind not in (1, 2):
            return None
        low, high = LIMITS_C[kind]
        if not low <= value <= high:
            return 0
        if kind == 1:
            return self._do("rate_K_per_min", value)
        self._set_point_K = value + ZERO_K
        if not self._restart_needed:
            self._view.stage("limit_K", self._set_point_K)
        return 1

    def _set_pump(self, p1: int, p2: int) -> int:
        percent = p1 & 0xFFFFFFFF
        if percent > 100 or self._view.stage("state")["pump_automatic"]:
            return 0
        return self._do("pump_manual_fraction", percent / 100.0)

    @staticmethod
    def _write_text(words: str, buffer: int, length: int) -> int:
        data = words.encode("ascii")[: max(length - 1, 0)] + b"\0"
        ctypes.memmove(buffer, data, len(data))
        return 1

    def _initialise(self, log: bytes | None, licence: bytes | None, com: bool) -> bool:
        self._running = self._licensed
        return self._licensed

    def _exit(self) -> None:
        self._running = False
        self._handle = None

    def _version(self, buffer: int, length: int) -> bool:
        return bool(self._write_text(VERSION, buffer, length))

    @staticmethod
    def _usb_info(info: int, serial_number: bytes | None) -> None:
        number = (serial_number or b"")[:16]
        ctypes.memmove(info, struct.pack("<IHH17s103x", 2, USB_VENDOR, USB_PRODUCT, number), 128)

    @staticmethod
    def _serial_info(info: int, port: bytes | None) -> None:
        settings = (port or b"", 115200, 8, 0, 1, 0, 1000)
        ctypes.memmove(info, struct.pack("<I64s6I36x", 1, *settings), 128)
