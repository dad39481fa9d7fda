"""The switches of ``labctl fit``: which points, and how they are fitted."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.errors import InputError

if TYPE_CHECKING:
    from labctl.fitting.choice import FitChoice
    from labctl.fitting.constraints import Constraint
    from labctl.fitting.sweep_start import Shared
    from labctl.store.point import PointData

_UNITS = {"_ns": ("_s", 1e-9), "_ps": ("_s", 1e-12), "_meV": ("_eV", 1e-3)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The switches."""
    which = parser.add_argument_group("which points")
    which.add_argument("--points", metavar="LIST", help="numbers of points, as in 0,3,5-7 (default: all)")
    which.add_argument("--temperatures", metavar="LOW:HIGH", help="only points in this range (K)")
    how = parser.add_argument_group("how each point is fitted")
    how.add_argument("--joint", action="store_true", help="spectrum and g2 in one likelihood")
    how.add_argument(
        "--pin",
        choices=("prior", "fixed", "free"),
        default="prior",
        help="how the spectrum's coupled fraction enters the g2 (default: prior)",
    )
    how.add_argument(
        "--form",
        choices=("exact", "naive"),
        default="exact",
        help="exact pair density, or the double exponential of papers (default: exact)",
    )
    how.add_argument("--lifetimes", choices=("1", "2", "auto"), default="auto", help="number of lifetimes")
    how.add_argument(
        "--line-shape", choices=("gaussian", "asymmetric"), default="gaussian", help="shape of the peaks"
    )
    how.add_argument("--peaks", type=int, metavar="N", help="number of peaks (default: 1 or 2, chosen)")
    how.add_argument(
        "--dead-time-ns", type=float, metavar="NS", help="dead time of the counters; 0 for no correction"
    )
    for flag, form, what in (
        ("--fix", "NAME=VALUE", "hold a parameter"),
        ("--bound", "NAME=LOW:HIGH", "keep a parameter within bounds (either may be left out)"),
        ("--prior", "NAME=VALUE+-ERROR", "what is known of a parameter beforehand"),
    ):
        how.add_argument(flag, action="append", default=[], metavar=form, help=f"{what}; may be repeated")
    how.add_argument(
        "--intervals",
        action="store_true",
        help="profile-likelihood intervals of the lifetimes; with --joint also of red-shift, fraction and "
        "widths (slower)",
    )
    whole = parser.add_argument_group("all temperatures in one fit")
    whole.add_argument("--sweep", action="store_true", help="fit the laws to all points at once")
    whole.add_argument(
        "--share",
        choices=("lifetimes", "fraction", "all"),
        help="what follows laws with --sweep: lifetimes; also the fraction; all, with the pixels of every "
        "spectrum (default: all)",
    )


@dataclass(frozen=True)
class Asked:
    """The switches, read.

    Args:
        choice: How each point is fitted.
        intervals: Whether profile-likelihood intervals are wanted.
        shared: What a fit of the whole sweep shares; None without one.
        sweep_constraints: Parameters of that fit that are held, bounded or known beforehand.
        keep: Whether a point is among those asked for.
    """

    choice: FitChoice
    intervals: bool
    shared: Shared | None
    sweep_constraints: tuple[Constraint, ...]
    keep: Callable[[PointData], bool]

    def words(self) -> str:
        """What was asked that differs from the usual fit; empty for that."""
        return option_words(self.choice.to_dict())


def option_words(options: dict[str, Any]) -> str:
    """Options of a fit (``FitChoice.to_dict``) in one line."""
    words = []
    for name, value in options.items():
        if name == "constraints":
            words += [_constraint_words(fields) for fields in value]
        elif name == "dead_time_s":
            words.append(f"dead time {value * 1e9:g} ns")
        else:
            plain = name.replace("n_", "", 1) if name.startswith("n_") else name.replace("_", " ")
            words.append(plain if value is True else f"{plain} {value}")
    return ", ".join(words)


def _constraint_words(fields: dict[str, Any]) -> str:
    name = fields["name"]
    if fields["fixed"] is not None:
        return f"{name} held at {fields['fixed']:g}"
    if fields["prior"] is not None:
        return f"{name} known as {fields['prior']['value']:g} +- {fields['prior']['error']:g}"
    low, high = ("" if fields[end] is None else f"{fields[end]:g}" for end in ("low", "high"))
    return f"{name} within {low}:{high}"


