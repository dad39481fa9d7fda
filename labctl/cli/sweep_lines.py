"""What a fit of all temperatures at once says: its laws in words, their values at each temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from labctl.fitting.estimates import Goodness
    from labctl.fitting.sweep_fit import SweepFit
    from labctl.fitting.value import Value
    from labctl.store.point import PointData

_SHARED = {
    "lifetimes": "lifetimes",
    "fraction": "lifetimes and coupled fraction",
    "all": "lifetimes, coupled fraction, red-shift and widths, with the pixels of every spectrum",
}


def sweep_lines(fit: SweepFit) -> list[str]:
    """The laws, how well they hold, and what limits them."""
    lines = [f"All temperatures in one fit; laws for {_SHARED[fit.shared]}:"]

    def number(name: str, factor: float = 1.0) -> Value:
        return fit.estimates.value(name).scaled(factor)

    for which in ("slow", "fast"):
        tau, rate = f"lifetime_{which}_300K_s", f"rate_constant_{which}_K"
        lines.append(f"  tau_{which}: A_X {number(rate)} K, {number(tau, 1e9)} ns at 300 K")
    if "fraction_rise" in fit.estimates:
        lines.append(
            f"  coupled light: rises by {number('fraction_rise', 100.0)} % around "
            f"{number('fraction_midpoint_K')} K (steepness {number('fraction_steepness_K')} K), "
            f"{number('fraction_warm', 100.0)} % when warm"
        )
    if "shift_190K_eV" in fit.estimates:
        for title, stem in (
            ("red-shift", "shift"),
            ("coupled width", "coupled_width"),
            ("uncoupled width", "width"),
        ):
            middle, slope = number(f"{stem}_190K_eV", 1e3), number(f"{stem}_slope_eV_per_K", 1e6)
            lines.append(f"  {title}: {middle} meV at 190 K, {slope} ueV per K")
    lines.append(f"  {_goodness('g2', fit.goodness)}{_goodness(', spectra', fit.spectrum_goodness)}")
    return [*lines, *(f"  {warning}" for warning in fit.warnings)]


def _goodness(what: str, found: Sequence[Goodness | None]) -> str:
    known = [one for one in found if one is not None]
    if not known:
        return ""
    return f"{what}: chi2 {sum(one.chi2 for one in known):.0f} for {sum(one.dof for one in known)}"


def sweep_table(fit: SweepFit, points: Sequence[PointData]) -> Table:
    """The laws' values at each point's temperature."""
    from labctl.cli.table import results_table
    from labctl.store.table import result_row

    rows = []
    for point in points:
        kelvin = point.temperature_K
        numbers: dict[str, Value | None] = {
            "red_shift_eV": fit.red_shift_eV(kelvin),
            "coupled_fraction": fit.coupled_fraction(kelvin),
            "tau_fast_s": fit.lifetime_s("fast", kelvin),
            "tau_slow_s": fit.lifetime_s("slow", kelvin),
        }
        fields: dict[str, Any] = {
            name: None if value is None else value.to_dict() for name, value in numbers.items()
        }
        rows.append(result_row(point, fields))
    return results_table(rows, title="By the common laws")
