# ruff: noqa: D102 - the methods are the vendor's C functions; the vendor's manual documents them.
"""A Newton-class CCD as Andor's SDK2 shows it: one method per C function.

Arguments are those of the vendor's header; results go out through pointers, the return value is the vendor's
code. An acquisition begins at the world's present time and is done when the world's clock has passed its end;
the waiting functions let that time pass, as the vendor's block.
"""

from __future__ import annotations

import threading

import numpy as np

from simulators.andor_exposure import Acquisition, FibreLight, Plan
from simulators.andor_memory import Address, Out, put_array, put_text
from simulators.camera import Cooler, Readout, Sensor, readout_time_s
from simulators.randomness import random_stream
from simulators.shamrock import Kymera, ShutterRecord
from simulators.world import WorldView

USB_ERROR = 20089
SUCCESS = 20002
ACQ_DOWNFIFO_FULL = 20019
NO_NEW_DATA = 20024
P1_INVALID, P2_INVALID, P3_INVALID, P4_INVALID = 20066, 20067, 20068, 20069
P5_INVALID, P6_INVALID = 20076, 20077
ACQUIRING, IDLE = 20072, 20073
NOT_INITIALIZED = 20075
NOT_SUPPORTED = 20991
TEMPERATURE_CODES = {
    "off": 20034,
    "not_stabilised": 20035,
    "stabilised": 20036,
    "not_reached": 20037,
    "drift": 20040,
}

HANDLE = 100
VERTICAL_SPEEDS_us = (8.25, 16.25, 32.25)
SHORTEST_EXPOSURE_S = 1e-5
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


