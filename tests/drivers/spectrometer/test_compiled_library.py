"""The same driver over real shared libraries: pylablib's own loader, C's own calling convention."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from drivers.clock import SystemClock
from drivers.errors import LimitError, MissingDriverError
from drivers.light_path.kymera_flipper import KymeraFlipper, KymeraFlipperSettings
from drivers.spectrometer.andor import AndorSpectrometer
from drivers.spectrometer.andor_linux import CAPABILITIES, capability_words, folder_for_pylablib

SOURCE = Path(__file__).with_name("andor_stub.c")
COMPILER = shutil.which("gcc") or shutil.which("cc")


def forget_libraries():
    """Make pylablib load its libraries again, and find nothing where an earlier test pointed it."""
    import pylablib
    from pylablib.devices import Andor

    for module, library in ((Andor.Shamrock, Andor.ShamrockCIF_lib), (Andor.AndorSDK2, Andor.atmcd32d_lib)):
        module.libctl.initialized = False
        library.wlib._initialized = False
    for name in ("andor_shamrock", "andor_sdk2"):
        if ("devices/dlls", name) in pylablib.par:
            del pylablib.par["devices/dlls", name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if COMPILER is None or sys.platform == "win32":
        pytest.skip("needs a C compiler and Linux library names")
    made = tmp_path_factory.mktemp("andor")
    for name in ("libandor.so", "libatspectrograph.so"):
        command = [COMPILER, "-shared", "-fPIC", "-O1", "-w", str(SOURCE), "-o", str(made / name), "-lm"]
        subprocess.run(command, check=True, timeout=60)
    yield made
    forget_libraries()


def settings(**changes):
    table = {
        "gain_electrons_per_count": 2.8,
        "read_noise_electrons": 4.0,
        "saturation_counts": 65535,
        "warm_up_before_close_C": None,
        **changes,
    }
    return AndorSpectrometer.Settings(**table)


def test_whole_driver_runs_over_compiled_libraries(folder):
    forget_libraries()
    driver = AndorSpectrometer("spectrometer", settings(library_folder=str(folder)), clock=SystemClock())
    with driver:
        found = driver.identify()
        assert found.serial_number == "KY-COMPILED, 4711"
        assert "compiled" in found.model
        assert driver.self_test() == ()
        driver.select(2, 520.0)
        axis = driver.wavelengths_nm()
        assert axis[[0, -1]] == pytest.approx([520.0 - 63.9375, 520.0 + 63.9375], abs=1e-3)
        with pytest.raises(LimitError, match="2500 nm is outside"):
            driver.select(2, 2500.0)
        driver.cool()
        assert driver.status().camera_temperature.value == -60.0
        frames = list(driver.frames(3, 0.02, shutter_open=False))
        assert [int(frame.counts[0]) for frame in frames] == [1000, 2000, 3000]
        assert np.array_equal(np.diff(frames[0].counts), np.ones(1023))
        assert driver.spectrograph.filter_name(1) == "LP 450"
        path = KymeraFlipper(
            "light_path",
            KymeraFlipperSettings(),
            clock=SystemClock(),
            partners={"spectrometer": driver},
        )
        with path:
            path.select("counters")
            assert path.status().port == "counters"


def test_defect_8_capabilities_with_32_bit_fields_are_read_right(folder):
    forget_libraries()
    driver = AndorSpectrometer("spectrometer", settings(library_folder=str(folder)), clock=SystemClock())
    with driver:
        told = driver.camera._device.get_capabilities()
    assert told["cam_type"] == "AC_CAMERATYPE_NEWTON"
    assert "AC_ACQMODE_KINETIC" in told["acq_mode"]
    assert "AC_READMODE_FVB" in told["read_mode"]
    assert "AC_FEATURES_FANCONTROL" in told["features"]


@pytest.mark.parametrize("bits", [32, 64])
def test_defect_8_both_layouts_give_the_same_fields(bits):
    fields = [52, 15, 63, 3, 8, 4, 0x1207, 15, 395, 0, 0, 0, 0]
    memory = np.zeros(26, dtype="<u4")
    memory[: len(fields) * (bits // 32)].view(f"<u{bits // 8}")[:] = fields
    assert capability_words(list(memory)) == fields
    assert len(CAPABILITIES) == 13


def test_folder_without_libraries_is_left_to_pylablib(tmp_path):
    assert folder_for_pylablib(str(tmp_path)) == str(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="an Andor installation may be there")
def test_without_libraries_the_error_says_what_to_install(tmp_path):
    forget_libraries()
    driver = AndorSpectrometer("spectrometer", settings(library_folder=str(tmp_path)), clock=SystemClock())
    with pytest.raises(MissingDriverError, match="Install Andor SOLIS or the Andor SDK2"):
        driver.open()
    forget_libraries()
