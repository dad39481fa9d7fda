"""One point of a sweep: spectrum and g2 together to the five numbers of the sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from labctl.fitting.constraints import Constraint
from labctl.fitting.estimates import software
from labctl.fitting.g2_fit import SPAD_DEAD_TIME_S, G2Options, Pin, fit_g2
from labctl.fitting.g2_result import NOTHING_HIDDEN, G2Fit
from labctl.fitting.joint_fit import JointFit
from labctl.fitting.pair_model import Form
from labctl.fitting.refusal import FitRefused
from labctl.fitting.spectrum_fit import SpectrumOptions, fit_spectrum
from labctl.fitting.spectrum_result import SpectrumFit
from labctl.fitting.value import Value
from labctl.fitting.without_error import marked
from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData, SpectrumRefused


@dataclass(frozen=True, eq=False)
class PointFit:
    """What one temperature says of the sample; None where it says nothing, with a warning that tells why.

    Args:
        red_shift_eV: Distance of the coupled peak below the uncoupled one.
        coupled_fraction: Coupled share of the light.
        tau_fast_s: Lifetime of the coupled light.
        tau_slow_s: Lifetime of the uncoupled light.
        mu: Detected photons per X-ray burst and detector.
        spectrum, g2: The fits behind them.
        warnings: Of both fits and of their agreement.
        software: Name and version that fitted.
        joint: The joint fit, where spectrum and g2 were fitted together; the numbers are then its.
    """

    red_shift_eV: Value | None
    coupled_fraction: Value | None
    tau_fast_s: Value | None
    tau_slow_s: Value | None
    mu: Value | None
    spectrum: SpectrumFit | None
    g2: G2Fit | None
    warnings: tuple[str, ...]
    software: str
    joint: JointFit | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON; ``without_error`` says why a number in it has no error bar."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        fields = {
            "software": self.software,
            **{name: None if value is None else value.to_dict() for name, value in numbers.items()},
            "spectrum": None if self.spectrum is None else self.spectrum.to_dict(),
            "g2": None if self.g2 is None else self.g2.to_dict(),
            "joint": None if self.joint is None else self.joint.to_dict(),
            "warnings": list(self.warnings),
        }
        return marked(fields)

    @staticmethod
    def from_dict(fields: dict[str, Any]) -> PointFit:
        """Back from :meth:`to_dict`."""
        return PointFit(
            **{name: Value.from_dict(fields[name]) for name in _NUMBERS},
            spectrum=None if fields["spectrum"] is None else SpectrumFit.from_dict(fields["spectrum"]),
            g2=None if fields["g2"] is None else G2Fit.from_dict(fields["g2"]),
            warnings=tuple(fields["warnings"]),
            software=str(fields["software"]),
            # Runs of earlier versions have none.
            joint=JointFit.from_dict(fields["joint"]) if fields.get("joint") else None,
        )


_NUMBERS = ("red_shift_eV", "coupled_fraction", "tau_fast_s", "tau_slow_s", "mu")


def fit_point(
    spectrum: SpectrumData | None,
    pairs: PairBlocks | None,
    *,
    response_sigma_s: float,
    dead_time_s: float = SPAD_DEAD_TIME_S,
    pin: Pin = "prior",
    form: Form = "exact",
    n_lifetimes: int | None = None,
    peaks: SpectrumOptions | None = None,
    constraints: tuple[Constraint, ...] = (),
    background_Hz: tuple[float, float] = (0.0, 0.0),
) -> PointFit:
    """Fit spectrum and g2 of one point; what cannot be fitted is None with a warning, never an exception.

    The coupled share of the spectrum goes into the g2 fit (as its prior by default). Where the spectrum shows
    two peaks, two lifetimes are fitted; where it shows one or is missing, the g2 itself decides.

    Args:
        spectrum: Frames, or None.
        pairs: Histogram in time blocks, or None.
        response_sigma_s: Standard deviation of the start-stop timing response.
        dead_time_s: Dead time of the counters; 0 switches its correction off.
        pin: How the share enters the g2 fit.
        form: Exact pair density, or the naive double exponential.
        n_lifetimes: 1 or 2; None: two where the spectrum shows two peaks, else the g2 decides.
        peaks: How to fit the spectrum; its constraints are not used.
        constraints: Parameters of either fit that are held, bounded or known beforehand.
        background_Hz: Counts of start and stop that do not come from bursts (dark counts, stray light).

    Raises:
        InputError: a constraint that no parameter can obey.
    """
    warnings: list[str] = []
    light = _try_spectrum(spectrum, replace(peaks or SpectrumOptions(), constraints=constraints), warnings)
    share = light.coupled_fraction if light is not None else None
    correlation = _try_g2(
        pairs,
        G2Options(
            response_sigma_s=response_sigma_s,
            fraction=share,
            hidden=NOTHING_HIDDEN if share is not None else hidden_share(light),
            pin=pin,
            n_lifetimes=n_lifetimes or (2 if share is not None and _significant(share) else None),
            form=form,
            dead_time_s=dead_time_s,
            background_Hz=background_Hz,
            # What was said of the fraction has gone into the spectrum's.
            constraints=tuple(c for c in constraints if share is None or c.name != "fraction"),
        ),
        warnings,
    )
    fast = _determined(correlation, warnings)
    if light is not None and share is None and correlation is not None and correlation.n_lifetimes == 2:
        warnings.append("g2 shows two lifetimes where the spectrum shows one peak")
    return PointFit(
        red_shift_eV=light.red_shift_eV if light is not None else None,
        coupled_fraction=share,
        tau_fast_s=fast,
        tau_slow_s=_determined_slow(correlation, warnings),
        mu=correlation.mu if correlation is not None else None,
        spectrum=light,
        g2=correlation,
        # A refusal can be met twice, with two lifetimes and with one.
        warnings=tuple(dict.fromkeys(warnings)),
        software=software(),
    )


def hidden_share(light: SpectrumFit | None) -> Value:
    """Coupled share of the light that may be hidden in a single lifetime.

    Of a peak that the spectrum did not hold for significant; of a peak that it shows, 0.2 at most, where the
    g2 cannot hold two lifetimes apart.
    """
    if light is None:
        return NOTHING_HIDDEN
    share = light.coupled_fraction
    if share is None:
        return Value(light.hidden_fraction - light.hidden_error, light.hidden_error)
    return _weak(share)


def _weak(share: Value) -> Value:
    return Value(min(share.value, 0.2), min(share.error, 0.2))


def _significant(share: Value) -> bool:
    return share.value > 2.0 * share.error


def _try_spectrum(
    data: SpectrumData | None, options: SpectrumOptions, warnings: list[str]
) -> SpectrumFit | None:
    if data is None:
        return None
    try:
        fit = fit_spectrum(data, options)
    except (FitRefused, SpectrumRefused) as refusal:
        warnings.append(f"spectrum: {refusal}")
        return None
    warnings.extend(f"spectrum: {warning}" for warning in fit.warnings)
    return fit


def _try_g2(pairs: PairBlocks | None, options: G2Options, warnings: list[str]) -> G2Fit | None:
    if pairs is None:
        return None
    try:
        fit = fit_g2(pairs, options)
    except FitRefused as refusal:
        warnings.append(f"g2: {refusal}")
        if options.n_lifetimes != 2:
            return None
        # Two lifetimes that the data cannot hold apart: one may still be sound.
        weak = NOTHING_HIDDEN if options.fraction is None else _weak(options.fraction)
        return _try_g2(pairs, replace(options, n_lifetimes=1, hidden=weak), warnings)
    warnings.extend(f"g2: {warning}" for warning in fit.warnings)
    return fit


def _determined_slow(fit: G2Fit | None, warnings: list[str]) -> Value | None:
    """The slow (or only) lifetime, unless it ended on a bound or its error is as large as itself."""
    if fit is None:
        return None
    slow = fit.tau_slow_s
    if slow.error >= slow.value or {"lifetime_slow_s", "lifetime_s"} & set(fit.at_bound):
        warnings.append(f"g2: slow lifetime is not determined ({slow.scaled(1e9)} ns)")
        return None
    return slow


def _determined(fit: G2Fit | None, warnings: list[str]) -> Value | None:
    """The fast lifetime, unless it ended on a bound or its error is as large as itself."""
    if fit is None or fit.tau_fast_s is None:
        return None
    fast = fit.tau_fast_s
    if fast.error >= fast.value or "lifetime_fast_s" in fit.at_bound:
        warnings.append(f"g2: fast lifetime is not determined ({fast.scaled(1e9)} ns)")
        return None
    return fast
