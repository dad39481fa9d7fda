import json

import numpy as np
import pytest

from labctl.cli.main import main


def call(capsys, *arguments):
    code = main(["emission", *arguments])
    return code, capsys.readouterr()


def test_components_of_sample_A_at_80_K(tmp_path, capsys):
    figure = tmp_path / "a.png"
    code, text = call(
        capsys, "--sample", "A", "--temperature", "80", "--excitation", "xray", "--out", str(figure)
    )
    assert code == 0
    assert "coupled" in text.out and "0.770" in text.out and "0.240 ns" in text.out and "2.130 eV" in text.out
    assert "extrapolated" not in text.out
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "folder.svg").mkdir()
    code, text = call(capsys, "--sample", "uv", "--out", str(tmp_path / "folder.svg"))
    assert code == 2 and "folder.svg: cannot be written (" in text.err


def test_json_gives_one_object(tmp_path, capsys):
    code, text = call(capsys, "--sample", "uv", "--json", "--out", str(tmp_path / "uv.png"))
    fields = json.loads(text.out)
    assert code == 0 and fields["sample"] == "uv" and fields["contrast_s"] is None
    assert fields["components"][0] == pytest.approx(
        {"name": "coupled", "energy_eV": 2.39, "width_eV": 0.026, "weight": 0.51, "lifetime_s": 1.29e-9}
    )


def test_uv_excitation_of_the_papers_samples(tmp_path, capsys):
    code, text = call(capsys, "--sample", "A", "--excitation", "uv", "--out", str(tmp_path / "x.png"))
    assert code == 0 and text.out.startswith("uv: ")


def test_a_later_cooling_cycle_is_nearly_the_same_light(tmp_path, capsys):
    _, text = call(capsys, "--cycle", "7", "--json", "--out", str(tmp_path / "c.png"))
    share = json.loads(text.out)["components"][0]["weight"]
    # three deviations of the 2 % that the data file gives
    assert abs(share - 0.77) > 1e-6 and share == pytest.approx(0.77, rel=0.06)


def test_the_ten_samples_have_the_papers_means(tmp_path, capsys):
    figure = tmp_path / "ten.png"
    code, text = call(capsys, "--population", "--out", str(figure))
    assert code == 0 and figure.stat().st_size > 10_000
    assert "coupled lifetime: 0.230 +- 0.050 ns over 10 samples" in text.out
    assert "uncoupled lifetime: 0.900 +- 0.130 ns over 10 samples" in text.out


def test_warm_samples_without_coupled_light_are_listed_all_the_same(tmp_path, capsys):
    code, text = call(
        capsys, "--population", "--temperature", "300", "--json", "--out", str(tmp_path / "ten.png")
    )
    samples = json.loads(text.out)["samples"]
    assert code == 0 and [row["shift_eV"] is None for row in samples] == [False] + [True] * 9


def test_smaller_spots_see_more_coupled_light(tmp_path, capsys):
    _, text = call(capsys, "--spot", "13", "--json", "--out", str(tmp_path / "s.svg"))
    assert json.loads(text.out)["components"][0]["weight"] == pytest.approx(0.77 * 1.037)


def test_a_temperature_that_nobody_measured_is_marked(tmp_path, capsys):
    options = (
        "--temperature",
        "40",
        "--spot",
        "400",
        "--bursts",
        "cascade",
        "--out",
        str(tmp_path / "s.png"),
    )
    _, text = call(capsys, *options)
    assert "40 K is extrapolated" in text.out and "400 um is extrapolated" in text.out
    assert "cascade bursts" in text.out


