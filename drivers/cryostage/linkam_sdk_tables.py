"""Numbers of the Linkam SDK: messages, value types, status bits, errors.

Source: the vendor's headers of 2018-2023 as shipped with the Diamond EPICS driver linkam3.
"""

from __future__ import annotations

from enum import IntEnum


class Message(IntEnum):
    """First argument of ``linkamProcessMessageCommon``. Forced heating and cooling (0x59, 0x5A) run
    without a limit and are left out on purpose.
    """

    OPEN_COMMS = 0x01
    CLOSE_COMMS = 0x02
    GET_CONTROLLER_CONFIG = 0x03
    GET_CONTROLLER_ERROR = 0x04
    GET_CONTROLLER_NAME = 0x05
    GET_CONTROLLER_SERIAL = 0x06
    GET_STATUS = 0x07
    GET_STAGE_CONFIG = 0x08
    GET_STAGE_SERIAL = 0x09
    GET_STAGE_NAME = 0x0A
    GET_MAX_VALUE = 0x0B
    GET_MIN_VALUE = 0x0C
    START_HEATING = 0x10
    GET_VALUE = 0x15
    SET_VALUE = 0x16
    LNP_SET_MODE = 0x1B
    LNP_SET_SPEED = 0x1C
    ENABLE_LOGGING = 0x23
    DISABLE_LOGGING = 0x24
    GET_CONTROLLER_FIRMWARE_VERSION = 0x25
    GET_CONTROLLER_HARDWARE_VERSION = 0x26


class ValueType(IntEnum):
    """What is read or set: degC, degC/min, percent."""

    HEATER_TEMPERATURE = 0
    HEATER_RATE = 1
    HEATER_SET_POINT = 2
    HEATER_POWER = 3
    LNP_SPEED = 4
    VACUUM = 12
    VACUUM_UNIT = 26


class StatusBit(IntEnum):
    """Bits of the controller's status."""

    ERROR = 0
    AT_SET_POINT = 1
    HEATER_RUNNING = 2
    LNP_RUNNING = 11
    LNP_AUTOMATIC = 12


class ConfigBit(IntEnum):
    """Bits of the controller's configuration."""

    HEATER = 0
    VACUUM_CARD = 10
    LNP_READY = 36
    LNP_DUAL_READY = 37


COMMS_SERIAL, COMMS_USB = 1, 2
CONNECTED = 1
CONNECTION_ERRORS = {
    1: "no such device was found",
    2: "several devices were found: give the serial number",
    3: "the controller did not answer in time",
    4: "the SDK could not register the connection",
    5: "the SDK could not get memory",
    6: "a serial number is required",
    7: "the connection is open already: another program holds it",
    8: "the connection's properties are wrong",
    9: "the port cannot be configured",
    10: "the port's streams failed",
    11: "the SDK met an error that it does not handle",
}

CONTROLLER_ERRORS = {
    1: "the stage's cable is disconnected",
    2: "the stage's cable cannot be identified",
    3: "the temperature sensor is open or over its range",
    4: "the load supply is wrong for this stage",
    5: "the load supply's voltage is wrong",
    6: "the T95's relay is missing",
    7: "the option boards are wrong",
    8: "an option's cable is disconnected",
    9: "an option's cable is wrong",
    10: "an option's sensor is open",
    11: "the fan does not work",
    12: "the nitrogen pump (LNP) has an error",
    13: "communication error",
    14: "the cooling water is too warm or does not flow",
    15: "the CSS drive is too hot",
    16: "a CSS winding has an error",
    17: "the humidity controller (RH95) has an error",
    18: "the T96's protection has tripped",
    19: "the T96's power driver is too hot",
    20: "a single LNP is needed",
    21: "a dual LNP is needed",
    22: "beyond the limits of the stage's cable",
}

MBAR_PER_UNIT = {15: 1.0, 16: 10.0, 17: 1.0 / 750.061683}


def controller_error(number: int) -> str:
    """An error of the controller as text, always with its number: tables of other SDKs differ."""
    return f"controller error {number}: {CONTROLLER_ERRORS.get(number, 'not in our table')}"


def connection_errors(status: int) -> str:
    """What the result of opening a connection says, as text."""
    found = [text for bit, text in CONNECTION_ERRORS.items() if status >> bit & 1]
    return "; ".join(found) or f"the SDK gave status 0x{status:x}"
