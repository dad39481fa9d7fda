"""The camera's parts one by one, and what pylablib 1.4.5 gets wrong about them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from drivers.errors import LimitError


def level(driver, exposure_s=5.0):
    frames = np.array([f.counts for f in driver.frames(5, exposure_s, shutter_open=False)])
    return np.median(frames, axis=0)


def test_amplifier_choices_are_told_and_an_impossible_one_lists_them(bench):
    camera = bench.driver.camera
    assert len(camera.amplifiers()) == 9
    camera.set_amplifier(2, 1)
    now = camera.amplifier()
    assert (now.readout_MHz, now.preamp_factor, now.bits) == (3.0, 2.0, 16)
    with pytest.raises(LimitError, match=r"speed 0 \(0.05 MHz\) gain 0 \(x1\)"):
        camera.set_amplifier(3, 0)


def test_impossible_amplifier_in_the_rig_file_shows_at_opening(bench):
    bench.driver.close()
    driver = bench.another(preamp_gain=7)
    with pytest.raises(LimitError, match="gain 7 is not possible"):
        driver.open()
    bench.driver.open()


@pytest.mark.parametrize(("speed", "gain", "noise_electrons"), [(0, 0, 4.0), (1, 1, 8.0), (2, 2, 16.0)])
def test_read_noise_is_that_of_the_chosen_speed(bench, speed, gain, noise_electrons):
    bench.driver.close()
    driver = bench.another(readout_speed=speed, preamp_gain=gain)
    driver.open()
    driver.cool()
    frames = np.array([f.counts for f in driver.frames(40, 0.01, shutter_open=False)])
    electrons = frames * driver.camera.sensitivity()
    assert np.std(electrons - np.median(electrons)) == pytest.approx(noise_electrons, rel=0.1)
    driver.close()


def test_faster_readout_shortens_the_cycle(bench):
    cycles = []
    for speed in (0, 2):
        bench.driver.camera.set_amplifier(speed, 0)
        begins = [f.began_s for f in bench.driver.frames(2, 0.1, shutter_open=False)]
        cycles.append(begins[1] - begins[0])
    # 1040 pixels at 0.05 and at 3 MHz after 255 shifts of 16 us.
    assert cycles == pytest.approx([0.1 + 0.00408 + 0.0208, 0.1 + 0.00408 + 0.000347], abs=1e-4)


def test_kinetic_series_keeps_the_asked_cycle(bench):
    begins = [f.began_s for f in bench.driver.frames(4, 0.5, shutter_open=False, cycle_s=2.0)]
    assert np.diff(begins) == pytest.approx([2.0] * 3)


def test_image_shows_the_fibres_rows(bench):
    bench.driver.cool()
    bench.driver.select(2, 545.0)
    image = bench.driver.image(20.0, shutter_open=True)
    assert image.shape == (255, 1024)
    profile = np.median(image[:, 300:500], axis=1)
    assert 125 <= int(np.argmax(profile)) <= 129
    assert profile[127] > 2 * profile[100] - 500
    # Afterwards spectra are binned as before.
    assert next(iter(bench.driver.frames(1, 0.1, shutter_open=False))).counts.shape == (1024,)
    assert bench.stand_in.camera.read_mode == 0


def test_binned_image_has_fewer_pixels_and_impossible_binning_is_refused(bench):
    assert bench.driver.image(0.1, shutter_open=False, row_bin=5, column_bin=4).shape == (51, 256)
    with pytest.raises(LimitError, match="does not divide"):
        bench.driver.image(0.1, shutter_open=False, row_bin=2)
    assert bench.stand_in.camera.read_mode == 0


def test_cancelled_image_is_none(bench):
    cancel = threading.Event()
    cancel.set()
    assert bench.driver.image(100.0, shutter_open=True, cancel=cancel) is None
    assert bench.driver.spectrograph.shutter() == "closed"


def test_single_track_reads_less_dark_current_than_all_rows(bench):
    full = level(bench.driver, 10.0) - 500.0
    bench.driver.close()
    driver = bench.another(read_mode="single-track", track_centre_row=127, track_rows=25)
    driver.open()
    track = level(driver, 10.0) - 500.0
    driver.close()
    # The sensor is warm: dark current is all there is, and it grows with the rows.
    assert np.median(track) / np.median(full) == pytest.approx(25 / 255, rel=0.1)


def test_track_beyond_the_sensor_is_refused(bench):
    with pytest.raises(LimitError, match="does not fit on 255 rows"):
        bench.driver.camera.read_track(250, 20)


def test_mirrored_camera_gives_rising_wavelengths_and_turned_frames(bench):
    bench.driver.close()
    driver = bench.another(mirrored=True)
    driver.open()
    driver.select(2, 545.0)
    with pytest.raises(Exception, match="Set mirrored in the rig file"):
        driver.wavelengths_nm()
    plain = driver.image(0.1, shutter_open=False)
    assert plain.shape == (255, 1024)
    driver.close()


def test_camera_signal_moves_the_shutter_when_the_rig_file_says_so(bench):
    bench.driver.close()
    driver = bench.another(shutter="camera")
    driver.open()
    driver.cool()
    driver.select(2, 545.0)
    assert driver.spectrograph.shutter() == "bnc"
    light = np.median([f.counts for f in driver.frames(3, 5.0, shutter_open=True)], axis=0)
    dark = np.median([f.counts for f in driver.frames(3, 5.0, shutter_open=False)], axis=0)
    assert light.max() > 700 > dark.max()
    assert driver.status().shutter_open is False
    driver.close()


def test_response_of_the_rig_file_is_interpolated(bench):
    driver = bench.another(response=[[400.0, 1.0], [600.0, 2.0]])
    assert list(driver.response(np.array([300.0, 500.0, 700.0]))) == [0.5, 0.75, 1.0]
    assert list(bench.driver.response(np.array([300.0, 500.0]))) == [1.0, 1.0]


@pytest.mark.parametrize("table", [[[500.0]], [[500.0, 0.0]], [[600.0, 1.0], [500.0, 1.0]]])
def test_impossible_response_is_refused_in_the_rig_file(bench, table):
    with pytest.raises(ValueError, match=r"pairs|rise"):
        bench.another(response=table)


# -- pylablib 1.4.5, defect by defect (numbers of the list in the protocol reference) ------------------------


def test_defect_1_opening_does_not_touch_the_cooler(bench):
    assert not {"CoolerON", "CoolerOFF", "SetTemperature"} & set(bench.stand_in.calls)
    assert not bench.driver.camera.cooler_on()


def test_defect_1_cooling_sends_the_temperature_of_the_rig_file(bench):
    bench.driver.cool()
    assert bench.stand_in.camera.cooler.set_point_C == -60.0
    assert bench.stand_in.camera.cooler.on


def test_defect_2_the_fan_runs(bench):
    assert bench.stand_in.camera.cooler.fan == "full"


def test_defect_3_frames_are_single_exposures_of_a_kinetic_series(bench):
    list(bench.driver.frames(3, 0.5, shutter_open=False))
    camera = bench.stand_in.camera
    assert (camera.acquisition_mode, camera.kinetics, camera.accumulations) == (3, 3, 1)


def test_defect_6_accumulated_sums_do_not_wrap_at_16_bits(bench):
    camera = bench.driver.camera
    camera.prepare(1, 0.01, accumulations=200)
    camera.start()
    bench.world.advance(10.0)
    # 200 sub-frames of 500 counts of bias are more than 65535.
    assert np.median(camera.frame(0)) == pytest.approx(100_000, rel=0.1)


def test_defect_7_the_many_trials_of_opening_do_not_come_again(bench):
    # Opening tries image sizes by bisection; a series afterwards must not.
    assert bench.stand_in.calls.count("SetImage") > 10
    before = len(bench.stand_in.calls)
    list(bench.driver.frames(2, 0.1, shutter_open=False))
    assert "SetImage" not in bench.stand_in.calls[before:]
    assert len(bench.stand_in.calls) - before < 120


def test_shutter_inside_the_camera_opens_with_the_spectrographs(bench):
    # pylablib closes it at opening; light would never come.
    bench.stand_in.camera.light.internal_shutter = True
    bench.driver.cool()
    bench.driver.select(2, 545.0)
    light = np.median([f.counts for f in bench.driver.frames(3, 5.0, shutter_open=True)], axis=0)
    dark = np.median([f.counts for f in bench.driver.frames(3, 5.0, shutter_open=False)], axis=0)
    assert light.max() > 700 > dark.max()


def test_close_that_is_broken_off_still_releases_the_camera(bench, monkeypatch):
    bench.driver.cool()

    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.driver, "warm_up", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.driver.close()
    assert not bench.stand_in.camera.initialised
    monkeypatch.undo()
    bench.driver.open()
