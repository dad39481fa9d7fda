"""A tagger that is not there, goes, comes back or hangs."""

from __future__ import annotations

import gc
import threading

import pytest

from drivers.errors import (
    InstrumentConnectionError,
    InstrumentTimeoutError,
)


def test_no_tagger_names_those_that_are_free(bench):
    with pytest.raises(InstrumentConnectionError, match=r"(?s)1234.*free now: SIMULATED1.*udev"):
        bench.tagger(serial_number="1234").open()


def test_tagger_in_use_is_a_connection_error(bench):
    with bench.tagger(), pytest.raises(InstrumentConnectionError, match="already in use"):
        bench.tagger().open()


def test_close_during_a_record_is_told(bench):
    tagger = bench.tagger()
    tagger.open()
    stream = tagger.stream([1, 2], 10.0)
    next(stream)
    tagger.close()
    with pytest.raises(InstrumentConnectionError, match="closed or lost during the record"):
        list(stream)
    tagger.close()


def test_status_of_a_closed_tagger(bench):
    status = bench.tagger().status()
    assert not status.connected
    assert status.state == "closed"


class Standing:
    """A vendor module whose tagger's time stands still after the first buffer."""

    def __init__(self, vendor):
        self._vendor = vendor

    def __getattr__(self, name):
        return getattr(self._vendor, name)

    def TimeTagStream(self, tagger, n, channels):
        stream = self._vendor.TimeTagStream(tagger, n, channels)
        buffer = stream.getData()
        stream.getData = lambda: buffer
        return stream


class Broken(Standing):
    """A vendor module that fails as if the cable were pulled."""

    def TimeTagStream(self, tagger, n, channels):
        stream = self._vendor.TimeTagStream(tagger, n, channels)
        answers = [stream.getData(), RuntimeError("USB transfer error")]

        def get_data():
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        stream.getData = get_data
        return stream


def test_time_that_stands_still_is_a_timeout(bench):
    tagger = bench.tagger(vendor=Standing(bench.vendor), read_timeout_s=4.0)
    with tagger, pytest.raises(InstrumentTimeoutError, match=r"stands still for [45](\.\d+)? s"):
        bench.record(tagger, 60.0)


def test_pulled_cable_is_a_connection_error(bench):
    tagger = bench.tagger(vendor=Broken(bench.vendor))
    with tagger, pytest.raises(InstrumentConnectionError, match="USB transfer error"):
        bench.record(tagger, 60.0)


def test_lost_tagger_comes_back_with_its_settings_at_growing_intervals(bench):
    channels = {"A": {"channel": 1, "trigger_level_V": 1.25, "delay_ps": 70}, "B": {"channel": 2}}
    tagger = bench.tagger(channels=channels)
    tagger.open()
    tagger.set_test_signal(True)
    box = bench.vendor._box
    box.attached = False
    status = tagger.status()
    assert (status.connected, status.state) == (False, "lost")
    assert "USB transfer error" in status.faults[0]
    assert "no connection to time tagger" in tagger.status().faults[0]
    tries = 0
    for _ in range(200):
        bench.world.advance(0.5)
        tries += "Next try in" not in tagger.status().faults[0]
    # after 1, 2, 4, 8, 16, 30, 30 s
    assert tries == 7
    with pytest.raises(InstrumentConnectionError, match="is gone"):
        bench.record(tagger)
    box.attached = True
    bench.world.advance(30.0)
    assert tagger.status().connected
    assert tagger.readings()["A.trigger_level"].value == 1.25
    assert tagger.readings()["A.delay"].value == 70
    assert not box.inputs[1].test_signal
    assert bench.record(tagger, 1.0)
    told = "\n".join(entry.meaning for entry in tagger.traffic.entries())
    assert "lost: could not read the count rates" in told
    assert "connected again" in told


