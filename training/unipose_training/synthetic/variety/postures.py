"""Postures as joint angles, drawn within the range of a healthy body.

Arms use the globe convention of the International Society of Biomechanics (Wu et al. 2005): the
plane in which the upper arm is raised, how far, and its turn about itself. Ranges follow the
American Academy of Orthopaedic Surgeons' normal ranges of motion (elbow 0-150, knee 0-135, hip
flexion 0-120 degrees and so on). All angles are in degrees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.motion import Motion

Array = NDArray[np.float64]


Range = tuple[float, float]


def _check(part: object, ranges: dict[str, Range]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(part, name)
        if not low <= value <= high:
            kind = type(part).__name__.lower()
            raise SyntheticError(f"{kind}.{name} = {value:g} degrees: a body bends from {low:g} to {high:g}")


@dataclass(frozen=True)
class Arm:
    """One arm; all zero hangs straight down.

    Attributes:
        elevation: 0 hangs, 90 is level, 180 points up.
        plane: in which it is raised: 0 forward, 90 sideways, negative across the chest.
        rotation: about its own length, positive inwards.
        elbow: 0 is straight.

    Raises:
        SyntheticError: an angle is out of range.
    """

    elevation: float = 6.0
    plane: float = 60.0
    rotation: float = 0.0
    elbow: float = 12.0

    def __post_init__(self) -> None:
        _check(self, {"elevation": (-60, 180), "plane": (-50, 120), "rotation": (-90, 90), "elbow": (0, 150)})


@dataclass(frozen=True)
class Leg:
    """One leg; all zero stands straight.

    Attributes:
        flexion: of the hip, forwards.
        abduction: sideways in the frontal plane.
        spread: turn about the vertical, outwards; opens the legs of a person who sits.
        knee: 0 is straight.

    Raises:
        SyntheticError: an angle is out of range.
    """

    flexion: float = 0.0
    abduction: float = 4.0
    spread: float = 4.0
    knee: float = 3.0

    def __post_init__(self) -> None:
        _check(self, {"flexion": (-30, 125), "abduction": (-25, 50), "spread": (-30, 50), "knee": (0, 140)})


@dataclass(frozen=True)
class Posture:
    """A whole body, before it is turned anywhere.

    Attributes:
        pitch: of the pelvis, forwards.
        lean, bend, twist: of the trunk: forwards, to its left, turned to its left.
        nod, look: of the head: forwards, turned to its left.

    Raises:
        SyntheticError: an angle is out of range.
    """

    pitch: float = 0.0
    lean: float = 0.0
    bend: float = 0.0
    twist: float = 0.0
    nod: float = 0.0
    look: float = 0.0
    left_arm: Arm = field(default_factory=Arm)
    right_arm: Arm = field(default_factory=Arm)
    left_leg: Leg = field(default_factory=Leg)
    right_leg: Leg = field(default_factory=Leg)

    def __post_init__(self) -> None:
        ranges = {
            "pitch": (-30, 75), "lean": (-25, 80), "bend": (-35, 35), "twist": (-45, 45), "nod": (-45, 45),
            "look": (-80, 80),
        }  # fmt: skip
        _check(self, {name: (float(low), float(high)) for name, (low, high) in ranges.items()})

    def angles(self) -> Array:
        """(22,) degrees: the trunk's six, then four of each limb in the order of the fields."""
        return np.concatenate([np.atleast_1d(np.asarray(value, np.float64)) for value in astuple(self)])


def blend(first: Posture, second: Posture, share: float) -> Posture:
    """Between two postures; every angle goes its way evenly, so the ranges hold in between."""
    mixed = ((1 - share) * first.angles() + share * second.angles()).tolist()
    pitch, lean, bend, twist, nod, look = mixed[:6]
    left_arm, right_arm, left_leg, right_leg = (mixed[start : start + 4] for start in (6, 10, 14, 18))
    return Posture(
        pitch, lean, bend, twist, nod, look, Arm(*left_arm), Arm(*right_arm), Leg(*left_leg), Leg(*right_leg)
    )


# Postures -> motions of the body's bones, and arms of one on the body of another.

