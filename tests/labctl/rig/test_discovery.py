"""Looking for devices: nothing found is an answer, a library that hangs or fails is one, too."""

from __future__ import annotations

import argparse
import io
import json
import threading

import pytest
from rich.console import Console
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from drivers.errors import MissingDriverError
from labctl.cli import devices as command
from labctl.cli.output import Output
from labctl.rig import discovery
from labctl.rig.discovery import Found, look_for, serial_ports


def test_what_is_found_is_listed() -> None:
    assert look_for("bus", lambda: (["a", "b"], "")) == Found("bus", ("a", "b"))


def test_a_missing_library_is_a_problem_with_its_words() -> None:
    def look() -> tuple[list[str], str]:
        raise MissingDriverError("tagger", "the module is not installed", advice="Install it")

    found = look_for("bus", look)
    assert found.devices == ()
    assert "Install it" in found.problem


def test_a_library_that_hangs_is_given_up() -> None:
    release = threading.Event()

    def look() -> tuple[list[str], str]:
        release.wait(60.0)
        return [], ""

    found = look_for("bus", look, timeout_s=0.1)
    assert "no answer within 0.1 s" in found.problem
    release.set()


def test_serial_ports_with_their_words(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ListPortInfo("/dev/null")
    port.description, port.manufacturer, port.serial_number = "USB serial", "FTDI", "A1"
    monkeypatch.setattr(list_ports, "comports", lambda: [port])
    assert serial_ports() == (["/dev/null  USB serial, FTDI, A1"], "")


def test_the_command_prints_every_bus(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = {"serial ports": lambda: (["COM3  Linkam"], ""), "Time Taggers": lambda: ([], "no module")}
    monkeypatch.setattr(discovery, "LOOKS", looks)
    out = Output(as_json=True)
    said = io.StringIO()
    out.console = Console(file=said, width=100, highlight=False)
    assert command.run(argparse.Namespace(), out) == 0
    assert "  COM3  Linkam\nTime Taggers: none\n  ! no module\n" in said.getvalue()
    result = json.loads(capsys.readouterr().out)
    assert result["serial ports"] == {"devices": ["COM3  Linkam"], "problem": ""}
