"""Every light path in the whole simulated rig, from a rig file: the world's light goes where it is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

import simulators
from labctl.config import load_rig
from labctl.rig.simulation import Simulation

RIG = Path(simulators.__file__).with_name("rig.toml")


def rig_file(folder, light_path, simulation=""):
    text = RIG.read_text(encoding="utf-8")
    assert 'driver = "kymera-flipper"\n' in text
    text = text.replace('driver = "kymera-flipper"\n', light_path).replace(
        "[simulation]\n", f"[simulation]\n{simulation}"
    )
    path = folder / "rig.toml"
    path.write_text(text, encoding="utf-8")
    return load_rig(path)


@pytest.mark.parametrize(
    ("light_path", "simulation"),
    [
        ('driver = "kymera-flipper"\n', ""),
        ('driver = "kymera-flipper"\nspectrometer_port = "side"\ncounters_port = "direct"\n', ""),
        ('driver = "kymera-flipper"\nflipper = "input"\n', ""),
        ('driver = "thorlabs-flip-mount"\naddress = "COM5"\n', "flip_mount_port = 0\n"),
        ('driver = "manual"\n', ""),
    ],
)
def test_light_goes_where_it_is_sent(tmp_path, light_path, simulation):
    simulated = Simulation(rig_file(tmp_path, light_path, simulation), sample="xray-A", seed=2, speed=0.0)
    with simulated as rig, rig:
        for port in ("counters", "spectrometer", "counters"):
            rig.light_path.select(port)
            assert rig.light_path.status().port == port
            assert simulated.link.port() == port


def test_fixed_path_reaches_one_port(tmp_path):
    config = rig_file(tmp_path, 'driver = "fixed"\nport = "spectrometer"\n')
    with Simulation(config, sample="xray-A", seed=2, speed=0.0) as rig, rig:
        assert rig.light_path.reachable == ("spectrometer",)
