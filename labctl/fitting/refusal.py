"""Data that no fit can answer for."""

from __future__ import annotations

from labctl.errors import InputError


class FitRefused(InputError):
    """The data cannot give the asked-for numbers; the message says why and what would help."""
