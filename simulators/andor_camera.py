# ruff: noqa: D102 - the methods are the vendor's C functions; the vendor's manual documents them.
"""A Newton-class CCD as Andor's SDK2 shows it: one method per C function.

Arguments are those of the vendor's header; results go out through pointers, the return value is the vendor's
code. An acquisition begins at the world's present time and is done when the world's clock has passed its end;
the waiting functions let that time pass, as the vendor's block.
"""

from __future__ import annotations

import numpy as np

from simulators.andor_exposure import Acquisition, FibreLight
from simulators.andor_memory import Address, Out, put_array, put_text
from simulators.andor_settings import (
    ACQ_DOWNFIFO_FULL,
    ACQUIRING,
    IDLE,
    NO_NEW_DATA,
    NOT_INITIALIZED,
    P1_INVALID,
    P2_INVALID,
    P4_INVALID,
    SUCCESS,
    Sdk2Settings,
)
from simulators.camera import Cooler, Sensor
from simulators.kymera import Kymera
from simulators.randomness import random_stream
from simulators.world import WorldView

TEMPERATURE_CODES = {
    "off": 20034,
    "not_stabilised": 20035,
    "stabilised": 20036,
    "not_reached": 20037,
    "drift": 20040,
}

HANDLE = 100
INITIALISE_S = 2.0
# Sensors colder than this when the cooler is cut off may crack: the vendor's manual wants them warmed first.
SAFE_SHUTDOWN_C = -20.0

# Bits of the capabilities structure (atmcd32d.h).
_ACQUISITION_MODES = 1 | 2 | 4 | 8
_READ_MODES = 1 | 2 | 4 | 8 | 16 | 32
_TRIGGER_MODES = 1 | 2
_SET_FUNCTIONS = 0x01 | 0x02 | 0x04 | 0x200 | 0x1000
_GET_FUNCTIONS = 0x01 | 0x02 | 0x04 | 0x08
_FEATURES = 1 | 2 | 8 | 128 | 256
_CAMERA_TYPE_NEWTON = 8
_PIXEL_MODE_16_BIT_MONO = 4


