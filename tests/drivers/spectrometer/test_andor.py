"""The Andor driver through the unmodified pylablib, against the stand-in of the vendor's libraries."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from drivers.errors import (
    FaultError,
    InstrumentConnectionError,
    InstrumentError,
    InstrumentTimeoutError,
    LimitError,
    MissingDriverError,
)
from drivers.spectrometer.andor_library import AcquisitionError, speaking

HC_EV_NM = 1239.8419843320026


def coded(code):
    """An error as pylablib raises it for a code of the vendor's."""
    error = RuntimeError("boom")
    error.code = code
    return error


def counts(driver, number, exposure_s, *, shutter_open):
    frames = list(driver.frames(number, exposure_s, shutter_open=shutter_open))
    return np.array([frame.counts for frame in frames])


def test_wavelength_is_set_and_read_back_through_the_vendor_calls(bench):
    bench.driver.select(3, 520.0)
    status = bench.driver.status()
    assert status.centre_wavelength.value == pytest.approx(520.0, abs=1e-4)
    assert status.centre_wavelength.source == "measured"
    assert status.grating_lines_per_mm == 600.0
    assert {"ShamrockSetGrating", "ShamrockSetWavelength"} <= set(bench.stand_in.calls)


def test_calibration_of_600_lines_is_the_one_read_from_a_kymera_328i(bench):
    # Documented for 600 lines/mm, 1024 pixels of 26 um at 520 nm: 456.7 to 582.3 nm, 0.1227 nm per pixel.
    bench.driver.select(3, 520.0)
    found = bench.driver.wavelengths_nm()
    assert found.shape == (1024,)
    assert found[0] == pytest.approx(456.7, abs=0.2)
    assert found[-1] == pytest.approx(582.3, abs=0.2)
    assert np.mean(np.diff(found)) == pytest.approx(0.1227, abs=0.0005)


def test_both_lines_of_the_sample_fit_on_the_camera_with_300_lines(bench):
    bench.driver.select(2, 545.0)
    found = bench.driver.wavelengths_nm()
    assert found[0] < HC_EV_NM / 2.45 - 30.0
    assert found[-1] > HC_EV_NM / 2.13 + 60.0


@pytest.mark.parametrize(("grating", "centre_nm"), [(0, 500.0), (4, 500.0), (2, 9000.0), (2, -5.0)])
def test_impossible_grating_or_wavelength_is_refused_before_anything_moves(bench, grating, centre_nm):
    before = len(bench.stand_in.calls)
    with pytest.raises(LimitError, match="Nothing was moved"):
        bench.driver.select(grating, centre_nm)
    assert not any("Set" in call for call in bench.stand_in.calls[before:])


def test_dark_frames_have_bias_dark_current_and_read_noise_only(bench):
    bench.driver.cool()
    dark = counts(bench.driver, 40, 10.0, shutter_open=False)
    # Bias 500; 255 rows of 0.003 e/s at -60 degC for 10 s; 2.8 e per count; read noise 4 e.
    electrons = 255 * 0.003 * 10.0
    assert np.median(dark) == pytest.approx(500.0 + electrons / 2.8, abs=1.0)
    spread = np.sqrt((electrons + 4.0**2) / 2.8**2 + 1.0 / 12.0)
    scatter = 1.4826 * np.median(np.abs(dark - np.median(dark, axis=0)), axis=0).mean()
    assert scatter == pytest.approx(spread, rel=0.2)


def test_light_comes_with_the_beam_through_the_open_shutter_only(bench):
    bench.driver.cool()
    bench.driver.select(2, 545.0)

    def level(shutter_open):
        frames = counts(bench.driver, 3, 5.0, shutter_open=shutter_open)
        return np.median(frames, axis=0).max()

    assert level(True) > 700
    assert bench.driver.status().shutter_open is False
    assert level(False) < 520
    bench.world.tube.hv_on = False
    bench.world.advance(10.0)
    assert level(True) < 520


def test_spectrum_follows_the_stage_temperature(bench):
    bench.driver.cool()
    bench.driver.select(2, 545.0)
    energy_eV = HC_EV_NM / bench.driver.wavelengths_nm()
    dark = np.median(counts(bench.driver, 9, 5.0, shutter_open=False), axis=0)
    shares = []
    for temperature_K in (80.0, 300.0):
        bench.world.controller.temperature_K = temperature_K
        bench.world.controller.hold()
        light = np.median(counts(bench.driver, 9, 5.0, shutter_open=True), axis=0) - dark
        shares.append(light[energy_eV < 2.30].sum() / light.sum())
    # 77 % of the light of sample A is coupled at 80 K, 6 % at 300 K; 2.30 eV lies between the two lines.
    assert shares[0] == pytest.approx(0.76, abs=0.02)
    assert shares[1] == pytest.approx(0.06, abs=0.02)


