"""The spectrograph's optics and the camera's noise against closed forms and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.emission.components import Component, Emission
from simulators import optics
from simulators.camera import (
    ROOM_C,
    Cooler,
    Readout,
    Sensor,
    dark_electrons_per_s,
    read_out,
    readout_time_s,
    row_shares,
)
from simulators.kymera import BLAZED_GRATINGS
from simulators.light import FIBRE_SHARE, emission_now, fibre_photons, xray_rate_Hz
from simulators.light_switch import ShutterRecord, Wiring
from simulators.optics import Grating, SpectrographState
from simulators.world import Conditions, World

HC_EV_NM = 1239.8419843320026


def line_at(wavelength_nm, width_eV=1e-5):
    return Emission((Component("line", HC_EV_NM / wavelength_nm, width_eV, 1.0, 1e-9),))


@pytest.mark.parametrize("lines", [150.0, 300.0, 600.0, 1200.0])
def test_light_at_every_pixel_fulfils_the_grating_equation(lines):
    # sin(a) + sin(b) = m lambda / d, solved here for the diffraction angle from the pixel's place.
    spacing_nm, half = 1e6 / lines, math.radians(optics.ANGULAR_DEVIATION_deg / 2)
    centre_nm = 500.0
    turn = math.asin(centre_nm / (2 * spacing_nm * math.cos(half)))
    for x_mm in (-13.0, -1.0, 0.0, 7.0, 13.0):
        wavelength_nm = float(optics.wavelengths_at(x_mm, lines, centre_nm))
        out = math.asin(wavelength_nm / spacing_nm - math.sin(turn - half))
        assert optics.FOCAL_LENGTH_mm * math.tan(out - turn - half) == pytest.approx(x_mm, abs=1e-9)


def test_dispersion_is_that_of_a_kymera_328i():
    # Documented for 600 lines/mm at 520 nm on 1024 pixels of 26 um: 456.7 to 582.3 nm.
    edges = optics.pixel_edges_nm(1024, 26.0, 600.0, 520.0)
    assert edges[0] == pytest.approx(456.7, abs=0.3)
    assert edges[-1] == pytest.approx(582.3, abs=0.3)
    coarse = optics.pixel_edges_nm(1024, 26.0, 300.0, 545.0)
    assert coarse[-1] - coarse[0] == pytest.approx(255.0, abs=6.0)


@pytest.mark.parametrize("width_um", [5.0, 20.0, 50.0, 80.0, 100.0, 300.0])
def test_slit_share_is_the_strip_of_a_disc(width_um):
    x = (np.arange(200_000) + 0.5) / 100_000 - 1.0
    height = np.sqrt(1.0 - x**2)
    share = height[np.abs(x) <= width_um / 100.0].sum() / height.sum()
    assert optics.slit_share(width_um) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("width_um", [10.0, 50.0, 100.0, 500.0])
def test_line_keeps_all_its_light_and_stays_centred(width_um):
    kernel = optics.line_kernel(width_um, 26.0)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-12)
    assert kernel == pytest.approx(kernel[::-1], abs=1e-12)
    # Variance of a strip of a disc plus that of the blur plus a pixel's; the full disc has D^2/16.
    x = np.arange(kernel.size) - kernel.size // 2
    if width_um >= 100.0:
        variance_um2 = 100.0**2 / 16.0 + optics.ABERRATION_um**2 + 26.0**2 / 12.0
        assert (kernel * (x * 26.0) ** 2).sum() == pytest.approx(variance_um2, rel=0.02)


def test_narrow_line_falls_on_its_pixel_with_all_the_light():
    state = SpectrographState(Grating(300.0, None, 0.65), 545.0, 100.0)
    axis = optics.pixel_centres_nm(1024, 26.0, 300.0, 545.0)
    found = optics.electrons_per_photon(line_at(axis[400]), state, 1024, 26.0, flat_sensor=True)
    assert int(np.argmax(found)) == 400
    sensor = float(optics.quantum_efficiency(np.array([545.0]))[0])
    assert found.sum() == pytest.approx(0.65 * sensor, rel=1e-6)


def test_light_outside_the_camera_is_lost():
    state = SpectrographState(Grating(600.0, None), 520.0, 100.0)
    assert optics.electrons_per_photon(line_at(650.0), state, 1024, 26.0, flat_sensor=True).sum() == 0.0


def test_blazed_grating_is_best_at_its_blaze_and_dark_at_half_of_it():
    grating = BLAZED_GRATINGS[1]
    found = grating.efficiency(np.array([250.0, 400.0, 500.0, 600.0]))
    assert found[2] == pytest.approx(grating.peak_efficiency)
    assert found[0] == pytest.approx(0.0, abs=1e-12)
    assert found[1] < found[2] > found[3]


# -- camera --------------------------------------------------------------------------------------------------


def full_binning(**changes):
    return Readout(**{"top": 0, "bottom": 255, "row_bin": 255, "left": 0, "right": 1024, **changes})


def frames(sensor, readout, light, n, *, exposure_s=1.0, temperature_C=-100.0):
    stream = np.random.default_rng(5)
    return np.array(
        [
            read_out(
                sensor,
                readout,
                light,
                exposure_s=exposure_s,
                temperature_C=temperature_C,
                cosmic_hits=0,
                stream=stream,
            )
            for _ in range(n)
        ]
    )


def test_variance_of_counts_is_photons_plus_read_noise():
    sensor = Sensor(bias_counts=500.0)
    light = np.full(1024, 900.0)
    electrons = (frames(sensor, full_binning(), light, 200)[:, 0] - 500.0) * 2.8
    # Poisson 900, read noise 4^2, and the rounding to counts 2.8^2 / 12.
    assert electrons.mean() == pytest.approx(900.0, abs=1.0)
    assert electrons.var() == pytest.approx(900.0 + 16.0 + 2.8**2 / 12, rel=0.02)


def test_image_spreads_the_light_over_rows_without_losing_any():
    sensor = Sensor()
    light = np.full(1024, 1000.0)
    image = frames(sensor, full_binning(row_bin=1), light, 5)
    binned = frames(sensor, full_binning(), light, 5)
    assert image.shape == (5, 255, 1024)
    total = ((image - 500.0) * 2.8).sum(axis=1).mean()
    assert total == pytest.approx(((binned - 500.0) * 2.8).mean(), abs=3.0)
    assert row_shares(sensor).sum() == pytest.approx(1.0, abs=1e-9)


def test_dark_current_doubles_every_6_K():
    sensor = Sensor()
    assert dark_electrons_per_s(sensor, -54.0) == pytest.approx(2 * dark_electrons_per_s(sensor, -60.0))
    warm = frames(sensor, full_binning(), np.zeros(1024), 20, exposure_s=10.0, temperature_C=0.0)
    expected = 255 * 10.0 * sensor.dark_electrons_per_s * 2.0**10 / 2.8
    assert warm.mean() - 500.0 == pytest.approx(expected, rel=0.01)


def test_bright_light_ends_at_the_converters_last_count():
    sensor = Sensor()
    found = frames(sensor, full_binning(), np.full(1024, 1e7), 1)
    assert np.all(found == 65535)


def test_readout_time_counts_shifts_and_pixels():
    sensor = Sensor()
    assert readout_time_s(sensor, full_binning()) == pytest.approx(255 * 16e-6 + 1040 / 0.05e6)
    assert readout_time_s(sensor, full_binning(row_bin=1, speed=2)) == pytest.approx(
        255 * 16e-6 + 255 * 1040 / 3e6
    )


def test_cooler_follows_an_exponential_and_is_stable_a_minute_after_it_is_near():
    cooler = Cooler()
    cooler.aim(-60.0)
    cooler.switch(True)
    times = np.arange(0.0, 400.0, 0.5)
    states = []
    for time_s in times:
        cooler.advance(float(time_s))
        assert cooler.temperature_C() == pytest.approx(-60.0 + 80.0 * math.exp(-time_s / 45.0), abs=1e-6)
        states.append(cooler.state(float(time_s)))
    near_s = 45.0 * math.log(80.0)
    assert times[states.index("not_stabilised")] == pytest.approx(near_s, abs=0.5)
    assert times[states.index("stabilised")] == pytest.approx(near_s + 60.0, abs=0.5)


def test_cooler_without_its_fan_never_gets_there():
    cooler = Cooler()
    cooler.fan = "off"
    cooler.aim(-60.0)
    cooler.switch(True)
    cooler.advance(5000.0)
    assert cooler.temperature_C() == pytest.approx(Cooler.WITHOUT_FAN_C, abs=0.01)
    assert cooler.state(5000.0) == "not_reached"


def test_switched_off_it_warms_to_the_room():
    cooler = Cooler()
    cooler.aim(-60.0)
    cooler.switch(True)
    cooler.advance(1000.0)
    cooler.switch(False)
    cooler.advance(1150.0)
    assert cooler.temperature_C() == pytest.approx(ROOM_C - 80.0 * math.exp(-1.0), abs=1e-3)
    assert cooler.state(1150.0) == "off"


# -- light and shutter ---------------------------------------------------------------------------------------


def test_shutter_share_of_a_stretch():
    shutter = ShutterRecord()
    assert shutter.open_share(0.0, 10.0) == 0.0
    shutter.set(2.0, True)
    shutter.set(5.0, False)
    shutter.set(8.0, True)
    assert shutter.open_share(0.0, 10.0) == pytest.approx(0.5)
    assert shutter.open_share(2.0, 5.0) == 1.0
    assert shutter.open_share(4.0, 6.0) == pytest.approx(0.5)
    assert shutter.open_share(9.0, 9.0) == 0.0


def test_wiring_sends_the_light_both_ways():
    for wiring in (Wiring(), Wiring(spectrometer_port="side")):
        assert {wiring.port(0), wiring.port(1)} == {"spectrometer", "counters"}
        assert wiring.port(wiring.position("counters")) == "counters"


def test_xray_rate_follows_current_and_overvoltage():
    assert xray_rate_Hz(40.0, 300.0) == pytest.approx(1e6)
    assert xray_rate_Hz(40.0, 150.0) == pytest.approx(5e5)
    assert xray_rate_Hz(20.0, 300.0) == pytest.approx(1e6 * ((20 - 8.98) / (40 - 8.98)) ** 1.6)
    assert xray_rate_Hz(8.9, 300.0) == 0.0
    assert xray_rate_Hz(40.0, 0.0) == 0.0


@pytest.mark.parametrize(("excitation", "sample"), [("xray", "xray-A"), ("uv", "uv")])
def test_light_of_the_sample_depends_on_beam_and_temperature(excitation, sample):
    world = World(sample=sample, excitation=excitation)
    cold = Conditions(0.0, 1.0, 80.0, 40.0, 300.0, "spectrometer")
    warm = Conditions(0.0, 1.0, 300.0, 40.0, 300.0, "spectrometer")
    off = Conditions(0.0, 1.0, 80.0, 0.0, 0.0, "spectrometer")
    emission, photons_Hz = emission_now(world, cold)
    assert photons_Hz == pytest.approx(4e8)
    assert len(emission.components) == 2
    assert emission_now(world, warm)[1] < photons_Hz
    assert fibre_photons(world, cold)[1] == pytest.approx(photons_Hz * FIBRE_SHARE)
    assert (emission_now(world, off)[1] == 0.0) == (excitation == "xray")
    world.close()
