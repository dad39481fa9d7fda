"""The tree of errors: one domain base, builtin bases, and messages a person can act on."""

from __future__ import annotations

import copy
import pickle

import pytest

from drivers import errors
from drivers.errors import InstrumentError

TREE = [
    (errors.InstrumentTimeoutError, TimeoutError),
    (errors.InstrumentConnectionError, ConnectionError),
    (errors.ProtocolError, ValueError),
    (errors.LimitError, ValueError),
    (errors.InterlockError, PermissionError),
    (errors.FaultError, RuntimeError),
    (errors.MissingDriverError, ImportError),
    (errors.InstrumentCancelledError, InstrumentError),
]


@pytest.mark.parametrize(("kind", "builtin"), TREE)
def test_each_error_has_the_domain_base_and_a_builtin_base(
    kind: type[InstrumentError], builtin: type[Exception]
) -> None:
    error = kind("tube", "no reply", done="the beam was switched off", advice="check the cable")
    assert isinstance(error, InstrumentError)
    assert isinstance(error, builtin)
    assert str(error) == "tube: no reply. The beam was switched off. Check the cable."


def test_every_error_of_the_module_is_in_this_table() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    assert kinds == {kind for kind, _ in TREE} | {InstrumentError}


def test_the_parts_stay_readable_for_programs() -> None:
    error = errors.LimitError("tube", "60 kV is above 50 kV", advice="ask for less")
    assert (error.instrument, error.what, error.done, error.advice) == (
        "tube",
        "60 kV is above 50 kV",
        "",
        "ask for less",
    )


def test_a_message_without_the_rest_is_one_sentence() -> None:
    assert str(InstrumentError("tube", "gone.")) == "tube: gone."


@pytest.mark.parametrize("kind", [kind for kind, _ in TREE])
def test_an_error_survives_a_copy_and_a_process_boundary(kind: type[InstrumentError]) -> None:
    error = kind("tube", "arc", done="off", advice="clear it")
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is kind
        assert str(again) == str(error) == "tube: arc. Off. Clear it."