_DOWN = np.array([0.0, 0.0, -1.0])
#: Which part each bone goes with. At rest arms and legs hang straight down.
_TRUNK = {
    "Hips": "pelvis", "LHipJoint": "pelvis", "RHipJoint": "pelvis", "LowerBack": "waist", "Spine": "chest",
    "Spine1": "chest", "LeftShoulder": "chest", "RightShoulder": "chest", "Neck": "neck", "Neck1": "head",
    "Head": "head",
}  # fmt: skip
_LEG_BONES = {"UpLeg": "thigh", "Leg": "shin", "Foot": "foot", "ToeBase": "foot"}
_ARM_BONES = {
    "Arm": "upper_arm", "ForeArm": "forearm", "Hand": "forearm", "FingerBase": "forearm", "HandFinger1": "forearm",
}  # fmt: skip
_ARMS: dict[str, str] = {
    f"{side}{bone}": f"{side.lower()}_{part}" for side in ("Left", "Right") for bone, part in _ARM_BONES.items()
} | {"LThumb": "left_forearm", "RThumb": "right_forearm"}
_BONES: dict[str, str] = (
    _TRUNK
    | {f"{side}{bone}": f"{side.lower()}_{part}" for side in ("Left", "Right") for bone, part in _LEG_BONES.items()}
    | _ARMS
)
_HANGING = ("Arm", "ForeArm", "UpLeg", "Leg")


def articulate(postures: Sequence[Posture], period_s: float, name: str = "postures") -> Motion:
    """One pose per posture, facing -y, hips above the origin.

    The height of the hips is not known from angles; put the body on the floor by its lowest point.
    """
    parts = _parts(np.stack([posture.angles() for posture in postures]))
    bones = tuple(_BONES)
    hanging = [any(bone in (f"Left{end}", f"Right{end}") for end in _HANGING) for bone in bones]
    return Motion(
        name=name,
        bones=bones,
        rotations=np.stack([parts[_BONES[bone]].as_matrix() for bone in bones], axis=1),
        rest_directions=np.stack([_DOWN if hangs else np.full(3, np.nan) for hangs in hanging]),
        root=np.tile([0.0, 0.0, 0.9], (len(postures), 1)),
        period_s=period_s,
    )


def between(keys: Sequence[Posture], frames: int, period_s: float, name: str = "postures") -> Motion:
    """From key to key, slowing down at each, over ``frames`` poses."""
    at = np.linspace(0, len(keys) - 1, frames)
    poses = []
    for place in at:
        first = min(int(place), len(keys) - 2) if len(keys) > 1 else 0
        share = place - first
        following = keys[min(first + 1, len(keys) - 1)]
        poses.append(blend(keys[first], following, float(share * share * (3 - 2 * share))))
    return articulate(poses, period_s, name)


def with_arms_of(motion: Motion, arms: Motion) -> Motion:
    """The motion with the arms of another one of equal length, held as that one holds them to its chest."""
    chest = motion.rotations[:, motion.bones.index("Spine1")]
    from_chest = arms.rotations[:, arms.bones.index("Spine1")].transpose(0, 2, 1)
    rotations, rests = motion.rotations.copy(), motion.rest_directions.copy()
    for bone in _ARMS:
        here, there = motion.bones.index(bone), arms.bones.index(bone)
        rotations[:, here] = chest @ from_chest @ arms.rotations[:, there]
        rests[here] = arms.rest_directions[there]
    return replace(motion, rotations=rotations, rest_directions=rests)


def _parts(degrees: Array) -> dict[str, Rotation]:
    """(F, 22) angles -> world turn of each part from hanging rest."""
    pitch, lean, bend, twist, nod, look = degrees[:, :6].T
    pelvis = _turn("x", pitch)
    # Half of the trunk's motion happens in the waist, the rest above it.
    half = _turn("z", twist / 2) * _turn("y", bend / 2) * _turn("x", lean / 2)
    parts = {"pelvis": pelvis, "waist": pelvis * half, "chest": pelvis * half * half}
    half = _turn("z", look / 2) * _turn("x", nod / 2)
    parts |= {"neck": parts["chest"] * half, "head": parts["chest"] * half * half}
    for number, (side, sign) in enumerate((("left", 1.0), ("right", -1.0))):
        parts |= _arm(side, sign, parts["chest"], degrees[:, 6 + 4 * number :][:, :4])
        parts |= _leg(side, sign, degrees[:, 14 + 4 * number :][:, :4])
    return parts


def _arm(side: str, sign: float, chest: Rotation, degrees: Array) -> dict[str, Rotation]:
    elevation, plane, rotation, elbow = degrees.T
    raised = _turn("z", sign * plane) * _turn("x", -elevation) * _turn("z", -sign * (plane + rotation))
    upper = chest * raised
    return {f"{side}_upper_arm": upper, f"{side}_forearm": upper * _turn("x", -elbow)}


