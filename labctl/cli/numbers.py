"""Kinds of numbers that options take, for ``type=`` of argparse, which names the option in its message."""

from __future__ import annotations

import argparse
import math

# What is given in s is multiplied by 1e12; near a float's end that would be infinite.
_LARGEST = 1e100


def finite(text: str) -> float:
    """A number that is neither NaN nor infinite, nor beyond 1e100.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:
        raise argparse.ArgumentTypeError(f"{text}: a finite number is expected, at most {_LARGEST:g}")
    return value


def finite_from_0(text: str) -> float:
    """As ``finite``, 0 or more.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    value = finite(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text}: a number from 0 is expected")
    return value


def whole(text: str) -> int:
    """A whole number of at most 63 bits, as seeds and stamps have.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: a whole number is expected") from None
    if abs(value) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text}: a whole number is expected, at most 2^63 - 1")
    return value


def whole_from_0(text: str) -> int:
    """A whole number, 0 or more.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    return _whole_from(0, text)


def whole_from_1(text: str) -> int:
    """A whole number, 1 or more.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    return _whole_from(1, text)


def _whole_from(least: int, text: str) -> int:
    value = whole(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from {least} is expected")
    return value
