"""The Swabian time tagger's table in the rig file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from drivers.base import Settings


class ChannelSettings(Settings):
    """One counter on one input.

    Attributes:
        channel: Input number, negative for the falling edge (NIM pulses are negative: use -n).
        trigger_level_V: Threshold; half of the pulse height is a good start. Not given: as found.
        delay_ps: Added to every stamp; aligns the counters. See ``drivers.time_tagger.delay``.
        dead_time_ps: Dead time of the input; not given: the tagger's smallest.
    """

    channel: Annotated[int, Field(ge=-64, le=64)]
    trigger_level_V: Annotated[float, Field(ge=-5, le=5)] | None = None
    delay_ps: Annotated[int, Field(ge=-(10**12), le=10**12)] = 0
    dead_time_ps: Annotated[int, Field(ge=0, le=10**10)] | None = None

    @model_validator(mode="after")
    def _channel_exists(self) -> ChannelSettings:
        if self.channel == 0:
            raise ValueError("channel 0 does not exist: inputs count from 1, falling edges from -1")
        return self


class SwabianSettings(Settings):
    """The tagger's table in the rig file.

    Attributes:
        driver: ``"swabian"``.
        serial_number: Which tagger; empty: the first one found.
        channels: Name of each counter -> its input.
        poll_s: Time between reads of the stream (real rigs: 0.02 to 0.1).
        buffer_tags: Size of the buffer between two reads, 16 bytes each; must hold what comes in ``poll_s``.
        hardware_buffer_tags: Size of the tagger's own buffer; not given: the vendor's default.
        jitter_ps_rms: Jitter of one tag; not given: the model's nominal value.
        read_timeout_s: No progress of the tagger's time for so long is an error.
        call_timeout_s: A call of the vendor's module that takes so long is given up (connecting loads the
            tagger's firmware, some seconds).
        silence_s: No tag at all from a counter for so long is an error (a live counter has dark counts);
            0: never.
    """

    driver: Literal["swabian"] = "swabian"
    serial_number: str = ""
    channels: Annotated[dict[str, ChannelSettings], Field(min_length=1)]
    poll_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    buffer_tags: Annotated[int, Field(ge=1000, le=1_000_000_000)] = 10_000_000
    hardware_buffer_tags: Annotated[int, Field(gt=0)] | None = None
    jitter_ps_rms: Annotated[float, Field(ge=0)] | None = None
    read_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    call_timeout_s: Annotated[float, Field(gt=0)] = 30.0
    silence_s: Annotated[float, Field(ge=0)] = 10.0

    @model_validator(mode="after")
    def _inputs_agree(self) -> SwabianSettings:
        numbers = [entry.channel for entry in self.channels.values()]
        if len(set(numbers)) != len(numbers):
            raise ValueError(f"two counters on the same channel: {numbers}")
        levels: dict[int, float] = {}
        for name, entry in self.channels.items():
            level_V = entry.trigger_level_V
            if level_V is not None and levels.setdefault(abs(entry.channel), level_V) != level_V:
                raise ValueError(
                    f"{name!r}: both edges of input {abs(entry.channel)} share one trigger level"
                )
        return self
