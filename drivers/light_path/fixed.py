"""A fibre that always goes to the same place."""

from __future__ import annotations

import threading
from typing import Literal

from drivers.base import Identity, Settings
from drivers.errors import LimitError
from drivers.light_path.base import LightPath, LightPathStatus, Port


class FixedSettings(Settings):
    """A fixed fibre in the rig file.

    Attributes:
        driver: ``"fixed"``.
        port: Where it goes.
    """

    driver: Literal["fixed"] = "fixed"
    port: Port


class FixedPath(LightPath):
    """Goes to one port; nothing to move, nothing to ask."""

    Settings = FixedSettings
    settings: FixedSettings

    def open(self) -> None:
        """Nothing to connect."""

    def close(self) -> None:
        """Nothing to release."""

    def identify(self) -> Identity:
        """A fibre tells nothing of itself."""
        return Identity(make="", model=f"fixed fibre to the {self.settings.port}")

    def status(self) -> LightPathStatus:
        """The port of the rig file."""
        return LightPathStatus(True, "fixed", (), self.clock.now(), self.settings.port, "entered")

    @property
    def reachable(self) -> tuple[Port, ...]:
        """The one port."""
        return (self.settings.port,)

    def select(self, port: Port, *, cancel: threading.Event | None = None) -> None:
        """Nothing to do for the one port.

        Raises:
            LimitError: Another port was asked for.
        """
        if port != self.settings.port:
            raise LimitError(
                self.name,
                f"the fibre goes to the {self.settings.port} only, not to {port!r}",
                advice="Measure the other one in a pass of its own: move the fibre and change the rig file",
            )
