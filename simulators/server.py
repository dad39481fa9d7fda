"""The simulated rig in one process: the world, its control port, the instruments that speak bytes."""

from __future__ import annotations

from typing import Self

from simulators.faults import Faults
from simulators.link import control_server
from simulators.linkam_t95 import LinkamServer
from simulators.listener import Listener
from simulators.pfeiffer_tpg import GaugeServer
from simulators.settings import SimulationSettings
from simulators.spellman import SpellmanServer
from simulators.stage import Stage
from simulators.thorlabs_mff import FlipMount
from simulators.tube import Tube
from simulators.world import World

HOST = "127.0.0.1"


class RigServers:
    """The world and its servers, running from construction to ``close``.

    Args:
        settings: What the rig is made of.
        speed: None for a stepped clock; else virtual seconds per second.

    Raises:
        PortInUseError: One of the ports is taken; nothing is left running.
    """

    def __init__(self, settings: SimulationSettings, *, speed: float | None = None) -> None:
        faults = Faults(settings.fault_plan())
        self.world = World(
            seed=settings.seed,
            sample=settings.sample,
            excitation=settings.excitation,
            tube=Tube(faults, seed=settings.seed),
            stage=Stage(settings.seed, start_K=settings.start_K),
            faults=faults,
            speed=speed,
            hysteresis_K=settings.sample_hysteresis_K(),
        )
        self.linkam = LinkamServer(self.world, settings.linkam_port, HOST)
        self.spellman = SpellmanServer(
            self.world,
            settings.spellman_port,
            HOST,
            model=settings.spellman_model,
            checksum=settings.spellman_checksum,
        )
        self.gauge: GaugeServer | None = None
        if settings.gauge_port is not None:
            self.gauge = GaugeServer(self.world, settings.gauge_port, HOST)
        self._control: Listener | None = None
        self.flip_mount: FlipMount | None = None
        try:
            if settings.flip_mount_port is not None:
                self.flip_mount = FlipMount(self.world, settings.flip_mount_port)
            self._control = control_server(self.world, host=HOST, port=settings.control_port)
            self.linkam.start()
            self.spellman.start()
            if self.gauge is not None:
                self.gauge.start()
        except OSError:
            self.close()
            raise

    @property
    def addresses(self) -> dict[str, str]:
        """Where each server is, as the rig file's ``address`` of the instrument wants it."""
        if self._control is None:
            raise RuntimeError("the simulated rig was closed")
        gauge = {} if self.gauge is None else {"gauge": self.gauge.address}
        mount = {} if self.flip_mount is None else {"light_path": self.flip_mount.address}
        return (
            gauge
            | mount
            | {
                "control": f"{HOST}:{self._control.port}",
                "cryostage": self.linkam.address,
                "xray_tube": self.spellman.address,
            }
        )

    def close(self) -> None:
        """End every server and the world's clock."""
        self.world.close()
        for server in (self.flip_mount, self.gauge, self.spellman, self.linkam, self._control):
            if server is not None:
                server.close()
        self._control = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def serve(settings: SimulationSettings, *, speed: float | None = None) -> RigServers:
    """Start the simulated rig; close what is returned to end it."""
    return RigServers(settings, speed=speed)
