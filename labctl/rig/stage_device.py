"""The cryostage in a plan: moved to a temperature, there when it has settled and soaked."""

from __future__ import annotations

from collections.abc import Callable

from drivers.clock import Clock
from drivers.cryostage.base import Cryostage, CryostageStatus
from drivers.cryostage.settling import Settling
from drivers.errors import FaultError, InstrumentTimeoutError
from labctl.rig.devices import Device, data_key
from labctl.rig.status import WorkStatus
from labctl.rig.stop import StopFlag


class StageDevice(Device):
    """Moves to a temperature (K) in three parts: ramp, settle within a tolerance, soak.

    Settings (``configure``): ``rate_K_per_min``; ``tolerance_K`` and ``settle_s`` (within the tolerance
    for this time without a break); ``soak_s`` (then wait this long, the sample follows the stage);
    ``settle_timeout_s`` (beyond the time that the ramp itself takes); ``poll_s``.
    """

    def __init__(
        self,
        cryostage: Cryostage,
        *,
        clock: Clock,
        stop: StopFlag,
        watch: Callable[[CryostageStatus], None] | None = None,
    ) -> None:
        super().__init__("cryostage", clock=clock, stop=stop)
        self._cryostage = cryostage
        self._watch = watch

    def set(self, temperature_K: float) -> WorkStatus:
        """Go to ``temperature_K``; done when settled and soaked."""
        return self._start(lambda: self._go(temperature_K))

    def trigger(self) -> WorkStatus:
        """Ask the controller for its temperature now."""
        return self._start(self._measure)

    def hold(self) -> WorkStatus:
        """Hold the present temperature."""
        return self._start(self._cryostage.hold)

    def stop(self, *, success: bool = True) -> None:
        """Called by the engine at the end of a plan and at a pause: hold here."""
        self._cryostage.hold()

    def _measure(self) -> CryostageStatus:
        status = self._cryostage.status()
        self._keep("temperature_K", status.temperature.value, data_key("measured", "K"))
        if status.set_point is not None:
            self._keep("set_point_K", status.set_point.value, data_key(status.set_point.source, "K"))
        if status.vacuum is not None:
            vacuum = status.vacuum
            self._keep("pressure_mbar", vacuum.value, data_key(vacuum.source, vacuum.unit))
        if self._watch is not None:
            self._watch(status)
        if status.faults:
            # With a sensor open the last good temperature stays: it must not pass for a measured one.
            raise FaultError(
                self.name,
                f"the controller reports: {'; '.join(status.faults)}",
                done="The run is stopped",
                advice="Mend the cause, then start the sweep again",
            )
        return status

    def _go(self, target_K: float) -> None:
        rate = float(self.setting("rate_K_per_min"))
        status = self._measure()
        ramp_s = abs(target_K - status.temperature.value) / rate * 60.0
        self._cryostage.ramp_to(target_K, rate)
        deadline = self.clock.now() + ramp_s + float(self.setting("settle_timeout_s"))
        settling = Settling(
            target_K=target_K,
            tolerance_K=float(self.setting("tolerance_K")),
            duration_s=float(self.setting("settle_s")),
        )
        while not settling.settled:
            self._pause(float(self.setting("poll_s")))
            status = self._measure()
            settling.feed(self.clock.now(), status.temperature.value)
            if self.clock.now() > deadline:
                raise InstrumentTimeoutError(
                    self.name,
                    f"not settled at {target_K:.2f} K (within {self.setting('tolerance_K')} K for "
                    f"{self.setting('settle_s'):.0f} s) in time; it reads {status.temperature.value:.2f} K"
                    + "".join(f"; {warning}" for warning in status.warnings),
                    done="The run is stopped",
                    advice="Look at the liquid nitrogen and the heater, then start the sweep again",
                )
        end = self.clock.now() + float(self.setting("soak_s"))
        while self.clock.now() < end:
            self._pause(min(float(self.setting("poll_s")) * 5.0, end - self.clock.now()))
            self._measure()

    def _pause(self, seconds: float) -> None:
        self.clock.wait(self.stop_flag.event, seconds)
        self.stop_flag.check()
