"""Rows of results, their comparison, and the truth that they are held against."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from labctl.emission.sample import load_sample
from labctl.fitting.value import Value
from labctl.store.table import compare, result_row
from labctl.store.truth import true_curve, true_values


def test_a_row_has_value_error_truth_and_distance(make_point: Any, fit: dict[str, Any]) -> None:
    row = result_row(make_point(), fit)

    assert row["tau_fast_s"]["value"] == 0.236e-9
    assert row["tau_fast_s"]["true"] == 0.24e-9
    assert row["tau_fast_s"]["sigmas"] == pytest.approx(-0.004 / 0.006)
    assert row["coupled_fraction"]["sigmas"] == pytest.approx(-0.5)
    assert row["fitted"] is True


def test_a_row_keeps_both_sides_and_the_degrees_of_freedom(make_point: Any, fit: dict[str, Any]) -> None:
    slow = Value(1.24e-9, 0.155e-9, dof=24.0, below=0.11e-9, above=0.20e-9)

    row = result_row(make_point(), {**fit, "tau_slow_s": slow.to_dict()})

    assert Value.from_dict(row["tau_slow_s"]) == slow
    assert Value.from_dict(row["tau_fast_s"]) == Value(0.236e-9, 0.006e-9)


def test_a_point_without_fit_or_truth_has_a_row_of_nothing(make_point: Any) -> None:
    point = dataclasses.replace(make_point(truth=None), temperature_K=float("nan"))

    row = result_row(point, None)

    assert row["temperature_K"] is None
    assert row["fitted"] is False
    assert row["tau_slow_s"] == {"value": None, "error": None, "true": None, "sigmas": None}


def test_equal_fits_compare_as_the_same(fit: dict[str, Any]) -> None:
    assert compare(fit, dict(fit)) == {"same": True, "largest_sigmas": 0.0, "which": None}


def test_the_largest_difference_is_named_in_its_errors(fit: dict[str, Any]) -> None:
    other = {**fit, "tau_slow_s": {"value": 1.095e-9, "error": 0.03e-9}}

    result = compare(fit, other)

    assert (result["same"], result["which"]) == (False, "tau_slow_s")
    assert result["largest_sigmas"] == pytest.approx(0.5)


def test_a_result_that_only_one_has_is_a_difference(fit: dict[str, Any]) -> None:
    assert compare({**fit, "tau_fast_s": None}, fit)["same"] is False
    assert compare(None, fit)["which"] == "red_shift_eV"
    assert compare(fit, None)["same"] is None


# Values of the paper: sample B at 80 K, table in section 1 of the physics notes; 120 meV chosen in 80-200.
def test_the_truth_is_the_papers_at_80_K() -> None:
    truth = true_values(load_sample("xray-B").emission(80.0))

    assert truth["coupled_fraction"] == pytest.approx(0.56)
    assert truth["red_shift_eV"] == pytest.approx(0.120)
    assert truth["tau_fast_s"] == pytest.approx(0.24e-9)
    assert truth["tau_slow_s"] == pytest.approx(0.74e-9)


def test_without_coupled_light_there_is_no_red_shift() -> None:
    truth = true_values(load_sample("uv").emission(300.0))

    assert truth["coupled_fraction"] == 0.0
    assert truth["red_shift_eV"] is None
    assert truth["tau_slow_s"] == pytest.approx(3.48e-9)


def test_the_true_curve_is_filled_in_only_when_the_sample_still_says_the_same() -> None:
    light = load_sample("xray-B")
    recorded = [(kelvin, true_values(light.emission(kelvin))) for kelvin in (300.0, 80.0)]
    changed = [(kelvin, {**values, "tau_slow_s": 1e-9}) for kelvin, values in recorded]

    fine = true_curve("xray-B", recorded)

    assert len(fine) > 100
    assert (fine[0][0], fine[-1][0]) == (80.0, 300.0)
    assert true_curve("xray-B", changed) == changed
    assert true_curve("no such sample", recorded) == recorded
    assert true_curve("xray-B", []) == []
