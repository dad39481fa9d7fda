"""A Linkam T95 controller with its LNP95 pump at the byte level: a TCP server in front of the world's stage.

Written from the protocol's tables, not from the driver. A serial port is opened as ``socket://host:port``.
"""

from __future__ import annotations

import math
import re
import socket
import threading
from collections.abc import Callable

from simulators.line_faults import spoil
from simulators.listener import LineServer, received, send
from simulators.randomness import random_stream
from simulators.world import World

CR = b"\r"
ZERO_K = 273.15
LATE_S = 7.5
OPEN_SENSOR = b"7fff"
PUMP_TOP = 30
LAG_WARNING_K = 5.0
FORCED_K = {b"H": 623.15, b"C": 77.15}


class LinkamServer(LineServer):
    """Serves the world's stage to any number of clients, until closed.

    Args:
        world: Holds the stage; its faults named ``cryostage.*`` spoil the line.
        port: TCP port; 0 takes a free one.
        host: Address to bind to.
        silent_sets: Do not acknowledge set commands, as some controllers do.
        late_s: Wall-clock delay of a late reply.
    """

    def __init__(
        self,
        world: World,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        silent_sets: bool = False,
        late_s: float = LATE_S,
    ) -> None:
        super().__init__("linkam", host, port)
        self.silent_sets = silent_sets
        self.late_s = late_s
        self.commands: list[bytes] = []
        self._world = world
        self._remote = False
        self._noise = random_stream(world.seed, "cryostage.line")
        stage = world.controller
        self._plain: dict[bytes, Callable[[], None]] = {
            b"S": stage.start,
            b"E": stage.stop,
            b"O": stage.hold,
            b"H": lambda: self._force(b"H"),
            b"C": lambda: self._force(b"C"),
            b"Pa0": lambda: setattr(stage, "pump_automatic", True),
            b"Pm0": lambda: setattr(stage, "pump_automatic", False),
            b"B": lambda: None,
        }

    @property
    def address(self) -> str:
        """Address for pyserial's ``serial_for_url``."""
        host, port = self.host_and_port
        return f"socket://{host}:{port}"

    def answer(self, command: bytes) -> bytes:
        """What the controller answers to one command (given without its CR); empty: nothing."""
        with self._world.lock:
            self.commands.append(command)
            if command == b"T":
                self._remote = True
                return self._status() + CR
            if not self._remote:
                # After power-up the panel has the controller until the first T.
                return b""
            if command == b"\xefS":
                return b"THMS350V" + CR
            if command in self._plain:
                self._plain[command]()
            elif not self._set(command):
                return b""
            return b"" if self.silent_sets else CR

    def _gone(self) -> bool:
        return self._world.faults.active("cryostage.port_gone")

    def _serve(self, connection: socket.socket, ended: threading.Event) -> None:
        pending = b""
        for data in received(connection, ended, self._gone):
            *commands, pending = (pending + data).split(CR)
            pending = pending[-64:]
            for command in commands:
                reply = self.answer(command)
                reply = spoil(reply, self._world.faults, "cryostage", self._noise, ended, self.late_s)
                if reply:
                    send(connection, reply)

    def _set(self, command: bytes) -> bool:
        """Carry out a command with a number; whether it is one."""
        stage = self._world.controller
        if found := re.fullmatch(rb"R1(\d{1,5})", command):
            rate = int(found[1])
            if 1 <= rate <= 15000:
                stage.rate_K_per_min = rate / 100.0
            return True
        if found := re.fullmatch(rb"L1(-?\d{1,4})", command):
            limit = int(found[1])
            if -2000 <= limit <= 6000:
                stage.limit_K = limit / 10.0 + ZERO_K
            return True
        if len(command) == 2 and command[:1] == b"P" and 0 <= command[1] - 0x30 <= PUMP_TOP:
            stage.pump_manual_fraction = (command[1] - 0x30) / PUMP_TOP
            return True
        return False

    def _force(self, way: bytes) -> None:
        stage = self._world.controller
        stage.limit_K = FORCED_K[way]
        stage.start()

    def _status(self) -> bytes:
        """The ten bytes SB1 EB1 PB1 GS1 reserved reserved and the temperature in four hex digits."""
        stage = self._world.controller
        state = {"stopped": 0x01, "at_limit": 0x30, "holding": 0x50}.get(stage.mode, 0x10)
        if stage.mode == "ramping" and stage.limit_K < stage.temperature_K:
            state = 0x20
        errors = 0x80
        if state == 0x20 and stage.temperature_K - stage.ramp_K > LAG_WARNING_K:
            errors |= 0x01
        if stage.faults.sensor_open:
            errors |= 0x02
        if stage.faults.heater_error:
            errors |= 0x04
        pump = 0x80 | round(stage.pump_fraction * PUMP_TOP)
        return bytes([state, errors, pump, 0x80, 0x80, 0x80]) + temperature_field(stage.sensor_K())


def temperature_field(temperature_K: float) -> bytes:
    """Four hex digits of tenths of a degree Celsius, two's complement; what an open sensor gives for nan."""
    if math.isnan(temperature_K):
        return OPEN_SENSOR
    return b"%04x" % (round((temperature_K - ZERO_K) * 10) & 0xFFFF)
