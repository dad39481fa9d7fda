"""The Linkam SDK's C functions through ctypes: everything goes over the common message call.

Both results matter: the function's own (the message was understood and went through) and the one it
writes (what the controller says). A float travels in the low 32 bits of a 64-bit word.
"""

from __future__ import annotations

import ctypes
import math
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers.cryostage.linkam_sdk_tables import (
    COMMS_SERIAL,
    COMMS_USB,
    CONNECTED,
    Message,
    ValueType,
    connection_errors,
)
from drivers.errors import (
    InstrumentConnectionError,
    InstrumentTimeoutError,
    MissingDriverError,
    ProtocolError,
)
from drivers.traffic import Direction

Note = Callable[[Direction, bytes, str], None]

NAME_LENGTH, SERIAL_LENGTH, VERSION_LENGTH = 26, 18, 64
DEFAULT_NAME = "LinkamSDK.dll" if sys.platform == "win32" else "libLinkamSDK.so"


class CommsInfo(ctypes.Structure):
    """How to reach a controller; filled by the library."""

    _fields_ = (("type", ctypes.c_uint32), ("info", ctypes.c_ubyte * 124))


def pack_float(value: float) -> int:
    """A float as the 64-bit word that carries it."""
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def unpack_float(word: int) -> float:
    """The float that a 64-bit word carries."""
    return float(struct.unpack("<f", struct.pack("<I", word & 0xFFFFFFFF))[0])


def load_functions(name: str, path: str) -> Any:
    """Load the vendor's library.

    Args:
        name: The instrument's name, for messages.
        path: File of the library; empty: the usual name, found as the system finds libraries.

    Raises:
        MissingDriverError: It is not there or cannot be loaded.
    """
    where = str(Path(path).resolve()) if path else DEFAULT_NAME
    try:
        # The SDK's functions are plain C on both systems (stdcall and cdecl are one on 64-bit Windows).
        return ctypes.CDLL(where)
    except OSError as error:
        raise MissingDriverError(
            name,
            f"the Linkam SDK cannot be loaded from {where}: {error}",
            advice="install Linkam's SDK and its .lsk licence; give its file as 'library' in the rig file",
        ) from error


def _forget(direction: Direction, data: bytes, meaning: str) -> None:
    """Where nobody wants the traffic."""


