"""Bytes of the T95 protocol, as the public drivers' sources give them."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.cryostage import linkam_t95_codec as codec


@pytest.mark.parametrize(
    ("rate_K_per_min", "frame"),
    [
        (20.0, "52 31 32 30 30 30 0D"),  # 20 C/min = R12000
        (0.01, "52 31 30 30 30 31 0D"),  # padded to four digits, as ISIS does
        (99.99, "52 31 39 39 39 39 0D"),
        (150.0, "52 31 31 35 30 30 30 0D"),  # five digits above 99.99, as lewis takes
    ],
)
def test_rate_command(rate_K_per_min: float, frame: str) -> None:
    assert codec.encode_rate(rate_K_per_min) == bytes.fromhex(frame)


@pytest.mark.parametrize(
    ("celsius", "frame"),
    [
        (-120.0, "4C 31 2D 31 32 30 30 0D"),  # L1-1200
        (25.0, "4C 31 30 32 35 30 0D"),  # L10250
        (-5.0, "4C 31 2D 35 30 0D"),
        (0.0, "4C 31 30 30 30 30 0D"),
        (-190.0, "4C 31 2D 31 39 30 30 0D"),
        (350.0, "4C 31 33 35 30 30 0D"),
    ],
)
def test_limit_command(celsius: float, frame: str) -> None:
    assert codec.encode_limit(celsius + 273.15) == bytes.fromhex(frame)


@pytest.mark.parametrize(("percent", "frame"), [(0, "50 30 0D"), (100, "50 4E 0D"), (50, "50 3F 0D")])
def test_pump_speed_command(percent: float, frame: str) -> None:
    assert codec.encode_pump_speed(percent) == bytes.fromhex(frame)


@pytest.mark.parametrize(
    ("command", "frame"),
    [
        (codec.ASK_STATUS, "54 0D"),
        (codec.START, "53 0D"),
        (codec.STOP, "45 0D"),
        (codec.HOLD, "4F 0D"),
        (codec.PUMP_AUTOMATIC, "50 61 30 0D"),
        (codec.PUMP_MANUAL, "50 6D 30 0D"),
        (codec.CLEAR_BUFFERS, "42 0D"),
        (codec.ASK_STAGE_NAME, "EF 53 0D"),
    ],
)
def test_plain_command(command: bytes, frame: str) -> None:
    assert command == bytes.fromhex(frame)


@pytest.mark.parametrize("value", [0.0, -1.0, 150.1, float("nan"), float("inf")])
def test_impossible_rate_is_refused(value: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        codec.encode_rate(value)


@pytest.mark.parametrize("value", [0.0, 73.0, 1300.0, float("nan"), float("inf")])
def test_impossible_limit_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="the controller takes targets"):
        codec.encode_limit(value)


@pytest.mark.parametrize("value", [-1.0, 100.1, float("nan")])
def test_impossible_pump_speed_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="0 to 100 %"):
        codec.encode_pump_speed(value)


def test_reply_of_a_stopped_stage_at_24_C() -> None:
    reply = codec.decode_status(bytes.fromhex("01 80 80 80 80 80 30 30 66 30 0D"))
    assert (reply.state, reply.faults, reply.warnings, reply.pump_steps) == ("stopped", (), (), 0)
    assert reply.temperature_K == pytest.approx(273.15 + 24.0)


def test_reply_of_a_cooling_stage_at_minus_120_C_with_the_pump_full() -> None:
    reply = codec.decode_status(bytes.fromhex("20 80 9E 80 80 80 46 42 35 30 0D"))
    assert (reply.state, reply.pump_steps, reply.at_set_point) == ("cooling", 30, False)
    assert reply.temperature_K == pytest.approx(273.15 - 120.0)


@pytest.mark.parametrize(
    ("byte", "state", "at_set_point"),
    [
        (0x01, "stopped", False),
        (0x10, "heating", False),
        (0x20, "cooling", False),
        (0x30, "holding", True),
        (0x40, "holding", True),
        (0x50, "holding", False),
        (0x33, "unknown", False),
    ],
)
def test_state_byte(byte: int, state: str, at_set_point: bool) -> None:
    reply = codec.decode_status(bytes([byte]) + bytes.fromhex("80 80 80 80 80 30 30 66 30 0D"))
    assert (reply.state, reply.state_byte, reply.at_set_point) == (state, byte, at_set_point)


def test_pump_speed_is_the_lower_five_bits_whatever_the_upper_ones_are() -> None:
    for upper in (0x80, 0xE0, 0x00):
        frame = bytes([0x20, 0x80, upper | 17]) + bytes.fromhex("80 80 80 46 42 35 30 0D")
        assert codec.decode_status(frame).pump_steps == 17


def test_error_bits() -> None:
    def faults(errors: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        reply = codec.decode_status(bytes([0x10, errors]) + bytes.fromhex("80 80 80 80 46 42 35 30 0D"))
        return reply.faults, reply.warnings

    assert faults(0x80) == ((), ())
    assert faults(0x81)[0] == ()
    assert "cool as fast" in faults(0x81)[1][0]
    assert "sensor open" in faults(0x82)[0][0]
    assert "overload" in faults(0x84)[0][0]
    assert "300 C" in faults(0x88)[0][0]
    assert "bit 4" in faults(0x90)[0][0]
    assert "RS-232" in faults(0xA0)[0][0]
    assert len(faults(0xFE)[0]) == 6


@pytest.mark.parametrize(
    ("field", "celsius"),
    [(b"00f0", 24.0), (b"FB50", -120.0), (b"fb50", -120.0), (b"F893", -190.1), (b"0000", 0.0)],
)
def test_temperature_field_in_either_case(field: bytes, celsius: float) -> None:
    assert codec.decode_temperature(field) == pytest.approx(celsius + 273.15)


@pytest.mark.parametrize("field", [b"----", b"+0f0", b"0_f0", b" 0f0", b"\xff\xff\xff\xff", b"7fff", b"8000"])
def test_field_without_a_possible_temperature(field: bytes) -> None:
    assert codec.decode_temperature(field) is None


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "0D",
        "01 80 80 80 80 80 30 30 66 0D",
        "01 80 80 80 80 80 30 30 66 30",
        "01 80 80 80 80 80 30 30 66 30 30 0D",
        "01 00 80 80 80 80 30 30 66 30 0D",  # bit 7 of the error byte is always set
        "01 80 9F 80 80 80 30 30 66 30 0D",  # the pump ends at 30
    ],
)
def test_frame_that_no_controller_sends_is_refused(frame: str) -> None:
    with pytest.raises(ValueError, match=r"in b|status reply"):
        codec.decode_status(bytes.fromhex(frame))


def test_stray_acknowledgement_before_the_reply_is_passed_over() -> None:
    collector = codec.StatusCollector()
    assert not collector(b"\r")
    assert collector(bytes.fromhex("20 80 9E 80 80 80 46 42 35 30 0D"))
    assert collector.reply is not None
    assert collector.reply.state == "cooling"


def test_pump_byte_that_is_a_carriage_return_does_not_split_the_reply() -> None:
    frame = bytes.fromhex("20 80 0D 80 80 80 46 42 35 30 0D")
    collector = codec.StatusCollector()
    assert not collector(b"\r")
    assert not collector(frame[:3])
    assert collector(frame[3:])
    assert collector.reply is not None
    assert collector.reply.pump_steps == 13


def check_decoder(data: bytes) -> None:
    """A reply or ``ValueError``; a temperature only if the field says it, by another way of reading it."""
    try:
        reply = codec.decode_status(data)
    except ValueError:
        return
    assert len(data) == 11
    assert data[1] >= 0x80
    if reply.temperature_K is not None:
        (steps,) = struct.unpack(">h", bytes.fromhex(data[6:10].decode("ascii")))
        assert reply.temperature_K == pytest.approx(steps / 10 + 273.15)


def test_hundred_thousand_arbitrary_byte_strings() -> None:
    chance = random.Random(20)
    good = bytes.fromhex("20 80 9E 80 80 80 46 42 35 30 0D")
    for _ in range(50_000):
        check_decoder(chance.randbytes(chance.randrange(16)))
        spoilt = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        check_decoder(bytes(spoilt))


@given(st.binary(max_size=40))
def test_arbitrary_messages_raise_nothing_but_ours(data: bytes) -> None:
    check_decoder(data)
    codec.explain(data)
    collector = codec.StatusCollector()
    for piece in data.split(b"\r"):
        collector(piece + b"\r")


@given(st.floats(73.2, 1273.0))
def test_limit_sent_is_what_the_command_says(kelvin: float) -> None:
    number = int(codec.encode_limit(kelvin)[2:-1])
    assert codec.limit_sent_K(kelvin) == pytest.approx(number / 10 + 273.15)
    assert abs(codec.limit_sent_K(kelvin) - kelvin) <= 0.0501


def test_messages_are_explained_for_the_traffic_log() -> None:
    assert codec.explain(b"R12000\r") == "rate 20 C/min"
    assert codec.explain(b"L1-1200\r") == "limit -120 C"
    assert codec.explain(b"P?\r") == "pump speed 15 of 30"
    assert codec.explain(b"\r") == "acknowledged"
    assert codec.explain(bytes.fromhex("20 81 9E 80 80 80 46 42 35 30 0D")).startswith(
        "cooling, -120.0 C, pump 30"
    )
    assert codec.explain(b"nonsense\r") == ""
