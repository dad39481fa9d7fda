"""The stand-in held against the installed vendor package, name by name."""

from __future__ import annotations

import inspect
import json

import pytest

from simulators.swabian_models import MODELS


@pytest.fixture(scope="module")
def vendor():
    return pytest.importorskip("Swabian.TimeTagger", reason="the vendor's package is not installed")


def public(thing):
    return [name for name in dir(thing) if not name.startswith("_")]


def parameters(function):
    return [
        (entry.name, entry.kind, entry.default) for entry in inspect.signature(function).parameters.values()
    ]


def test_every_name_of_the_stand_in_is_the_vendors(module, vendor):
    for name in public(module):
        assert hasattr(vendor, name), name
        ours, theirs = getattr(module, name), getattr(vendor, name)
        assert type(ours) is type(theirs) or inspect.isclass(ours) == inspect.isclass(theirs), name


def test_functions_have_the_vendors_signatures(module, vendor):
    checked = []
    for name in public(module):
        if inspect.isfunction(getattr(module, name)):
            assert parameters(getattr(module, name)) == parameters(getattr(vendor, name)), name
            checked.append(name)
    assert {"createTimeTagger", "freeTimeTagger", "scanTimeTagger", "getVersion"} <= set(checked)


@pytest.mark.parametrize(
    "name", ["TimeTagger", "TimeTagStream", "TimeTagStreamBuffer", "Countrate", "FileWriter", "FileReader"]
)
def test_classes_have_the_vendors_methods_and_signatures(module, vendor, name):
    ours, theirs = getattr(module, name), getattr(vendor, name)
    assert parameters(ours.__init__) == parameters(theirs.__init__)
    for method in [*public(ours), "__enter__", "__exit__"]:
        if name == "FileReader" and method.startswith("__"):
            continue
        assert hasattr(theirs, method), f"{name}.{method}"
        if inspect.isfunction(getattr(ours, method)):
            assert parameters(getattr(ours, method)) == parameters(getattr(theirs, method)), (
                f"{name}.{method}"
            )


def test_numbers_of_edges_types_and_resolutions_are_the_vendors(module, vendor):
    for name in ("ChannelEdge", "TagType", "Resolution"):
        for member in getattr(module, name).__members__:
            assert int(getattr(module, name)[member]) == int(getattr(vendor, name)[member]), member
    assert module.CHANNEL_UNUSED == vendor.CHANNEL_UNUSED
    assert module.getVersion().split(".")[0] == vendor.getVersion().split(".")[0]


def test_keywords_of_open_signatures_stand_in_the_vendors_docstrings(vendor):
    for thing, keywords in (
        (vendor.createTimeTagger, ("serial", "resolution")),
        (vendor.TimeTagger.getChannelList, ("type",)),
        (vendor.TimeTagger.setTestSignal, ("channel", "enabled")),
        (vendor.FileWriter.split, ("new_filename",)),
    ):
        for keyword in keywords:
            assert f":param {keyword}:" in thing.__doc__


def test_numbers_of_the_models_stand_in_the_vendors_docstrings(vendor):
    tagger = vendor.TimeTagger
    dead_time = tagger.setDeadtime.__doc__
    for model, shortest, default, longest in (
        ("Time Tagger 20", "6 ns", None, "393 µs"),
        ("Time Tagger Ultra", "2 ns", "2.1 ns", "2147 µs"),
        ("Time Tagger X", "1.333 ns", "1.5 ns", "716 µs"),
    ):
        assert shortest in dead_time
        assert longest in dead_time
        assert MODELS[model].clock_ps == round(float(shortest.split()[0]) * 1000)
        assert MODELS[model].longest_dead_time_ps == int(longest.split()[0]) * 1_000_000
        if default is not None:
            assert default in dead_time
            assert MODELS[model].dead_time_ps == round(float(default.split()[0]) * 1000)
    signal = tagger.setTestSignalDivider.__doc__
    for text in ("403.2 MHz", "divider 504", "62.5 MHz", "divider 74"):
        assert text in signal
    buffer = tagger.setHardwareBufferSize.__doc__
    for text in ("64 MTags", "32 kTags to 512 MTags", "8 MTags"):
        assert text in buffer
    assert "4096 - 32M" in tagger.setStreamBlockSize.__doc__
    delay = tagger.getDelayHardwareRange.__doc__
    assert "±2000000" in delay
    assert "±2500000" in delay


def test_vendors_own_behaviour_without_hardware_is_imitated(module, vendor):
    """What the vendor's module does with no tagger attached, and ours with a tagger in use."""
    assert tuple(vendor.scanTimeTagger()) == ()
    tagger = module.createTimeTagger()
    assert module.scanTimeTagger() == ()
    for thing in (vendor, module):
        with pytest.raises(RuntimeError, match="No Time Tagger attached or already in use"):
            thing.createTimeTagger()
        with pytest.raises(ValueError, match="valid Time Tagger"):
            thing.Countrate(None, [1])
        with pytest.raises(TypeError, match="freeTimeTagger"):
            thing.freeTimeTagger("no tagger")
        with pytest.raises(AttributeError, match="No constructor"):
            thing.TimeTagger()
        with pytest.raises(AttributeError, match="No constructor"):
            thing.TimeTagStreamBuffer()
    module.freeTimeTagger(tagger)


def test_readers_agree_on_missing_and_foreign_files(module, vendor, tmp_path):
    foreign = tmp_path / "foreign.ttbin"
    foreign.write_bytes(b"not a file of anybody's " * 100)
    for thing in (module, vendor):
        with pytest.raises(RuntimeError, match="could not open file"):
            thing.FileReader(str(tmp_path / "missing.ttbin"))
        reader = thing.FileReader(str(foreign))
        assert tuple(reader.getChannelList()) == ()
        assert reader.hasData()
        assert reader.getData(100).size == 0
        assert not reader.hasData()
        with pytest.raises(json.JSONDecodeError):
            reader.getConfiguration()
