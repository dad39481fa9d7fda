"""Beam-on time, charge and energy from monitor readings."""

from __future__ import annotations

import pytest

from drivers.xray_tube.dose import Dose, DoseMeter


def test_a_steady_beam() -> None:
    meter = DoseMeter()
    for second in range(0, 3601, 10):
        meter.update(float(second), beam_on=True, voltage_kV=50.0, current_uA=600.0)
    total = meter.total()
    assert total.beam_on_hours == pytest.approx(1.0)
    assert total.charge_mAs == pytest.approx(0.6 * 3600)
    assert total.energy_J == pytest.approx(30.0 * 3600)  # 50 kV x 600 uA = 30 W
    assert total.unseen_s == 0.0


def test_a_ramp_is_a_trapezium() -> None:
    meter = DoseMeter()
    meter.update(0.0, beam_on=True, voltage_kV=40.0, current_uA=0.0)
    meter.update(10.0, beam_on=True, voltage_kV=40.0, current_uA=500.0)
    assert meter.total().charge_mAs == pytest.approx(0.5 * 10 / 2)
    assert meter.total().energy_J == pytest.approx(20.0 * 10 / 2)


def test_off_and_on_edges_count_for_the_larger_dose() -> None:
    meter = DoseMeter()
    meter.update(0.0, beam_on=False, voltage_kV=0.0, current_uA=0.0)
    meter.update(5.0, beam_on=True, voltage_kV=40.0, current_uA=500.0)
    meter.update(10.0, beam_on=False, voltage_kV=30.0, current_uA=500.0)
    assert meter.total().beam_on_s == pytest.approx(10.0)
    assert meter.total().charge_mAs == pytest.approx(5.0)


def test_time_off_does_not_count() -> None:
    meter = DoseMeter()
    for second in range(10):
        meter.update(float(second), beam_on=False, voltage_kV=40.0, current_uA=500.0)
    assert meter.total() == Dose()


def test_long_gaps_are_marked() -> None:
    meter = DoseMeter()
    meter.update(0.0, beam_on=True, voltage_kV=40.0, current_uA=500.0)
    meter.update(600.0, beam_on=True, voltage_kV=40.0, current_uA=500.0)
    assert meter.total().unseen_s == 600.0


def test_a_reading_out_of_order_adds_nothing() -> None:
    meter = DoseMeter()
    for at_s in (10.0, 10.0, 5.0):
        meter.update(at_s, beam_on=True, voltage_kV=40.0, current_uA=500.0)
    assert meter.total() == Dose()


def test_each_sample_has_its_own_sum() -> None:
    meter = DoseMeter()
    for sample, begin in (("A", 0.0), ("B", 100.0), ("A", 200.0)):
        meter.begin_sample(sample)
        meter.update(begin, beam_on=False, voltage_kV=0.0, current_uA=0.0)
        meter.update(begin + 10.0, beam_on=True, voltage_kV=50.0, current_uA=100.0)
        meter.update(begin + 20.0, beam_on=False, voltage_kV=0.0, current_uA=0.0)
    assert meter.sample == "A"
    assert meter.dose("A").charge_mAs == pytest.approx(4.0)
    assert meter.dose("B").charge_mAs == pytest.approx(2.0)
    assert meter.total().charge_mAs == pytest.approx(6.0)
    assert meter.dose("C") == Dose()


def test_the_sums_travel_through_a_file_and_never_shrink() -> None:
    first, second = DoseMeter(), DoseMeter()
    first.begin_sample("A")
    first.update(0.0, beam_on=True, voltage_kV=50.0, current_uA=100.0)
    first.update(10.0, beam_on=True, voltage_kV=50.0, current_uA=100.0)
    second.at_least(first.to_dict())
    assert second.doses() == first.doses()
    second.at_least({"A": {"beam_on_s": 1.0, "charge_mAs": 0.1}})
    assert second.doses() == first.doses()


@pytest.mark.parametrize(
    "wrong", [{"A": {"beam_on_s": "x"}}, {"A": {"colour": 1.0}}, {"A": {"charge_mAs": -1.0}}, {"A": 3}]
)
def test_what_is_no_dose_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        DoseMeter().at_least(wrong)  # type: ignore[arg-type]
