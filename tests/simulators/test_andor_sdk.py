"""The stand-ins of Andor's libraries under the unmodified pylablib, without our drivers."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.andor_sdk import installed
from simulators.kymera import BLAZED_GRATINGS
from simulators.light_switch import Wiring
from simulators.stage import Stage
from simulators.world import World


class SteadyTube:
    voltage_kV = 40.0
    current_uA = 300.0
    hv_on = True
    interlock_closed = True

    def advance(self, dt_s):
        pass


@pytest.fixture
def world():
    made = World(seed=11, tube=SteadyTube(), stage=Stage(11, start_K=80.0))
    yield made
    made.close()


def opened_pair():
    from pylablib.devices import Andor

    return Andor.ShamrockSpectrograph(0), Andor.AndorSDK2Camera(0, temperature=-60, fan_mode="full")


def close_pair(pair):
    pair[1].close()
    pair[0].close()


def snapshot(world, **options):
    """A spectrum taken with pylablib's own snap()."""
    with installed(world, **options) as stand_in:
        pair = spectrograph, camera = opened_pair()
        spectrograph.set_grating(2)
        spectrograph.set_wavelength(545e-9)
        spectrograph.set_shutter("opened")
        camera.set_read_mode("fvb")
        camera.set_exposure(2.0)
        camera.set_temperature(-60)
        world.advance(400.0)
        frame = camera.snap()[0].astype(int)
        close_pair(pair)
        assert not stand_in.errors
        return frame


def test_520_nm_is_set_and_read_back_in_metres(world):
    with installed(world):
        pair = spectrograph, _ = opened_pair()
        assert spectrograph.set_wavelength(520e-9) == pytest.approx(520e-9)
        assert spectrograph.get_device_info().serial_number == "KY-SIM-0001"
        assert spectrograph.set_slit_width("input_direct", 50e-6) == pytest.approx(50e-6)
        close_pair(pair)


def test_wrong_argument_becomes_the_vendors_code(world):
    from pylablib.devices.Andor.ShamrockCIF_lib import ShamrockLibError

    with installed(world):
        pair = spectrograph, _ = opened_pair()
        with pytest.raises(ShamrockLibError) as caught:
            spectrograph.set_wavelength(9000e-9)
        assert caught.value.code == 20267
        assert caught.value.desc == "SHAMROCK_P2INVALID"
        close_pair(pair)


def test_every_setting_that_pylablib_knows_can_be_read(world):
    with installed(world) as stand_in:
        pair = spectrograph, camera = opened_pair()
        assert camera.get_full_info()["device_info"].serial_number == 24601
        assert camera.get_settings()["read_mode"] == "image"
        spectrograph.setup_pixels_from_camera(camera)
        assert spectrograph.get_full_status()["calibration"].shape == (1024,)
        close_pair(pair)
        assert not stand_in.errors


def test_same_seed_gives_the_same_frame_and_another_seed_another(world):
    first = snapshot(world)
    for seed, same in ((11, True), (12, False)):
        other = World(seed=seed, tube=SteadyTube(), stage=Stage(seed, start_K=80.0))
        assert np.array_equal(snapshot(other), first) is same
        other.close()


def test_grating_with_a_blaze_colours_the_spectrum(world):
    flat = snapshot(world) - 500.0
    other = World(seed=11, tube=SteadyTube(), stage=Stage(11, start_K=80.0))
    blazed = snapshot(other, gratings=BLAZED_GRATINGS) - 500.0
    other.close()
    # sinc^2(1 - 500/506) = 0.9995 at the line at 2.45 eV, sinc^2(1 - 500/582) = 0.936 at the one at 2.13 eV;
    # the sensor's response is nearly equal at both.
    middle = 512 + round((540.0 - 545.0) / 0.2526)
    ratio = (blazed[:middle].sum() / blazed[middle:].sum()) / (flat[:middle].sum() / flat[middle:].sum())
    assert ratio == pytest.approx(0.9995 / 0.936, abs=0.03)


def test_light_counts_only_while_the_fibre_is_at_the_spectrometer(world):
    with installed(world) as stand_in:
        pair = spectrograph, camera = opened_pair()
        spectrograph.set_grating(2)
        spectrograph.set_wavelength(545e-9)
        spectrograph.set_shutter("opened")
        camera.set_read_mode("fvb")
        camera.set_exposure(10.0)
        camera.setup_acquisition("kinetic", nframes=2)
        camera.start_acquisition()
        world.advance(15.1)
        spectrograph.set_flipper_port("output", "side")
        world.advance(20.0)
        frames = [frame[0].astype(float) for frame in camera.read_multiple_images()]
        light = [np.sort(f)[-30:].mean() - np.median(f) for f in frames]
        # The second exposure has light for its first half only.
        assert light[1] / light[0] == pytest.approx(0.55, abs=0.1)
        close_pair(pair)
        assert not stand_in.errors


