"""Raman tables: what is read, what is refused, and the density they give."""

from __future__ import annotations

import numpy as np
import numpy.testing as npt
import pytest

from labctl.emission.raman_table import (
    RamanTableError,
    density_from_raman,
    load_raman_density,
    read_raman_table,
)
from labctl.emission.spectral_density import from_modes

GOOD = "# a comment\nRaman shift,Intensity (counts)\n10,1.5\n20;2.5\n\n30\t3.5 99\n"


def test_tables_are_read_with_any_usual_separator(tmp_path):
    file = tmp_path / "raman.csv"
    file.write_text(GOOD, encoding="utf-8")
    shift, intensity = read_raman_table(file)
    npt.assert_array_equal(shift, [10, 20, 30])
    npt.assert_array_equal(intensity, [1.5, 2.5, 3.5])


def test_a_falling_table_is_turned_round_and_a_byte_order_mark_ignored(tmp_path):
    file = tmp_path / "raman.txt"
    file.write_bytes(b"\xef\xbb\xbf30 1\r\n20 2\r\n10 3\r\n")
    shift, intensity = read_raman_table(file)
    npt.assert_array_equal(shift, [10, 20, 30])
    npt.assert_array_equal(intensity, [3, 2, 1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "at least 3 points, found 0"),
        (b"10 1\n20 2\n", "at least 3 points, found 2"),
        (b"10 1\n20\n30 3\n", "line 2: expected Raman shift"),
        (b"10 1\n20 two\n30 3\n", "line 2: expected Raman shift"),
        (b"heading\nsecond heading\n10 1\n", "line 2: expected Raman shift"),
        (b"10 1\n20 nan\n30 3\n", "line 2: .*finite"),
        (b"10 1\n20 inf\n30 3\n", "line 2: .*finite"),
        (b"10 1\n20 -2\n30 3\n", "line 2: negative intensity"),
        (b"10 1\n20 2\n20 3\n", "line 3: .*breaks the order"),
        (b"10 1\n10 2\n20 3\n", "line 2: .*breaks the order"),
        (b"10 1\n20 2\n15 3\n", "line 3: .*breaks the order"),
        (b"\xff\xfe\x00\x01\x80", "not a text file"),
        (b"10 0\n20 0\n30 0\n", "no light above"),
    ],
)
def test_an_unreadable_table_is_refused_with_file_and_line(tmp_path, content, message):
    file = tmp_path / "raman.txt"
    file.write_bytes(content)
    with pytest.raises(RamanTableError, match=message) as refusal:
        load_raman_density(file, huang_rhys=1.0, temperature_K=300.0)
    assert "raman.txt" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    with pytest.raises(RamanTableError, match="cannot be read"):
        read_raman_table(tmp_path / "nothing.txt")
    with pytest.raises(RamanTableError, match="cannot be read"):
        read_raman_table(tmp_path)


def test_a_synthetic_stokes_spectrum_gives_back_its_modes():
    """Intensity = (n + 1) J of a broad mode: freed of the thermal factor, the disorder is the mode's."""
    energy_eV, width_eV, temperature_K = 0.012, 0.001, 120.0
    shift = np.linspace(5, 250, 2000)
    energy = shift * 1.2398419843e-4
    density = np.exp(-0.5 * ((energy - energy_eV) / width_eV) ** 2) * energy**2
    occupation = 1 / np.expm1(energy / (8.617333262e-5 * temperature_K))
    found = density_from_raman(shift, density * (occupation + 1), huang_rhys=0.8, temperature_K=temperature_K)
    expected = from_modes([energy_eV], [0.8], [width_eV])
    assert found.huang_rhys == pytest.approx(0.8)
    npt.assert_allclose(found.variance_eV2([0, 80, 300]), expected.variance_eV2([0, 80, 300]), rtol=2e-3)


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_strength_and_temperature_must_be_positive_and_finite(wrong):
    with pytest.raises(RamanTableError, match="temperature_K"):
        density_from_raman([10, 20, 30], [1, 1, 1], huang_rhys=1.0, temperature_K=wrong)
    with pytest.raises(RamanTableError, match="Huang-Rhys"):
        density_from_raman([10, 20, 30], [1, 1, 1], huang_rhys=wrong, temperature_K=300.0)
