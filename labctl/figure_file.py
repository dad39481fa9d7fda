"""Figures on disk: whole or not at all, whatever names stand in them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.store.durable import written_aside

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: Figure, path: Path, *, dpi: int = 130) -> None:
    """Write a figure in the format that the name's ending asks for.

    Raises:
        OSError: The disk is full, or the folder is not writable; a file of that name stays as it was.
    """
    with warnings.catch_warnings(), written_aside(path) as scratch:
        # A title with a script that the font lacks shows boxes, which is seen without words.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(scratch, format=path.suffix[1:].lower(), dpi=dpi)


def plain(text: str) -> str:
    """Words from a file for a figure: matplotlib takes what stands between two $ for a formula."""
    return text.replace("$", r"\$")
