"""Temperature sweep: at each temperature a spectrum and a g2, beam on only while there is light to see.

At each point: beam off, set the temperature, settle, soak, beam on, dark frames (shutter closed), spectrum
frames, fibre to the counters, g2 frames, beam off, counts without light. On any exit: beam off, stage held.

Where a person moves the fibre and does not come in time, the sweep goes on with what it can see, and measures
the rest on the way back, after asking once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.errors import LimitError
from drivers.operator_setting.confirmed import refusal
from labctl.engine import steps
from labctl.engine.schedule import PlannedStep
from labctl.rig.rig import Rig
from labctl.toml_source import KeyPath


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Sample(_Table):
    """What is in the stage.

    Attributes:
        name: The sample's name; the simulated rig looks it up among its samples.
        note: Anything worth remembering.
    """

    name: str = Field(min_length=1)
    note: str = ""


class Temperatures(_Table):
    """Where to measure, and when a temperature counts as reached."""

    temperatures_K: list[float] = Field(min_length=1, max_length=500)
    rate_K_per_min: float = Field(gt=0, le=150)
    tolerance_K: float = Field(gt=0, le=10)
    settle_s: float = Field(ge=0, le=86_400)
    soak_s: float = Field(ge=0, le=86_400)
    settle_timeout_s: float = Field(default=900.0, gt=0, le=86_400)
    poll_s: float = Field(default=2.0, gt=0, le=60)


class Beam(_Table):
    """The X-ray beam while measuring."""

    voltage_kV: float = Field(gt=0, le=500)
    current_uA: float = Field(gt=0, le=100_000)


class Spectrum(_Table):
    """The spectrum at each temperature: a series of equal frames, and dark frames before them."""

    exposure_s: float = Field(gt=0, le=3_600)
    frames: int = Field(ge=1, le=10_000)
    dark_frames: int = Field(ge=1, le=10_000)
    grating: int = Field(ge=1, le=12)
    centre_wavelength_nm: float = Field(gt=150, lt=2_000)


class PhotonPairs(_Table):
    """The g2 at each temperature: a series of equal frames, each one a time block of the histogram."""

    frame_s: float = Field(gt=0, le=600)
    frames: int = Field(
        ge=20, le=100_000, description="at least 20, for error bars from the scatter of blocks"
    )
    window_ps: int = Field(ge=1_000, le=10_000_000)
    bin_ps: int = Field(ge=1, le=1_000_000)
    background_frames: int = Field(
        default=0, ge=0, le=10_000, description="with the beam off: dark counts and stray light"
    )

    @model_validator(mode="after")
    def _whole_bins(self) -> PhotonPairs:
        if self.window_ps % self.bin_ps:
            raise ValueError(f"window_ps must be a whole number of bins of {self.bin_ps} ps")
        return self


class Parameters(_Table):
    """Everything a sequence file of this kind may say.

    Attributes:
        by_hand: Settings of the rig file that a person is asked to make before the sweep begins, with the
            values wanted.
    """

    sequence: Literal["temperature_sweep"]
    title: str = Field(min_length=1, max_length=200)
    sample: Sample
    stage: Temperatures
    beam: Beam
    spectrum: Spectrum
    g2: PhotonPairs
    by_hand: dict[str, str | float] = Field(default_factory=dict)

    @property
    def planned_points(self) -> int:
        """Number of points that the sweep will measure."""
        return len(self.stage.temperatures_K)


# What is measured at a temperature, in this order, and where the light has to go for it.
PORTS = {"spectrum": "spectrometer", "g2": "counters"}
Wanted = tuple[float, tuple[str, ...]]

# What the simulated rig's instruments need beyond the exposures (tube ramp, flipper), in s.
_BEAM_RAMP_S = 8.0
_FLIP_S = 1.0
_BY_HAND_S = 60.0
_COOL_CAMERA_S = 120.0


def schedule(parameters: Parameters, start_K: float) -> list[PlannedStep]:
    """Steps of the sweep with the time that each should take, beginning at stage temperature ``start_K``."""
    p = parameters
    plan = [PlannedStep(f"by hand: {name}", None, _BY_HAND_S) for name in p.by_hand]
    plan.append(PlannedStep("cool the camera", None, _COOL_CAMERA_S))
    targets_K = p.stage.temperatures_K
    return plan + _pass_steps(p, [(target_K, tuple(PORTS)) for target_K in targets_K], 0, start_K)


def _pass_steps(p: Parameters, points: list[Wanted], first: int, before_K: float) -> list[PlannedStep]:
    """Steps of points ``first``, ``first + 1``, ... coming from stage temperature ``before_K``."""
    plan: list[PlannedStep] = []
    frame_s = p.spectrum.exposure_s
    for index, (target_K, kinds) in enumerate(points, start=first):
        if not kinds:
            continue
        ramp_s = abs(target_K - before_K) / p.stage.rate_K_per_min * 60.0
        before_K = target_K
        plan += [
            PlannedStep(f"stage to {target_K:g} K", index, ramp_s + p.stage.settle_s + p.stage.soak_s),
            PlannedStep("beam on", index, _BEAM_RAMP_S),
        ]
        if "spectrum" in kinds:
            plan += [
                PlannedStep("dark frames", index, frame_s * p.spectrum.dark_frames + _FLIP_S),
                PlannedStep("spectrum", index, frame_s * p.spectrum.frames),
            ]
        if "g2" in kinds:
            plan.append(PlannedStep("g2", index, p.g2.frame_s * p.g2.frames + _FLIP_S))
        plan.append(PlannedStep("beam off", index, _BEAM_RAMP_S))
        if "g2" in kinds and p.g2.background_frames:
            plan.append(PlannedStep("counter background", index, p.g2.frame_s * p.g2.background_frames))
    return plan


def _steps_left(
    p: Parameters,
    number: int,
    points: list[Wanted],
    given_up: set[str],
    left: list[Wanted],
    *,
    way_back: bool,
) -> list[PlannedStep]:
    """What is still to come once something was given up at point ``number``.

    Args:
        p: The sweep.
        number: The present point.
        points: Those of this pass that come after it.
        given_up: What nobody moved the fibre for.
        left: What was left undone so far, the present point included.
        way_back: This is the second pass; what is left now stays undone.
    """
    here_K = left[-1][0]
    seen = [(target_K, tuple(k for k in kinds if k not in given_up)) for target_K, kinds in points]
    rest = _pass_steps(p, seen, number + 1, here_K)
    if way_back:
        return rest
    undone = left + [(target_K, tuple(k for k in kinds if k in given_up)) for target_K, kinds in points]
    last_K = next((target_K for target_K, kinds in reversed(seen) if kinds), here_K)
    return rest + _pass_steps(p, undone[::-1], len(p.stage.temperatures_K), last_K)


def problems(parameters: Parameters, rig: Rig) -> list[tuple[KeyPath, str]]:
    """What this rig cannot do of the sequence: (key in the file, what is wrong). Nothing is moved."""
    found: list[tuple[KeyPath, str]] = []
    limits = rig.cryostage.limits
    for target_K in parameters.stage.temperatures_K:
        if not limits.minimum_K <= target_K <= limits.maximum_K:
            found.append(
                (
                    ("stage", "temperatures_K"),
                    f"{target_K:g} K is outside the stage's limits, "
                    f"{limits.minimum_K:g} to {limits.maximum_K:g} K",
                )
            )
    if parameters.stage.rate_K_per_min > limits.maximum_rate_K_per_min:
        found.append(
            (
                ("stage", "rate_K_per_min"),
                f"{parameters.stage.rate_K_per_min:g} K/min is more than the stage's limit, "
                f"{limits.maximum_rate_K_per_min:g} K/min",
            )
        )
    try:
        rig.xray_tube.check(parameters.beam.voltage_kV, parameters.beam.current_uA)
    except LimitError as error:
        found.append((("beam",), str(error)))
    for name, value in parameters.by_hand.items():
        if name not in rig.by_hand:
            known = ", ".join(rig.by_hand) or "none"
            found.append((("by_hand", name), f"the rig file has no such setting (known: {known})"))
        elif complaint := refusal(rig.by_hand[name].settings, value):
            found.append((("by_hand", name), complaint))
    for port in ("spectrometer", "counters"):
        if port not in rig.light_path.reachable:
            found.append((("sequence",), f"this rig's light path cannot send the light to the {port}"))
    return found


def plan(parameters: Parameters, devices: Mapping[str, Any]) -> steps.Plan:
    """The sweep as a plan.

    Args:
        parameters: What to do.
        devices: By name: ``cryostage``, ``xray_tube``, ``light_path``, ``spectrometer``, ``camera_cooler``,
            ``counters``, and the values ``point``, ``shutter``, ``progress`` (the present step) and
            ``schedule`` (the steps to come, where they change).
    """
    p = parameters
    beam, stage = devices["xray_tube"], devices["cryostage"]

    def make_safe() -> steps.Plan:
        yield from steps.tell(beam, False)
        yield from steps.hold(stage)

    def night() -> steps.Plan:
        yield from steps.configure(stage, **p.stage.model_dump(exclude={"temperatures_K"}))
        yield from steps.configure(beam, **p.beam.model_dump())
        yield from steps.configure(devices["spectrometer"], exposure_s=p.spectrum.exposure_s)
        yield from steps.configure(
            devices["counters"], **p.g2.model_dump(exclude={"frames", "background_frames"})
        )
        for name, value in p.by_hand.items():
            yield from steps.tell(devices["progress"], f"by hand: {name}")
            yield from steps.move(devices[name], value)
        yield from steps.tell(devices["progress"], "cool the camera")
        yield from steps.move(devices["camera_cooler"], True)
        yield from steps.move(devices["spectrometer"], [p.spectrum.grating, p.spectrum.centre_wavelength_nm])
        yield from steps.begin_run(
            plan_name="temperature_sweep",
            title=p.title,
            sample=p.sample.name,
            planned_points=p.planned_points,
        )
        kinds = tuple(PORTS)
        left = yield from _pass(p, devices, [(target_K, kinds) for target_K in p.stage.temperatures_K], 0)
        if left:
            # Nobody moved the fibre in time: what it was needed for is measured on the way back.
            yield from _pass(p, devices, left[::-1], len(p.stage.temperatures_K))
        yield from steps.end_run()

    return (yield from steps.always_finally(night(), make_safe))


def _pass(p: Parameters, devices: Mapping[str, Any], points: list[Wanted], first: int) -> steps.Plan:
    """Measure at each temperature what is wanted there; gives what a fibre moved by hand left undone."""
    left: list[Wanted] = []
    given_up: set[str] = set()
    for number, (target_K, kinds) in enumerate(points, start=first):
        known = len(given_up)
        if all(kind in given_up for kind in kinds):
            left.append((target_K, kinds))
            continue
        missed = yield from _point(p, devices, number, target_K, kinds, given_up)
        if missed:
            left.append((target_K, missed))
        if len(given_up) > known:
            rest = points[number - first + 1 :]
            to_come = _steps_left(p, number, rest, given_up, left, way_back=first > 0)
            yield from steps.tell(devices["schedule"], [list(astuple(step)) for step in to_come])
    return left


def _point(
    p: Parameters,
    devices: Mapping[str, Any],
    number: int,
    target_K: float,
    kinds: tuple[str, ...],
    given_up: set[str],
) -> steps.Plan:
    beam, stage, progress = devices["xray_tube"], devices["cryostage"], devices["progress"]
    surroundings = [stage, beam]

    yield from steps.tell(devices["point"], number)
    yield from steps.move(beam, False)
    yield from steps.tell(progress, f"stage to {target_K:g} K")
    yield from steps.move(stage, target_K)
    yield from steps.tell(progress, "beam on")
    yield from steps.move(beam, True)
    for kind in kinds:
        if kind not in given_up and not (yield from _send_light(devices, PORTS[kind])):
            given_up.add(kind)
        if kind not in given_up:
            yield from (_spectrum if kind == "spectrum" else _pairs)(p, devices, number, surroundings)
    yield from steps.tell(progress, "beam off")
    yield from steps.move(beam, False)
    if "g2" in kinds and "g2" not in given_up and p.g2.background_frames:
        # The fibre is at the counters still.
        yield from steps.tell(progress, "counter background")
        yield from _count(devices, number, "background", p.g2.background_frames, surroundings)
    hands = [devices[name] for name in p.by_hand]
    yield from steps.frame("point", [*surroundings, *hands], [devices["point"]])
    return tuple(kind for kind in kinds if kind in given_up)


def _send_light(devices: Mapping[str, Any], port: str) -> steps.Plan:
    """Send the light to ``port``; False where a person should have done it and nobody did in time."""
    beam, fibre = devices["xray_tube"], devices["light_path"]
    if not fibre.by_hand:
        yield from steps.move(fibre, port)
        return True
    if fibre.port == port:
        return True
    # No beam while somebody is asked to the rig.
    yield from steps.move(beam, False)
    there = yield from steps.try_to_move(fibre, port)
    yield from steps.move(beam, True)
    return there


def _spectrum(p: Parameters, devices: Mapping[str, Any], number: int, surroundings: list[Any]) -> steps.Plan:
    spectrometer, progress = devices["spectrometer"], devices["progress"]
    yield from steps.tell(progress, "dark frames")
    yield from steps.tell(devices["shutter"], False)
    for _ in range(p.spectrum.dark_frames):
        yield from steps.frame("dark", [spectrometer, *surroundings], [devices["point"]])
    yield from steps.tell(progress, "spectrum")
    yield from steps.tell(devices["shutter"], True)
    for _ in range(p.spectrum.frames):
        yield from steps.frame("spectrum", [spectrometer, *surroundings], [devices["point"]])


def _pairs(p: Parameters, devices: Mapping[str, Any], number: int, surroundings: list[Any]) -> steps.Plan:
    yield from steps.tell(devices["progress"], "g2")
    yield from _count(devices, number, "g2", p.g2.frames, surroundings)


def _count(
    devices: Mapping[str, Any], number: int, stream: str, frames: int, surroundings: list[Any]
) -> steps.Plan:
    counters = devices["counters"]
    yield from steps.move(counters, [number, stream])
    for _ in range(frames):
        yield from steps.frame(stream, [counters, *surroundings], [devices["point"]])
