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


def whole(text: str) -> int:
    """A whole number.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: a whole number is expected") from None


def whole_from_1(text: str) -> int:
    """A whole number, 1 or more.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    value = whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 1 is expected")
    return value
