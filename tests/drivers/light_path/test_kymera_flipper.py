"""The spectrograph's flipper as light path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from pydantic import ValidationError

from drivers.errors import InstrumentConnectionError, LimitError
from drivers.light_path.kymera_flipper import KymeraFlipper, KymeraFlipperSettings
from drivers.spectrometer.andor import AndorSpectrometer
from simulators.andor_sdk import installed
from simulators.link import SimulatedClock
from simulators.world import World


@dataclass
class Bench:
    world: World
    clock: SimulatedClock
    spectrometer: AndorSpectrometer


@pytest.fixture
def bench() -> Iterator[Bench]:
    world = World(seed=3, excitation="uv", sample="uv")
    clock = SimulatedClock(world)
    settings = AndorSpectrometer.Settings(
        gain_electrons_per_count=2.8, read_noise_electrons=4.0, saturation_counts=65535
    )
    with installed(world):
        spectrometer = AndorSpectrometer("spectrometer", settings, clock=clock)
        spectrometer.open()
        yield Bench(world, clock, spectrometer)
        spectrometer.close()
    world.close()


def flipper(bench: Bench, **changes: str) -> KymeraFlipper:
    return KymeraFlipper(
        "light_path",
        KymeraFlipperSettings(**changes),
        clock=bench.clock,
        partners={"spectrometer": bench.spectrometer},
    )


def test_light_goes_where_it_is_sent(bench):
    with flipper(bench) as path:
        assert path.reachable == ("spectrometer", "counters")
        for port in ("counters", "spectrometer", "counters"):
            path.select(port)
            assert path.status().port == port == bench.world.port()
            assert path.status().source == "measured"


def test_no_light_on_the_camera_while_the_counters_have_it(bench):
    bench.spectrometer.cool()
    bench.spectrometer.select(2, 545.0)
    levels = {}
    with flipper(bench) as path:
        for port in path.reachable:
            path.select(port)
            frame = next(iter(bench.spectrometer.frames(1, 5.0, shutter_open=True)))
            levels[port] = np.sort(frame.counts)[-100:].mean() - np.median(frame.counts)
    assert levels["spectrometer"] > 200
    assert levels["counters"] < 20


def test_opening_and_closing_leave_the_mirror_where_it_stands(bench):
    bench.world.set_port("counters")
    with flipper(bench) as path:
        assert path.status().port == "counters"
    assert bench.world.port() == "counters"


def test_ports_may_be_the_other_way_round(bench):
    with flipper(bench, spectrometer_port="side", counters_port="direct") as path:
        path.select("spectrometer")
        assert path.status().state == "side"


def test_other_flipper_does_not_move_this_light(bench):
    with flipper(bench, flipper="input") as path:
        path.select("counters")
    assert bench.world.port() == "spectrometer"


def test_unknown_port_is_refused(bench):
    with flipper(bench) as path, pytest.raises(LimitError, match="no port 'lamp'"):
        path.select("lamp")


def test_same_port_for_both_is_refused_in_the_rig_file():
    with pytest.raises(ValidationError, match="must differ"):
        KymeraFlipperSettings(spectrometer_port="side", counters_port="side")


def test_without_an_open_andor_spectrometer_it_says_what_it_needs(bench):
    path = KymeraFlipper("light_path", KymeraFlipperSettings(), clock=bench.clock, partners={})
    with pytest.raises(InstrumentConnectionError, match="driver 'andor'"):
        path.open()
    with pytest.raises(InstrumentConnectionError, match="not open"):
        path.select("counters")
