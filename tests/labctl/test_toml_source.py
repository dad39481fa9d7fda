"""Mistakes in a TOML file are named with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from labctl.errors import InputError
from labctl.toml_source import TomlSource, key_lines


class Ramp(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    stop_K: float = Field(le=400)
    rate_K_per_min: float


class Night(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    title: str
    steps: list[Ramp]


GOOD = """title = "x"

[[steps]]
stop_K = 300.0
rate_K_per_min = 20

[[steps]]
stop_K = 80.0
rate_K_per_min = 10.0
"""


def read(tmp_path: Path, text: str) -> TomlSource:
    path = tmp_path / "night.toml"
    path.write_text(text, encoding="utf-8")
    return TomlSource.read(path)


def complaint(tmp_path: Path, text: str) -> str:
    source = read(tmp_path, text)
    with pytest.raises(InputError) as caught:
        source.validate(Night, source.data)
    return str(caught.value).replace(str(tmp_path), "DIR").replace("\\", "/")


def test_a_good_file_is_read_with_whole_numbers_for_floats(tmp_path: Path) -> None:
    source = read(tmp_path, GOOD)
    night = source.validate(Night, source.data)
    assert [step.rate_K_per_min for step in night.steps] == [20.0, 10.0]


def test_out_of_range_names_the_line_of_the_second_step(tmp_path: Path) -> None:
    text = complaint(tmp_path, GOOD.replace("80.0", "800.0"))
    assert text == "DIR/night.toml:8: steps.1.stop_K: input should be less than or equal to 400 (found 800.0)"


def test_a_number_in_quotes_is_not_a_number(tmp_path: Path) -> None:
    text = complaint(tmp_path, GOOD.replace("= 300.0", '= "300"'))
    assert text == "DIR/night.toml:4: steps.0.stop_K: input should be a valid number (found '300')"


def test_a_wrong_unit_is_recognised(tmp_path: Path) -> None:
    text = complaint(tmp_path, GOOD.replace("stop_K = 300.0", "stop_C = 26.85"))
    assert "night.toml:4: steps.0.stop_C: unknown key; did you mean stop_K (mind the unit)?" in text
    assert "night.toml:3: steps.0.stop_K: this key is missing" in text


def test_a_typing_mistake_gets_a_suggestion(tmp_path: Path) -> None:
    text = complaint(tmp_path, GOOD.replace("title", "tilte"))
    assert "DIR/night.toml:1: tilte: unknown key; did you mean title?" in text


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = complaint(tmp_path, GOOD.replace("80.0", "800.0").replace('"x"', "7"))
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1\nb = = 2\n", ":2: not valid TOML"),
        ("a = 1\na = 2\n", ":2: not valid TOML"),
        ("a = [1,\n", "not valid TOML"),
    ],
)
def test_broken_toml_names_the_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match="not valid TOML") as caught:
        read(tmp_path, text)
    assert words in str(caught.value)


def test_a_missing_file_and_a_binary_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        TomlSource.read(tmp_path / "nothing.toml")
    (tmp_path / "bad.toml").write_bytes(b"a = '\xff\xfe'")
    with pytest.raises(InputError, match="not a UTF-8 text file"):
        TomlSource.read(tmp_path / "bad.toml")


def test_lines_of_dotted_and_quoted_keys() -> None:
    lines = key_lines('[a.b]\nc.d = 1\n\n["x y"]\nz = [\n  1,\n]\n')
    assert lines["a", "b"] == 1
    assert lines["a", "b", "c", "d"] == 2
    assert lines["x y", "z"] == 5


def test_numbers_that_are_none_are_named_each_with_its_line(tmp_path: Path) -> None:
    text = GOOD.replace("80.0", "nan").replace("= 20", "= inf") + "more = [1.0, -inf]\n"
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    lines = str(caught.value).replace(str(tmp_path), "DIR").replace("\\", "/").splitlines()
    assert lines == [
        "DIR/night.toml:5: steps.0.rate_K_per_min: a finite number is expected (found inf)",
        "DIR/night.toml:8: steps.1.stop_K: a finite number is expected (found nan)",
        "DIR/night.toml:10: steps.1.more.1: a finite number is expected (found -inf)",
    ]
