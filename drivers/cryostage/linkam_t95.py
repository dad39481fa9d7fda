"""A Linkam stage on a T95 controller with its LNP95 pump, over a serial line.

The controller knows no read-back of limit and rate: they are remembered and marked as commanded. It acts
on by itself when the line is lost, so opening adopts the state found, and the first thing on every new
line is the status request, which changes nothing.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from drivers.base import Identity, Reading
from drivers.clock import Clock
from drivers.cryostage import linkam_t95_codec as codec
from drivers.cryostage.base import Cryostage, CryostageLimits, CryostageStatus
from drivers.cryostage.limits import check_pump, check_ramp
from drivers.cryostage.settings import LinkamT95Settings
from drivers.cryostage.vacuum import Vacuum
from drivers.errors import (
    FaultError,
    InstrumentConnectionError,
    InstrumentError,
    InstrumentTimeoutError,
    ProtocolError,
)
from drivers.lines import line_to
from drivers.traffic import TrafficLog
from drivers.transport import Patience, Transport

# The reading may move by this much beside the ramp before it is asked for again.
LEAP_K = 0.5
AGREE_K = 1.0
NEAR_K = 1.0
# So long may a command take to show in the state.
TAKES_S = 1.0
RECONNECT_STEP_S = 0.5
_LOST = (InstrumentTimeoutError, InstrumentConnectionError, ProtocolError)


@dataclass(frozen=True)
class _Commanded:
    set_point: Reading
    rate: Reading


class LinkamT95(Cryostage):
    """A stage on a T95 controller. Thread-safe.

    Args:
        name: The instrument's name in the rig file.
        settings: Its table of the rig file.
        clock: The clock of the experiment.
        vendor: Not used; there is no vendor library.
    """

    Settings = LinkamT95Settings

    def __init__(self, name: str, settings: LinkamT95Settings, *, clock: Clock, vendor: Any = None) -> None:
        super().__init__(name, settings, clock=clock)
        self.settings = settings
        self._transport = Transport(
            name,
            line_to(settings.address, baud_rate=settings.baud_rate, terminator=codec.CR),
            clock=clock,
            terminator=codec.CR,
            patience=Patience(
                reply_timeout_s=settings.reply_timeout_s,
                connect_timeout_s=settings.connect_timeout_s,
                attempts=settings.attempts,
                pacing_s=settings.pacing_s,
            ),
            explain=codec.explain,
        )
        self._act = threading.RLock()
        self._opened = False
        self._acknowledges = False
        self._commanded: _Commanded | None = None
        self._last: codec.StatusReply | None = None
        self._temperature: Reading | None = None
        self._bad_in_a_row = 0
        self._vacuum = Vacuum(name, settings.gauge, settings.vacuum_mbar, clock=clock)

    @property
    def traffic(self) -> TrafficLog:
        """What went over the line."""
        return self._transport.traffic

    @property
    def limits(self) -> CryostageLimits:
        """Limits of the rig file; the controller does not tell its own."""
        settings = self.settings
        return CryostageLimits(settings.minimum_K, settings.maximum_K, settings.maximum_rate_K_per_min)

    def open(self) -> None:
        """Connect and adopt the state found: a stage that is cooling goes on cooling."""
        with self._act:
            self._transport.open()
            self._opened = True
            try:
                self._vacuum.open()
                self.status()
            except InstrumentError:
                self._opened = False
                self._vacuum.close()
                self._transport.close()
                raise

    def close(self) -> None:
        """Leave the stage as ``on_close`` says and release the line.

        Raises:
            InstrumentError: The stage could not be told. Raised once; the line is released all the same.
        """
        with self._act:
            if not self._opened:
                return
            self._opened = False
            try:
                if self.settings.on_close == "hold":
                    self.hold()
                elif self.settings.on_close == "stop":
                    self.stop()
            finally:
                self._vacuum.close()
                self._transport.close()

    def identify(self) -> Identity:
        """The stage's name, where the controller tells it; it tells no number and no firmware."""
        with self._act:
            self.status()
            try:
                answer = self._transport.exchange(
                    codec.ASK_STAGE_NAME, harmless=True, attempts=1, is_reply=lambda reply: reply != codec.CR
                )
            except _LOST:
                return Identity("Linkam", "T95")
            stage = answer.rstrip(codec.CR).decode("ascii", errors="replace").strip()
            return Identity("Linkam", f"T95 with {stage}" if stage.isprintable() and stage else "T95")

    def status(self) -> CryostageStatus:
        """Ask for state and temperature.

        A reply without a possible temperature gives the last good one, with its time.

        Raises:
            ProtocolError: No temperature in ``bad_readings`` replies in a row, or replies that contradict
                each other.
            InstrumentTimeoutError: No reply.
            InstrumentConnectionError: The line is lost.
        """
        with self._act:
            reply = self._ask()
            now_s = self.clock.now()
            sensor_open = codec.SENSOR_FAULT in reply.faults
            if reply.temperature_K is not None and not sensor_open:
                self._temperature = Reading(reply.temperature_K, "K", "measured", now_s)
                self._bad_in_a_row = 0
            elif not sensor_open:
                self._count_bad(reply)
            commanded = self._commanded
            pressure, gauge_complaints = self._vacuum.reading()
            strange = (f"the state byte 0x{reply.state_byte:02x} is not known",) * (reply.state == "unknown")
            return CryostageStatus(
                connected=True,
                state=reply.state,
                faults=reply.faults,
                read_at_s=now_s,
                temperature=self._temperature or Reading(math.nan, "K", "measured", now_s),
                set_point=commanded.set_point if commanded else None,
                rate=commanded.rate if commanded else None,
                pump_percent=100.0 * reply.pump_steps / codec.PUMP_TOP,
                at_set_point=reply.at_set_point,
                warnings=reply.warnings + strange + gauge_complaints,
                vacuum=pressure,
            )

    def ramp_to(self, set_point_K: float, rate_K_per_min: float) -> None:
        """Send rate and limit, then start; verified by the state that follows. See ``Cryostage.ramp_to``.

        The controller counts in tenths of a degree Celsius: ``status`` gives the set point it really got.
        """
        check_ramp(self.name, set_point_K, rate_K_per_min, self.limits)
        with self._act:
            self._refuse_with_fault(self._ask())
            commands = (codec.encode_rate(rate_K_per_min), codec.encode_limit(set_point_K), codec.START)
            # Until it is through, nobody knows which limit the controller has.
            self._commanded = None
            self._carry_out(commands, lambda reply: _under_way(reply, set_point_K), "start the ramp")
            now_s = self.clock.now()
            self._commanded = _Commanded(
                Reading(codec.limit_sent_K(set_point_K), "K", "commanded", now_s),
                Reading(round(rate_K_per_min, 2), "K/min", "commanded", now_s),
            )

    def hold(self) -> None:
        """Hold the present temperature. A stage that is switched off stays off.

        Raises:
            InstrumentError: The controller did not take it.
        """
        with self._act:
            # Holding would switch the heater on.
            if self._ask().state == "stopped":
                return
            self._carry_out((codec.HOLD,), lambda reply: reply.state in ("holding", "stopped"), "hold")

    def stop(self) -> None:
        """Switch heating and cooling off.

        Raises:
            InstrumentError: The controller did not take it.
        """
        with self._act:
            self._ask()
            self._carry_out((codec.STOP,), lambda reply: reply.state == "stopped", "stop")

    def set_pump(self, percent: float | None) -> None:
        """Pump speed in steps of 1/30; None: automatic."""
        check_pump(self.name, percent)
        with self._act:
            self._ask()
            commands: tuple[bytes, ...] = (codec.PUMP_AUTOMATIC,)
            if percent is not None:
                commands = (codec.PUMP_MANUAL, codec.encode_pump_speed(percent))
            self._carry_out(commands, lambda reply: True, "set the pump")

    def enter_vacuum(self, pressure_mbar: float) -> None:
        """Take the pressure as a person read it; the T95 knows none."""
        with self._act:
            self._vacuum.enter(pressure_mbar)

    def _ask(self) -> codec.StatusReply:
        """The status reply; asked for again when it is surprising, since the protocol has no checksum."""
        before, reply = self._last, self._ask_once()
        if before is None or self._surprising(before, reply):
            for _ in range(self.settings.attempts):
                again = self._ask_once()
                if _agree(reply, again):
                    break
                reply = again
            else:
                raise ProtocolError(
                    self.name,
                    f"status replies contradict each other: {reply.raw.hex(' ')} and {again.raw.hex(' ')}",
                    done=f"asked {self.settings.attempts + 1} times",
                    advice="look for noise on the serial line",
                )
            reply = again
        self._last = reply
        return reply

    def _ask_once(self) -> codec.StatusReply:
        """One status reply; waits for a lost line to come back, since asking changes nothing."""
        until_s = self.clock.now() + self.settings.reconnect_s
        while True:
            collector = codec.StatusCollector()
            try:
                self._transport.exchange(codec.ASK_STATUS, harmless=True, is_reply=collector)
            except InstrumentConnectionError:
                if not self._opened or self.clock.now() >= until_s:
                    raise
                self.clock.sleep(RECONNECT_STEP_S)
            else:
                assert collector.reply is not None
                return collector.reply

    def _surprising(self, before: codec.StatusReply, reply: codec.StatusReply) -> bool:
        if (reply.state_byte, reply.faults) != (before.state_byte, before.faults):
            return True
        if reply.temperature_K is None or self._temperature is None:
            return reply.temperature_K is not None
        passed_s = self.clock.now() - self._temperature.read_at_s
        allowed_K = LEAP_K + 2 * self.settings.maximum_rate_K_per_min / 60 * passed_s
        return abs(reply.temperature_K - self._temperature.value) > allowed_K

    def _count_bad(self, reply: codec.StatusReply) -> None:
        self._bad_in_a_row += 1
        if self._bad_in_a_row >= self.settings.bad_readings:
            raise ProtocolError(
                self.name,
                f"no temperature in {self._bad_in_a_row} status replies in a row, last {reply.raw[6:10]!r}",
                done="the stage was left as it is",
                advice="check the stage's sensor and cable",
            )

    def _refuse_with_fault(self, reply: codec.StatusReply) -> None:
        if reply.faults:
            raise FaultError(
                self.name,
                f"the controller reports: {'; '.join(reply.faults)}",
                done="nothing was started",
                advice="mend the cause; if the error stays, switch the controller off and on",
            )

    def _carry_out(
        self, commands: Sequence[bytes], done: Callable[[codec.StatusReply], bool], what: str
    ) -> None:
        """Send set commands, all of them again if one was lost, and look at the state that follows.

        Each may be sent twice: it sets, it does not step. On a new line the status request goes first.
        """
        for left in range(self.settings.attempts - 1, -1, -1):
            try:
                for command in commands:
                    self._command(command)
                break
            except _LOST:
                if not left:
                    raise
                self._ask()
        self._verify(done, what)

    def _command(self, command: bytes) -> None:
        """Send one set command. Some controllers acknowledge it with a lone CR, some say nothing."""
        try:
            self._transport.exchange(command, harmless=False)
        except InstrumentTimeoutError:
            if self._acknowledges:
                raise
            # Asking shows whether the controller is silent or gone.
            self._ask()
        else:
            self._acknowledges = True

    def _verify(self, done: Callable[[codec.StatusReply], bool], what: str) -> None:
        """Look at the state that follows a command; the controller may take a moment to change it."""
        until_s = self.clock.now() + TAKES_S
        while not done(reply := self._ask()):
            self._refuse_with_fault(reply)
            if self.clock.now() >= until_s:
                break
            self.clock.sleep(TAKES_S / 10)
        else:
            return
        raise InstrumentTimeoutError(
            self.name,
            f"the controller did not {what}: its state is {reply.state} (0x{reply.state_byte:02x})",
            advice="check that the controller is in remote mode and the stage is connected",
        )


def _under_way(reply: codec.StatusReply, set_point_K: float) -> bool:
    """The stage moves; close to the set point it may hold already."""
    if reply.state in ("heating", "cooling"):
        return True
    near = reply.temperature_K is None or abs(reply.temperature_K - set_point_K) <= NEAR_K
    return near and reply.state != "stopped"


def _agree(one: codec.StatusReply, other: codec.StatusReply) -> bool:
    if (one.state_byte, one.faults) != (other.state_byte, other.faults):
        return False
    if one.temperature_K is None or other.temperature_K is None:
        return one.temperature_K is other.temperature_K
    return abs(one.temperature_K - other.temperature_K) <= AGREE_K
