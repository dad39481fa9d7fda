"""Samples: temperature and excitation -> components. The papers' samples as data files.

Laws between the values at 80 and 300 K that a data file gives:

* lifetime tau(T) = tau_300 exp[-A_X (1/T - 1/300)], the law of the second paper's rate ratio R_X; A_X follows
  from the two values (165 K for sample A's uncoupled light); held below 77 K, where the law would run away
  while a dot's lattice comes to rest (:mod:`labctl.emission.lattice`);
* coupled fraction: a logistic step in temperature around the midpoint, scaled to meet both values;
* red-shift and widths: linear in temperature;
* light yield: 1 / (1 + a exp(-E/kT)), thermal quenching, 1 at 80 K.

Cooling and warming give the same light unless a data file says otherwise, and later cooling cycles nearly the
same (:mod:`labctl.emission.cooling_cycle`): the papers found the change reversible over weeks.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, Literal

from labctl.emission.components import Component, Emission
from labctl.emission.cooling_cycle import CoolingCycles, departure

COLD_K = 80.0
WARM_K = 300.0
#: Boiling nitrogen: no stage of the rig gets colder.
HELD_BELOW_K = 77.0
REFERENCE_SPOT_UM = 50.0
_BOLTZMANN_EV_PER_K = 8.617333262e-5

Excitation = Literal["xray", "uv"]


class SampleError(ValueError):
    """No such sample, a data file that does not describe one, or a temperature it is not known at."""


@dataclass(frozen=True)
class Sample:
    """A sample under one excitation. Temperatures from 4 to 500 K are accepted, 80 to 300 K are known.

    Args:
        name: As given to :func:`load_sample`.
        title: For people.
        excitation: ``"xray"`` or ``"uv"``.
        composition, diameter_nm, substrate: What the sample is.
        photons_per_xray: Mean photons emitted per absorbed X-ray at 80 K, all directions.
        light_yield_300K: Yield at 300 K relative to 80 K.
        thermal_energy_meV: Activation energy of the quenching between.
        energy_eV: Centre of the uncoupled line.
        width_eV, coupled_width_eV: Line widths (standard deviation) at 80 and 300 K.
        lifetime_s, coupled_lifetime_s: Lifetimes at 80 and 300 K.
        shift_eV: Red-shift of the coupled line at 80 and 300 K.
        fraction: Coupled share of the photons at 80 and 300 K.
        midpoint_K, steepness_K: Where and how sharply the coupled share rises on cooling.
        spot_fall_per_um: Loss of coupled share, relative, per um that the collection spot exceeds 50 um.
        cycles: How later cooling cycles differ.
    """

    name: str
    title: str
    excitation: Excitation
    composition: str
    diameter_nm: float
    substrate: str
    photons_per_xray: float
    light_yield_300K: float
    thermal_energy_meV: float
    energy_eV: float
    width_eV: tuple[float, float]
    lifetime_s: tuple[float, float]
    shift_eV: tuple[float, float]
    coupled_width_eV: tuple[float, float]
    coupled_lifetime_s: tuple[float, float]
    fraction: tuple[float, float]
    midpoint_K: float
    steepness_K: float
    spot_fall_per_um: float
    cycles: CoolingCycles

    def emission(
        self, temperature_K: float, *, spot_um: float = REFERENCE_SPOT_UM, lag_K: float = 0.0
    ) -> Emission:
        """The light at one stage temperature; two components, or one where no coupled light is left.

        Args:
            temperature_K: Stage temperature.
            spot_um: Diameter of the collection spot (50, 28 or 13 in the paper).
            lag_K: How far the midpoint lies above that on cooling: 0 on cooling, ``cycles.hysteresis_K`` on
                warming, between after a turn (:func:`labctl.emission.cooling_cycle.lag_after`).

        Raises:
            SampleError: temperature outside 4 to 500 K or a spot that is not above 0.
        """
        _check_temperature(temperature_K)
        weight = self.coupled_fraction(temperature_K, spot_um=spot_um, lag_K=lag_K)
        uncoupled = Component(
            "uncoupled",
            self.energy_eV,
            _linear(self.width_eV, temperature_K),
            1.0 - weight,
            lifetime_at(self.lifetime_s, temperature_K),
        )
        if weight == 0.0:
            return Emission((uncoupled,))
        coupled = Component(
            "coupled",
            self.energy_eV - _linear(self.shift_eV, temperature_K),
            _linear(self.coupled_width_eV, temperature_K),
            weight,
            lifetime_at(self.coupled_lifetime_s, temperature_K),
        )
        return Emission((coupled, uncoupled))

    def in_cycle(self, cycle: int) -> Sample:
        """The sample in a later cooling cycle, named ``NAME@CYCLE``; the first cycle is the sample itself.

        Raises:
            SampleError: a cycle below 1, or the sample is in a later cycle already.
        """
        if "@" in self.name:
            raise SampleError(f"sample {self.name} is in a later cooling cycle already")
        try:
            change = departure(self.cycles, self.name, cycle)
        except ValueError as problem:
            raise SampleError(f"sample {self.name}: {problem}") from None
        if cycle == 1:
            return self
        cold, warm = self.fraction
        return replace(
            self,
            name=f"{self.name}@{cycle}",
            title=f"{self.title}, cooling cycle {cycle}",
            fraction=(min(cold * change.fraction_factor, 1.0), min(warm * change.fraction_factor, 1.0)),
            shift_eV=(self.shift_eV[0] + change.shift_eV, self.shift_eV[1] + change.shift_eV),
            coupled_lifetime_s=(
                self.coupled_lifetime_s[0] * change.lifetime_factor,
                self.coupled_lifetime_s[1] * change.lifetime_factor,
            ),
            midpoint_K=self.midpoint_K + change.midpoint_K,
        )

    def coupled_fraction(
        self, temperature_K: float, *, spot_um: float = REFERENCE_SPOT_UM, lag_K: float = 0.0
    ) -> float:
        """Coupled share of the photons at one temperature, collection spot and lag, 0 to 1."""
        if not spot_um > 0.0:
            raise SampleError(f"collection spot of {spot_um} um: it must be above 0")
        cold, warm = self.fraction
        midpoint_K = self.midpoint_K + lag_K
        step = _logistic(temperature_K, midpoint_K, self.steepness_K)
        at_cold = _logistic(COLD_K, midpoint_K, self.steepness_K)
        at_warm = _logistic(WARM_K, midpoint_K, self.steepness_K)
        share = warm + (cold - warm) * (step - at_warm) / (at_cold - at_warm)
        share *= 1.0 - self.spot_fall_per_um * (spot_um - REFERENCE_SPOT_UM)
        return min(max(share, 0.0), 1.0)

    def light_yield(self, temperature_K: float) -> float:
        """Photons per X-ray relative to 80 K."""
        _check_temperature(temperature_K)

        def activation(kelvin: float) -> float:
            return math.exp(-self.thermal_energy_meV * 1e-3 / (_BOLTZMANN_EV_PER_K * kelvin))

        cold, warm = activation(COLD_K), activation(WARM_K)
        # Yield y = (1 + a q_cold) / (1 + a q(T)) with a from the value at 300 K.
        denominator = self.light_yield_300K * warm - cold
        strength = (1.0 - self.light_yield_300K) / denominator if denominator > 0.0 else 0.0
        return (1.0 + strength * cold) / (1.0 + strength * activation(temperature_K))

    @property
    def rate_constant_K(self) -> float:
        """A_X of the uncoupled light: lifetime grows as exp[-A_X (1/T - 1/300)] on warming."""
        return rate_constant_K(self.lifetime_s)


def rate_constant_K(lifetime_s: tuple[float, float]) -> float:
    """A_X from lifetimes at 80 and 300 K: ln(tau_300 / tau_80) / (1/80 - 1/300)."""
    cold, warm = lifetime_s
    return math.log(warm / cold) / (1.0 / COLD_K - 1.0 / WARM_K)


def lifetime_at(lifetime_s: tuple[float, float], temperature_K: float) -> float:
    """Lifetime at one temperature from those at 80 and 300 K (law in the module's docstring)."""
    rate = rate_constant_K(lifetime_s)
    kelvin = max(temperature_K, HELD_BELOW_K)
    return lifetime_s[1] * math.exp(-rate * (1.0 / kelvin - 1.0 / WARM_K))


def sample_names() -> tuple[str, ...]:
    """Names of the samples that :func:`load_sample` knows, sorted."""
    folder = resources.files("labctl.emission").joinpath("samples")
    return tuple(
        sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))
    )


