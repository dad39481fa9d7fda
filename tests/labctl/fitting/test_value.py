import pytest

from labctl.fitting.value import Value


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.236, 0.006, "0.236(6)"),
        (0.2361, 0.0124, "0.236(12)"),
        (0.74, 0.096, "0.74(10)"),
        (2.45, 0.0096, "2.450(10)"),
        (-0.5, 0.25, "-0.5(2)"),
        (120.0, 30.0, "120(30)"),
        (3.3e-7, 2e-9, "3.30(2)e-7"),
        (0.5, 0.0, "0.5 (held)"),
    ],
)
def test_error_stands_in_units_of_the_last_digit(value, error, text):
    assert str(Value(value, error)) == text


@pytest.mark.parametrize(("value", "error"), [(float("nan"), 1.0), (1.0, float("inf")), (1.0, -0.1)])
def test_a_number_without_an_error_is_no_result(value, error):
    with pytest.raises(ValueError, match="not a result"):
        Value(value, error)


def test_round_trip_and_units():
    value = Value(2.4e-10, 7e-12)
    assert Value.from_dict(value.to_dict()) == value
    assert Value.from_dict(None) is None
    assert str(value.scaled(1e9)) == "0.240(7)"
    assert value.agrees_with(2.6e-10) and not value.agrees_with(2.7e-10)
