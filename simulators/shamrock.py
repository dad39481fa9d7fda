# ruff: noqa: D102 - the methods are the vendor's C functions; the vendor's manual documents them.
"""A Kymera 328i as its C library shows it: one method per ``Shamrock...`` function.

Arguments are those of the vendor's header; results go out through pointers, the return value is the vendor's
code. Moves take their time: the call returns when the world's clock has passed it, as the vendor's block.
"""

from __future__ import annotations

from simulators.andor_memory import Address, Out, get_text, put_array, put_text
from simulators.kymera import (
    FILTER_MOVE_S,
    FOCUS_MAXIMUM,
    FOCUS_STEPS_PER_S,
    GRATING_MOVE_S,
    SLIT_MOVE_S,
    Kymera,
)
from simulators.optics import ANGULAR_DEVIATION_deg, FOCAL_LENGTH_mm, longest_wavelength_nm, pixel_centres_nm

COMMUNICATION_ERROR = 20201
SUCCESS = 20202
P1_INVALID, P2_INVALID, P3_INVALID, P4_INVALID = 20266, 20267, 20268, 20269
NOT_INITIALIZED = 20275
NOT_AVAILABLE = 20292

_TEXTS = {
    COMMUNICATION_ERROR: "SHAMROCK_COMMUNICATION_ERROR",
    SUCCESS: "SHAMROCK_SUCCESS",
    P1_INVALID: "SHAMROCK_P1INVALID",
    P2_INVALID: "SHAMROCK_P2INVALID",
    P3_INVALID: "SHAMROCK_P3INVALID",
    P4_INVALID: "SHAMROCK_P4INVALID",
    NOT_INITIALIZED: "SHAMROCK_NOT_INITIALIZED",
    NOT_AVAILABLE: "SHAMROCK_NOT_AVAILABLE",
}