def load_sample(name: str) -> Sample:
    """One of the samples that come with the program; ``xray-A@3`` is sample A in its third cooling cycle.

    Raises:
        SampleError: no such sample, the message names the known ones; or no such cycle.
    """
    stem, cycle = split_cycle(name)
    known = sample_names()
    if stem not in known:
        raise SampleError(
            f"no sample named {stem!r}: known are {', '.join(known)} here, and xray-03 to xray-10 of the "
            "population (labctl.emission.population.find_sample knows all)"
        )
    folder = resources.files("labctl.emission").joinpath("samples")
    return parse_sample(stem, folder.joinpath(f"{stem}.toml").read_text(encoding="utf-8")).in_cycle(cycle)


def split_cycle(name: str) -> tuple[str, int]:
    """``xray-A@3`` is sample ``xray-A`` in cycle 3; without ``@`` it is cycle 1.

    Raises:
        SampleError: what follows the ``@`` is not a whole number.
    """
    stem, mark, cycle = name.partition("@")
    if not mark:
        return stem, 1
    if not (cycle.isascii() and cycle.isdigit()):
        raise SampleError(f"sample {name!r}: after '@' comes the number of the cooling cycle, as in {stem}@2")
    return stem, int(cycle)


def parse_sample(name: str, text: str) -> Sample:
    """A sample from the text of its data file.

    Raises:
        SampleError: not TOML, a key missing or unknown, or a value out of range.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise SampleError(f"sample {name}: {problem}") from None
    reader = _Reader(name, data)
    excitation = reader.text("excitation")
    if excitation not in ("xray", "uv"):
        raise SampleError(f"sample {name}: excitation is {excitation!r}, it must be 'xray' or 'uv'")
    sample = Sample(
        name=name,
        title=reader.text("title"),
        excitation="xray" if excitation == "xray" else "uv",
        composition=reader.text("composition"),
        diameter_nm=reader.number("diameter_nm"),
        substrate=reader.text("substrate"),
        photons_per_xray=reader.number("light.photons_per_xray"),
        light_yield_300K=reader.number("light.light_yield_300K", high=1.0),
        thermal_energy_meV=reader.number("light.thermal_energy_meV"),
        energy_eV=reader.number("uncoupled.energy_eV"),
        width_eV=reader.pair("uncoupled.width", "_eV"),
        lifetime_s=reader.pair("uncoupled.lifetime", "_s"),
        shift_eV=reader.pair("coupled.shift", "_eV"),
        coupled_width_eV=reader.pair("coupled.width", "_eV"),
        coupled_lifetime_s=reader.pair("coupled.lifetime", "_s"),
        fraction=(
            reader.number("coupled.fraction_80K", low=0.0, high=1.0),
            reader.number("coupled.fraction_300K", low=0.0, high=1.0),
        ),
        midpoint_K=reader.number("coupled.midpoint_K"),
        steepness_K=reader.number("coupled.steepness_K"),
        spot_fall_per_um=reader.number("coupled.spot_fall_per_um", low=0.0, high=0.02),
        cycles=CoolingCycles(
            fraction_scatter=reader.number("cycles.fraction_scatter", low=0.0, high=0.3),
            shift_scatter_eV=reader.number("cycles.shift_scatter_eV", low=0.0, high=0.01),
            lifetime_scatter=reader.number("cycles.lifetime_scatter", low=0.0, high=0.3),
            midpoint_scatter_K=reader.number("cycles.midpoint_scatter_K", low=0.0, high=10.0),
            irreversible_share=reader.number("cycles.irreversible_share", low=0.0, high=1.0),
            hysteresis_K=reader.number("cycles.hysteresis_K", low=0.0, high=100.0),
        ),
    )
    reader.finish()
    return sample


class _Reader:
    """Takes values out of a parsed file and remembers which keys nobody asked for."""

    def __init__(self, name: str, data: dict[str, Any]) -> None:
        self.name = name
        self.values: dict[str, Any] = {}
        for key, value in data.items():
            if isinstance(value, dict):
                self.values |= {f"{key}.{inner}": content for inner, content in value.items()}
            else:
                self.values[key] = value

    def take(self, key: str) -> Any:
        if key not in self.values:
            raise SampleError(f"sample {self.name}: {key} is missing")
        return self.values.pop(key)

    def text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str):
            raise SampleError(f"sample {self.name}: {key} is {value!r}, it must be text")
        return value

    def number(self, key: str, *, low: float | None = None, high: float = math.inf) -> float:
        value = self.take(key)
        number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
        inside = number > 0.0 if low is None else number >= low
        if not (inside and number <= high and math.isfinite(number)):
            limits = "above 0" if low is None else f"at least {low:g}"
            limits += f" and at most {high:g}" if math.isfinite(high) else ""
            raise SampleError(f"sample {self.name}: {key} is {value!r}, it must be a number {limits}")
        return number

    def pair(self, stem: str, unit: str) -> tuple[float, float]:
        return self.number(f"{stem}_80K{unit}"), self.number(f"{stem}_300K{unit}")

    def finish(self) -> None:
        if self.values:
            raise SampleError(f"sample {self.name}: unknown key {sorted(self.values)[0]}")


def _linear(ends: tuple[float, float], temperature_K: float) -> float:
    cold, warm = ends
    value = cold + (warm - cold) * (temperature_K - COLD_K) / (WARM_K - COLD_K)
    # Far below 80 K a line would become negative; hold it at half its cold width.
    return max(value, 0.5 * min(cold, warm))


def _logistic(temperature_K: float, midpoint_K: float, steepness_K: float) -> float:
    return 1.0 / (1.0 + math.exp((temperature_K - midpoint_K) / steepness_K))


def _check_temperature(temperature_K: float) -> None:
    if not 4.0 <= temperature_K <= 500.0:
        raise SampleError(f"the samples are described from 4 to 500 K, not at {temperature_K:g} K")
