"""Parts of the check: values for programs and for people, hints."""

from __future__ import annotations

import json
import math

from drivers.base import Identity, Reading
from drivers.errors import InstrumentConnectionError
from drivers.xray_tube.base import TubeStatus
from labctl.rig.check import InstrumentReport, _failed, _tube_findings, in_words, plain


def reading(value: float, unit: str) -> Reading:
    return Reading(value, unit, "measured", 1.0)


def tube(**changes: object) -> TubeStatus:
    fields: dict[str, object] = {
        "connected": True,
        "state": "off",
        "faults": (),
        "read_at_s": 0.0,
        "beam_on": False,
        "interlock_closed": True,
        "voltage": reading(0.0, "kV"),
        "current": reading(0.0, "uA"),
        "voltage_set": reading(0.0, "kV"),
        "current_set": reading(0.0, "uA"),
    }
    return TubeStatus(**(fields | changes))  # type: ignore[arg-type]


def test_a_tube_that_is_off_and_reads_high_voltage_is_a_finding() -> None:
    assert _tube_findings(tube()) == []
    assert "monitors read 30 kV" in _tube_findings(tube(voltage=reading(30.0, "kV")))[0]
    assert "interlock is open" in _tube_findings(tube(interlock_closed=False))[0]


def test_what_is_no_number_is_null_for_programs() -> None:
    value = {"a": math.nan, "b": reading(math.inf, "K"), 3: (1, True, None, Identity("x", "y"))}
    text = json.dumps(plain(value), allow_nan=False)
    assert json.loads(text)["a"] is None
    assert json.loads(text)["3"][:3] == [1, True, None]


def test_words_for_people() -> None:
    assert in_words(reading(79.949999, "K")) == "79.95 K (measured)"
    assert in_words({1: 2.0}) == "1: 2"
    assert in_words(()) == "none"
    assert in_words(None) == "not known"
    assert in_words(True) == "yes"


def test_a_report_is_well_only_with_an_answer_and_without_findings() -> None:
    who = Identity("make", "model")
    assert InstrumentReport("cryostage", "x", who, {}, {}, ()).well
    assert not InstrumentReport("cryostage", "x", who, {}, {}, ("too warm",)).well
    assert not InstrumentReport("cryostage", "x", None, {}, {}, ()).well


def test_permission_is_hinted_at_from_the_cause() -> None:
    error = InstrumentConnectionError("cryostage", "cannot connect")
    error.__cause__ = PermissionError(13, "Permission denied")
    assert (
        "group" in _failed("cryostage", "linkam-t95", error).hint
        or "program" in _failed("c", "d", error).hint
    )
    assert _failed("cryostage", "linkam-t95", InstrumentConnectionError("c", "gone")).hint == ""