def read(args: argparse.Namespace) -> Asked:
    """What was asked.

    Raises:
        InputError: a switch with a value that makes no sense, or a parameter that no fit has.
    """
    from labctl.fitting.choice import FitChoice, sweep_parameter_names
    from labctl.fitting.constraints import require_known

    if args.peaks is not None and not 1 <= args.peaks <= 4:
        raise InputError(f"--peaks {args.peaks}: 1 to 4 peaks can be fitted")
    if args.joint and args.peaks not in (None, 2):
        raise InputError(f"--joint fits two peaks and two lifetimes, not --peaks {args.peaks}")
    if args.share is not None and not args.sweep:
        raise InputError("--share goes with --sweep")
    if args.sweep and args.share in (None, "all") and args.peaks not in (None, 2):
        raise InputError(f"--sweep with the spectra fits two peaks, not --peaks {args.peaks}")
    dead_s = FitChoice().dead_time_s
    if args.dead_time_ns is not None:
        dead_s = args.dead_time_ns * 1e-9
        if not 0.0 <= dead_s < 1e-3:
            raise InputError(f"--dead-time-ns {args.dead_time_ns:g}: 0 to 1e6 ns")
    usual = FitChoice(
        joint=args.joint,
        pin=args.pin,
        form=args.form,
        n_lifetimes=None if args.lifetimes == "auto" else int(args.lifetimes),
        line_shape=args.line_shape,
        n_peaks=args.peaks,
        dead_time_s=dead_s,
    )
    shared: Shared | None = (args.share or "all") if args.sweep else None
    of_sweep = sweep_parameter_names(shared) if shared else ()
    found = [
        *(_fixed(text) for text in args.fix),
        *(_bounded(text) for text in args.bound),
        *(_known(text) for text in args.prior),
    ]
    require_known(found, tuple(dict.fromkeys((*usual.parameter_names, *of_sweep))))
    names = [constraint.name for constraint in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name} is named twice: one of --fix, --bound and --prior for each parameter")
    return Asked(
        choice=FitChoice(
            **{name: getattr(usual, name) for name in usual.__dataclass_fields__ if name != "constraints"},
            constraints=tuple(c for c in found if c.name in usual.parameter_names),
        ),
        intervals=args.intervals,
        shared=shared,
        sweep_constraints=tuple(c for c in found if c.name in of_sweep),
        keep=_selection(args.points, args.temperatures),
    )


# -- words into numbers ------------------------------------------------------------------------------------


def _fixed(text: str) -> Constraint:
    from labctl.fitting.constraints import Constraint

    name, scale, value = _named(text, "--fix", "NAME=VALUE")
    return Constraint(name, fixed=scale * _number(value, "--fix", text))


def _bounded(text: str) -> Constraint:
    from labctl.fitting.constraints import Constraint

    name, scale, value = _named(text, "--bound", "NAME=LOW:HIGH")
    low, high = _range(value, "--bound", text)
    return Constraint(
        name, low=None if low is None else scale * low, high=None if high is None else scale * high
    )


def _known(text: str) -> Constraint:
    from labctl.fitting.constraints import Constraint
    from labctl.fitting.value import Value

    name, scale, value = _named(text, "--prior", "NAME=VALUE+-ERROR")
    middle, sign, error = value.partition("+-")
    if not sign:
        raise InputError(f"--prior {text}: NAME=VALUE+-ERROR is expected")
    width = _number(error, "--prior", text)
    if width <= 0.0:
        raise InputError(f"--prior {text}: the error must be above 0; hold the parameter with --fix")
    return Constraint(name, prior=Value(_number(middle, "--prior", text), width).scaled(scale))


def _named(text: str, flag: str, form: str) -> tuple[str, float, str]:
    """Name of the parameter, factor from the unit asked in to its own, and what stands behind ``=``."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip() or not value.strip():
        raise InputError(f"{flag} {text}: {form} is expected")
    name = name.strip()
    for ending, (own, factor) in _UNITS.items():
        if name.endswith(ending):
            return name.removesuffix(ending) + own, factor, value
    return name, 1.0, value


def _number(text: str, flag: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{flag} {whole}: {text.strip() or 'nothing'} is not a number")
    return value


def _range(text: str, flag: str, whole: str) -> tuple[float | None, float | None]:
    low, colon, high = text.partition(":")
    if not colon or not (low.strip() or high.strip()):
        raise InputError(f"{flag} {whole}: LOW:HIGH is expected")
    ends = [_number(end, flag, whole) if end.strip() else None for end in (low, high)]
    return ends[0], ends[1]


def _selection(points: str | None, temperatures: str | None) -> Callable[[PointData], bool]:
    numbers = None if points is None else _numbers(points)
    low, high = (None, None) if temperatures is None else _range(temperatures, "--temperatures", temperatures)
    if low is not None and high is not None and low > high:
        raise InputError(f"--temperatures {temperatures}: {low:g} K is above {high:g} K")

    def keep(point: PointData) -> bool:
        inside = low is None or point.temperature_K >= low
        inside = inside and (high is None or point.temperature_K <= high)
        return inside and (numbers is None or point.index in numbers)

    return keep


def _numbers(text: str) -> Sequence[int]:
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            found += range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise InputError(f"--points {text}: numbers and ranges are expected, as in 0,3,5-7") from None
    return found
