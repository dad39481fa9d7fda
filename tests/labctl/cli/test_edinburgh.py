"""`labctl edinburgh`: spectra of known peaks are shown, converted and fitted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from labctl.cli.main import main

EXPORT = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "edinburgh_trpl_export.csv"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Two emission scans: two peaks as raw counts, and one peak as corrected counts (scaled by 0.0137)."""
    generator = np.random.Generator(np.random.PCG64(3))
    nm = np.arange(440.0, 620.5, 0.5)
    energy = 1239.841984 / nm

    def light(fraction: float) -> np.ndarray:
        first = np.exp(-0.5 * ((energy - 2.45) / 0.045) ** 2) / 0.045
        second = np.exp(-0.5 * ((energy - 2.36) / 0.060) ** 2) / 0.060
        whole = ((1 - fraction) * first + fraction * second) * energy**2
        return np.asarray(whole / whole.max())

    raw = generator.poisson(20_000 * light(0.5) + 30)
    corrected = generator.poisson(5000 * light(0.0) + 30) * 0.0137
    head = "Labels,80 K,300 K,\nType,Emission Scan,Emission Scan,\nFixed/Offset,375.00,380.00,\n"
    head += "Xaxis,Wavelength,Wavelength,\nYaxis,Counts,Counts,\n\n"
    rows = "".join(f"{x:.2f},{a:.8E},{b:.8E},\n" for x, a, b in zip(nm, raw, corrected, strict=True))
    path = tmp_path / "emission.csv"
    path.write_text(head + rows, encoding="utf-8")
    return path


def test_peaks_of_emission_scans_come_back_within_their_errors(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    assert main(["edinburgh", str(export), "--peaks", "auto", "--out", str(table), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["curves"]
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    truth = [(2.45, 0.045, 0.5), (2.36, 0.060, 0.5)]
    for peak, (energy, sigma, share) in zip(first["fit"]["peaks"], truth, strict=True):
        for key, true in (("energy_eV", energy), ("sigma_eV", sigma), ("share", share)):
            assert peak[key]["value"] == pytest.approx(true, abs=4 * peak[key]["error"]), key
            assert peak[key]["error"] < 0.03 * true
    (peak,) = second["fit"]["peaks"]
    assert peak["energy_eV"]["value"] == pytest.approx(2.45, abs=4 * peak["energy_eV"]["error"])
    # The noise of corrected counts is found from the data: chi2 is about its degrees of freedom.
    assert second["fit"]["goodness"]["chi2"] / second["fit"]["goodness"]["dof"] == pytest.approx(1, abs=0.35)
    lines = table.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "curve,kind,quantity,unit,x,counts" and len(lines) == 1 + 2 * 361
    assert lines[1].startswith("80 K,Emission Scan,Wavelength,nm,440,")


def test_curves_are_listed_with_their_excitation(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["edinburgh", str(export)]) == 0
    said = capsys.readouterr().out
    assert "80 K: Emission Scan, 361 points from 440 to 620 nm" in said and "fixed/offset 380.00" in said
    assert main(["edinburgh", str(export), "--peaks", "9"]) == 2
    assert main(["edinburgh", str(tmp_path / "absent.csv")]) == 2
    assert "no such file" in capsys.readouterr().err
    if EXPORT.exists():
        assert main(["edinburgh", str(EXPORT), "--peaks", "1"]) == 2
        assert "labctl tags decay" in capsys.readouterr().err


def test_a_decay_without_a_single_count_is_drawn(tmp_path: Path) -> None:
    # A warning, such as that of a logarithmic axis without a positive value, is an error in these tests.
    path = tmp_path / "dark.csv"
    path.write_text("Type,Time Scan,\nXAxis,Time(ns),\n\n0,0,\n1,0,\n2,0,\n3,0,\n", encoding="utf-8")
    assert main(["edinburgh", str(path), "--out", str(tmp_path / "t.csv")]) == 0
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_read_is_never_overwritten(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = export.read_bytes()
    assert main(["edinburgh", str(export), "--out", str(export)]) == 2
    assert "is what is read, and would be overwritten" in capsys.readouterr().err
    assert main(["edinburgh", str(export), "--out", str(export.with_suffix(".png"))]) == 2
    assert "this is for the table" in capsys.readouterr().err
    export.with_name("folder.csv").mkdir()
    assert main(["edinburgh", str(export), "--out", str(export.with_name("folder.csv"))]) == 2
    assert "a folder of this name is in the way" in capsys.readouterr().err
    assert main(["edinburgh", str(export), "--out", str(export.with_name("x" * 300 + ".csv"))]) == 2
    assert "no file can have this name" in capsys.readouterr().err
    assert export.read_bytes() == before
    assert sorted(path.name for path in export.parent.iterdir()) == ["emission.csv", "folder.csv"]


def test_a_name_with_dollars_is_no_formula(export: Path, tmp_path: Path) -> None:
    odd = export.rename(tmp_path / r"5$ \foo $.csv")
    assert main(["edinburgh", str(odd), "--out", str(tmp_path / "table.csv")]) == 0
    assert (tmp_path / "table.png").stat().st_size > 10_000


def test_a_position_that_jumps_back_is_named_with_its_line(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = export.read_text(encoding="utf-8")
    export.write_text(text.replace("\n450.50,", "\n050.50,"), encoding="utf-8")
    assert main(["edinburgh", str(export), "--out", str(tmp_path / "t.csv")]) == 2
    line = 1 + text[: text.index("\n450.50,") + 1].count("\n")
    assert f"{export}:{line}: 50.5 nm comes after 450 nm" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()


def test_a_spectrum_with_a_wide_gap_is_fitted(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 24.5 to 2.8 eV without a point: most lines of the first guess's grid lie in the gap.
    text = export.read_text(encoding="utf-8").replace("\n440.00,", "\n050.50,")
    export.write_text(text, encoding="utf-8")
    assert main(["edinburgh", str(export), "--peaks", "1", "--out", str(tmp_path / "t.csv"), "--json"]) == 0
    (peak,) = json.loads(capsys.readouterr().out)["curves"][1]["fit"]["peaks"]
    assert peak["energy_eV"]["value"] == pytest.approx(2.45, abs=0.01)


def test_a_folder_in_the_place_of_an_export_is_named_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["edinburgh", str(tmp_path), "--out", str(tmp_path / "t.csv")]) == 2
    assert f"{tmp_path}: this is a folder" in capsys.readouterr().err
