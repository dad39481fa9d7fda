"""Bytes of the Linkam T95 / LNP95 serial protocol <-> values. Pure functions.

Commands and replies end with a carriage return. Temperatures travel in tenths of a degree Celsius, rates
in hundredths of a degree per minute. Sources: ISIS EPICS-linkam95 protocol file, GDA ``LinkamT95.java``,
BLISS ``linkam_TMS94_T95.py``, MX ``i_linkam_t9x.c``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

State = Literal["stopped", "heating", "cooling", "holding", "unknown"]

CR = b"\r"
ZERO_K = 273.15
ASK_STATUS = b"T\r"
START = b"S\r"
STOP = b"E\r"
HOLD = b"O\r"
PUMP_AUTOMATIC = b"Pa0\r"
PUMP_MANUAL = b"Pm0\r"
CLEAR_BUFFERS = b"B\r"
ASK_STAGE_NAME = b"\xefS\r"
PUMP_TOP = 30
STATUS_LENGTH = 11

STATES: dict[int, State] = {
    0x01: "stopped",
    0x10: "heating",
    0x20: "cooling",
    0x30: "holding",
    0x40: "holding",
    0x50: "holding",
}
AT_SET_POINT = (0x30, 0x40)
WARNING_BITS = {0: "the stage cannot cool as fast as the rate asks for"}
FAULT_BITS = {
    1: "stage not connected or temperature sensor open",
    2: "power surge or overload protection tripped",
    3: "no exit at 300 C",
    4: "unknown error (bit 4)",
    5: "link error on the RS-232 line",
    6: "unknown error (bit 6)",
}
SENSOR_FAULT = FAULT_BITS[1]
COLDEST_C, HOTTEST_C = -200.0, 1600.0


@dataclass(frozen=True)
class StatusReply:
    """The reply to ``T``.

    Attributes:
        state: What the stage does; ``"unknown"`` for a byte that is in no table.
        state_byte: The byte itself.
        at_set_point: The ramp is done and the limit is held.
        faults: Errors the controller reports, as text.
        warnings: What it reports and goes on.
        pump_steps: Speed of the nitrogen pump, 0 stopped to 30 full.
        temperature_K: Stage temperature; None where the field holds no possible number.
        raw: The frame.
    """

    state: State
    state_byte: int
    at_set_point: bool
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    pump_steps: int
    temperature_K: float | None
    raw: bytes


def encode_rate(rate_K_per_min: float) -> bytes:
    """Command that sets the ramp rate, e.g. ``R12000`` for 20 K/min.

    Raises:
        ValueError: Less than 0.01 or more than 150 K/min.
    """
    steps = round(rate_K_per_min * 100)
    if not 1 <= steps <= 15000:
        raise ValueError(f"the controller takes rates of 0.01 to 150 K/min, not {rate_K_per_min:g}")
    return b"R1%04d\r" % steps


def encode_limit(set_point_K: float) -> bytes:
    """Command that sets the target, e.g. ``L1-1200`` for -120.0 C.

    Raises:
        ValueError: Outside what four digits can say here, -200 to 999.9 C.
    """
    steps = round((set_point_K - ZERO_K) * 10) if math.isfinite(set_point_K) else -9999
    if not -2000 <= steps <= 9999:
        raise ValueError(f"the controller takes targets of -200 to 999.9 C, not {set_point_K:g} K")
    return b"L1%04d\r" % steps if steps >= 0 else b"L1%d\r" % steps


def limit_sent_K(set_point_K: float) -> float:
    """The target that the controller really gets: it counts in tenths of a degree Celsius."""
    return round((set_point_K - ZERO_K) * 10) / 10 + ZERO_K


def encode_pump_speed(percent: float) -> bytes:
    """Command that sets the pump's speed in manual mode, the nearest of 30 steps.

    Raises:
        ValueError: Outside 0-100 %.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"a pump speed of 0 to 100 % is expected, not {percent:g}")
    return b"P" + bytes([0x30 + round(percent / 100 * PUMP_TOP)]) + CR


