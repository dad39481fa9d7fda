"""What looks at the light in a plan: fibre, spectrometer, photon counters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from drivers.clock import Clock
from drivers.light_path.base import LightPath, Port
from drivers.spectrometer.base import Spectrometer
from drivers.time_tagger.base import TagChunk, TimeTagger
from labctl.photons.correlator import PairCorrelator
from labctl.photons.tag_file import TagWriter
from labctl.rig.devices import Device, Soft, data_key
from labctl.rig.status import WorkStatus
from labctl.rig.stop import StopFlag


class FibreDevice(Device):
    """Sends the light to ``"spectrometer"`` or ``"counters"``.

    ``by_hand`` says that a person moves the fibre: that may take long, or not happen.
    """

    def __init__(self, path: LightPath, *, clock: Clock, stop: StopFlag) -> None:
        super().__init__("light_path", clock=clock, stop=stop)
        self._path = path
        self.by_hand = path.asks_operator

    @property
    def port(self) -> Port | None:
        """Where the light went when it was last known."""
        value, _ = self._values.get("light_path_port", (None, 0.0))
        return value  # type: ignore[no-any-return]

    def set(self, port: Port) -> WorkStatus:
        """Done when the light is there."""
        return self._start(lambda: self._select(port))

    def _select(self, port: Port) -> None:
        self.stop_flag.check()
        self._path.select(port, cancel=self.stop_flag.event)
        status = self._path.status()
        self._keep("port", status.port, data_key(status.source, dtype="string"))


class CoolerDevice(Device):
    """The camera's cooler: moved to ``True`` it is done when the sensor is stable."""

    def __init__(self, spectrometer: Spectrometer, *, clock: Clock, stop: StopFlag) -> None:
        super().__init__("camera_cooler", clock=clock, stop=stop)
        self._spectrometer = spectrometer

    def set(self, cold: bool) -> WorkStatus:
        """Cool to the rig file's temperature and wait until stable."""
        return self._start(self._cool)

    def _cool(self) -> None:
        self.stop_flag.check()
        self._spectrometer.cool(cancel=self.stop_flag.event)
        self.stop_flag.check()
        temperature = self._spectrometer.status().camera_temperature
        self._keep("temperature_degC", temperature.value, data_key(temperature.source, "degC"))


class SpectrumDevice(Device):
    """Takes one frame per trigger; moved to (grating, centre wavelength in nm).

    Settings (``configure``): ``exposure_s``.

    Args:
        spectrometer: The instrument.
        shutter: Its value says whether frames are taken with the shutter open (True) or dark (False).
    """

    def __init__(self, spectrometer: Spectrometer, shutter: Soft, *, clock: Clock, stop: StopFlag) -> None:
        super().__init__("spectrometer", clock=clock, stop=stop)
        self._spectrometer = spectrometer
        self._shutter = shutter

    def set(self, where: list[float]) -> WorkStatus:
        """Turn to grating ``where[0]`` and centre wavelength ``where[1]`` (nm)."""
        return self._start(lambda: self._select(int(where[0]), float(where[1])))

    def trigger(self) -> WorkStatus:
        """Expose and read out one frame."""
        return self._start(self._frame)

    def _select(self, grating: int, centre_nm: float) -> None:
        self.stop_flag.check()
        self._spectrometer.select(grating, centre_nm)
        wavelengths = self._spectrometer.wavelengths_nm()
        self.configure({"wavelength_nm": [float(value) for value in wavelengths]})
        response = self._spectrometer.response(np.asarray(wavelengths, dtype=np.float64))
        self.configure({"response": [float(value) for value in response]})
        noise = self._spectrometer.noise
        self.configure(
            {
                "gain_electrons_per_count": noise.gain_electrons_per_count,
                "read_noise_electrons": noise.read_noise_electrons,
                "saturation_counts": noise.saturation_counts,
            }
        )

    def _frame(self) -> None:
        self.stop_flag.check()
        frames = self._spectrometer.frames(
            1,
            float(self.setting("exposure_s")),
            shutter_open=bool(self._shutter.value),
            cancel=self.stop_flag.event,
        )
        frame = next(iter(frames), None)
        self.stop_flag.check()
        if frame is None:
            raise RuntimeError("the spectrometer gave no frame though nobody asked it to stop")
        shape = frame.counts.shape
        self._keep("counts", frame.counts, data_key("measured", "counts", shape))
        self._keep("exposure_s", frame.exposure_s, data_key("commanded", "s"))
        self._keep("shutter_open", frame.shutter_open, data_key("commanded", dtype="boolean"))
        self._keep(
            "camera_temperature_degC",
            frame.camera_temperature.value,
            data_key(frame.camera_temperature.source, "degC"),
        )


