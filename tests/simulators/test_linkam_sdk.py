"""The stand-in of Linkam's SDK: pylinkam as a client, and the same through a compiled library."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.cryostage.linkam_sdk import LinkamSdk, LinkamSdkSettings
from simulators.link import SimulatedClock
from simulators.linkam_sdk import PROTOTYPES, SimulatedSdk, as_float, as_word
from simulators.world import World

Opened = Callable[[SimulatedSdk], Any]


@pytest.fixture
def world() -> World:
    return World(seed=4)


@pytest.fixture
def shim(tmp_path: Path) -> Iterator[tuple[Path, Any]]:
    """The compiled library, and a function that connects it with a stand-in."""
    compiler = shutil.which("gcc")
    if compiler is None or sys.platform == "win32":
        pytest.skip("no C compiler for a shared library")
    library = tmp_path / "libLinkamSDK.so"
    source = Path(__file__).with_name("linkam_shim.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True, timeout=60)
    yield library, ctypes.CDLL(str(library)).linkamStandInConnect


def number(value: Any) -> float:
    """A plain number; pylinkam gives quantities where pint is installed."""
    return float(getattr(value, "magnitude", value))


def use_pylinkam(name: str) -> None:
    """pylinkam's own calls against the stand-in's stage at 300 K."""
    value = pytest.importorskip("pylinkam.interface").StageValueType
    sdk = pytest.importorskip("pylinkam.sdk").SDKWrapper(
        sdk_bin_name=name, sdk_log_path="log", sdk_license_path="licence"
    )
    connection = sdk.connect_usb()
    try:
        assert connection.get_controller_name() == "T96-S"
        assert connection.get_stage_name() == "HFS350EV-PB4"
        assert connection.get_controller_serial() == "SIM0001"
        assert connection.get_controller_config().flags.supportsHeater
        assert connection.get_controller_config().flags.vacuumOption
        assert connection.get_controller_config().flags.lnpReady
        assert number(connection.get_value(value.HEATER1_TEMP)) == pytest.approx(26.85, abs=0.1)
        low, high = connection.get_value_range(value.HEATER_SETPOINT)
        assert (number(low), number(high)) == (-196.0, 350.0)
        assert connection.set_value(value.HEATER_RATE, 20.0)
        assert connection.set_value(value.HEATER_SETPOINT, -100.0)
        assert not connection.set_value(value.HEATER_SETPOINT, -500.0)
        assert number(connection.get_value(value.HEATER_SETPOINT)) == pytest.approx(-100.0)
        connection.enable_heater(True)
        assert connection.get_status().flags.heater1Started
        connection.enable_heater(False)
        assert not connection.get_status().flags.heater1Started
    finally:
        connection.close()
        sdk.close()


def test_pylinkam_drives_the_callbacks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimulatedSdk(world)
    monkeypatch.setattr(ctypes, "CDLL", lambda name, *rest: stand_in)
    if sys.platform == "win32":
        monkeypatch.setattr(ctypes, "WinDLL", lambda name, *rest: stand_in)
    use_pylinkam("stand-in")
    assert world.controller.limit_K == pytest.approx(173.15)
    assert world.controller.rate_K_per_min == 20.0


def test_pylinkam_drives_the_compiled_library(world: World, shim: tuple[Path, Any]) -> None:
    library, connect = shim
    stand_in = SimulatedSdk(world)
    stand_in.linkamInitialiseSDK(b"", b"", False)
    connect(stand_in.linkamProcessMessageCommon)
    use_pylinkam(str(library))
    assert world.controller.limit_K == pytest.approx(173.15)


def test_our_driver_loads_and_drives_the_compiled_library(world: World, shim: tuple[Path, Any]) -> None:
    library, connect = shim
    stand_in = SimulatedSdk(world)
    stand_in.linkamInitialiseSDK(b"", b"", False)
    connect(stand_in.linkamProcessMessageCommon)
    clock = SimulatedClock(world)
    settings = LinkamSdkSettings(library=str(library), serial_number="SIM0001", on_close="stop")
    with LinkamSdk("cryostage", settings, clock=clock) as stage:
        assert stage.identify().model == "T96-S with HFS350EV-PB4"
        assert stage.identify().firmware == "FW 2.10, SDK 3.0.19 compiled"
        stage.ramp_to(250.0, 30.0)
        clock.sleep(300.0)
        assert stage.status().temperature.value == pytest.approx(250.0, abs=0.2)
        assert stage.status().state == "holding"
    assert world.truth()["stage_mode"] == "stopped"


def talk(
    sdk: SimulatedSdk, message: int, p1: int = 0, p2: int = 0, handle: int | None = None
) -> tuple[bool, int]:
    result = ctypes.c_uint64(0)
    done = sdk.process(
        message, sdk._last_handle if handle is None else handle, ctypes.addressof(result), p1, p2, 0
    )
    return done, result.value


def opened(world: World, **options: Any) -> SimulatedSdk:
    sdk = SimulatedSdk(world, **options)
    assert sdk.linkamInitialiseSDK(b"", b"", False)
    info, handle = ctypes.create_string_buffer(128), ctypes.c_uint64(0)
    sdk.linkamInitialiseUSBCommsInfo(ctypes.addressof(info), None)
    result = ctypes.c_uint64(0)
    assert sdk.process(0x01, 0, ctypes.addressof(result), ctypes.addressof(info), ctypes.addressof(handle), 0)
    assert (result.value, handle.value) == (1, 1)
    return sdk


def test_a_float_sits_in_the_low_32_bits() -> None:
    assert as_word(1.0) == 0x3F800000
    assert as_word(-120.0) == 0xC2F00000
    assert as_float(0xFFFF_FFFF_3F80_0000) == 1.0


def test_a_new_set_point_while_heating_waits_for_start_heating(world: World) -> None:
    for restart_needed, expected_K in ((True, 300.0), (False, 173.15)):
        sdk = opened(world, restart_needed=restart_needed)
        world.controller.limit_K = 300.0
        assert talk(sdk, 0x10, 1) == (True, 1)
        assert talk(sdk, 0x16, 2, as_word(-100.0)) == (True, 1)
        assert world.controller.limit_K == pytest.approx(expected_K)
        talk(sdk, 0x10, 1)
        assert world.controller.limit_K == pytest.approx(173.15)


def test_status_bits(world: World) -> None:
    sdk = opened(world)
    assert talk(sdk, 0x07) == (True, 1 << 12)
    talk(sdk, 0x16, 2, as_word(0.0))
    talk(sdk, 0x10, 1)
    world.advance(30.0)
    assert talk(sdk, 0x07)[1] & 0b111 == 0b100
    world.advance(600.0)
    assert talk(sdk, 0x07)[1] & 0b111 == 0b110
    world.faults.set("stage.sensor_open")
    world.advance(1.0)
    assert talk(sdk, 0x07)[1] & 1
    assert talk(sdk, 0x04) == (True, 3)


def test_pump_speed_counts_only_in_manual_mode(world: World) -> None:
    sdk = opened(world)
    assert talk(sdk, 0x1C, 50) == (True, 0)
    assert talk(sdk, 0x1B, 0) == (True, 1)
    assert talk(sdk, 0x1C, 50) == (True, 1)
    world.advance(1.0)
    assert as_float(talk(sdk, 0x15, 4)[1]) == 50.0


def test_vacuum_only_with_the_card(world: World) -> None:
    with_card, without = opened(world), opened(world, vacuum_card=False)
    assert as_float(talk(with_card, 0x15, 12)[1]) == 100.0
    assert talk(with_card, 0x15, 26) == (True, 15)
    assert talk(with_card, 0x03)[1] >> 10 & 1
    assert talk(without, 0x15, 12)[0] is False
    assert not talk(without, 0x03)[1] >> 10 & 1


def test_what_it_does_not_understand_is_false_and_raises_nothing(world: World) -> None:
    sdk = opened(world)
    for message in range(256):
        if message in (0x01, 0x02, 0x05, 0x06, 0x09, 0x0A, 0x25, 0x26, 0x27, 0x28):
            continue
        talk(sdk, message, 200, as_word(math.nan))
    assert talk(sdk, 0x07, handle=99) == (False, 0)
    assert talk(sdk, 0x99) == (False, 0)


def test_callbacks_have_the_prototypes_of_the_header(world: World) -> None:
    sdk = SimulatedSdk(world)
    for name in PROTOTYPES:
        assert callable(getattr(sdk, name))
    assert sdk.linkamProcessMessageCommon(0x07, 1, None, 0, 0, 0) is False
