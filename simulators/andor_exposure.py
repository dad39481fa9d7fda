"""An acquisition of the stand-in camera: when its frames are ready, and what is on them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labctl.emission.components import Emission
from simulators.camera import Readout, Sensor, read_out
from simulators.kymera import Kymera
from simulators.light import fibre_photons
from simulators.light_switch import ShutterRecord
from simulators.optics import electrons_per_photon
from simulators.world import WorldView

SATURATING_ELECTRONS_per_s = 1e7
SAME_SPECTRUM_K = 0.05
KEEP_FRAMES = 200


@dataclass(frozen=True)
class Plan:
    """What was asked of an acquisition.

    Args:
        tracks: Read-outs stacked into one frame (one for an image or full vertical binning).
        exposure_s: Exposure of each sub-frame.
        accumulations: Sub-frames added in the computer into one frame.
        accumulate_cycle_s: From the start of one sub-frame to that of the next.
        cycle_s: From the start of one frame to that of the next.
        readout_s: Time to read one sub-frame.
        frames: Number of frames; None: until aborted.
    """

    tracks: tuple[Readout, ...]
    exposure_s: float
    accumulations: int
    accumulate_cycle_s: float
    cycle_s: float
    readout_s: float
    frames: int | None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return sum(track.shape[0] for track in self.tracks), self.tracks[0].shape[1]

    def ready_after_s(self, frame: int) -> float:
        """Time from the start until frame number ``frame`` (0, 1, ...) is read out."""
        last_begin_s = frame * self.cycle_s + (self.accumulations - 1) * self.accumulate_cycle_s
        return last_begin_s + self.exposure_s + self.readout_s

    def done_after(self, elapsed_s: float) -> int:
        """Number of frames that are read out ``elapsed_s`` after the start."""
        first_s = self.ready_after_s(0)
        if elapsed_s < first_s - 1e-9:
            return 0
        done = int((elapsed_s - first_s + 1e-9) / self.cycle_s) + 1
        return done if self.frames is None else min(done, self.frames)


@dataclass
class Acquisition:
    """One acquisition from start to end or abort. Not thread-safe.

    Args:
        plan: What was asked.
        begin_s: When it started.
        stream: Random numbers of its noise.
    """

    plan: Plan
    begin_s: float
    stream: np.random.Generator
    stopped_at: int | None = None
    error: int | None = None
    _frames: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    _made: int = 0

    def done(self, now_s: float) -> int:
        """Number of frames that are read out now."""
        done = self.plan.done_after(now_s - self.begin_s)
        return done if self.stopped_at is None else min(done, self.stopped_at)

    def running(self, now_s: float) -> bool:
        """Frames are still to come."""
        if self.stopped_at is not None:
            return False
        return self.plan.frames is None or self.done(now_s) < self.plan.frames

    def stop(self, now_s: float, error: int | None = None) -> None:
        """Abort, or break off with an error code; finished frames stay readable."""
        if self.running(now_s):
            self.stopped_at = self.done(now_s)
            self.error = error

    def frame(self, number: int, light: FibreLight) -> NDArray[np.int64] | None:
        """Frame ``number`` (0, 1, ...), or None if the ring buffer has lost it.

        Frames are made in their order whatever order they are read in: the noise is the same each time.
        """
        while self._made <= number:
            self._frames[self._made] = self._make(self._made, light)
            self._frames.pop(self._made - KEEP_FRAMES, None)
            self._made += 1
        return self._frames.get(number)

    def _make(self, number: int, light: FibreLight) -> NDArray[np.int64]:
        plan = self.plan
        total = np.zeros(plan.shape, dtype=np.int64)
        for sub_frame in range(plan.accumulations):
            begin_s = self.begin_s + number * plan.cycle_s + sub_frame * plan.accumulate_cycle_s
            electrons = light.electrons(begin_s, begin_s + plan.exposure_s)
            hits = light.cosmic_hits(plan.exposure_s + plan.readout_s, self.stream)
            rows = [
                read_out(
                    light.sensor,
                    track,
                    electrons,
                    exposure_s=plan.exposure_s,
                    temperature_C=light.temperature_C(),
                    cosmic_hits=hits,
                    stream=self.stream,
                )
                for track in plan.tracks
            ]
            total += np.vstack(rows)
        return total


class FibreLight:
    """The light on the camera: world, spectrograph and shutter together.

    Args:
        world: Stage, beam, fibre.
        spectrograph: The spectrograph in front of the camera.
        sensor: The chip.
        camera_shutter: The camera's own shutter signal, which counts with the spectrograph's shutter on BNC.
    """

    def __init__(
        self, world: WorldView, spectrograph: Kymera, sensor: Sensor, camera_shutter: ShutterRecord
    ) -> None:
        self.world = world
        self.sensor = sensor
        self._spectrograph = spectrograph
        self._camera_shutter = camera_shutter
        self.chip_C = 20.0
        self.internal_shutter = False

    def temperature_C(self) -> float:
        """Sensor temperature as it was told last."""
        return self.chip_C

    def electrons(self, begin_s: float, end_s: float) -> NDArray[np.float64]:
        """Expected photo-electrons per column in ``[begin_s, end_s)``, shape (columns,)."""
        total = np.zeros(self.sensor.columns)
        if self._open_share(begin_s, end_s) == 0.0:
            return total
        # The spectrum follows temperature and lag slowly: one for all pieces within 0.05 K.
        photons: dict[tuple[int, int], float] = {}
        emissions: dict[tuple[int, int], Emission] = {}
        for piece in self.world.history(begin_s, end_s):
            emission, photons_Hz = fibre_photons(self.world, piece)
            share = self._open_share(piece.begin_s, piece.end_s)
            if piece.port == "spectrometer" and photons_Hz * share > 0.0:
                key = (
                    round(piece.stage_temperature_K / SAME_SPECTRUM_K),
                    round(piece.lag_K / SAME_SPECTRUM_K),
                )
                emissions.setdefault(key, emission)
                photons[key] = photons.get(key, 0.0) + photons_Hz * share * (piece.end_s - piece.begin_s)
        state = self._spectrograph.state()
        for key, number in photons.items():
            total += number * electrons_per_photon(
                emissions[key],
                state,
                self.sensor.columns,
                self.sensor.pixel_um,
                flat_sensor=state.grating.blaze_nm is None,
            )
        total *= self._spectrograph.transmission()
        if self.world.faults.active("camera.saturation"):
            total += SATURATING_ELECTRONS_per_s * (end_s - begin_s)
        return total

    def _open_share(self, begin_s: float, end_s: float) -> float:
        follows_camera = self._spectrograph.shutter_mode == 2
        outer = self._camera_shutter if follows_camera else self._spectrograph.shutter
        share = outer.open_share(begin_s, end_s)
        return share * self._camera_shutter.open_share(begin_s, end_s) if self.internal_shutter else share

    def cosmic_hits(self, seconds: float, stream: np.random.Generator) -> int:
        """Number of cosmic rays in this time; at least three per frame under the fault of that name."""
        hits = int(stream.poisson(self.sensor.cosmic_per_s * seconds))
        return hits + 3 if self.world.faults.active("camera.cosmic_ray") else hits
