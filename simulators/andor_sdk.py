"""Andor's two C libraries without a compiler: ctypes callbacks under the unmodified pylablib classes.

``installed(world)`` replaces pylablib's library loader; opened inside it, ``ShamrockSpectrograph`` and
``AndorSDK2Camera`` talk to ``simulators.shamrock`` and ``simulators.andor_camera`` through real C calls:
every argument passes through ctypes' conversion in both directions. The functions' signatures are pylablib's
own, harvested by handing its ``define_functions`` a recorder.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from simulators.andor_camera import Sdk2Camera
from simulators.andor_settings import NOT_SUPPORTED, USB_ERROR
from simulators.camera import Sensor
from simulators.kymera import FLAT_GRATINGS
from simulators.light_switch import Wiring
from simulators.optics import Grating
from simulators.shamrock import COMMUNICATION_ERROR, NOT_AVAILABLE, Shamrock
from simulators.world import WorldView

# Data buffers: the vendor writes 32-bit integers through a ``long *``, whatever the platform's long is.
_BUFFERS = frozenset({"arr", "CalibrationValues"})
# Functions that the libraries answer by themselves.
_WITHOUT_LINE = frozenset(
    {
        "GetAvailableCameras",
        "GetVersionInfo",
        "ShamrockClose",
        "ShamrockGetFunctionReturnDescription",
        "ShamrockGetNumberDevices",
        "ShamrockInitialize",
    }
)


@dataclass(frozen=True)
class AndorStandIn:
    """The two instruments behind the libraries, for tests and panels that look behind the scenes."""

    shamrock: Shamrock
    camera: Sdk2Camera
    calls: list[str]
    errors: list[Exception]


class _Recorder:
    """Stands for a library while pylablib declares its functions; remembers what it declares."""

    def __init__(self) -> None:
        self.declared: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.declared.setdefault(name, type("Declaration", (), {})())


class CallbackLibrary:
    """An object with one C function pointer per declared function, as a loaded library has.

    Args:
        define_functions: pylablib's declaration of the library's functions.
        model: Object with a method for each function that the stand-in knows, a ``lock``, and ``gone()``: the
            line to the instrument is dead.
        failure: Code for a call over a dead line, or in which the model raised.
        not_supported: Code for a function that the model does not know.
        calls: Gets the name of each function called.
        errors: Gets what the model raised.
    """

    def __init__(
        self,
        define_functions: Callable[[Any], None],
        model: Any,
        *,
        failure: int,
        not_supported: int,
        calls: list[str],
        errors: list[Exception],
    ) -> None:
        recorder = _Recorder()
        define_functions(recorder)
        for name, declared in recorder.declared.items():
            python = _guarded(name, model, failure, not_supported, calls, errors)
            types = [
                _callback_type(kind, argument)
                for kind, argument in zip(declared.argtypes, declared.argnames, strict=True)
            ]
            function: Any = ctypes.CFUNCTYPE(ctypes.c_uint, *types)(python)
            function.__name__ = name
            setattr(self, name, function)


def _callback_type(kind: Any, argument: str) -> Any:
    # ctypes hands a ``char *`` to a callback as bytes, which cannot be written to: take the address.
    return ctypes.c_void_p if kind is ctypes.c_char_p or argument in _BUFFERS else kind


def _guarded(
    name: str,
    model: Any,
    failure: int,
    not_supported: int,
    calls: list[str],
    errors: list[Exception],
) -> Callable[..., int]:
    method: Callable[..., int] | None = getattr(model, name, None)

    def call(*arguments: Any) -> int:
        calls.append(name)
        if len(calls) > 20_000:
            del calls[:10_000]
        if method is None:
            return not_supported
        try:
            if name not in _WITHOUT_LINE and model.gone():
                return failure
            with model.lock:
                return int(method(*arguments))
        except Exception as error:
            # An exception must not leave a C callback: it becomes a failure of the line.
            errors.append(error)
            return failure

    return call


@contextmanager
def installed(
    world: WorldView,
    *,
    gratings: tuple[Grating, ...] = FLAT_GRATINGS,
    wiring: Wiring | None = None,
    sensor: Sensor | None = None,
) -> Iterator[AndorStandIn]:
    """Put the stand-ins where pylablib looks for Andor's libraries; take them out at the end.

    pylablib has one library of each kind per process.

    Args:
        world: The simulated rig, or its link.
        gratings: The spectrograph's turret.
        wiring: What its flipper mirror switches.
        sensor: The camera's chip.

    Raises:
        RuntimeError: They are installed already.
    """
    from drivers.spectrometer.andor_library import load_pylablib

    Andor = load_pylablib("simulated spectrometer")
    from pylablib.devices.utils import load_lib

    if getattr(load_lib.load_lib, "stands_in", False):
        raise RuntimeError("the stand-ins of Andor's libraries are installed already in this process")
    calls: list[str] = []
    errors: list[Exception] = []
    spectrograph = Shamrock(world, gratings=gratings, wiring=wiring)
    camera = Sdk2Camera(world, spectrograph, sensor=sensor)
    spectrograph_library = CallbackLibrary(
        Andor.ShamrockCIF_lib.define_functions,
        spectrograph,
        failure=COMMUNICATION_ERROR,
        not_supported=NOT_AVAILABLE,
        calls=calls,
        errors=errors,
    )
    camera_library = CallbackLibrary(
        Andor.atmcd32d_lib.define_functions,
        camera,
        failure=USB_ERROR,
        not_supported=NOT_SUPPORTED,
        calls=calls,
        errors=errors,
    )

    def load(name: Any, *arguments: Any, **options: Any) -> Any:
        names = [name] if isinstance(name, str) else list(name)
        if "atspectrograph.dll" in names:
            return spectrograph_library
        if any(entry.startswith("atmcd") for entry in names):
            return camera_library
        return original(name, *arguments, **options)

    load.stands_in = True  # type: ignore[attr-defined]
    original = load_lib.load_lib
    users = ((Andor.Shamrock, Andor.ShamrockCIF_lib), (Andor.AndorSDK2, Andor.atmcd32d_lib))
    for user, library in users:
        _forget_library(user.libctl, library.wlib)
    load_lib.load_lib = load
    try:
        yield AndorStandIn(spectrograph, camera, calls, errors)
    finally:
        load_lib.load_lib = original
        for user, library in users:
            _forget_library(user.libctl, library.wlib)


def _forget_library(controller: Any, wrapper: Any) -> None:
    """Make pylablib load its library again at the next use."""
    controller.initialized = False
    controller.open_devices = 0
    controller.opened.clear()
    controller.closed.clear()
    wrapper._initialized = False
