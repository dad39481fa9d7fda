"""What one point of a sweep holds: the raw data at one temperature and the circumstances."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.photons.g2 import PairBlocks
    from labctl.spectra.frames import SpectrumData


@dataclass(frozen=True, eq=False)
class PointData:
    """Raw data of one point, as measured; nothing in it depends on a fit.

    Attributes:
        index: Number of the point in its run, from 0.
        set_point_K: Temperature that was asked of the stage (commanded).
        temperature_K: Mean of the stage's readings while the data were taken (measured).
        temperature_sd_K: Standard deviation of those readings.
        voltage_kV: Mean tube voltage while the data were taken (measured).
        current_uA: Mean tube current while the data were taken (measured).
        began_epoch_s: Start of the first exposure, seconds since 1970-01-01 UTC.
        ended_epoch_s: End of the last exposure.
        spectrum: Camera frames, or None when the point has no spectrum.
        pairs: Pair histograms by time block, or None when the point has no g2.
        readings: Every other number that went with the point: name -> ``{"value", "unit",
            "source"}`` and, if known, ``"read_at_s"``; ``source`` is ``"measured"``,
            ``"commanded"`` or ``"entered"``.
        truth: The simulated sample's true values at this temperature (None for a real sample):
            ``red_shift_eV``, ``coupled_fraction``, ``tau_fast_s``, ``tau_slow_s`` and whatever else
            the simulation tells.
        response_sigma_s: Standard deviation of the timing response of a detector pair (entered).
        background: What the counters saw with the beam off, or None when that was not measured.
    """

    index: int
    set_point_K: float
    temperature_K: float
    temperature_sd_K: float
    voltage_kV: float
    current_uA: float
    began_epoch_s: float
    ended_epoch_s: float
    spectrum: SpectrumData | None
    pairs: PairBlocks | None
    readings: dict[str, dict[str, Any]] = field(default_factory=dict)
    truth: dict[str, Any] | None = None
    response_sigma_s: float = 0.0
    background: PairBlocks | None = None

    @property
    def background_Hz(self) -> tuple[float, float]:
        """Rates of start and stop with the beam off; 0 where they were not measured."""
        if self.background is None or not self.background.duration_ps.sum():
            return 0.0, 0.0
        seconds = float(self.background.duration_ps.sum()) * 1e-12
        start, stop = self.background.start_tags.sum(), self.background.stop_tags.sum()
        return float(start) / seconds, float(stop) / seconds
