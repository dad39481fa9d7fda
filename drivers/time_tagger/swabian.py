"""Time Tagger 20, Ultra and X of Swabian Instruments, through the vendor's Python module."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field, model_validator

from drivers.base import Identity, Reading, Settings
from drivers.clock import Clock
from drivers.errors import InstrumentConnectionError, LimitError
from drivers.time_tagger.base import TagChunk, TimeTagger, TimeTaggerStatus
from drivers.time_tagger.record import Record
from drivers.time_tagger.vendor import load_vendor

T = TypeVar("T")

# RMS jitter of one tag in ps and tags per second through the link: vendor's example scripts and data sheets.
NOMINAL = {
    "Time Tagger 20": (34.0, 8.5e6),
    "Time Tagger Ultra": (42.0, 65e6),
    "Time Tagger X": (2.0, 80e6),
}
NEAR_LIMIT = 0.9
VENDOR_ERRORS = (RuntimeError, ValueError, TypeError, OSError)


class ChannelSettings(Settings):
    """One counter on one input.

    Attributes:
        channel: Input number, negative for the falling edge (NIM pulses are negative: use -n).
        trigger_level_V: Threshold; half of the pulse height is a good start. Not given: as found.
        delay_ps: Added to every stamp; aligns the counters. See ``drivers.time_tagger.delay``.
        dead_time_ps: Dead time of the input; not given: the tagger's smallest.
    """

    channel: Annotated[int, Field(ge=-64, le=64)]
    trigger_level_V: float | None = None
    delay_ps: int = 0
    dead_time_ps: Annotated[int, Field(ge=0)] | None = None

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
        buffer_tags: Size of the buffer between two reads; must hold what comes in ``poll_s``.
        hardware_buffer_tags: Size of the tagger's own buffer; not given: the vendor's default.
        jitter_ps_rms: Jitter of one tag; not given: the model's nominal value.
        read_timeout_s: No progress of the tagger's time for so long is an error.
        silence_s: No tag at all from a counter for so long is an error (a live counter has dark counts);
            0: never.
    """

    driver: Literal["swabian"] = "swabian"
    serial_number: str = ""
    channels: Annotated[dict[str, ChannelSettings], Field(min_length=1)]
    poll_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    buffer_tags: Annotated[int, Field(ge=1000, le=1_000_000_000)] = 20_000_000
    hardware_buffer_tags: Annotated[int, Field(gt=0)] | None = None
    jitter_ps_rms: Annotated[float, Field(ge=0)] | None = None
    read_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    silence_s: Annotated[float, Field(ge=0)] = 10.0

    @model_validator(mode="after")
    def _channels_differ(self) -> SwabianSettings:
        numbers = [entry.channel for entry in self.channels.values()]
        if len(set(numbers)) != len(numbers):
            raise ValueError(f"two counters on the same channel: {numbers}")
        return self


