"""Strict JSON: every reader takes it, nothing is lost that JSON has a word for."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from pathlib import PureWindowsPath

import numpy as np
import pytest

from labctl.store import strict_json


class Colour(enum.StrEnum):
    RED = "red"


@dataclass
class Pair:
    left: float
    right: object


@pytest.mark.parametrize(
    ("thing", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(2**62), 2**62),
        (np.bool_(True), True),
        (np.array([[1.0, np.nan], [np.inf, -2.0]]), [[1.0, None], [None, -2.0]]),
        (np.array([1, 2], dtype=np.uint64), [1, 2]),
        (np.datetime64("2026-11-20"), "2026-11-20"),
        (float("nan"), None),
        (-float("inf"), None),
        ((1, (2.5, None)), [1, [2.5, None]]),
        ({3: {"b", "a"}}, {"3": ["a", "b"]}),
        (Pair(1.0, np.arange(2)), {"left": 1.0, "right": [0, 1]}),
        (Colour.RED, "red"),
        (PureWindowsPath("runs\\0001"), "runs/0001"),
        (True, True),
    ],
)
def test_things_become_plain(thing: object, plain: object) -> None:
    text = strict_json.dumps(thing)

    assert json.loads(text, parse_constant=pytest.fail) == plain


def test_doubles_come_back_bit_for_bit() -> None:
    values = np.random.default_rng(1).normal(size=1000) * 10.0 ** np.arange(-500, 500).clip(-300, 300)

    assert np.array_equal(np.array(strict_json.loads(strict_json.dumps(values))), values)


def test_an_unknown_thing_does_not_stop_the_record() -> None:
    assert strict_json.jsonable({"engine": object}) == {"engine": "<class 'object'>"}
