"""Does color speak for a person who was found in depth alone?"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project
from unipose_ros.joint_sets import COCO17, ITOP15
from unipose_ros.keypoints import KeypointDetector, Keypoints2D
from unipose_ros.visibility import in_image

FloatArray = NDArray[np.float64]

#: Meters around a joint in which a keypoint of its kind speaks for it.
_NEAR = 0.12
#: ITOP's joints that are a keypoint each, and both sides' keypoints: uncertain about the side, one will do.
_JOINTS = [joint for joint, side in enumerate(ITOP15.sides) if side != "middle"]
_KEYPOINTS = [[COCO17.landmarks.index(ITOP15.landmarks[j]) for j in (joint, ITOP15.mirror[joint])] for joint in _JOINTS]
#: An image whose brightest parts (this percentile) are darker than this shows no person; of 255.
_PERCENTILE, _DARK = 99, 20
#: Every so many pixels along both sides tell enough about the light.
_STEP = 8


@runtime_checkable
class HeatDetector(Protocol):
    """A 2D network that also says what it sees of keypoints that it gives to no person."""

    def heat_near(self, pixels: NDArray[np.floating], radius: float) -> NDArray[np.float32]:
        """(N, 17, 2) pixels of the last image -> (N, 17) greatest heat within a radius in pixels, in [0, 1]."""
        ...


def color_support(
    detector: KeypointDetector, found: Keypoints2D, camera: Camera, joints: NDArray[np.floating]
) -> FloatArray:
    """(N,) mean confidence of the 2D network near the joints of people who were found without it, in [0, 1].

    On real frames furniture that looks like a person in depth gets at most 0.21, people get 0.3 or more.

    Args:
        detector: has seen the image; it is asked for heat if it has any to show.
        found: its people in the image, however unsure.
        joints: (N, 15, 3) ITOP joints in meters.
    """
    pixels = project(camera, joints)[:, _JOINTS]
    inside = in_image(camera, joints[:, _JOINTS])
    radius = _NEAR * camera.fx / np.maximum(np.nan_to_num(np.nanmedian(joints[..., 2], axis=1), nan=1.0), 0.2)
    heat = _heat(detector, found, pixels, radius)
    return np.asarray(np.where(inside, heat, 0.0).sum(axis=1) / np.maximum(inside.sum(axis=1), 1))


def _heat(detector: KeypointDetector, found: Keypoints2D, pixels: FloatArray, radius: FloatArray) -> FloatArray:
    """(N, 12) confidence near each joint."""
    result = np.zeros(pixels.shape[:2])
    if isinstance(detector, HeatDetector):
        for side in range(2):
            inside = np.full((len(pixels), len(COCO17), 2), np.nan)
            chosen = [pair[side] for pair in _KEYPOINTS]
            inside[:, chosen] = pixels
            for person in range(len(pixels)):
                heat = detector.heat_near(inside[person : person + 1], float(radius[person]))
                result[person] = np.maximum(result[person], heat[0, chosen])
        return result
    for side in range(2):
        chosen = [pair[side] for pair in _KEYPOINTS]
        apart = np.linalg.norm(pixels[:, None] - found.pixels[None, :, chosen], axis=-1)
        near = apart < radius[:, None, None]  # NaN compares false
        support = np.where(near, found.confidences[None, :, chosen], 0.0).max(axis=1, initial=0.0)
        result = np.maximum(result, support)
    return result


def is_dark(image: NDArray[np.uint8]) -> bool:
    """Is an RGB image too dark for any person to be seen in it?"""
    return bool(np.percentile(image[::_STEP, ::_STEP].max(axis=-1), _PERCENTILE) < _DARK)
