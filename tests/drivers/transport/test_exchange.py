"""One request, one reply, on TCP, serial and VISA lines: deadlines, repeats, what is never repeated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.errors import InstrumentConnectionError, InstrumentTimeoutError, ProtocolError
from drivers.transport import Transport

ADDRESSES = ["tcp://127.0.0.1:{}", "socket://127.0.0.1:{}", "TCPIP0::127.0.0.1::{}::SOCKET"]
LONG_S = 60.0


def echo(request: bytes) -> list[bytes | None]:
    return [request + b"=1\r"]


def sent(transport: Transport) -> list[bytes]:
    return [entry.data for entry in transport.traffic.entries() if entry.direction == "sent"]


def answers(request: bytes) -> Callable[[bytes], bool]:
    return lambda reply: reply.startswith(request.rstrip(b"\r") + b"=")


@pytest.mark.parametrize("form", ADDRESSES)
class TestOnEveryLine:
    """The same contract on each kind of line."""

    def test_question_and_answer(self, serve: Any, connect: Any, form: str) -> None:
        transport = connect(serve(echo), form)
        for number in range(20):
            request = b"%d\r" % number
            assert transport.exchange(request, harmless=False) == b"%d=1\r" % number

    def test_a_reply_in_pieces(self, serve: Any, connect: Any, form: str) -> None:
        taken = threading.Semaphore(0)

        def in_pieces(request: bytes) -> Iterator[bytes]:
            for piece in (b"ab", b"c", b"d\r"):
                yield piece
                taken.acquire(timeout=LONG_S)

        transport = connect(serve(in_pieces), form)
        line: Any = transport._line
        plain, received = line.receive, []

        def receive(timeout_s: float) -> bytes:
            received.append(bytes(plain(timeout_s)))
            if received[-1]:
                taken.release()
            return received[-1]

        line.receive = receive
        assert transport.exchange(b"q\r", harmless=False) == b"abcd\r"
        assert [piece for piece in received if piece] == [b"ab", b"c", b"d\r"]

    def test_silence_is_a_timeout_after_the_deadline_without_busy_waiting(
        self, serve: Any, connect: Any, form: str
    ) -> None:
        transport = connect(serve(lambda request: []), form, reply_timeout_s=0.15)
        line: Any = transport._line
        plain, looks = line.receive, []
        line.receive = lambda timeout_s: (looks.append(timeout_s), plain(timeout_s))[1]
        began = time.monotonic()
        with pytest.raises(InstrumentTimeoutError, match=r"within 0\.15 s"):
            transport.exchange(b"q\r", harmless=False)
        assert time.monotonic() - began >= 0.15
        assert len(looks) < 20

    def test_a_closed_connection_is_seen_at_once(self, serve: Any, connect: Any, form: str) -> None:
        transport = connect(serve(lambda request: [None]), form)
        with pytest.raises(InstrumentConnectionError, match="lost"):
            transport.exchange(b"q\r", harmless=False)
        assert not transport.connected

    def test_nobody_there(self, serve: Any, connect: Any, form: str) -> None:
        server = serve(echo)
        server.go()
        with pytest.raises(ConnectionError, match="device: cannot connect"):
            connect(server, form)

    def test_a_harmless_question_is_asked_again(
        self, serve: Any, connect: Any, in_step: Any, form: str
    ) -> None:
        server = serve(lambda request: echo(request) if len(server.requests) == 2 else [])
        transport = connect(server, form)
        in_step(transport, server, 0.02, 0.02)
        assert transport.exchange(b"q\r", harmless=True) == b"q=1\r"
        assert server.requests == [b"q"] * 3

    def test_what_is_not_harmless_is_sent_once(self, serve: Any, connect: Any, form: str) -> None:
        transport = connect(serve(lambda request: []), form, reply_timeout_s=0.05)
        with pytest.raises(TimeoutError):
            transport.exchange(b"on\r", harmless=False)
        assert sent(transport) == [b"on\r"]

    def test_what_is_not_harmless_is_never_the_first_on_a_new_connection(
        self, serve: Any, connect: Any, stepped_clock: Any, form: str
    ) -> None:
        server = serve(echo)
        transport = connect(server, form, clock=stepped_clock)
        server.go()
        with pytest.raises(InstrumentConnectionError):
            transport.exchange(b"q\r", harmless=True)
        server.listen()
        stepped_clock.sleep(60.0)
        before = list(server.requests)
        with pytest.raises(InstrumentConnectionError, match="Nothing was sent"):
            transport.exchange(b"on\r", harmless=False)
        assert server.requests == before
        assert transport.exchange(b"q\r", harmless=True) == b"q=1\r"
        assert transport.exchange(b"on\r", harmless=False) == b"on=1\r"

    def test_it_reconnects_within_the_attempts(self, serve: Any, connect: Any, form: str) -> None:
        server = serve(echo)
        transport = connect(server, form)
        transport.exchange(b"q\r", harmless=True)
        server.go()
        server.listen()
        assert transport.exchange(b"q\r", harmless=True) == b"q=1\r"
        assert transport.reconnects == 1

    def test_a_late_answer_is_not_taken_for_the_next_ones(
        self, serve: Any, connect: Any, in_step: Any, until: Any, form: str
    ) -> None:
        """The answer leaves the server when the deadline has passed, and before the next question."""
        server = serve(lambda request: [b"%d\r" % len(server.requests)])
        transport = connect(server, form)
        in_step(transport, server, 0.05)
        plain = transport._resynchronise
        server.let_go.clear()

        def deadline_passed() -> None:
            server.let_go.set()
            until(lambda: server.pieces == 1)
            plain()

        transport._resynchronise = deadline_passed
        with pytest.raises(TimeoutError):
            transport.exchange(b"q\r", harmless=False)
        for number in range(1, 6):
            assert transport.exchange(b"q\r", harmless=True) == b"%d\r" % number

    def test_a_doubled_answer_is_not_taken_for_the_next_ones(
        self, serve: Any, connect: Any, form: str
    ) -> None:
        server = serve(lambda request: [(request + b"=%d\r" % len(server.requests)) * 2])
        transport = connect(server, form)
        for number in range(7):
            assert transport.exchange(b"q\r", harmless=True) == b"q=%d\r" % number

    def test_a_foreign_reply_is_passed_over_and_logged(self, serve: Any, connect: Any, form: str) -> None:
        server = serve(lambda request: [b"x=9\r" + request + b"=1\r"])
        transport = connect(server, form)
        assert transport.exchange(b"q\r", harmless=True, is_reply=answers(b"q")) == b"q=1\r"
        assert any("not the reply" in entry.meaning for entry in transport.traffic.entries())

    @pytest.mark.parametrize("reply", [b"x=9\r", b"q="])
    def test_nothing_but_foreign_or_broken_replies_is_a_protocol_error(
        self,
        serve: Any,
        connect: Any,
        give_up_after_pieces: Any,
        form: str,
        reply: bytes,
    ) -> None:
        server = serve(lambda request: [reply])
        transport = connect(server, form, reply_timeout_s=0.05)
        give_up_after_pieces(transport, server)
        with pytest.raises(ProtocolError, match="instead came"):
            transport.exchange(b"q\r", harmless=False, is_reply=answers(b"q"))

    def test_endless_noise_without_an_end_is_given_up_at_the_deadline(
        self, serve: Any, connect: Any, give_up_after_pieces: Any, form: str
    ) -> None:
        server = serve(lambda request: [b"\xff"] * 200_000)
        transport = connect(server, form, reply_timeout_s=0.05)
        give_up_after_pieces(transport, server)
        with pytest.raises(ProtocolError):
            transport.exchange(b"q\r", harmless=False)
