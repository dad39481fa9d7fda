"""The driver against the stand-in: what a record holds, what is set and read back, what a file keeps."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import threading
from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from drivers.errors import (
    FaultError,
    InstrumentConnectionError,
    InstrumentError,
    LimitError,
    ProtocolError,
)
from drivers.time_tagger.connection import Connection
from drivers.time_tagger.record import Record
from drivers.time_tagger.swabian import SwabianSettings, SwabianTimeTagger
from drivers.time_tagger.vendor_file import VendorFile, read_vendor_file
from simulators.detectors import Detector


def test_identity_and_readings_are_the_taggers(bench):
    with bench.tagger(channels={"A": {"channel": 1, "trigger_level_V": 1.25, "delay_ps": -300}}) as tagger:
        identity = tagger.identify()
        assert (identity.make, identity.model) == ("Swabian Instruments", "Time Tagger 20")
        assert identity.serial_number == "SIMULATED1"
        readings = tagger.readings()
        assert readings["A.trigger_level"].value == 1.25
        assert readings["A.delay"].value == -300
        assert readings["A.dead_time"].value == 6000
        assert {reading.source for reading in readings.values()} == {"measured"}


def test_chunks_join_and_add_up_to_the_picosecond(bench):
    with bench.tagger(poll_s=0.3) as tagger:
        for duration_s in (1.0, 0.123456789012, 2.7):
            chunks = bench.record(tagger, duration_s)
            assert sum(chunk.end_ps - chunk.begin_ps for chunk in chunks) == round(duration_s * 1e12)
            for chunk, following in pairwise(chunks):
                assert chunk.end_ps == following.begin_ps
            for chunk in chunks:
                stamps = chunk.timestamps_ps
                assert np.all(np.diff(stamps) >= 0)
                assert np.all((stamps >= chunk.begin_ps) & (stamps < chunk.end_ps))
                assert set(np.unique(chunk.channels)) <= {1, 2}
                assert chunk.gaps == ()


def test_rates_are_those_of_a_good_measurement(bench):
    with bench.tagger() as tagger:
        bench.world.advance(5.0)
        rates = tagger.status().rates_Hz
        for channel in (1, 2):
            assert 12_000 < rates[channel] < 25_000
        chunks = bench.record(tagger, 5.0)
        for channel in (1, 2):
            counted = sum(np.count_nonzero(chunk.channels == channel) for chunk in chunks)
            assert counted / 5.0 == pytest.approx(rates[channel], rel=0.05)


def test_only_dark_counts_without_beam_or_with_the_fibre_elsewhere(make_bench):
    for beam, port in ((False, "counters"), (True, "spectrometer")):
        bench = make_bench(beam=beam)
        bench.world.set_port(port)
        with bench.tagger() as tagger:
            counted = sum(chunk.timestamps_ps.size for chunk in bench.record(tagger, 20.0))
        # two counters of 25 dark counts per second, 1 % after-pulses
        assert counted == pytest.approx(20 * 50 / 0.99, abs=5 * np.sqrt(1000))


def test_same_seed_same_tags_other_seed_other_tags(make_bench):
    def tags(seed):
        bench = make_bench(seed=seed)
        with bench.tagger() as tagger:
            chunks = bench.record(tagger, 2.0)
        return np.concatenate([chunk.timestamps_ps for chunk in chunks])

    first = tags(1)
    assert np.array_equal(first, tags(1))
    other = tags(2)
    assert first.size == pytest.approx(other.size, rel=0.05)
    assert not np.array_equal(first[:50], other[:50])


def test_cancel_ends_the_record_and_keeps_what_came(bench):
    cancel = threading.Event()
    with bench.tagger() as tagger:
        chunks = []
        for chunk in tagger.stream([1, 2], 1000.0, cancel=cancel):
            chunks.append(chunk)
            if len(chunks) == 3:
                cancel.set()
        assert 3 <= len(chunks) <= 4
        assert not bench.vendor._box.listeners[1:]


def test_closing_the_iterator_stops_the_stream(bench):
    with bench.tagger() as tagger:
        stream = tagger.stream([1], 1000.0)
        next(stream)
        assert len(bench.vendor._box.listeners) == 2
        stream.close()
        assert len(bench.vendor._box.listeners) == 1


def test_a_delay_moves_the_stamps_of_one_counter(make_bench):
    delayed, plain = make_bench(), make_bench()
    with delayed.tagger(channels={"A": {"channel": 1}, "B": {"channel": 2, "delay_ps": -7000}}) as tagger:
        first = np.concatenate(
            [chunk.timestamps_ps[chunk.channels == 2] for chunk in delayed.record(tagger, 0.5)]
        )
    with plain.tagger() as tagger:
        second = np.concatenate(
            [chunk.timestamps_ps[chunk.channels == 2] for chunk in plain.record(tagger, 0.5)]
        )
    shifted = np.intersect1d(first, second - 7000)
    assert shifted.size > 0.99 * second.size


def test_falling_edge_comes_one_pulse_length_later(bench):
    with bench.tagger(channels={"A": {"channel": 1}, "A end": {"channel": -1}}) as tagger:
        chunks = bench.record(tagger, 1.0, channels=(1, -1))
    stamps = np.concatenate([chunk.timestamps_ps for chunk in chunks])
    channels = np.concatenate([chunk.channels for chunk in chunks])
    rising, falling = stamps[channels == 1][:5000], stamps[channels == -1][:5000]
    # 20 ns pulses, 34 ps of jitter on either stamp
    length = falling - rising
    assert np.mean(length) == pytest.approx(20_000, abs=5 * 48 / np.sqrt(5000))
    assert np.std(length) == pytest.approx(np.sqrt(2) * 34, rel=0.06)


def test_trigger_level_above_the_pulse_sees_nothing(bench):
    channels = {"A": {"channel": 1, "trigger_level_V": 2.5}, "B": {"channel": 2}}
    with (
        bench.tagger(channels=channels) as tagger,
        pytest.raises(FaultError, match=r"counter 'A' \(channel 1\) gave no pulse for 10 s.*trigger level"),
    ):
        bench.record(tagger, 60.0)


def test_negative_pulses_need_a_model_that_takes_them(make_bench):
    bench = make_bench(model="Time Tagger Ultra", pulse_V=-0.8)
    nim = {"A": {"channel": -1, "trigger_level_V": -0.4}, "B": {"channel": -2, "trigger_level_V": -0.4}}
    with bench.tagger(channels=nim) as tagger:
        assert (
            sum(chunk.timestamps_ps.size for chunk in bench.record(tagger, 1.0, channels=(-1, -2))) > 20_000
        )
    with pytest.raises(LimitError, match=r"-0\.4 V of 'A' is outside 0\.0 to 2\.5 V.*Ultra or X"):
        make_bench(pulse_V=-0.8).tagger(channels=nim).open()


def test_dead_time_is_rounded_by_the_tagger_and_holds(bench):
    channels = {"A": {"channel": 1, "dead_time_ps": 1_000_000_000}, "B": {"channel": 2}}
    with pytest.raises(LimitError, match="dead time 1000000000 ps"):
        bench.tagger(channels=channels).open()
    channels["A"]["dead_time_ps"] = 100_000_001
    with bench.tagger(channels=channels) as tagger:
        assert tagger.readings()["A.dead_time"].value == 100_002_000
        stamps = np.concatenate(
            [chunk.timestamps_ps[chunk.channels == 1] for chunk in bench.record(tagger, 1.0)]
        )
    assert np.diff(stamps).min() >= 100_002_000


def test_unknown_input_of_the_model(bench):
    with pytest.raises(LimitError, match="has no channel 12"):
        bench.tagger(channels={"A": {"channel": 12}}).open()
    # a failed open leaves the tagger free
    bench.tagger().open()


def test_streaming_needs_known_channels_a_length_and_a_connection(bench):
    tagger = bench.tagger()
    with pytest.raises(InstrumentConnectionError, match="not connected"):
        tagger.stream([1], 1.0)
    with tagger:
        for wrong in ([], [3], [1, 1]):
            with pytest.raises(LimitError, match="cannot record channels"):
                tagger.stream(wrong, 1.0)
        for wrong in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(LimitError, match="cannot record for"):
                tagger.stream([1], wrong)


def test_self_test_measures_rate_and_jitter_of_the_test_signal(bench):
    with bench.tagger() as tagger:
        result = tagger.self_test()
        assert result.passed, result.findings
        assert result.rates_Hz["A"] == pytest.approx(62.5e6 / 74, rel=1e-3)
        assert result.jitter_ps_rms == pytest.approx(34, rel=0.02)
        # the counters are connected again
        assert not bench.vendor._box.inputs[1].test_signal


def test_self_test_finds_a_bad_converter(make_bench):
    with make_bench(jitter_ps_rms=120.0).tagger() as tagger:
        result = tagger.self_test()
    assert not result.passed
    assert result.findings == (f"jitter of one tag {result.jitter_ps_rms:.3g} ps rms, 34 ps expected",)
    assert result.jitter_ps_rms == pytest.approx(120, rel=0.02)


def test_limits_are_read_from_the_tagger(bench):
    with bench.tagger() as tagger:
        limits = tagger.limits()
    assert limits.trigger_level_V == (0.0, 2.5)
    assert limits.dead_time_ps == (6000, 393_000_000)
    assert limits.transfer_tags_per_s == 8.5e6


def test_delay_of_a_dark_pair_says_what_to_do(make_bench):
    with (
        make_bench(beam=False).tagger() as tagger,
        pytest.raises(FaultError, match=r"no delay between 'A' and 'B' in 5\.0 s.*light in bursts"),
    ):
        tagger.measure_delay("A", "B", 5.0)


def test_delay_between_the_counters_is_measured(make_bench):
    bench = make_bench(detectors=(Detector(transit_ps=9000.0), Detector(transit_ps=5000.0)))
    with bench.tagger() as tagger:
        delay = tagger.measure_delay("A", "B", 10.0)
        assert delay.delay_ps == pytest.approx(-4000, abs=4.5 * delay.error_ps)
        with pytest.raises(LimitError, match="no counter 'C'"):
            tagger.measure_delay("A", "C", 10.0)


def test_vendor_file_holds_what_the_stream_gave(bench, tmp_path):
    with bench.tagger() as tagger:
        with tagger.vendor_file(tmp_path / "night") as file:
            chunks = bench.record(tagger, 3.0)
            file.mark("3 s of light")
            assert file.events >= sum(chunk.timestamps_ps.size for chunk in chunks)
        written = file.events
        assert file.path.name == "night.ttbin"
        read = list(read_vendor_file(file.path, bench.vendor, chunk_events=10_000))
        stamps = np.concatenate([chunk.timestamps_ps for chunk in read])
        assert stamps.size == written
        inside = (stamps >= chunks[0].begin_ps) & (stamps < chunks[-1].end_ps)
        assert np.array_equal(stamps[inside], np.concatenate([chunk.timestamps_ps for chunk in chunks]))
        for chunk, following in pairwise(read):
            assert chunk.end_ps == following.begin_ps
        with pytest.raises(InstrumentError, match="it exists"):
            tagger.vendor_file(tmp_path / "night")
        with pytest.raises(InstrumentError, match="its folder does not exist"):
            tagger.vendor_file(tmp_path / "nowhere" / "night")


def test_vendor_file_is_ended_when_the_record_fails(bench, tmp_path):
    with bench.tagger() as tagger:
        with pytest.raises(FaultError), tagger.vendor_file(tmp_path / "night"):
            bench.world.faults.set("tagger.counter_dead")
            bench.record(tagger, 60.0)
        assert len(bench.vendor._box.listeners) == 1
        assert sum(
            chunk.timestamps_ps.size for chunk in read_vendor_file(tmp_path / "night.ttbin", bench.vendor)
        )


def test_foreign_file_is_refused_though_the_vendor_does_not(bench, tmp_path):
    foreign = tmp_path / "foreign.ttbin"
    foreign.write_bytes(b"\x00" * 5000)
    vendors = [bench.vendor]
    with contextlib.suppress(ImportError):
        vendors.append(importlib.import_module("Swabian.TimeTagger"))
    for vendor in vendors:
        with pytest.raises(ProtocolError, match="not a file of the vendor's"):
            list(read_vendor_file(foreign, vendor))
        with pytest.raises(FileNotFoundError):
            list(read_vendor_file(tmp_path / "missing.ttbin", vendor))


def test_open_with_the_installed_vendor_package_and_no_tagger(bench):
    vendor = pytest.importorskip("Swabian.TimeTagger", reason="the vendor's package is not installed")
    with pytest.raises(InstrumentConnectionError, match=r"No Time Tagger attached.*free now: none"):
        bench.tagger(vendor=vendor).open()


def test_every_method_of_the_driver_is_documented():
    for thing in (SwabianTimeTagger, VendorFile, Connection, Record):
        for name, member in inspect.getmembers(thing):
            if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{thing.__name__}.{name}"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"channels": {}}, "at least 1 item"),
        ({"channels": {"A": {"channel": 0}}}, "channel 0 does not exist"),
        ({"channels": {"A": {"channel": 1}, "B": {"channel": 1}}}, "two counters on the same channel"),
        ({"channels": {"A": {"channel": 1, "trigger": 2}}}, "Extra inputs"),
        ({"channels": {"A": {"channel": "1"}}}, "valid integer"),
        ({"channels": {"A": {"channel": 1}}, "poll_s": 0.0}, "greater than 0"),
    ],
)
def test_mistakes_in_the_rig_file_are_found(table, message):
    with pytest.raises(ValidationError, match=message):
        SwabianSettings.model_validate({"driver": "swabian"} | table)


def test_file_that_cannot_be_made_does_not_lose_the_tagger(bench, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("Could not open file: disk full")

    with bench.tagger() as tagger:
        monkeypatch.setattr(bench.vendor, "FileWriter", refuse)
        with pytest.raises(InstrumentError, match=r"cannot write .*night\.ttbin: .*disk full"):
            tagger.vendor_file(tmp_path / "night")
        assert tagger.status().connected