class Sdk2Camera(Sdk2Settings):
    """The camera. Thread-safe through ``lock``, which the caller of the C functions holds.

    Args:
        world: Where time passes and light comes from.
        spectrograph: The spectrograph in front of it.
        sensor: The chip.
        serial_number: As the library tells it.
    """

    def __init__(
        self,
        world: WorldView,
        spectrograph: Kymera,
        *,
        sensor: Sensor | None = None,
        serial_number: int = 24601,
    ) -> None:
        super().__init__(world, sensor if sensor is not None else Sensor())
        self.serial_number = serial_number
        self.cooler = Cooler(world.now())
        self.light = FibreLight(world, spectrograph, self.sensor, self.shutter)
        self.cold_shutdowns_C: list[float] = []
        self.acquisition: Acquisition | None = None
        self._acquisitions = 0
        self._read_until = 0

    def _take(self, fault: str) -> bool:
        """Whether the fault holds; one that was set for a number of times loses one of them."""
        take = getattr(self.world.faults, "take", self.world.faults.active)
        return bool(take(fault))

    def gone(self) -> bool:
        """The camera's line is dead."""
        return self.world.faults.active("camera.port_gone")

    # -- library and identity ------------------------------------------------------------------------------

    def GetAvailableCameras(self, number: Out) -> int:
        number[0] = 0 if self.gone() else 1
        return SUCCESS

    def GetCameraHandle(self, index: int, handle: Out) -> int:
        if index != 0:
            return P1_INVALID
        handle[0] = HANDLE
        return SUCCESS

    def GetCurrentCamera(self, handle: Out) -> int:
        handle[0] = HANDLE
        return SUCCESS

    def SetCurrentCamera(self, handle: int) -> int:
        return SUCCESS if handle == HANDLE else P1_INVALID

    def Initialize(self, folder: Address) -> int:
        if not self.initialised:
            self.world.advance(INITIALISE_S)
            self._defaults()
        self.initialised = True
        return SUCCESS

    def ShutDown(self) -> int:
        if not self.initialised:
            return NOT_INITIALIZED
        self._move()
        if self.cooler.temperature_C() < SAFE_SHUTDOWN_C:
            self.cold_shutdowns_C.append(self.cooler.temperature_C())
        self.cooler.switch(False)
        self.initialised = False
        self.acquisition = None
        return SUCCESS

    def GetVersionInfo(self, which: int, text: Address, size: int) -> int:
        put_text(text, "2.104.30064.0 (simulated)", size)
        return SUCCESS

    def GetCapabilities(self, capabilities: Out) -> int:
        if not self.initialised:
            return NOT_INITIALIZED
        found = capabilities[0]
        found.ulAcqModes = _ACQUISITION_MODES
        found.ulReadModes = _READ_MODES
        found.ulTriggerModes = _TRIGGER_MODES
        found.ulCameraType = _CAMERA_TYPE_NEWTON
        found.ulPixelMode = _PIXEL_MODE_16_BIT_MONO
        found.ulSetFunctions = _SET_FUNCTIONS
        found.ulGetFunctions = _GET_FUNCTIONS
        found.ulFeatures = _FEATURES
        return SUCCESS

    def GetControllerCardModel(self, text: Address) -> int:
        put_text(text, "USB")
        return SUCCESS

    def GetHeadModel(self, text: Address) -> int:
        put_text(text, "DU920P_BV (simulated)")
        return SUCCESS

    def GetCameraSerialNumber(self, number: Out) -> int:
        return self._give(number, self.serial_number)

    def GetDetector(self, columns: Out, rows: Out) -> int:
        columns[0], rows[0] = self.sensor.columns, self.sensor.rows
        return SUCCESS

    def GetPixelSize(self, width_um: Out, height_um: Out) -> int:
        width_um[0] = height_um[0] = self.sensor.pixel_um
        return SUCCESS

    # -- cooler --------------------------------------------------------------------------------------------

    def GetTemperatureRange(self, low: Out, high: Out) -> int:
        low[0], high[0] = Cooler.RANGE_C
        return SUCCESS if self.initialised else NOT_INITIALIZED

    def SetTemperature(self, celsius: int) -> int:
        code = self._free()
        if code == SUCCESS and not Cooler.RANGE_C[0] <= celsius <= Cooler.RANGE_C[1]:
            return P1_INVALID
        if code == SUCCESS:
            self.cooler.aim(float(celsius))
        return code

    def GetTemperatureF(self, celsius: Out) -> int:
        code = self._free()
        if code != SUCCESS:
            return code
        celsius[0] = self.cooler.temperature_C()
        return TEMPERATURE_CODES[self.cooler.state(self.world.now())]

    def GetTemperature(self, celsius: Out) -> int:
        code = self._free()
        if code != SUCCESS:
            return code
        celsius[0] = round(self.cooler.temperature_C())
        return TEMPERATURE_CODES[self.cooler.state(self.world.now())]

    def CoolerON(self) -> int:
        code = self._free()
        if code == SUCCESS:
            self.cooler.switch(True)
        return code

    def CoolerOFF(self) -> int:
        code = self._free()
        if code == SUCCESS:
            self.cooler.switch(False)
        return code

    def IsCoolerOn(self, on: Out) -> int:
        return self._give(on, int(self.cooler.on))

    def SetFanMode(self, mode: int) -> int:
        if not 0 <= mode <= 2:
            return P1_INVALID
        code = self._free()
        if code == SUCCESS:
            self.cooler.fan = ("full", "low", "off")[mode]
        return code

    # -- acquisition ---------------------------------------------------------------------------------------

    def _move(self) -> None:
        """Bring cooler and acquisition to the present."""
        now_s = self.world.now()
        self.cooler.disturbed = self.world.faults.active("camera.not_stabilised")
        self.cooler.advance(now_s)
        acquisition = self.acquisition
        if acquisition is None or not acquisition.running(now_s):
            return
        self.light.chip_C = self.cooler.temperature_C()
        if self._take("camera.acquisition_error"):
            acquisition.stop(now_s, ACQ_DOWNFIFO_FULL)

    def _running(self) -> bool:
        return self.acquisition is not None and self.acquisition.running(self.world.now())

    def PrepareAcquisition(self) -> int:
        return self._free()

    def StartAcquisition(self) -> int:
        code = self._free()
        if code == SUCCESS:
            self._acquisitions += 1
            stream = random_stream(self.world.seed, f"camera.acquisition.{self._acquisitions}")
            self.acquisition = Acquisition(self._plan(), self.world.now(), stream)
            self._read_until = 0
            self.light.chip_C = self.cooler.temperature_C()
        return code

    def AbortAcquisition(self) -> int:
        if not self.initialised:
            return NOT_INITIALIZED
        if not self._running():
            return IDLE
        assert self.acquisition is not None
        self.acquisition.stop(self.world.now())
        return SUCCESS

    def FreeInternalMemory(self) -> int:
        code = self._free()
        if code == SUCCESS:
            self.acquisition = None
        return code

    def GetStatus(self, status: Out) -> int:
        if not self.initialised:
            return NOT_INITIALIZED
        self._move()
        status[0] = IDLE
        if self.acquisition is not None:
            if self._running():
                status[0] = ACQUIRING
            elif self.acquisition.error is not None:
                status[0] = self.acquisition.error
        return SUCCESS

    def _done(self) -> int:
        self._move()
        return 0 if self.acquisition is None else self.acquisition.done(self.world.now())

    def GetAcquisitionProgress(self, accumulated: Out, series: Out) -> int:
        accumulated[0] = 0
        return self._give(series, self._done())

    def GetTotalNumberImagesAcquired(self, number: Out) -> int:
        return self._give(number, self._done())

    def GetNumberNewImages(self, first: Out, last: Out) -> int:
        done = self._done()
        if done <= self._read_until:
            return NO_NEW_DATA
        first[0], last[0] = self._read_until + 1, done
        return SUCCESS

    def GetNumberAvailableImages(self, first: Out, last: Out) -> int:
        done = self._done()
        if not done:
            return NO_NEW_DATA
        first[0], last[0] = 1, done
        return SUCCESS

    def GetSizeOfCircularBuffer(self, number: Out) -> int:
        return self._give(number, 200)

    def WaitForAcquisitionByHandleTimeOut(self, handle: int, milliseconds: int) -> int:
        return self.WaitForAcquisitionTimeOut(milliseconds) if handle == HANDLE else P1_INVALID

    def WaitForAcquisitionTimeOut(self, milliseconds: int) -> int:
        if not self.initialised:
            return NOT_INITIALIZED
        before = self._done()
        self.world.advance(milliseconds * 1e-3)
        return SUCCESS if self._done() > before else NO_NEW_DATA

    def CancelWait(self) -> int:
        return SUCCESS

    # -- data ----------------------------------------------------------------------------------------------

    def GetImages(self, first: int, last: int, data: Address, size: int, valid1: Out, valid2: Out) -> int:
        return self._give_images(first, last, data, size, (valid1, valid2), "<i4")

    def GetImages16(self, first: int, last: int, data: Address, size: int, valid1: Out, valid2: Out) -> int:
        return self._give_images(first, last, data, size, (valid1, valid2), "<u2")

    def GetAcquiredData(self, data: Address, size: int) -> int:
        return self._give_last(data, size, "<i4")

    def GetAcquiredData16(self, data: Address, size: int) -> int:
        return self._give_last(data, size, "<u2")

    def GetMostRecentImage(self, data: Address, size: int) -> int:
        return self._give_last(data, size, "<i4")

    def GetMostRecentImage16(self, data: Address, size: int) -> int:
        return self._give_last(data, size, "<u2")

    def _give_last(self, data: Address, size: int, dtype: str) -> int:
        done = self._done()
        if self._running() and self.acquisition_mode != 5:
            return ACQUIRING
        return self._copy(done, done, data, size, dtype) if done else NO_NEW_DATA

    def _give_images(
        self, first: int, last: int, data: Address, size: int, valid: tuple[Out, Out], dtype: str
    ) -> int:
        if not self.initialised:
            return NOT_INITIALIZED
        done = self._done()
        if not done:
            return NO_NEW_DATA
        if not 1 <= first <= done:
            return P1_INVALID
        if not first <= last <= done:
            return P2_INVALID
        valid[0][0], valid[1][0] = first, last
        return self._copy(first, last, data, size, dtype)

    def _copy(self, first: int, last: int, data: Address, size: int, dtype: str) -> int:
        assert self.acquisition is not None
        rows, columns = self.acquisition.plan.shape
        if size != rows * columns * (last - first + 1):
            return P4_INVALID
        frames = [self.acquisition.frame(number - 1, self.light) for number in range(first, last + 1)]
        if any(frame is None for frame in frames):
            return P1_INVALID
        # A 16-bit read of an accumulated sum wraps, as the vendor's does.
        put_array(data, np.stack([frame for frame in frames if frame is not None]).astype(dtype), dtype)
        self._read_until = max(self._read_until, last)
        return SUCCESS
