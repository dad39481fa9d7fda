"""Point files: what was measured comes back bit for bit, and other people's programs can read it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from labctl.store.point import PointData
from labctl.store.point_file import (
    PointContext,
    PointFileError,
    read_point_file,
    read_point_fit,
    write_point_file,
)

CONTEXT = PointContext(run="0001_x", title="temperature sweep", sample="xray-B", simulated=True)


def same(left: Any, right: Any) -> bool:
    """Equal in value and in type, arrays in every bit."""
    if isinstance(left, np.ndarray):
        return (
            isinstance(right, np.ndarray) and left.dtype == right.dtype and left.tobytes() == right.tobytes()
        )
    if dataclasses.is_dataclass(left) and not isinstance(left, type):
        names = [field.name for field in dataclasses.fields(left)]
        return type(left) is type(right) and all(same(getattr(left, n), getattr(right, n)) for n in names)
    return type(left) is type(right) and left == right


def nxcheck(path: Path) -> str:
    """What the nexusformat project's own checker says of a file, warnings included."""
    script = "import sys; from nexusformat.scripts.nxcheck import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "--warning", str(path)],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    return done.stdout + done.stderr


def test_a_point_comes_back_bit_for_bit(tmp_path: Path, make_point: Any, fit: dict[str, Any]) -> None:
    point = make_point()
    write_point_file(tmp_path / "point_003.nxs", point, fit, CONTEXT)

    back = read_point_file(tmp_path / "point_003.nxs")

    for field in dataclasses.fields(PointData):
        assert same(getattr(point, field.name), getattr(back, field.name)), field.name
    assert read_point_fit(tmp_path / "point_003.nxs") == fit


@pytest.mark.parametrize("missing", ["spectrum", "pairs", "truth", "background"])
def test_a_point_without_one_of_its_parts_comes_back_without_it(
    tmp_path: Path, make_point: Any, missing: str
) -> None:
    write_point_file(tmp_path / "point_003.nxs", make_point(**{missing: None}))

    back = read_point_file(tmp_path / "point_003.nxs")

    assert getattr(back, missing) is None
    assert read_point_fit(tmp_path / "point_003.nxs") is None


def test_the_spectrometers_response_comes_back(tmp_path: Path, make_point: Any) -> None:
    point = make_point()
    response = np.linspace(0.4, 1.0, point.spectrum.wavelength_nm.size)
    told = dataclasses.replace(point, spectrum=dataclasses.replace(point.spectrum, response=response))
    write_point_file(tmp_path / "told.nxs", told)

    read = read_point_file(tmp_path / "told.nxs").spectrum
    assert read is not None
    np.testing.assert_array_equal(read.response, response)
    with h5py.File(tmp_path / "told.nxs") as file:
        entry = file[file.attrs["default"]]
        # What is shown is light per pixel, not what the camera saw of it.
        seen = (point.spectrum.frames.mean(axis=0) - point.spectrum.dark.mean(axis=0)) / response
        assert np.median(entry["spectrum/intensity"][()] * point.spectrum.exposure_s / seen) == pytest.approx(
            1.0, abs=0.01
        )


def test_the_counters_background_is_a_rate_each_or_none(make_point: Any) -> None:
    assert make_point().background_Hz == (25.0, 30.0)
    assert make_point(background=None).background_Hz == (0.0, 0.0)


def test_lost_stretches_of_the_time_tags_come_back(tmp_path: Path, make_point: Any) -> None:
    point = make_point()
    edges = np.array([[0, 4 * 10**12, 1], [0, 10**9, 2]], dtype=np.int64)
    pairs = dataclasses.replace(point.pairs, delay_ps=-120, same_channel=True, edges=edges)
    write_point_file(tmp_path / "point_003.nxs", dataclasses.replace(point, pairs=pairs))

    assert same(read_point_file(tmp_path / "point_003.nxs").pairs, pairs)


def test_unmeasured_numbers_stay_unmeasured(tmp_path: Path, make_point: Any) -> None:
    write_point_file(tmp_path / "p.nxs", make_point(current_uA=float("nan"), truth={"tau_fast_s": None}))

    back = read_point_file(tmp_path / "p.nxs")

    assert np.isnan(back.current_uA)
    assert back.truth == {"tau_fast_s": None}


def test_a_point_file_is_never_written_twice(tmp_path: Path, make_point: Any) -> None:
    write_point_file(tmp_path / "point_003.nxs", make_point())
    before = (tmp_path / "point_003.nxs").read_bytes()

    with pytest.raises(FileExistsError, match=r"point_003\.nxs is there already"):
        write_point_file(tmp_path / "point_003.nxs", make_point(temperature_K=80.0))

    assert (tmp_path / "point_003.nxs").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["point_003.nxs"]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, make_point: Any) -> None:
    with pytest.raises(ValueError, match="NaN"):
        write_point_file(tmp_path / "p.nxs", make_point(began_epoch_s=float("nan")))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("contents", [b"", b"not HDF5 at all", "truncated"])
