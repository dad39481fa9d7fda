"""A series of exposures: started, watched, read frame by frame, broken off when asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.clock import Clock
from drivers.errors import InstrumentTimeoutError, LimitError
from drivers.spectrometer.andor_camera import AndorCamera, Timings
from drivers.spectrometer.andor_library import AcquisitionError

# Looking at the camera this often finds a broken-off acquisition or a pulled cable early.
POLL_S = 1.0
LATE_S = 10.0
RETRY_PAUSE_S = 1.0
PAUSE_GROWTH = 4.0
LONGEST_EXPOSURE_S = 3600.0


@dataclass(frozen=True)
class Exposure:
    """One frame as it was read out.

    Attributes:
        image: Counts, shape (n_rows, n_columns).
        exposure_s: What the camera made of the asked exposure.
        began_s: Start on the driver's clock.
    """

    image: NDArray[np.int64]
    exposure_s: float
    began_s: float


@dataclass(frozen=True)
class SeriesRequest:
    """What is asked of a series.

    Args:
        number: Number of frames.
        exposure_s: Exposure of each.
        cycle_s: From the start of one frame to that of the next; 0: as fast as the camera can.
        accumulations: Exposures that the camera adds into one frame.
    """

    number: int
    exposure_s: float
    cycle_s: float = 0.0
    accumulations: int = 1

    def check(self, instrument: str) -> None:
        """Refuse what makes no sense. Raises ``LimitError``."""
        sound = (
            self.number >= 1
            and self.accumulations >= 1
            and 0.0 < self.exposure_s <= LONGEST_EXPOSURE_S
            and 0.0 <= self.cycle_s <= LONGEST_EXPOSURE_S
        )
        if not sound:
            raise LimitError(
                instrument,
                f"{self.number} frames of {self.accumulations} x {self.exposure_s:g} s every "
                f"{self.cycle_s:g} s were asked for: at least 1 frame is needed, of above 0 and up to "
                f"{LONGEST_EXPOSURE_S:g} s",
                done="Nothing was started",
            )


def wait(clock: Clock, cancel: threading.Event | None, seconds: float) -> bool:
    """Let time pass; True when cancelled."""
    if cancel is None:
        clock.sleep(seconds)
        return False
    return clock.wait(cancel, seconds)


class Series:
    """Takes series of frames with one camera.

    Args:
        camera: The open camera, its read mode set.
        clock: The experiment's clock.
        retries: How often a broken-off acquisition is taken again before it is an error.
    """

    def __init__(self, camera: AndorCamera, clock: Clock, retries: int) -> None:
        self._camera = camera
        self._clock = clock
        self._retries = retries

    def frames(self, request: SeriesRequest, cancel: threading.Event | None) -> Iterator[Exposure]:
        """The frames of a series, each as soon as it is read out; ends early when cancelled.

        Raises:
            AcquisitionError: The camera broke off again and again.
            InstrumentTimeoutError: A frame did not come in time.
        """
        taken = failures = 0
        while True:
            try:
                for frame in self._attempt(request, request.number - taken, cancel):
                    taken, failures = taken + 1, 0
                    yield frame
                return
            except AcquisitionError as error:
                failures += 1
                if failures > self._retries:
                    raise AcquisitionError(
                        self._camera.name,
                        error.what,
                        done=f"It was tried {failures} times; {taken} of {request.number} frames were taken",
                        advice="Check the camera's cable and power; close other programs that use it",
                    ) from error
                # Exposing again harms nothing; the frames that were read out stay.
                self._camera.abort()
                if wait(self._clock, cancel, RETRY_PAUSE_S * PAUSE_GROWTH ** (failures - 1)):
                    return

    def _attempt(
        self, request: SeriesRequest, number: int, cancel: threading.Event | None
    ) -> Iterator[Exposure]:
        camera = self._camera
        times = camera.prepare(
            number, request.exposure_s, accumulations=request.accumulations, cycle_s=request.cycle_s
        )
        began_s = self._clock.now()
        camera.start()
        for index in range(number):
            if not self._await_frame(index, began_s, times, cancel):
                return
            yield Exposure(camera.frame(index), times.exposure_s, began_s + index * times.cycle_s)

    def _await_frame(
        self, index: int, began_s: float, times: Timings, cancel: threading.Event | None
    ) -> bool:
        """Wait for frame ``index``; False when cancelled."""
        due_s = began_s + (index + 1) * times.cycle_s
        name = self._camera.name
        while True:
            running = self._camera.acquiring()
            if self._camera.frames_ready() > index:
                return True
            now_s = self._clock.now()
            if not running:
                raise AcquisitionError(name, f"the acquisition ended before frame {index}")
            if now_s > due_s + LATE_S + 0.1 * times.cycle_s:
                raise InstrumentTimeoutError(
                    name,
                    f"frame {index} of {times.exposure_s:g} s did not come within {now_s - began_s:.1f} s",
                    done="The acquisition was stopped",
                    advice="Check the camera's cable, and that no external trigger is expected",
                )
            if wait(self._clock, cancel, min(max(due_s - now_s, 0.02), POLL_S)):
                return False