def _leg(side: str, sign: float, degrees: Array) -> dict[str, Rotation]:
    flexion, abduction, spread, knee = degrees.T
    outward = _turn("z", sign * spread)
    # The hip bends from the vertical, not from the pelvis: who tilts the pelvis keeps the feet below.
    thigh = outward * _turn("y", -sign * abduction) * _turn("x", -flexion)
    shin = thigh * _turn("x", knee)
    return {f"{side}_thigh": thigh, f"{side}_shin": shin, f"{side}_foot": outward}


def _turn(axis: str, degrees: Array) -> Rotation:
    return Rotation.from_euler(axis, degrees[:, None], degrees=True)


# Postures of everyday life, drawn by family: standing, reaching, pointing, sitting, crouching, ...

Rng = np.random.Generator


def draw_posture(rng: Rng, family: str) -> Posture:
    """A posture of a family of :data:`FAMILIES`.

    Raises:
        SyntheticError: there is no such family.
    """
    if family not in FAMILIES:
        raise SyntheticError(f"posture family '{family}': use one of {', '.join(FAMILIES)}")
    return FAMILIES[family](rng)


def with_arms(posture: Posture, rng: Rng, family: str) -> Posture:
    """The same legs and trunk with the arms and the head of another family."""
    other = draw_posture(rng, family)
    return replace(posture, left_arm=other.left_arm, right_arm=other.right_arm, nod=other.nod, look=other.look)


