"""Drivers by name: the built-in ones load and fit together, others come in through entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from drivers import registry
from drivers.base import Instrument, Settings
from drivers.cryostage.linkam_t95 import LinkamT95

BUILT_IN = [(kind, name) for kind, names in registry.BUILT_IN.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_built_in_driver_loads_and_its_table_names_it(kind: str, name: str) -> None:
    found = registry.load_driver(kind, name)
    assert issubclass(found, Instrument)
    assert issubclass(found.Settings, Settings)
    assert name in registry.driver_names(kind)
    assert found.Settings.model_config["extra"] == "forbid"
    assert name in str(found.Settings.model_fields["driver"].annotation)
    assert (found.__doc__ or "").strip()


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_every_public_method_of_a_driver_is_documented(kind: str, name: str) -> None:
    found = registry.load_driver(kind, name)
    for attribute in dir(found):
        member = getattr(found, attribute)
        if attribute.startswith("_") or not callable(member) or attribute == "Settings":
            continue
        documented = any(getattr(getattr(base, attribute, None), "__doc__", None) for base in found.__mro__)
        assert documented, f"{found.__name__}.{attribute}"


def with_entry_point(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    group = "labctl.drivers.cryostage"
    points = [EntryPoint("oxford-itc", value, group)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group.endswith("cryostage") else [])


def test_a_third_party_adds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with_entry_point(monkeypatch, "drivers.cryostage.linkam_t95:LinkamT95")
    assert "oxford-itc" in registry.driver_names("cryostage")
    assert "oxford-itc" not in registry.driver_names("xray_tube")
    assert registry.load_driver("cryostage", "oxford-itc") is LinkamT95


def test_an_entry_point_that_is_no_driver_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with_entry_point(monkeypatch, "json:loads")
    with pytest.raises(TypeError, match="oxford-itc"):
        registry.load_driver("cryostage", "oxford-itc")


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        registry.load_driver("cryostage", "none-such")
