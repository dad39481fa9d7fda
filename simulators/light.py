"""The light that the sample gives now: beam and temperature in, photons per second out.

What is known and what is chosen:

* an X-ray tube's characteristic K alpha yield follows I (U - U_K)^n with U_K = 8.98 kV for Cu and n between
  1.5 and 1.7 (M. Green, Proc. Phys. Soc. 82 (1963) 204); n = 1.6 here. Below U_K no characteristic line is
  excited and the weak, soft continuum is left out;
* the scale is chosen: 40 kV and 300 uA give 1e6 absorbed X-rays per second in the collection spot;
* photons per X-ray and their fall on warming come from the sample's data file;
* the share of the emitted photons that leaves the fibre's far end (solid angle, reflections, spot, coupling)
  is chosen so that an X-ray sends 0.1 photons through the fibre at 80 K: about 23 000 counts per second on
  each of two counters behind a splitter, as in a good measurement of the kind;
* the lamp (excitation ``"uv"``) is taken as always on and steady, with a chosen strength.
"""

from __future__ import annotations

from functools import lru_cache

from labctl.emission.components import Emission
from labctl.emission.population import find_sample
from labctl.emission.sample import Sample
from simulators.world import Conditions, WorldView

CU_K_EDGE_kV = 8.98
YIELD_EXPONENT = 1.6
REFERENCE_VOLTAGE_kV = 40.0
REFERENCE_CURRENT_uA = 300.0
REFERENCE_XRAYS_Hz = 1.0e6
LAMP_PHOTONS_Hz = 4.0e8
FIBRE_SHARE = 2.5e-4


def xray_rate_Hz(voltage_kV: float, current_uA: float) -> float:
    """X-rays absorbed in the collection spot per second, 0 below the Cu K edge.

    Args:
        voltage_kV: Tube voltage.
        current_uA: Tube current.
    """
    if voltage_kV <= CU_K_EDGE_kV or current_uA <= 0:
        return 0.0
    over = (voltage_kV - CU_K_EDGE_kV) / (REFERENCE_VOLTAGE_kV - CU_K_EDGE_kV)
    return float(REFERENCE_XRAYS_Hz * current_uA / REFERENCE_CURRENT_uA * over**YIELD_EXPONENT)


def photons_per_xray(world: WorldView, conditions: Conditions) -> float:
    """Mean number of photons that one absorbed X-ray makes, in all directions."""
    sample = _sample(world.sample)
    return sample.photons_per_xray * sample.light_yield(conditions.stage_temperature_K)


def emission_now(world: WorldView, conditions: Conditions) -> tuple[Emission, float]:
    """The sample's light under these conditions.

    Args:
        world: Which sample, excited how.
        conditions: Stage temperature, lag and beam.

    Returns:
        The components, and the photons emitted per second in all directions (0 without beam or lamp).
    """
    sample = _sample(world.sample)
    emission = sample.emission(conditions.stage_temperature_K, lag_K=conditions.lag_K)
    if world.excitation == "uv":
        return emission, LAMP_PHOTONS_Hz * sample.light_yield(conditions.stage_temperature_K)
    xrays_Hz = xray_rate_Hz(conditions.voltage_kV, conditions.current_uA)
    return emission, xrays_Hz * photons_per_xray(world, conditions)


def fibre_photons(world: WorldView, conditions: Conditions) -> tuple[Emission, float]:
    """The light that leaves the fibre's far end, wherever it is sent: components, photons per second."""
    emission, emitted_Hz = emission_now(world, conditions)
    return emission, emitted_Hz * FIBRE_SHARE


@lru_cache(maxsize=16)
def _sample(name: str) -> Sample:
    return find_sample(name)
