"""An X-ray tube on a Spellman high-voltage supply, over Ethernet or a serial line.

Nothing but ``beam_on`` switches anything on, and whatever goes wrong inside it ends with "off". Current
goes down before voltage; high voltage off comes last and is verified by the flags.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from drivers.base import Identity, Reading
from drivers.clock import Clock
from drivers.errors import (
    FaultError,
    InstrumentCancelledError,
    InstrumentError,
    LimitError,
)
from drivers.lines import line_to
from drivers.traffic import TrafficLog
from drivers.transport import Patience, Transport
from drivers.xray_tube import spellman_codec as codec
from drivers.xray_tube.base import TubeLimits, TubeStatus, WarmUpStep, XrayTube
from drivers.xray_tube.dose import DoseMeter
from drivers.xray_tube.history import TubeHistory
from drivers.xray_tube.limits import check_beam, largest_current_uA
from drivers.xray_tube.models import MODELS
from drivers.xray_tube.ramp import Ramp
from drivers.xray_tube.self_test import self_test
from drivers.xray_tube.settings import SpellmanSettings
from drivers.xray_tube.snapshot import look
from drivers.xray_tube.supply import Flags, Monitors, Supply, explain
from drivers.xray_tube.warm_up import warm_up_steps

OFF_TIMEOUT_S = 5.0
SAVE_EVERY_S = 60.0
NOTHING = Monitors(0.0, 0.0, {})
EMERGENCY = "take the beam for ON: open the interlock or press the emergency stop, then look at the supply"


class SpellmanTube(XrayTube):
    """An X-ray tube on a Spellman supply. Thread-safe: ``beam_off`` ends a ``beam_on`` of another thread.

    Args:
        name: The instrument's name in the rig file.
        settings: Its table of the rig file.
        clock: The clock of the experiment.
        vendor: Not used; there is no vendor library.
    """

    Settings = SpellmanSettings

    def __init__(self, name: str, settings: SpellmanSettings, *, clock: Clock, vendor: Any = None) -> None:
        super().__init__(name, settings, clock=clock)
        self.settings = settings
        self.model = MODELS[settings.model]
        line = line_to(settings.address, baud_rate=settings.baud_rate, terminator=bytes([codec.ETX]))
        with_checksum = line.is_serial if settings.checksum is None else settings.checksum
        self.transport = Transport(
            name,
            line,
            clock=clock,
            terminator=bytes([codec.ETX]),
            patience=Patience(
                reply_timeout_s=settings.reply_timeout_s,
                connect_timeout_s=settings.connect_timeout_s,
                attempts=settings.attempts,
                pacing_s=settings.pacing_s,
            ),
            explain=lambda message: explain(self.model, message, with_checksum=with_checksum),
        )
        self.supply = Supply(name, self.transport, self.model, with_checksum=with_checksum)
        self._act = threading.RLock()
        self._ramping = threading.Lock()
        self._offs = 0
        self._opened = False
        self._maybe_on = False
        self._owes_off = False
        self._settled = False
        self._warming = False
        self._saved_s = float("-inf")
        self.dose = DoseMeter()
        self._history = TubeHistory(Path(settings.state_file) if settings.state_file else None, self.dose)

    @property
    def traffic(self) -> TrafficLog:
        """What went over the line."""
        return self.transport.traffic

    @property
    def limits(self) -> TubeLimits:
        """The smaller of the rig file's limits and the supply's rating, told by table or by itself."""
        settings, model, told = self.settings, self.model, self.supply.told_scaling
        told_kV, told_uA = (None, None) if told is None else (told.voltage_kV, told.current_uA)

        def least(*limits: float | None) -> float:
            return min(limit for limit in limits if limit is not None)

        return TubeLimits(
            least(settings.maximum_voltage_kV, model.maximum_voltage_kV, told_kV),
            least(settings.maximum_current_uA, model.maximum_current_uA, told_uA),
            least(settings.maximum_power_W, model.maximum_power_W),
        )

    def open(self) -> None:
        """Connect and adopt the state found: a beam that is on stays on."""
        self.transport.open()
        try:
            self._maybe_on = self.supply.flags().high_voltage_on
            self.supply.scaling()
        except InstrumentError:
            self.transport.close()
            raise
        self._opened = True
        self._history.load()

    def close(self) -> None:
        """Switch the beam off, unless the rig file says "leave"; release the line.

        Raises:
            InstrumentError: The beam may have been on, and it could not be verified that it is off.
                Raised once; the line is released all the same.
        """
        if not self._opened:
            return
        self._opened = False
        may_be_on = self._maybe_on
        try:
            if self.settings.on_close == "off":
                self.beam_off()
        except InstrumentError:
            if may_be_on:
                raise
        finally:
            self._history.save()
            self.transport.close()

    def identify(self) -> Identity:
        """Model and firmware as the supply tells them."""
        self._pay_owed_off()
        return self.supply.identity()

    def self_test(self) -> tuple[str, ...]:
        """What does not look right: name, remote mode, low-voltage supply, limits. Asks, switches nothing."""
        self._pay_owed_off()
        return self_test(self.supply, self.settings, self.limits)

    def beam_hours(self) -> Reading:
        """Hours with high voltage on, as the supply counts them."""
        return Reading(self.supply.hours(), "h", "measured", self.clock.now())

    def check(self, voltage_kV: float, current_uA: float) -> None:
        """Raise ``LimitError`` if the tube may not run at this voltage and current; sends nothing."""
        check_beam(self.name, voltage_kV, current_uA, self.limits, self._current_table)

    def warm_up_steps(self, voltage_kV: float) -> tuple[WarmUpStep, ...]:
        """What the tube needs after its rest before it may have this voltage; sends nothing."""
        settings = self.settings
        if not settings.state_file:
            return ()
        now_s = self.clock.epoch_s()
        return warm_up_steps(
            voltage_kV,
            rest_s=lambda level_kV: self._history.rest_s(level_kV, now_s),
            largest_current_uA=lambda level_kV: largest_current_uA(
                level_kV, self.limits, self._current_table
            ),
            holds=settings.warm_up_holds,
            current_fraction=settings.warm_up_current_fraction,
        )

    @property
    def _current_table(self) -> Sequence[Sequence[float]]:
        return self.settings.current_table or self.model.current_table

    def status(self) -> TubeStatus:
        """Flags, monitors, set points and faults, asked now.

        Raises:
            InstrumentError: The supply does not answer. If the beam may have been on, "off" was tried.
        """
        try:
            self._pay_owed_off()
            return self._status()
        except InstrumentError as error:
            if not self._maybe_on:
                raise
            raise self._off_after(error, urgent=True) from error

    def beam_on(self, voltage_kV: float, current_uA: float, *, cancel: threading.Event | None = None) -> None:
        """Voltage up, then current, each along its ramp; return once the monitors agree.

        A beam that is on already is moved: current down to the smaller of old and new, then voltage, then
        current. After days of rest the warm-up programme comes first, or ``LimitError`` (as the rig file
        says). Raises as ``XrayTube.beam_on`` says, and ``InstrumentCancelledError``; after any error the
        beam is off.
        """
        self.check(voltage_kV, current_uA)
        steps = self.warm_up_steps(voltage_kV)
        if steps and self.settings.warm_up == "refuse":
            minutes = sum(step.hold_s for step in steps) / 60.0
            raise LimitError(
                self.name,
                f"the tube has rested and needs a warm-up of {len(steps)} steps ({minutes:.0f} min)"
                f" before {voltage_kV:g} kV",
                done="nothing was sent",
                advice='set warm_up = "run" in the rig file, or warm it up by hand',
            )
        if not self._ramping.acquire(blocking=False):
            raise InstrumentError(self.name, "another ramp is under way", done="nothing was sent")
        try:
            self._bring_up(voltage_kV, current_uA, steps, cancel)
        except InstrumentError as error:
            raise self._off_after(error) from error
        except BaseException:
            with contextlib.suppress(Exception):
                self.beam_off()
            raise
        finally:
            self._ramping.release()

    def beam_off(self) -> None:
        """Current down, voltage down, high voltage off, verified. Ends a ``beam_on`` that is under way."""
        with self._act:
            self._offs += 1
            try:
                # Whatever goes wrong on the gentle way down, off follows; a dead line is not waited for.
                with contextlib.suppress(Exception):
                    if not self._owes_off and self.supply.flags(attempts=1).high_voltage_on:
                        self._account(True, self.supply.monitors())
                        self._ramp(lambda action: action()).down()
            finally:
                self._switch_off()

    def clear_faults(self) -> None:
        """Switch off, then clear latched faults.

        Raises:
            FaultError: A fault still holds.
        """
        self.beam_off()
        self.supply.clear_faults()
        if self.supply.flags().fault:
            faults = ", ".join(self.supply.faults()) or "a fault without saying which"
            raise FaultError(
                self.name,
                f"the supply still reports {faults} after clearing",
                done="the beam is off",
                advice="remove the cause, then clear again",
            )

    def _ramp(
        self, guard: Callable[[Callable[[], None]], None], cancel: threading.Event | None = None
    ) -> Ramp:
        return Ramp(self.name, self.supply, self.clock, self.settings, guard=guard, cancel=cancel)

    def _bring_up(
        self,
        voltage_kV: float,
        current_uA: float,
        steps: tuple[WarmUpStep, ...],
        cancel: threading.Event | None,
    ) -> None:
        self._pay_owed_off()
        began = self._offs

        def guard(action: Callable[[], None]) -> None:
            # Under the lock: an "off" of another thread comes before or after, never between.
            with self._act:
                if cancel is not None and cancel.is_set():
                    raise InstrumentCancelledError(self.name, "switching on was broken off on request")
                if self._offs != began:
                    raise InstrumentCancelledError(self.name, "the beam was switched off in its ramp")
                action()

        ramp = self._ramp(guard, cancel)
        self._settled = False
        guard(lambda: None)
        self._note_flags(self.supply.flags())
        if not ramp.raise_if_tripped():
            settings = self.settings
            guard(
                lambda: self.supply.set_filament(
                    preheat_A=settings.filament_preheat_A, limit_A=settings.filament_limit_A
                )
            )
            guard(lambda: self.supply.set_current(0.0))
            guard(lambda: self.supply.set_voltage(0.0))
            guard(self._switch_on)
            ramp.await_high_voltage()
        for step in steps:
            self._warm_up(ramp, step)
        ramp.up(voltage_kV, current_uA)
        self._account(True, self.supply.monitors())
        self._settled = True

    def _warm_up(self, ramp: Ramp, step: WarmUpStep) -> None:
        self._warming = True
        try:
            ramp.up(step.voltage_kV, step.current_uA)
            ramp.hold(step.hold_s, lambda: self._account(True, self.supply.monitors()))
        finally:
            self._warming = False

    def _switch_on(self) -> None:
        # From here on the beam may be on, whatever the reply.
        self._maybe_on = True
        self.supply.switch_on()

    def _pay_owed_off(self) -> None:
        """Send the "off" that could not be verified, before anything else goes over a line that is back."""
        if self._owes_off:
            self._switch_off()

    def _switch_off(self) -> None:
        """High voltage off, verified by the flags; set points to zero."""
        self._settled = False
        try:
            self.supply.switch_off()
            deadline_s = self.clock.now() + OFF_TIMEOUT_S
            while self.supply.flags().high_voltage_on:
                if self.clock.now() >= deadline_s:
                    raise FaultError(self.name, 'high voltage is still on after "off"')
                self.clock.sleep(self.settings.poll_s)
                self.supply.switch_off()
        except InstrumentError as error:
            self._maybe_on = self._owes_off = True
            raise type(error)(
                self.name,
                f"it could not be verified that the beam is off: {error.what}",
                done='"off" was sent or tried, and is tried again at the next contact',
                advice=EMERGENCY,
            ) from error
        self._maybe_on = self._owes_off = False
        self._account(False, NOTHING)
        # So that somebody who presses "on" at the supply does not get the last beam.
        with contextlib.suppress(InstrumentError):
            self.supply.set_current(0.0)
            self.supply.set_voltage(0.0)

    def _off_after(self, error: InstrumentError, *, urgent: bool = False) -> InstrumentError:
        """Switch off after an error; the same error, which also says whether that worked."""
        if not self._maybe_on:
            return type(error)(
                error.instrument, error.what, done=error.done or "the beam is off", advice=error.advice
            )
        try:
            if urgent:
                with self._act:
                    self._offs += 1
                    self._switch_off()
            else:
                self.beam_off()
        except InstrumentError as failure:
            return type(error)(error.instrument, error.what, done=failure.what, advice=EMERGENCY)
        return type(error)(
            error.instrument, error.what, done="the beam was switched off", advice=error.advice
        )

    def _note_flags(self, flags: Flags) -> Flags:
        if flags.high_voltage_on:
            self._maybe_on = True
        return flags

    def _status(self) -> TubeStatus:
        seen = look(self.supply)
        self._note_flags(seen.flags)
        ramping = self._ramping.locked()
        if not seen.flags.high_voltage_on and not ramping:
            self._maybe_on = self._settled = False
        self._account(seen.flags.high_voltage_on, seen.monitors)
        drift: tuple[str, ...] = ()
        if not seen.flags.high_voltage_on:
            state = "off"
        elif self._warming:
            state = "warming"
        elif self._settled:
            state, drift = "on", seen.drift(self.settings)
        elif seen.voltage_agrees(self.settings) and seen.current_agrees(self.settings):
            state, self._settled = "on", not ramping
        else:
            state = "ramping"
        return seen.status(state, (*drift, *seen.too_hot(self.settings)), self.clock.now())

    def _account(self, beam_on: bool, monitors: Monitors) -> None:
        """Add a reading to dose and history."""
        now_s = self.clock.now()
        self.dose.update(
            now_s, beam_on=beam_on, voltage_kV=monitors.voltage_kV, current_uA=monitors.current_uA
        )
        if beam_on:
            self._history.note_use(monitors.voltage_kV, self.clock.epoch_s())
        if not beam_on or now_s - self._saved_s >= SAVE_EVERY_S:
            self._saved_s = now_s
            self._history.save()
