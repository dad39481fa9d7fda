"""Models of the vendor's time taggers, and what is plugged into the simulated one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulators.detectors import Detector
from simulators.photon_source import Statistics

TIME_JUMP_PS = -3_000_000_000_000


@dataclass(frozen=True)
class Model:
    """What one model of the vendor can do (from the vendor's docstrings and example scripts).

    Attributes:
        name: As ``getModel`` gives it.
        inputs: Number of physical inputs.
        jitter_ps_rms: Jitter of one tag.
        clock_ps: Period of its clock; the smallest dead time.
        dead_time_ps: Dead time after start-up.
        longest_dead_time_ps: Largest dead time it takes.
        trigger_range_V: Thresholds it can set.
        transfer_tags_per_s: What its link to the computer carries.
        buffer_tags: Size of its own buffer.
        test_signal_Hz: Base frequency of the test signal.
        test_signal_divider: Its divider after start-up.
        hardware_delay_ps: Largest delay it can make by itself, 0: none.
    """

    name: str
    inputs: int
    jitter_ps_rms: float
    clock_ps: int
    dead_time_ps: int
    longest_dead_time_ps: int
    trigger_range_V: tuple[float, float]
    transfer_tags_per_s: float
    buffer_tags: int
    test_signal_Hz: float
    test_signal_divider: int
    hardware_delay_ps: int


MODELS = {
    model.name: model
    for model in (
        Model("Time Tagger 20", 8, 34.0, 6000, 6000, 393_000_000, (0.0, 2.5), 8.5e6, 8 << 20, 62.5e6, 74, 0),
        Model(
            "Time Tagger Ultra",
            18,
            42.0,
            2000,
            2100,
            2_147_000_000,
            (-2.5, 2.5),
            65e6,
            64 << 20,
            403.2e6,
            504,
            2_000_000,
        ),
        Model(
            "Time Tagger X",
            18,
            2.0,
            1333,
            1500,
            716_000_000,
            (-1.0, 1.0),
            80e6,
            64 << 20,
            403.2e6,
            504,
            2_500_000,
        ),
    )
}


@dataclass(frozen=True)
class TaggerOptions:
    """The simulated tagger and what is plugged into it.

    Args:
        model: One of ``MODELS``.
        serial_number: What it says its serial number is.
        detectors: Counters behind the fibre's beam splitter.
        inputs: Physical input of the tagger that each counter is plugged into.
        splitting: Share of the fibre's light that each counter gets: half each, less 10 % loss of the
            splitter and its connectors (chosen). With the light of ``simulators.light`` and counters of 46 %
            this is 0.021 counts per X-ray and counter, 20 000 per second, at 40 kV, 300 uA and 80 K.
        statistics: Law of the photons per X-ray.
        pulse_V: Height of the counters' pulses: positive for TTL, negative for NIM.
        pulse_ps: Their length.
        jitter_ps_rms: Jitter of one tag; None: the model's.
        time_jump_ps: By how much the fault ``tagger.time_jump`` moves the clock.
    """

    model: str = "Time Tagger 20"
    serial_number: str = "SIMULATED1"
    detectors: Sequence[Detector] = (Detector(), Detector())
    inputs: Sequence[int] = (1, 2)
    splitting: Sequence[float] = (0.45, 0.45)
    statistics: Statistics = "poisson"
    pulse_V: float = 2.5
    pulse_ps: int = 20_000
    jitter_ps_rms: float | None = None
    time_jump_ps: int = TIME_JUMP_PS

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"unknown time tagger {self.model!r}; known: {', '.join(MODELS)}")
        if len(self.inputs) != len(self.detectors) or len(set(self.inputs)) != len(self.inputs):
            raise ValueError(f"{len(self.detectors)} detectors on inputs {tuple(self.inputs)}")
        if not all(1 <= number <= MODELS[self.model].inputs for number in self.inputs):
            raise ValueError(f"the {self.model} has inputs 1 to {MODELS[self.model].inputs}")