class SwabianTimeTagger(TimeTagger):
    """A Swabian time tagger.

    The vendor's module puts a tagger into its start-up state when it connects, so ``open`` sets thresholds,
    delays and dead times from the settings: there is no earlier state to adopt.

    Args:
        name: The instrument's name in the rig file.
        settings: Its table of the rig file.
        clock: The clock of the experiment.
        vendor: The vendor's module; None loads the installed one.
    """

    Settings: ClassVar[type[Settings]] = SwabianSettings

    def __init__(self, name: str, settings: SwabianSettings, *, clock: Clock, vendor: Any = None) -> None:
        super().__init__(name, settings, clock=clock)
        self.settings = settings
        self._given_vendor = vendor
        self._vendor: Any = None
        self._tagger: Any = None
        self._rates: Any = None
        self._model = ""
        self._lock = threading.RLock()

    @property
    def channels(self) -> dict[str, int]:
        """Name of each counter -> channel number, negative for the falling edge."""
        return {name: entry.channel for name, entry in self.settings.channels.items()}

    @property
    def jitter_ps_rms(self) -> float:
        """Jitter of one tag: as set, else nominal for the model (for the Time Tagger 20 before ``open``)."""
        if self.settings.jitter_ps_rms is not None:
            return self.settings.jitter_ps_rms
        return NOMINAL.get(self._model, NOMINAL["Time Tagger 20"])[0]

    def open(self) -> None:
        """Connect and set thresholds, delays and dead times.

        Raises:
            MissingDriverError: The vendor's module is not installed.
            InstrumentConnectionError: No such tagger, or another program uses it.
            LimitError: A setting is outside what the tagger can do.
        """
        with self._lock:
            if self._tagger is not None:
                return
            self._vendor = self._given_vendor or load_vendor(self.name)
            self._tagger = self._connect()
            try:
                self._model = self._call("read the model", self._tagger.getModel)
                self._configure()
                numbers = list(self.channels.values())
                self._rates = self._call(
                    "start counting", lambda: self._vendor.Countrate(self._tagger, numbers)
                )
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End all measurements and let go of the tagger."""
        with self._lock:
            rates, tagger = self._rates, self._tagger
            self._rates = self._tagger = None
            if rates is not None:
                self._try(rates.stop)
            if tagger is not None:
                self._try(lambda: self._vendor.freeTimeTagger(tagger))

    def identify(self) -> Identity:
        """Model, serial number and firmware, as the tagger says."""
        tagger = self._connected()
        return self._call(
            "identify",
            lambda: Identity(
                "Swabian Instruments", tagger.getModel(), tagger.getSerial(), tagger.getFirmwareVersion()
            ),
        )

    def status(self) -> TimeTaggerStatus:
        """Overflows since ``open`` and count rates since the last call, measured.

        Raises:
            InstrumentConnectionError: The tagger is gone.
        """
        now_s = self.clock.now()
        with self._lock:
            if self._tagger is None:
                return TimeTaggerStatus(False, "closed", (), now_s, 0, {})
            numbers = list(self.channels.values())

            def ask() -> tuple[int, np.ndarray[Any, Any]]:
                overflows, rates_Hz = self._tagger.getOverflows(), np.asarray(self._rates.getData())
                self._rates.clear()
                return int(overflows), rates_Hz

            overflows, rates_Hz = self._call("read the count rates", ask)
        rates = {
            number: float(rate) for number, rate in zip(numbers, rates_Hz, strict=True) if np.isfinite(rate)
        }
        faults = self._faults(overflows, rates)
        return TimeTaggerStatus(True, "fault" if faults else "ready", faults, now_s, overflows, rates)

    def readings(self) -> dict[str, Reading]:
        """What the tagger says of its inputs: threshold, delay and dead time of each counter, measured."""
        tagger, now_s = self._connected(), self.clock.now()
        result: dict[str, Reading] = {}
        for name, number in self.channels.items():
            values = self._call(f"read the settings of {name!r}", partial(_input_settings, tagger, number))
            for key, unit, value in zip(
                ("trigger_level", "delay", "dead_time"), ("V", "ps", "ps"), values, strict=True
            ):
                result[f"{name}.{key}"] = Reading(float(value), unit, "measured", now_s)
        return result

    def stream(
        self,
        channels: Sequence[int],
        duration_s: float,
        *,
        cancel: threading.Event | None = None,
    ) -> Iterator[TagChunk]:
        """Record tags for ``duration_s`` of the tagger's own time; see ``TimeTagger.stream``.

        Overflows, lost events and a full buffer become gaps of the chunks.

        Args:
            channels: Channel numbers, some of ``self.channels``.
            duration_s: Length of the record.
            cancel: Ends the record early when set.

        Raises:
            LimitError: No channel, one that is not set up, or a length that is not positive.
            InstrumentConnectionError: The tagger is gone.
            InstrumentTimeoutError: The tagger's time stands still.
            FaultError: The tagger's time jumped, or a counter is silent.
        """
        wanted = [int(channel) for channel in channels]
        unknown = sorted(set(wanted) - set(self.channels.values()))
        if not wanted or unknown or len(set(wanted)) != len(wanted):
            raise LimitError(
                self.name,
                f"cannot record channels {wanted}",
                advice=f"Choose different ones of {sorted(self.channels.values())}, set up in the rig file",
            )
        if not 0 < duration_s < 1e6:
            raise LimitError(self.name, f"cannot record for {duration_s} s", advice="Choose 0 to 1e6 s")
        self._connected()
        return self._record(wanted, round(duration_s * 1e12), cancel or threading.Event())

    def _record(self, channels: list[int], duration_ps: int, cancel: threading.Event) -> Iterator[TagChunk]:
        tagger, vendor, settings = self._connected(), self._vendor, self.settings
        began_s = self.clock.now()
        measurement = self._call(
            "start a stream", lambda: vendor.TimeTagStream(tagger, settings.buffer_tags, channels)
        )
        try:
            buffer = self._call("read the stream", measurement.getData)
            names = {number: name for name, number in self.channels.items()}
            record = Record(
                self.name,
                {channel: names[channel] for channel in channels},
                begin_ps=int(buffer.tStart),
                duration_ps=duration_ps,
                began_s=began_s,
                buffer_tags=settings.buffer_tags,
                read_timeout_s=max(settings.read_timeout_s, 3 * settings.poll_s),
                silence_s=settings.silence_s,
            )
            while True:
                yield from record.take(buffer, self.clock.now())
                if record.left_ps <= 0 or cancel.is_set():
                    return
                # Never less than a millisecond: a clock need not resolve the picoseconds that may be left.
                self.clock.wait(cancel, max(min(settings.poll_s, record.left_ps * 1e-12), 1e-3))
                self._still(tagger)
                buffer = self._call("read the stream", measurement.getData)
        finally:
            self._try(measurement.stop)

    def _connect(self) -> Any:
        serial, vendor = self.settings.serial_number, self._vendor
        try:
            return vendor.createTimeTagger(serial) if serial else vendor.createTimeTagger()
        except VENDOR_ERRORS as error:
            try:
                free = ", ".join(vendor.scanTimeTagger()) or "none"
            except VENDOR_ERRORS:
                free = "unknown"
            raise InstrumentConnectionError(
                self.name,
                f"no connection to time tagger {serial or '(any)'}: {error}",
                advice=f"Taggers that are free now: {free}. Check USB cable and power, close other programs "
                "that use it, and on Linux install the vendor's udev rule",
            ) from error

    def _configure(self) -> None:
        tagger, settings = self._tagger, self.settings
        known = set(self._call("list its channels", tagger.getChannelList))
        for name, entry in settings.channels.items():
            if entry.channel not in known:
                raise LimitError(
                    self.name,
                    f"the {self._model} has no channel {entry.channel} (counter {name!r})",
                    advice=f"It has {min(abs(n) for n in known)} to {max(known)}, negative for falling edges",
                )
            if entry.trigger_level_V is not None:
                self.set_trigger_level(name, entry.trigger_level_V)
            self.set_delay(name, entry.delay_ps)
            if entry.dead_time_ps is not None:
                self.set_dead_time(name, entry.dead_time_ps)
        if settings.hardware_buffer_tags is not None:
            size = settings.hardware_buffer_tags
            self._limited(f"a hardware buffer of {size} tags", lambda: tagger.setHardwareBufferSize(size))
        self._call("clear the overflow counter", tagger.clearOverflows)

    def set_trigger_level(self, counter: str, level_V: float) -> float:
        """Set the threshold of a counter's input; returns the one that the tagger applies, in V.

        Raises:
            LimitError: Outside the tagger's range, or an unknown counter.
        """
        number, tagger = abs(self._number(counter)), self._connected()
        low_V, high_V = self._call("read the threshold's range", lambda: tagger.getTriggerLevelRange(number))
        if not low_V <= level_V <= high_V:
            raise LimitError(
                self.name,
                f"trigger level {level_V} V of {counter!r} is outside {low_V} to {high_V} V "
                f"of the {self._model}",
                advice="Negative (NIM) pulses need a Time Tagger Ultra or X and the falling edge",
            )
        self._limited(f"trigger level {level_V} V", lambda: tagger.setTriggerLevel(number, float(level_V)))
        return float(self._call("read the threshold", lambda: tagger.getTriggerLevel(number)))

    def set_delay(self, counter: str, delay_ps: int) -> int:
        """Delay a counter's stamps (positive or negative); returns the delay that holds, in ps."""
        number, tagger = self._number(counter), self._connected()
        self._limited(f"delay {delay_ps} ps", lambda: tagger.setInputDelay(number, int(delay_ps)))
        return int(self._call("read the delay", lambda: tagger.getInputDelay(number)))

    def set_dead_time(self, counter: str, dead_time_ps: int) -> int:
        """Set the dead time of a counter's channel; returns the one that holds (the tagger rounds), in ps.

        Raises:
            LimitError: Longer than the tagger can, or an unknown counter.
        """
        number, tagger = self._number(counter), self._connected()
        return int(
            self._limited(
                f"dead time {dead_time_ps} ps", lambda: tagger.setDeadtime(number, int(dead_time_ps))
            )
        )

    def _number(self, counter: str) -> int:
        if counter not in self.channels:
            raise LimitError(
                self.name, f"no counter {counter!r}", advice=f"The rig file has {', '.join(self.channels)}"
            )
        return self.channels[counter]

    def _faults(self, overflows: int, rates_Hz: dict[int, float]) -> tuple[str, ...]:
        faults = []
        if overflows:
            faults.append(f"{overflows} overflows since connecting: tags were lost")
        limit_Hz = NOMINAL.get(self._model, (0.0, float("inf")))[1]
        total_Hz = sum(rates_Hz.values())
        if total_Hz > NEAR_LIMIT * limit_Hz:
            faults.append(f"{total_Hz:.3g} counts/s, the {self._model} transfers {limit_Hz:.3g} tags/s")
        return tuple(faults)

    def _connected(self) -> Any:
        if self._tagger is None:
            raise InstrumentConnectionError(
                self.name, "the time tagger is not connected", advice="Open it first"
            )
        return self._tagger

    def _still(self, tagger: Any) -> None:
        if self._tagger is not tagger:
            raise InstrumentConnectionError(self.name, "the time tagger was closed during the record")

    def _call(self, doing: str, call: Callable[[], T]) -> T:
        """Call the vendor's module; its errors mean that the tagger is gone."""
        try:
            return call()
        except VENDOR_ERRORS as error:
            raise InstrumentConnectionError(
                self.name,
                f"could not {doing}: {error}",
                advice="Check USB cable and power, then connect again",
            ) from error

    def _limited(self, what: str, call: Callable[[], T]) -> T:
        """Call the vendor's module to set something; its ValueError means that it refuses the value."""
        try:
            return call()
        except (ValueError, TypeError) as error:
            raise LimitError(self.name, f"the {self._model} refuses {what}: {error}") from error
        except VENDOR_ERRORS as error:
            raise InstrumentConnectionError(self.name, f"could not set {what}: {error}") from error

    def _try(self, call: Callable[[], object]) -> None:
        """Clean up as far as it goes: a tagger that is gone cannot be stopped."""
        with contextlib.suppress(*VENDOR_ERRORS):
            call()


def _input_settings(tagger: Any, number: int) -> tuple[float, int, int]:
    return tagger.getTriggerLevel(abs(number)), tagger.getInputDelay(number), tagger.getDeadtime(number)
