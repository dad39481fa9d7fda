"""One NeXus file per point: raw data as measured, and the two plots a viewer opens first.

The layout is described in ``docs/run_directory.md``. Raw numbers come back bit for bit; the NXdata
groups ``spectrum`` and ``g2`` are views for people, calculated from the raw ones when the file is
written, and never read back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl import __version__
from labctl.store import durable, strict_json
from labctl.store.nexus import Node, create, nexus_name
from labctl.store.point import PointData

if TYPE_CHECKING:
    from labctl.photons.g2 import PairBlocks
    from labctl.spectra.frames import SpectrumData

Array = NDArray[np.float64]

FIT_UNITS = {"red_shift_eV": "eV", "coupled_fraction": "", "tau_fast_s": "s", "tau_slow_s": "s", "mu": ""}


class PointFileError(Exception):
    """A point file cannot be read: it is damaged or was not written by this program."""


@dataclass(frozen=True)
class PointContext:
    """What a point file says of the run that it belongs to.

    Attributes:
        run: Name of the run directory.
        title: Title of the run.
        sample: Name of the sample, or empty.
        simulated: No instrument was involved.
    """

    run: str = ""
    title: str = ""
    sample: str = ""
    simulated: bool = False


def write_point_file(
    path: Path, point: PointData, fit: Mapping[str, Any] | None = None, context: PointContext | None = None
) -> None:
    """Write one point, aside and then in one step; returns when it is on the disk.

    Args:
        path: The new file, ``*.nxs``.
        point: The raw data.
        fit: The fit made when the point was measured (``PointFit.to_dict()``), kept as an NXprocess.
        context: The run it belongs to.

    Raises:
        FileExistsError: The file is there already; point files are never written twice.
        OSError: The disk is full or the folder not writable.
    """
    if path.exists():
        raise FileExistsError(f"{path} is there already; a point file is never written twice")
    context = context or PointContext()
    with durable.written_aside(path) as scratch, create(scratch) as root:
        _write_entry(root, point, fit, context)


def read_point_file(path: Path) -> PointData:
    """Read one point as it was measured.

    Raises:
        PointFileError: The file is missing, damaged, or not a point file; the message names it.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _read_entry(file[file.attrs["default"]])
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise PointFileError(f"{path}: not a readable point file ({error})") from error


