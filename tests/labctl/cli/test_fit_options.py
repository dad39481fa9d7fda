"""The switches of ``labctl fit``: read as meant, or refused with a sentence that names them."""

from __future__ import annotations

import argparse

import pytest

from labctl.cli import fit_options
from labctl.cli.fit_options import Asked
from labctl.errors import InputError
from labctl.fitting.constraints import Constraint


def read(*words: str) -> Asked:
    parser = argparse.ArgumentParser()
    fit_options.add_arguments(parser)
    return fit_options.read(parser.parse_args(words))


def test_without_switches_it_is_the_usual_fit() -> None:
    asked = read()
    assert asked.choice.to_dict() == {}
    assert asked.words() == ""
    assert asked.shared is None


def test_every_switch_reaches_the_fit() -> None:
    words = "--pin free --form naive --lifetimes 2 --line-shape asymmetric --peaks 3 --dead-time-ns 22"
    asked = read(*words.split())
    assert asked.choice.to_dict() == {
        "pin": "free",
        "form": "naive",
        "n_lifetimes": 2,
        "line_shape": "asymmetric",
        "n_peaks": 3,
        "dead_time_s": pytest.approx(22e-9),
    }
    assert "dead time 22 ns" in asked.words() and "peaks 3" in asked.words()


def test_constraints_may_be_in_the_units_that_people_use() -> None:
    asked = read("--fix", "lifetime_fast_ns=0.24", "--bound", "shift_meV=50:", "--prior", "delay_ps=-3+-2")
    fixed, bound, prior = asked.choice.constraints
    assert (fixed.name, fixed.fixed) == ("lifetime_fast_s", pytest.approx(0.24e-9))
    assert (bound.name, bound.low, bound.high) == ("shift_eV", pytest.approx(0.05), None)
    assert prior.prior is not None
    assert (prior.prior.value, prior.prior.error) == (pytest.approx(-3e-12), pytest.approx(2e-12))


def test_parameters_of_the_common_laws_go_to_the_common_fit() -> None:
    asked = read("--sweep", "--fix", "rate_constant_slow_K=150", "--fix", "fraction=0.5")
    assert asked.shared == "all"
    assert asked.sweep_constraints == (Constraint("rate_constant_slow_K", fixed=150.0),)
    assert asked.choice.constraints == (Constraint("fraction", fixed=0.5),)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fix", "tau=1"), "no parameter 'tau' in this fit; it may be counts, .*lifetime_fast_s"),
        (("--fix", "rate_constant_slow_K=150"), "no parameter 'rate_constant_slow_K'"),
        (("--fix", "skew=0.1"), "no parameter 'skew'"),
        (("--fix", "fraction"), "NAME=VALUE is expected"),
        (("--fix", "fraction=half"), "half is not a number"),
        (("--fix", "fraction=nan"), "nan is not a number"),
        (("--bound", "fraction=0.5"), "LOW:HIGH is expected"),
        (("--bound", "fraction=:"), "LOW:HIGH is expected"),
        (("--bound", "fraction=0.6:0.5"), "lower bound 0.6 is not below 0.5"),
        (("--prior", "fraction=0.5"), "VALUE"),
        (("--prior", "fraction=0.5+-0"), "must be above 0"),
        (("--fix", "fraction=0.5", "--bound", "fraction=0:1"), "fraction is named twice"),
        (("--points", "one"), "numbers and ranges"),
        (("--temperatures", "100:80"), "100 K is above 80 K"),
        (("--peaks", "0"), "1 to 4 peaks"),
        (("--dead-time-ns", "-1"), "0 to 1e6 ns"),
        (("--joint", "--peaks", "1"), "two peaks"),
        (("--sweep", "--peaks", "3"), "two peaks"),
        (("--share", "all"), "goes with --sweep"),
    ],
)
def test_switches_that_make_no_sense_are_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(*words)
