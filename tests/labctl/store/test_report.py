"""The figure and the page: drawn from the disk, with what there is."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.store.figure import draw_figure
from labctl.store.panel import FigurePoint
from labctl.store.panel_g2 import coarser_g2
from labctl.store.panel_residuals import joined_pulls
from labctl.store.report import write_figure, write_report
from labctl.store.run_directory import RunDirectory
from labctl.store.table import result_row

PNG = b"\x89PNG\r\n\x1a\n"


def axes_of(points: list[FigurePoint], **options: Any) -> dict[str, Any]:
    figure = draw_figure(points, **options)
    figure.draw_without_rendering()
    return {ax.get_title(loc="left").split("   ")[-1] or ax.get_xlabel(): ax for ax in figure.axes}


def bare(point: Any, fit: dict[str, Any] | None) -> FigurePoint:
    return FigurePoint(point, None, result_row(point, fit))


def test_the_figure_is_a_png_and_leaves_pyplot_alone(
    run: RunDirectory, make_point: Any, fit: dict[str, Any]
) -> None:
    for index, kelvin in enumerate((300.0, 190.0, 80.0)):
        run.write_point(make_point(index=index, temperature_K=kelvin), fit)
    loaded = "matplotlib.pyplot" in sys.modules

    path = write_figure(run)

    assert path == run.path / "figure.png"
    assert path.read_bytes().startswith(PNG)
    assert ("matplotlib.pyplot" in sys.modules) == loaded
    assert sorted(p.name for p in run.path.iterdir() if "partial" in p.name) == []


def test_every_axis_says_its_quantity_and_unit(make_point: Any, fit: dict[str, Any]) -> None:
    axes = axes_of([bare(make_point(temperature_K=kelvin), fit) for kelvin in (300.0, 80.0)])

    labels = {name: (ax.get_xlabel(), ax.get_ylabel()) for name, ax in axes.items() if name}
    # Spectra and g2 have their axis below the residuals that stand under them.
    assert labels["Photon energy (eV)"][1] == labels["Delay (ns)"][1] == "(data - fit) / sd"
    assert labels["Pair correlation"][1] == "$g^{(2)}$"
    assert labels["Lifetimes"] == ("Temperature (K)", "Lifetime (ns)")
    assert labels["Coupled light"] == ("Temperature (K)", "Coupled fraction (%)")
    assert labels["Red-shift"] == ("Temperature (K)", "Red-shift (meV)")
    assert axes["Spectra"].child_axes[0].get_xlabel() == "Wavelength (nm)"


def test_the_wavelength_axis_agrees_with_the_energy_axis(make_point: Any) -> None:
    ax = axes_of([bare(make_point(), None)])["Spectra"]
    low_eV, high_eV = ax.get_xlim()

    # hc = 1239.841984 eV nm (CODATA 2018, exact).
    expected_nm = sorted((1239.841984 / low_eV, 1239.841984 / high_eV))
    assert sorted(ax.child_axes[0].get_xlim()) == pytest.approx(expected_nm)


def test_results_stand_at_their_temperature_in_the_panels_unit(make_point: Any, fit: dict[str, Any]) -> None:
    axes = axes_of([bare(make_point(temperature_K=120.5), fit)], truth=[])

    for name, expected in (("Lifetimes", [1.08, 0.236]), ("Coupled light", [49.7]), ("Red-shift", [121.5])):
        drawn = [c.lines[0].get_xydata()[0].tolist() for c in axes[name].containers]
        assert drawn == [pytest.approx([120.5, value]) for value in expected]


@pytest.mark.parametrize("missing", [("spectrum",), ("pairs",), ("spectrum", "pairs", "truth")])
def test_parts_that_were_not_measured_say_so(make_point: Any, missing: tuple[str, ...]) -> None:
    axes = axes_of([bare(make_point(**dict.fromkeys(missing)), None)])

    said = {text.get_text() for ax in axes.values() for text in ax.texts}
    assert ("no spectra" in said) == ("spectrum" in missing)
    assert ("no g2" in said) == ("pairs" in missing)
    assert "no values" in said


def test_no_text_overlaps_a_neighbouring_panel(make_point: Any, fit: dict[str, Any]) -> None:
    points = [bare(make_point(temperature_K=kelvin), fit) for kelvin in np.linspace(300.0, 80.0, 12)]
    figure = draw_figure(points, title="Run 0001, Temperature sweep, sample xray-B, simulated")
    figure.draw_without_rendering()

    boxes = [ax.get_tightbbox() for ax in figure.axes]
    page = figure.bbox

    for number, box in enumerate(boxes):
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])


def test_residuals_that_are_joined_keep_their_scatter() -> None:
    pull = np.random.default_rng(4).standard_normal(26_000)
    x, height = joined_pulls(np.arange(26_000.0), pull, (0.0, 26_000.0))

    assert x.size == 130 and x[0] == pytest.approx(99.5)
    # 130 numbers of scatter 1: 1 +- 0.06.
    assert float(height.std()) == pytest.approx(1.0, abs=0.19)
    assert joined_pulls(np.arange(100.0), pull[:100], (10.0, 19.0))[1].tolist() == pull[10:20].tolist()


def test_merging_bins_keeps_pairs_and_level(make_point: Any) -> None:
    pairs = make_point().pairs
    lag_ns, values, errors = coarser_g2(pairs, 20.0)

    assert len(lag_ns) == 200
    counts = (values / errors) ** 2  # Poisson: value / error is the square root of the pairs
    assert counts.sum() == pytest.approx(float(pairs.total().sum()))
    assert lag_ns[0] == pytest.approx((pairs.lag_ps[0] + pairs.lag_ps[1]) / 2e3)


@pytest.mark.parametrize(("factor", "scale"), [(1, "linear"), (300, "log")])
def test_g2_has_no_negative_axis_and_strong_bunching_a_logarithmic_one(
    make_point: Any, factor: int, scale: str
) -> None:
    point = make_point()
    peak = point.pairs.pairs.copy()
    peak[:, 190:210] *= np.uint64(factor)
    bright = dataclasses.replace(point, pairs=dataclasses.replace(point.pairs, pairs=peak))

    ax = axes_of([bare(bright, None)])["Pair correlation"]

    assert ax.get_yscale() == scale
    assert ax.get_ylim()[0] >= 0.0


def test_a_run_without_points_has_nothing_to_draw(run: RunDirectory) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        write_figure(run)


def test_the_page_has_the_table_with_true_values(
    run: RunDirectory, make_point: Any, fit: dict[str, Any]
) -> None:
    run.write_point(make_point(index=0), fit)
    run.finish("stopped", "Ctrl-C")

    text = write_report(run).read_text(encoding="utf-8")

    assert "| 120.01 | 122(2) [120] | 49.7(6) [50] | 0.236(6) [0.24] | 1.08(3) [1.1] |" in text
    assert "* state: stopped: Ctrl-C" in text
    assert "figure.png" not in text


def test_the_page_has_both_sides_of_a_lopsided_interval(
    run: RunDirectory, make_point: Any, fit: dict[str, Any]
) -> None:
    lopsided = {"value": 1.24e-9, "error": 0.155e-9, "below": 0.11e-9, "above": 0.20e-9}
    run.write_point(make_point(index=0), {**fit, "tau_slow_s": lopsided})

    assert "| 1.24 +0.20 -0.11 [1.1] |" in write_report(run).read_text(encoding="utf-8")


def test_the_page_shows_the_figure_when_there_is_one(run: RunDirectory, make_point: Any) -> None:
    run.write_point(make_point(index=0))
    (run.path / "figure.png").write_bytes(PNG)

    assert "(figure.png)" in Path(write_report(run)).read_text(encoding="utf-8")


def test_the_page_says_how_well_the_fits_hold_and_what_limits_them(
    run: RunDirectory, make_point: Any, fit: dict[str, Any]
) -> None:
    light = {"goodness": {"chi2": 1025.4, "dof": 1017, "p_value": 0.4}}
    for index, kelvin in enumerate((100.0, 80.0)):
        fields = {**fit, "spectrum": light, "warnings": ["g2: few blocks", *(["narrow"] if index else [])]}
        run.write_point(make_point(index=index, temperature_K=kelvin), fields)

    text = write_report(run).read_text(encoding="utf-8")

    assert "| chi2 spectrum | chi2 g2 |" in text
    assert text.count("| 1025/1017 | - |") == 2
    assert "* all points: g2: few blocks" in text
    assert "* 80 K: narrow" in text


def test_dollars_in_a_title_are_no_formula(make_point: Any, fit: dict[str, Any]) -> None:
    title = r"costs $5, not $\nonsense{"
    figure = draw_figure([bare(make_point(), fit)], title=title)
    figure.draw_without_rendering()
    assert figure.get_suptitle().replace(r"\$", "$") == title