def test_a_raman_table_says_what_its_lattice_would_do(tmp_path, capsys):
    table = tmp_path / "raman.csv"
    shift = range(1, 400)
    rows = [f"{x},{100 / (1 + ((x - 150) / 0.5) ** 2) ** 2}" for x in shift]
    table.write_text("shift,intensity\n" + "\n".join(rows) + "\n", encoding="utf-8")
    options = ("--raman", str(table), "--huang-rhys", "0.5", "--json", "--out", str(tmp_path / "r.svg"))
    _, text = call(capsys, *options)
    lattice = json.loads(text.out)["lattice"]
    assert lattice["huang_rhys"] == pytest.approx(0.5)
    # one mode of 150 1/cm (18.6 meV) at 80 K over the floor of 8 meV
    one = 0.5 * 0.0186**2 / np.tanh(0.0186 / (2 * 8.617e-5 * 80))
    assert lattice["disorder_eV"] == pytest.approx(np.sqrt(one + 0.008**2), rel=0.03)


def test_warming_lags_as_far_as_asked_and_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("labctl.cli.emission_figure.draw_light", lambda *_, **__: None)
    said, share = {}, {}
    for name, words in (
        ("cooling", ["150"]),
        ("no hysteresis", ["150", "--warming"]),
        ("lagging", ["150", "--warming", "--hysteresis-K", "12"]),
        ("cooling, colder", ["138"]),
    ):
        said[name] = call(capsys, "--temperature", *words)[1].out
        share[name] = json.loads(call(capsys, "--temperature", *words, "--json")[1].out)["components"][0][
            "weight"
        ]
    assert "on warming as on cooling: the data file has no hysteresis" in said["no hysteresis"]
    assert "150 K on warming" in said["lagging"] and "lags by 12 K" in said["lagging"]
    assert share["no hysteresis"] == share["cooling"]
    # A midpoint 12 K higher at 150 K: the share of 138 K on cooling, but for the scaling to the ends.
    assert share["lagging"] == pytest.approx(share["cooling, colder"], rel=0.02) != share["cooling"]


def test_an_unreadable_raman_table_is_refused_with_its_line(tmp_path, capsys):
    table = tmp_path / "raman.csv"
    table.write_text("100,1\n101,two\n102,3\n", encoding="utf-8")
    code, text = call(capsys, "--raman", str(table), "--out", str(tmp_path / "r.svg"))
    assert code == 2 and "raman.csv, line 2: expected Raman shift" in text.err
    assert not (tmp_path / "r.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sample", "Z"], "no sample named 'xray-Z': known are"),
        (["--temperature", "-3"], "4 to 500 K"),
        (["--sample", "07", "--excitation", "uv"], "only the paper's ultraviolet sample"),
        (["--sample", "uv", "--excitation", "xray"], "not under xray"),
        (["--out", "nowhere/at/all.png"], "does not exist"),
        (["--xrays-per-s", "1e-300"], "it must be from 0.001 to 1e+15 per s"),
        (["--response-ps", "nan"], "from 0"),
        (["--response-ps", "1.1e6"], "--response-ps 1.1e+06: it must be from 0 to 1e+06 ps"),
        (["--temperature", "nan"], "4 to 500 K"),
        (["--cycle", "0"], "counted from 1"),
        (["--warming", "--hysteresis-K", "-1"], "--hysteresis-K -1: it must be from 0 to 100 K"),
        (["--warming", "--hysteresis-K", "nan"], "--hysteresis-K: nan: a finite number is expected"),
        (["--hysteresis-K", "5"], "give --warming, too"),
        (["--sample", "A@two"], "number of the cooling cycle"),
        (["--sample", "A@2", "--cycle", "3"], "given twice"),
        (["--population", "--excitation", "uv"], "under X-rays only"),
        (["--raman", "nowhere.csv"], "nowhere.csv"),
        (["--out", "light.txt"], "a figure is a .png"),
        (["--huang-rhys", "2"], "give --raman, too"),
        (["--population", "--sample", "07"], "leave out --sample 07"),
        (["--population", "--raman", "r.csv"], "leave out --raman r.csv"),
        (["--sample", "uv", "--bursts", "cascade"], "uv is excited by uv, not by X-rays"),
    ],
)
def test_wrong_input_is_named(capsys, arguments, message):
    code, text = call(capsys, *arguments)
    assert code == 2 and message in text.err