def decode_status(frame: bytes) -> StatusReply:
    """Values of a reply to ``T``.

    Args:
        frame: Ten bytes and the carriage return.

    Raises:
        ValueError: The frame is not what a T95 sends.
    """
    if len(frame) != STATUS_LENGTH or frame[-1:] != CR:
        raise ValueError(f"a status reply has 10 bytes and CR, not {frame!r}")
    state_byte, errors, pump = frame[0], frame[1], frame[2]
    if not errors & 0x80:
        raise ValueError(f"the top bit of the error byte is always set, not so in {frame!r}")
    if pump & 0x1F > PUMP_TOP:
        raise ValueError(f"a pump speed above 30 in {frame!r}")
    return StatusReply(
        state=STATES.get(state_byte, "unknown"),
        state_byte=state_byte,
        at_set_point=state_byte in AT_SET_POINT,
        faults=tuple(text for bit, text in FAULT_BITS.items() if errors >> bit & 1),
        warnings=tuple(text for bit, text in WARNING_BITS.items() if errors >> bit & 1),
        pump_steps=pump & 0x1F,
        temperature_K=decode_temperature(frame[6:10]),
        raw=frame,
    )


def decode_temperature(field: bytes) -> float | None:
    """Kelvin from four hex digits (tenths of a degree Celsius, two's complement); None if they are none."""
    # int() would also take signs, underscores and blanks.
    if len(field) != 4 or any(byte not in b"0123456789abcdefABCDEF" for byte in field):
        return None
    steps = int(field, 16)
    celsius = (steps - 0x10000 if steps >= 0x8000 else steps) / 10
    return celsius + ZERO_K if COLDEST_C <= celsius <= HOTTEST_C else None


class StatusCollector:
    """Finds the status frame in messages that were split at carriage returns.

    A lone CR that acknowledges an earlier command is passed over. A pump byte can itself be a carriage
    return (speed 13 on units that leave its upper bits clear): such a frame comes in two parts.
    """

    def __init__(self) -> None:
        self._bytes = b""
        self.reply: StatusReply | None = None

    def __call__(self, message: bytes) -> bool:
        """Take one message; whether the frame is complete (then in ``reply``)."""
        self._bytes = (self._bytes + message)[-4 * STATUS_LENGTH :]
        for candidate in (message, self._bytes[-STATUS_LENGTH:]):
            try:
                self.reply = decode_status(candidate)
            except ValueError:
                continue
            return True
        return False


def explain(message: bytes) -> str:
    """What a message says, in words, for the traffic log."""
    words = _COMMANDS.get(message)
    if words is not None:
        return words
    if message[:2] in (b"R1", b"L1") and message[2:-1].lstrip(b"-").isdigit():
        number = int(message[2:-1])
        return f"rate {number / 100:g} C/min" if message[:1] == b"R" else f"limit {number / 10:g} C"
    if len(message) == 3 and message[:1] == b"P" and 0 <= message[1] - 0x30 <= PUMP_TOP:
        return f"pump speed {message[1] - 0x30} of {PUMP_TOP}"
    try:
        reply = decode_status(message)
    except ValueError:
        return ""
    where = "no temperature" if reply.temperature_K is None else f"{reply.temperature_K - ZERO_K:.1f} C"
    return ", ".join([reply.state, where, f"pump {reply.pump_steps}", *reply.faults, *reply.warnings])


_COMMANDS = {
    CR: "acknowledged",
    ASK_STATUS: "ask for status",
    START: "start the ramp",
    STOP: "stop",
    HOLD: "hold",
    PUMP_AUTOMATIC: "pump automatic",
    PUMP_MANUAL: "pump manual",
    CLEAR_BUFFERS: "clear buffers",
    ASK_STAGE_NAME: "ask for the stage's name",
}