class CountersDevice(Device):
    """Records time tags for one frame per trigger: raw to disk, pairs into the correlator.

    Settings (``configure``): ``frame_s``, ``window_ps``, ``bin_ps``. Each frame is one time block of the
    pair histogram.

    Args:
        tagger: The time tagger.
        start: Detector (name in the rig file) that starts the delay.
        stop_detector: Detector that stops it.
        open_writer: Gives the raw-tag writer by point and kind of record (see ``set``); called once for each.
    """

    def __init__(
        self,
        tagger: TimeTagger,
        start: str,
        stop_detector: str,
        open_writer: Callable[[int, str], TagWriter],
        *,
        clock: Clock,
        stop: StopFlag,
    ) -> None:
        super().__init__("counters", clock=clock, stop=stop)
        self._tagger = tagger
        self._start_channel = tagger.channels[start]
        self._stop_channel = tagger.channels[stop_detector]
        self._open_writer = open_writer
        self._open: ExitStack | None = None
        self._writer: TagWriter | None = None
        self._correlator: PairCorrelator | None = None
        self._frames = 0

    def set(self, record: Sequence[int | str]) -> WorkStatus:
        """Begin a record; the one before it is closed.

        Args:
            record: Number of the point, and what is recorded: ``"g2"``, or ``"background"`` (beam off).
        """
        point, kind = record
        return self._start(lambda: self._begin(int(point), str(kind)))

    def finish(self) -> None:
        """Close the present point's record (also done by ``close``)."""
        if self._open is not None:
            self._open.close()
        self._open = self._writer = self._correlator = None

    def trigger(self) -> WorkStatus:
        """Record one frame."""
        return self._start(self._frame)

    def unstage(self) -> list[CountersDevice]:
        """Close the record at the end of the plan."""
        self._start(self.finish).exception(None)
        return [self]

    def stage(self) -> list[CountersDevice]:
        """Nothing to prepare: records are opened point by point."""
        return [self]

    def close(self) -> None:
        """Close the record and end the thread."""
        self._start(self.finish).exception(None)
        super().close()

    def _begin(self, point: int, kind: str) -> None:
        self.finish()
        self.stop_flag.check()
        self._open = ExitStack()
        self._writer = self._open.enter_context(self._open_writer(point, kind))
        self._correlator = PairCorrelator(
            self._start_channel,
            self._stop_channel,
            window_ps=int(self.setting("window_ps")),
            bin_ps=int(self.setting("bin_ps")),
        )
        self._frames = 0

    def _chunks(self) -> Iterator[TagChunk]:
        return self._tagger.stream(
            [self._start_channel, self._stop_channel],
            float(self.setting("frame_s")),
            cancel=self.stop_flag.event,
        )

    def _frame(self) -> None:
        self.stop_flag.check()
        if self._writer is None or self._correlator is None:
            raise RuntimeError("the counters were triggered before a point was begun")
        lost_ps = 0
        for chunk in self._chunks():
            self._writer.write(chunk)
            self._correlator.push(chunk)
            lost_ps += sum(gap.end_ps - gap.begin_ps for gap in chunk.gaps)
        self.stop_flag.check()
        self._correlator.end_block()
        blocks = self._correlator.blocks()
        pairs = np.asarray(blocks.pairs[self._frames])
        self._keep("pairs", pairs, data_key("measured", "pairs", pairs.shape))
        for key, values, unit in (
            ("start_tags", blocks.start_tags, "counts"),
            ("stop_tags", blocks.stop_tags, "counts"),
            ("duration_ps", blocks.duration_ps, "ps"),
        ):
            self._keep(key, int(values[self._frames]), data_key("measured", unit))
        self._keep("lost_ps", int(lost_ps), data_key("measured", "ps"))
        self._frames += 1
