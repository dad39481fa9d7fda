"""Documents of a running sweep -> log on disk, points, fits."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labctl.engine.frames_seen import pairs_seen, spectrum_seen
from labctl.fitting.choice import residual_fields
from labctl.fitting.point import PointFit, fit_point
from labctl.spectra.frames import SpectrumData
from labctl.store.point import PointData
from labctl.store.run_directory import RunDirectory

Document = dict[str, Any]
Truth = Callable[[float, float], dict[str, Any]]
PointListener = Callable[[PointData, PointFit | None], None]


@dataclass
class _Point:
    """Events of one point as they come."""

    index: int
    events: dict[str, list[Document]] = field(default_factory=dict)
    configuration: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)

    def values(self, stream: str, key: str) -> list[Any]:
        return [event["data"][key] for event in self.events.get(stream, []) if key in event["data"]]

    def data(self, stream: str) -> list[Document]:
        return [event["data"] for event in self.events.get(stream, [])]

    def everywhere(self, key: str) -> list[Any]:
        return [value for stream in ("dark", "spectrum", "g2", "point") for value in self.values(stream, key)]


class Recorder:
    """Writes every document at once; writes and fits each point in a thread of its own.

    Args:
        run: Where to write.
        response_sigma_s: RMS timing response of the pair of counters.
        on_point: Told of each point once it is on disk; with None where the fit was refused.
        truth: For a simulated sample, true values at a temperature (K) and a time (s since 1970-01-01 UTC).
    """

    def __init__(
        self,
        run: RunDirectory,
        *,
        response_sigma_s: float,
        on_point: PointListener,
        truth: Truth | None = None,
    ) -> None:
        self._run = run
        self._response_sigma_s = response_sigma_s
        self._on_point = on_point
        self._truth = truth
        self._log = run.document_log()
        self._streams: dict[str, Document] = {}
        self._point: _Point | None = None
        self._spectra: dict[float, tuple[int, SpectrumData]] = {}
        self._error: Exception | None = None
        self._todo: queue.Queue[_Point | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def __call__(self, name: str, document: Document) -> None:
        """Take one document (in the engine's thread).

        Raises:
            OSError: It could not be written; the run must not go on.
        """
        self._log.append(name, document)
        if self._error is not None:
            raise self._error
        if name == "descriptor":
            self._streams[document["uid"]] = document
        elif name == "event":
            self._event(document)
        elif name == "stop" and self._point is not None:
            self._hand_over()

    def _event(self, document: Document) -> None:
        descriptor = self._streams[document["descriptor"]]
        stream = str(descriptor["name"])
        index = int(document["data"]["point_value"])
        if self._point is not None and self._point.index != index:
            self._hand_over()
        if self._point is None:
            self._point = _Point(index)
        self._point.events.setdefault(stream, []).append(document)
        for name, part in descriptor["configuration"].items():
            self._point.configuration[name] = part["data"]
        self._point.keys.update(descriptor["data_keys"])
        if stream == "point":
            self._hand_over()

    def _hand_over(self) -> None:
        self._todo.put(self._point)
        self._point = None

    def close(self) -> None:
        """Wait until every point is on disk and fitted, then close the log.

        Raises:
            OSError: A point could not be written.
        """
        self._todo.put(None)
        self._thread.join()
        self._log.close()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (point := self._todo.get()) is not None:
            try:
                self._finish(point)
            except Exception as error:
                self._error = error
                return

    def _finish(self, events: _Point) -> None:
        point = self._assemble(events)
        if point.spectrum is None and point.pairs is None:
            return
        self._run.write_point(point)
        fit = fit_point(
            point.spectrum,
            point.pairs,
            response_sigma_s=self._response_sigma_s,
            background_Hz=point.background_Hz,
        )
        left_over = residual_fields(fit, point.spectrum, point.pairs)
        self._run.write_fit(point.index, fit.to_dict(), residuals=left_over)
        self._on_point(point, fit)

    def _assemble(self, events: _Point) -> PointData:
        temperatures = np.asarray(events.everywhere("cryostage_temperature_K"), dtype=float)
        stamps = [
            stamp
            for stream in events.events.values()
            for event in stream
            for stamp in event["timestamps"].values()
        ]
        temperature_K = float(temperatures.mean())
        set_points = events.everywhere("cryostage_set_point_K")
        set_point_K = float(set_points[-1]) if set_points else temperature_K
        readings = _readings(events)
        spectrum = spectrum_seen(events.data("spectrum"), events.data("dark"), events.configuration)
        pairs = pairs_seen(events.data("g2"), events.configuration)
        if spectrum is not None:
            self._spectra[set_point_K] = (events.index, spectrum)
        elif set_point_K in self._spectra:
            # The g2 of a second pass belongs to the spectrum that was taken here on the first.
            source, spectrum = self._spectra[set_point_K]
            readings["spectrum_of_point"] = {"value": float(source), "unit": "", "source": "measured"}
        return PointData(
            index=events.index,
            set_point_K=set_point_K,
            temperature_K=temperature_K,
            temperature_sd_K=float(temperatures.std()),
            voltage_kV=_mean(events, "xray_tube_voltage_kV"),
            current_uA=_mean(events, "xray_tube_current_uA"),
            began_epoch_s=min(stamps),
            ended_epoch_s=max(stamps),
            spectrum=spectrum,
            pairs=pairs,
            readings=readings,
            truth=None
            if self._truth is None
            else self._truth(temperature_K, (min(stamps) + max(stamps)) / 2),
            response_sigma_s=self._response_sigma_s,
            background=pairs_seen(events.data("background"), events.configuration),
        )


def _mean(events: _Point, key: str) -> float:
    # The last event of a point is taken after beam-off; the beam's values are those of the light frames.
    values = events.values("spectrum", key) + events.values("g2", key)
    return float(np.mean(values)) if values else 0.0


def _readings(events: _Point) -> dict[str, dict[str, Any]]:
    """Mean of each number with a unit that was read with the light frames; unit and source as described."""
    found: dict[str, dict[str, Any]] = {}
    for name, key in events.keys.items():
        if key["dtype"] != "number" or "units" not in key:
            continue
        values = events.values("spectrum", name) + events.values("g2", name)
        if not values and key["source"] == "entered":
            # Settings made by hand are read once, at the end of the point.
            values = events.values("point", name)
        if values:
            found[name] = {"value": float(np.mean(values)), "unit": key["units"], "source": key["source"]}
    return found
