"""The body as ``lookup`` knows it: which joints it lifts, and how long and thick the parts are.

The joints are those a 2D network of COCO keypoints marks, with the five points of the face
gathered into the head's center. Neck and torso follow from them by the identities of
:mod:`unipose_ros.joint_sets` (neck = middle of the shoulders), which holds better than reading
a depth at a place that has no surface point of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unipose_ros.joint_sets import COCO17, JointSet

FloatArray = NDArray[np.float64]

_NAMES = (
    "head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
    "left_hip right_hip left_knee right_knee left_ankle right_ankle"
)

#: The joints that are lifted, in the order of all arrays of this room.
BODY13 = JointSet(
    name="body13",
    joints=tuple(_NAMES.split()),
    landmarks=tuple(_NAMES.split()),
    parents=(1, -1, 1, 1, 2, 3, 4, 1, 2, 7, 8, 9, 10),
)

HEAD = 0
#: The two shoulders and the two hips: (2,) left, right.
SHOULDERS = np.array([1, 2])
HIPS = np.array([7, 8])
#: Nose and ears among the COCO keypoints.
FACE = [COCO17.index(name) for name in ("nose", "left_ear", "right_ear")]
#: (4, 3) root, middle and end of left arm, right arm, left leg, right leg.
LIMBS = np.array([[1, 3, 5], [2, 4, 6], [7, 9, 11], [8, 10, 12]])

#: (13,) meters from the surface seen at a joint's pixel to the joint, along the ray. Between the
#: offsets of ITOP's and Panoptic's joints in the statistics files of Residual Pose
#: (Martinez-Gonzalez et al., IROS 2020) and those measured on clothed anny bodies.
SURFACE_OFFSETS = np.array([0.085, 0.065, 0.065, 0.038, 0.038, 0.027, 0.027, 0.105, 0.105, 0.063, 0.063, 0.05, 0.05])
#: (13,) meters, how much that distance varies between people, clothes and views.
SURFACE_STDS = np.array([0.02, 0.035, 0.035, 0.018, 0.018, 0.018, 0.018, 0.028, 0.028, 0.02, 0.02, 0.02, 0.02])
#: The same for the middle of the shoulders (neck) and the middle of the hips (pelvis).
MIDDLE_OFFSETS = np.array([0.11, 0.15])
MIDDLE_STDS = np.array([0.06, 0.05])

#: (4, 2) meters: upper and lower part of the four limbs of an average adult. These and the lengths
#: below are between COCO keypoints (measured on adult anny bodies), which lie lower in the hip and
#: higher in the ankle than ITOP's joints.
LIMB_LENGTHS = np.array([[0.29, 0.26], [0.29, 0.26], [0.43, 0.42], [0.43, 0.42]])
SHOULDER_WIDTH = 0.345
HIP_WIDTH = 0.20
#: From a shoulder to the hip of the same side.
FLANK_LENGTH = 0.51
#: From the middle of the shoulders to the middle of the ears.
NECK_LENGTH = 0.21
#: From the middle of the ears forward to the nose.
NOSE_LENGTH = 0.108


def body_pixels(
    pixels: NDArray[np.floating], confidences: NDArray[np.floating], seen: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """COCO-17 keypoints -> the 13 joints of :data:`BODY13` in the image.

    The head's center is the middle of the ears: a 2D network places a hidden ear well enough
    that weighting by confidence measures worse. With one ear it is that ear, without ears the
    mean of eyes and nose.

    Args:
        pixels: (N, 17, 2).
        confidences, seen: (N, 17); only visible keypoints are used.

    Returns:
        (N, 13, 2) pixels, NaN where not seen, (N, 13) confidences, 0 there, and (N, 13) seen.
    """
    parts = seen[:, :5].copy()
    parts[parts[:, 3:].any(axis=1), :3] = False
    count = parts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        head = np.where(parts[..., None], pixels[:, :5], 0).sum(axis=1) / count[:, None]
    all_pixels = np.concatenate([head[:, None], np.where(seen[:, 5:, None], pixels[:, 5:], np.nan)], axis=1)
    best = np.where(parts, confidences[:, :5], 0).max(axis=1)
    all_confidences = np.concatenate([best[:, None], np.where(seen[:, 5:], confidences[:, 5:], 0)], axis=1)
    all_seen = np.concatenate([(count > 0)[:, None], seen[:, 5:]], axis=1)
    # COCO lists left before right, joint by joint, as BODY13 does.
    return all_pixels, all_confidences, all_seen


def facing(face_rays: FloatArray, references: FloatArray, sizes: FloatArray) -> FloatArray:
    """How far each person is turned: the nose against the middle of the ears.

    Args:
        face_rays: (N, 3, 3) viewing rays with z = 1 of nose, left ear and right ear; NaN not seen.
        references: (N,) distance in meters.
        sizes: (N,) size as a part of an average adult.

    Returns:
        (N,) sine of the angle, positive towards the right of the image, within [-1, 1]; NaN
        unless all three are seen.
    """
    sideways = (face_rays[:, 0, 0] - face_rays[:, 1:, 0].mean(axis=1)) * references
    turned: FloatArray = np.clip(sideways / (NOSE_LENGTH * sizes), -1, 1)
    return turned


# How tall people are, where only color sees them: the prior that tells distance from size.


class SizePrior(NamedTuple):
    """A person's size relative to the average adult.

    Attributes:
        mean: of the size, 1 for the average adult.
        std: its standard deviation.
    """

    mean: float
    std: float


#: Stature in meters of the average adult, whose size is 1.
AVERAGE_STATURE = 1.69
#: Mean and standard deviation of statures in meters. Adults: pooled height data of many countries (NCD-RisC, eLife
#: 2016) lie around these; children: 4 to 14 years (WHO growth reference), a wide range.
STATURES = {"adults": (1.69, 0.12), "men": (1.76, 0.075), "women": (1.63, 0.07), "children": (1.30, 0.20)}
#: Meters: a stature that is given as a number is meant to be exact to this, and lies within these limits.
_EXACT, _SHORTEST, _TALLEST = 0.03, 0.5, 2.4


def stature_prior(text: str) -> SizePrior:
    """``adults``, ``men``, ``women``, ``children``, or a stature in meters such as ``1.82``.

    Raises:
        ValueError: the text is none of these.
    """
    if text in STATURES:
        mean, std = STATURES[text]
    else:
        try:
            mean, std = float(text), _EXACT
        except ValueError as error:
            raise ValueError(f"'{text}': use {', '.join(STATURES)}, or meters such as 1.82") from error
        if not _SHORTEST <= mean <= _TALLEST:
            raise ValueError(f"'{text}': a stature is between {_SHORTEST} and {_TALLEST} meters")
    return SizePrior(mean / AVERAGE_STATURE, std / AVERAGE_STATURE)
