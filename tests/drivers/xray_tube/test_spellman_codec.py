"""Bytes of Spellman frames, from the tables of the manuals and pymeasure's test vectors."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.xray_tube import spellman_codec as codec
from drivers.xray_tube.spellman_codec import Frame, FrameError

# Body and checksum character: device table, recomputed there against pymeasure's test vectors.
CHECKSUMS = [
    ("22,", "p"),
    ("20,", "r"),
    ("14,", "o"),
    ("15,", "n"),
    ("10,0,", "W"),
    ("10,4095,", "u"),
    ("11,4095,", "t"),
    ("11,0,", "V"),
    ("99,1,", "E"),
    ("99,0,", "F"),
    ("98,1,", "F"),
    ("98,0,", "G"),
    ("31,", "p"),
    ("52,", "m"),
    ("28,", "j"),
    ("26,", "l"),
    ("23,", "o"),
    ("32,", "o"),
    ("10,$,", "c"),
    ("11,$,", "b"),
    ("98,$,", "S"),
    ("31,$,", "`"),
    ("14,4095,", "q"),
    ("28,160,30,0,", "|"),
    ("10,!,3,", "G"),
]
SERIAL_FRAMES = [
    ((22,), "02 32 32 2C 70 03"),
    ((20,), "02 32 30 2C 72 03"),
    ((14,), "02 31 34 2C 6F 03"),
    ((15,), "02 31 35 2C 6E 03"),
    ((10, 0), "02 31 30 2C 30 2C 57 03"),
    ((10, 4095), "02 31 30 2C 34 30 39 35 2C 75 03"),
    ((99, 1), "02 39 39 2C 31 2C 45 03"),
    ((99, 0), "02 39 39 2C 30 2C 46 03"),
    ((10, "$"), "02 31 30 2C 24 2C 63 03"),
]


@pytest.mark.parametrize(("body", "expected"), CHECKSUMS)
def test_checksum_of_the_tables(body: str, expected: str) -> None:
    assert chr(codec.checksum(body.encode())) == expected


@pytest.mark.parametrize(("content", "expected"), SERIAL_FRAMES)
def test_serial_frames_byte_for_byte(content: tuple[int | str, ...], expected: str) -> None:
    command, *arguments = content
    frame = codec.encode(int(command), *arguments, with_checksum=True)
    assert frame == bytes.fromhex(expected)
    decoded = codec.decode(frame, with_checksum=True)
    assert decoded == Frame(int(command), tuple(str(argument) for argument in arguments))


def test_ethernet_frames_have_no_checksum() -> None:
    assert codec.encode(10, 4095, with_checksum=False) == b"\x0210,4095,\x03"
    assert codec.decode(b"\x0228,160,30,0,\x03", with_checksum=False) == Frame(28, ("160", "30", "0"))


def test_one_digit_commands_get_a_leading_zero() -> None:
    assert codec.encode(7, 1, with_checksum=False) == b"\x0207,1,\x03"


@pytest.mark.parametrize("argument", ["1,2", "\x03", "\x02", "é", "\n"])
def test_a_field_that_would_break_the_frame_is_refused(argument: str) -> None:
    with pytest.raises(ValueError, match="cannot travel"):
        codec.encode(10, argument, with_checksum=False)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "no ETX"),
        (b"\x0222,", "no ETX"),
        (b"22,\x03", "no STX"),
        (b"\x02\x03", "comma"),
        (b"\x0222\x03", "comma"),
        (b"\x02,\x03", "command number"),
        (b"\x02ab,\x03", "command number"),
        (b"\x02-1,\x03", "command number"),
        (b"\x0222,\x07,\x03", "control"),
        (b"\x0222,\xb1,\x03", "control"),
        (b"\x02" + b"1" * 300 + b",\x03", "too long"),
    ],
)
def test_what_is_no_frame_is_refused_with_the_reason(frame: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        codec.decode(frame, with_checksum=False)


def test_every_single_bit_error_in_a_serial_frame_is_seen_or_leaves_the_text_unlike_a_number() -> None:
    # The checksum is blind for bits 6 and 7 (bit 6 is always set, bit 7 cut): digits then become letters.
    frame = codec.encode(20, 1234, 567, with_checksum=True)
    for place in range(1, len(frame) - 1):
        for bit in range(8):
            spoilt = bytearray(frame)
            spoilt[place] ^= 1 << bit
            try:
                values = codec.integers(codec.decode(bytes(spoilt), with_checksum=True), 2)
            except FrameError:
                continue
            assert values == (1234, 567), f"byte {place}, bit {bit}: {bytes(spoilt)!r}"


def test_the_rest_of_a_broken_frame_before_a_good_one_is_passed_over() -> None:
    assert codec.decode(b"\x0220,12\x0222,1,0,0,\x03", with_checksum=False) == Frame(22, ("1", "0", "0"))


def test_split_takes_several_frames_and_part_of_one_from_one_read() -> None:
    frames, rest = codec.split(b"\x0210,$,\x03\x0211,$,\x03\x0222,1")
    assert frames == [b"\x0210,$,\x03", b"\x0211,$,\x03"]
    assert rest == b"\x0222,1"


@pytest.mark.parametrize("field", ["", " 1", "1 ", "+1", "-1", "1.0", "0x1", "4096", "99999999", "１", "1_0"])
def test_only_plain_integers_in_range_are_taken_for_numbers(field: str) -> None:
    with pytest.raises(FrameError, match="integer"):
        codec.integers(Frame(14, (field,)), 1)


def test_six_values_where_seven_belong_are_refused() -> None:
    with pytest.raises(FrameError, match="6 values where 7"):
        codec.integers(Frame(20, ("1",) * 6), 7)


def test_flags_are_0_or_1() -> None:
    assert codec.flags(Frame(22, ("1", "0", "0")), 3) == (True, False, False)
    with pytest.raises(FrameError):
        codec.flags(Frame(22, ("2", "0", "0")), 3)


@pytest.mark.parametrize(
    ("counts", "full_scale", "value"),
    [
        (1, 50.0, 0.01221),  # kV per bit of the uX50P50
        (1, 2000.0, 0.4884),  # uA per bit, set
        (1, 2400.0, 0.58608),  # uA per bit, read
        (1, 3.6, 0.87912e-3),  # filament A per bit
        (1, 5.5, 1.343e-3),  # filament V per bit
        (1, 300.0, 0.07326),  # degrees C per bit
        (4095, 50.0, 50.0),
    ],
)
def test_scaling_of_the_ux50p50(counts: int, full_scale: float, value: float) -> None:
    assert codec.from_counts(counts, full_scale) == pytest.approx(value, rel=2e-4)
    assert codec.to_counts(value, full_scale) == counts


@given(
    st.integers(10, 999),
    st.lists(st.from_regex(r"[ -+\--~]{0,8}", fullmatch=True), max_size=8),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_what_is_encoded_is_decoded(command: int, fields: list[str], with_checksum: bool) -> None:
    frame = codec.encode(command, *fields, with_checksum=with_checksum)
    assert codec.decode(frame, with_checksum=with_checksum) == Frame(command, tuple(fields))


def _noise(source: random.Random, with_checksum: bool) -> bytes:
    """Arbitrary bytes; most look like frames at first sight, some with a checksum that is right."""
    kind = source.random()
    if kind < 0.3:
        return source.randbytes(source.randrange(0, 40))
    alphabet = b"\x02\x03,,,0123456789$!.-+ \x82\xb0A"
    body = bytes(source.choice(alphabet) for _ in range(source.randrange(0, 30)))
    if kind < 0.5:
        return body
    body = b"%d," % source.randrange(0, 120) + body.translate(None, b"\x02\x03\x82\xb0")[:8] + b","
    end = bytes([codec.checksum(body)]) if with_checksum and kind < 0.9 else b""
    return b"\x02" + body + end + b"\x03"


@pytest.mark.parametrize("with_checksum", [False, True])
def test_arbitrary_bytes_give_a_frame_or_our_error_and_never_a_wrong_number(with_checksum: bool) -> None:
    source = random.Random(20)
    understood = 0
    for _ in range(100_000):
        noise = _noise(source, with_checksum)
        try:
            frame = codec.decode(noise, with_checksum=with_checksum)
            values = codec.integers(frame, len(frame.fields))
        except FrameError:
            continue
        understood += 1
        # What was taken for numbers stood there, digit by digit, between STX and ETX.
        inside = ",".join([f"{frame.command:02d}", *frame.fields, ""]).encode()
        end = bytes([codec.checksum(inside)]) if with_checksum else b""
        assert noise.endswith(b"\x02" + inside + end + b"\x03") or frame.command < 10
        assert [int(field) for field in frame.fields] == list(values)
        assert all(0 <= value <= 4095 for value in values)
    assert understood > 500
