"""The stand-in's own behaviour: settings, streams, what is lost, files."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from simulators.swabian_api import vendor_module
from simulators.swabian_box import POOR_LINK_TAGS_PER_S
from simulators.swabian_models import TaggerOptions


def test_scan_connect_free_and_connect_again(module):
    assert module.scanTimeTagger() == ("SIMULATED1",)
    assert module.scanTimeTagger(include_model_name=True) == ("SIMULATED1,Time Tagger 20",)
    tagger = module.createTimeTagger("SIMULATED1")
    module.freeTimeTagger(tagger)
    module.freeTimeTagger(tagger)
    with pytest.raises(ValueError, match="valid Time Tagger"):
        tagger.getModel()
    with pytest.raises(RuntimeError, match="serial number 77"):
        module.createTimeTagger(serial="77")
    with pytest.raises(RuntimeError, match="HighRes"):
        module.createTimeTagger(resolution=module.Resolution.HighResA)
    with module.createTimeTagger() as again:
        assert again.getModel() == "Time Tagger 20"
    assert module.scanTimeTagger() == ("SIMULATED1",)


def test_settings_go_back_to_start_up_when_connected_again(module):
    with module.createTimeTagger() as tagger:
        tagger.setTriggerLevel(1, 2.0)
        tagger.setInputDelay(-1, 500)
        assert tagger.getTriggerLevel(1) == 2.0
        assert tagger.getInputDelay(-1) == 500
        assert tagger.getInputDelay(1) == 0
        tagger.setTestSignal([1, 2], True)
        assert tagger.getTestSignal(2)
    with module.createTimeTagger() as tagger:
        assert tagger.getTriggerLevel(1) == 0.5
        assert tagger.getInputDelay(-1) == 0
        assert not tagger.getTestSignal(2)


@pytest.mark.parametrize(("model", "inputs"), [("Time Tagger 20", 8), ("Time Tagger Ultra", 18)])
def test_channels_of_the_model(world, model, inputs):
    module = vendor_module(world, model=model)
    with module.createTimeTagger() as tagger:
        rising, falling = range(1, inputs + 1), range(-1, -inputs - 1, -1)
        assert tagger.getChannelList() == (*rising, *falling)
        assert tagger.getChannelList(module.ChannelEdge.Rising) == tuple(rising)
        assert tagger.getChannelList(type=module.ChannelEdge.Falling) == tuple(falling)
        assert tagger.getInvertedChannel(3) == -3
        for call in (tagger.getTriggerLevel, tagger.getDeadtime, tagger.getInputDelay):
            with pytest.raises(ValueError, match="Invalid channel"):
                call(inputs + 1)


def test_values_outside_the_model_are_refused(module):
    with module.createTimeTagger() as tagger:
        for wrong in (
            lambda: tagger.setTriggerLevel(1, -0.1),
            lambda: tagger.setTriggerLevel(1, 3.0),
            lambda: tagger.setDeadtime(1, 394_000_000),
            lambda: tagger.setHardwareBufferSize(100),
            lambda: tagger.setHardwareBufferSize(64 << 20),
            lambda: tagger.setStreamBlockSize(100, 20),
            lambda: tagger.setTestSignalDivider(0),
        ):
            with pytest.raises(ValueError):
                wrong()
        with pytest.raises(RuntimeError, match="Not available for the Time Tagger 20"):
            tagger.getDelayHardwareRange(1)
        assert tagger.setDeadtime(1, 8000) == 6000
        assert tagger.setDeadtime(1, 9500) == 12_000
        assert tagger.setDeadtime(1, 1) == 6000


def test_stream_gives_each_tag_once_and_no_time_is_missing(world, module):
    with module.createTimeTagger() as tagger:
        stream = module.TimeTagStream(tagger, 1_000_000, [1, 2])
        rates = module.Countrate(tagger, [1, 2])
        at_ps, total = None, np.zeros(2, dtype=int)
        for step_s in (0.5, 0.0, 1.25, 0.01):
            world.advance(step_s)
            buffer = stream.getData()
            stamps, channels = buffer.getTimestamps(), buffer.getChannels()
            assert buffer.tStart == 0
            assert stamps.dtype == np.int64
            assert channels.dtype == np.int32
            assert buffer.getEventTypes().dtype == np.uint8
            assert buffer.getMissedEvents().dtype == np.uint16
            assert buffer.size == stamps.size
            assert not buffer.hasOverflows
            assert np.all(np.diff(stamps) >= 0)
            if at_ps is not None and stamps.size:
                assert stamps[0] >= at_ps
            at_ps = buffer.tGetData
            assert np.all(stamps < at_ps)
            total += [np.count_nonzero(channels == 1), np.count_nonzero(channels == 2)]
        assert at_ps == pytest.approx(1.76e12, abs=2000)
        assert rates.getCountsTotal().tolist() == total.tolist()
        assert rates.getCaptureDuration() == at_ps
        assert rates.getData() == pytest.approx(total / 1.76)


def test_test_signal_runs_at_its_frequency_on_both_channels_at_once(world, module):
    with module.createTimeTagger() as tagger:
        tagger.setTestSignal([3, 4], True)
        stream = module.TimeTagStream(tagger, 10_000_000, [3, 4])
        world.advance(0.1)
        buffer = stream.getData()
        first = buffer.getTimestamps()[buffer.getChannels() == 3]
        second = buffer.getTimestamps()[buffer.getChannels() == 4]
        assert first.size == pytest.approx(0.1 * 62.5e6 / 74, abs=2)
        n = min(first.size, second.size)
        # one signal, two inputs: what differs is the jitter of either tag
        assert np.std(first[:n] - second[:n]) == pytest.approx(np.sqrt(2) * 34, rel=0.02)
        tagger.setTestSignalDivider(740)
        stream.getData()
        world.advance(0.1)
        assert stream.getData().size == pytest.approx(2 * 0.1 * 62.5e6 / 740, abs=4)


def test_start_for_ends_by_itself(world, module):
    with module.createTimeTagger() as tagger:
        rates = module.Countrate(tagger, [1])
        rates.startFor(500_000_000_000)
        world.advance(0.4)
        assert rates.isRunning()
        world.advance(0.4)
        assert not rates.isRunning()
        assert rates.getCaptureDuration() == 500_000_000_000
        rates.startFor(100_000_000_000)
        assert not rates.waitUntilFinished(timeout=50)
        assert rates.waitUntilFinished()
        assert rates.getCaptureDuration() == 100_000_000_000
        assert not module._box.listeners


def test_stopped_measurement_takes_nothing(world, module):
    with module.createTimeTagger() as tagger:
        with module.Countrate(tagger, [1]) as rates:
            world.advance(0.5)
            rates.stop()
            counted = rates.getCountsTotal()[0]
            assert counted > 5000
            world.advance(0.5)
            assert rates.getCountsTotal()[0] == counted
            rates.clear()
            assert np.isnan(rates.getData()[0])
            rates.start()
            world.advance(0.5)
            assert rates.getCountsTotal()[0] == pytest.approx(counted, rel=0.1)
        # the vendor's measurements are destroyed at the end of a with block
        with pytest.raises(ValueError, match="valid Time Tagger"):
            rates.getData()
    assert not module._box.listeners


def test_sooner_stamps_wait_for_the_horizon_so_that_order_holds(world, module):
    with module.createTimeTagger() as tagger:
        tagger.setInputDelay(1, -5_000_000_000)
        tagger.setInputDelay(2, 3_000_000_000)
        stream = module.TimeTagStream(tagger, 1_000_000, [1, 2])
        stamps, ends = [], []
        for _ in range(6):
            world.advance(0.02)
            buffer = stream.getData()
            stamps.append(buffer.getTimestamps())
            ends.append(buffer.tGetData)
        assert np.all(np.diff(np.concatenate(stamps)) >= 0)
        assert ends[-1] == pytest.approx(0.115e12, abs=2000)


def test_overflow_mode_counts_what_it_does_not_deliver(world, module):
    with module.createTimeTagger() as tagger:
        stream = module.TimeTagStream(tagger, 1_000_000, [1, 2])
        rates = module.Countrate(tagger, [1, 2])
        world.advance(1.0)
        before = stream.getData().size
        world.faults.set("tagger.overflow")
        world.advance(1.0)
        buffer = stream.getData()
        assert buffer.hasOverflows
        types = buffer.getEventTypes()
        assert types[0] == module.TagType.OverflowBegin
        assert set(types[1:]) == {int(module.TagType.MissedEvents)}
        missed = int(buffer.getMissedEvents().sum())
        assert missed == pytest.approx(before, rel=0.05)
        world.faults.clear("tagger.overflow")
        world.advance(1.0)
        buffer = stream.getData()
        assert buffer.getEventTypes()[0] == module.TagType.OverflowEnd
        assert tagger.getOverflows() == 1
        assert tagger.getOverflowsAndClear() == 1
        assert tagger.getOverflows() == 0
        assert rates.getCountsTotal().sum() == before + missed + buffer.size - 1


def test_model_limits_the_rate_it_transfers(world):
    """Ten test signals at 2.5 MHz on a Time Tagger 20: 20 M tags/s through a link for 8.5 M/s."""
    module = vendor_module(world)
    with module.createTimeTagger() as tagger:
        tagger.setHardwareBufferSize(32 << 10)
        tagger.setTestSignalDivider(25)
        channels = list(tagger.getChannelList(module.ChannelEdge.Rising))
        tagger.setTestSignal(channels, True)
        rates = module.Countrate(tagger, channels)
        stream = module.TimeTagStream(tagger, 10_000_000, channels)
        world.advance(0.2)
        buffer = stream.getData()
        delivered = int(np.count_nonzero(buffer.getEventTypes() == 0))
        missed = int(buffer.getMissedEvents().sum())
        assert rates.getData() == pytest.approx(2.5e6, rel=1e-3)
        assert delivered + missed == pytest.approx(0.2 * 20e6, rel=1e-3)
        assert delivered <= 0.2 * 8.5e6 + 20e6 * 0.02 + (32 << 10)
        assert tagger.getOverflows() >= 1


def test_poor_link_fills_its_buffer_first(world, module):
    world.faults.set("tagger.rate_limit")
    with module.createTimeTagger() as tagger:
        stream = module.TimeTagStream(tagger, 10_000_000, [1, 2])
        world.advance(0.2)
        assert not stream.getData().hasOverflows
        world.advance(5.0)
        buffer = stream.getData()
        assert buffer.hasOverflows
        assert np.count_nonzero(buffer.getEventTypes() == 0) < POOR_LINK_TAGS_PER_S * 5.2 + 11_000


def test_lamp_gives_uncorrelated_light(make_world):
    world = make_world(sample="uv", excitation="uv")
    module = vendor_module(world)
    with module.createTimeTagger() as tagger:
        stream = module.TimeTagStream(tagger, 10_000_000, [1, 2])
        world.advance(10.0)
        buffer = stream.getData()
        first = buffer.getTimestamps()[buffer.getChannels() == 1]
        second = buffer.getTimestamps()[buffer.getChannels() == 2]
        window_ps = 20_000
        pairs = np.searchsorted(second, first + window_ps) - np.searchsorted(second, first - window_ps)
        expected = first.size * second.size * 2 * window_ps / 10e12
        assert expected > 100
        assert pairs.sum() == pytest.approx(expected, abs=5 * np.sqrt(expected))


def test_hours_without_a_measurement_cost_nothing_and_hours_with_one_end(world, module):
    with module.createTimeTagger() as tagger:
        world.set_port("spectrometer")
        world.advance(3 * 3600.0)
        rates = module.Countrate(tagger, [1, 2])
        world.advance(3600.0)
        assert rates.getData() == pytest.approx([25.25, 25.25], rel=0.02)


def test_two_threads_may_ask_at_once(world, module):
    with module.createTimeTagger() as tagger:
        stream = module.TimeTagStream(tagger, 10_000_000, [1, 2])
        rates = module.Countrate(tagger, [1, 2])
        ended = threading.Event()
        errors: list[BaseException] = []

        def ask() -> None:
            try:
                while not ended.is_set():
                    rates.getCountsTotal()
                    tagger.getOverflows()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=ask, name="asks rates")
        thread.start()
        counted = 0
        for _ in range(50):
            world.advance(0.02)
            counted += stream.getData().size
        ended.set()
        thread.join(60.0)
        assert not errors
        assert counted == rates.getCountsTotal().sum()


def test_files_give_back_what_was_streamed(world, module, tmp_path):
    with module.createTimeTagger() as tagger:
        writer = module.FileWriter(tagger, str(tmp_path / "night.ttbin"), [1, 2])
        stream = module.TimeTagStream(tagger, 10_000_000, [1, 2])
        world.advance(0.5)
        writer.setMarker("beam on")
        world.faults.set("tagger.overflow", duration_s=0.1)
        world.advance(0.5)
        writer.split()
        world.advance(0.5)
        writer.stop()
        buffer = stream.getData()
        assert writer.getTotalEvents() == buffer.size
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["night.1.ttbin", "night.2.ttbin", "night.ttbin"]
        assert writer.getTotalSize() == sum(
            path.stat().st_size for path in tmp_path.iterdir() if path.name != "night.ttbin"
        )
        assert b"SIMULATED" in (tmp_path / "night.1.ttbin").read_bytes()[:40]
        reader = module.FileReader(str(tmp_path / "night.ttbin"))
        assert reader.getChannelList() == (1, 2)
        assert reader.getConfiguration()["model"] == "Time Tagger 20"
        parts = []
        while reader.hasData():
            parts.append(reader.getData(7000))
        assert reader.getLastMarker() == "beam on"
        for get in ("getTimestamps", "getChannels", "getEventTypes", "getMissedEvents"):
            read = np.concatenate([getattr(part, get)() for part in parts])
            assert np.array_equal(read, getattr(buffer, get)()), get


def test_file_of_a_killed_writer_is_read_up_to_its_last_whole_block(world, module, tmp_path):
    with module.createTimeTagger() as tagger:
        writer = module.FileWriter(tagger, str(tmp_path / "night"), [1, 2])
        for _ in range(3):
            world.advance(0.1)
            writer.getTotalEvents()
        writer.stop()
        written = writer.getTotalEvents()
    data = tmp_path / "night.1.ttbin"
    data.write_bytes(data.read_bytes()[:-5])
    reader = module.FileReader(str(tmp_path / "night.ttbin"))
    assert 0 < reader.getData(10_000_000).size < written


def test_file_that_cannot_be_made_is_an_error(module, tmp_path):
    with module.createTimeTagger() as tagger:
        with pytest.raises(RuntimeError, match="Could not open file"):
            module.FileWriter(tagger, str(tmp_path / "no" / "such.ttbin"), [1])
        assert not module._box.listeners


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "Time Tagger 9"}, "known: Time Tagger 20"),
        ({"inputs": (1,)}, "2 detectors"),
        ({"inputs": (3, 3)}, "2 detectors"),
        ({"inputs": (1, 9)}, "inputs 1 to 8"),
    ],
)
def test_impossible_options_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        TaggerOptions(**wrong)
