"""Messages over TCP, pyserial and VISA lines: deadlines, repeats, reconnects, what is never repeated."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.clock import SystemClock
from drivers.errors import InstrumentConnectionError, InstrumentTimeoutError, ProtocolError
from drivers.lines import SerialLine, TcpLine, is_visa_name, line_to
from drivers.transport import Patience, Transport
from drivers.visa_line import VisaLine

Answer = Callable[[bytes], list[tuple[float, bytes]]]


class ScriptedServer:
    """Answers each CR-ended request with (delay, bytes) pairs; ``None`` closes the connection."""

    def __init__(self, answer: Callable[[bytes], list[tuple[float, bytes | None]]]) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.port = 0
        self._socket: socket.socket | None = None
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.listen()

    def listen(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(8)
        self.port = listening.getsockname()[1]
        self._socket = listening
        self._accepting = self._start(self._accept, listening)

    def _start(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        pending = b""
        try:
            while received := connection.recv(4096):
                *lines, pending = (pending + received).split(b"\r")
                for line in lines:
                    self.requests.append(line)
                    for delay_s, reply in self.answer(line):
                        time.sleep(delay_s)
                        if reply is None:
                            connection.close()
                            return
                        connection.sendall(reply)
        except OSError:
            return

    def go(self) -> None:
        """Close everything: nobody listens any more, and nobody accepted in the last moment is served."""
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
        self._accepting.join(5.0)
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._connections.clear()
        for thread in self._threads:
            thread.join(5.0)
        self._threads.clear()


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    servers = []

    def start(answer: Callable[[bytes], list[tuple[float, bytes | None]]]) -> ScriptedServer:
        servers.append(ScriptedServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.go()


ADDRESSES = ["tcp://127.0.0.1:{}", "socket://127.0.0.1:{}", "TCPIP0::127.0.0.1::{}::SOCKET"]


@pytest.fixture
def connect() -> Iterator[Callable[..., Transport]]:
    transports = []

    def make(server: ScriptedServer, form: str = ADDRESSES[0], **patience: float) -> Transport:
        quick = {"reply_timeout_s": 2.0, "connect_timeout_s": 1.0, "first_pause_s": 0.05} | patience
        transport = Transport(
            "device",
            line_to(form.format(server.port)),
            clock=SystemClock(),
            terminator=b"\r",
            patience=Patience(**quick),  # type: ignore[arg-type]
        )
        transports.append(transport)
        transport.open()
        return transport

    yield make
    for transport in transports:
        transport.close()


def echo(request: bytes) -> list[tuple[float, bytes | None]]:
    return [(0.0, request + b"=1\r")]


def answers(request: bytes) -> Callable[[bytes], bool]:
    return lambda reply: reply.startswith(request.rstrip(b"\r") + b"=")


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


@pytest.mark.parametrize("form", ADDRESSES)
class TestOnEveryLine:
    """The same contract on each kind of line."""

    def test_question_and_answer(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        transport = connect(serve(echo), form)
        for number in range(20):
            request = b"%d\r" % number
            assert transport.exchange(request, harmless=False) == b"%d=1\r" % number

    def test_a_reply_in_pieces(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        server = serve(lambda request: [(0.0, b"ab"), (0.03, b"c"), (0.03, b"d\r")])
        assert connect(server, form).exchange(b"q\r", harmless=False) == b"abcd\r"

    def test_silence_is_a_timeout_after_the_deadline_and_not_much_later(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        transport = connect(serve(lambda request: []), form, reply_timeout_s=0.15)
        began, burnt = time.monotonic(), time.process_time()
        with pytest.raises(InstrumentTimeoutError, match=r"within 0\.15 s"):
            transport.exchange(b"q\r", harmless=False)
        assert 0.14 < time.monotonic() - began < 0.8
        assert time.process_time() - burnt < 0.3

    def test_a_closed_connection_is_seen_at_once(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        transport = connect(serve(lambda request: [(0.0, None)]), form, reply_timeout_s=5.0)
        began = time.monotonic()
        with pytest.raises(InstrumentConnectionError, match="lost"):
            transport.exchange(b"q\r", harmless=False)
        assert time.monotonic() - began < 2.0
        assert not transport.connected

    def test_nobody_there(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        server = serve(echo)
        server.go()
        with pytest.raises(ConnectionError, match="device: cannot connect"):
            connect(server, form)

    def test_a_harmless_question_is_asked_again(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        lost = [True, True]
        server = serve(lambda request: [] if lost and lost.pop() else echo(request))
        assert connect(server, form, reply_timeout_s=0.25).exchange(b"q\r", harmless=True) == b"q=1\r"
        assert server.requests == [b"q"] * 3

    def test_what_is_not_harmless_is_sent_once(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        server = serve(lambda request: [])
        transport = connect(server, form, reply_timeout_s=0.15)
        with pytest.raises(TimeoutError):
            transport.exchange(b"on\r", harmless=False)
        time.sleep(0.05)
        assert server.requests == [b"on"]

    def test_what_is_not_harmless_is_never_the_first_on_a_new_connection(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        server = serve(echo)
        transport = connect(server, form)
        server.go()
        with pytest.raises(InstrumentConnectionError):
            transport.exchange(b"q\r", harmless=True)
        server.listen()
        time.sleep(0.5)
        before = list(server.requests)
        with pytest.raises(InstrumentConnectionError, match="Nothing was sent"):
            transport.exchange(b"on\r", harmless=False)
        assert server.requests == before
        assert transport.exchange(b"q\r", harmless=True) == b"q=1\r"
        assert transport.exchange(b"on\r", harmless=False) == b"on=1\r"

    def test_it_reconnects_within_the_attempts(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        server = serve(echo)
        transport = connect(server, form)
        transport.exchange(b"q\r", harmless=True)
        server.go()
        server.listen()
        assert transport.exchange(b"q\r", harmless=True) == b"q=1\r"
        assert transport.reconnects == 1

    def test_a_late_answer_is_not_taken_for_the_next_ones(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        delays = [0.0, 0.6]
        server = serve(lambda request: [(delays.pop() if delays else 0.0, b"%d\r" % len(server.requests))])
        transport = connect(server, form, reply_timeout_s=0.4)
        with pytest.raises(TimeoutError):
            transport.exchange(b"q\r", harmless=False)
        for _ in range(5):
            asked = len(server.requests) + 1
            assert transport.exchange(b"q\r", harmless=True) == b"%d\r" % asked

    def test_a_doubled_answer_is_not_taken_for_the_next_ones(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        server = serve(lambda request: [(0.0, (request + b"=%d\r" % len(server.requests)) * 2)])
        transport = connect(server, form)
        for number in range(1, 8):
            assert transport.exchange(b"q\r", harmless=True) == b"q=%d\r" % number

    def test_a_foreign_reply_is_passed_over_and_logged(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        server = serve(lambda request: [(0.0, b"x=9\r" + request + b"=1\r")])
        transport = connect(server, form)
        assert transport.exchange(b"q\r", harmless=True, is_reply=answers(b"q")) == b"q=1\r"
        assert any("not the reply" in entry.meaning for entry in transport.traffic.entries())

    @pytest.mark.parametrize("reply", [b"x=9\r", b"q="])
    def test_nothing_but_foreign_or_broken_replies_is_a_protocol_error(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str, reply: bytes
    ) -> None:
        transport = connect(serve(lambda request: [(0.0, reply)]), form, reply_timeout_s=0.15)
        with pytest.raises(ProtocolError, match="instead came"):
            transport.exchange(b"q\r", harmless=False, is_reply=answers(b"q"))

    def test_endless_noise_without_an_end_is_given_up_at_the_deadline(
        self, serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], form: str
    ) -> None:
        transport = connect(serve(lambda request: [(0.0, b"\xff" * 200_000)]), form, reply_timeout_s=0.15)
        began = time.monotonic()
        with pytest.raises(ProtocolError):
            transport.exchange(b"q\r", harmless=False)
        assert time.monotonic() - began < 1.5


def test_the_pauses_between_reconnects_grow(
    serve: Callable[..., ScriptedServer], connect: Callable[..., Transport]
) -> None:
    server = serve(echo)
    transport = connect(server, attempts=1, first_pause_s=0.2, longest_pause_s=0.8)
    server.go()
    with pytest.raises(InstrumentConnectionError, match="lost"):
        transport.exchange(b"q\r", harmless=True)
    with pytest.raises(InstrumentConnectionError, match="cannot connect"):
        transport.exchange(b"q\r", harmless=True)
    with pytest.raises(InstrumentConnectionError, match=r"[Tt]he next attempt is made in 0\.2 s"):
        transport.exchange(b"q\r", harmless=True)
    time.sleep(0.25)
    with pytest.raises(InstrumentConnectionError, match="cannot connect"):
        transport.exchange(b"q\r", harmless=True)
    with pytest.raises(InstrumentConnectionError, match=r"[Tt]he next attempt is made in 0\.4 s"):
        transport.exchange(b"q\r", harmless=True)
    server.listen()
    assert transport.exchange(b"q\r", harmless=True, urgent=True) == b"q=1\r"


def test_requests_are_paced(serve: Callable[..., ScriptedServer], connect: Callable[..., Transport]) -> None:
    transport = connect(serve(echo), pacing_s=0.05)
    began = time.monotonic()
    for _ in range(4):
        transport.exchange(b"q\r", harmless=True)
    assert time.monotonic() - began >= 0.15


def test_threads_take_turns(serve: Callable[..., ScriptedServer], connect: Callable[..., Transport]) -> None:
    transport = connect(serve(lambda request: [(0.002, request + b"=1\r")]), reply_timeout_s=5.0)
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
        thread.join(10.0)
    assert wrong == []


def test_a_closed_transport_says_so_and_closing_twice_is_nothing(
    serve: Callable[..., ScriptedServer], connect: Callable[..., Transport]
) -> None:
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


def test_the_log_can_be_saved(
    serve: Callable[..., ScriptedServer], connect: Callable[..., Transport], tmp_path: Path
) -> None:
    transport = connect(serve(echo))
    transport.exchange(b"q\r", harmless=True)
    transport.traffic.save(tmp_path / "log.tsv")
    rows = [line.split("\t")[1:3] for line in (tmp_path / "log.tsv").read_text(encoding="utf-8").splitlines()]
    assert rows == [["direction", "bytes"], ["note", ""], ["sent", "71 0d"], ["received", "71 3d 31 0d"]]


@pytest.mark.parametrize("form", [ADDRESSES[0], ADDRESSES[2], "loop://"])
def test_a_thousand_reconnects_leave_no_handle_and_no_thread(form: str) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        transport = Transport(
            "device",
            line_to(form.format(listening.getsockname()[1])),
            clock=SystemClock(),
            terminator=b"\r",
            patience=Patience(reply_timeout_s=0.001),
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
