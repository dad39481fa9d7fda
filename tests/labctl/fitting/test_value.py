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


@pytest.mark.parametrize(
    ("low", "value", "high", "text"),
    [
        (1.13, 1.24, 1.44, "1.24 +0.20 -0.11"),
        (0.9, 1.0, 1.1, "1.00(10)"),
        (2.1e-9, 2.4e-9, 3.1e-9, "(2.4 +0.7 -0.3)e-9"),
        (95.0, 120.0, 160.0, "120 +40 -25"),
    ],
)
def test_both_sides_of_a_lopsided_interval_are_written(low, value, high, text):
    one = Value.between(value, low, high)
    assert str(one) == text
    assert one.interval() == pytest.approx((low, high))
    assert Value.from_dict(one.to_dict()) == one
    assert one.scaled(-2.0).interval() == pytest.approx((-2.0 * high, -2.0 * low))


def test_a_value_outside_its_interval_is_none():
    with pytest.raises(ValueError, match="does not lie"):
        Value.between(1.0, 2.0, 3.0)


def test_intervals_follow_students_t_where_the_error_is_not_well_known():
    # 95 %: 1.960 of normal errors; with 24 degrees of freedom 2.0639 where 68.27 % takes 1.0213.
    assert Value(1.0, 0.1).interval(0.95) == pytest.approx((1.0 - 0.19600, 1.0 + 0.19600), abs=1e-4)
    low, high = Value(1.0, 0.1, dof=24.0).interval(0.95)
    assert (high - low) / 0.2 == pytest.approx(2.0639 / 1.02127, abs=1e-3)
    assert Value.from_dict(Value(1.0, 0.1, dof=24.0).to_dict()) == Value(1.0, 0.1, dof=24.0)
