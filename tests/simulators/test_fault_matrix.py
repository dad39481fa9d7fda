"""Every fault of the list against every instrument: a clear error or a recovery, and the tube off.

All drivers run on one simulated rig in this process. The fault comes while the stage ramps and the beam
is on; every instrument is then used; what happens may be an answer or an ``InstrumentError``, nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simulators
from drivers.cryostage.base import CryostageStatus
from drivers.errors import InstrumentError
from labctl.config import RigConfig, load_rig
from labctl.rig.rig import Rig
from simulators.andor_sdk import installed
from simulators.faults import FAULTS
from simulators.link import SimulatedClock
from simulators.server import RigServers
from simulators.settings import SimulationSettings
from simulators.swabian_api import vendor_module

# Deadline of a reply: no machine is as slow as the first; the second is for replies that do not come.
PATIENT_S = 30.0
HURRY_S = 0.1
SILENCE = ("reply_lost", "reply_late", "reply_truncated", "reply_garbled")
TRIPS = ("interlock.open", "tube.arc", "tube.over_temperature")


def patient(config: RigConfig) -> RigConfig:
    """The same rig with long deadlines on the byte lines."""
    lines = {
        kind: replace(
            config.instruments[kind], settings=settings.model_copy(update={"reply_timeout_s": PATIENT_S})
        )
        for kind in ("xray_tube", "cryostage")
        for settings in [config.instruments[kind].settings]
    }
    return replace(config, instruments=config.instruments | lines)


class Bench:
    """A simulated rig with every driver open on it, stage ramping, beam on."""

    def __init__(self, stack: ExitStack) -> None:
        self.servers = stack.enter_context(RigServers(SimulationSettings(seed=6)))
        self.world = self.servers.world
        stack.enter_context(installed(self.world))
        addresses = {
            kind: self.servers.addresses[kind].replace("socket:", "tcp:")
            for kind in ("xray_tube", "cryostage")
        }
        self.clock = SimulatedClock(self.world)
        # After any deadline; the servers' end cuts the wait short.
        self.servers.linkam.late_s = self.servers.spellman.late_s = 600.0
        self.rig = Rig(
            patient(load_rig(Path(simulators.__file__).with_name("rig.toml"))),
            clock=self.clock,
            addresses=addresses,
            vendors={"time_tagger": vendor_module(self.world)},
        )
        stack.enter_context(self.rig)
        self.rig.spectrometer.cool()
        self.rig.spectrometer.select(1, 520.0)
        self.rig.cryostage.ramp_to(250.0, 30.0)
        self.rig.xray_tube.beam_on(40.0, 300.0)

    def wait_for_replies(self, deadline_s: float) -> None:
        for transport in (self.rig.xray_tube.transport, self.rig.cryostage._transport):
            transport.patience = replace(transport.patience, reply_timeout_s=deadline_s)

    def use(self, fault: str) -> dict[str, list[str]]:
        """Use every instrument once; what it complained of, by instrument.

        The tagger's faults are those of a record: they come when it has begun.
        """
        rig = self.rig
        complaints: dict[str, list[str]] = {kind: [] for kind in rig.instruments}
        for kind, action in (
            ("xray_tube", rig.xray_tube.status),
            ("cryostage", self._stage),
            ("spectrometer", self._spectrum),
            ("time_tagger", lambda: self._tags(fault if fault.startswith("tagger.") else "")),
            ("light_path", rig.light_path.status),
        ):
            complaints[kind] += complaints_of(action)
        return complaints

    def _stage(self) -> list[str]:
        status: CryostageStatus = self.rig.cryostage.status()
        if self.rig.cryostage.status().state != "stopped":
            self.rig.cryostage.ramp_to(240.0, 30.0)
        return [*status.faults, *status.warnings]

    def _spectrum(self) -> list[str]:
        self.rig.light_path.select("spectrometer")
        spectrometer = self.rig.spectrometer
        frame = next(iter(spectrometer.frames(1, 1.0, shutter_open=True)))
        found = list(spectrometer.status().faults)
        if not spectrometer.status().camera_stabilised:
            found.append("not stabilised")
        if int(np.max(frame.counts)) >= spectrometer.noise.saturation_counts:
            found.append("saturated")
        return found

    def _tags(self, fault: str) -> list[str]:
        self.rig.light_path.select("counters")
        tagger = self.rig.time_tagger
        stream = tagger.stream(list(tagger.channels.values()), 8.0)
        chunks = [next(stream)]
        if fault:
            self.world.faults.set(fault)
        chunks += stream
        assert sum(chunk.end_ps - chunk.begin_ps for chunk in chunks) == 8 * 10**12
        found = ["gaps"] if any(chunk.gaps for chunk in chunks) else []
        for number in tagger.channels.values():
            if not any(np.any(chunk.channels == number) for chunk in chunks[1:]):
                found.append(f"channel {number} is silent")
        return found + list(tagger.status().faults)


def complaints_of(action: Callable[[], Any]) -> list[str]:
    """Call; the complaints it returns, or its ``InstrumentError`` as one."""
    try:
        result = action()
    except InstrumentError as error:
        text = str(error)
        assert text.startswith(error.instrument), text
        assert len(text) > 20, text
        return [text]
    return list(result) if isinstance(result, list) else list(getattr(result, "faults", ()))


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        bench = Bench(stack)
        stack.callback(bench.world.faults.clear)
        yield bench


# What must be noticed, and by whom; the rest is got over without a word, or is for the analysis to see.
NOTICED = {
    "cryostage.reply_lost": "cryostage",
    "cryostage.reply_late": "cryostage",
    "cryostage.reply_truncated": "cryostage",
    "cryostage.port_gone": "cryostage",
    "tube.reply_lost": "xray_tube",
    "tube.reply_late": "xray_tube",
    "tube.reply_truncated": "xray_tube",
    "tube.port_gone": "xray_tube",
    "stage.ln2_empty": "cryostage",
    "stage.heater_error": "cryostage",
    "stage.sensor_open": "cryostage",
    "interlock.open": "xray_tube",
    "tube.arc": "xray_tube",
    "tube.over_temperature": "xray_tube",
    "camera.port_gone": "spectrometer",
    "camera.not_stabilised": "spectrometer",
    "camera.acquisition_error": "spectrometer",
    "camera.saturation": "spectrometer",
    "tagger.overflow": "time_tagger",
    "tagger.counter_dead": "time_tagger",
    "tagger.rate_limit": "time_tagger",
    "tagger.time_jump": "time_tagger",
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_fault_ends_in_an_error_or_a_recovery_and_the_tube_can_be_made_safe(bench: Bench, fault: str) -> None:
    if fault.endswith(SILENCE):
        bench.wait_for_replies(HURRY_S)
    if not fault.startswith("tagger."):
        bench.world.faults.set(fault)
    bench.clock.sleep(30.0)
    if fault in TRIPS:
        assert not bench.world.tube.hv_on
    complaints = bench.use(fault)
    if fault in NOTICED:
        assert complaints[NOTICED[fault]], complaints
    untouched = {kind for kind, found in complaints.items() if found} - {NOTICED.get(fault, "")}
    if fault.startswith("camera."):
        untouched -= {"light_path", "time_tagger"}  # the flipper is the spectrograph's
    if not fault.startswith(("tube.", "cryostage.")):
        assert untouched == set(), complaints
    off = complaints_of(bench.rig.xray_tube.beam_off)
    if not off:
        assert not bench.world.tube.hv_on
    else:
        assert fault.startswith("tube."), off

    bench.world.faults.clear()
    bench.wait_for_replies(PATIENT_S)
    bench.clock.sleep(60.0)
    bench.rig.xray_tube.beam_off()
    assert not bench.world.tube.hv_on
    assert complaints_of(bench.rig.cryostage.status) == []
    bench.rig.cryostage.hold()
    bench.rig.spectrometer.status()
    bench.rig.time_tagger.status()
    assert threading.active_count() < 40
