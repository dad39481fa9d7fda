"""Model of a spectrum with several peaks: names of its parameters, expected counts, Jacobian."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labctl.fitting.lines import LineShape, line

Array = NDArray[np.float64]


def parameter_names(n_peaks: int, line_shape: LineShape) -> tuple[str, ...]:
    """Names of the parameters of a model, in the order of the fit."""
    names = ["counts", "background_per_pixel", "energy_eV", "width_eV"]
    skewed = line_shape == "asymmetric"
    names += ["skew"] if skewed else []
    for i in range(1, n_peaks):
        names += [f"fraction{suffix(i)}", f"shift_eV{suffix(i)}", f"coupled_width_eV{suffix(i)}"]
        names += [f"coupled_skew{suffix(i)}"] if skewed else []
    return tuple(names)


def spectrum_model(
    energy: Array, background_shape: Array, theta: Array, n_peaks: int, line_shape: LineShape
) -> tuple[Array, Array]:
    """Expected counts per eV and their Jacobian.

    Args:
        energy: Photon energies in eV (n,).
        background_shape: Counts per eV that one background count per pixel makes (n,).
        theta: Parameters in the order of :func:`parameter_names`.
        n_peaks: Peaks.
        line_shape: Shape of all peaks.

    Returns:
        Model (n,) and Jacobian (n, p).
    """
    stride = 3 + (line_shape == "asymmetric")
    first = 4 + (line_shape == "asymmetric")
    skewed = line_shape == "asymmetric"
    total, background, centre, width = theta[:4]
    shares = theta[first::stride]
    jacobian = np.empty((energy.size, theta.size))
    main, by_centre, by_width, by_skew = line(energy, centre, width, theta[4] if skewed else 0.0)
    rest = 1.0 - float(shares.sum())
    shape = rest * main
    jacobian[:, 2], jacobian[:, 3] = rest * by_centre, rest * by_width
    if skewed:
        jacobian[:, 4] = rest * by_skew
    for i, share in enumerate(shares):
        at = first + i * stride
        part, d_centre, d_width, d_skew = line(
            energy, centre - theta[at + 1], theta[at + 2], theta[at + 3] if skewed else 0.0
        )
        shape = shape + share * part
        jacobian[:, 2] += share * d_centre
        jacobian[:, at] = total * (part - main)
        jacobian[:, at + 1] = -total * share * d_centre
        jacobian[:, at + 2] = total * share * d_width
        if skewed:
            jacobian[:, at + 3] = total * share * d_skew
    jacobian[:, 2:first] *= total
    jacobian[:, 0], jacobian[:, 1] = shape, background_shape
    return total * shape + background * background_shape, jacobian


def suffix(index: int) -> str:
    """Ending of the names of coupled peak ``index``: none for the first, then ``_2`` and so on."""
    return "" if index == 1 else f"_{index}"


def peaks(energy: Array, theta: Array, n_peaks: int, line_shape: LineShape) -> list[Array]:
    """Each peak per unit of total counts, uncoupled first (n,) each."""
    skewed = line_shape == "asymmetric"
    first, stride = 4 + skewed, 3 + skewed
    shares = theta[first::stride]
    rest = 1.0 - float(shares.sum())
    parts = [rest * line(energy, theta[2], theta[3], theta[4] if skewed else 0.0)[0]]
    for i, share in enumerate(shares):
        at = first + i * stride
        skew = theta[at + 3] if skewed else 0.0
        parts.append(share * line(energy, theta[2] - theta[at + 1], theta[at + 2], skew)[0])
    return parts


def line_list(theta: Array, line_shape: LineShape) -> list[tuple[float, float, float]]:
    """Area (counts), centre and width (eV) of each line, uncoupled first."""
    skewed = line_shape == "asymmetric"
    first, stride = 4 + skewed, 3 + skewed
    shares = theta[first::stride]
    total, reference = float(theta[0]), float(theta[2])
    lines = [(total * (1.0 - float(shares.sum())), reference, float(theta[3]))]
    for i, share in enumerate(shares):
        at = first + i * stride
        lines.append((total * float(share), reference - float(theta[at + 1]), float(theta[at + 2])))
    return lines