def test_frames_come_one_by_one_with_their_times(bench):
    frames = list(bench.driver.frames(4, 2.5, shutter_open=True))
    begins = [frame.began_s for frame in frames]
    assert [frame.exposure_s for frame in frames] == [2.5] * 4
    assert np.diff(begins) == pytest.approx([begins[1] - begins[0]] * 3)
    assert 2.5 < begins[1] - begins[0] < 2.6
    assert all(frame.counts.dtype == np.int64 and frame.counts.shape == (1024,) for frame in frames)
    assert all(frame.shutter_open for frame in frames)


def test_same_seed_gives_the_same_frames_and_frames_differ(bench):
    bench.driver.cool()
    first, second = counts(bench.driver, 2, 5.0, shutter_open=True)
    assert np.any(first != second)


def test_cancel_ends_an_exposure_early_and_closes_the_shutter(bench):
    bench.driver.cool()
    cancel = threading.Event()
    began_s = bench.world.now()
    frames = bench.driver.frames(100, 10.0, shutter_open=True, cancel=cancel)
    next(frames)
    cancel.set()
    assert list(frames) == []
    assert bench.world.now() - began_s < 25.0
    status = bench.driver.status()
    assert (status.state, status.shutter_open) == ("idle", False)
    assert "AbortAcquisition" in bench.stand_in.calls


def test_closing_the_iterator_aborts_and_closes_the_shutter(bench):
    frames = bench.driver.frames(100, 10.0, shutter_open=True)
    next(frames)
    frames.close()
    assert bench.driver.status().state == "idle"
    assert bench.driver.spectrograph.shutter() == "closed"


def test_status_during_an_exposure_gives_the_last_temperature_with_its_age(bench):
    bench.driver.cool()
    frames = bench.driver.frames(3, 10.0, shutter_open=False)
    next(frames)
    status = bench.driver.status()
    assert status.state == "acquiring"
    assert status.camera_temperature.value == pytest.approx(-60.0, abs=1.0)
    assert status.camera_temperature.read_at_s < status.read_at_s - 9.0
    frames.close()


def test_second_acquisition_is_refused_while_one_runs(bench):
    frames = bench.driver.frames(3, 1.0, shutter_open=False)
    next(frames)
    with pytest.raises(InstrumentError, match="busy"):
        next(bench.driver.frames(1, 1.0, shutter_open=False))
    with pytest.raises(InstrumentError, match="busy"):
        bench.driver.select(2, 545.0)
    frames.close()
    bench.driver.select(2, 545.0)


@pytest.mark.parametrize(
    ("number", "exposure_s"), [(0, 1.0), (1, 0.0), (1, -1.0), (1, 1e6), (1, float("nan"))]
)
def test_impossible_frames_are_refused_at_once(bench, number, exposure_s):
    with pytest.raises(LimitError, match="Nothing was started"):
        bench.driver.frames(number, exposure_s, shutter_open=False)


def test_cooling_waits_until_the_sensor_is_stable(bench):
    bench.driver.cool()
    status = bench.driver.status()
    assert status.camera_stabilised
    assert status.camera_temperature.value == pytest.approx(-60.0, abs=1.0)
    # 80 K at 45 s e-folding to within 1 K take 197 s, then 60 s of stability.
    assert 250.0 < bench.world.now() < 270.0


def test_camera_that_does_not_stabilise_ends_in_a_time_out(bench):
    bench.world.faults.set("camera.not_stabilised")
    with pytest.raises(InstrumentTimeoutError, match="not stable at -60 degC"):
        bench.driver.cool()
    assert bench.world.now() == pytest.approx(900.0, abs=10.0)
    assert bench.driver.camera.cooler_on()


def test_temperature_below_the_cameras_range_is_refused_not_clipped(bench):
    bench.driver.close()
    driver = bench.another(camera_temperature_C=-110.0)
    driver.open()
    with pytest.raises(LimitError, match=r"-110 degC is outside -100 to -20"):
        driver.cool()
    driver.close()


def test_close_warms_the_sensor_up_first(bench):
    bench.driver.cool()
    bench.driver.close()
    assert bench.stand_in.camera.cold_shutdowns_C == []
    bench.driver.close()


