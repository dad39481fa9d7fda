"""Spellman supplies, one table per model: command numbers, flags, scaling, rating.

The numbers differ between models, and 99 switches X-rays on in one and remote control in another: a
supply is only talked to with its own table. Sources: programs for uX50P50 and MNX50P50 in the public,
pymeasure's ``spellmanXRV`` (MIT), Spellman's XRB011 manual. None was tried on hardware by us.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        monitor_full_scale: Value at 4095 counts of monitors, by name: kV, uA, A, V or degrees C.
        status: Names of the status flags, in order; ``high_voltage_on`` and ``fault`` are among them.
        interlocks_closed: Flags that are all 1 when the safety circuit is closed.
        interlocks_open: Flags that are all 0 when the safety circuit is closed.
        faults: Texts of the fault flags, in order; empty text: not a fault.
        voltage_full_scale_kV: Set voltage at 4095 counts; None: the supply tells it.
        current_full_scale_uA: Set current at 4095 counts; None: the supply tells it.
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
)

MODELS: dict[str, Model] = {model.name: model for model in (UX50P50,)}
