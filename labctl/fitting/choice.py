"""What a person chose for the fits of a run's points, and the fits with it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from labctl.fitting.constraints import Constraint
from labctl.fitting.estimates import Estimates
from labctl.fitting.g2_fit import SPAD_DEAD_TIME_S, G2Options, Pin
from labctl.fitting.intervals import g2_intervals, joint_intervals
from labctl.fitting.joint_fit import JointFit, fit_joint
from labctl.fitting.lines import LineShape
from labctl.fitting.pair_model import ONE_LIFETIME, TWO_LIFETIMES, Form
from labctl.fitting.point import PointFit, fit_point, hidden_share
from labctl.fitting.profile import Interval
from labctl.fitting.refusal import FitRefused
from labctl.fitting.spectrum_fit import SpectrumOptions
from labctl.fitting.spectrum_model import parameter_names
from labctl.fitting.sweep_fit import FRACTION_LAW, LIFETIME_LAWS, LINE_LAWS
from labctl.fitting.sweep_start import Shared
from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData, SpectrumRefused

JOINT_INTERVALS = (
    "shift_eV",
    "fraction",
    "width_eV",
    "coupled_width_eV",
    "lifetime_fast_s",
    "lifetime_slow_s",
)


@dataclass(frozen=True)
class FitChoice:
    """How each point of a run is fitted.

    Args:
        joint: Spectrum and g2 in one likelihood where the spectrum shows two peaks.
        pin: How the spectrum's fraction enters the g2 fit.
        form: Exact pair density, or the naive double exponential.
        n_lifetimes: 1 or 2; None chooses.
        line_shape: Shape of the peaks.
        n_peaks: Number of peaks; None chooses one or two.
        dead_time_s: Dead time of the counters; 0 switches its correction off.
        constraints: Parameters that are held, bounded or known beforehand.
    """

    joint: bool = False
    pin: Pin = "prior"
    form: Form = "exact"
    n_lifetimes: int | None = None
    line_shape: LineShape = "gaussian"
    n_peaks: int | None = None
    dead_time_s: float = SPAD_DEAD_TIME_S
    constraints: tuple[Constraint, ...] = ()

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Parameters of a point's fits that can be held, bounded or known beforehand."""
        light = parameter_names(self.n_peaks or 2, self.line_shape)
        return tuple(dict.fromkeys((*light, *TWO_LIFETIMES, *ONE_LIFETIME)))

    def fit(
        self,
        spectrum: SpectrumData | None,
        pairs: PairBlocks | None,
        *,
        response_sigma_s: float,
        background_Hz: tuple[float, float] = (0.0, 0.0),
    ) -> PointFit:
        """Fit one point; what cannot be fitted is None with a warning.

        Args:
            spectrum, pairs, response_sigma_s, background_Hz: As for ``fit_point``.

        Raises:
            InputError: a constraint that no parameter can obey.
        """
        apart = fit_point(
            spectrum,
            pairs,
            response_sigma_s=response_sigma_s,
            dead_time_s=self.dead_time_s,
            pin=self.pin,
            form=self.form,
            n_lifetimes=self.n_lifetimes,
            peaks=SpectrumOptions(n_peaks=self.n_peaks, line_shape=self.line_shape),
            constraints=self.constraints,
            background_Hz=background_Hz,
        )
        if not self.joint or spectrum is None or pairs is None:
            return apart
        if (
            apart.spectrum is None
            or apart.g2 is None
            or (apart.spectrum.n_peaks, apart.g2.n_lifetimes) != (2, 2)
        ):
            note = "joint: no two peaks with two lifetimes here, so there is no fraction to share"
            return replace(apart, warnings=(*apart.warnings, note))
        options = self._joint_options(response_sigma_s, background_Hz)
        try:
            joint = fit_joint(
                spectrum, pairs, options, line_shape=self.line_shape, constraints=self.constraints
            )
        except (FitRefused, SpectrumRefused) as refusal:
            return replace(apart, warnings=(*apart.warnings, f"joint: {refusal}"))
        return joined(apart, joint)

    def _joint_options(self, response_sigma_s: float, background_Hz: tuple[float, float]) -> G2Options:
        return G2Options(
            response_sigma_s, form=self.form, dead_time_s=self.dead_time_s, background_Hz=background_Hz
        )

    def intervals(
        self,
        spectrum: SpectrumData | None,
        pairs: PairBlocks | None,
        fit: PointFit,
        *,
        response_sigma_s: float,
        background_Hz: tuple[float, float] = (0.0, 0.0),
    ) -> dict[str, Interval]:
        """Profile-likelihood intervals (68 %) by the names of the fit's parameters.

        Of the lifetimes; of a joint fit also of the red-shift, the coupled fraction and the widths. A single
        lifetime in which light may be hidden has ``tau_slow_s`` beside it, which holds that as well.

        Raises:
            FitRefused: there is no g2 fit, or its minimum is not found.
        """
        if pairs is None or fit.g2 is None:
            raise FitRefused("no g2 was fitted: there is no interval")
        held = {c.name for c in self.constraints if c.fixed is not None}
        if fit.joint is not None and spectrum is not None:
            names = [name for name in JOINT_INTERVALS if name not in held and name not in fit.joint.at_bound]
            options = self._joint_options(response_sigma_s, background_Hz)
            return joint_intervals(spectrum, pairs, options, fit.joint, names, constraints=self.constraints)
        share = fit.coupled_fraction
        options = G2Options(
            response_sigma_s,
            fraction=share,
            hidden=hidden_share(fit.spectrum),
            pin=self.pin,
            n_lifetimes=fit.g2.n_lifetimes,
            form=self.form,
            dead_time_s=self.dead_time_s,
            background_Hz=background_Hz,
            constraints=tuple(c for c in self.constraints if share is None or c.name != "fraction"),
        )
        both = ("lifetime_fast_s", "lifetime_slow_s") if fit.g2.n_lifetimes == 2 else ("lifetime_s",)
        names = [name for name in both if name not in held and name not in fit.g2.at_bound]
        return g2_intervals(pairs, options, fit.g2, names)

    def to_dict(self) -> dict[str, Any]:
        """What differs from the usual fit, for JSON; empty for the usual one."""
        usual = FitChoice()
        changed = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if getattr(self, one.name) != getattr(usual, one.name)
        }
        if self.constraints:
            changed["constraints"] = [constraint.to_dict() for constraint in self.constraints]
        return changed


