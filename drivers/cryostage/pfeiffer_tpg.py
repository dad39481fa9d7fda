"""A vacuum gauge behind a Pfeiffer (or Inficon) TPG 26x / 36x controller, mnemonics protocol.

Ask with a mnemonic, CR, LF; the controller acknowledges with ACK, CR, LF; an enquiry (ENQ) fetches the
answer. Source: public drivers for TPG 261, 262 and 362 (PyExpLabSys ``pfeiffer``), which agree.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from drivers.base import Reading, Settings
from drivers.clock import Clock
from drivers.errors import FaultError, ProtocolError
from drivers.lines import line_to
from drivers.traffic import TrafficLog
from drivers.transport import Patience, Transport

ENQ, ACK, NAK = b"\x05", b"\x06", b"\x15"
END = b"\r\n"
MBAR_PER_UNIT = {0: 1.0, 1: 1.33322368, 2: 0.01, 4: 1.0}
STATUS = {
    1: "below the sensor's range",
    2: "above the sensor's range",
    3: "sensor error",
    4: "the sensor is off",
    5: "no sensor",
    6: "the sensor cannot be identified",
}
PRESSURE = re.compile(rb"(\d),([+-]?\d\.\d{1,6}E[+-]\d{1,2})\r\n")


class PfeifferTpgSettings(Settings):
    """Table ``[cryostage.gauge]`` of the rig file.

    Attributes:
        address: Serial port, or ``tcp://host:8000`` for a TPG 36x on the network.
        sensor: Which of the controller's sensors.
    """

    driver: Literal["pfeiffer-tpg"] = "pfeiffer-tpg"
    address: str = Field(min_length=1)
    baud_rate: int = Field(default=9600, gt=0)
    sensor: int = Field(default=1, ge=1, le=6)
    reply_timeout_s: float = Field(default=1.0, gt=0, le=30)


def decode_pressure(reply: bytes) -> tuple[int, float]:
    """Status and value of a reply to ``PR1``, e.g. ``0,+1.0000E+02`` -> (0, 100.0).

    Raises:
        ValueError: The reply is not of this form.
    """
    found = PRESSURE.fullmatch(reply)
    if not found:
        raise ValueError(f"not a pressure: {reply!r}")
    return int(found[1]), float(found[2])


class PfeifferTpg:
    """A vacuum gauge. Not thread-safe: the cryostage's lock guards it.

    Args:
        name: Its name, for messages.
        settings: Its table.
        clock: The clock of the experiment.
    """

    def __init__(self, name: str, settings: PfeifferTpgSettings, *, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._sensor = settings.sensor
        self._transport = Transport(
            name,
            line_to(settings.address, baud_rate=settings.baud_rate, terminator=END),
            clock=clock,
            terminator=END,
            patience=Patience(reply_timeout_s=settings.reply_timeout_s),
        )

    @property
    def traffic(self) -> TrafficLog:
        """What went over the line."""
        return self._transport.traffic

    def open(self) -> None:
        """Connect. Raises ``InstrumentConnectionError``."""
        self._transport.open()

    def close(self) -> None:
        """Release the line."""
        self._transport.close()

    def read(self) -> Reading:
        """The pressure in mbar.

        Raises:
            FaultError: The sensor is off, missing, broken or out of its range.
            ProtocolError: An answer that no such controller gives.
            InstrumentTimeoutError, InstrumentConnectionError: As the transport.
        """
        unit_reply = self._ask(b"UNI")
        number = int(unit_reply) if unit_reply.strip().isdigit() else -1
        if number not in MBAR_PER_UNIT:
            raise ProtocolError(self.name, f"the gauge shows unit {unit_reply!r}, not mbar, Torr, Pa or hPa")
        reply = self._ask(b"PR%d" % self._sensor)
        try:
            status, value = decode_pressure(reply)
        except ValueError as error:
            raise ProtocolError(
                self.name, str(error), advice="check the gauge's protocol (mnemonics)"
            ) from error
        if status:
            what = STATUS.get(status, f"status {status}")
            raise FaultError(self.name, f"sensor {self._sensor}: {what}", advice="look at the gauge")
        return Reading(value * MBAR_PER_UNIT[number], "mbar", "measured", self._clock.now())

    def _ask(self, mnemonic: bytes) -> bytes:
        """Ask and fetch. An answer is fetched once: what a lost one leaves behind is asked for anew."""
        acknowledged = self._transport.exchange(mnemonic + END, harmless=True)
        if acknowledged != ACK + END:
            raise ProtocolError(
                self.name,
                f"{mnemonic.decode('ascii')} was answered with {acknowledged!r} instead of ACK",
                advice="check model and protocol of the gauge's controller",
            )
        return self._transport.exchange(ENQ, harmless=False)
