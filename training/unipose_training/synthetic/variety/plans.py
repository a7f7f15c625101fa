"""A clip in words and numbers, before anything is rendered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from unipose_training.synthetic.bank.people import PersonPlan
from unipose_training.synthetic.lighting import Lighting
from unipose_training.synthetic.motion import Oval
from unipose_training.synthetic.variety.cameras import CameraPlan
from unipose_training.synthetic.variety.furniture import RoomPlan
from unipose_training.synthetic.variety.postures import Posture

SUBSETS = ("single", "crowd", "occluded", "sitting", "far", "dark")
#: What fails on real people; see :mod:`unipose_training.synthetic.variety.staging_hard`.
HARD_SUBSETS = ("arms", "floor", "touching", "close", "border", "tilted", "portrait", "empty")
#: Fields that plans did not always have: while they keep their defaults digests are what they were before.
_LATER = {"upright": False}


@dataclass(frozen=True)
class Stroll:
    """Walk along a path, from a phase of the walking cycle, holding the arms as ``arms`` say if there are any."""

    path: Oval
    phase: float
    arms: tuple[Posture, ...] = ()


@dataclass(frozen=True)
class Captured:
    """A piece of motion capture.

    Attributes:
        clip: its name.
        start: share of the part of the clip that can be begun with.
        mirrored: left and right swapped.
        arms: postures whose arms replace the clip's, if any.
    """

    clip: str
    start: float
    mirrored: bool
    arms: tuple[Posture, ...] = ()


@dataclass(frozen=True)
class Posed:
    """From posture to posture; ``seat`` names what the person sits on, if anything."""

    keys: tuple[Posture, ...]
    seat: str = ""


@dataclass(frozen=True)
class Struck:
    """Trunk and legs of a family of :mod:`unipose_training.synthetic.poses.bodies`, arms from gesture to gesture.

    Attributes:
        gestures: of the left and the right arm, one pair for each key.
        seed: of the pose.
        towards: meters from the hips to what may be pointed at, before the person is turned.
    """

    family: str
    gestures: tuple[tuple[str, str], ...]
    seed: int
    towards: tuple[float, float, float]


Act = Stroll | Captured | Posed | Struck


@dataclass(frozen=True)
class Role:
    """A person in a clip.

    Attributes:
        id: as in the true skeletons.
        person: body and outfit.
        act: what to do.
        x, y: meters, where; a stroll has its own path.
        heading: radians, 0 faces -y, which is roughly the camera.
    """

    id: str
    person: PersonPlan
    act: Act
    x: float
    y: float
    heading: float


@dataclass(frozen=True)
class ClipPlan:
    """Everything about a clip.

    Attributes:
        name: of the folder.
        seed: of all noise.
        subset: one of :data:`SUBSETS` or :data:`HARD_SUBSETS`.
        brightness: of the middle pixel, in [0, 1].
        frames, rate_hz: length and frame rate.
    """

    name: str
    seed: int
    subset: str
    camera: CameraPlan
    room: RoomPlan
    lighting: Lighting
    brightness: float
    roles: tuple[Role, ...]
    frames: int
    rate_hz: float


def digest(plans: Iterable[ClipPlan]) -> str:
    """SHA-256 of what the plans say; numbers to 9 digits, so that it is the same on every machine."""
    text = json.dumps([_rounded(_named(plan)) for plan in plans], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _named(plan: ClipPlan) -> dict[str, object]:
    """The plan as plain data; acts by name, since two kinds might have equal fields."""
    return asdict(plan) | {"acts": [type(role.act).__name__ for role in plan.roles]}


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, dict):
        known = {key: item for key, item in value.items() if key not in _LATER or item != _LATER[key]}
        return {key: _rounded(item) for key, item in known.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