def test_close_at_once_leaves_the_sensor_cold_if_the_rig_file_says_so(bench):
    bench.driver.close()
    driver = bench.another(warm_up_before_close_C=None)
    driver.open()
    driver.cool()
    driver.close()
    assert bench.stand_in.camera.cold_shutdowns_C == [pytest.approx(-60.0, abs=1.0)]


def test_broken_off_acquisition_is_taken_again(bench):
    frames = bench.driver.frames(3, 5.0, shutter_open=True)
    next(frames)
    bench.world.faults.set("camera.acquisition_error", duration_s=15.0)
    assert len(list(frames)) == 2


def test_acquisition_that_never_works_ends_in_a_clear_error_with_the_shutter_closed(bench):
    bench.world.faults.set("camera.acquisition_error")
    with pytest.raises(
        AcquisitionError, match=r"buffer ran over \(code 20019\). It was tried 4 times; 0 of 3 frames"
    ):
        list(bench.driver.frames(3, 5.0, shutter_open=True))
    bench.world.faults.clear()
    assert bench.driver.spectrograph.shutter() == "closed"
    assert len(list(bench.driver.frames(2, 1.0, shutter_open=True))) == 2


def test_cosmic_rays_hit_every_frame_under_their_fault(bench):
    bench.driver.cool()
    bench.world.faults.set("camera.cosmic_ray")
    frames = counts(bench.driver, 5, 1.0, shutter_open=False)
    assert np.all((frames > 560).sum(axis=1) >= 2)


def test_saturation_shows_as_the_converters_largest_count(bench):
    bench.world.faults.set("camera.saturation")
    frames = counts(bench.driver, 1, 5.0, shutter_open=True)
    assert frames.max() == bench.driver.noise.saturation_counts == 65535


def test_missing_library_is_named_with_the_way_to_get_it(monkeypatch, bench):
    from pylablib.devices.Andor import Shamrock
    from pylablib.devices.utils import load_lib

    def missing(name, *_arguments, **_options):
        raise OSError(f"can't import library {name}\nlong advice")

    bench.driver.close()
    # A context, so that the loader is put back before the stand-in takes its own away.
    with monkeypatch.context() as patch:
        patch.setattr(load_lib, "load_lib", missing)
        Shamrock.libctl.initialized = False
        Shamrock.lib._initialized = False
        with pytest.raises(MissingDriverError, match=r"library_folder"):
            bench.driver.open()


def test_camera_that_is_not_there_leaves_the_spectrograph_released(bench):
    bench.driver.close()
    driver = bench.another(camera_index=1)
    with pytest.raises(InstrumentConnectionError, match="camera index 1 is not available"):
        driver.open()
    bench.driver.open()
    assert bench.driver.identify().serial_number == "KY-SIM-0001, 24601"


def test_lost_rig_shows_as_a_communication_error(bench):
    def gone(*_arguments):
        raise ConnectionError("gone")

    bench.stand_in.shamrock.world = type("Gone", (), {"advance": gone, "now": gone, "port": gone})()
    with pytest.raises(InstrumentConnectionError, match="communication error"):
        bench.driver.spectrograph.set_slit_um("input_direct", 50.0)
    bench.stand_in.errors.clear()
    bench.stand_in.shamrock.world = bench.world
    assert bench.driver.status().connected


def test_lost_line_is_found_again_without_switching_the_cooler_on(bench):
    bench.driver.cool()
    bench.driver.camera.cooler_off()
    bench.world.faults.set("camera.port_gone")
    with pytest.raises(InstrumentConnectionError, match="cable"):
        bench.driver.status()
    with pytest.raises(InstrumentConnectionError, match="is not available"):
        bench.driver.status()
    with pytest.raises(InstrumentConnectionError, match="tried again in 1 s"):
        bench.driver.status()
    bench.world.faults.clear()
    bench.world.advance(1.0)
    before = len(bench.stand_in.calls)
    assert bench.driver.status().connected
    assert bench.driver.reconnects == 1
    assert "CoolerON" not in bench.stand_in.calls[before:]
    assert len(list(bench.driver.frames(2, 1.0, shutter_open=True))) == 2


