"""A Linkam stage on a T96 (or newer T95) controller through the vendor's SDK.

The SDK knows more than the T95's serial protocol: heater power, vacuum where the card is fitted, errors by
number, limits and the set point itself. A new set point counts only after "start heating" is sent again
(SDK 3.0.19 and later; harmless before), so the three always go together.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from drivers.base import Identity, Reading
from drivers.clock import Clock
from drivers.cryostage.base import Cryostage, CryostageLimits, CryostageStatus
from drivers.cryostage.limits import check_pump, check_ramp
from drivers.cryostage.linkam_sdk_library import (
    NAME_LENGTH,
    SERIAL_LENGTH,
    VERSION_LENGTH,
    LinkamLibrary,
    load_functions,
)
from drivers.cryostage.linkam_sdk_tables import (
    MBAR_PER_UNIT,
    ConfigBit,
    Message,
    StatusBit,
    ValueType,
    controller_error,
)
from drivers.cryostage.settings import LinkamSdkSettings
from drivers.cryostage.vacuum import Vacuum
from drivers.errors import (
    FaultError,
    InstrumentConnectionError,
    InstrumentError,
    InstrumentTimeoutError,
    ProtocolError,
)
from drivers.traffic import Direction, TrafficLog
from drivers.vendor_thread import VendorThread

ZERO_K = 273.15
COLDEST_C, HOTTEST_C = -200.0, 1600.0
RECONNECT_STEP_S = 0.5
Result = TypeVar("Result")
_LOST = (InstrumentTimeoutError, InstrumentConnectionError)


class LinkamSdk(Cryostage):
    """A stage behind Linkam's SDK. Thread-safe. ``traffic`` keeps what was asked and answered.

    Args:
        name: The instrument's name in the rig file.
        settings: Its table of the rig file.
        clock: The clock of the experiment.
        vendor: The loaded library, or an object with its functions; None: it is loaded on ``open``.
    """

    Settings = LinkamSdkSettings

    def __init__(self, name: str, settings: LinkamSdkSettings, *, clock: Clock, vendor: Any = None) -> None:
        super().__init__(name, settings, clock=clock)
        self.settings = settings
        self.traffic = TrafficLog()
        self._vendor = vendor
        self._act = threading.RLock()
        self._thread: VendorThread | None = None
        self._library: LinkamLibrary | None = None
        self._handle: int | None = None
        self._limits: CryostageLimits | None = None
        self._has_vacuum = False
        self._temperature = Reading(math.nan, "K", "measured", clock.now())
        self._next_try_s = float("-inf")
        self._pause_s = settings.first_pause_s
        self._other_vacuum = Vacuum(name, settings.gauge, settings.vacuum_mbar, clock=clock)

    @property
    def limits(self) -> CryostageLimits:
        """The stage's own limits where they are known, narrowed by the rig file's."""
        settings = self.settings
        told = self._limits or CryostageLimits(0.0, float("inf"), float("inf"))
        return CryostageLimits(
            max(settings.minimum_K, told.minimum_K),
            min(settings.maximum_K, told.maximum_K),
            min(settings.maximum_rate_K_per_min, told.maximum_rate_K_per_min),
        )

    def open(self) -> None:
        """Load the SDK, connect, read configuration and limits; changes nothing at the stage."""
        with self._act:
            if self._thread is not None:
                return
            functions = (
                self._vendor if self._vendor is not None else load_functions(self.name, self.settings.library)
            )
            self._thread = VendorThread(self.name, self.settings.call_timeout_s)
            try:
                library = LinkamLibrary(self.name, functions, self._note)
                self._thread.call(lambda: library.initialise(self.settings.log, self.settings.licence))
                self._library = library
                self._connect()
                self._other_vacuum.open()
            except InstrumentError:
                self._release()
                raise

    def close(self) -> None:
        """Leave the stage as ``on_close`` says, end the SDK.

        Raises:
            InstrumentError: The stage could not be told. Raised once; the SDK is ended all the same.
        """
        with self._act:
            if self._thread is None:
                return
            try:
                if self.settings.on_close == "hold":
                    self.hold()
                elif self.settings.on_close == "stop":
                    self.stop()
            finally:
                self._release()

    def identify(self) -> Identity:
        """Controller with its stage, serial number of the controller, firmware and version of the SDK."""

        def ask(library: LinkamLibrary, handle: int) -> Identity:
            controller = library.text(Message.GET_CONTROLLER_NAME, handle, NAME_LENGTH)
            stage = library.text(Message.GET_STAGE_NAME, handle, NAME_LENGTH)
            number = library.text(Message.GET_CONTROLLER_SERIAL, handle, SERIAL_LENGTH)
            firmware = library.text(Message.GET_CONTROLLER_FIRMWARE_VERSION, handle, VERSION_LENGTH)
            return Identity(
                "Linkam",
                f"{controller} with {stage}" if stage else controller,
                number,
                f"{firmware}, SDK {library.version()}",
            )

        with self._act:
            return self._talk(ask, harmless=True)

    def status(self) -> CryostageStatus:
        """Ask for state, temperature, set point, power, pump and vacuum. Connects anew if the line was lost.

        Raises:
            InstrumentTimeoutError: The SDK does not return or gets no answer.
            InstrumentConnectionError: The connection is lost.
            ProtocolError: A value is not a number.
        """
        until_s = self.clock.now() + self.settings.reconnect_s
        with self._act:
            while True:
                try:
                    return self._talk(self._read, harmless=True)
                except _LOST:
                    if self._handle is not None or self._thread is None or self.clock.now() >= until_s:
                        raise
                    self.clock.sleep(RECONNECT_STEP_S)

    def ramp_to(self, set_point_K: float, rate_K_per_min: float) -> None:
        """Set rate and set point, then start heating, in this order. See ``Cryostage.ramp_to``."""
        with self._act:
            self._refuse_with_fault(self.status())
            check_ramp(self.name, set_point_K, rate_K_per_min, self.limits)

            def ramp(library: LinkamLibrary, handle: int) -> None:
                library.set_value(handle, ValueType.HEATER_RATE, rate_K_per_min)
                _go(library, handle, set_point_K)

            self._order(ramp)
            self._verify(lambda status: status.state != "stopped", "start the ramp")

    def hold(self) -> None:
        """Make the present temperature the set point. A stage that is switched off stays off."""
        with self._act:
            status = self.status()
            if status.state == "stopped":
                return
            self._refuse_with_fault(status)
            here_K = status.temperature.value
            self._order(lambda library, handle: _go(library, handle, here_K))
            self._verify(lambda status: status.state != "unknown", "hold")

    def stop(self) -> None:
        """Switch heating and cooling off."""
        with self._act:
            self.status()
            self._order(lambda library, handle: library.order(Message.START_HEATING, handle, 0, what="stop"))
            self._verify(lambda status: status.state == "stopped", "stop")

    def set_pump(self, percent: float | None) -> None:
        """Pump speed in %, or automatic."""
        check_pump(self.name, percent)

        def order(library: LinkamLibrary, handle: int) -> None:
            library.order(Message.LNP_SET_MODE, handle, int(percent is None), what="the pump's mode")
            if percent is not None:
                library.order(Message.LNP_SET_SPEED, handle, round(percent), what="the pump's speed")

        with self._act:
            self.status()
            self._order(order)

    def enter_vacuum(self, pressure_mbar: float) -> None:
        """Take the pressure as a person read it; used where the controller has no vacuum card."""
        with self._act:
            self._other_vacuum.enter(pressure_mbar)

    def _read(self, library: LinkamLibrary, handle: int) -> CryostageStatus:
        word = library.bits(Message.GET_STATUS, handle)
        faults: tuple[str, ...] = ()
        if word >> StatusBit.ERROR & 1:
            faults = (controller_error(library.bits(Message.GET_CONTROLLER_ERROR, handle) & 0xFFFFFFFF),)
        celsius = library.value(handle, ValueType.HEATER_TEMPERATURE)
        set_point_C = library.value(handle, ValueType.HEATER_SET_POINT)
        now_s = self.clock.now()
        # An open sensor gives a number that no stage reaches: the last good one stays, with its time.
        if COLDEST_C <= celsius <= HOTTEST_C:
            self._temperature = Reading(celsius + ZERO_K, "K", "measured", now_s)
        pressure, complaints = self._vacuum(library, handle, now_s)
        at_set_point = bool(word >> StatusBit.AT_SET_POINT & 1)
        if not word >> StatusBit.HEATER_RUNNING & 1:
            state = "stopped"
        elif at_set_point:
            state = "holding"
        else:
            state = "heating" if set_point_C > celsius else "cooling"
        return CryostageStatus(
            connected=True,
            state=state,
            faults=faults,
            read_at_s=now_s,
            temperature=self._temperature,
            set_point=Reading(set_point_C + ZERO_K, "K", "measured", now_s),
            rate=Reading(library.value(handle, ValueType.HEATER_RATE), "K/min", "measured", now_s),
            pump_percent=library.value(handle, ValueType.LNP_SPEED),
            at_set_point=at_set_point and state != "stopped",
            heater_percent=library.value(handle, ValueType.HEATER_POWER),
            vacuum=pressure,
            warnings=complaints,
        )

    def _vacuum(
        self, library: LinkamLibrary, handle: int, now_s: float
    ) -> tuple[Reading | None, tuple[str, ...]]:
        if not self._has_vacuum:
            return self._other_vacuum.reading()
        unit = library.unsigned(handle, ValueType.VACUUM_UNIT)
        if unit not in MBAR_PER_UNIT:
            raise ProtocolError(
                self.name, f"the vacuum card counts in unit {unit}, which is not in our table"
            )
        pressure = library.value(handle, ValueType.VACUUM) * MBAR_PER_UNIT[unit]
        return Reading(pressure, "mbar", "measured", now_s), ()

    def _order(self, work: Callable[[LinkamLibrary, int], None]) -> None:
        """Order something, all of it again if an answer was lost: it sets, it does not step."""
        for left in range(self.settings.attempts - 1, -1, -1):
            try:
                self._talk(work, harmless=False)
                return
            except _LOST:
                if not left:
                    raise
                self.status()

    def _talk(self, work: Callable[[LinkamLibrary, int], Result], *, harmless: bool) -> Result:
        """Run ``work`` in the vendor's thread; only harmless work reconnects by itself and is repeated."""
        for left in range(self.settings.attempts - 1 if harmless else 0, -1, -1):
            try:
                if self._handle is None:
                    if not harmless:
                        raise InstrumentConnectionError(
                            self.name, "no connection to the controller", done="nothing was sent"
                        )
                    self._reconnect()
                return self._once(work)
            except InstrumentTimeoutError:
                if not left:
                    self._disconnect()
                    raise
        raise AssertionError("unreachable")

    def _once(self, work: Callable[[LinkamLibrary, int], Result]) -> Result:
        thread, library, handle = self._thread, self._library, self._handle
        if thread is None or library is None or handle is None:
            raise InstrumentConnectionError(self.name, "it is not open", done="nothing was sent")
        return thread.call(lambda: work(library, handle))

    def _connect(self) -> None:
        thread, library, settings = self._thread, self._library, self.settings
        if thread is None or library is None:
            raise InstrumentConnectionError(self.name, "it is not open", done="nothing was sent")
        self._handle = thread.call(
            lambda: library.connect(serial_port=settings.serial_port, serial_number=settings.serial_number)
        )
        self._once(self._learn)

    def _learn(self, library: LinkamLibrary, handle: int) -> None:
        self._has_vacuum = bool(
            library.bits(Message.GET_CONTROLLER_CONFIG, handle) >> ConfigBit.VACUUM_CARD & 1
        )
        low_C = library.value(handle, ValueType.HEATER_SET_POINT, Message.GET_MIN_VALUE)
        high_C = library.value(handle, ValueType.HEATER_SET_POINT, Message.GET_MAX_VALUE)
        fastest = library.value(handle, ValueType.HEATER_RATE, Message.GET_MAX_VALUE)
        if not (low_C < high_C and fastest > 0):
            raise ProtocolError(
                self.name, f"the stage gives limits of {low_C:g} to {high_C:g} C, {fastest:g} C/min"
            )
        self._limits = CryostageLimits(low_C + ZERO_K, high_C + ZERO_K, fastest)

    def _reconnect(self) -> None:
        rest_s = self._next_try_s - self.clock.now()
        if rest_s > 1e-9:
            raise InstrumentConnectionError(
                self.name,
                "no connection to the controller",
                done=f"the next attempt is made in {rest_s:.1f} s",
                advice="check power and cable",
            )
        try:
            self._connect()
        except InstrumentError:
            self._disconnect()
            self._next_try_s = self.clock.now() + self._pause_s
            self._pause_s = min(2 * self._pause_s, self.settings.longest_pause_s)
            raise
        self._pause_s = self.settings.first_pause_s

    def _disconnect(self) -> None:
        thread, library, handle = self._thread, self._library, self._handle
        self._handle = None
        if thread is not None and library is not None and handle is not None:
            try:
                thread.call(lambda: library.disconnect(handle))
            except InstrumentError:
                return

    def _release(self) -> None:
        self._other_vacuum.close()
        self._disconnect()
        thread, library = self._thread, self._library
        self._thread = self._library = None
        if thread is None:
            return
        try:
            if library is not None:
                thread.call(library.exit)
        except InstrumentError:
            pass
        finally:
            thread.close()

    def _note(self, direction: Direction, data: bytes, meaning: str) -> None:
        self.traffic.record(self.clock.epoch_s(), direction, data, meaning)

    def _refuse_with_fault(self, status: CryostageStatus) -> None:
        if status.faults:
            raise FaultError(
                self.name,
                f"the controller reports {'; '.join(status.faults)}",
                done="nothing was started",
                advice="mend the cause, then try again",
            )

    def _verify(self, done: Callable[[CryostageStatus], bool], what: str) -> None:
        status = self.status()
        if not done(status):
            self._refuse_with_fault(status)
            raise InstrumentTimeoutError(
                self.name,
                f"the controller did not {what}: its state is {status.state}",
                advice="look at the controller's panel",
            )


def _go(library: LinkamLibrary, handle: int, set_point_K: float) -> None:
    library.set_value(handle, ValueType.HEATER_SET_POINT, set_point_K - ZERO_K)
    library.order(Message.START_HEATING, handle, 1, what="start heating")
