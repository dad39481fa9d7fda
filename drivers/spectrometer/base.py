"""What a spectrograph with its camera does for a measurement. Wavelengths in nm."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.base import Instrument, Reading, Status


@dataclass(frozen=True)
class CameraNoise:
    """Numbers that turn camera counts into photo-electrons.

    Attributes:
        gain_electrons_per_count: Electrons per analogue-digital count.
        read_noise_electrons: RMS read noise per read-out pixel (after vertical binning).
        saturation_counts: Count at which the converter or the pixel saturates.
    """

    gain_electrons_per_count: float
    read_noise_electrons: float
    saturation_counts: int


@dataclass(frozen=True)
class SpectrumFrame:
    """One read-out of the camera, vertically binned.

    Attributes:
        counts: Camera counts per pixel, int64 of shape (n_pixels,).
        exposure_s: Exposure time.
        began_s: Start of the exposure on the driver's clock, in s.
        shutter_open: False for a dark frame.
        camera_temperature: Sensor temperature (degC as the camera gives it).
    """

    counts: NDArray[np.int64]
    exposure_s: float
    began_s: float
    shutter_open: bool
    camera_temperature: Reading


@dataclass(frozen=True)
class SpectrometerStatus(Status):
    """State of spectrograph and camera: ``state`` is one of idle, acquiring, unknown.

    Attributes:
        grating_lines_per_mm: The grating in the beam.
        centre_wavelength: Read back from the spectrograph (nm).
        shutter_open: Where the entrance shutter stands.
        camera_temperature: Sensor temperature (degC).
        camera_stabilised: The cooler holds its set point.
    """

    grating_lines_per_mm: float
    centre_wavelength: Reading
    shutter_open: bool
    camera_temperature: Reading
    camera_stabilised: bool


@dataclass(frozen=True)
class SpectrometerLimits:
    """What the spectrometer can be asked for.

    Attributes:
        gratings_lines_per_mm: Groove density of each grating, in their order.
        shortest_centre_nm: Shortest centre wavelength of each grating.
        longest_centre_nm: Longest centre wavelength of each grating.
        lowest_camera_temperature_C: Lowest set point of the camera's cooler.
        highest_camera_temperature_C: Highest set point.
    """

    gratings_lines_per_mm: tuple[float, ...]
    shortest_centre_nm: tuple[float, ...]
    longest_centre_nm: tuple[float, ...]
    lowest_camera_temperature_C: float
    highest_camera_temperature_C: float


class Spectrometer(Instrument):
    """A grating spectrograph with a camera at its exit."""

    @property
    @abstractmethod
    def noise(self) -> CameraNoise:
        """Conversion gain and noise at the present read-out settings (from the rig file)."""

    def response(self, wavelengths_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Relative response of the whole instrument at these wavelengths, at most 1; flat where unknown.

        Dark-corrected counts divided by it are proportional to photons per pixel.
        """
        return np.ones_like(wavelengths_nm)

    @abstractmethod
    def status(self) -> SpectrometerStatus:
        """Ask spectrograph and camera for their state."""

    @abstractmethod
    def select(self, grating: int, centre_wavelength_nm: float) -> None:
        """Turn to grating number ``grating`` (1, 2, ...) and centre wavelength.

        Raises:
            LimitError: No such grating, or the wavelength is outside its range.
        """

    @abstractmethod
    def wavelengths_nm(self) -> NDArray[np.float64]:
        """Wavelength at the centre of each camera pixel, shape (n_pixels,), increasing."""

    @abstractmethod
    def cool(self, *, cancel: threading.Event | None = None) -> None:
        """Cool the camera to the rig file's temperature and wait until it is stable.

        Raises:
            InstrumentTimeoutError: Not stable in time.
        """

    @abstractmethod
    def frames(
        self,
        number: int,
        exposure_s: float,
        *,
        shutter_open: bool,
        cancel: threading.Event | None = None,
    ) -> Iterator[SpectrumFrame]:
        """Take ``number`` frames one after the other, each given as soon as it is read out.

        Closing the iterator aborts the acquisition and closes the shutter.
        """
