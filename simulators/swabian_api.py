"""The part of the vendor's time tagger module that the driver uses, on top of the simulated rig.

``vendor_module(world)`` gives an object with the names, signatures and behaviour of ``Swabian.TimeTagger``
2.22: functions to find, connect and free a tagger, the tagger's methods (``simulators.swabian_tagger``), and
some measurements. What the vendor's docstrings say was followed; what they leave open is said at each place.
"""

from __future__ import annotations

import enum
from types import ModuleType
from typing import Any

from simulators.swabian_box import TaggerBox
from simulators.swabian_file import FileReader, FileWriter
from simulators.swabian_link import ERROR, MISSED_EVENTS, OVERFLOW_BEGIN, OVERFLOW_END, TIME_TAG
from simulators.swabian_measurements import Countrate, TimeTagStream, TimeTagStreamBuffer
from simulators.swabian_models import TaggerOptions
from simulators.swabian_tagger import VERSION, ChannelEdge, TimeTagger, connect, free
from simulators.world import WorldView

CHANNEL_UNUSED = -134217728


class Resolution(enum.IntEnum):
    """Resolution of the tagger; only the standard one is simulated."""

    Standard = 0
    HighResA = 1
    HighResB = 2
    HighResC = 3


class TagType(enum.IntEnum):
    """Type of an event in a buffer."""

    TimeTag = TIME_TAG
    Error = ERROR
    OverflowBegin = OVERFLOW_BEGIN
    OverflowEnd = OVERFLOW_END
    MissedEvents = MISSED_EVENTS


def vendor_module(world: WorldView, **options: Any) -> ModuleType:
    """A stand-in for the module ``Swabian.TimeTagger`` with one simulated tagger attached.

    Args:
        world: The simulated rig.
        **options: Fields of ``simulators.swabian_models.TaggerOptions``.

    Raises:
        ValueError: Options that no tagger can have.
    """
    box = TaggerBox(world, TaggerOptions(**options))

    def createTimeTagger(*args: Any, **kwargs: Any) -> TimeTagger:
        """Connect to the tagger with this ``serial`` (or any), in this ``resolution``.

        Raises:
            RuntimeError: There is no such tagger, or it is in use.
        """
        serial = kwargs.get("serial", args[0] if args else "")
        resolution = kwargs.get("resolution", args[1] if len(args) > 1 else Resolution.Standard)
        if serial not in ("", box.options.serial_number) or not box.attached:
            raise RuntimeError(f"No Time Tagger attached with serial number {serial} or already in use")
        if resolution != Resolution.Standard:
            raise RuntimeError("The device license does not include the HighRes mode")
        return connect(box)

    def freeTimeTagger(tagger: TimeTagger) -> None:
        """Disconnect."""
        free(tagger)

    def scanTimeTagger(include_model_name: bool = False) -> tuple[str, ...]:
        """Serial numbers of the taggers that are attached and not in use, as ``"serial,model"`` if asked."""
        if box.connected or not box.attached:
            return ()
        serial = box.options.serial_number
        return (f"{serial},{box.model.name}" if include_model_name else serial,)

    def getVersion() -> str:
        """Version of the module that is imitated."""
        return VERSION

    module = ModuleType("Swabian.TimeTagger", "Simulated time tagger with the vendor's names.")
    for thing in (
        ChannelEdge,
        Resolution,
        TagType,
        TimeTagger,
        TimeTagStream,
        TimeTagStreamBuffer,
        Countrate,
        FileReader,
        FileWriter,
        createTimeTagger,
        freeTimeTagger,
        scanTimeTagger,
        getVersion,
    ):
        setattr(module, thing.__name__, thing)
    module.CHANNEL_UNUSED = CHANNEL_UNUSED  # type: ignore[attr-defined]
    module._box = box  # type: ignore[attr-defined]
    return module
