"""``labctl fit``: the same numbers again from disk, nothing overwritten."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from labctl.cli import fit as command
from labctl.cli.output import Output
from labctl.cli.table import point_line, results_table
from labctl.emission.components import pair_share_in_bins, spectrum_per_nm
from labctl.emission.sample import load_sample
from labctl.errors import InputError
from labctl.fitting.point import fit_point
from labctl.photons.g2 import PairBlocks
from labctl.spectra.frames import SpectrumData
from labctl.store.point import PointData
from labctl.store.run_directory import RunDirectory
from labctl.store.table import result_row
from labctl.store.truth import true_values

SIGMA_S = 60e-12


def call(*words: str, as_json: bool = False, width: int = 80) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = Output(as_json=as_json)
    said = io.StringIO()
    out.console = Console(file=said, width=width, highlight=False)
    return command.run(parser.parse_args(words), out), said.getvalue()


def simulated_point(index: int, temperature_K: float) -> PointData:
    """A point of sample B: Poisson noise on the closed forms."""
    rng = np.random.default_rng(90 + index)
    light = load_sample("xray-B").emission(temperature_K)
    wavelength_nm = np.linspace(440.0, 640.0, 256)
    shape = spectrum_per_nm(light, wavelength_nm)
    frames = rng.poisson(4000.0 * shape / shape.max(), (5, 256)) + rng.normal(300.0, 4.0, (5, 256)).round()
    spectrum = SpectrumData(
        wavelength_nm=wavelength_nm,
        frames=frames.astype(np.int64),
        dark=rng.normal(300.0, 4.0, (3, 256)).round().astype(np.int64),
        exposure_s=5.0,
        gain_electrons_per_count=1.0,
        read_noise_electrons=4.0,
        saturation_counts=65535,
    )
    window_ps, bin_ps, n_blocks, expected = 16_000, 50, 24, 30.0
    # A bin holds the mean of g2 over its integer delays, not g2 at its centre.
    edges_s = (-window_ps + bin_ps * np.arange(641) - 0.5) * 1e-12
    correlated = 2e-9 * pair_share_in_bins(light, edges_s, sigma_s=SIGMA_S) / (bin_ps * 1e-12)
    tags = round((expected / bin_ps * 60e12) ** 0.5)
    pairs = PairBlocks(
        window_ps=window_ps,
        bin_ps=bin_ps,
        pairs=rng.poisson(expected * (1.0 + correlated), (n_blocks, 640)).astype(np.uint64),
        start_tags=np.full(n_blocks, tags, dtype=np.int64),
        stop_tags=np.full(n_blocks, tags, dtype=np.int64),
        duration_ps=np.full(n_blocks, 60 * 10**12, dtype=np.int64),
    )
    return PointData(
        index=index,
        set_point_K=temperature_K,
        temperature_K=temperature_K,
        temperature_sd_K=0.01,
        voltage_kV=40.0,
        current_uA=300.0,
        began_epoch_s=1.79e9,
        ended_epoch_s=1.79e9 + 100,
        spectrum=spectrum,
        pairs=pairs,
        truth=dict(true_values(light)),
        response_sigma_s=SIGMA_S,
        background=dataclasses.replace(
            pairs,
            pairs=np.zeros((1, 640), dtype=np.uint64),
            start_tags=np.array([200], dtype=np.int64),
            stop_tags=np.array([300], dtype=np.int64),
            duration_ps=np.array([10 * 10**12], dtype=np.int64),
        ),
    )


@pytest.fixture(scope="module")
def points() -> list[PointData]:
    return [simulated_point(0, 120.0), simulated_point(1, 80.0)]


@pytest.fixture(scope="module")
def fits(points: list[PointData]) -> list[dict[str, Any]]:
    return [
        fit_point(
            p.spectrum, p.pairs, response_sigma_s=p.response_sigma_s, background_Hz=p.background_Hz
        ).to_dict()
        for p in points
    ]


@pytest.fixture
def data(tmp_path: Path, points: list[PointData], fits: list[dict[str, Any]]) -> Path:
    with RunDirectory.create(tmp_path, "sweep", {"title": "Temperature sweep", "sample": "xray-B"}) as run:
        for point, fitted in zip(points, fits, strict=True):
            run.write_point(point)
            run.write_fit(point.index, fitted)
        run.finish("done")
    return tmp_path


def test_a_fit_from_disk_gives_the_same_numbers(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = call("1", "--data", str(data), as_json=True)

    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert found["all_same"] is True
    assert [row["comparison"]["largest_sigmas"] for row in found["points"]] == [0.0, 0.0]
    assert "Same as stored: all 2 points." in said


def test_the_true_values_lie_within_three_errors(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("1", "--data", str(data), as_json=True)

    for row in json.loads(capsys.readouterr().out)["points"]:
        for name in ("red_shift_eV", "coupled_fraction", "tau_fast_s", "tau_slow_s"):
            assert abs(row[name]["sigmas"]) < 3.0, name
            assert row[name]["true"] > 0


def test_the_table_shows_value_error_truth_and_verdict_in_80_columns(data: Path) -> None:
    said = call("1", "--data", str(data))[1]

    table = said[said.index("\n") :]
    assert "(meV)" in table and "(ns)" in table
    assert "56.0" in said and "0.24" in said and " sd" in said
    assert said.count("same") >= 2
    assert max(len(line) for line in said.splitlines() if "true:" not in line) <= 90


def test_a_changed_fit_is_told_with_its_distance(data: Path, fits: list[dict[str, Any]]) -> None:
    run = RunDirectory.open(data / next(p.name for p in data.iterdir() if p.is_dir()))
    slow = fits[1]["tau_slow_s"]
    run.write_fit(1, {**fits[1], "tau_slow_s": {**slow, "value": slow["value"] + 0.5 * slow["error"]}})

    said = call("1", "--data", str(data))[1]

    assert "differs from the stored fit: tau_slow by 0.5 of its errors" in said
    assert "same as stored: 1, different: 1, without a stored fit: 0" in said


def test_nothing_is_written_unless_asked(data: Path) -> None:
    def files() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in data.rglob("*") if p.is_file()}

    before = files()
    call("1", "--data", str(data))

    assert files() == before


def test_saving_keeps_the_older_fit_under_a_version(data: Path, fits: list[dict[str, Any]]) -> None:
    run = RunDirectory.open(data / next(p.name for p in data.iterdir() if p.is_dir()))
    older = {**fits[1], "mu": None, "tau_slow_s": {"value": 1e-9, "error": 1e-11}}
    run.write_fit(1, older)

    said = call("1", "--data", str(data), "--save")[1]

    assert "Saved 1 new fits" in said
    assert run.read_fits()[1] == fits[1]
    folder = run.path / "fits"
    assert sorted(p.name for p in folder.iterdir()) == [
        "point_000.json",
        "point_001.json",
        "point_001.v1.json",
        "point_001.v2.json",
    ]
    assert json.loads((folder / "point_001.v2.json").read_text(encoding="utf-8"))["fit"] == older
    assert "Nothing new to save." in call("1", "--data", str(data), "--save")[1]


def test_a_run_without_stored_fits_can_be_fitted_and_saved(tmp_path: Path, points: list[PointData]) -> None:
    with RunDirectory.create(tmp_path, "raw", {}) as run:
        run.write_point(points[1])

    said = call("1", "--data", str(tmp_path), "--save")[1]

    assert "without a stored fit: 1" in said
    assert run.read_fits().keys() == {1}


def test_a_damaged_point_is_named_and_the_others_fitted(data: Path) -> None:
    run = RunDirectory.open(data / next(p.name for p in data.iterdir() if p.is_dir()))
    run.point_path(0).write_bytes(b"damaged")

    code, said = call("1", "--data", str(data))

    assert code == 1
    assert "Not read:" in said and "point_000.nxs" in said
    assert "Same as stored: all 1 point." in said


def test_a_running_run_is_fitted_but_not_saved_into(tmp_path: Path, points: list[PointData]) -> None:
    with RunDirectory.create(tmp_path, "now", {}) as run:
        run.write_point(points[1])
        assert call("1", "--data", str(tmp_path))[0] == 0
        with pytest.raises(InputError, match="still being measured"):
            call("1", "--data", str(tmp_path), "--save")


def test_a_run_without_points_is_refused(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path, "empty", {}) as run:
        (run.path / "tags" / "point_000").mkdir(parents=True)

    with pytest.raises(InputError, match=r"has no finished point to fit; .*tags check .*point_000"):
        call("1", "--data", str(tmp_path))


def test_an_unknown_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no runs in"):
        call("7", "--data", str(tmp_path))


def test_a_point_that_cannot_be_fitted_says_why(tmp_path: Path, points: list[PointData]) -> None:
    assert points[1].spectrum is not None
    dark = dataclasses.replace(points[1].spectrum, frames=points[1].spectrum.dark)
    with RunDirectory.create(tmp_path, "dark", {}) as run:
        run.write_point(dataclasses.replace(points[1], spectrum=dark, pairs=None))

    code, said = call("1", "--data", str(tmp_path))

    assert code == 0
    assert "80 K: spectrum:" in said


def test_options_are_kept_with_the_fits_that_they_made(
    data: Path, fits: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("1", "--data", str(data), "--points", "1", "--fix", "lifetime_slow_ns=0.7", "--intervals")
    code, said = call(*words, "--save", as_json=True)

    found = json.loads(capsys.readouterr().out)["points"]
    run = RunDirectory.open(data / next(p.name for p in data.iterdir() if p.is_dir()))
    assert code == 0
    assert [row["point"] for row in found] == [1]
    assert found[0]["tau_slow_s"] == {"value": 0.7e-9, "error": 0.0, "true": 0.74e-9, "sigmas": None}
    assert found[0]["stored_fit"]["tau_slow_s"] == fits[1]["tau_slow_s"]
    assert "lifetime_slow_s held at 7e-10" in said and "stored: red-shift" in said
    # The profile of a lifetime known to a few percent rises as its error says.
    fast, interval = found[0]["tau_fast_s"], found[0]["intervals"]["lifetime_fast_s"]
    assert interval["high"] - interval["low"] == pytest.approx(2.0 * fast["error"], rel=0.15)
    assert interval["low"] < fast["value"] < interval["high"]
    kept = json.loads(run.fit_path(1).read_text(encoding="utf-8"))
    assert kept["options"]["constraints"][0]["fixed"] == 0.7e-9
    assert kept["intervals"] == found[0]["intervals"]
    assert run.read_fit_options(0) == {}
    assert "Nothing new to save." not in call(*words, "--save")[1]
    assert "was made with lifetime_slow_s held at 7e-10" in call("1", "--data", str(data))[1]


def test_the_joint_fit_of_a_point_agrees_with_the_truth_and_keeps_intervals_and_residuals(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("1", "--data", str(data), "--joint", "--intervals", "--temperatures", ":100", "--save")
    said = call(*words, as_json=True)[1]

    (row,) = json.loads(capsys.readouterr().out)["points"]
    assert row["comparison"]["same"] is False
    for name in ("red_shift_eV", "coupled_fraction", "tau_fast_s", "tau_slow_s"):
        assert abs(row[name]["sigmas"]) < 3.0, name
    results = {"shift_eV": "red_shift_eV", "fraction": "coupled_fraction", "lifetime_fast_s": "tau_fast_s"}
    for name, result in results.items():
        interval, value = row["intervals"][name], row[result]
        assert interval["low"] < value["value"] == interval["value"] < interval["high"]
        assert interval["high"] - interval["low"] == pytest.approx(2.0 * value["error"], rel=0.15)
    assert "red-shift 1" in said and " meV (profile, 68 %)" in said and " % (profile, 68 %)" in said
    kept = json.loads(Path(row["saved"]).read_text(encoding="utf-8"))
    assert kept["intervals"] == row["intervals"] and kept["fit"]["joint"]["software"].startswith("labctl ")
    # 256 pixels without those of the cosmic rays; pulls of mean square 1 +- 0.09.
    pull = np.array(kept["residuals"]["spectrum"]["pull"])
    assert pull.size == len(kept["residuals"]["spectrum"]["energy_eV"]) == 256
    assert np.mean(pull**2) == pytest.approx(1.0, abs=0.35)
    pull = np.array(kept["residuals"]["g2"]["pull"])
    assert np.mean(pull**2) == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / pull.size))


def test_all_temperatures_in_one_fit_are_said_and_kept(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = call("1", "--data", str(data), "--sweep", "--share", "lifetimes", "--save", as_json=True)[1]

    run = RunDirectory.open(data / next(p.name for p in data.iterdir() if p.is_dir()))
    sweep = json.loads(capsys.readouterr().out)["sweep"]
    assert run.read_sweep_fit() == sweep
    assert sweep["background_Hz"] == [[20.0, 30.0], [20.0, 30.0]]
    assert "laws for lifetimes:" in said and "By the common laws" in said
    # Sample B: 3.35 ns at 300 K and 0.74 ns at 80 K make A_X = ln(3.35/0.741) / (1/80 - 1/300) = 164.6 K.
    at = sweep["estimates"]["names"].index("rate_constant_slow_K")
    value, variance = sweep["estimates"]["values"][at], sweep["estimates"]["covariance"][at][at]
    assert abs(value - 164.6) < 3.5 * variance**0.5
    assert "its law needs 4" in call("1", "--data", str(data), "--sweep")[1]


# The row's numbers and the paper's way of writing them: value, error in the last digit.
def test_the_line_of_a_point_gives_each_number_with_error_and_truth(points: list[PointData]) -> None:
    fields = {
        "red_shift_eV": {"value": 0.3195, "error": 0.0021},
        "coupled_fraction": {"value": 0.771, "error": 0.006},
        "tau_fast_s": {"value": 0.236e-9, "error": 0.006e-9},
        "tau_slow_s": None,
    }
    row = result_row(points[1], fields)

    assert point_line(row) == (
        "  80.00 K   red-shift 320(2) meV   coupled 77.1(6) %   tau_fast 0.236(6) ns   tau_slow -"
        "   true: 120 meV, 56.0 %, 0.240 ns, 0.74 ns"
    )


def test_the_line_of_a_point_gives_both_sides_of_a_lopsided_interval(points: list[PointData]) -> None:
    slow = {"value": 1.24e-9, "error": 0.155e-9, "below": 0.11e-9, "above": 0.20e-9}

    said = point_line(result_row(points[1], {"tau_slow_s": slow}))

    assert "tau_slow 1.24 +0.20 -0.11 ns   true:" in said and said.endswith(", 0.74 ns")


def test_far_from_the_truth_is_marked(points: list[PointData]) -> None:
    row = result_row(points[1], {"tau_fast_s": {"value": 0.30e-9, "error": 0.01e-9}})
    console = Console(file=io.StringIO(), width=100, highlight=False)

    console.print(results_table([row]))

    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "+6.0 sd*" in said
    assert "* more than 3" in said


def test_a_measured_sample_has_no_word_of_truth(points: list[PointData], fits: list[dict[str, Any]]) -> None:
    row = result_row(dataclasses.replace(points[1], truth=None), fits[1])
    console = Console(file=io.StringIO(), width=100, highlight=False)

    console.print(results_table([row]))

    assert "true" not in point_line(row)
    assert "sd" not in console.file.getvalue()  # type: ignore[attr-defined]