@pytest.mark.parametrize("flipper", ["input", "output"])
def test_wired_flipper_moves_the_worlds_light(world, flipper):
    with installed(world, wiring=Wiring(flipper=flipper, spectrometer_port="side")):
        pair = spectrograph, _ = opened_pair()
        assert spectrograph.get_flipper_port(flipper) == "side"
        spectrograph.set_flipper_port(flipper, "direct")
        assert world.port() == "counters"
        other = "output" if flipper == "input" else "input"
        spectrograph.set_flipper_port(other, "side")
        assert world.port() == "counters"
        close_pair(pair)


def test_acquisition_refuses_changes_while_it_runs(world):
    from pylablib.devices.Andor.atmcd32d_lib import AndorSDK2LibError, wlib

    with installed(world):
        pair = opened_pair()
        camera = pair[1]
        camera.set_exposure(100.0)
        camera.setup_acquisition("kinetic", nframes=1)
        camera.start_acquisition()
        for call in (lambda: wlib.SetExposureTime(1.0), wlib.GetTemperatureF, wlib.CoolerOFF):
            with pytest.raises(AndorSDK2LibError) as caught:
                call()
            assert caught.value.code == 20072
        close_pair(pair)


def test_cold_shutdown_is_remembered(world):
    with installed(world) as stand_in:
        pair = opened_pair()
        pair[1].set_temperature(-60)
        world.advance(600.0)
        close_pair(pair)
        assert stand_in.camera.cold_shutdowns_C == [pytest.approx(-60.0, abs=0.1)]


def test_function_that_the_stand_in_does_not_know_is_not_supported(world):
    from pylablib.devices.Andor.atmcd32d_lib import AndorSDK2LibError, wlib

    with installed(world):
        pair = opened_pair()
        with pytest.raises(AndorSDK2LibError) as caught:
            wlib.GetEMCCDGain()
        assert caught.value.code == 20991
        close_pair(pair)


def test_loader_is_put_back_even_after_an_error(world):
    from pylablib.devices.utils import load_lib

    before = load_lib.load_lib
    with pytest.raises(RuntimeError, match="boom"), installed(world):
        assert load_lib.load_lib is not before
        raise RuntimeError("boom")
    assert load_lib.load_lib is before


def test_multi_and_random_tracks_are_stacked(world):
    with installed(world):
        pair = opened_pair()
        camera = pair[1]
        camera.set_exposure(0.01)
        camera.setup_multi_track_mode(3, 10, 0)
        assert camera.snap().shape == (3, 1024)
        camera.setup_random_track_mode([(10, 20), (30, 31)])
        assert camera.snap().shape == (2, 1024)
        camera.setup_single_track_mode(127, 11)
        assert camera.snap().shape == (1, 1024)
        camera.setup_image_mode(0, 1024, 0, 255, 2, 1)
        assert camera.snap().shape == (255, 512)
        close_pair(pair)


def test_counted_fault_breaks_off_one_acquisition_only(world):
    from pylablib.devices.Andor.atmcd32d_lib import AndorSDK2LibError, wlib

    with installed(world):
        pair = opened_pair()
        camera = pair[1]
        camera.set_read_mode("fvb")
        camera.set_exposure(1.0)
        world.faults.set("camera.acquisition_error", count=1)
        with pytest.raises(AndorSDK2LibError) as caught:
            camera.snap()
        assert caught.value.code == 20019
        wlib.FreeInternalMemory()
        assert camera.snap().shape == (1, 1024)
        close_pair(pair)


def test_second_installation_in_the_same_process_is_refused(world):
    with installed(world), pytest.raises(RuntimeError, match="installed already"), installed(world):
        pass


def test_stand_in_works_through_the_link_of_another_process(world):
    from simulators.link import WorldLink, control_server

    direct = snapshot(world)
    other = World(seed=11, tube=SteadyTube(), stage=Stage(11, start_K=80.0))
    server = control_server(other)
    link = WorldLink("127.0.0.1", server.port)
    try:
        assert np.array_equal(snapshot(link), direct)
    finally:
        link.close()
        server.close()
        other.close()
