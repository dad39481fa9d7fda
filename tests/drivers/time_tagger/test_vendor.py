"""The vendor's module is found by either name, and nothing else is taken for it."""

from __future__ import annotations

from types import ModuleType

import pytest

from drivers.errors import InstrumentConnectionError, MissingDriverError
from drivers.time_tagger.vendor import NEEDED, attached_taggers, load_vendor


def module(name: str, *, good: bool = True, file: str = "there/__init__.py") -> ModuleType:
    made = ModuleType(name)
    made.__file__ = file
    if good:
        for needed in NEEDED:
            setattr(made, needed, object())
    return made


def finder(**modules):
    def find(name: str) -> ModuleType:
        entry = modules.get(name.replace(".", "_"))
        if isinstance(entry, Exception):
            raise entry
        if entry is None:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return entry

    return find


def test_package_of_the_index_comes_first():
    ours, installer = module("Swabian.TimeTagger"), module("TimeTagger")
    assert load_vendor("tagger", finder(Swabian_TimeTagger=ours, TimeTagger=installer)) is ours


def test_module_of_the_windows_installer_is_taken_next():
    installer = module("TimeTagger")
    assert load_vendor("tagger", finder(TimeTagger=installer)) is installer


def test_nothing_installed_says_what_to_install():
    with pytest.raises(MissingDriverError, match=r"tagger: .*not installed.*pip install Swabian-TimeTagger"):
        load_vendor("tagger", finder())


def test_program_for_working_hours_is_recognised_and_refused():
    stranger = module("TimeTagger", good=False, file="site-packages/TimeTagger/__init__.py")
    with pytest.raises(MissingDriverError) as caught:
        load_vendor("tagger", finder(TimeTagger=stranger))
    assert "unrelated program for recording working hours" in str(caught.value)
    assert "site-packages/TimeTagger/__init__.py" in str(caught.value)
    assert "pip uninstall TimeTagger" in str(caught.value)
    assert "pip install Swabian-TimeTagger" in str(caught.value)


def test_program_for_working_hours_does_not_hide_the_vendors_module():
    ours = module("Swabian.TimeTagger")
    assert load_vendor("tagger", finder(Swabian_TimeTagger=ours, TimeTagger=module("x", good=False))) is ours


def test_library_that_does_not_load_is_told_apart_from_a_missing_one():
    broken = finder(Swabian_TimeTagger=ImportError("libusb-1.0.so.0: cannot open shared object file"))
    with pytest.raises(MissingDriverError, match=r"does not load: libusb-1\.0\.so\.0"):
        load_vendor("tagger", broken)


def test_module_too_old_says_what_it_lacks():
    old = module("Swabian.TimeTagger")
    del old.TimeTagStream
    with pytest.raises(MissingDriverError, match="lacks TimeTagStream"):
        load_vendor("tagger", finder(Swabian_TimeTagger=old))


def test_installed_package_is_found():
    pytest.importorskip("Swabian.TimeTagger", reason="the vendor's package is not installed")
    assert load_vendor("tagger").__name__ == "Swabian.TimeTagger"


def test_attached_taggers_are_listed_without_connecting(bench):
    assert attached_taggers(bench.vendor) == (("SIMULATED1", "Time Tagger 20"),)
    with bench.tagger():
        assert attached_taggers(bench.vendor) == ()
    vendor = pytest.importorskip("Swabian.TimeTagger", reason="the vendor's package is not installed")
    assert attached_taggers(vendor) == ()


def test_scan_that_fails_is_a_connection_error():
    broken = module("Swabian.TimeTagger")

    def scan(include_model_name=False):
        raise RuntimeError("libusb: no permission")

    broken.scanTimeTagger = scan
    with pytest.raises(InstrumentConnectionError, match="cannot look for taggers: libusb: no permission"):
        attached_taggers(broken)