class Shamrock(Kymera):
    """The spectrograph's library. Thread-safe through ``lock``, which the caller of its functions holds."""

    def _check(self, device: int) -> int:
        if not self.initialised:
            return NOT_INITIALIZED
        return SUCCESS if device == 0 else P1_INVALID

    def _give(self, device: int, out: Out, value: float) -> int:
        code = self._check(device)
        if code == SUCCESS:
            out[0] = value
        return code

    # -- library and identity ------------------------------------------------------------------------------

    def ShamrockInitialize(self, path: Address) -> int:
        self.initialised += 1
        return SUCCESS

    def ShamrockClose(self) -> int:
        if not self.initialised:
            return NOT_INITIALIZED
        self.initialised = 0
        return SUCCESS

    def ShamrockGetNumberDevices(self, number: Out) -> int:
        if not self.initialised:
            return NOT_INITIALIZED
        number[0] = 0 if self.gone() else 1
        return SUCCESS

    def ShamrockGetFunctionReturnDescription(self, code: int, text: Address, size: int) -> int:
        put_text(text, _TEXTS.get(code, "unknown code"), size)
        return SUCCESS

    def ShamrockGetSerialNumber(self, device: int, text: Address) -> int:
        code = self._check(device)
        if code == SUCCESS:
            put_text(text, self.serial_number)
        return code

    def ShamrockEepromGetOpticalParams(self, device: int, focal: Out, angle: Out, tilt: Out) -> int:
        code = self._give(device, focal, FOCAL_LENGTH_mm * 1e-3)
        if code == SUCCESS:
            angle[0], tilt[0] = ANGULAR_DEVIATION_deg, 0.0
        return code

    # -- gratings ------------------------------------------------------------------------------------------

    def ShamrockGratingIsPresent(self, device: int, present: Out) -> int:
        return self._give(device, present, 1)

    def ShamrockGetTurret(self, device: int, turret: Out) -> int:
        return self._give(device, turret, self.turret)

    def ShamrockSetTurret(self, device: int, turret: int) -> int:
        code = self._check(device)
        if code == SUCCESS and not 1 <= turret <= 3:
            return P2_INVALID
        if code == SUCCESS:
            self.turret = turret
        return code

    def ShamrockGetNumberGratings(self, device: int, number: Out) -> int:
        return self._give(device, number, len(self.gratings))

    def ShamrockGetGrating(self, device: int, grating: Out) -> int:
        return self._give(device, grating, self.grating)

    def ShamrockSetGrating(self, device: int, grating: int) -> int:
        code = self._grating(device, grating)
        if code == SUCCESS:
            self.world.advance(GRATING_MOVE_S)
            self.grating = grating
        return code

    def ShamrockGetGratingInfo(
        self, device: int, grating: int, lines: Out, blaze: Address, home: Out, offset: Out
    ) -> int:
        code = self._grating(device, grating)
        if code == SUCCESS:
            found = self.gratings[grating - 1]
            lines[0] = found.lines_per_mm
            put_text(blaze, f"{found.blaze_nm or 545:.0f}", 64)
            home[0], offset[0] = 1000 * grating, self.offsets[grating - 1]
        return code

    def ShamrockGetGratingOffset(self, device: int, grating: int, offset: Out) -> int:
        code = self._grating(device, grating)
        if code == SUCCESS:
            offset[0] = self.offsets[grating - 1]
        return code

    def ShamrockSetGratingOffset(self, device: int, grating: int, offset: int) -> int:
        code = self._grating(device, grating)
        if code == SUCCESS and abs(offset) > 20000:
            return P3_INVALID
        if code == SUCCESS:
            self.offsets[grating - 1] = offset
        return code

    def ShamrockGetDetectorOffset(self, device: int, offset: Out) -> int:
        return self._give(device, offset, self.detector_offset)

    def ShamrockSetDetectorOffset(self, device: int, offset: int) -> int:
        code = self._check(device)
        if code == SUCCESS and abs(offset) > 240000:
            return P2_INVALID
        if code == SUCCESS:
            self.detector_offset = offset
        return code

    def _grating(self, device: int, grating: int) -> int:
        code = self._check(device)
        if code == SUCCESS and not 1 <= grating <= len(self.gratings):
            return P2_INVALID
        return code

    # -- wavelength ----------------------------------------------------------------------------------------

    def ShamrockWavelengthIsPresent(self, device: int, present: Out) -> int:
        return self._give(device, present, 1)

    def ShamrockGetWavelength(self, device: int, wavelength_nm: Out) -> int:
        return self._give(device, wavelength_nm, self.centre_nm)

    def ShamrockSetWavelength(self, device: int, wavelength_nm: float) -> int:
        code = self._check(device)
        if code != SUCCESS:
            return code
        longest = longest_wavelength_nm(self.gratings[self.grating - 1].lines_per_mm)
        if not 0.0 <= wavelength_nm <= longest:
            return P2_INVALID
        self._turn(wavelength_nm)
        return SUCCESS

    def ShamrockGetWavelengthLimits(self, device: int, grating: int, low: Out, high: Out) -> int:
        code = self._grating(device, grating)
        if code == SUCCESS:
            low[0], high[0] = 0.0, longest_wavelength_nm(self.gratings[grating - 1].lines_per_mm)
        return code

    def ShamrockWavelengthReset(self, device: int) -> int:
        return self.ShamrockGotoZeroOrder(device)

    def ShamrockAtZeroOrder(self, device: int, at_zero: Out) -> int:
        return self._give(device, at_zero, int(self.centre_nm < 1.0))

    def ShamrockGotoZeroOrder(self, device: int) -> int:
        code = self._check(device)
        if code == SUCCESS:
            self._turn(0.0)
        return code

    # -- slits, shutter, filter ----------------------------------------------------------------------------

    def ShamrockAutoSlitIsPresent(self, device: int, slit: int, present: Out) -> int:
        code = self._check(device)
        if code == SUCCESS and not 1 <= slit <= 4:
            return P2_INVALID
        return self._give(device, present, int(slit in self.slits_um))

    def ShamrockGetAutoSlitWidth(self, device: int, slit: int, width_um: Out) -> int:
        code = self._slit(device, slit)
        if code == SUCCESS:
            width_um[0] = self.slits_um[slit]
        return code

    def ShamrockSetAutoSlitWidth(self, device: int, slit: int, width_um: float) -> int:
        code = self._slit(device, slit)
        # The width comes as a 4-byte float: 10 um may arrive as 9.9999999.
        if code == SUCCESS and not 9.999 <= width_um <= 2500.001:
            return P3_INVALID
        if code == SUCCESS:
            self.world.advance(SLIT_MOVE_S)
            self.slits_um[slit] = round(width_um)
        return code

    def ShamrockAutoSlitReset(self, device: int, slit: int) -> int:
        return self.ShamrockSetAutoSlitWidth(device, slit, 10.0)

    def _slit(self, device: int, slit: int) -> int:
        code = self._check(device)
        if code == SUCCESS and not 1 <= slit <= 4:
            return P2_INVALID
        return NOT_AVAILABLE if code == SUCCESS and slit not in self.slits_um else code

    def ShamrockShutterIsPresent(self, device: int, present: Out) -> int:
        return self._give(device, present, 1)

    def ShamrockIsModePossible(self, device: int, mode: int, possible: Out) -> int:
        return self._give(device, possible, int(0 <= mode <= 2))

    def ShamrockGetShutter(self, device: int, mode: Out) -> int:
        return self._give(device, mode, self.shutter_mode)

    def ShamrockSetShutter(self, device: int, mode: int) -> int:
        code = self._check(device)
        if code == SUCCESS and not 0 <= mode <= 2:
            return P2_INVALID
        if code == SUCCESS:
            self._set_shutter(mode)
        return code

    def ShamrockFilterIsPresent(self, device: int, present: Out) -> int:
        return self._give(device, present, 1)

    def ShamrockGetFilter(self, device: int, position: Out) -> int:
        return self._give(device, position, self.filter)

    def ShamrockSetFilter(self, device: int, position: int) -> int:
        code = self._filter(device, position)
        if code == SUCCESS:
            if position != self.filter:
                self.world.advance(FILTER_MOVE_S)
            self.filter = position
        return code

    def ShamrockFilterReset(self, device: int) -> int:
        return self.ShamrockSetFilter(device, 1)

    def ShamrockGetFilterInfo(self, device: int, position: int, text: Address) -> int:
        code = self._filter(device, position)
        if code == SUCCESS:
            put_text(text, self.filter_names[position - 1])
        return code

    def ShamrockSetFilterInfo(self, device: int, position: int, text: Address) -> int:
        code = self._filter(device, position)
        if code == SUCCESS:
            self.filter_names[position - 1] = get_text(text)
        return code

    def _filter(self, device: int, position: int) -> int:
        code = self._check(device)
        return P2_INVALID if code == SUCCESS and not 1 <= position <= 6 else code

    # -- mirrors, iris, accessory --------------------------------------------------------------------------

    def ShamrockFlipperMirrorIsPresent(self, device: int, flipper: int, present: Out) -> int:
        code = self._check(device)
        if code == SUCCESS and not 1 <= flipper <= 2:
            return P2_INVALID
        return self._give(device, present, int(flipper in self.flippers))

    def ShamrockGetFlipperMirror(self, device: int, flipper: int, position: Out) -> int:
        code = self._flipper(device, flipper)
        if code == SUCCESS:
            position[0] = self._flipper_position(flipper)
        return code

    def ShamrockSetFlipperMirror(self, device: int, flipper: int, position: int) -> int:
        code = self._flipper(device, flipper)
        if code == SUCCESS and position not in (0, 1):
            return P3_INVALID
        if code == SUCCESS:
            self._flip(flipper, position)
        return code

    def ShamrockFlipperMirrorReset(self, device: int, flipper: int) -> int:
        return self.ShamrockSetFlipperMirror(device, flipper, 0)

    def _flipper(self, device: int, flipper: int) -> int:
        code = self._check(device)
        if code == SUCCESS and not 1 <= flipper <= 2:
            return P2_INVALID
        return NOT_AVAILABLE if code == SUCCESS and flipper not in self.flippers else code

    def ShamrockIrisIsPresent(self, device: int, iris: int, present: Out) -> int:
        return self._give(device, present, 0)

    def ShamrockFocusMirrorIsPresent(self, device: int, present: Out) -> int:
        return self._give(device, present, 1)

    def ShamrockGetFocusMirror(self, device: int, position: Out) -> int:
        return self._give(device, position, self.focus)

    def ShamrockSetFocusMirror(self, device: int, steps: int) -> int:
        code = self._check(device)
        if code == SUCCESS and not 0 <= self.focus + steps <= FOCUS_MAXIMUM:
            return P2_INVALID
        if code == SUCCESS:
            self.world.advance(abs(steps) / FOCUS_STEPS_PER_S)
            self.focus += steps
        return code

    def ShamrockGetFocusMirrorMaxSteps(self, device: int, steps: Out) -> int:
        return self._give(device, steps, FOCUS_MAXIMUM)

    def ShamrockFocusMirrorReset(self, device: int) -> int:
        return self.ShamrockSetFocusMirror(device, -self.focus)

    def ShamrockAccessoryIsPresent(self, device: int, present: Out) -> int:
        return self._give(device, present, 0)

    # -- calibration ---------------------------------------------------------------------------------------

    def ShamrockGetPixelWidth(self, device: int, width_um: Out) -> int:
        return self._give(device, width_um, self.pixel_um)

    def ShamrockSetPixelWidth(self, device: int, width_um: float) -> int:
        code = self._check(device)
        if code == SUCCESS and not 0.0 < width_um < 1000.0:
            return P2_INVALID
        if code == SUCCESS:
            self.pixel_um = width_um
        return code

    def ShamrockGetNumberPixels(self, device: int, number: Out) -> int:
        return self._give(device, number, self.n_pixels)

    def ShamrockSetNumberPixels(self, device: int, number: int) -> int:
        code = self._check(device)
        if code == SUCCESS and not 1 <= number <= 100_000:
            return P2_INVALID
        if code == SUCCESS:
            self.n_pixels = number
        return code

    def ShamrockGetCalibration(self, device: int, values: Address, number: int) -> int:
        code = self._check(device)
        if code != SUCCESS:
            return code
        if number != self.n_pixels or number == 0:
            return P3_INVALID
        if self.pixel_um <= 0:
            return NOT_AVAILABLE
        lines = self.gratings[self.grating - 1].lines_per_mm
        put_array(values, pixel_centres_nm(number, self.pixel_um, lines, self.centre_nm), "<f4")
        return SUCCESS
