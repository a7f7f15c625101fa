"""A clip in words and numbers, before anything is rendered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from unipose_training.synthetic.bank.people import PersonPlan, Wardrobe
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


# What training may see and what is kept for the benchmark.
#
# Bodies, furniture and places differ by seed; what exists by name only is divided here.

#: MakeHuman's garments by name, so that a draw does not depend on the folder at hand.
SUITS = (
    "female_casualsuit01", "female_casualsuit02", "female_elegantsuit01", "female_sportsuit01", "male_casualsuit01",
    "male_casualsuit02", "male_casualsuit03", "male_casualsuit04", "male_casualsuit05", "male_casualsuit06",
    "male_elegantsuit01", "male_worksuit01",
)  # fmt: skip
SHOES = ("shoes01", "shoes02", "shoes03", "shoes04", "shoes05", "shoes06")
HAIR = ("afro01", "bob01", "long01", "ponytail01", "short01", "short02", "short03", "short04")
_HELD_OUT_GARMENTS = (
    "female_casualsuit02", "female_sportsuit01", "male_casualsuit03", "male_casualsuit06", "male_worksuit01",
    "shoes05", "shoes06", "bob01", "ponytail01", "short03", "short04",
)  # fmt: skip


@dataclass(frozen=True)
class Split:
    """One side of the division.

    Attributes:
        name: ``training`` or ``benchmark``.
        wardrobe: garments.
        clips: DeepMimic clips.
        gestures: posture families for arms and standing people.
        styles: of rooms.
        cameras: kinds.
    """

    name: str
    wardrobe: Wardrobe
    clips: tuple[str, ...]
    gestures: tuple[str, ...]
    styles: tuple[str, ...]
    cameras: tuple[str, ...]


def _wardrobe(held_out: bool) -> Wardrobe:
    def keep(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if (name in _HELD_OUT_GARMENTS) == held_out)

    return Wardrobe(suits=keep(SUITS), shoes=keep(SHOES), hair=keep(HAIR))


TRAINING = Split(
    name="training",
    wardrobe=_wardrobe(held_out=False),
    clips=("run", "dance_a", "kick", "spinkick", "crawl", "cartwheel", "getup_facedown", "spin"),
    gestures=(
        "standing", "reaching", "pointing", "overhead", "gesturing", "waving", "crossed", "bending", "crouching",
        "anyhow",
    ),
    styles=("living", "office", "corridor", "store"),
    cameras=("kinect_v1", "kinect_v2", "azure_kinect", "d435"),
)  # fmt: skip
BENCHMARK = Split(
    name="benchmark",
    wardrobe=_wardrobe(held_out=True),
    clips=("dance_b", "punch", "jump"),
    gestures=(
        "standing", "reaching", "pointing", "overhead", "gesturing", "bending", "crouching", "hands_on_hips",
        "carrying",
    ),
    styles=("kitchen", "workshop"),
    cameras=("astra", "femto_bolt", "d455", "zed2"),
)  # fmt: skip
SPLITS = {split.name: split for split in (TRAINING, BENCHMARK)}
