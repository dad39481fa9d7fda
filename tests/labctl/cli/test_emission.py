import json

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
    assert figure.read_bytes().startswith(b"\x89PNG")


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sample", "Z"], "no sample named 'xray-Z': known are"),
        (["--temperature", "-3"], "4 to 500 K"),
        (["--sample", "07", "--excitation", "uv"], "only the paper's ultraviolet sample"),
        (["--sample", "uv", "--excitation", "xray"], "not under xray"),
        (["--out", "nowhere/at/all.png"], "does not exist"),
        (["--xrays-per-s", "0"], "above 0"),
        (["--response-ps", "nan"], "from 0"),
    ],
)
def test_wrong_input_is_named(capsys, arguments, message):
    code, text = call(capsys, *arguments)
    assert code == 2 and message in text.err
