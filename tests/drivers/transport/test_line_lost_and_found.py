"""Which line an address is; pauses between reconnects, pacing, threads, and that nothing is left behind."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from drivers.clock import SystemClock
from drivers.errors import InstrumentConnectionError
from drivers.lines import SerialLine, TcpLine, is_visa_name, line_to
from drivers.transport import Patience, Transport
from drivers.visa_line import VisaLine

LONG_S = 60.0


def echo(request: bytes) -> list[bytes | None]:
    return [request + b"=1\r"]


def test_which_address_is_which_line() -> None:
    assert isinstance(line_to("tcp://192.168.1.4:50001"), TcpLine)
    for name in ("COM3", "/dev/ttyUSB0", "socket://localhost:9000", "loop://"):
        assert isinstance(line_to(name), SerialLine)
        assert line_to(name).is_serial
    assert isinstance(line_to("TCPIP0::192.168.1.4::50001::SOCKET"), VisaLine)
    assert not line_to("TCPIP0::192.168.1.4::50001::SOCKET").is_serial
    assert line_to("ASRL3::INSTR").is_serial
    assert is_visa_name("GPIB0::12::INSTR")
    assert not is_visa_name("COM3")


@pytest.mark.parametrize("address", ["tcp://", "tcp://host", "tcp://host:x", "tcp://host:99999"])
def test_a_wrong_tcp_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="tcp://host:port"):
        line_to(address)


def test_the_pauses_between_reconnects_grow(serve: Any, connect: Any, stepped_clock: Any) -> None:
    server = serve(echo)
    transport = connect(server, clock=stepped_clock, attempts=1, first_pause_s=0.2, longest_pause_s=0.8)
    server.go()
    with pytest.raises(InstrumentConnectionError, match="lost"):
        transport.exchange(b"q\r", harmless=True)
    for pause_s in (0.2, 0.4, 0.8, 0.8):
        with pytest.raises(InstrumentConnectionError, match="cannot connect"):
            transport.exchange(b"q\r", harmless=True)
        with pytest.raises(InstrumentConnectionError, match=f"he next attempt is made in {pause_s} s"):
            transport.exchange(b"q\r", harmless=True)
        stepped_clock.sleep(pause_s)
    server.listen()
    assert transport.exchange(b"q\r", harmless=True, urgent=True) == b"q=1\r"


def test_requests_are_paced(serve: Any, connect: Any, stepped_clock: Any) -> None:
    transport = connect(serve(echo), clock=stepped_clock, pacing_s=0.05)
    for _ in range(4):
        transport.exchange(b"q\r", harmless=True)
    assert stepped_clock.now() == pytest.approx(0.15)


def test_threads_take_turns(serve: Any, connect: Any) -> None:
    transport = connect(serve(echo))
    wrong = []

    def ask(number: int) -> None:
        for _ in range(20):
            request = b"%d\r" % number
            if transport.exchange(request, harmless=False) != b"%d=1\r" % number:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert wrong == []


def test_a_closed_transport_says_so_and_closing_twice_is_nothing(serve: Any, connect: Any) -> None:
    transport = connect(serve(echo))
    transport.close()
    transport.close()
    with pytest.raises(InstrumentConnectionError, match="no connection"):
        transport.exchange(b"q\r", harmless=True)


@pytest.mark.parametrize(
    "address",
    [
        "/dev/no-such-port",
        "COM_NO",
        "nonsense://x",
        "ASRL/dev/no-such-port::INSTR",
        "USB0::0x1::0x2::X::INSTR",
    ],
)
def test_lines_that_cannot_be_opened_raise_ours(address: str) -> None:
    transport = Transport("device", line_to(address), clock=SystemClock(), terminator=b"\r")
    with pytest.raises(InstrumentConnectionError, match="device: cannot connect"):
        transport.open()
    transport.close()


def test_the_log_can_be_saved(serve: Any, connect: Any, tmp_path: Path) -> None:
    transport = connect(serve(echo))
    transport.exchange(b"q\r", harmless=True)
    transport.traffic.save(tmp_path / "log.tsv")
    rows = [line.split("\t")[1:3] for line in (tmp_path / "log.tsv").read_text(encoding="utf-8").splitlines()]
    assert rows == [["direction", "bytes"], ["note", ""], ["sent", "71 0d"], ["received", "71 3d 31 0d"]]


@pytest.mark.parametrize("form", ["tcp://127.0.0.1:{}", "TCPIP0::127.0.0.1::{}::SOCKET", "loop://"])
def test_a_thousand_reconnects_leave_no_handle_and_no_thread(form: str) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        transport = Transport(
            "device",
            line_to(form.format(listening.getsockname()[1])),
            clock=SystemClock(),
            terminator=b"\r",
            patience=Patience(reply_timeout_s=0.001, connect_timeout_s=LONG_S),
        )
        handles = Path("/proc/self/fd")
        before = threading.active_count()
        for number in range(1000):
            transport.open()
            if form != "loop://":
                listening.accept()[0].close()
            if number == 0 and handles.exists():
                open_handles = len(list(handles.iterdir()))
            transport.close()
        assert threading.active_count() == before
        if handles.exists():
            assert len(list(handles.iterdir())) <= open_handles
