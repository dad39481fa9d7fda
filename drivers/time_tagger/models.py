"""What the vendor's models do by nature, where the module does not tell it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """Nominal numbers of one model.

    Attributes:
        jitter_ps_rms: Jitter of one tag (vendor's example scripts: 34 ps for the Time Tagger 20, 42 ps for
            the value edition of the Ultra; about 2 ps for the X, not confirmed).
        transfer_tags_per_s: What the link to the computer carries (USB 2: 8.5 M; USB 3: depends on the
            computer, 65 to 80 M).
        test_signal_Hz: Base frequency of the test signal (docstring of ``setTestSignalDivider``).
    """

    jitter_ps_rms: float
    transfer_tags_per_s: float
    test_signal_Hz: float


MODELS = {
    "Time Tagger 20": Model(34.0, 8.5e6, 62.5e6),
    "Time Tagger Ultra": Model(42.0, 65e6, 403.2e6),
    "Time Tagger X": Model(2.0, 80e6, 403.2e6),
}


def model_named(name: str) -> Model | None:
    """The model of this name (as ``getModel`` gives it, with or without its edition), None if unknown."""
    return next((model for known, model in MODELS.items() if name.startswith(known)), None)
