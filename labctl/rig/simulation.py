"""A rig on simulated instruments: the real drivers, the simulated rig's process, one stepped clock."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any

from drivers.clock import Clock
from drivers.light_path.kymera_flipper import KymeraFlipperSettings
from drivers.operator import Operator
from labctl.config import RigConfig
from labctl.emission.population import find_sample
from labctl.emission.sample import SampleError
from labctl.errors import InputError
from labctl.rig.rig import Rig
from labctl.store.truth import true_values
from simulators.andor_sdk import installed
from simulators.light_switch import Wiring
from simulators.linkam_sdk import SimulatedSdk
from simulators.operator import SimulatedOperator
from simulators.rig import SimulatedRig, SimulatedRigError
from simulators.settings import SimulationSettings
from simulators.swabian_api import vendor_module


def open_hardware(config: RigConfig, *, clock: Clock, operator: Operator | None = None) -> Rig:
    """The rig on real instruments; not opened yet.

    Args:
        config: The rig file.
        clock: The experiment's clock.
        operator: The person who moves what no motor moves; None: nobody is there.
    """
    return Rig(config, clock=clock, operator=operator)


class Simulation:
    """The simulated rig's process and what the drivers need to talk to it.

    Args:
        config: The rig file; its ``[simulation]`` table says what is simulated.
        sample: Name of the sample in the stage.
        seed: Seed of all noise; None for the rig file's.
        speed: Simulated seconds per second at most; 0 for as fast as it computes.

    Raises:
        InputError: A mistake in ``[simulation]``, an unknown sample, a speed below 0, or a port in use.
    """

    def __init__(self, config: RigConfig, *, sample: str, seed: int | None, speed: float) -> None:
        if speed < 0:
            raise InputError(f"--speed {speed:g}: a positive number is expected, or 0 for no limit")
        table = dict(config.simulation or {})
        table["sample"] = sample
        if seed is not None:
            table["seed"] = seed
        settings = config.source.validate(SimulationSettings, table, ["simulation"])
        try:
            self._sample = find_sample(sample)
        except SampleError as error:
            raise InputError(f"sample: {error}") from None
        self.seed = settings.seed
        self._statistics = settings.photon_statistics
        self._hysteresis_K = settings.sample_hysteresis_K()
        self._changes: dict[str, str | int] = {
            "seed": settings.seed,
            "sample": sample,
            "excitation": self._sample.excitation,
        }
        self._config = config
        self._speed = speed or None
        self._stack = ExitStack()

    def __enter__(self) -> Rig:
        """Start the simulated rig; gives the rig on it, not opened yet."""
        try:
            simulated = self._stack.enter_context(
                SimulatedRig(self._config.source.path, speed=self._speed, changes=self._changes)
            )
            self._stack.enter_context(installed(simulated.link, wiring=_wiring(self._config)))
            self.link = simulated.link
            self.began_epoch_s = simulated.clock.began_epoch_s
        except SimulatedRigError as error:
            raise InputError(str(error)) from None
        addresses = {kind: where for kind, where in simulated.addresses.items() if kind != "control"}
        vendors: dict[str, Any] = {"time_tagger": vendor_module(simulated.link, statistics=self._statistics)}
        if self._config.instruments["cryostage"].driver == "linkam-sdk":
            vendors["cryostage"] = SimulatedSdk(simulated.link)
        return Rig(
            self._config,
            clock=simulated.clock,
            addresses=addresses,
            vendors=vendors,
            operator=SimulatedOperator(simulated.link, simulated.clock),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def truth(self, temperature_K: float, epoch_s: float) -> dict[str, float | None]:
        """What a fit should find at this temperature, as the sample was at this time of the rig's clock.

        Args:
            temperature_K: Stage temperature.
            epoch_s: Seconds since 1970-01-01 UTC; counts only for a sample with a hysteresis.
        """
        lag_K = self.link.lag_K(epoch_s - self.began_epoch_s) if self._hysteresis_K > 0 else 0.0
        return true_values(self._sample.emission(temperature_K, lag_K=lag_K))


def _wiring(config: RigConfig) -> Wiring:
    """The simulated spectrograph's flipper as the rig file has it wired; none with another driver."""
    path = config.instruments["light_path"]
    if not isinstance(path.settings, KymeraFlipperSettings):
        return Wiring(flipper=None)
    return Wiring(path.settings.flipper, path.settings.spectrometer_port)