def test_cable_pulled_and_back_during_a_record_ends_the_record_only(bench):
    with bench.tagger() as tagger:
        stream = tagger.stream([1, 2], 100.0)
        next(stream)
        bench.vendor._box.attached = False
        with pytest.raises(InstrumentConnectionError, match=r"could not read the stream.*connected again"):
            list(stream)
        bench.vendor._box.attached = True
        assert sum(chunk.end_ps - chunk.begin_ps for chunk in bench.record(tagger, 2.0)) == 2 * 10**12


def test_a_thousand_reconnects_leak_nothing(bench, until):
    tagger = bench.tagger()
    threads = threading.active_count()
    for round_number in range(1000):
        tagger.open()
        if round_number % 10 == 0:
            tagger.status()
            next(stream := tagger.stream([1, 2], 1.0), None)
            if round_number % 20 == 0:
                stream.close()
        tagger.close()
    box = bench.vendor._box
    assert not box.listeners
    assert not box.connected
    until(lambda: threading.active_count() <= threads)
    gc.collect()
    alive = [thing for thing in gc.get_objects() if type(thing).__name__ in ("TimeTagStream", "Countrate")]
    assert len(alive) <= 1
    assert bench.vendor.scanTimeTagger() == ("SIMULATED1",)


def test_start_that_never_comes_is_a_timeout(bench):
    with bench.tagger() as tagger:
        bench.vendor.TimeTagger.sync, kept = (lambda self, timeout=-1: False), bench.vendor.TimeTagger.sync
        try:
            with pytest.raises(InstrumentTimeoutError, match="no data came within 10 s"):
                bench.record(tagger)
        finally:
            bench.vendor.TimeTagger.sync = kept
        assert len(bench.vendor._box.listeners) == 1


def test_status_may_be_asked_while_a_record_runs(bench, until):
    with bench.tagger(poll_s=0.05) as tagger:
        ended = threading.Event()
        statuses, errors = [], []

        def watch() -> None:
            try:
                while not ended.is_set():
                    statuses.append(tagger.status())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=watch, name="watches the tagger")
        thread.start()
        try:
            until(lambda: statuses or errors)
            chunks = bench.record(tagger, 2.0)
        finally:
            ended.set()
            thread.join(60.0)
        assert not errors
        assert statuses
        assert all(status.connected for status in statuses)
        assert sum(chunk.end_ps - chunk.begin_ps for chunk in chunks) == 2 * 10**12
        assert not any(chunk.gaps for chunk in chunks)


class Hanging(Standing):
    """A vendor module whose stream hangs in the library until it is released."""

    def __init__(self, vendor, hang):
        super().__init__(vendor)
        self._hang = hang

    def TimeTagStream(self, tagger, n, channels):
        stream = self._vendor.TimeTagStream(tagger, n, channels)
        get_data, answers = stream.getData, [stream.getData]

        def first_and_never_again():
            if answers:
                return answers.pop()()
            self._hang.stay()
            return get_data()

        stream.getData = first_and_never_again
        return stream


def test_call_that_never_returns_is_a_timeout_and_the_tagger_comes_back(make_bench, hang):
    bench = make_bench(beam=False)
    vendor = Hanging(bench.vendor, hang)
    with bench.tagger(vendor=vendor, call_timeout_s=0.5, read_timeout_s=0.5) as tagger:
        with pytest.raises(InstrumentTimeoutError, match=r"library does not return: no answer within 1 s"):
            bench.record(tagger)
        assert "an earlier call still hangs" in tagger.status().faults[0]
        hang.release()
        bench.world.advance(2.0)
        assert tagger.status().connected


def test_failed_open_can_be_tried_again(bench):
    tagger = bench.tagger()
    bench.vendor._box.attached = False
    for _ in range(2):
        with pytest.raises(InstrumentConnectionError, match="no connection"):
            tagger.open()
        assert tagger.status().state == "closed"
    bench.vendor._box.attached = True
    tagger.open()
    assert tagger.status().connected
