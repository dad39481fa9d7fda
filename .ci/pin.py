"""Write ``constraints.txt``: the installed versions of what pyproject.toml names, and of what those need.

Run inside an environment that holds the versions to be pinned:  ``python .ci/pin.py > constraints.txt``
"""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# pylablib names packages for instruments that this rig does not have, and PyQt5 beside our PySide6. tables
# (for phconvert) reads and writes without blosc2, which would bring a whole web client along.
LEFT_OUT = {"pylablib": {"pyqt5", "rpyc", "pyusb", "pyft232"}, "tables": {"blosc2"}}
# Windows wheels of these are needed by packages that only ask for them there.
ALSO = ["colorama", "tzdata"]
BUILD = ["hatchling", "editables"]


def closure(requirements: list[str], known: set[str]) -> dict[str, str]:
    """Name -> version of everything that ``requirements`` need and ``known`` does not hold."""
    found: dict[str, str] = {}
    queue = [Requirement(text) for text in requirements]
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        if name in found or name in known:
            continue
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = distribution(requirement.name)
        except PackageNotFoundError:
            raise SystemExit(f"{requirement.name} is not installed here") from None
        found[name] = installed.version
        for text in installed.requires or []:
            need = Requirement(text)
            extras = {"", *requirement.extras}
            if need.marker and not any(need.marker.evaluate({"extra": extra}) for extra in extras):
                continue
            if canonicalize_name(need.name) not in LEFT_OUT.get(name, set()):
                need.marker = None
                queue.append(need)
    return found


def main() -> None:
    """Print the constraints file."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    extras = project["optional-dependencies"]
    run = closure([*project["dependencies"], *extras["gui"], *BUILD, *ALSO], set())
    test = closure(extras["test"], set(run))
    print("# Versions that labctl was tested with; run.py installs exactly these. Made by .ci/pin.py.")
    for section, pins in (("run", run), ("test", test)):
        print(f"\n# [{section}]")
        for name in sorted(pins):
            print(f"{name}=={pins[name]}")


if __name__ == "__main__":
    main()
