"""One run from beginning to end: devices, engine, recorder, and the safe state on any exit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from drivers.cryostage.base import CryostageStatus
from drivers.errors import InstrumentCancelledError, InstrumentError
from labctl.engine.engine import Engine
from labctl.engine.live import LiveFollower
from labctl.engine.recorder import PointListener, Recorder, Truth
from labctl.engine.schedule import Progress, Standing
from labctl.engine.sequence_file import Sequence
from labctl.photons.tag_file import TagWriter
from labctl.rig.beam_device import BeamDevice
from labctl.rig.devices import Device, Soft
from labctl.rig.hand_device import HandDevice
from labctl.rig.light_devices import CoolerDevice, CountersDevice, FibreDevice, SpectrumDevice
from labctl.rig.rig import Rig, SafetyStep
from labctl.rig.stage_device import StageDevice
from labctl.rig.stop import StopFlag, StopRequestedError
from labctl.store.run_directory import RunDirectory

STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: done, stopped by a person, or failed.
        message: Why, for a person; empty when done.
        safety: The steps to the safe state, with errors where they failed.
    """

    state: Literal["done", "stopped", "failed"]
    message: str
    safety: tuple[SafetyStep, ...]

    @property
    def safe(self) -> bool:
        """Every step to the safe state succeeded."""
        return not any(step.error for step in self.safety)


class Night:
    """A sequence running on a rig into a run directory.

    Args:
        rig: The open rig.
        sequence: What to do; already checked against the rig.
        run: Where to write.
        stop: Set by whoever wants it to end.
        on_point: Told of each finished point.
        on_temperature: Told of each reading of the stage.
        truth: True values at a temperature and a time, for a simulated sample.

    Attributes:
        progress: Which step it is at.
        live: The fit of the histogram that is growing now; whoever wants to see it adds a listener.
    """

    def __init__(
        self,
        rig: Rig,
        sequence: Sequence,
        run: RunDirectory,
        *,
        stop: StopFlag,
        on_point: PointListener,
        on_temperature: Callable[[CryostageStatus], None] | None = None,
        truth: Truth | None = None,
    ) -> None:
        self._rig = rig
        self._sequence = sequence
        self._stop = stop
        self._engine = Engine(stop)
        self._recorder = Recorder(
            run, response_sigma_s=rig.config.general.counters.response_sigma_s, on_point=on_point, truth=truth
        )
        self._engine.subscribe(self._recorder)
        self.live = LiveFollower(response_sigma_s=rig.config.general.counters.response_sigma_s)
        self._engine.subscribe(self.live)
        start_K = rig.cryostage.status().temperature.value
        self.progress = Progress(sequence.module.schedule(sequence.parameters, start_K), rig.clock)
        self._devices = self._make_devices(run, on_temperature)
        self._future: Future[Any] | None = None

    def _make_devices(
        self, run: RunDirectory, on_temperature: Callable[[CryostageStatus], None] | None
    ) -> dict[str, Device]:
        rig = self._rig
        common: dict[str, Any] = {"clock": rig.clock, "stop": self._stop}
        counters = rig.config.general.counters
        channels = {name: rig.time_tagger.channels[name] for name in (counters.start, counters.stop)}
        attributes = {"sample": self._sequence.parameters.sample.name}

        def open_writer(point: int, kind: str) -> TagWriter:
            folder = run.tags_folder(point, background=kind == "background")
            return TagWriter(folder, channels=channels, attributes={**attributes, "record": kind})

        progress, shutter = Soft("progress", **common), Soft("shutter", **common)
        progress.listeners.append(self.progress.announce)
        schedule = Soft("schedule", **common)
        schedule.listeners.append(self.progress.replan)
        self._steps = progress
        hands = {name: HandDevice(setting, **common) for name, setting in rig.by_hand.items()}
        return {
            **hands,
            "cryostage": StageDevice(rig.cryostage, watch=on_temperature, **common),
            "xray_tube": BeamDevice(rig.xray_tube, **common),
            "light_path": FibreDevice(rig.light_path, **common),
            "spectrometer": SpectrumDevice(rig.spectrometer, shutter, **common),
            "camera_cooler": CoolerDevice(rig.spectrometer, **common),
            "counters": CountersDevice(rig.time_tagger, counters.start, counters.stop, open_writer, **common),
            "point": Soft("point", **common),
            "progress": progress,
            "schedule": schedule,
            "shutter": shutter,
        }

    def listen(self, on_step: Callable[[str], None]) -> None:
        """Call ``on_step(label)`` at the beginning of every step, in the engine's thread."""
        self._steps.listeners.append(on_step)

    def start(self) -> None:
        """Begin; returns at once."""
        self._rig.xray_tube.dose.begin_sample(self._sequence.parameters.sample.name)
        self._future = self._engine.start(
            self._sequence.module.plan(self._sequence.parameters, self._devices)
        )

    def running(self, *, wait_s: float) -> bool:
        """Wait up to ``wait_s`` of wall time for the end; returns whether it still runs."""
        if self._future is None:
            return False
        try:
            self._future.exception(wait_s)
        except TimeoutError:
            return True
        return False

    def standing(self) -> Standing:
        """Which step it is at and how long is left."""
        return self.progress.standing()

    def end(self) -> Outcome:
        """Stop what still runs, bring the rig to the safe state, write what is left to write."""
        stuck = ""
        if self._future is not None and not self._future.done():
            reason = self._stop.reason or "the programme ends"
            ended = self._engine.stop(reason, timeout_s=STOP_TIMEOUT_S)
            stuck = "" if ended else self._engine.state.why
        safety = tuple(self._rig.make_safe())
        error = stuck or self._failure()
        if not stuck:
            self._engine.close()
            for device in self._devices.values():
                device.close()
        self.live.close()
        try:
            self._recorder.close()
        except OSError as problem:
            error = error or f"the data could not be written: {problem}"
        if isinstance(error, str) and error:
            return Outcome("failed", error, safety)
        if self._stop.requested:
            return Outcome("stopped", self._stop.reason, safety)
        return Outcome("done", "", safety)

    def _failure(self) -> str:
        """Why the plan failed; empty if it ended well or was asked to stop."""
        error = self._future.exception(0) if self._future is not None and self._future.done() else None
        cause = root_cause(error)
        if cause is None or isinstance(cause, StopRequestedError | InstrumentCancelledError):
            return ""
        if isinstance(cause, InstrumentError | OSError):
            return str(cause)
        return f"{type(cause).__name__}: {cause}"


def root_cause(error: BaseException | None) -> BaseException | None:
    """The error that a device met, from inside the engine's own wrapping."""
    while error is not None and type(error).__name__ == "FailedStatus" and error.__cause__ is not None:
        error = error.__cause__
    return error
