import numpy as np
import pytest

from labctl.emission.population import find_sample, population, population_names
from labctl.emission.sample import SampleError, load_sample


def test_ten_samples_have_the_papers_means_and_spreads():
    samples = population()
    assert len(samples) == 10 and tuple(sample.name for sample in samples) == population_names()
    light = [sample.emission(80.0) for sample in samples]
    fast = np.array([emission.component("coupled").lifetime_s for emission in light]) * 1e9
    slow = np.array([emission.component("uncoupled").lifetime_s for emission in light]) * 1e9
    assert fast.mean() == pytest.approx(0.23, abs=1e-9) and fast.std(ddof=1) == pytest.approx(0.05, abs=1e-9)
    assert slow.mean() == pytest.approx(0.90, abs=1e-9) and slow.std(ddof=1) == pytest.approx(0.13, abs=1e-9)
    assert np.all(fast < 0.5 * slow)


def test_fractions_and_shifts_lie_in_the_papers_ranges():
    others = [sample for sample in population() if sample.name not in ("xray-A", "xray-B")]
    fractions = [sample.coupled_fraction(80.0) for sample in others]
    shifts = [2.45 - sample.emission(80.0).component("coupled").energy_eV for sample in others]
    assert min(fractions) == pytest.approx(0.20) and max(fractions) == pytest.approx(0.60)
    assert min(shifts) == pytest.approx(0.080) and max(shifts) == pytest.approx(0.200)


def test_members_are_found_by_name():
    assert find_sample("uv") == load_sample("uv")
    assert find_sample("xray-07").name == "xray-07"
    with pytest.raises(SampleError, match="known are uv, xray-03"):
        find_sample("xray-11")
