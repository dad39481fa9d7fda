"""A fit of the histogram that is growing now, beside the run: documents in, numbers for the eye out.

Events come in the engine's thread and only leave a note there; a thread of its own fits the newest state and
passes over what it missed. So the run never waits for a fit, and a slow fit is late, not behind. What does
not converge is not told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from labctl.engine.frames_seen import pairs_seen, spectrum_seen
from labctl.errors import InputError
from labctl.fitting.live import LiveG2, LiveG2Fit
from labctl.fitting.spectrum_fit import fit_spectrum
from labctl.fitting.value import Value
from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData

Document = dict[str, Any]
# A fit takes milliseconds; the first one ever on a computer is compiled before, which takes a while.
JOIN_TIMEOUT_S = 60.0


@dataclass(frozen=True, eq=False)
class LiveStanding:
    """The histogram of the present point and what can be said of it.

    Attributes:
        point: Number of the point.
        frames: Frames of photon counting so far.
        pairs: Start-stop pairs so far.
        rates_per_s: Tags per second of start and stop.
        fit: Lifetimes, with errors; None while there is too little for a fit that converges.
        single: The spectrum shows one peak, so that one lifetime was fitted.
    """

    point: int
    frames: int
    pairs: int
    rates_per_s: tuple[float, float]
    fit: LiveG2 | None
    single: bool


LiveListener = Callable[[LiveStanding], None]


@dataclass
class _Point:
    """Frames of one point as they come."""

    index: int
    events: dict[str, list[Document]] = field(default_factory=dict)
    configuration: dict[str, dict[str, Any]] = field(default_factory=dict)


class LiveFollower:
    """Subscribes to a run's documents and fits each point's growing g2.

    Args:
        response_sigma_s: RMS timing response of the pair of counters.

    Attributes:
        listeners: Called with each new standing, in the thread of the fits.
        newest: The last standing.
        failure: What ended the live fits before the run; None while all is well.
    """

    def __init__(self, *, response_sigma_s: float) -> None:
        self.listeners: list[LiveListener] = []
        self.newest: LiveStanding | None = None
        self.failure: Exception | None = None
        self._sigma_s = response_sigma_s
        self._streams: dict[str, Document] = {}
        self._point: _Point | None = None
        self._wake = threading.Condition()
        self._todo: tuple[int, PairBlocks] | None = None
        self._light: SpectrumData | None = None
        self._ended = False
        self._fit: LiveG2Fit | None = None
        self._fitting: int | None = None
        self._single = False
        self._thread = threading.Thread(target=self._work, name="live fit", daemon=True)
        self._thread.start()

    def __call__(self, name: str, document: Document) -> None:
        """Take one document (in the engine's thread); never waits, never raises."""
        if name == "descriptor":
            self._streams[document["uid"]] = document
        elif name == "event":
            self._event(document)

    def _event(self, document: Document) -> None:
        descriptor = self._streams[document["descriptor"]]
        stream, index = str(descriptor["name"]), int(document["data"]["point_value"])
        if self._point is None or self._point.index != index:
            self._point = _Point(index)
        self._point.events.setdefault(stream, []).append(document["data"])
        for device, part in descriptor["configuration"].items():
            self._point.configuration[device] = part["data"]
        if stream != "g2":
            return
        pairs = pairs_seen(self._point.events["g2"], self._point.configuration)
        if pairs is None:
            return
        with self._wake:
            if len(self._point.events["g2"]) == 1:
                # Once for a point: whichever of its histograms is fitted first will want it.
                events, configuration = self._point.events, self._point.configuration
                self._light = spectrum_seen(events.get("spectrum", []), events.get("dark", []), configuration)
            self._todo = (index, pairs)
            self._wake.notify()

    def close(self) -> None:
        """End the thread; a fit that is going on is waited for, up to 60 s."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        self._thread.join(JOIN_TIMEOUT_S)

    def _work(self) -> None:
        try:
            self._follow()
        except Exception as error:
            # For the eye only: a defect here must not touch the run.
            self.failure = error

    def _follow(self) -> None:
        # While the stage and the camera cool, not when the first photons are counted.
        LiveG2Fit(self._sigma_s).update(_any_peak())
        while True:
            with self._wake:
                while self._todo is None and not self._ended:
                    self._wake.wait()
                if self._ended:
                    return
                assert self._todo is not None
                (index, pairs), spectrum = self._todo, self._light
                self._todo = None
            self.newest = standing = self._standing(index, pairs, spectrum)
            for listener in list(self.listeners):
                listener(standing)

    def _standing(self, index: int, pairs: PairBlocks, spectrum: SpectrumData | None) -> LiveStanding:
        if self._fitting != index or self._fit is None:
            self._begin(index, spectrum)
        assert self._fit is not None
        live_s = max(float(pairs.duration_ps.sum()) * 1e-12, 1e-12)
        return LiveStanding(
            point=index,
            frames=pairs.n_blocks,
            pairs=int(pairs.pairs.sum()),
            rates_per_s=(float(pairs.start_tags.sum()) / live_s, float(pairs.stop_tags.sum()) / live_s),
            fit=self._fit.update(pairs),
            single=self._single,
        )

    def _begin(self, index: int, spectrum: SpectrumData | None) -> None:
        """A new point: its coupled fraction from its spectrum."""
        share: Value | None = None
        seen = False
        if spectrum is not None:
            try:
                share, seen = fit_spectrum(spectrum).coupled_fraction, True
            except InputError:
                # The stored fit will say why; here the g2 stands alone.
                seen = False
        self._single = seen and (share is None or share.value < 2.0 * share.error)
        self._fit = LiveG2Fit(self._sigma_s, fraction=share, single=self._single)
        self._fitting = index


def _any_peak() -> PairBlocks:
    """A small histogram with a peak, to have the fit compiled."""
    lag = np.abs(np.arange(64) - 31.5)
    counts = np.round(20.0 + 400.0 * np.exp(-lag / 8.0)).astype(np.uint64)
    tags, second_ps = np.array([10_000], dtype=np.int64), np.array([10**12], dtype=np.int64)
    return PairBlocks(3_200, 100, counts[None, :], tags, tags, second_ps)
