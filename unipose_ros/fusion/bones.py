"""The bones that the fusion knows, how long they are in the population, and a body of one's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unipose_ros.geometry import body_model as body
from unipose_ros.joint_sets import ITOP15

FloatArray = NDArray[np.float64]

#: Names of the two ends, mean length in meters of an average adult, and the standard deviation between people of
#: one size, as a fraction. Lengths are those of :mod:`unipose_ros.geometry.body_model`. The last four are no bones, but
#: keep a trunk in shape; shoulders can be shrugged, so that they hold less tightly.
_TABLE = (
    ("neck", "head", body.NECK_LENGTH, 0.10),
    ("left_shoulder", "left_elbow", body.LIMB_LENGTHS[0, 0], 0.07),
    ("right_shoulder", "right_elbow", body.LIMB_LENGTHS[1, 0], 0.07),
    ("left_elbow", "left_hand", body.LIMB_LENGTHS[0, 1], 0.07),
    ("right_elbow", "right_hand", body.LIMB_LENGTHS[1, 1], 0.07),
    ("left_hip", "left_knee", body.LIMB_LENGTHS[2, 0], 0.07),
    ("right_hip", "right_knee", body.LIMB_LENGTHS[3, 0], 0.07),
    ("left_knee", "left_foot", body.LIMB_LENGTHS[2, 1], 0.07),
    ("right_knee", "right_foot", body.LIMB_LENGTHS[3, 1], 0.07),
    ("left_shoulder", "right_shoulder", body.SHOULDER_WIDTH, 0.08),
    ("left_hip", "right_hip", body.HIP_WIDTH, 0.15),
    ("left_shoulder", "left_hip", body.FLANK_LENGTH, 0.09),
    ("right_shoulder", "right_hip", body.FLANK_LENGTH, 0.09),
)
#: (B, 2) places of the ends in ITOP15.
BONES = np.array([[ITOP15.index(start), ITOP15.index(end)] for start, end, _, _ in _TABLE])
#: (B,) meters of an average adult.
MEAN_LENGTHS = np.array([length for _, _, length, _ in _TABLE])
#: (B,) standard deviation of the log length between people of one size.
LENGTH_STDS = np.array([std for _, _, _, std in _TABLE])
#: (B,) the bone on the other side; itself in the middle.
MIRRORED = np.array(
    [
        next(k for k, bone in enumerate(BONES) if set(bone) == {ITOP15.mirror[a], ITOP15.mirror[b]})
        for a, b in BONES.tolist()
    ]
)
#: Standard deviation of the log size of people: statures of women and men together.
SIZE_STD = 0.07


@dataclass(frozen=True, eq=False)
class Body:
    """Bone lengths of N people, as far as they are known.

    A length is ``lengths * exp(size)`` where it follows the person's unknown size, and ``lengths`` where it is known.

    Attributes:
        lengths: (N, B) meters, by :data:`BONES`.
        stds: (N, B) standard deviation of the log length.
        follows: (N,) 1 where lengths follow the size, 0 where they are the person's own.
        sizes: (N,) mean of the log size, relative to an average adult.
        size_stds: (N,) its standard deviation.

    Raises:
        ValueError: shapes disagree, or a length or standard deviation is not positive.
    """

    lengths: FloatArray
    stds: FloatArray
    follows: FloatArray
    sizes: FloatArray
    size_stds: FloatArray

    def __post_init__(self) -> None:
        people = len(self.lengths)
        for name in ("lengths", "stds"):
            value = getattr(self, name)
            if value.shape != (people, len(BONES)) or not (value > 0).all():
                raise ValueError(f"body.{name}: {value.shape} with least {value.min(initial=np.inf)}; give positive "
                                 f"numbers of shape {(people, len(BONES))}")  # fmt: skip
        for name in ("follows", "sizes", "size_stds"):
            if getattr(self, name).shape != (people,):
                raise ValueError(f"body.{name}: {getattr(self, name).shape}, expected {(people,)}")

    def __len__(self) -> int:
        return len(self.lengths)

    @classmethod
    def of_population(cls, people: int, size: float = 0.0, size_std: float = SIZE_STD) -> Body:
        """No person is known yet.

        Args:
            people: number of them.
            size: mean of the log size, relative to an average adult.
            size_std: its standard deviation.
        """
        ones = np.ones(people)
        return cls(
            np.outer(ones, MEAN_LENGTHS), np.outer(ones, LENGTH_STDS), ones, size * ones, max(size_std, 1e-3) * ones
        )

    def select(self, people: NDArray[np.intp] | NDArray[np.bool_]) -> Body:
        """The people of an index or boolean array, in its order."""
        return Body(**{name: value[people] for name, value in vars(self).items()})


def bone_lengths(positions: NDArray[np.floating]) -> FloatArray:
    """(..., 15, 3) ITOP joints in meters -> (..., B) lengths; NaN where an end is missing."""
    ends = np.asarray(positions, np.float64)[..., BONES, :]
    return np.asarray(np.linalg.norm(ends[..., 0, :] - ends[..., 1, :], axis=-1))
