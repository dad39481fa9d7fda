"""Time Tagger 20, Ultra and X of Swabian Instruments, through the vendor's Python module."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from drivers.base import Identity, Reading, Settings
from drivers.clock import Clock
from drivers.errors import FaultError, InstrumentConnectionError, InstrumentTimeoutError, LimitError
from drivers.time_tagger.base import TagChunk, TimeTagger, TimeTaggerStatus
from drivers.time_tagger.connection import Connection
from drivers.time_tagger.delay import Delay, NoPeakError, delay_between
from drivers.time_tagger.models import MODELS, model_named
from drivers.time_tagger.self_test import SelfTest, judge
from drivers.time_tagger.settings import ChannelSettings, SwabianSettings
from drivers.time_tagger.state import (
    TaggerLimits,
    faults_of,
    limits_of,
    overflows_and_rates,
    readings_of,
)
from drivers.time_tagger.stream import stream_tags
from drivers.time_tagger.vendor import load_vendor
from drivers.time_tagger.vendor_file import VendorFile
from drivers.traffic import TrafficLog

__all__ = ["ChannelSettings", "SwabianSettings", "SwabianTimeTagger", "TaggerLimits"]


class SwabianTimeTagger(TimeTagger):
    """A Swabian time tagger.

    The vendor's module puts a tagger into its start-up state when it connects, so ``open`` sets thresholds,
    delays and dead times from the settings: there is no earlier state to adopt. A tagger that was lost is
    connected again, in the same way, when it is next used; see ``drivers.time_tagger.connection``.

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
        self.traffic = TrafficLog()
        self._vendor = vendor
        self._connection: Connection | None = None
        self._rates: Any = None
        self._model = ""
        self._heard_s: dict[int, float] = {}
        self._silent_ps: dict[int, int] = {}

    @property
    def channels(self) -> dict[str, int]:
        """Name of each counter -> channel number, negative for the falling edge."""
        return {name: entry.channel for name, entry in self.settings.channels.items()}

    @property
    def jitter_ps_rms(self) -> float:
        """Jitter of one tag: as set, else nominal for the model (for the Time Tagger 20 before ``open``)."""
        if self.settings.jitter_ps_rms is not None:
            return self.settings.jitter_ps_rms
        return (model_named(self._model) or MODELS["Time Tagger 20"]).jitter_ps_rms

    def open(self) -> None:
        """Connect and set thresholds, delays and dead times. Does nothing if it is open.

        Raises:
            MissingDriverError: The vendor's module is not installed.
            InstrumentConnectionError: No such tagger, or another program uses it.
            InstrumentTimeoutError: The vendor's module does not return.
            LimitError: A setting is outside what the tagger can do.
        """
        if self._vendor is None:
            self._vendor = load_vendor(self.name)
        if self._connection is None:
            self._connection = Connection(
                self.name,
                self._vendor,
                self.settings.serial_number,
                # A wait for the stream takes up to read_timeout_s by itself.
                call_timeout_s=self.settings.call_timeout_s + self.settings.read_timeout_s,
                clock=self.clock,
                set_up=self._set_up,
                traffic=self.traffic,
            )
        try:
            self._connection.open()
        except BaseException:
            self._connection = None
            raise

    def close(self) -> None:
        """End all measurements and let go of the tagger. May be called twice."""
        if self._connection is None:
            return
        with self._connection.lock:
            rates, self._rates = self._rates, None
            if rates is not None:
                self._connection.release(rates)
            self._connection.close()
            self._connection = None

    def identify(self) -> Identity:
        """Model, serial number and firmware, as the tagger says.

        Raises:
            InstrumentConnectionError: Not open, or gone.
        """
        tagger = self._open().tagger()
        model, serial, firmware = self._open().call(
            "identify", lambda: (tagger.getModel(), tagger.getSerial(), tagger.getFirmwareVersion())
        )
        return Identity("Swabian Instruments", str(model), str(serial), str(firmware))

    def limits(self) -> TaggerLimits:
        """What the tagger can do: ranges over all its counters' inputs.

        Raises:
            InstrumentConnectionError: Not open, or gone.
        """
        return limits_of(self._open(), next(iter(self.channels.values())), model_named(self._model))

    def status(self) -> TimeTaggerStatus:
        """Overflows since ``open`` and count rates since the last call; a tagger that is gone is no error."""
        now_s = self.clock.now()
        connection = self._connection
        if connection is None:
            return TimeTaggerStatus(False, "closed", (), now_s, 0, {})
        try:
            with connection.lock:
                tagger = connection.tagger()
                overflows, rates_Hz = connection.call(
                    "read the count rates", partial(overflows_and_rates, tagger, self._rates), quiet=True
                )
        except (InstrumentConnectionError, InstrumentTimeoutError) as error:
            return TimeTaggerStatus(False, "lost", (str(error),), now_s, 0, {})
        rates = {
            number: float(rate)
            for number, rate in zip(self.channels.values(), rates_Hz, strict=True)
            if np.isfinite(rate)
        }
        self._heard_s |= {number: now_s for number, rate in rates.items() if rate > 0}
        silent_s = {
            name: now_s - self._heard_s[number] for name, number in self.channels.items() if number in rates
        }
        faults = faults_of(
            self._model, overflows, sum(rates.values()), silent_s, longest_s=self.settings.silence_s
        )
        return TimeTaggerStatus(True, "fault" if faults else "ready", faults, now_s, overflows, rates)

    def readings(self) -> dict[str, Reading]:
        """What the tagger says of its inputs: ``<counter>.trigger_level``, ``.delay``, ``.dead_time``.

        Raises:
            InstrumentConnectionError: Not open, or gone.
        """
        return readings_of(self._open(), self.channels, self.clock.now())

    def stream(
        self,
        channels: Sequence[int],
        duration_s: float,
        *,
        cancel: threading.Event | None = None,
    ) -> Iterator[TagChunk]:
        """Record tags for ``duration_s`` of the tagger's own time; see ``TimeTagger.stream``.

        The record begins when the first chunk is asked for. Overflows, lost events and a full buffer become
        gaps of the chunks.

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
        wanted = self._known(channels)
        if not 0 < duration_s < 1e6:
            raise LimitError(self.name, f"cannot record for {duration_s} s", advice="Choose 0 to 1e6 s")
        names = {number: name for name, number in self.channels.items()}
        return stream_tags(
            self.name,
            self._open(),
            self.settings,
            {number: names[number] for number in wanted},
            round(duration_s * 1e12),
            clock=self.clock,
            cancel=cancel or threading.Event(),
            silent_ps=self._silent_ps,
        )

    def vendor_file(self, path: Path, channels: Sequence[int] | None = None) -> VendorFile:
        """A file in the vendor's own format, written beside what ``stream`` gives, for as long as it is open.

        Args:
            path: ``.ttbin`` is added where it is missing; the data go to ``<name>.1.ttbin`` and so on.
            channels: Channel numbers; None: all counters.

        Returns:
            A context manager: ``with tagger.vendor_file(path): ...``

        Raises:
            LimitError: A channel that is not set up.
            InstrumentConnectionError: Not open, or gone.
        """
        wanted = self._known(channels if channels is not None else list(self.channels.values()))
        return VendorFile(self.name, self._open(), path, wanted)

    def set_trigger_level(self, counter: str, level_V: float) -> float:
        """Set the threshold of a counter's input; returns the one that the tagger applies, in V.

        Raises:
            LimitError: Outside the tagger's range, or an unknown counter.
            InstrumentConnectionError: Not open, or gone.
        """
        number, connection = abs(self._number(counter)), self._open()
        tagger = connection.tagger()
        low_V, high_V = connection.call(
            "read the threshold's range", lambda: tagger.getTriggerLevelRange(number)
        )
        if not low_V <= level_V <= high_V:
            raise LimitError(
                self.name,
                f"trigger level {level_V} V of {counter!r} is outside {low_V} to {high_V} V "
                f"of the {self._model}",
                advice="Negative (NIM) pulses need a Time Tagger Ultra or X and the falling edge",
            )
        connection.set(f"trigger level {level_V} V", lambda: tagger.setTriggerLevel(number, float(level_V)))
        return float(connection.call("read the threshold", lambda: tagger.getTriggerLevel(number)))

    def set_delay(self, counter: str, delay_ps: int) -> int:
        """Delay a counter's stamps (positive or negative); returns the delay that holds, in ps.

        Raises:
            LimitError: The tagger refuses it, or an unknown counter.
            InstrumentConnectionError: Not open, or gone.
        """
        number, connection = self._number(counter), self._open()
        tagger = connection.tagger()
        connection.set(f"delay {delay_ps} ps", lambda: tagger.setInputDelay(number, int(delay_ps)))
        return int(connection.call("read the delay", lambda: tagger.getInputDelay(number)))

    def set_dead_time(self, counter: str, dead_time_ps: int) -> int:
        """Set the dead time of a counter's channel; returns the one that holds (the tagger rounds), in ps.

        Raises:
            LimitError: Longer than the tagger can, or an unknown counter.
            InstrumentConnectionError: Not open, or gone.
        """
        number, connection = self._number(counter), self._open()
        tagger = connection.tagger()
        return int(
            connection.set(
                f"dead time {dead_time_ps} ps", lambda: tagger.setDeadtime(number, int(dead_time_ps))
            )
        )

    def set_test_signal(self, on: bool) -> None:
        """Connect the counters' inputs to the tagger's own test signal instead of the counters, or back.

        Raises:
            InstrumentConnectionError: Not open, or gone.
        """
        connection = self._open()
        tagger = connection.tagger()
        numbers = sorted({abs(number) for number in self.channels.values()})
        connection.set(f"test signal {'on' if on else 'off'}", lambda: tagger.setTestSignal(numbers, on))

    def self_test(self, duration_s: float = 0.5) -> SelfTest:
        """Record the tagger's own test signal and judge its rate and jitter; the counters are back after it.

        Args:
            duration_s: Length of the record in the tagger's time.

        Raises:
            InstrumentConnectionError: Not open, or gone.
            FaultError, InstrumentTimeoutError: As ``stream``.
        """
        connection = self._open()
        tagger, model = connection.tagger(), model_named(self._model)
        divider = connection.call("read the test signal's divider", tagger.getTestSignalDivider)
        self.set_test_signal(True)
        try:
            chunks = list(self.stream(list(self.channels.values()), duration_s))
        finally:
            self.set_test_signal(False)
        return judge(
            chunks,
            self.channels,
            expected_Hz=model.test_signal_Hz / int(divider) if model else None,
            jitter_ps_rms=self.jitter_ps_rms,
        )

    def measure_delay(self, start: str, stop: str, duration_s: float, *, window_ps: int = 100_000) -> Delay:
        """Delay of counter ``stop`` behind counter ``start``, from the light that falls on them now.

        Subtract it from ``delay_ps`` of ``stop`` in the rig file to align the two.

        Args:
            start: Name of the start counter.
            stop: Name of the stop counter.
            duration_s: Length of the record.
            window_ps: Largest delay that is looked for.

        Raises:
            LimitError: An unknown counter.
            FaultError: The light shows no coincidences to align by. And as ``stream``.
        """
        numbers = self._number(start), self._number(stop)
        try:
            return delay_between(self.stream(numbers, duration_s), *numbers, window_ps=window_ps)
        except NoPeakError as error:
            raise FaultError(
                self.name,
                f"no delay between {start!r} and {stop!r} in {duration_s} s: {error}",
                advice="Measure longer, with light in bursts (X-rays on, or a pulsed laser), and check that "
                "both counters see it",
            ) from error

    def _set_up(self) -> None:
        """Bring a tagger that was just connected to the settings, and start counting."""
        connection, settings = self._open(), self.settings
        tagger = connection.tagger()
        self._model = str(connection.call("read the model", tagger.getModel))
        known = set(connection.call("list its channels", tagger.getChannelList))
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
            connection.set(f"hardware buffer of {size} tags", lambda: tagger.setHardwareBufferSize(size))
        connection.call("clear the overflow counter", tagger.clearOverflows)
        numbers = list(self.channels.values())
        self._heard_s = dict.fromkeys(numbers, self.clock.now())
        self._silent_ps.clear()
        self._rates = connection.call("start counting", lambda: connection.vendor.Countrate(tagger, numbers))

    def _known(self, channels: Sequence[int]) -> list[int]:
        wanted = [int(channel) for channel in channels]
        known = sorted(self.channels.values())
        if not wanted or not set(wanted) <= set(known) or len(set(wanted)) != len(wanted):
            raise LimitError(
                self.name,
                f"cannot record channels {wanted}",
                advice=f"Choose different ones of {known}, set up in the rig file",
            )
        return wanted

    def _number(self, counter: str) -> int:
        if counter not in self.channels:
            raise LimitError(
                self.name, f"no counter {counter!r}", advice=f"The rig file has {', '.join(self.channels)}"
            )
        return self.channels[counter]

    def _open(self) -> Connection:
        if self._connection is None:
            raise InstrumentConnectionError(
                self.name, "the time tagger is not connected", advice="Open it first"
            )
        return self._connection
