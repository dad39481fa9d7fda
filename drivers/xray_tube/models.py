"""Spellman supplies, one table per model: command numbers, flags, scaling, rating.

The numbers differ between models, and 99 switches X-rays on in one and remote control in another: a
supply is only talked to with its own table. Sources: public programs for uX50P50 and MNX50P50 (R. Bes,
*borealis*; a German panel for both) and pymeasure's ``spellmanXRV`` (MIT). None was tried on hardware
by us.

There is no table for the XRB: the XRB011 (manual 118150-001) takes tenths of kV and uA instead of
counts, uses 98 to *ask* whether X-rays are on, and its fault flags are not public; the Monoblock of
manual 101501-695 speaks another protocol (three-letter commands, CR LF).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

CurrentTable = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Commands:
    """Command numbers; None where the model has no such command."""

    set_voltage: int
    set_current: int
    read_voltage_set: int
    read_current_set: int
    filament_preheat: int
    filament_limit: int
    monitors: int
    hours: int
    status: int
    firmware: int
    faults: int
    clear_faults: int
    high_voltage: int
    model: int | None = None
    scaling: int | None = None


@dataclass(frozen=True)
class Model:
    """One model of supply.

    Attributes:
        name: Name in the rig file.
        title: Name for people.
        commands: Command numbers.
        monitors: Names of the values that the monitor command gives, in order; ``voltage`` and
            ``current`` are among them.
        monitor_full_scale: Value at 4095 counts of monitors, by name: kV, uA, A, V or degrees C; without
            ``voltage`` and ``current`` where the supply tells its scaling.
        status: Names of the status flags, in order; ``high_voltage_on`` and ``fault`` are among them.
        interlocks_closed: Flags that are all 1 when the safety circuit is closed.
        interlocks_open: Flags that are all 0 when the safety circuit is closed.
        faults: Texts of the fault flags, in order; empty text: not a fault.
        remote_needed: Flag that is 1 while the supply obeys its own panel; empty: there is none.
        voltage_full_scale_kV: Set voltage at 4095 counts; None: the supply tells it.
        current_full_scale_uA: Set current at 4095 counts; None: the supply tells it.
        filament_full_scale_A: Set filament current at 4095 counts; None: not known.
        maximum_voltage_kV: Rating; None: the supply tells it.
        maximum_current_uA: Rating; None: the supply tells it.
        maximum_power_W: Rating; None: not known.
        current_table: Largest current (uA) by voltage (kV); below the first voltage there is none.
    """

    name: str
    title: str
    commands: Commands
    monitors: tuple[str, ...]
    monitor_full_scale: dict[str, float]
    status: tuple[str, ...]
    interlocks_closed: tuple[str, ...]
    interlocks_open: tuple[str, ...]
    faults: tuple[str, ...]
    voltage_full_scale_kV: float | None
    current_full_scale_uA: float | None
    maximum_voltage_kV: float | None
    maximum_current_uA: float | None
    maximum_power_W: float | None
    current_table: CurrentTable = ()
    remote_needed: str = ""
    filament_full_scale_A: float | None = None


UX50P50 = Model(
    name="ux50p50",
    title="uX50P50",
    commands=Commands(
        set_voltage=10,
        set_current=11,
        filament_preheat=12,
        filament_limit=13,
        read_voltage_set=14,
        read_current_set=15,
        monitors=20,
        hours=21,
        status=22,
        firmware=23,
        model=26,
        faults=32,
        clear_faults=52,
        high_voltage=99,
    ),
    monitors=(
        "board_temperature",
        "low_voltage_supply",
        "voltage",
        "current",
        "filament_current",
        "filament_voltage",
        "hv_board_temperature",
    ),
    monitor_full_scale={
        "voltage": 50.0,
        "current": 2400.0,
        "low_voltage_supply": 42.9,
        "filament_current": 3.6,
        "filament_voltage": 5.5,
        "board_temperature": 300.0,
        "hv_board_temperature": 300.0,
    },
    status=("high_voltage_on", "interlock_open", "fault"),
    interlocks_closed=(),
    interlocks_open=("interlock_open",),
    faults=(
        "",
        "",
        "interlock opened while the beam was on",
        "over-voltage",
        "wrong configuration",
        "over-power",
        "low-voltage supply too low",
    ),
    voltage_full_scale_kV=50.0,
    current_full_scale_uA=2000.0,
    maximum_voltage_kV=50.0,
    maximum_current_uA=1000.0,
    maximum_power_W=50.0,
    current_table=(
        (5.0, 100.0),
        (10.0, 200.0),
        (15.0, 350.0),
        (20.0, 450.0),
        (25.0, 600.0),
        (30.0, 830.0),
        (35.0, 900.0),
        (40.0, 1000.0),
        (50.0, 1000.0),
    ),
    filament_full_scale_A=10.0,
)

# The same commands and scaling; what is wrong is told by the digital inputs (76) instead of by 32.
MNX50P50 = replace(
    UX50P50,
    name="mnx50p50",
    title="MNX50P50",
    commands=replace(UX50P50.commands, faults=76),
    faults=(
        "",
        "",
        "",
        "over-voltage",
        "over-current",
        "regulation error",
        "arc",
        "over-temperature",
    ),
)

XRV = Model(
    name="xrv",
    title="XRV",
    commands=Commands(
        set_voltage=10,
        set_current=11,
        filament_limit=12,
        filament_preheat=13,
        read_voltage_set=14,
        read_current_set=15,
        monitors=19,
        hours=21,
        status=22,
        firmware=23,
        scaling=28,
        clear_faults=31,
        faults=68,
        high_voltage=98,
    ),
    monitors=(
        "voltage",
        "current",
        "filament_current",
        "local_voltage_set",
        "local_current_set",
        "local_filament_limit",
        "local_filament_preheat",
        "anode_current",
    ),
    monitor_full_scale={},
    status=(
        "high_voltage_on",
        "interlock_1_closed",
        "interlock_2_closed",
        "emission_regulation",
        "fault",
        "local_mode",
        "filament_on",
        "large_filament",
        "x_rays_imminent",
        "large_filament_confirmed",
        "small_filament_confirmed",
        "reserved_1",
        "reserved_2",
        "reserved_3",
        "reserved_4",
        "ready",
        "internal_interlock_closed",
    ),
    interlocks_closed=("interlock_1_closed", "interlock_2_closed", "internal_interlock_closed"),
    interlocks_open=(),
    faults=(
        "filament select fault",
        "over-temperature approaching",
        "over-voltage",
        "under-voltage",
        "over-current",
        "under-current",
        "over-temperature at the anode",
        "over-temperature at the cathode",
        "inverter fault at the anode",
        "inverter fault at the cathode",
        "filament feedback fault",
        "arc at the anode",
        "arc at the cathode",
        "anode cable not connected",
        "cathode cable not connected",
        "mains monitor fault at the anode",
        "mains monitor fault at the cathode",
        "DC rail fault at the anode",
        "DC rail fault at the cathode",
        "-15 V supply fault",
        "+15 V supply fault",
        "watchdog",
        "board over-temperature",
        "over-power",
        "kV difference between anode and cathode",
        "mA difference between anode and cathode",
        "inverter not ready",
    ),
    voltage_full_scale_kV=None,
    current_full_scale_uA=None,
    maximum_voltage_kV=None,
    maximum_current_uA=None,
    maximum_power_W=None,
    remote_needed="local_mode",
)

MODELS: dict[str, Model] = {model.name: model for model in (UX50P50, MNX50P50, XRV)}
