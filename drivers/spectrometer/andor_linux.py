"""Andor's libraries on Linux: other file names and other integer sizes than pylablib expects.

pylablib 1.4.5 looks for Windows names (``atmcd64d.dll``), and it declares C's ``long`` where the Linux header
has 32-bit integers. Little-endian numbers survive that, the structure of the camera's capabilities does not:
its fields come out at the wrong places. Both are put right here; nothing in pylablib is changed on disk.
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# pylablib's name -> what the Linux packages install, the newest first.
_NAMES = {
    "atspectrograph.dll": ("libatspectrograph.so*", "libshamrockcif.so*"),
    "atmcd64d.dll": ("libandor.so*",),
}
PLACES = ("/usr/local/lib", "/usr/local/lib64", "/usr/lib")

# Fields of the capabilities structure in their order (atmcd32d.h / atmcdLXd.h).
CAPABILITIES = (
    "ulSize",
    "ulAcqModes",
    "ulReadModes",
    "ulTriggerModes",
    "ulCameraType",
    "ulPixelMode",
    "ulSetFunctions",
    "ulGetFunctions",
    "ulFeatures",
    "ulPCICard",
    "ulEMGainCapability",
    "ulFTReadModes",
    "ulFeatures2",
)


def folder_for_pylablib(folder: str) -> str:
    """A folder in which pylablib finds the libraries under the names it knows.

    Args:
        folder: Folder of the libraries; empty: where Andor's Linux packages install them.

    Returns:
        The folder itself on Windows, or where it holds no Linux libraries; else a folder of links.
    """
    if sys.platform == "win32":
        return folder
    for place in (folder,) if folder else PLACES:
        links = {name: found for name in _NAMES if (found := _find(Path(place), name)) is not None}
        if links:
            return _folder_of_links(tuple(sorted(links.items())))
    return folder


def _find(place: Path, name: str) -> str | None:
    for pattern in _NAMES[name]:
        for found in _sorted_glob(place, pattern):
            return str(found.resolve())
    return None


def _sorted_glob(place: Path, pattern: str) -> Iterator[Path]:
    return iter(sorted(place.glob(pattern), reverse=True))


# The folder lives as long as the process: the loaded libraries may open their companions beside them.
_folders: list[tempfile.TemporaryDirectory[str]] = []


@lru_cache(maxsize=16)
def _folder_of_links(links: tuple[tuple[str, str], ...]) -> str:
    made = tempfile.TemporaryDirectory(prefix="andor-", ignore_cleanup_errors=True)
    _folders.append(made)
    for name, target in links:
        (Path(made.name) / name).symlink_to(target)
    return made.name


def repair_capabilities(package: Any) -> None:
    """Make pylablib read the camera's capabilities right where C's ``long`` has 64 bits.

    Loads the camera's library if it is not loaded yet. May be called at every opening.

    Args:
        package: ``pylablib.devices.Andor``.

    Raises:
        OSError: The library cannot be loaded.
    """
    if ctypes.sizeof(ctypes.c_ulong) == 4:
        return
    package.AndorSDK2.libctl.preinit()
    library = package.AndorSDK2.lib
    ask = library.lib.GetCapabilities
    if ask is None:
        return

    def get_capabilities() -> SimpleNamespace:
        # Room for both layouts; the size field says 52 bytes, that of the Linux header, in both of them.
        words = (ctypes.c_uint32 * (2 * len(CAPABILITIES)))()
        words[0] = 4 * len(CAPABILITIES)
        ask(ctypes.cast(words, ask.argtypes[0]))
        return SimpleNamespace(**dict(zip(CAPABILITIES, capability_words(list(words)), strict=True)))

    library.GetCapabilities = get_capabilities


def capability_words(words: list[int]) -> list[int]:
    """The structure's fields from its memory seen as 32-bit words.

    Args:
        words: 26 words, the structure at their begin, zero behind it.

    Returns:
        The 13 fields. With 64-bit fields every second word is zero; a camera without any acquisition mode
        (second word of the 32-bit layout) does not exist, so that this decides.
    """
    return words[: len(CAPABILITIES)] if words[1] else words[::2]
