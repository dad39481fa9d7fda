"""The simulated rig passes on what its rig file says of the light."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import simulators
from labctl.config import load_rig
from labctl.errors import InputError
from labctl.rig import simulation
from simulators.swabian_api import vendor_module


def edited(folder: Path, line: str) -> Path:
    """The shipped rig file with one line more in its table of the simulation."""
    text = Path(simulators.__file__).with_name("rig.toml").read_text(encoding="utf-8")
    assert text.count("[simulation]\n") == 1
    file = folder / "rig.toml"
    file.write_text(text.replace("[simulation]\n", f"[simulation]\n{line}\n"), encoding="utf-8")
    return file


def test_the_law_of_the_photons_per_x_ray_reaches_the_counters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_rig(edited(tmp_path, 'photon_statistics = "cascade"'))
    given: list[object] = []

    def recorded(world: Any, **options: Any) -> ModuleType:
        given.append(options)
        return vendor_module(world, **options)

    monkeypatch.setattr(simulation, "vendor_module", recorded)
    with simulation.Simulation(config, sample="xray-07@2", seed=None, speed=0.0) as rig:
        rig.close()
    assert given == [{"statistics": "cascade"}]


def test_a_law_nobody_knows_is_refused_with_its_line(tmp_path: Path) -> None:
    config = load_rig(edited(tmp_path, 'photon_statistics = "thermal"'))
    with pytest.raises(InputError, match=r"rig.toml:\d+: simulation.photon_statistics"):
        simulation.Simulation(config, sample="xray-A", seed=None, speed=0.0)
