"""Faults: by name, on a schedule, at random, counted."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from simulators.faults import FAULTS, Fault, Faults, random_faults


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    faults = Faults()
    for call in (faults.active, faults.take, faults.clear, faults.set):
        with pytest.raises(ValueError, match=r"known: .*tube\.arc"):
            call("tube.ark")
    with pytest.raises(ValueError, match="unknown fault"):
        Faults([Fault("nope")])


@pytest.mark.parametrize(
    "fault", [Fault("tube.arc", -1.0), Fault("tube.arc", 0.0, 0.0), Fault("tube.arc", count=0)]
)
def test_senseless_schedule_is_refused(fault: Fault) -> None:
    with pytest.raises(ValueError, match="expected"):
        Faults([fault])


def test_schedule_begins_and_ends_in_time() -> None:
    faults = Faults([Fault("tube.arc", 10.0, 5.0)])
    found = []
    for now_s in (0.0, 9.99, 10.0, 14.99, 15.0):
        faults.update(now_s)
        found.append(faults.active("tube.arc"))
    assert found == [False, False, True, True, False]
    assert faults.next_change_s == math.inf


def test_a_time_step_over_the_whole_fault_skips_it() -> None:
    faults = Faults([Fault("tube.arc", 10.0, 5.0)])
    faults.update(100.0)
    assert not faults.active("tube.arc")


def test_counted_fault_spoils_so_many_answers() -> None:
    faults = Faults()
    faults.set("cryostage.reply_lost", count=2)
    assert [faults.take("cryostage.reply_lost") for _ in range(4)] == [True, True, False, False]


def test_set_and_clear_live() -> None:
    faults = Faults([Fault("tube.arc", 50.0), Fault("stage.ln2_empty", 50.0)])
    faults.set("stage.vacuum_lost")
    assert faults.active("stage.vacuum_lost")
    faults.clear("stage.vacuum_lost")
    faults.clear("tube.arc")
    faults.update(60.0)
    assert [entry["name"] for entry in faults.state()] == ["stage.ln2_empty"]
    faults.clear()
    assert faults.state() == []


def test_random_faults_are_a_poisson_process_of_their_seed() -> None:
    names = ["tube.arc", "cryostage.reply_lost"]
    plan = random_faults(3, names, per_hour=10.0, duration_s=30.0, horizon_s=3600.0 * 1000)
    arcs = [fault.at_s for fault in plan if fault.name == "tube.arc"]
    assert len(arcs) == pytest.approx(10_000, abs=4 * 100)
    assert plan == random_faults(3, reversed(names), per_hour=10.0, duration_s=30.0, horizon_s=3600.0 * 1000)
    assert plan[:5] != random_faults(4, names, per_hour=10.0, duration_s=30.0, horizon_s=3600.0 * 1000)[:5]
    lost = next(fault for fault in plan if fault.name == "cryostage.reply_lost")
    assert lost.count == 1


def test_the_page_on_the_simulated_rig_lists_every_fault_as_it_is() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "simulated_rig.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([a-z0-9_]+\.[a-z0-9_]+)` \| (.+) \|$", page, flags=re.MULTILINE))
    assert listed == FAULTS


def test_every_fault_of_the_list_has_a_name_and_words() -> None:
    lines = {"reply_lost", "reply_late", "reply_truncated", "reply_doubled", "reply_garbled", "port_gone"}
    assert {f"{kind}.{name}" for kind in ("cryostage", "tube") for name in lines} <= set(FAULTS)
    assert all(text for text in FAULTS.values())
