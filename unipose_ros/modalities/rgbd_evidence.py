"""What color and depth say about people's joints, as the fusion takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unipose_ros.camera import Camera, project, rays
from unipose_ros.fusion.evidence import Surfaces
from unipose_ros.fusion.gaussians import along_rays
from unipose_ros.geometry import body_model as body
from unipose_ros.geometry.covariance import lateral_std
from unipose_ros.geometry.surfaces import SURFACES, find_surfaces
from unipose_ros.joint_sets import ITOP15
from unipose_ros.keypoints import Keypoints2D
from unipose_ros.lifting.localization import BODY_POSITIONS
from unipose_ros.lookup.candidates import joint_depths, surface_costs

if TYPE_CHECKING:
    from unipose_ros.lifting import Lifter

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

_J = len(ITOP15)
#: Radius in meters of the patch in which depth is read, least radius in pixels, and the thickness of one surface.
_RADIUS, _LEAST_PIXELS, _GAP = 0.05, 2.0, 0.03
#: Surfaces farther than this many meters from the person are scenery.
_SCENERY = 0.9
#: Cost of a joint that hides behind the surface seen at its pixel, and how it grows with the keypoint's confidence.
_HIDDEN, _HIDDEN_BY_CONFIDENCE = 0.5, 2.0
#: Meters across the ray between a keypoint as people annotate it and the joint, for an average adult.
_KEYPOINT_STD = 0.021


def keypoint_slopes(
    camera: Camera, pixels: FloatArray, confidences: FloatArray, distances: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Viewing rays of ITOP's joints as slopes, and their standard deviations; NaN without a keypoint.

    Args:
        pixels: (N, 13, 2) of :data:`~unipose_ros.geometry.body_model.BODY13`; NaN not seen.
        confidences: (N, 13) in [0, 1].
        distances: (N,) meters.
    """
    people = len(pixels)
    slopes, stds = np.full((people, _J, 2), np.nan), np.full((people, _J), np.nan)
    slopes[:, BODY_POSITIONS] = rays(camera, pixels)[..., :2]
    depth = np.broadcast_to(distances[:, None], confidences.shape)
    across = lateral_std(confidences, depth, np.ones(people), _KEYPOINT_STD, camera.fx)
    stds[:, BODY_POSITIONS] = across / depth
    return slopes, stds


def seen_surfaces(
    camera: Camera,
    depth: NDArray[np.float32],
    pixels: FloatArray,
    confidences: FloatArray,
    distances: FloatArray,
) -> Surfaces:
    """Depth under the 13 joints' pixels; the neck and the torso follow from others.

    Args:
        depth: (H, W) meters; 0 and NaN are no readings.
        pixels: (N, 13, 2) where each joint is looked for; NaN nowhere.
        confidences: (N, 13) of the joint's keypoint, 0 without one.
        distances: (N,) meters.
    """
    people = len(pixels)
    radii = np.maximum(_RADIUS * np.array([camera.fx, camera.fy]) / distances[:, None], _LEAST_PIXELS)
    found = find_surfaces(depth, pixels, radii, np.maximum(distances - _SCENERY, 0.05), distances + _SCENERY, _GAP)
    directions = rays(camera, np.where(np.isfinite(pixels), pixels, 0.0))
    slopes = np.zeros((people, _J, 2))
    depths, stds = np.zeros((people, _J, SURFACES)), np.ones((people, _J, SURFACES))
    costs, hidden = np.full((people, _J, SURFACES), np.inf), np.full((people, _J), _HIDDEN)
    slopes[:, BODY_POSITIONS] = directions[..., :2]
    depths[:, BODY_POSITIONS] = np.nan_to_num(joint_depths(directions, found.depths, body.SURFACE_OFFSETS))
    stds[:, BODY_POSITIONS] = np.hypot(body.SURFACE_STDS[:, None], np.nan_to_num(found.stds))
    costs[:, BODY_POSITIONS] = surface_costs(found)
    hidden[:, BODY_POSITIONS] += _HIDDEN_BY_CONFIDENCE * confidences
    return Surfaces(slopes, depths, stds, costs, hidden)


def sample_pixels(camera: Camera, pixels: FloatArray, joints: FloatArray) -> FloatArray:
    """(N, 13, 2) pixels of the keypoints, or where there are none of the network's joints (N, 15, 3)."""
    there = np.isfinite(pixels).all(axis=-1, keepdims=True)
    return np.where(there, pixels, project(camera, joints[:, BODY_POSITIONS]))


def lifted_poses(lifter: Lifter | None, keypoints: Keypoints2D, camera: Camera) -> tuple[FloatArray, FloatArray]:
    """The lifter's poses (N, 15, 3) and their covariances (N, 15, 3, 3); NaN for people who show too little."""
    people = len(keypoints)
    poses, covariances = np.full((people, _J, 3), np.nan), np.full((people, _J, 3, 3), np.nan)
    if lifter is None or not people:
        return poses, covariances
    enough = lifter.liftable(keypoints, camera)
    if enough.any():
        chosen = keypoints.select(enough)
        seen = lifter.seen(chosen, camera)
        lifted = lifter.relative(chosen, camera, seen)
        poses[enough] = lifted.joints
        middle = np.where(seen[..., None], rays(camera, np.where(seen[..., None], chosen.pixels, 0)), 0).sum(axis=1)
        towards = np.broadcast_to(middle[:, None], lifted.joints.shape)
        covariances[enough] = along_rays(towards, lifted.stds[..., 1], lifted.stds[..., 0])
    return poses, covariances