class LinkamLibrary:
    """The loaded library. Not thread-safe: the vendor thread calls it.

    Args:
        name: The instrument's name, for messages.
        functions: The loaded library, or an object with the same functions.
        note: Gets direction, words as bytes (little endian) and meaning of every message.
    """

    def __init__(self, name: str, functions: Any, note: Note = _forget) -> None:
        self.name = name
        self._note = note
        try:
            self._declare(functions)
        except AttributeError as error:
            raise MissingDriverError(
                name, f"this is not the Linkam SDK: {error}", advice="check 'library' in the rig file"
            ) from error
        self._functions = functions

    def initialise(self, log: str, licence: str) -> None:
        """Start the SDK.

        Raises:
            MissingDriverError: It refuses, most often because of its licence.
        """
        if not self._functions.linkamInitialiseSDK(log.encode(), licence.encode(), False):
            raise MissingDriverError(
                self.name,
                f"the Linkam SDK does not start with the licence {licence or '(none given)'}",
                advice=f"give Linkam's .lsk file as 'licence' in the rig file; the SDK's log: {log or 'off'}",
            )

    def exit(self) -> None:
        """End the SDK."""
        self._functions.linkamExitSDK()

    def version(self) -> str:
        """Version of the SDK; empty if it does not tell."""
        buffer = ctypes.create_string_buffer(256)
        if not self._functions.linkamGetVersion(buffer, len(buffer)):
            return ""
        return buffer.value.decode("latin-1").strip()

    def connect(self, *, serial_port: str = "", serial_number: str = "") -> int:
        """Open a connection; returns its handle.

        Args:
            serial_port: Port for RS-232; empty: USB.
            serial_number: Which controller on USB; empty: the only one.

        Raises:
            InstrumentConnectionError: No connection; the text says what the SDK found.
        """
        info = CommsInfo()
        if serial_port:
            self._functions.linkamInitialiseSerialCommsInfo(ctypes.byref(info), serial_port.encode())
        else:
            number = serial_number.encode() if serial_number else None
            self._functions.linkamInitialiseUSBCommsInfo(ctypes.byref(info), number)
        if info.type not in (COMMS_SERIAL, COMMS_USB):
            raise ProtocolError(self.name, f"the Linkam SDK made a connection of type {info.type}")
        handle = ctypes.c_uint64(0)
        where = serial_port or "USB"
        status = self._send(Message.OPEN_COMMS, 0, ctypes.addressof(info), ctypes.addressof(handle))
        if not status & CONNECTED:
            raise InstrumentConnectionError(
                self.name,
                f"cannot connect to the controller on {where}: {connection_errors(status)}",
                advice="check power and cable, and that no other program (LINK) holds the controller",
            )
        return handle.value

    def disconnect(self, handle: int) -> None:
        """Close a connection. Raises nothing that matters: there is nothing left to do."""
        result = ctypes.c_uint64(0)
        self._functions.linkamProcessMessageCommon(Message.CLOSE_COMMS, handle, ctypes.byref(result), 0, 0, 0)

    def text(self, message: Message, handle: int, length: int) -> str:
        """A name, serial number or version; empty if the controller does not tell it."""
        buffer = ctypes.create_string_buffer(length + 1)
        result = ctypes.c_uint64(0)
        understood = self._functions.linkamProcessMessageCommon(
            message, handle, ctypes.byref(result), ctypes.addressof(buffer), length, 0
        )
        return buffer.value.decode("latin-1").strip() if understood else ""

    def bits(self, message: Message, handle: int) -> int:
        """A 64-bit word: configuration, status, error number."""
        return self._send(message, handle)

    def value(self, handle: int, value_type: ValueType, message: Message = Message.GET_VALUE) -> float:
        """A value, its minimum or its maximum.

        Raises:
            ProtocolError: It is not a number.
            InstrumentTimeoutError: The controller did not answer.
        """
        number = unpack_float(self._send(message, handle, value_type))
        if not math.isfinite(number):
            raise ProtocolError(self.name, f"the controller gave {number} as {_words(value_type)}")
        return number

    def unsigned(self, handle: int, value_type: ValueType) -> int:
        """A value that is a whole number, such as a unit."""
        return self._send(Message.GET_VALUE, handle, value_type) & 0xFFFFFFFF

    def set_value(self, handle: int, value_type: ValueType, value: float) -> None:
        """Set a value. Raises ``ProtocolError`` if the controller refuses it."""
        self.order(
            Message.SET_VALUE, handle, value_type, pack_float(value), what=f"{value:g} as {value_type.name}"
        )

    def order(self, message: Message, handle: int, p1: int = 0, p2: int = 0, *, what: str = "") -> None:
        """Order something. Raises ``ProtocolError`` if the controller refuses it."""
        if not self._send(message, handle, p1, p2) & 0xFF:
            raise ProtocolError(
                self.name,
                f"the controller refused {what.lower().replace('_', ' ') or _words(message)}",
                advice="look at the controller's panel for an error",
            )

    def _send(self, message: Message, handle: int, p1: int = 0, p2: int = 0, p3: int = 0) -> int:
        result = ctypes.c_uint64(0)
        self._note("sent", struct.pack("<IQQQ", message, p1, p2, p3), _explain(message, p1, p2))
        understood = self._functions.linkamProcessMessageCommon(
            message, handle, ctypes.byref(result), p1, p2, p3
        )
        answer = struct.pack("<?Q", understood, result.value)
        self._note("received", answer, "" if understood else "no answer, or not understood")
        if not understood:
            raise InstrumentTimeoutError(
                self.name,
                f"the Linkam SDK got no answer to: {_words(message)}",
                advice="check power and cable of the controller",
            )
        return result.value

    @staticmethod
    def _declare(functions: Any) -> None:
        word, text = ctypes.c_uint64, ctypes.c_char_p
        info = ctypes.POINTER(CommsInfo)
        prototypes: dict[str, tuple[Any, tuple[Any, ...]]] = {
            "linkamInitialiseSDK": (ctypes.c_bool, (text, text, ctypes.c_bool)),
            "linkamExitSDK": (None, ()),
            "linkamGetVersion": (ctypes.c_bool, (text, word)),
            "linkamInitialiseUSBCommsInfo": (None, (info, text)),
            "linkamInitialiseSerialCommsInfo": (None, (info, text)),
            "linkamProcessMessageCommon": (
                ctypes.c_bool,
                (ctypes.c_uint32, word, ctypes.POINTER(word), word, word, word),
            ),
        }
        for function, (result, arguments) in prototypes.items():
            getattr(functions, function).restype = result
            getattr(functions, function).argtypes = arguments


def _explain(message: Message, p1: int, p2: int) -> str:
    """A message in words, for the traffic log."""
    if message in (Message.GET_VALUE, Message.GET_MIN_VALUE, Message.GET_MAX_VALUE):
        return f"{_words(message)}: {_words(ValueType(p1))}"
    if message is Message.SET_VALUE:
        return f"{_words(message)}: {_words(ValueType(p1))} to {unpack_float(p2):g}"
    if message in (Message.START_HEATING, Message.LNP_SET_MODE, Message.LNP_SET_SPEED):
        return f"{_words(message)}: {p1}"
    return _words(message)


def _words(number: Message | ValueType) -> str:
    return number.name.lower().replace("_", " ")