def test_a_damaged_file_is_named(tmp_path: Path, make_point: Any, contents: bytes | str) -> None:
    path = tmp_path / "point_003.nxs"
    if isinstance(contents, str):
        write_point_file(path, make_point())
        contents = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(contents)

    with pytest.raises(PointFileError, match=r"point_003\.nxs: not a readable point file"):
        read_point_file(path)


def test_nxcheck_finds_no_error_and_no_warning(tmp_path: Path, make_point: Any, fit: dict[str, Any]) -> None:
    write_point_file(tmp_path / "point_003.nxs", make_point(), fit, CONTEXT)

    said = nxcheck(tmp_path / "point_003.nxs")

    assert "Total number of errors: 0" in said, said
    assert "Total number of warnings: 0" in said, said


def test_whole_numbers_given_for_a_temperature_are_no_fault(tmp_path: Path, make_point: Any) -> None:
    write_point_file(tmp_path / "p.nxs", make_point(temperature_K=80, set_point_K=80, voltage_kV=40))

    assert "Total number of warnings: 0" in nxcheck(tmp_path / "p.nxs")
    assert same(read_point_file(tmp_path / "p.nxs").temperature_K, 80.0)


def test_the_checker_does_see_an_error(tmp_path: Path, make_point: Any) -> None:
    write_point_file(tmp_path / "p.nxs", make_point())
    with h5py.File(tmp_path / "p.nxs", "r+") as file:
        del file["point_003/spectrum"].attrs["signal"]

    assert "Total number of errors: 1" in nxcheck(tmp_path / "p.nxs")


def test_the_default_chain_leads_to_a_plot(tmp_path: Path, make_point: Any) -> None:
    write_point_file(tmp_path / "point_003.nxs", make_point())

    with h5py.File(tmp_path / "point_003.nxs") as file:
        entry = file[file.attrs["default"]]
        plot = entry[entry.attrs["default"]]
        signal, axis = plot[plot.attrs["signal"]], plot[plot.attrs["axes"][0]]
        assert plot.attrs["NX_class"] == "NXdata"
        assert signal.shape == axis.shape == (256,)
        assert (signal.attrs["units"], axis.attrs["units"]) == ("count/s", "nm")
        # Brightest where the made-up light is: 506 nm, 900 counts in 0.3 s.
        assert axis[np.argmax(signal[()])] == pytest.approx(506.0, abs=2.0)
        assert signal[()].max() == pytest.approx(900 / 0.3, rel=0.05)


def test_every_number_says_its_unit_and_where_it_came_from(
    tmp_path: Path, make_point: Any, fit: dict[str, Any]
) -> None:
    write_point_file(tmp_path / "point_003.nxs", make_point(), fit, CONTEXT)
    bare: list[str] = []

    def look(name: str, node: Any) -> None:
        number = isinstance(node, h5py.Dataset) and node.dtype.kind in "iuf"
        if number and not {"units", "source"} <= set(node.attrs):
            bare.append(name)

    with h5py.File(tmp_path / "point_003.nxs") as file:
        file.visititems(look)
        assert bare == []
        sample, source = file["point_003/sample"], file["point_003/instrument/source"]
        assert sample["temperature"].attrs["source"] == "measured"
        assert sample["temperature_set"].attrs["source"] == "commanded"
        assert file["point_003/readings/collection_spot"].attrs["source"] == "entered"
        assert file["point_003/simulated_truth/tau_fast_s"].attrs["source"] == "simulated"
        assert source["voltage"].attrs["units"] == "kV"


def test_the_fit_is_kept_as_a_process_with_errors_and_version(
    tmp_path: Path, make_point: Any, fit: dict[str, Any]
) -> None:
    write_point_file(tmp_path / "point_003.nxs", make_point(), fit)

    with h5py.File(tmp_path / "point_003.nxs") as file:
        process = file["point_003/fit"]
        assert process.attrs["NX_class"] == "NXprocess"
        assert process["results/tau_fast_s"][()] == 0.236e-9
        assert process["results/tau_fast_s_errors"][()] == 0.006e-9
        assert process["results/tau_fast_s"].attrs["units"] == "s"
        assert "mu" not in process["results"]
        assert process["version"].asstr()[()] != ""
        assert json.loads(process["record/data"].asstr()[()]) == fit
