"""The flip mount as part of the simulated rig."""

from __future__ import annotations

from drivers.light_path.thorlabs_flip_mount import FlipMountPath, FlipMountSettings
from simulators.link import SimulatedClock, WorldLink
from simulators.server import serve
from simulators.settings import SimulationSettings


def test_rig_with_a_flip_mount_tells_its_address_and_moves_its_light():
    with serve(SimulationSettings(flip_mount_port=0)) as rig:
        host, port = rig.addresses["control"].rsplit(":", 1)
        link = WorldLink(host, int(port))
        settings = FlipMountSettings(address=rig.addresses["light_path"])
        with FlipMountPath("light_path", settings, clock=SimulatedClock(link)) as path:
            path.select("counters")
            assert path.status().port == link.port() == "counters"
        link.close()


def test_rig_without_a_flip_mount_has_no_such_address():
    with serve(SimulationSettings()) as rig:
        assert "light_path" not in rig.addresses


def test_port_in_use_leaves_nothing_running():
    with serve(SimulationSettings(flip_mount_port=0)) as rig:
        taken = int(rig.addresses["light_path"].rsplit(":", 1)[1])
        try:
            serve(SimulationSettings(flip_mount_port=taken))
        except OSError as error:
            assert str(taken) in str(error)
        else:
            raise AssertionError("a taken port was accepted")