def test_pauses_between_reconnects_grow(bench):
    bench.world.faults.set("camera.port_gone")
    tries = []
    for _ in range(200):
        before = len(bench.stand_in.calls)
        with pytest.raises(InstrumentConnectionError):
            bench.driver.spectrograph.centre_nm()
        if len(bench.stand_in.calls) > before:
            tries.append(bench.world.now())
        bench.world.advance(0.5)
    assert list(np.diff(tries[1:])) == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0, 32.0], abs=0.6)
    bench.world.faults.clear()
    bench.world.advance(60.0)
    bench.driver.status()


def test_line_lost_during_an_exposure_ends_in_a_connection_error(bench):
    frames = bench.driver.frames(5, 10.0, shutter_open=True)
    next(frames)
    bench.world.faults.set("camera.port_gone")
    with pytest.raises(InstrumentConnectionError, match="cable"):
        next(frames)
    bench.world.faults.clear()
    bench.world.advance(60.0)
    assert len(list(bench.driver.frames(1, 1.0, shutter_open=False))) == 1


def test_every_call_is_in_the_traffic_log(bench):
    bench.driver.spectrograph.set_slit_um("input_direct", 50.0)
    words = [str(entry) for entry in bench.driver.traffic.entries(4)]
    assert any("->" in line and "set_slit_width('input_direct'" in line for line in words)
    assert any("<-" in line and "5" in line for line in words)


def test_self_test_says_where_the_rig_file_does_not_fit_the_instrument(bench):
    assert bench.driver.self_test() == ()
    bench.driver.close()
    driver = bench.another(
        gain_electrons_per_count=1.0, saturation_counts=262143, camera_temperature_C=-110.0
    )
    driver.open()
    complaints = driver.self_test()
    assert len(complaints) == 3
    assert "the camera tells 2.8" in complaints[1]
    driver.close()


def test_call_that_hangs_ends_in_a_time_out_and_the_next_ones_are_refused(bench, monkeypatch, hang):
    bench.driver.close()
    driver = bench.another(call_timeout_s=1.5)
    driver.open()
    monkeypatch.setattr(bench.stand_in.shamrock, "_turn", lambda nm: hang.stay())
    with pytest.raises(InstrumentTimeoutError, match=r"no answer within 1\.5 s"):
        driver.spectrograph.go_to_zero_order()
    with pytest.raises(InstrumentTimeoutError, match="an earlier call still hangs"):
        driver.spectrograph.centre_nm()
    hang.release()
    assert driver.status().connected
    driver.close()


def test_limits_are_those_that_the_instruments_tell(bench):
    limits = bench.driver.limits
    assert limits.gratings_lines_per_mm == (150.0, 300.0, 600.0)
    # Groove spacing x 2 sin 40 deg cos 12.15 deg, the end of the grating's drive.
    assert limits.longest_centre_nm == pytest.approx([8378.5, 4189.3, 2094.6], abs=0.1)
    assert (limits.lowest_camera_temperature_C, limits.highest_camera_temperature_C) == (-100.0, -20.0)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (coded(20075), InstrumentConnectionError, "not initialised"),
        (coded(20267), LimitError, "out of range"),
        (coded(20018), AcquisitionError, "in time"),
        (coded(20991), LimitError, "this instrument has none"),
        (coded(20115), FaultError, "boom"),
        (TypeError("'NoneType' object is not callable"), MissingDriverError, "lacks a function"),
        (OSError("access violation"), InstrumentConnectionError, "access violation"),
        (OSError("can't import library x.dll\nmore"), MissingDriverError, "x.dll"),
    ],
)
def test_vendors_errors_say_who_must_act(error, kind, words):
    with pytest.raises(kind, match=words) as caught, speaking("spectrometer", "try it"):
        raise error
    assert str(caught.value).startswith("spectrometer: cannot try it")


def test_status_may_be_asked_from_another_thread_during_a_series(bench):
    bench.driver.cool()
    problems = []
    ended = threading.Event()

    def poll():
        while not ended.is_set():
            try:
                assert bench.driver.status().connected
            except Exception as error:
                problems.append(error)
                return

    poller = threading.Thread(target=poll, name="status poller")
    poller.start()
    try:
        assert len(list(bench.driver.frames(30, 0.5, shutter_open=True))) == 30
    finally:
        ended.set()
        poller.join(60.0)
    assert problems == []


def test_camera_that_drifts_after_it_was_stable_shows_in_the_status(bench):
    bench.driver.cool()
    assert bench.driver.status().faults == ()
    bench.world.faults.set("camera.not_stabilised")
    bench.world.advance(5.0)
    status = bench.driver.status()
    assert "drifted to -" in status.faults[0]
    assert not status.camera_stabilised
