"""The log of what went over a line."""

from __future__ import annotations

import threading
from pathlib import Path

from drivers.traffic import TrafficLog


def test_it_keeps_time_direction_bytes_and_meaning() -> None:
    log = TrafficLog()
    log.record(1_700_000_000.25, "sent", b"\x0222,\x03", "status")
    log.record(1_700_000_000.5, "received", b"\x0222,0,0,0,\x03", "status 0,0,0")
    first, second = log.entries()
    assert (first.epoch_s, first.direction, first.data, first.meaning) == (
        1_700_000_000.25,
        "sent",
        b"\x0222,\x03",
        "status",
    )
    assert str(first) == "2023-11-14T22:13:20.250+00:00  ->  02 32 32 2c 03  status"
    assert "<-" in str(second)


def test_a_note_has_no_bytes() -> None:
    log = TrafficLog()
    log.record(0.0, "note", b"", "connected")
    assert str(log.entries()[0]) == "1970-01-01T00:00:00.000+00:00  --  connected"


def test_it_forgets_the_oldest_and_gives_the_last() -> None:
    log = TrafficLog(capacity=3)
    for number in range(5):
        log.record(float(number), "sent", bytes([number]))
    assert [entry.data for entry in log.entries()] == [b"\x02", b"\x03", b"\x04"]
    assert [entry.data for entry in log.entries(last=2)] == [b"\x03", b"\x04"]
    assert log.entries(last=0) == ()
    assert len(log.entries(last=99)) == 3


def test_it_is_saved_as_a_table(tmp_path: Path) -> None:
    log = TrafficLog()
    log.record(1_700_000_000.25, "sent", b"\x02\x03", "a\tb\nc")
    log.save(tmp_path / "traffic.tsv")
    lines = (tmp_path / "traffic.tsv").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "time\tdirection\tbytes\tmeaning",
        "2023-11-14T22:13:20.250000+00:00\tsent\t02 03\ta b c",
    ]


def test_many_threads_may_write() -> None:
    log = TrafficLog(capacity=10_000)
    threads = [
        threading.Thread(target=lambda: [log.record(0.0, "sent", b"x") for _ in range(500)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.entries()) == 2000