def read_point_fit(path: Path) -> dict[str, Any] | None:
    """Read the fit that was made when the point was measured; None when there was none.

    Raises:
        PointFileError: As :func:`read_point_file`.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            entry = file[file.attrs["default"]]
            if "fit" not in entry:
                return None
            fit: dict[str, Any] = strict_json.loads(entry["fit/record/data"].asstr()[()])
            return fit
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise PointFileError(f"{path}: not a readable point file ({error})") from error


def _write_entry(root: Node, point: PointData, fit: Mapping[str, Any] | None, context: PointContext) -> None:
    plots = [name for name, data in (("spectrum", point.spectrum), ("g2", point.pairs)) if data is not None]
    # The master file links the entry under the same name: nexusformat finds linked groups by path.
    name = f"point_{point.index:03d}"
    root.attributes(default=name, creator="labctl", creator_version=__version__)
    entry = root.group(name, "NXentry")
    if plots:
        entry.attributes(default=plots[0])
    temperature = (
        f"{point.temperature_K:.2f} K" if np.isfinite(point.temperature_K) else "unknown temperature"
    )
    entry.text("title", ", ".join(word for word in (context.title, context.sample, temperature) if word))
    entry.text("entry_identifier", name)
    if context.run:
        entry.text("experiment_identifier", context.run)
    entry.text("start_time", _iso_time(point.began_epoch_s))
    entry.text("end_time", _iso_time(point.ended_epoch_s))
    entry.text("program_name", "labctl").attrs["version"] = __version__
    _write_instrument(entry.group("instrument", "NXinstrument"), point, context)
    _write_sample(entry.group("sample", "NXsample"), point, context)
    _write_circumstances(entry.group("point", "NXcollection"), point)
    _write_readings(entry.group("readings", "NXcollection"), point.readings)
    if point.spectrum is not None:
        _write_spectrum_view(entry.group("spectrum", "NXdata"), point.spectrum)
    if point.pairs is not None:
        _write_g2_view(entry.group("g2", "NXdata"), point.pairs)
    if point.truth is not None:
        _write_truth(entry.group("simulated_truth", "NXcollection"), point.truth)
    if fit is not None:
        write_fit_process(entry.group("fit", "NXprocess"), fit)


def _write_instrument(instrument: Node, point: PointData, context: PointContext) -> None:
    what = "simulated X-ray scintillation rig" if context.simulated else "X-ray scintillation rig"
    instrument.text("name", what)
    source = instrument.group("source", "NXsource")
    if point.voltage_kV > 0:  # the ultraviolet lamp is not driven by the tube's supply
        source.text("type", "Fixed Tube X-ray")
        source.text("probe", "x-ray")
    source.number("voltage", float(point.voltage_kV), "kV", "measured")
    source.number("current", float(point.current_uA), "uA", "measured")
    if point.spectrum is not None:
        _write_camera(instrument.group("camera", "NXdetector"), point.spectrum)
    if point.pairs is not None:
        _write_counters(instrument.group("counters", "NXdetector"), point.pairs, point.response_sigma_s)
    if point.background is not None:
        dark = instrument.group("counters_background", "NXdetector")
        _write_counters(dark, point.background, point.response_sigma_s)


def _write_camera(camera: Node, spectrum: SpectrumData) -> None:
    camera.text("description", "spectrograph camera: every light frame and dark frame as read, in counts")
    camera.text("acquisition_mode", "summed")
    camera.array("data", spectrum.frames, "count", "measured")
    camera.number("count_time", float(spectrum.exposure_s), "s", "commanded")
    camera.number("saturation_value", spectrum.saturation_counts, "count", "entered")
    dark = camera.group("dark", "NXcollection")
    dark.array("data", spectrum.dark, "count", "measured")
    calibration = camera.group("calibration", "NXcollection")
    calibration.array("wavelength", spectrum.wavelength_nm, "nm", "entered")
    calibration.number(
        "gain_electrons_per_count", float(spectrum.gain_electrons_per_count), "1/count", "entered"
    )
    calibration.number("read_noise_electrons", float(spectrum.read_noise_electrons), "", "entered")
    if spectrum.response is not None:
        calibration.array("response", spectrum.response, "", "entered")


def _write_counters(counters: Node, pairs: PairBlocks, response_sigma_s: float) -> None:
    counters.text(
        "description", "two single-photon counters behind a beam splitter, timed by one time tagger"
    )
    counters.text("acquisition_mode", "histogrammed")
    counters.array("data", pairs.pairs, "count", "measured")
    blocks = counters.group("blocks", "NXcollection")
    blocks.link("pairs", counters, "data")
    blocks.array("start_tags", pairs.start_tags, "count", "measured")
    blocks.array("stop_tags", pairs.stop_tags, "count", "measured")
    blocks.array("duration", pairs.duration_ps, "ps", "measured")
    blocks.number("window", pairs.window_ps, "ps", "commanded")
    blocks.number("bin_width", pairs.bin_ps, "ps", "commanded")
    blocks.number("response_sigma", float(response_sigma_s), "s", "entered")
    blocks.number("stop_delay", pairs.delay_ps, "ps", "entered")
    blocks.number("same_channel", int(pairs.same_channel), "", "commanded")
    if pairs.edges is not None:
        blocks.array("edges", pairs.edges, "", "measured")


def _write_sample(sample: Node, point: PointData, context: PointContext) -> None:
    if context.sample:
        sample.text("name", context.sample)
    if context.simulated:
        sample.text("type", "simulated data")
    sample.number("temperature", float(point.temperature_K), "K", "measured")
    sample.number("temperature_errors", float(point.temperature_sd_K), "K", "measured")
    sample.number("temperature_set", float(point.set_point_K), "K", "commanded")


def _write_circumstances(group: Node, point: PointData) -> None:
    group.number("index", point.index, "", "commanded")
    group.number("began", float(point.began_epoch_s), "s", "measured")
    group.number("ended", float(point.ended_epoch_s), "s", "measured")
    group.number("response_sigma", float(point.response_sigma_s), "s", "entered")


def _write_readings(group: Node, readings: Mapping[str, Mapping[str, Any]]) -> None:
    for name, reading in readings.items():
        value = reading.get("value")
        unit = str(reading.get("unit") or "")
        source = str(reading.get("source") or "unknown")
        key = nexus_name(name)
        if isinstance(value, int | float | np.number) and not isinstance(value, bool):
            field = group.number(key, value, unit, source)
        else:
            field = group.text(key, value if isinstance(value, str) else strict_json.dumps(value))
            field.attrs["source"] = source
        # The reading comes back from this text: a name, a unit or a key may be anything.
        field.attrs["record"] = strict_json.dumps(
            {"name": name, "fields": {k: v for k, v in reading.items() if k != "value"}}
        )
        field.attrs["kind"] = "number" if isinstance(value, int | float | np.number) else "text"


def _write_spectrum_view(view: Node, spectrum: SpectrumData) -> None:
    """Counts per second over wavelength, dark subtracted, cosmic rays left out, the response divided out."""
    wavelength_nm, counts, errors = _spectrum_counts(spectrum)
    view.attributes(signal="intensity", axes=np.array(["wavelength"], dtype=object), wavelength_indices=0)
    view.text("title", "Spectrum")
    signal = view.array("intensity", counts / spectrum.exposure_s, "count/s", "derived")
    signal.attrs["long_name"] = "Intensity (counts/s)"
    view.array("intensity_errors", errors / spectrum.exposure_s, "count/s", "derived")
    view.array("wavelength", wavelength_nm, "nm", "entered").attrs["long_name"] = "Wavelength (nm)"


def _spectrum_counts(spectrum: SpectrumData) -> tuple[Array, Array, Array]:
    """Wavelength, mean counts per frame, error; the plain means where the frames are no good spectrum."""
    from labctl.spectra.frames import SpectrumRefused
    from labctl.spectra.reduction import reduce_frames

    try:
        reduced = reduce_frames(spectrum)
    except SpectrumRefused:
        # Raw data are kept whatever they are; a saturated or empty record still opens at a plot.
        dark = spectrum.dark.mean(axis=0) if len(spectrum.dark) else 0.0
        light = (
            spectrum.frames.mean(axis=0) if len(spectrum.frames) else np.zeros_like(spectrum.wavelength_nm)
        )
        return spectrum.wavelength_nm, light - dark, np.full_like(spectrum.wavelength_nm, np.nan)
    return reduced.wavelength_nm, reduced.counts, reduced.error


def _write_g2_view(view: Node, pairs: PairBlocks) -> None:
    view.attributes(signal="g2", axes=np.array(["delay"], dtype=object), delay_indices=0)
    view.text("title", "Pair correlation g2")
    view.array("g2", np.asarray(pairs.g2()), "", "derived").attrs["long_name"] = "g2"
    view.array("g2_errors", np.asarray(pairs.g2_error()), "", "derived")
    view.array("delay", pairs.lag_ps / 1e3, "ns", "derived").attrs["long_name"] = "Delay (ns)"


def _write_truth(group: Node, truth: Mapping[str, Any]) -> None:
    group.text(
        "description", "What the simulated sample really was: known only because nothing here is real."
    )
    for name, value in truth.items():
        if isinstance(value, int | float | np.number) and not isinstance(value, bool):
            group.number(nexus_name(name), value, _unit_of(name), "simulated")
    group.text("record", strict_json.dumps(truth))


def write_fit_process(process: Node, fit: Mapping[str, Any]) -> None:
    """Write a fit (``PointFit.to_dict()``) into an NXprocess: its numbers, and the whole as JSON."""
    process.text("program", "labctl")
    process.text("version", __version__)
    process.text("date", datetime.now(UTC).isoformat(timespec="seconds"))
    process.number("sequence_index", 1, "", "derived")
    results = process.group("results", "NXparameters")
    for name, unit in FIT_UNITS.items():
        value = fit.get(name)
        if isinstance(value, Mapping) and value.get("value") is not None:
            results.number(name, float(value["value"]), unit, "derived")
            if value.get("error") is not None:
                results.number(f"{name}_errors", float(value["error"]), unit, "derived")
    record = process.group("record", "NXnote")
    record.text("type", "application/json")
    record.text("description", "the whole fit")
    record.text("data", strict_json.dumps(fit))


def _read_entry(entry: Any) -> PointData:
    point, sample, instrument = entry["point"], entry["sample"], entry["instrument"]
    return PointData(
        index=int(point["index"][()]),
        set_point_K=float(sample["temperature_set"][()]),
        temperature_K=float(sample["temperature"][()]),
        temperature_sd_K=float(sample["temperature_errors"][()]),
        voltage_kV=float(instrument["source/voltage"][()]),
        current_uA=float(instrument["source/current"][()]),
        began_epoch_s=float(point["began"][()]),
        ended_epoch_s=float(point["ended"][()]),
        spectrum=_read_spectrum(instrument["camera"]) if "camera" in instrument else None,
        pairs=_read_pairs(instrument["counters/blocks"]) if "counters" in instrument else None,
        readings=_read_readings(entry["readings"]),
        truth=strict_json.loads(entry["simulated_truth/record"].asstr()[()])
        if "simulated_truth" in entry
        else None,
        response_sigma_s=float(point["response_sigma"][()]),
        background=_read_pairs(instrument["counters_background/blocks"])
        if "counters_background" in instrument
        else None,
    )


def _read_spectrum(camera: Any) -> SpectrumData:
    from labctl.spectra.frames import SpectrumData

    calibration = camera["calibration"]
    return SpectrumData(
        wavelength_nm=calibration["wavelength"][()],
        frames=camera["data"][()],
        dark=camera["dark/data"][()],
        exposure_s=float(camera["count_time"][()]),
        gain_electrons_per_count=float(calibration["gain_electrons_per_count"][()]),
        read_noise_electrons=float(calibration["read_noise_electrons"][()]),
        saturation_counts=int(camera["saturation_value"][()]),
        response=calibration["response"][()] if "response" in calibration else None,
    )


def _read_pairs(blocks: Any) -> PairBlocks:
    from labctl.photons.g2 import PairBlocks

    return PairBlocks(
        window_ps=int(blocks["window"][()]),
        bin_ps=int(blocks["bin_width"][()]),
        pairs=blocks["pairs"][()],
        start_tags=blocks["start_tags"][()],
        stop_tags=blocks["stop_tags"][()],
        duration_ps=blocks["duration"][()],
        delay_ps=int(blocks["stop_delay"][()]),
        same_channel=bool(blocks["same_channel"][()]),
        edges=blocks["edges"][()] if "edges" in blocks else None,
    )


def _read_readings(group: Any) -> dict[str, dict[str, Any]]:
    readings: dict[str, dict[str, Any]] = {}
    for field in group.values():
        record = strict_json.loads(field.attrs["record"])
        if field.attrs["kind"] == "number":
            value: Any = field[()].item()
        else:
            value = field.asstr()[()]
        readings[record["name"]] = {"value": value, **record["fields"]}
    return readings


def _iso_time(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds")


def _unit_of(name: str) -> str:
    unit = name.rpartition("_")[2]
    return unit if unit in {"eV", "meV", "s", "ns", "K", "kV", "uA", "nm", "ps", "Hz"} else ""
