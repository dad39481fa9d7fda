"""What spectrograph and camera tell of themselves, and whether the rig file fits. Moves nothing."""

from __future__ import annotations

from drivers.spectrometer.andor_camera import AndorCamera
from drivers.spectrometer.andor_settings import AndorSettings
from drivers.spectrometer.base import SpectrometerLimits
from drivers.spectrometer.kymera import Kymera

GAIN_TOLERANCE = 0.05


def limits_told(spectrograph: Kymera, camera: AndorCamera) -> SpectrometerLimits:
    """The ranges that the instruments tell."""
    gratings = spectrograph.gratings()
    ranges = [spectrograph.wavelength_limits_nm(number) for number in range(1, len(gratings) + 1)]
    low_C, high_C = camera.temperature_range_C()
    return SpectrometerLimits(
        gratings_lines_per_mm=tuple(lines for lines, _ in gratings),
        shortest_centre_nm=tuple(low for low, _ in ranges),
        longest_centre_nm=tuple(high for _, high in ranges),
        lowest_camera_temperature_C=float(low_C),
        highest_camera_temperature_C=float(high_C),
    )


def self_test(spectrograph: Kymera, camera: AndorCamera, settings: AndorSettings) -> tuple[str, ...]:
    """Compare the settings with what spectrograph and camera tell of themselves.

    Returns:
        One sentence for each thing that does not fit.
    """
    complaints = _camera_complaints(camera, settings)
    if settings.shutter == "spectrograph" and not spectrograph.has_shutter():
        complaints.append(
            "the spectrograph has no shutter: dark frames would see light; set shutter = 'camera'"
        )
    if not spectrograph.gratings():
        complaints.append("the spectrograph knows no grating")
    return tuple(complaints)


def _camera_complaints(camera: AndorCamera, settings: AndorSettings) -> list[str]:
    complaints: list[str] = []
    low, high = camera.temperature_range_C()
    if not low <= settings.camera_temperature_C <= high:
        complaints.append(
            f"camera_temperature_C = {settings.camera_temperature_C:g}, but the camera does {low} to {high}"
        )
    told = camera.sensitivity()
    given = settings.gain_electrons_per_count
    if told is not None and abs(told - given) > GAIN_TOLERANCE * told:
        complaints.append(
            f"gain_electrons_per_count = {given:g}, but the camera tells {told:g} electrons per count"
        )
    largest = 2 ** camera.amplifier().bits - 1
    if settings.saturation_counts > largest:
        complaints.append(
            f"saturation_counts = {settings.saturation_counts}, but the converter ends at {largest}"
        )
    return complaints