def _u(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _draw_arm(rng: Rng, elevation: tuple[float, float], plane: tuple[float, float], rotation: tuple[float, float],
         elbow: tuple[float, float]) -> Arm:  # fmt: skip
    return Arm(_u(rng, *elevation), _u(rng, *plane), _u(rng, *rotation), _u(rng, *elbow))


def _hanging(rng: Rng) -> Arm:
    return _draw_arm(rng, (3, 16), (30, 90), (-10, 40), (4, 35))


def _standing(rng: Rng) -> Posture:
    shift = _u(rng, -6, 6)
    left, right = (
        Leg(_u(rng, -6, 10), _u(rng, 2, 9), _u(rng, 0, 15), _u(rng, 0, 10 + max(0.0, side * shift))) for side in (1, -1)
    )
    return Posture(
        pitch=_u(rng, -4, 6), lean=_u(rng, -3, 10), bend=shift, twist=_u(rng, -15, 15), nod=_u(rng, -10, 25),
        look=_u(rng, -45, 45), left_arm=_hanging(rng), right_arm=_hanging(rng), left_leg=left, right_leg=right,
    )  # fmt: skip


def _one_or_both(rng: Rng, posture: Posture, draw: Callable[[Rng], Arm], both: float) -> Posture:
    """Put an arm on a random side, or on both with that probability."""
    side = rng.random()
    if side < both:
        return replace(posture, left_arm=draw(rng), right_arm=draw(rng))
    if side < (1 + both) / 2:
        return replace(posture, left_arm=draw(rng))
    return replace(posture, right_arm=draw(rng))


def _reaching(rng: Rng) -> Posture:
    base = replace(_standing(rng), lean=_u(rng, 0, 30), twist=_u(rng, -30, 30))
    return _one_or_both(rng, base, lambda r: _draw_arm(r, (45, 125), (-20, 60), (-30, 40), (0, 60)), 0.4)


def _pointing(rng: Rng) -> Posture:
    return _one_or_both(rng, _standing(rng), lambda r: _draw_arm(r, (65, 130), (-35, 100), (-40, 40), (0, 12)), 0.1)


def _overhead(rng: Rng) -> Posture:
    return _one_or_both(rng, _standing(rng), lambda r: _draw_arm(r, (135, 178), (0, 90), (-40, 30), (0, 80)), 0.6)


def _gesturing(rng: Rng) -> Posture:
    return _one_or_both(rng, _standing(rng), lambda r: _draw_arm(r, (5, 60), (-10, 80), (-40, 75), (45, 130)), 0.7)


def _waving(rng: Rng) -> Posture:
    return _one_or_both(rng, _standing(rng), lambda r: _draw_arm(r, (50, 110), (70, 105), (-90, -55), (40, 110)), 0.15)


def _crossed(rng: Rng) -> Posture:
    arms = [_draw_arm(rng, (18, 35), (0, 25), (58, 80), (95, 118)) for _ in range(2)]
    return replace(_standing(rng), left_arm=arms[0], right_arm=arms[1])


def _hands_on_hips(rng: Rng) -> Posture:
    return _one_or_both(rng, _standing(rng), lambda r: _draw_arm(r, (35, 50), (85, 110), (60, 85), (80, 105)), 0.8)


def _carrying(rng: Rng) -> Posture:
    arm = _draw_arm(rng, (10, 30), (0, 40), (0, 35), (70, 105))
    return replace(_standing(rng), left_arm=arm, right_arm=arm, lean=_u(rng, -10, 5))


def _bending(rng: Rng) -> Posture:
    legs = [Leg(_u(rng, 5, 25), _u(rng, 2, 10), _u(rng, 0, 12), _u(rng, 5, 40)) for _ in range(2)]
    arms = [_draw_arm(rng, (30, 95), (-10, 50), (-10, 30), (0, 50)) for _ in range(2)]
    return Posture(
        pitch=_u(rng, 10, 45), lean=_u(rng, 15, 60), twist=_u(rng, -20, 20), nod=_u(rng, -25, 15),
        look=_u(rng, -30, 30), left_arm=arms[0], right_arm=arms[1], left_leg=legs[0], right_leg=legs[1],
    )  # fmt: skip


def _sitting(rng: Rng) -> Posture:
    spread, arms = _u(rng, 0, 22), _u(rng, 0, 1)
    legs = [Leg(_u(rng, 78, 98), 0.0, spread + _u(rng, -3, 3), _u(rng, 65, 105)) for _ in range(2)]
    on_lap = [_draw_arm(rng, (10, 40), (-5, 45), (5, 45), (40, 95)) for _ in range(2)]
    free = [_draw_arm(rng, (5, 95), (0, 70), (-20, 50), (10, 110)) for _ in range(2)]
    left, right = on_lap if arms < 0.6 else (free[0], on_lap[1]) if arms < 0.8 else free
    return Posture(
        pitch=_u(rng, -18, 4), lean=_u(rng, 0, 30), bend=_u(rng, -8, 8), twist=_u(rng, -15, 15), nod=_u(rng, -10, 30),
        look=_u(rng, -50, 50), left_arm=left, right_arm=right, left_leg=legs[0], right_leg=legs[1],
    )  # fmt: skip


def _crouching(rng: Rng) -> Posture:
    deep = _u(rng, 0, 1)
    legs = [Leg(60 + 58 * deep + _u(rng, -6, 6), 0.0, _u(rng, 5, 30), 75 + 55 * deep + _u(rng, -6, 6)) for _ in "lr"]
    arms = [_draw_arm(rng, (25, 90), (-10, 60), (-10, 45), (20, 100)) for _ in range(2)]
    return Posture(
        pitch=_u(rng, 5, 30), lean=_u(rng, 10, 45), twist=_u(rng, -20, 20), nod=_u(rng, -30, 15),
        look=_u(rng, -40, 40), left_arm=arms[0], right_arm=arms[1], left_leg=legs[0], right_leg=legs[1],
    )  # fmt: skip


def _anyhow(rng: Rng) -> Posture:
    """Arms anywhere in their range, trunk and legs nearly so."""
    arms = [_draw_arm(rng, (-20, 170), (-30, 110), (-60, 70), (0, 135)) for _ in range(2)]
    legs = [Leg(_u(rng, -15, 70), _u(rng, -5, 30), _u(rng, -5, 25), _u(rng, 0, 100)) for _ in range(2)]
    return Posture(
        pitch=_u(rng, -15, 25), lean=_u(rng, -15, 40), bend=_u(rng, -25, 25), twist=_u(rng, -35, 35),
        nod=_u(rng, -30, 30), look=_u(rng, -60, 60), left_arm=arms[0], right_arm=arms[1], left_leg=legs[0],
        right_leg=legs[1],
    )  # fmt: skip


FAMILIES: dict[str, Callable[[Rng], Posture]] = {
    "standing": _standing, "reaching": _reaching, "pointing": _pointing, "overhead": _overhead,
    "gesturing": _gesturing, "waving": _waving, "crossed": _crossed, "hands_on_hips": _hands_on_hips,
    "carrying": _carrying, "bending": _bending, "sitting": _sitting, "crouching": _crouching, "anyhow": _anyhow,
}  # fmt: skip