class Sdk2Camera:
    """The camera. Thread-safe through ``lock``, which the caller of the C functions holds.

    Args:
        world: Where time passes and light comes from.
        shamrock: The spectrograph in front of it.
        sensor: The chip.
        serial_number: As the library tells it.
    """

    def __init__(
        self,
        world: WorldView,
        shamrock: Kymera,
        *,
        sensor: Sensor | None = None,
        serial_number: int = 24601,
    ) -> None:
        self.world = world
        self.sensor = sensor if sensor is not None else Sensor()
        self.serial_number = serial_number
        self.lock = threading.RLock()
        self.cooler = Cooler(world.now())
        self.shutter = ShutterRecord()
        self.shutter_mode = 2
        self.light = FibreLight(world, shamrock, self.sensor, self.shutter)
        self.initialised = False
        self.cold_shutdowns_C: list[float] = []
        self.acquisition: Acquisition | None = None
        self._acquisitions = 0
        self._read_until = 0
        self._defaults()

    def _defaults(self) -> None:
        self.acquisition_mode = 1
        self.read_mode = 0
        self.exposure_s = 0.1
        self.accumulations = 1
        self.kinetics = 1
        self.accumulate_cycle_s = 0.0
        self.kinetic_cycle_s = 0.0
        self.preamp = 0
        self.speed = 0
        self.vertical_speed = 1
        self.trigger = 0
        self.track = (1, 1)
        self.multi_track = (1, 1, 0)
        self.random_tracks = [(1, 1)]
        self.image = (1, 1, 1, self.sensor.columns, 1, self.sensor.rows)

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

    def _give(self, out: Out, value: float) -> int:
        if not self.initialised:
            return NOT_INITIALIZED
        out[0] = value
        return SUCCESS

    def _free(self) -> int:
        """Code that refuses a change while the library is closed or an acquisition runs."""
        if not self.initialised:
            return NOT_INITIALIZED
        self._move()
        return ACQUIRING if self._running() else SUCCESS

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

    # -- amplifier and speeds ------------------------------------------------------------------------------

    def GetNumberADChannels(self, number: Out) -> int:
        return self._give(number, 1)

    def SetADChannel(self, channel: int) -> int:
        return self._free() if channel == 0 else P1_INVALID

    def GetBitDepth(self, channel: int, bits: Out) -> int:
        return self._give(bits, self.sensor.bits) if channel == 0 else P1_INVALID

    def GetNumberAmp(self, number: Out) -> int:
        return self._give(number, 1)

    def SetOutputAmplifier(self, amplifier: int) -> int:
        return self._free() if amplifier == 0 else P1_INVALID

    def GetAmpDesc(self, amplifier: int, text: Address, size: int) -> int:
        if amplifier != 0:
            return P1_INVALID
        put_text(text, "Conventional", size)
        return SUCCESS

    def GetNumberHSSpeeds(self, channel: int, amplifier: int, number: Out) -> int:
        return self._give(number, len(self.sensor.readout_MHz)) if channel == 0 else P1_INVALID

    def GetHSSpeed(self, channel: int, amplifier: int, index: int, speed_MHz: Out) -> int:
        if not 0 <= index < len(self.sensor.readout_MHz):
            return P3_INVALID
        return self._give(speed_MHz, self.sensor.readout_MHz[index])

    def SetHSSpeed(self, amplifier: int, index: int) -> int:
        if not 0 <= index < len(self.sensor.readout_MHz):
            return P2_INVALID
        code = self._free()
        if code == SUCCESS:
            self.speed = index
        return code

    def GetNumberPreAmpGains(self, number: Out) -> int:
        return self._give(number, len(self.sensor.preamp_gains))

    def GetPreAmpGain(self, index: int, gain: Out) -> int:
        if not 0 <= index < len(self.sensor.preamp_gains):
            return P1_INVALID
        return self._give(gain, self.sensor.preamp_gains[index])

    def IsPreAmpGainAvailable(self, channel: int, amplifier: int, speed: int, gain: int, status: Out) -> int:
        return self._give(status, 1)

    def SetPreAmpGain(self, index: int) -> int:
        if not 0 <= index < len(self.sensor.preamp_gains):
            return P1_INVALID
        code = self._free()
        if code == SUCCESS:
            self.preamp = index
        return code

    def GetSensitivity(self, channel: int, speed: int, amplifier: int, gain: int, sensitivity: Out) -> int:
        if not 0 <= gain < len(self.sensor.gains_electrons_per_count):
            return P4_INVALID
        return self._give(sensitivity, self.sensor.gains_electrons_per_count[gain])

    def GetNumberVSSpeeds(self, number: Out) -> int:
        return self._give(number, len(VERTICAL_SPEEDS_us))

    def GetVSSpeed(self, index: int, speed_us: Out) -> int:
        if not 0 <= index < len(VERTICAL_SPEEDS_us):
            return P1_INVALID
        return self._give(speed_us, VERTICAL_SPEEDS_us[index])

    def GetFastestRecommendedVSSpeed(self, index: Out, speed_us: Out) -> int:
        index[0], speed_us[0] = 1, VERTICAL_SPEEDS_us[1]
        return SUCCESS if self.initialised else NOT_INITIALIZED

    def SetVSSpeed(self, index: int) -> int:
        if not 0 <= index < len(VERTICAL_SPEEDS_us):
            return P1_INVALID
        code = self._free()
        if code == SUCCESS:
            self.vertical_speed = index
        return code

    # -- shutter and trigger -------------------------------------------------------------------------------

    def GetShutterMinTimes(self, closing_ms: Out, opening_ms: Out) -> int:
        closing_ms[0], opening_ms[0] = 0, 0
        return SUCCESS

    def SetShutter(self, ttl: int, mode: int, closing_ms: int, opening_ms: int) -> int:
        if ttl not in (0, 1):
            return P1_INVALID
        if mode not in (0, 1, 2):
            return P2_INVALID
        code = self._free()
        if code == SUCCESS:
            self.shutter_mode = mode
            # In mode 0 the signal is there whenever an exposure runs: for the light that is "open".
            self.shutter.set(self.world.now(), mode in (0, 1))
        return code

    def SetTriggerMode(self, mode: int) -> int:
        if mode not in (0, 1, 10):
            return P1_INVALID
        code = self._free()
        if code == SUCCESS:
            self.trigger = mode
        return code

    # -- acquisition set-up --------------------------------------------------------------------------------

    def _set(self, name: str, value: object) -> int:
        code = self._free()
        if code == SUCCESS:
            setattr(self, name, value)
        return code

    def SetAcquisitionMode(self, mode: int) -> int:
        return self._set("acquisition_mode", mode) if mode in (1, 2, 3, 5) else P1_INVALID

    def SetReadMode(self, mode: int) -> int:
        return self._set("read_mode", mode) if 0 <= mode <= 4 else P1_INVALID

    def SetExposureTime(self, seconds: float) -> int:
        return self._set("exposure_s", max(seconds, SHORTEST_EXPOSURE_S)) if seconds >= 0 else P1_INVALID

    def SetNumberAccumulations(self, number: int) -> int:
        return self._set("accumulations", number) if number >= 1 else P1_INVALID

    def SetNumberKinetics(self, number: int) -> int:
        return self._set("kinetics", number) if number >= 1 else P1_INVALID

    def SetKineticCycleTime(self, seconds: float) -> int:
        return self._set("kinetic_cycle_s", seconds) if seconds >= 0 else P1_INVALID

    def SetAccumulationCycleTime(self, seconds: float) -> int:
        return self._set("accumulate_cycle_s", seconds) if seconds >= 0 else P1_INVALID

    def SetSingleTrack(self, centre: int, height: int) -> int:
        top = centre - 1 - (height - 1) // 2
        if height < 1:
            return P2_INVALID
        if top < 0 or top + height > self.sensor.rows:
            return P1_INVALID
        return self._set("track", (centre, height))

    def SetMultiTrack(self, number: int, height: int, offset: int, bottom: Out, gap: Out) -> int:
        rows = self.sensor.rows
        if number < 1 or number > rows:
            return P1_INVALID
        if height < 1 or number * height > rows:
            return P2_INVALID
        spacing = (rows - number * height) // number
        first = max(spacing // 2 + offset, 0)
        if first + number * height + (number - 1) * spacing > rows:
            return P3_INVALID
        bottom[0], gap[0] = first + 1, spacing
        return self._set("multi_track", (number, height, offset))

    def SetRandomTracks(self, number: int, areas: Out) -> int:
        tracks = [(int(areas[2 * i]), int(areas[2 * i + 1])) for i in range(number)]
        if number < 1 or number > self.sensor.rows:
            return P1_INVALID
        ends = [end for track in tracks for end in track]
        if ends != sorted(ends) or not all(1 <= end <= self.sensor.rows for end in ends):
            return 20094
        return self._set("random_tracks", tracks)

    def SetImage(self, hbin: int, vbin: int, hstart: int, hend: int, vstart: int, vend: int) -> int:
        columns, rows = self.sensor.columns, self.sensor.rows
        checks = (
            (hbin >= 1, P1_INVALID),
            (vbin >= 1, P2_INVALID),
            (1 <= hstart <= columns, P3_INVALID),
            (hstart <= hend <= columns and (hend - hstart + 1) % max(hbin, 1) == 0, P4_INVALID),
            (1 <= vstart <= rows, P5_INVALID),
            (vstart <= vend <= rows and (vend - vstart + 1) % max(vbin, 1) == 0, P6_INVALID),
        )
        wrong = next((code for valid, code in checks if not valid), None)
        if wrong is not None:
            return wrong
        return self._set("image", (hbin, vbin, hstart, hend, vstart, vend))

    def GetAcquisitionTimings(self, exposure_s: Out, accumulate_s: Out, kinetic_s: Out) -> int:
        if not self.initialised:
            return NOT_INITIALIZED
        plan = self._plan()
        exposure_s[0], accumulate_s[0], kinetic_s[0] = plan.exposure_s, plan.accumulate_cycle_s, plan.cycle_s
        return SUCCESS

    def GetReadOutTime(self, seconds: Out) -> int:
        return self._give(seconds, self._plan().readout_s)

    def GetKeepCleanTime(self, seconds: Out) -> int:
        return self._give(seconds, 0.0)

    def _tracks(self) -> tuple[Readout, ...]:
        sensor = self.sensor
        if self.read_mode == 4:
            hbin, vbin, left, right, top, bottom = self.image
            return (Readout(top - 1, bottom, vbin, left - 1, right, hbin, self.preamp, self.speed),)
        if self.read_mode == 0:
            spans = [(0, sensor.rows)]
        elif self.read_mode == 3:
            centre, height = self.track
            top = centre - 1 - (height - 1) // 2
            spans = [(top, top + height)]
        elif self.read_mode == 1:
            number, height, offset = self.multi_track
            gap = (sensor.rows - number * height) // number
            first = max(gap // 2 + offset, 0)
            spans = [(first + i * (height + gap), first + i * (height + gap) + height) for i in range(number)]
        else:
            spans = [(begin - 1, end) for begin, end in self.random_tracks]
        return tuple(
            Readout(top, bottom, bottom - top, 0, sensor.columns, 1, self.preamp, self.speed)
            for top, bottom in spans
        )

    def _plan(self) -> Plan:
        tracks = self._tracks()
        readout_s = sum(readout_time_s(self.sensor, track) for track in tracks)
        accumulations = self.accumulations if self.acquisition_mode in (2, 3) else 1
        accumulate_s = max(self.accumulate_cycle_s, self.exposure_s + readout_s)
        cycle_s = max(
            self.kinetic_cycle_s if self.acquisition_mode in (3, 5) else 0.0, accumulations * accumulate_s
        )
        frames = {1: 1, 2: 1, 3: self.kinetics}.get(self.acquisition_mode)
        return Plan(tracks, self.exposure_s, accumulations, accumulate_s, cycle_s, readout_s, frames)

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
        if self.world.faults.active("camera.acquisition_error"):
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
