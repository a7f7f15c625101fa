"""Bodies as joint angles in degrees, many at once, and how far a body bends.

World frame as elsewhere: z up; at rest the body stands upright and faces -y, its left is +x, arms and legs
hang straight down. Trunk, head and legs are angles; arms are in :mod:`~unipose_training.synthetic.poses.arms`.

Ranges: American Academy of Orthopaedic Surgeons, "Joint Motion: Method of Measuring and Recording" (1965)
(hip flexion 120, extension 30, abduction 45, adduction 30, rotation 45 either way; ankle 20 up, 50 down;
trunk flexion 80, extension 25, side 35, turn 45; neck 45 forward and back, 45 sideways, 60 to 80 turned).
Deep squats, kneeling on the heels and sitting cross-legged go beyond: knee to 155 degrees, hip flexion to
130, hip rotation outwards to 60 (Hemmerich et al., "Hip, knee, and ankle kinematics of high range of motion
activities of daily living", J Orthop Res 24, 2006). Kicks with the trunk leaning stretch the hip likewise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from unipose_training.synthetic.errors import SyntheticError

Array = NDArray[np.float64]
#: Columns of the table of angles, and their ranges. Legs: ``left_`` and ``right_`` before the name.
TRUNK: dict[str, tuple[float, float]] = {
    # The whole body about its left-right axis (forwards positive), then about its front-back axis (to its left).
    "tip": (-180.0, 180.0), "roll": (-180.0, 180.0),
    # Pelvis forwards; the legs do not follow. Trunk forwards, to its left, turned to its left.
    "pelvis": (-40.0, 75.0), "lean": (-25.0, 80.0), "bend": (-35.0, 35.0), "twist": (-45.0, 45.0),
    # Head forwards, turned to its left, towards its left shoulder.
    "nod": (-45.0, 45.0), "look": (-80.0, 80.0), "tilt": (-40.0, 40.0),
}  # fmt: skip
LEG: dict[str, tuple[float, float]] = {
    # Hip forwards, outwards in the frontal plane; about the thigh's own length outwards, about the vertical.
    "flexion": (-35.0, 130.0), "abduction": (-30.0, 60.0), "rotation": (-45.0, 60.0), "turn": (-30.0, 60.0),
    # 0 is straight; sole towards the shin negative, toes stretched positive.
    "knee": (0.0, 155.0), "ankle": (-25.0, 55.0),
}  # fmt: skip
COLUMNS = (*TRUNK, *(f"{side}_{name}" for side in ("left", "right") for name in LEG))
RANGES: dict[str, tuple[float, float]] = {
    name: TRUNK[name] if name in TRUNK else LEG[name.split("_")[1]] for name in COLUMNS
}
#: How far the thigh comes to the pelvis: flexion of the hip plus the pelvis' own tilt.
HIP_FLEXION = (-35.0, 135.0)


def table(count: int, columns: Mapping[str, Array | float]) -> Array:
    """(N, C) angles from some columns; the others are 0.

    Raises:
        SyntheticError: there is no such column.
    """
    if unknown := set(columns) - set(COLUMNS):
        raise SyntheticError(f"joint angles {sorted(unknown)}: use some of {', '.join(COLUMNS)}")
    angles = np.zeros((count, len(COLUMNS)))
    for name, values in columns.items():
        angles[:, COLUMNS.index(name)] = values
    return angles


def column(angles: Array, name: str) -> Array:
    """(N,) one column."""
    return np.asarray(angles[:, COLUMNS.index(name)])


def within_limits(angles: Array) -> NDArray[np.bool_]:
    """(N,) whether a body bends so."""
    low, high = np.array([RANGES[name] for name in COLUMNS]).T
    fine = ((angles >= low - 1e-9) & (angles <= high + 1e-9)).all(axis=1)
    for side in ("left", "right"):
        flexion = column(angles, f"{side}_flexion") + column(angles, "pelvis")
        fine &= (flexion >= HIP_FLEXION[0] - 1e-9) & (flexion <= HIP_FLEXION[1] + 1e-9)
        # Who turns the leg both ways at once would turn the hip twice.
        turned = column(angles, f"{side}_rotation") + 0.5 * column(angles, f"{side}_turn")
        fine &= turned <= LEG["rotation"][1] + 20
    return np.asarray(fine, np.bool_)


def mirrored(angles: Array) -> Array:
    """The same with left and right swapped."""
    swapped = [
        COLUMNS.index(name.replace("left", "\0").replace("right", "left").replace("\0", "right")) for name in COLUMNS
    ]
    signs = np.array([-1.0 if name in ("roll", "bend", "twist", "look", "tilt") else 1.0 for name in COLUMNS])
    return np.asarray(angles[:, swapped] * signs)
