"""A Kymera 328i: what it is made of, where it stands, how long its moves take."""

from __future__ import annotations

import threading

import numpy as np

from simulators.light_switch import ShutterRecord, Wiring
from simulators.optics import Grating, SpectrographState
from simulators.world import WorldView

GRATING_MOVE_S = 12.0
WAVELENGTH_MOVE_S = 0.5
WAVELENGTH_SPEED_nm_per_s = 200.0
SLIT_MOVE_S = 0.5
FILTER_MOVE_S = 1.5
FLIPPER_MOVE_S = 1.0
FOCUS_STEPS_PER_S = 100.0
FOCUS_MAXIMUM = 550

# Gratings of the stand-in. The efficiency is flat on purpose: intensities need no calibration lamp.
FLAT_GRATINGS = (Grating(150.0, None), Grating(300.0, None), Grating(600.0, None))
BLAZED_GRATINGS = (Grating(150.0, 500.0), Grating(300.0, 500.0), Grating(600.0, 500.0))


class Kymera:
    """The spectrograph as a device.

    Args:
        world: Where time passes and the fibre's light goes.
        gratings: The turret.
        wiring: What the flipper mirror switches.
        serial_number: As the library tells it.
    """

    def __init__(
        self,
        world: WorldView,
        *,
        gratings: tuple[Grating, ...] = FLAT_GRATINGS,
        wiring: Wiring | None = None,
        serial_number: str = "KY-SIM-0001",
    ) -> None:
        self.world = world
        self.gratings = gratings
        self.wiring = wiring if wiring is not None else Wiring()
        self.serial_number = serial_number
        self.lock = threading.RLock()
        self.initialised = 0
        self.turret = 1
        self.grating = 2
        self.centre_nm = 500.0
        self.offsets = [0] * len(gratings)
        self.detector_offset = 0
        self.slits_um = {2: 100.0}
        self.shutter_mode = 0
        self.shutter = ShutterRecord()
        self.filter = 1
        self.filter_names = ["none", "OD1", "LP 400", "LP 500", "SP 700", "blocked"]
        self.flippers = {1: 0, 2: 0}
        self.focus = 250
        self.pixel_um = 0.0
        self.n_pixels = 0

    def state(self) -> SpectrographState:
        """What the light meets now."""
        with self.lock:
            return SpectrographState(self.gratings[self.grating - 1], self.centre_nm, self.slits_um[2])

    def transmission(self) -> float:
        """Share of the light that passes the filter wheel."""
        with self.lock:
            return {"OD1": 0.1, "blocked": 0.0}.get(self.filter_names[self.filter - 1], 1.0)

    def gone(self) -> bool:
        """The line is dead."""
        return self.world.faults.active("camera.port_gone")

    def _turn(self, wavelength_nm: float) -> None:
        way_nm = abs(wavelength_nm - self.centre_nm)
        if way_nm > 0:
            self.world.advance(WAVELENGTH_MOVE_S + way_nm / WAVELENGTH_SPEED_nm_per_s)
        self.centre_nm = float(np.float32(wavelength_nm))

    def _set_shutter(self, mode: int) -> None:
        self.shutter_mode = mode
        self.shutter.set(self.world.now(), mode == 1)

    def _flip(self, flipper: int, position: int) -> None:
        if position != self._flipper_position(flipper):
            self.world.advance(FLIPPER_MOVE_S)
        self.flippers[flipper] = position
        if self._is_switch(flipper):
            self.world.set_port(self.wiring.port(position))

    def _is_switch(self, flipper: int) -> bool:
        return self.wiring.flipper == {1: "input", 2: "output"}[flipper]

    def _flipper_position(self, flipper: int) -> int:
        # The world knows where its light goes, whoever moved it there last.
        return self.wiring.position(self.world.port()) if self._is_switch(flipper) else self.flippers[flipper]
