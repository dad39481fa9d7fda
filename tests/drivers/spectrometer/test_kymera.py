"""The spectrograph's parts one by one, and what pylablib 1.4.5 gets wrong about them."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.errors import FaultError, LimitError


def test_gratings_and_optics_are_told(bench):
    kymera = bench.driver.spectrograph
    assert [lines for lines, _ in kymera.gratings()] == [150.0, 300.0, 600.0]
    assert kymera.optics()["focal_length_m"] == pytest.approx(0.328)
    assert kymera.serial_number() == "KY-SIM-0001"


def test_slits_are_set_in_um_and_read_back(bench):
    kymera = bench.driver.spectrograph
    assert kymera.slits() == ("input_direct",)
    for width_um in (10.0, 50.0, 2500.0):
        kymera.set_slit_um("input_direct", width_um)
        assert kymera.slit_um("input_direct") == pytest.approx(width_um, abs=0.01)


@pytest.mark.parametrize("width_um", [9.9, 2501.0, 0.0, -1.0, float("nan")])
def test_impossible_slit_width_is_refused(bench, width_um):
    with pytest.raises(LimitError, match="10 to 2500 um"):
        bench.driver.spectrograph.set_slit_um("input_direct", width_um)


def test_slit_that_is_not_there_is_named(bench):
    with pytest.raises(LimitError, match="output_side"):
        bench.driver.spectrograph.set_slit_um("output_side", 100.0)


def test_narrow_slit_takes_light_and_sharpens_lines(bench):
    # A strip of u = 0.3 of a disc's diameter passes 2/pi (asin u + u sqrt(1 - u^2)) = 0.3759 of its light.
    bench.driver.cool()
    bench.driver.select(2, 545.0)
    bench.world.controller.hold()
    sums = []
    for width_um in (100.0, 30.0):
        bench.driver.spectrograph.set_slit_um("input_direct", width_um)
        frames = np.array([f.counts for f in bench.driver.frames(15, 5.0, shutter_open=True)])
        sums.append((np.median(frames, axis=0) - 502.0).sum())
    assert sums[1] / sums[0] == pytest.approx(0.3759, abs=0.03)


def test_shutter_modes(bench):
    kymera = bench.driver.spectrograph
    assert kymera.has_shutter()
    for mode in ("opened", "bnc", "closed"):
        kymera.set_shutter(mode)
        assert kymera.shutter() == mode


def test_filter_wheel_turns(bench):
    kymera = bench.driver.spectrograph
    assert kymera.has_filter()
    kymera.set_filter(3)
    assert kymera.filter() == 3
    with pytest.raises(LimitError, match="1 to 6"):
        kymera.set_filter(7)


def test_blocked_filter_stops_the_light(bench):
    bench.driver.cool()
    bench.driver.select(2, 545.0)
    bench.driver.spectrograph.set_filter(6)
    frames = np.array([f.counts for f in bench.driver.frames(3, 5.0, shutter_open=True)])
    assert np.median(frames, axis=0).max() < 520


def test_zero_order_puts_all_light_on_the_slits_image(bench):
    bench.driver.cool()
    kymera = bench.driver.spectrograph
    kymera.go_to_zero_order()
    assert kymera.at_zero_order()
    frame = next(iter(bench.driver.frames(1, 2.0, shutter_open=True)))
    assert 505 <= int(np.argmax(frame.counts)) <= 519
    kymera.select(2, 545.0)
    assert not kymera.at_zero_order()


def test_offsets_are_set_and_limited(bench):
    kymera = bench.driver.spectrograph
    kymera.set_detector_offset(-120)
    assert kymera.detector_offset() == -120
    with pytest.raises(LimitError, match="240000"):
        kymera.set_detector_offset(240_001)


def test_flippers_are_told_and_moved(bench):
    kymera = bench.driver.spectrograph
    assert kymera.flippers() == ("input", "output")
    kymera.set_flipper_port("input", "side")
    assert kymera.flipper_port("input") == "side"
    assert kymera.flipper_port("output") == "direct"


def test_flipper_that_sticks_is_a_fault(bench, monkeypatch):
    monkeypatch.setattr(bench.stand_in.shamrock.world, "set_port", lambda port: None)
    with pytest.raises(FaultError, match="did not move to side"):
        bench.driver.spectrograph.set_flipper_port("output", "side")


def test_moves_take_their_time(bench):
    bench.driver.select(2, 500.0)
    began_s = bench.world.now()
    bench.driver.select(3, 500.0)
    assert bench.world.now() - began_s == pytest.approx(12.0)


# -- pylablib 1.4.5, defect by defect (numbers of the list in the protocol reference) ------------------------


def test_defect_4_filter_names_can_be_read(bench):
    kymera = bench.driver.spectrograph
    assert [kymera.filter_name(i) for i in (1, 2, 6)] == ["none", "OD1", "blocked"]


def test_defect_4_grating_offset_goes_to_its_grating(bench):
    kymera = bench.driver.spectrograph
    kymera.set_grating_offset(1, 37)
    assert [kymera.grating_offset(i) for i in (1, 2, 3)] == [37, 0, 0]
    with pytest.raises(LimitError, match="20000"):
        kymera.set_grating_offset(1, 20_001)
    with pytest.raises(LimitError, match="no grating 4"):
        kymera.set_grating_offset(4, 1)


def test_defect_5_focus_mirror_moves_to_an_absolute_position(bench):
    kymera = bench.driver.spectrograph
    assert kymera.focus_steps() == 250
    assert kymera.move_focus_to(300) == 300
    assert kymera.move_focus_to(300) == 300
    assert kymera.move_focus_to(0) == 0
    with pytest.raises(LimitError, match="0 to 550"):
        kymera.move_focus_to(551)


def test_defect_5_settings_are_never_restored_wholesale(bench):
    # apply_settings(get_settings()) would send the focus mirror by its own position.
    bench.driver.close()
    bench.driver.open()
    assert "ShamrockSetFocusMirror" not in bench.stand_in.calls
    assert bench.driver.spectrograph.focus_steps() == 250
