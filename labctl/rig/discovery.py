"""What is attached to this computer: serial ports, VISA resources, Andor devices, Time Taggers."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drivers.errors import InstrumentError

LOOK_S = 20.0


@dataclass(frozen=True)
class Found:
    """What one way of looking found.

    Attributes:
        bus: What was looked for.
        devices: One line each; the first word is what the rig file wants as address, where it wants one.
        problem: Why it could not be looked, or what to mend; empty if all is well.
    """

    bus: str
    devices: tuple[str, ...]
    problem: str = ""


Look = Callable[[], tuple[list[str], str]]


def serial_ports() -> tuple[list[str], str]:
    """Serial ports with what they say of themselves."""
    from serial.tools.list_ports import comports

    ports = sorted(comports(), key=lambda port: str(port.device))
    lines, locked = [], []
    for port in ports:
        parts = [port.description, port.manufacturer, port.serial_number]
        words = [str(part) for part in parts if part and part != "n/a"]
        lines.append("  ".join([str(port.device), ", ".join(dict.fromkeys(words))]).rstrip())
        if sys.platform != "win32" and not os.access(port.device, os.R_OK | os.W_OK):
            locked.append(str(port.device))
    if locked:
        group = "sudo usermod -aG dialout $USER"
        return (
            lines,
            f"no permission for {', '.join(locked)}: add yourself to its group ({group}), log in again",
        )
    return lines, ""


def visa_resources() -> tuple[list[str], str]:
    """VISA resources that pyvisa-py, and the vendor's VISA where installed, can see."""
    import pyvisa

    seen: dict[str, None] = {}
    problems = []
    for backend in ("@py", "@ivi"):
        try:
            with warnings.catch_warnings():
                # pyvisa-py warns of each bus whose helper package is not installed.
                warnings.simplefilter("ignore")
                manager: Any = pyvisa.ResourceManager(backend)
                try:
                    seen.update(dict.fromkeys(manager.list_resources("?*")))
                finally:
                    manager.close()
        except (OSError, ValueError, pyvisa.errors.Error) as error:
            if backend == "@py":
                problems.append(str(error))
    return list(seen), "; ".join(problems)


def andor_devices() -> tuple[list[str], str]:
    """Andor cameras and spectrographs through the vendor's libraries."""
    from drivers.spectrometer.andor_library import load_pylablib, speaking

    andor = load_pylablib("spectrometer")
    looks: dict[str, Callable[[], list[str]]] = {
        "camera": lambda: [f"camera {index}" for index in range(andor.get_cameras_number_SDK2())],
        "spectrograph": lambda: [f"spectrograph {name}" for name in andor.list_shamrock_spectrographs()],
    }
    lines: list[str] = []
    problems: list[str] = []
    for what, look in looks.items():
        try:
            with speaking("spectrometer", f"look for a {what}"):
                lines += look()
        except InstrumentError as error:
            problems.append(str(error))
    return lines, "; ".join(problems)


def time_taggers() -> tuple[list[str], str]:
    """Swabian Time Taggers that are attached and not in use."""
    from drivers.time_tagger.vendor import attached_taggers, load_vendor

    taggers = attached_taggers(load_vendor("time_tagger"))
    return ["  ".join(part for part in tagger if part) for tagger in taggers], ""


LOOKS: dict[str, Look] = {
    "serial ports": serial_ports,
    "VISA resources": visa_resources,
    "Andor devices": andor_devices,
    "Time Taggers": time_taggers,
}


def look_for(bus: str, look: Look, *, timeout_s: float = LOOK_S) -> Found:
    """Look in a thread of its own, so that a vendor's library that hangs does not hang the command."""
    answer: list[Found] = []

    def work() -> None:
        try:
            devices, problem = look()
            answer.append(Found(bus, tuple(devices), problem))
        except (InstrumentError, ImportError, OSError, RuntimeError) as error:
            answer.append(Found(bus, (), str(error)))

    thread = threading.Thread(target=work, name=f"looking for {bus}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not answer:
        return Found(bus, (), f"no answer within {timeout_s:g} s")
    return answer[0]
