# ruff: noqa: D102 - the methods are the vendor's C functions; the vendor's manual documents them.
"""The stand-in camera's settings: amplifier, speeds, shutter, read mode, times; one method per C function."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from simulators.andor_exposure import Plan
from simulators.andor_memory import Address, Out, put_text
from simulators.camera import Readout, Sensor, readout_time_s
from simulators.light_switch import ShutterRecord
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

VERTICAL_SPEEDS_us = (8.25, 16.25, 32.25)
SHORTEST_EXPOSURE_S = 1e-5


class Sdk2Settings(ABC):
    """What can be set of the camera, and what follows from it.

    Args:
        world: Where time passes.
        sensor: The chip.
    """

    def __init__(self, world: WorldView, sensor: Sensor) -> None:
        self.world = world
        self.sensor = sensor
        self.lock = threading.RLock()
        self.initialised = False
        self.shutter = ShutterRecord()
        self.shutter_mode = 2
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

    @abstractmethod
    def _move(self) -> None:
        """Bring cooler and acquisition to the present."""

    @abstractmethod
    def _running(self) -> bool:
        """An acquisition runs."""

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
