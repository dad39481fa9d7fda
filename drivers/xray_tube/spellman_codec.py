"""Spellman serial and Ethernet frames as pure functions: bytes <-> command number and fields.

A frame is ``STX CMD , ARG , ... , [CSUM] ETX``: every field, also the last one, ends with a comma; the
checksum byte is there on serial lines and USB and absent on Ethernet. Source: Spellman's serial
interface as read in public drivers (pymeasure ``spellmanXRV``, MIT; uX50P50 programs).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STX = 0x02
ETX = 0x03
LONGEST_FRAME = 256
FULL_SCALE = 4095

_FIELD = re.compile(rb"[\x20-\x2b\x2d-\x7e]*")
_COMMAND = re.compile(rb"[0-9]{2,3}")
_INTEGER = re.compile(r"[0-9]{1,7}")


class FrameError(ValueError):
    """Bytes that are not a frame, or a frame that does not say what was asked."""


@dataclass(frozen=True)
class Frame:
    """Content of one frame.

    Attributes:
        command: Command number, e.g. 22.
        fields: What follows it, as text; empty for a bare request.
    """

    command: int
    fields: tuple[str, ...] = ()


def checksum(body: bytes) -> int:
    """Checksum of everything after STX up to and including the last comma: 0x40..0x7F.

    The sum of the bytes is negated, cut to seven bits, and bit 6 is set.
    """
    return (-sum(body) & 0x7F) | 0x40


def encode(command: int, *arguments: int | str, with_checksum: bool) -> bytes:
    """One frame of bytes.

    Args:
        command: Command number, 0..999; written with at least two digits.
        arguments: Integers, or text without commas and control characters.
        with_checksum: True for serial lines, False for Ethernet.

    Raises:
        ValueError: A command or argument that a frame cannot carry.
    """
    if not 0 <= command <= 999:
        raise ValueError(f"command number {command}: 0..999 expected")
    fields = [f"{command:02d}", *(str(argument) for argument in arguments)]
    parts = []
    for field in fields:
        part = field.encode("ascii", errors="replace")
        if not _FIELD.fullmatch(part) or part.decode("ascii") != field:
            raise ValueError(f"field {field!r} cannot travel in a frame")
        parts.append(part + b",")
    body = b"".join(parts)
    end = bytes([checksum(body)]) if with_checksum else b""
    return bytes([STX]) + body + end + bytes([ETX])


def decode(frame: bytes, *, with_checksum: bool) -> Frame:
    """Content of one frame that ends with ETX.

    Bytes before the last STX are the rest of a frame that was broken off, and are passed over.

    Raises:
        FrameError: Not a frame, or its checksum is wrong.
    """
    if not frame.endswith(bytes([ETX])):
        raise FrameError("no ETX at the end")
    begin = frame.rfind(STX)
    if begin < 0:
        raise FrameError("no STX at the beginning")
    inside = frame[begin + 1 : -1]
    if len(inside) > LONGEST_FRAME:
        raise FrameError(f"{len(inside)} bytes are too long for a frame")
    if with_checksum:
        body, end = inside[:-1], inside[-1:]
        if not end or checksum(body) != end[0]:
            raise FrameError("checksum wrong")
    else:
        body = inside
    if not body.endswith(b","):
        raise FrameError("no comma after the last field")
    first, *rest = body[:-1].split(b",")
    if not _COMMAND.fullmatch(first):
        raise FrameError(f"{first!r} is not a command number")
    if not all(_FIELD.fullmatch(part) for part in rest):
        raise FrameError("control characters in a field")
    return Frame(int(first), tuple(part.decode("ascii") for part in rest))


def split(received: bytes) -> tuple[list[bytes], bytes]:
    """Cut received bytes into frames, each with its ETX, and the rest that is not complete yet."""
    *frames, rest = received.split(bytes([ETX]))
    return [frame + bytes([ETX]) for frame in frames], rest


def integers(frame: Frame, count: int, largest: int = FULL_SCALE) -> tuple[int, ...]:
    """The fields as integers 0..``largest``.

    Raises:
        FrameError: Another number of fields, or a field that is not such an integer.
    """
    if len(frame.fields) != count:
        raise FrameError(f"{len(frame.fields)} values where {count} were expected")
    values = []
    for field in frame.fields:
        if not _INTEGER.fullmatch(field) or int(field) > largest:
            raise FrameError(f"{field!r} where an integer 0..{largest} was expected")
        values.append(int(field))
    return tuple(values)


def flags(frame: Frame, count: int) -> tuple[bool, ...]:
    """The fields as flags.

    Raises:
        FrameError: Another number of fields, or a field that is neither 0 nor 1.
    """
    return tuple(bool(value) for value in integers(frame, count, largest=1))


def is_done(frame: Frame) -> bool:
    """Whether the frame is the answer ``CMD,$,`` to a command that was carried out."""
    return frame.fields == ("$",)


def to_counts(value: float, full_scale: float) -> int:
    """Counts 0..4095 nearest to ``value``; both in the same unit."""
    return min(max(round(value / full_scale * FULL_SCALE), 0), FULL_SCALE)


def from_counts(counts: int, full_scale: float) -> float:
    """Value of counts 0..4095, in the unit of ``full_scale``."""
    return counts * full_scale / FULL_SCALE
