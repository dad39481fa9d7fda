"""The tube's driver on a real (pseudo-)terminal, through pyserial and through VISA."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.errors import InstrumentConnectionError, InstrumentError

if sys.platform == "win32":
    pytest.skip(
        "pseudo-terminals are of POSIX; on Windows the same lines are tested by socket://",
        allow_module_level=True,
    )


class Terminal:
    """A pseudo-terminal whose other end is the simulated supply."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._master, self._slave = os.openpty()
        self.port = os.ttyname(self._slave)
        self._socket = socket.create_connection(server)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        while not self._ended.is_set():
            readable, _, _ = select.select([self._master, self._socket], [], [], 0.05)
            if self._master in readable:
                self._socket.sendall(os.read(self._master, 4096))
            if self._socket in readable:
                os.write(self._master, self._socket.recv(4096))

    def close(self) -> None:
        self._ended.set()
        self._thread.join(60.0)
        self._socket.close()
        os.close(self._master)
        os.close(self._slave)


@pytest.fixture
def terminal(make_bench: Callable[..., Any]) -> Iterator[tuple[Any, Terminal]]:
    bench = make_bench(checksum=True, late_s=0.35)
    made = Terminal(bench.server.host_and_port)
    yield bench, made
    for driver in bench.drivers:
        driver.close()
    made.close()


@pytest.mark.parametrize("form", ["{}", "ASRL{}::INSTR"])
def test_the_beam_goes_on_and_off_over_a_serial_port(terminal: tuple[Any, Terminal], form: str) -> None:
    bench, line = terminal
    driver = bench.driver(address=form.format(line.port))
    driver.open()
    assert driver.identify().model == "uX50P50"
    driver.beam_on(40.0, 300.0)
    assert driver.status().state == "on"
    sent = {entry.data for entry in driver.traffic.entries() if entry.direction == "sent"}
    assert b"\x0222,p\x03" in sent  # status, with its checksum
    driver.beam_off()
    assert not bench.tube.hv_on


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        ("{}", "reply_lost"),
        ("{}", "reply_late"),
        ("{}", "reply_truncated"),
        ("{}", "reply_doubled"),
        ("{}", "reply_garbled"),
        ("ASRL{}::INSTR", "reply_lost"),
        ("ASRL{}::INSTR", "reply_garbled"),
    ],
)
def test_one_spoilt_answer_is_asked_again(terminal: tuple[Any, Terminal], form: str, fault: str) -> None:
    bench, line = terminal
    driver = bench.driver(address=form.format(line.port))
    driver.open()
    driver.beam_on(40.0, 300.0)
    bench.hurry(0.2)
    bench.faults.set(f"tube.{fault}", count=1)
    for _ in range(3):
        assert driver.status().voltage.value == pytest.approx(40.0, abs=0.1)
    assert bench.tube.hv_on


def test_a_wrong_baud_rate_or_no_supply_is_an_error_of_ours(terminal: tuple[Any, Terminal]) -> None:
    bench, line = terminal
    driver = bench.driver(address=line.port, checksum=False, attempts=1, reply_timeout_s=0.1)
    with pytest.raises(InstrumentError, match=r"checksum|protocol"):
        driver.open()
    with pytest.raises(InstrumentConnectionError):
        bench.driver(address="/dev/no-such-port").open()
