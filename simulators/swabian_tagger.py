"""The simulated tagger as the vendor's module shows it: the object that ``createTimeTagger`` gives."""

from __future__ import annotations

import enum
from types import TracebackType
from typing import Any, Self

from simulators.swabian_box import Input, TaggerBox
from simulators.swabian_measurements import box_of
from simulators.swabian_models import MODELS

VERSION = "2.22.6"


class ChannelEdge(enum.IntFlag):
    """Which edges ``getChannelList`` gives."""

    All = 0
    Rising = 1
    Falling = 2
    HighResAll = 4
    StandardAll = 8


class TimeTagger:
    """A connected tagger. Made by ``createTimeTagger`` only."""

    _box: TaggerBox | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise AttributeError("No constructor defined")

    def getSerial(self) -> str:
        """Serial number."""
        return box_of(self).options.serial_number

    def getModel(self) -> str:
        """Model, e.g. ``"Time Tagger 20"``."""
        return box_of(self).model.name

    def getFirmwareVersion(self) -> str:
        """Firmware, in the vendor's form; the stand-in says that it is one."""
        return f"{box_of(self).model.name}, SIMULATED, {VERSION}"

    def getPcbVersion(self) -> str:
        """Board version."""
        box_of(self)
        return "simulated"

    def getSensorData(self) -> dict[str, Any]:
        """Temperatures and voltages of the board. No model is simulated with sensors.

        Raises:
            RuntimeError: The tagger has no sensors.
        """
        raise RuntimeError(f"The {box_of(self).model.name} has no sensors")

    def getPsPerClock(self) -> int:
        """Clock period in ps."""
        return box_of(self).model.clock_ps

    def getChannelList(self, *args: Any, **kwargs: Any) -> tuple[int, ...]:
        """Channels of the given ``type`` (a ``ChannelEdge``): rising edges first, then falling ones."""
        edges = int(kwargs.get("type", args[0] if args else ChannelEdge.All))
        both = edges in (ChannelEdge.All, ChannelEdge.StandardAll)
        rising = tuple(range(1, box_of(self).model.inputs + 1))
        falling = tuple(-number for number in rising)
        return (rising if both or edges & 1 else ()) + (falling if both or edges & 2 else ())

    def getInvertedChannel(self, channel: int) -> int:
        """Channel of the other edge of the same input."""
        self._input(channel)
        return -channel

    def isChannelRegistered(self, channel: int) -> bool:
        """Whether a measurement uses the channel."""
        box = box_of(self)
        with box.lock:
            return any(channel in listener._channels for listener in box.listeners)

    def setTriggerLevel(self, channel: int, voltage: float) -> None:
        """Set the threshold of an input in V.

        Raises:
            ValueError: A level that the model does not have.
        """
        box = box_of(self)
        low_V, high_V = box.model.trigger_range_V
        if not low_V <= voltage <= high_V:
            raise ValueError(f"trigger level {voltage} V is outside {low_V} to {high_V} V")
        with box.lock:
            box.catch_up()
            self._input(channel).trigger_V = round(float(voltage), 3)

    def getTriggerLevel(self, channel: int) -> float:
        """Threshold of an input in V, as far as the converter resolves it (1 mV here)."""
        return self._input(channel).trigger_V

    def getTriggerLevelRange(self, channel: int) -> tuple[float, float]:
        """Smallest and largest threshold in V."""
        self._input(channel)
        return box_of(self).model.trigger_range_V

    def setInputDelay(self, channel: int, delay: int) -> None:
        """Delay the tags of a channel by ``delay`` ps, positive or negative."""
        box = box_of(self)
        with box.lock:
            box.catch_up()
            self._input(channel).delay_ps[_edge(channel)] = int(delay)

    def getInputDelay(self, channel: int) -> int:
        """Delay of a channel in ps."""
        return self._input(channel).delay_ps[_edge(channel)]

    def getDelayHardwareRange(self, channel: int) -> tuple[int, int]:
        """Smallest and largest delay in ps that the tagger makes by itself.

        Raises:
            RuntimeError: The Time Tagger 20 makes none.
        """
        self._input(channel)
        largest_ps = box_of(self).model.hardware_delay_ps
        if not largest_ps:
            raise RuntimeError(f"Not available for the {box_of(self).model.name}")
        return -largest_ps, largest_ps

    def setDeadtime(self, channel: int, deadtime: int) -> int:
        """Set the dead time of a channel in ps; returns the one it really has.

        Raises:
            ValueError: Longer than the model can.
        """
        box = box_of(self)
        model = box.model
        if deadtime > model.longest_dead_time_ps:
            raise ValueError(f"dead time {deadtime} ps is above {model.longest_dead_time_ps} ps")
        real_ps = max(int(deadtime), model.clock_ps)
        if model.name == "Time Tagger 20":
            real_ps = max(1, round(real_ps / model.clock_ps)) * model.clock_ps
        with box.lock:
            box.catch_up()
            self._input(channel).dead_time_ps[_edge(channel)] = real_ps
        return real_ps

    def getDeadtime(self, channel: int) -> int:
        """Dead time of a channel in ps."""
        return self._input(channel).dead_time_ps[_edge(channel)]

    def getDeadtimeRange(self, channel: int) -> tuple[int, int]:
        """Smallest and largest dead time in ps."""
        self._input(channel)
        return box_of(self).model.clock_ps, box_of(self).model.longest_dead_time_ps

    def setTestSignal(self, *args: Any) -> None:
        """Connect ``channel`` (a number or a list) to the internal test signal, or not: ``enabled``."""
        channels, enabled = args
        box = box_of(self)
        with box.lock:
            box.catch_up()
            for channel in [channels] if isinstance(channels, int) else channels:
                self._input(channel).test_signal = bool(enabled)

    def getTestSignal(self, channel: int) -> bool:
        """Whether the test signal is on."""
        return self._input(channel).test_signal

    def setTestSignalDivider(self, divider: int) -> None:
        """Divide the base frequency of the test signal by this."""
        box = box_of(self)
        if divider < 1:
            raise ValueError(f"divider {divider} is below 1")
        with box.lock:
            box.catch_up()
            box.test_signal_divider = int(divider)

    def getTestSignalDivider(self) -> int:
        """Divider of the test signal."""
        return box_of(self).test_signal_divider

    def getOverflows(self) -> int:
        """Overflows since start-up or the last clear."""
        box = box_of(self)
        with box.lock:
            box.catch_up()
            return box.link.overflows

    def getOverflowsAndClear(self) -> int:
        """Overflows since the last clear, which this is."""
        box = box_of(self)
        with box.lock:
            overflows = self.getOverflows()
            box.link.overflows = 0
            return overflows

    def clearOverflows(self) -> None:
        """Set the overflow counter to zero."""
        self.getOverflowsAndClear()

    def setHardwareBufferSize(self, size: int) -> None:
        """Set the size of the tagger's own buffer in tags: 32 k to 512 M (Time Tagger 20: 8 M)."""
        box = box_of(self)
        largest = MODELS["Time Tagger 20"].buffer_tags if box.model.name == "Time Tagger 20" else 512 << 20
        if not 32 << 10 <= size <= largest:
            raise ValueError(f"buffer of {size} tags is outside {32 << 10} to {largest}")
        with box.lock:
            box.catch_up()
            box.buffer_tags = int(size)

    def getHardwareBufferSize(self) -> int:
        """Size of the tagger's own buffer in tags."""
        return box_of(self).buffer_tags

    def setStreamBlockSize(self, max_events: int, max_latency: int) -> None:
        """Set the stream's block size in events and its latency in ms; kept, not simulated."""
        box = box_of(self)
        if not 4096 <= max_events <= 32 << 20 or not 1 <= max_latency <= 10_000:
            raise ValueError(f"stream blocks of {max_events} events, {max_latency} ms")
        with box.lock:
            box.block_events, box.block_latency_ms = int(max_events), int(max_latency)

    def getStreamBlockSizeEvents(self) -> int:
        """Events per block."""
        return box_of(self).block_events

    def getStreamBlockSizeLatency(self) -> int:
        """Latency in ms."""
        return box_of(self).block_latency_ms

    def sync(self, timeout: int = -1) -> bool:
        """Wait until all events of the past have reached the measurements."""
        box_of(self).catch_up()
        return True

    def reset(self) -> None:
        """Go back to the state after start-up."""
        box_of(self).start_up()

    def getConfiguration(self) -> dict[str, Any]:
        """Settings and measurements as a dict; only the inputs' settings are simulated."""
        box = box_of(self)
        with box.lock:
            return {
                "serial": self.getSerial(),
                "model": self.getModel(),
                "software version": VERSION,
                "simulated": True,
                "hardware buffer size": box.buffer_tags,
                "inputs": {
                    str(number): {
                        "trigger level": entry.trigger_V,
                        "test signal": entry.test_signal,
                        "delay rising, falling": list(entry.delay_ps.values()),
                        "deadtime rising, falling": list(entry.dead_time_ps.values()),
                    }
                    for number, entry in box.inputs.items()
                },
                "measurements": [type(listener).__name__ for listener in box.listeners],
            }

    def _input(self, channel: int) -> Input:
        entry = box_of(self).inputs.get(abs(int(channel)))
        if entry is None:
            raise ValueError(f"Invalid channel {channel}")
        return entry

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        free(self)


def _edge(channel: int) -> int:
    return 1 if channel > 0 else -1


def connect(box: TaggerBox) -> TimeTagger:
    """A tagger object for a box that is not in use.

    Raises:
        RuntimeError: As the vendor's module, when it is in use.
    """
    with box.lock:
        if box.connected:
            raise RuntimeError("No Time Tagger attached or already in use by another process")
        box.connected = True
        box.start_up()
        tagger = object.__new__(TimeTagger)
        tagger._box = box
        return tagger


def free(tagger: TimeTagger) -> None:
    """Disconnect; measurements end. A second call does nothing."""
    if not isinstance(tagger, TimeTagger):
        raise TypeError("in method 'freeTimeTagger', argument 1 of type 'TimeTaggerBase'")
    box = tagger._box
    if box is None:
        return
    with box.lock:
        for listener in box.listeners:
            listener._end()
        box.listeners = []
        box.connected = False
        tagger._box = None
