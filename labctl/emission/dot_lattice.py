"""Where coupled dots sit and which of them touch: chains, square and cubic lattices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def lattice_sites(shape: Sequence[int]) -> npt.NDArray[np.int64]:
    """Integer coordinates of the dots of a lattice, one row per dot.

    Args:
        shape: dots along each axis; ``(10,)`` is a chain, ``(3, 3)`` a square, ``(2, 2, 2)`` a cube.

    Returns:
        (n_dots, n_axes) coordinates, last axis fastest.

    Raises:
        ValueError: if there are not one to three axes, or one of them holds no dot.
    """
    lengths = tuple(int(length) for length in shape)
    if not 1 <= len(lengths) <= 3 or min(lengths) < 1:
        raise ValueError(f"a lattice has one to three axes of at least one dot each, not {tuple(shape)}")
    return np.stack(np.unravel_index(np.arange(int(np.prod(lengths))), lengths), axis=1).astype(np.int64)


def neighbour_pairs(shape: Sequence[int], *, periodic: bool = False) -> npt.NDArray[np.int64]:
    """Pairs of nearest neighbours (dots one lattice step apart), each pair once.

    Args:
        shape: dots along each axis, as in :func:`lattice_sites`.
        periodic: close every axis of three or more dots to a ring.

    Returns:
        (n_pairs, 2) indices into the rows of :func:`lattice_sites`, smaller index first, sorted.

    Raises:
        ValueError: as :func:`lattice_sites`.
    """
    sites = lattice_sites(shape)
    lengths = tuple(int(length) for length in shape)
    pairs = []
    for axis, length in enumerate(lengths):
        stepped = sites.copy()
        stepped[:, axis] += 1
        # A ring of two would count its only bond twice.
        wraps = periodic and length > 2
        inside = np.full(len(sites), True) if wraps else stepped[:, axis] < length
        stepped[:, axis] %= length
        other = np.ravel_multi_index(tuple(stepped.T), lengths)
        pairs.append(np.sort(np.stack([np.arange(len(sites))[inside], other[inside]], axis=1), axis=1))
    bonds = np.concatenate(pairs).astype(np.int64)
    return bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))]