def sweep_parameter_names(shared: Shared) -> tuple[str, ...]:
    """Parameters of the laws and those that are common to all points."""
    names = [name for law in LIFETIME_LAWS.values() for name in law] + ["delay_s", "response_sigma_s"]
    names += FRACTION_LAW if shared != "lifetimes" else ()
    names += [name for law in LINE_LAWS.values() for name in law] if shared == "all" else []
    return tuple(names)


def joined(apart: PointFit, joint: JointFit) -> PointFit:
    """A point with the numbers of the joint fit in place of those of the two fits apart."""
    assert apart.spectrum is not None and apart.g2 is not None
    light = replace(
        apart.spectrum,
        estimates=_part(joint.estimates, apart.spectrum.estimates.names),
        goodness=joint.spectrum_goodness,
    )
    correlation = replace(
        apart.g2,
        estimates=_part(joint.estimates, apart.g2.estimates.names),
        goodness=joint.g2_goodness,
        mu=joint.mu,
        mu_model=joint.mu_model,
        at_bound=joint.at_bound,
    )
    return replace(
        apart,
        red_shift_eV=joint.red_shift_eV,
        coupled_fraction=joint.coupled_fraction,
        tau_fast_s=joint.tau_fast_s,
        tau_slow_s=joint.tau_slow_s,
        mu=joint.mu,
        spectrum=light,
        g2=correlation,
        warnings=tuple(f"joint: {warning}" for warning in joint.warnings),
        joint=joint,
    )


def _part(estimates: Estimates, names: tuple[str, ...]) -> Estimates:
    index = [estimates.names.index(name) for name in names]
    dof = None if estimates.dof is None else estimates.dof[index]
    return Estimates(names, estimates.values[index], estimates.covariance[np.ix_(index, index)], dof)


def residual_fields(
    fit: PointFit, spectrum: SpectrumData | None, pairs: PairBlocks | None
) -> dict[str, dict[str, Any]]:
    """What a point's fit leaves over, for JSON: in standard deviations, of the joint fit where there is one.

    Returns:
        ``spectrum`` with ``energy_eV`` and ``pull``, ``g2`` with ``lag_ps`` and ``pull``, of what was fitted;
        each pull has an error of 1.
    """
    found: dict[str, dict[str, Any]] = {}
    if fit.spectrum is not None and spectrum is not None:
        energy, pull = (fit.joint.spectrum_residuals if fit.joint else fit.spectrum.residuals)(spectrum)
        found["spectrum"] = {"energy_eV": energy.round(5).tolist(), "pull": pull.round(3).tolist()}
    if fit.g2 is not None and pairs is not None:
        lag, pull = (fit.joint.g2_residuals if fit.joint else fit.g2.residuals)(pairs)
        found["g2"] = {"lag_ps": lag.round(1).tolist(), "pull": pull.round(3).tolist()}
    return found
